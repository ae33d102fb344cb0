//! Accounts, tokens, keys, and an identity provider.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use waldo_broker::auth::OidcSettings;

use crate::client::{ALICE, BOB, KEY, PASSWORD, world, world_with};

#[tokio::test]
async fn registering_is_for_brokers_that_allow_it() {
    let closed = world().await;
    let body = json!({"email": "Carol@Example.org", "password": "long enough"});
    let reply = closed.send(closed.request("POST", "/api/v1/auth/register").json(&body)).await;
    assert_eq!(reply.status, 403);
    let world = world_with(|settings| settings.registration = true).await;
    let send = async |path: &str, body: &Value| world.send(world.request("POST", path).json(body)).await;
    let registered = send("/api/v1/auth/register", &body).await.ok();
    assert_eq!(registered["user_id"], "carol@example.org");
    let me = world.operator(registered["token"].as_str().unwrap(), "GET", "/auth/me", Value::Null).await.ok();
    assert_eq!(me, json!({"sub": "carol@example.org", "role": "operator", "cognito_sub": "carol@example.org"}));
    assert_eq!(send("/api/v1/auth/register", &body).await.status, 409);
    for (email, password) in [("d@e.f", "1234567"), ("nobody", "long enough"), ("", "long enough")] {
        let reply = send("/api/v1/auth/register", &json!({"email": email, "password": password})).await;
        assert_eq!(reply.status, 422, "{email}");
    }
    let config = world.send(world.request("GET", "/api/v1/auth/config")).await.ok();
    assert_eq!(config, json!({"region": "", "user_pool_id": "", "client_id": "", "mode": "local"}));
}

#[tokio::test]
async fn nobody_registers_a_name_that_robots_belong_to() {
    owners().await;
}

pub(crate) async fn owners() {
    let world = world_with(|settings| settings.registration = true).await;
    world.broker().add_key("dave@example.org", "made before his account").await.unwrap();
    let body = json!({"email": "Dave@Example.org", "password": "long enough"});
    let reply = world.send(world.request("POST", "/api/v1/auth/register").json(&body)).await;
    assert_eq!(reply.status, 409, "{reply:?}");
    // Whoever runs the broker may give him one.
    world.broker().add_user("dave@example.org", "long enough").await.unwrap();
}

#[tokio::test]
async fn wrong_passwords_and_unknown_names_look_alike() {
    let world = world().await;
    let log_in = async |email: &str, password: &str| {
        let body = json!({"email": email, "password": password});
        world.send(world.request("POST", "/api/v1/auth/login").json(&body)).await
    };
    let wrong = log_in(ALICE, "wrong password").await;
    let unknown = log_in("nobody@example.org", PASSWORD).await;
    assert_eq!((wrong.status, unknown.status), (401, 401));
    assert_eq!(wrong.detail(), unknown.detail());
    log_in(&ALICE.to_uppercase(), PASSWORD).await.ok();
}

#[tokio::test]
async fn tokens_are_renewed_and_end() {
    let world = world_with(|settings| settings.token_life = Duration::from_secs(2)).await;
    let token = world.log_in(ALICE).await;
    let renewed = world.operator(&token, "POST", "/auth/refresh", Value::Null).await.ok();
    assert_eq!(renewed["user_id"], ALICE);
    let renewed = renewed["token"].as_str().unwrap();
    world.operator(renewed, "GET", "/auth/me", Value::Null).await.ok();
    tokio::time::sleep(Duration::from_millis(3100)).await;
    for path in ["/auth/me", "/sessions", "/keys"] {
        let reply = world.operator(&token, "GET", path, Value::Null).await;
        assert_eq!((reply.status, reply.detail().as_str()), (401, "Invalid token: expired"), "{path}");
    }
    assert_eq!(world.operator(renewed, "POST", "/auth/refresh", Value::Null).await.status, 401);
    for (header, detail) in [
        ("", "Not authenticated"),
        ("Bearer", "Not authenticated"),
        ("Basic YTpi", "Not authenticated"),
        ("Bearer rubbish", "Invalid token: malformed"),
        ("Bearer dev-token", "Invalid token: malformed"),
    ] {
        let request = world.request("GET", "/api/v1/auth/me").header("Authorization", header);
        let reply = world.send(request).await;
        assert_eq!((reply.status, reply.detail().as_str()), (401, detail), "{header}");
    }
}

