//! What strangers may try.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use waldo_broker::Tls;

use crate::client::{ALICE, BOB, KEY, OPERATOR_OFFER, PASSWORD, ROBOT_OFFER, world, world_with};

#[tokio::test]
async fn other_tenants_sessions_and_keys_do_not_exist() {
    let world = world().await;
    let bob = world.log_in(BOB).await;
    let id = world.register().await;
    let key = world.broker().add_key(BOB, "bob's").await.unwrap();
    for (method, call) in [("POST", "/heartbeat"), ("POST", "/renegotiate-robot"), ("DELETE", "")] {
        let path = format!("/sessions/{id}{call}");
        let reply = world.robot(key.reveal(), method, &path, json!({"sdp_answer": "v=0"})).await;
        assert_eq!((reply.status, reply.detail().as_str()), (404, "Session not found"), "{call}");
    }
    assert_eq!(world.operator(&bob, "GET", "/sessions", Value::Null).await.ok(), json!([]));
    // Robots are no operators, operators no robots.
    assert_eq!(world.operator(KEY, "GET", "/sessions", Value::Null).await.status, 401);
    assert_eq!(world.robot(&bob, "POST", &format!("/sessions/{id}/heartbeat"), json!({})).await.status, 401);
    assert_eq!(world.beat(&id).await.status, 200);
}

