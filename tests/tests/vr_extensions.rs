//! What clients get that agreed on it in `hello`, over real sockets, on a whole robot.

use anyhow::Result;
use serde_json::{Value, json};
use waldo_tests::client::{Client, Operator};
use waldo_tests::robot::Robotics;

const ALL: [&str; 8] = ["snapshot", "lease", "hold", "haptic", "ping", "health", "motion", "stop"];

async fn hello(robot: &Robotics, stream: &str, role: &str, caps: &[&str]) -> Result<Client> {
    let mut client = robot.client().await?;
    let hello = json!({"type": "hello", "v": 1, "client": "test/1", "stream": stream, "role": role, "caps": caps});
    client.send(hello.to_string()).await?;
    let mut agreed: Vec<Value> = client.receive_type("hello").await?["caps"].as_array().expect("a list").clone();
    let mut wanted: Vec<Value> = caps.iter().map(|c| json!(c)).collect();
    for list in [&mut agreed, &mut wanted] {
        list.sort_by_key(ToString::to_string);
    }
    assert_eq!(agreed, wanted);
    Ok(client)
}

async fn engage(client: &mut Client, operator: &mut Operator) -> Result<()> {
    client.send_frame(operator.squeeze(false).capture()).await?;
    client.send_frame(operator.squeeze(true).capture()).await?;
    while client.receive_type("tracking").await?["value"] != true {}
    Ok(())
}

/// The answer to the client's own request `n`.
async fn answer(client: &mut Client, n: i64) -> Result<Value> {
    loop {
        let message = client.receive_type("lease").await?;
        if message["n"] == n {
            return Ok(message);
        }
    }
}