#[tokio::test]
async fn keys_are_shown_once_and_revoked_at_once() {
    keys().await;
}

pub(crate) async fn keys() {
    let world = world().await;
    let (alice, bob) = (world.log_in(ALICE).await, world.log_in(BOB).await);
    let made = world.operator(&alice, "POST", "/keys", json!({"name": "Lab", "robot_id": "dog"})).await.ok();
    let key = made["api_key"].as_str().unwrap();
    assert!(key.starts_with("dtk_live_") && key.len() == 49, "{made}");
    assert_eq!(made["robot_id"], format!("{ALICE}:dog"));
    world.robot(key, "GET", "/sessions/turn-credentials", Value::Null).await.ok();
    let list = world.operator(&alice, "GET", "/keys", Value::Null).await;
    assert!(!list.text.contains(key), "{list:?}");
    let keys = list.ok()["keys"].clone();
    assert_eq!((&keys[0]["id"], keys.as_array().unwrap().len()), (&made["id"], 2), "newest first");
    assert!(keys[0]["last_used_at"].as_str().unwrap().ends_with('Z') && keys[1]["last_used_at"].is_null(), "{keys}");
    assert_eq!(world.operator(&bob, "GET", "/keys", Value::Null).await.ok()["keys"], json!([]));
    let path = format!("/keys/{}", made["id"].as_str().unwrap());
    assert_eq!(world.operator(&bob, "DELETE", &path, Value::Null).await.status, 404);
    world.operator(&alice, "DELETE", &path, Value::Null).await.ok();
    let again = world.operator(&alice, "DELETE", &path, Value::Null).await;
    assert_eq!((again.status, again.detail().as_str()), (404, "Key not found or already revoked"));
    let reply = world.robot(key, "POST", "/sessions", json!({"robot_name": "r", "sdp_offer": "v=0"})).await;
    assert_eq!((reply.status, reply.detail().as_str()), (401, "Invalid robot credentials"));
}

#[tokio::test]
async fn a_key_decides_where_both_are_given() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let path = "/api/v1/sessions/turn-credentials";
    let both = |key: &str| world.request("GET", path).bearer_auth(&alice).header("X-Robot-API-Key", key.to_owned());
    assert_eq!(world.send(both(KEY)).await.status, 200);
    assert_eq!(world.send(both("dtk_live_wrong")).await.status, 401);
    assert_eq!(world.send(world.request("GET", path).bearer_auth(&alice)).await.status, 200);
}

#[tokio::test]
async fn development_has_a_published_key_and_token_and_production_has_not() {
    let world = world_with(|settings| settings.environment = waldo_broker::Environment::Development).await;
    let key = "dev-robot-key-change-me";
    let body = json!({"robot_name": "r", "sdp_offer": crate::client::ROBOT_OFFER});
    world.robot(key, "POST", "/sessions", body.clone()).await.ok();
    let list = world.operator("dev-token", "GET", "/sessions", Value::Null).await.ok();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(world.send(world.request("GET", "/health")).await.ok()["environment"], "dev");
    let production = crate::client::world().await;
    assert_eq!(production.robot(key, "POST", "/sessions", body).await.status, 401);
    assert_eq!(production.operator("dev-token", "GET", "/sessions", Value::Null).await.status, 401);
    let mut settings = world.settings.clone();
    settings.listen = "0.0.0.0:0".parse().unwrap();
    let refused = waldo_broker::Broker::start_with(settings.clone(), world.engine.clone(), false).await;
    assert!(refused.unwrap_err().to_string().contains("--development-anywhere"));
}