#[tokio::test]
async fn bodies_are_bounded_and_nonsense_is_told_as_such() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    let large = json!({"robot_name": "r", "sdp_offer": "x".repeat(300_000)});
    let reply = world.robot(KEY, "POST", "/sessions", large).await;
    assert_eq!(reply.status, 413, "{}", reply.detail());
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let join = format!("/api/v1/sessions/{id}/join");
    let long_name = json!({"robot_name": "n".repeat(10_000), "sdp_offer": "v=0"}).to_string();
    for (path, body) in [
        (join.as_str(), ""),
        (&join, "{"),
        (&join, "[]"),
        (&join, "null"),
        (&join, "\"text\""),
        (&join, "{\"role\": 7}"),
        (&join, "{\"sdp_offer\": 7}"),
        (&join, &deep),
        ("/api/v1/keys", "{}"),
        ("/api/v1/keys", "{\"name\": null}"),
        ("/api/v1/keys", "{\"name\": \"a\\u0000b\"}"),
        ("/api/v1/auth/login", "{\"email\": \"a@b.c\"}"),
    ] {
        let request = world.request("POST", path).bearer_auth(&alice).body(body.to_owned());
        let reply = world.send(request).await;
        assert_eq!(reply.status, 422, "{path} {}: {}", &body[..body.len().min(40)], reply.text);
        assert!(!reply.detail().is_empty());
    }
    for body in [
        long_name.as_str(),
        "{\"robot_name\": \"\\u0000\", \"sdp_offer\": \"v=0\"}",
        "{\"robot_name\": \"r\", \"transport\": \"smoke\"}",
    ] {
        let request = world.request("POST", "/api/v1/sessions").header("X-Robot-API-Key", KEY).body(body.to_owned());
        assert_eq!(world.send(request).await.status, 422, "{}", &body[..40]);
    }
    let beat = format!("/api/v1/sessions/{id}/heartbeat");
    for (body, status) in [("", 422), ("{\"rtt_ms\": \"fast\"}", 422), ("{\"rtt_ms\": 1e999}", 422), ("{}", 200)] {
        let request = world.request("POST", &beat).header("X-Robot-API-Key", KEY).body(body);
        assert_eq!(world.send(request).await.status, status, "{body}");
    }
    // Names that cannot be are not found, and never reach the database.
    for id in ["%00", "%ff", "%2e%2e%2f", "a'b", &"9".repeat(5000), "00000000-0000-4000-8000-00000000000G"] {
        let status = world.operator(&alice, "GET", &format!("/sessions/{id}/status"), Value::Null).await.status;
        assert_eq!(status, 404, "{id}");
        assert_eq!(world.operator(&alice, "DELETE", &format!("/keys/{id}"), Value::Null).await.status, 404, "{id}");
        let viewer = format!("/sessions/00000000-0000-4000-8000-000000000000/viewers/{id}/heartbeat");
        assert_eq!(world.operator(&alice, "POST", &viewer, Value::Null).await.status, 404, "{id}");
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_are_told_in_the_usual_form() {
    let world = world().await;
    for path in ["/api/v1/nothing", "/api/v1/sessions/x/y/z", "/api", "/api/v2/sessions"] {
        let reply = world.send(world.request("GET", path)).await;
        assert_eq!((reply.status, reply.json()), (404, json!({"detail": "Not Found"})), "{path}");
    }
    for (method, path) in [("PUT", "/api/v1/sessions"), ("GET", "/api/v1/auth/login"), ("POST", "/health")] {
        let reply = world.send(world.request(method, path)).await;
        assert_eq!((reply.status, reply.detail().as_str()), (405, "Method Not Allowed"), "{path}");
    }
}

#[tokio::test]
async fn pages_and_replies_carry_the_headers_that_browsers_heed() {
    let origin = "https://teleop.example.org";
    let world = world_with(|settings| settings.public_origin = Some(origin.to_owned())).await;
    for path in ["/", "/robots", "/health", "/api/v1/auth/config"] {
        let reply = world.send(world.request("GET", path)).await;
        assert_eq!(reply.status, 200, "{path}");
        let header = |name: &str| reply.headers.get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(header("referrer-policy"), Some("strict-origin-when-cross-origin"), "{path}");
        assert!(header("content-security-policy").unwrap().contains("default-src 'self'"), "{path}");
        // A page in place of an app that was not built is not kept at all.
        let page = path == "/" || path == "/robots";
        let cache = header("cache-control").unwrap();
        assert!(cache == "no-store" || (page && cache == "no-cache"), "{path}: {cache}");
    }
    let preflight = |from: &str| {
        world
            .request("OPTIONS", "/api/v1/sessions")
            .header("Origin", from)
            .header("Access-Control-Request-Method", "POST")
            .header("Access-Control-Request-Headers", "authorization")
    };
    let allowed = world.send(preflight(origin)).await;
    assert_eq!(allowed.status, 204);
    assert_eq!(allowed.headers["access-control-allow-origin"], origin);
    assert_eq!(allowed.headers["access-control-allow-credentials"], "true");
    let refused = world.send(preflight("https://evil.example")).await;
    assert!(refused.headers.get("access-control-allow-origin").is_none());
}

#[tokio::test]
async fn counters_are_for_this_machine_only() {
    let world = world().await;
    assert_eq!(world.send(world.request("GET", "/metrics")).await.status, 200);
    for header in ["X-Forwarded-For", "Forwarded"] {
        let reply = world.send(world.request("GET", "/metrics").header(header, "127.0.0.1")).await;
        assert_eq!(reply.status, 403);
    }
    let metrics = {
        world.register().await;
        world.send(world.request("GET", "/metrics")).await.text
    };
    assert!(metrics.contains("teleop_sessions{state=\"idle\"} 1"), "{metrics}");
    assert!(metrics.contains("route=\"/api/v1/sessions\",status=\"201\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_key_works_for_its_owner_only_and_not_after_it_was_replaced() {
    let world = world().await;
    let (alice, bob) = (world.log_in(ALICE).await, world.log_in(BOB).await);
    let made = async |token: &str| {
        let made = world.operator(token, "POST", "/keys", json!({"name": "arm", "robot_id": "arm"})).await.ok();
        (made["id"].as_str().unwrap().to_owned(), made["api_key"].as_str().unwrap().to_owned())
    };
    let (old, first) = made(&alice).await;
    let register = async |key: &str, robot: &str| {
        let body = json!({"robot_name": robot, "robot_id": robot, "sdp_offer": ROBOT_OFFER});
        world.robot(key, "POST", "/sessions", body).await
    };
    // Two robots may share a key, and stand beside each other.
    let one = register(&first, "arm-1").await.ok()["session_id"].as_str().unwrap().to_owned();
    let two = register(&first, "arm-2").await.ok()["session_id"].as_str().unwrap().to_owned();
    for id in [&one, &two] {
        assert_eq!(world.robot(&first, "POST", &format!("/sessions/{id}/heartbeat"), json!({})).await.status, 200);
    }
    // A key that was found is still its owner's: whoever uses it adds robots to her, sees none of hers, and none of his own.
    let found = register(&first, "arm-3").await.ok()["session_id"].as_str().unwrap().to_owned();
    assert_eq!(world.status(&alice, &found).await["robot_id"], "arm-3");
    assert_eq!(world.operator(&bob, "GET", "/sessions", Value::Null).await.ok(), json!([]));
    let (theirs, _) = made(&bob).await;
    assert_eq!(world.operator(&alice, "DELETE", &format!("/keys/{theirs}"), Value::Null).await.status, 404);
    // Nobody can have a key that exists, neither again nor for another owner.
    let plain = waldo_broker::auth::PlainKey::existing(&first).unwrap();
    for owner in [ALICE, BOB] {
        assert!(world.broker().keep_key(&plain, owner, "again").await.is_err(), "{owner}");
    }
    // Replaced: the new one goes on with the robot, the old one ends everywhere at once, also in sessions that it began.
    let (_, second) = made(&alice).await;
    world.operator(&alice, "DELETE", &format!("/keys/{old}"), Value::Null).await.ok();
    for (method, call, body) in [
        ("POST", format!("/sessions/{one}/heartbeat"), json!({})),
        ("POST", format!("/sessions/{one}/renegotiate-robot"), json!({"sdp_answer": "v=0"})),
        ("DELETE", format!("/sessions/{one}"), Value::Null),
        ("POST", "/sessions".to_owned(), json!({"robot_name": "arm-1", "robot_id": "arm-1", "sdp_offer": ROBOT_OFFER})),
        ("GET", "/sessions/turn-credentials".to_owned(), Value::Null),
    ] {
        let reply = world.robot(&first, method, &call, body).await;
        assert_eq!((reply.status, reply.detail().as_str()), (401, "Invalid robot credentials"), "{method} {call}");
    }
    assert!(world.broker().keep_key(&plain, ALICE, "back").await.is_err(), "what is revoked stays so");
    assert_eq!(world.robot(&second, "POST", &format!("/sessions/{one}/heartbeat"), json!({})).await.status, 200);
    register(&second, "arm-1").await.ok();
    assert_eq!(world.status(&alice, &one).await["state"], "disconnected");
}

#[tokio::test]
async fn the_database_is_for_its_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let settings = crate::client::settings(&dir);
    let engine = Arc::new(crate::engine::Scripted::default());
    let broker = waldo_broker::Broker::start_with(settings, engine, false).await.unwrap();
    let files = std::fs::read_dir(dir.path()).unwrap().flatten();
    let files: Vec<_> = files.filter(|file| file.file_name().to_string_lossy().starts_with("broker.db")).collect();
    assert!(!files.is_empty());
    for file in files {
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600, "{file:?}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let world = world().await;
    let request = world.request("GET", "/health").header("X-Long", "x".repeat(60_000));
    assert_eq!(world.send(request).await.status, 431);
}

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn secrets_and_descriptions_are_never_logged() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter("waldo_broker=trace,info")
        .with_writer(move || writer.clone())
        .finish();
    // One thread does everything in this test.
    let _guard = tracing::subscriber::set_default(subscriber);
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let made = world.operator(&alice, "POST", "/keys", json!({"name": "k"})).await.ok();
    let id = world.register().await;
    world.join(&alice, &id).await.ok();
    world.bridge(&alice, &id).await.ok();
    world.engine.set(|script| {
        let detail = "no such m-line".to_owned();
        script.no_answer = Some(waldo_broker::sfu::EngineError::Malformed(detail));
    });
    let answer = json!({"sdp_answer": ROBOT_OFFER});
    world.operator(&alice, "POST", &format!("/sessions/{id}/renegotiate-answer"), answer).await;
    world.robot("dtk_live_cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd", "POST", "/sessions", json!({})).await;
    world.operator("e30.secret-token.x", "GET", "/sessions", Value::Null).await;
    world.leave(&alice, &id).await.ok();
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("audit"), "something is logged: {text}");
    for secret in [
        KEY,
        PASSWORD,
        alice.as_str(),
        made["api_key"].as_str().unwrap(),
        "cdcdcdcdcdcd",
        "secret-token",
        "webrtc-datachannel",
        OPERATOR_OFFER,
    ] {
        assert!(!text.contains(secret), "{secret} is in the log:\n{text}");
    }
}

#[tokio::test]
async fn the_broker_speaks_tls_with_a_certificate_of_its_own() {
    let world = world_with(|settings| settings.tls = Tls::SelfSigned).await;
    assert!(world.url.starts_with("https://"), "{}", world.url);
    let client = reqwest::Client::builder().danger_accept_invalid_certs(true).build().unwrap();
    let reply = client.get(format!("{}/health", world.url)).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert!(reply.headers().contains_key("strict-transport-security"));
    let key = world.settings.data_dir.join("tls/key.pem");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(key).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn the_description_of_the_interface_names_every_route() {
    let world = world().await;
    let document = world.send(world.request("GET", "/openapi.json")).await.ok();
    let paths = document["paths"].as_object().unwrap();
    for (path, methods) in [
        ("/api/v1/auth/config", &["get"][..]),
        ("/api/v1/auth/me", &["get"]),
        ("/api/v1/auth/login", &["post"]),
        ("/api/v1/auth/register", &["post"]),
        ("/api/v1/auth/refresh", &["post"]),
        ("/api/v1/keys", &["get", "post"]),
        ("/api/v1/keys/{id}", &["delete"]),
        ("/api/v1/sessions/turn-credentials", &["get"]),
        ("/api/v1/sessions", &["get", "post"]),
        ("/api/v1/sessions/{id}", &["delete"]),
        ("/api/v1/sessions/{id}/heartbeat", &["post"]),
        ("/api/v1/sessions/{id}/renegotiate-robot", &["post"]),
        ("/api/v1/sessions/{id}/status", &["get"]),
        ("/api/v1/sessions/{id}/join", &["post"]),
        ("/api/v1/sessions/{id}/bridge-datachannel", &["post"]),
        ("/api/v1/sessions/{id}/renegotiate-answer", &["post"]),
        ("/api/v1/sessions/{id}/op-heartbeat", &["post"]),
        ("/api/v1/sessions/{id}/leave", &["post"]),
        ("/api/v1/sessions/{id}/takeover", &["post"]),
        ("/api/v1/sessions/{id}/audit", &["get"]),
        ("/api/v1/sessions/{id}/estop", &["post"]),
        ("/api/v1/sessions/{id}/viewers/{peer}", &["delete"]),
        ("/health", &["get"]),
    ] {
        for method in methods {
            assert!(paths.get(path).is_some_and(|item| item.get(method).is_some()), "{method} {path}");
        }
    }
    assert!(document["components"]["schemas"]["RegisterRobot"].is_object());
    assert_eq!(document["components"]["securitySchemes"]["robot"]["name"], "X-Robot-API-Key");
}