/// The first word to everybody about the lease that fits.
async fn notice(client: &mut Client, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    loop {
        let message = client.receive_type("lease").await?;
        if fits(&message["value"]) {
            return Ok(message["value"].clone());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_is_asked_and_may_deny_or_grant() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut driver = hello(&robot, "first", "driver", &ALL).await?;
    let mut other = hello(&robot, "second", "driver", &ALL).await?;
    let mut operator = Operator::default();
    engage(&mut driver, &mut operator).await?;
    notice(&mut other, |v| v["driver"] == "first").await?;

    other.send(json!({"type": "lease", "op": "take", "n": 1}).to_string()).await?;
    let pending = answer(&mut other, 1).await?;
    assert_eq!(
        (&pending["ok"], &pending["state"], &pending["driver"]),
        (&json!(false), &json!("pending"), &json!("first"))
    );
    let asked = notice(&mut driver, |v| v["requested_by"] == "second").await?;
    let left = asked["deadline_ms"].as_f64().expect("a deadline");
    assert!((0.0..=10_000.0).contains(&left), "{left}");
    driver.send(json!({"type": "lease", "op": "deny", "n": 1}).to_string()).await?;
    let denied = answer(&mut other, 1).await?;
    assert_eq!((&denied["ok"], &denied["reason"]), (&json!(false), &json!("denied")));

    other.send(json!({"type": "lease", "op": "take", "n": 2}).to_string()).await?;
    notice(&mut driver, |v| v["requested_by"] == "second").await?;
    driver.send_frame(operator.capture()).await?;
    driver.send(json!({"type": "lease", "op": "grant", "n": 2}).to_string()).await?;
    assert_eq!(driver.receive_type("tracking").await?["value"], false, "the arms hold before the role changes");
    while answer(&mut other, 2).await?["ok"] != true {}
    engage(&mut other, &mut Operator::default()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_has_the_lease_as_soon_as_the_drivers_link_is_lost() -> Result<()> {
    let robot = Robotics::simulated().await?;
    // A client of the first generation: it is asked nothing.
    let mut driver = robot.client().await?;
    engage(&mut driver, &mut Operator::default()).await?;
    let mut other = hello(&robot, "second", "driver", &["lease"]).await?;
    other.send(json!({"type": "lease", "op": "claim", "n": 1}).to_string()).await?;
    assert_eq!(answer(&mut other, 1).await?["reason"], "held");
    other.send(json!({"type": "lease", "op": "take", "n": 2}).to_string()).await?;
    assert_eq!(answer(&mut other, 2).await?["state"], "pending");
    drop(driver);
    let granted = answer(&mut other, 2).await?;
    assert_eq!((&granted["ok"], &granted["reason"]), (&json!(true), &json!("link")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_may_stop_the_robot_and_clear_a_stop_but_not_drive_and_other_headsets_may_not_clear() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut driver = hello(&robot, "first", "driver", &ALL).await?;
    let mut viewer = hello(&robot, "dashboard", "viewer", &ALL).await?;
    let mut other = hello(&robot, "second", "driver", &ALL).await?;
    let mut operator = Operator::default();
    engage(&mut driver, &mut operator).await?;
    viewer.send(json!({"type": "lease", "op": "take", "n": 1}).to_string()).await?;
    assert_eq!(answer(&mut viewer, 1).await?["ok"], false);

    viewer.send(json!({"type": "stop", "n": 1}).to_string()).await?;
    assert_eq!(driver.receive_type("tracking").await?["value"], false);
    while driver.receive_type("hold").await?["value"]["reason"] != "stopped" {}
    other.send(json!({"type": "stop", "n": 2, "clear": true}).to_string()).await?;
    other.send(json!({"type": "ping", "n": 1, "t": 0}).to_string()).await?;
    other.receive_type("pong").await?;
    driver.send_frame(operator.squeeze(false).capture()).await?;
    driver.send_frame(operator.squeeze(true).capture()).await?;
    driver.send(json!({"type": "ping", "n": 1, "t": 0}).to_string()).await?;
    driver.receive_type("pong").await?;
    assert!(!robot.waldo.server().tracking());

    viewer.send(json!({"type": "stop", "n": 2, "clear": true}).to_string()).await?;
    while driver.receive_type("hold").await?["value"]["reason"] == "stopped" {}
    engage(&mut driver, &mut operator).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_health_haptics_and_the_scale_of_motion_are_told_to_those_who_asked() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut client = hello(&robot, "first", "driver", &ALL).await?;
    client.send(json!({"type": "ping", "n": 4, "t": 1234.5}).to_string()).await?;
    let pong = client.receive_type("pong").await?;
    assert_eq!((&pong["n"], &pong["t"]), (&json!(4), &json!(1234.5)));
    assert!(pong["rx"].as_f64() <= pong["tx"].as_f64() && pong["rx"].is_f64());

    client.send(json!({"type": "motion", "value": {"pos": 0.5, "rot": 9}}).to_string()).await?;
    assert_eq!(client.receive_type("motion").await?["value"], json!({"pos": 0.5, "rot": 2.0}));

    let mut operator = Operator::default();
    engage(&mut client, &mut operator).await?;
    assert_eq!(client.receive_type("haptic").await?["pattern"], "engage");
    client.send(json!({"type": "motion", "value": {"pos": 2, "rot": 1}}).to_string()).await?;
    assert_eq!(client.receive_type("motion").await?["value"], json!({"pos": 0.5, "rot": 2.0}), "not while engaged");

    operator.frame.seq = operator.frame.seq.map(|seq| seq + 3);
    client.send_frame(operator.capture()).await?;
    loop {
        client.send_frame(operator.capture()).await?;
        let health = client.receive_type("health").await?["value"].clone();
        if health["pose_hz"].as_f64() > Some(0.0) && health["ik_hz"].as_f64() > Some(0.0) {
            assert_eq!(health["lost"], 3);
            assert!(health["pose_age_ms"].is_f64() && health["gap_ms"].is_f64());
            return Ok(());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_agreed_on_nothing_are_told_nothing_of_it() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut plain = robot.client().await?;
    let mut other = hello(&robot, "second", "driver", &ALL).await?;
    for message in [
        json!({"type": "stop", "n": 1}),
        json!({"type": "lease", "op": "claim", "n": 1}),
        json!({"type": "motion", "value": {"pos": 0.5, "rot": 0.5}}),
        json!({"type": "ping", "n": 1, "t": 0}),
    ] {
        plain.send(message.to_string()).await?;
    }
    other.send(json!({"type": "stop", "n": 1}).to_string()).await?;
    while other.receive_type("hold").await?["value"]["reason"] != "stopped" {}
    let heard: Vec<Value> = plain.receive_all().await?;
    assert_eq!(heard, [json!({"type": "tracking", "value": false})]);
    Ok(())
}