/// A new RSA key: PEM, and the modulus as key sets write it.
fn rsa() -> (String, String) {
    let openssl = |args: &[&str]| {
        let output = Command::new("openssl").args(args).output().expect("openssl is installed: PostgreSQL brings it");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("key.pem");
    openssl(&["genrsa", "-traditional", "-out", file.to_str().unwrap(), "2048"]);
    let modulus = openssl(&["rsa", "-in", file.to_str().unwrap(), "-noout", "-modulus"]);
    let hex = modulus.trim().strip_prefix("Modulus=").unwrap();
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    (std::fs::read_to_string(file).unwrap(), URL_SAFE_NO_PAD.encode(bytes))
}

/// A provider that counts how often its keys are fetched.
async fn provider(modulus: &str) -> (String, Arc<AtomicUsize>) {
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&fetched);
    let keys = json!({"keys": [{"kty": "RSA", "alg": "RS256", "use": "sig", "kid": "k1", "n": modulus, "e": "AQAB"}]});
    let answer = move || {
        count.fetch_add(1, Ordering::Relaxed);
        std::future::ready(axum::Json(keys.clone()))
    };
    let router = axum::Router::new().route("/.well-known/jwks.json", axum::routing::get(answer));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (format!("http://{address}"), fetched)
}

#[tokio::test]
async fn an_identity_providers_tokens_hold_if_all_of_them_is_right() {
    let (rsa, modulus) = rsa();
    let (issuer, fetched) = provider(&modulus).await;
    let oidc = OidcSettings {
        issuer: issuer.clone(),
        client_id: "page".to_owned(),
        jwks_url: None,
        region: "eu".to_owned(),
        user_pool_id: "pool".to_owned(),
    };
    let world = world_with(|settings| settings.oidc = Some(oidc)).await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let good = json!({
        "iss": issuer, "aud": "page", "exp": now + 600, "iat": now, "sub": "uuid-1", "token_use": "id",
        "email": ALICE, "email_verified": true, "cognito:groups": ["admin"]
    });
    let sign = |claims: &Value, kid: &str, algorithm: Algorithm| {
        let key = match algorithm {
            Algorithm::HS256 => EncodingKey::from_secret(modulus.as_bytes()),
            _ => EncodingKey::from_rsa_pem(rsa.as_bytes()).unwrap(),
        };
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, claims, &key).unwrap()
    };
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        claims
    };
    let me = async |token: &str| world.operator(token, "GET", "/auth/me", Value::Null).await;
    let reply = me(&sign(&good, "k1", Algorithm::RS256)).await.ok();
    assert_eq!(reply, json!({"sub": ALICE, "role": "admin", "cognito_sub": "uuid-1"}));
    let plain = with("cognito:groups", json!([]));
    assert_eq!(me(&sign(&plain, "k1", Algorithm::RS256)).await.ok()["role"], "operator");
    let shouted = with("email", json!(ALICE.to_uppercase()));
    assert_eq!(me(&sign(&shouted, "k1", Algorithm::RS256)).await.ok()["sub"], ALICE, "one tenant, however written");
    for (claims, detail) in [
        (with("exp", json!(now - 60)), "Invalid token: expired"),
        (with("aud", json!("other")), "Invalid token: wrong audience"),
        (with("iss", json!("https://evil")), "Invalid token: wrong issuer"),
        (with("token_use", json!("access")), "Invalid token: not an ID token"),
        (with("email_verified", json!(false)), "Email not verified"),
    ] {
        let reply = me(&sign(&claims, "k1", Algorithm::RS256)).await;
        assert_eq!((reply.status, reply.detail().as_str()), (401, detail));
    }
    assert_eq!(me(&sign(&good, "k1", Algorithm::HS256)).await.detail(), "Invalid token: wrong algorithm");
    assert_eq!(fetched.load(Ordering::Relaxed), 1, "the keys are kept");
    for at in 0..5 {
        let reply = me(&sign(&good, &format!("unknown-{at}"), Algorithm::RS256)).await;
        assert_eq!((reply.status, reply.detail().as_str()), (401, "Invalid token: unknown key"));
    }
    assert!(fetched.load(Ordering::Relaxed) <= 2, "unknown keys make us ask once a minute");
    // Passwords are none of ours then.
    let body = json!({"email": ALICE, "password": PASSWORD});
    assert_eq!(world.send(world.request("POST", "/api/v1/auth/login").json(&body)).await.status, 404);
    let config = world.send(world.request("GET", "/api/v1/auth/config")).await.ok();
    assert_eq!(config, json!({"region": "eu", "user_pool_id": "pool", "client_id": "page", "mode": "oidc"}));
}
