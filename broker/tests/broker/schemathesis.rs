//! Random requests made from the broker's own description of its interface, by schemathesis: nothing breaks, hangs or leaks.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use waldo_broker::{Broker, SfuSettings, sfu::embedded};

use crate::client::{ALICE, BOB, KEY, PASSWORD, settings, world_on};
use crate::peer::Peer;

/// How many requests there are at most for each of the interface's operations, unless `WALDO_SCHEMATHESIS_EXAMPLES` says otherwise: 1000
/// make more than ten thousand bodies. `WALDO_SCHEMATHESIS_SEED` makes others of them.
const EXAMPLES: &str = "50";

/// Beside our own check, the description must tell the truth: statuses, types and shapes of replies.
const CHECKS: &str =
    "nothing_breaks_or_leaks,status_code_conformance,content_type_conformance,response_schema_conformance";

/// The Python that `cargo xtask setup` has made in the build directory.
fn python() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let python = program.ancestors().nth(3).unwrap().join("python/bin/python");
    assert!(python.is_file(), "there is no {}: please run `cargo xtask setup`", python.display());
    python
}

/// Requests that were answered so far whose labels say all of this.
fn answered(metrics: &str, labels: &[&str]) -> u64 {
    let counts = metrics.lines().filter_map(|line| line.strip_prefix("teleop_http_requests_total{")?.rsplit_once("} "));
    let wanted = counts.filter(|(found, _)| labels.iter().all(|label| found.contains(label)));
    wanted.map(|(_, count)| count.parse::<u64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_requests_break_nothing_and_learn_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    let bind = "127.0.0.1:0".parse().unwrap();
    settings.sfu = SfuSettings::Embedded(embedded::Settings { bind, ..embedded::Settings::default() });
    settings.registration = true;
    // Nobody sends heartbeats here but by chance.
    settings.timers.robot = Duration::from_secs(24 * 60 * 60);
    settings.timers.operator = Duration::from_secs(24 * 60 * 60);
    let broker = Broker::start(settings.clone()).await.unwrap();
    let world = world_on(broker, settings, dir).await;
    let (alice, bob) = (world.log_in(ALICE).await, world.log_in(BOB).await);

    // Alice's robot, connected, whose session the requests are about.
    let (mut robot, offer) = Peer::robot();
    let body = json!({"robot_name": "Dog", "robot_id": "fuzzed", "sdp_offer": offer});
    let registered = world.robot(KEY, "POST", "/sessions", body).await.ok();
    robot.accept(registered["sdp_answer"].as_str().unwrap()).await;
    robot.connected().await;
    let session = registered["session_id"].as_str().unwrap().to_owned();
    // Bob's, of which nobody else may learn anything.
    let key = world.broker().add_key(BOB, "bob's key").await.unwrap();
    let (_bobs, offer) = Peer::robot();
    let body = json!({"robot_name": "bob's secret robot", "robot_id": "bobs", "sdp_offer": offer});
    let theirs = world.robot(key.reveal(), "POST", "/sessions", body).await.ok();
    let revoked = world.operator(&alice, "POST", "/keys", json!({"name": "revoked"})).await.ok();
    world.operator(&alice, "DELETE", &format!("/keys/{}", revoked["id"].as_str().unwrap()), Value::Null).await.ok();

    let given = json!({
        "session": session,
        "robot_offer": Peer::robot().1,
        "operator_offer": Peer::operator().1,
        "account": {"email": ALICE, "password": PASSWORD},
        "revoked": revoked["api_key"],
        "expired": "eyJhbGciOiJIUzI1NiJ9.e30.x",
        "others": [
            theirs["session_id"], theirs["cf_session_id"], "bob's secret robot", "bob's key", BOB, bob, key.reveal(),
            PASSWORD, world.settings.data_dir.to_str().unwrap(),
        ],
    });
    let examples = std::env::var("WALDO_SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| EXAMPLES.to_owned());
    let seed = std::env::var("WALDO_SCHEMATHESIS_SEED").unwrap_or_else(|_| "1".to_owned());
    let mut st = Command::new(python());
    st.args(["-B", "-m", "schemathesis.cli", "run", &format!("{}/openapi.json", world.url)])
        .args(["--phases", "coverage,fuzzing", "--workers", "2", "--max-examples", &examples, "--seed", &seed])
        .args(["--checks", CHECKS, "--continue-on-failure", "--request-timeout", "15"])
        .args(["--generation-database", "none", "--suppress-health-check", "all", "--warnings", "off", "--no-color"])
        .args(["-H", &format!("Authorization: Bearer {alice}"), "-H", &format!("X-Robot-API-Key: {KEY}")])
        .env("SCHEMATHESIS_HOOKS", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/broker/schemathesis_hooks.py"))
        .env("WALDO_GIVEN", given.to_string())
        .env_remove("PYTHONPATH")
        .current_dir(&world.settings.data_dir)
        .stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || st.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));

    let metrics = world.send(world.request("GET", "/metrics")).await.text;
    let all = answered(&metrics, &[]);
    eprintln!("{all} requests\n{said}");
    assert!(all > 10 * examples.parse::<u64>().unwrap(), "{all} requests");
    assert_eq!(answered(&metrics, &["status=\"500\""]), 0);
    // They went further than the front door. Which of these come is a matter of order and chance, but most of them do.
    let inside = [
        ("POST", "/api/v1/auth/login", 200),
        ("POST", "/api/v1/keys", 200),
        ("DELETE", "/api/v1/keys/{id}", 200),
        ("POST", "/api/v1/sessions", 201),
        ("POST", "/api/v1/sessions", 401),
        ("POST", "/api/v1/sessions", 422),
        ("POST", "/api/v1/sessions/{id}/heartbeat", 200),
        ("POST", "/api/v1/sessions/{id}/join", 200),
        ("POST", "/api/v1/sessions/{id}/join", 409),
        ("POST", "/api/v1/sessions/{id}/leave", 200),
        ("DELETE", "/api/v1/sessions/{id}", 204),
    ];
    let missing: Vec<_> = inside
        .iter()
        .filter(|(method, route, status)| {
            let labels = [format!("method=\"{method}\""), format!("route=\"{route}\""), format!("status=\"{status}\"")];
            answered(&metrics, &labels.each_ref().map(String::as_str)) == 0
        })
        .collect();
    assert!(missing.len() <= 3, "never seen: {missing:?}\n{metrics}");
    // The broker and its robot are as well as before, and nobody else's is touched.
    world.beat(&session).await.ok();
    assert_eq!(world.status(&alice, &session).await["robot_id"], "fuzzed");
    let bobs = world.operator(&bob, "GET", "/sessions", Value::Null).await.ok();
    assert_eq!(bobs.as_array().unwrap().len(), 1, "{bobs}");
}
