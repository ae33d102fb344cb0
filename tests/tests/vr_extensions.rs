//! What clients get that agreed on it in `hello`, over real sockets, on a whole robot.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};
use tokio::time::sleep;
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

/// What a client has heard by the time all that it sent before is done.
async fn heard(client: &mut Client) -> Result<Vec<Value>> {
    client.send(json!({"type": "ping", "n": -1, "t": 0}).to_string()).await?;
    let mut heard = Vec::new();
    loop {
        let message = client.receive().await?;
        if message["type"] == "pong" && message["n"] == -1 {
            return Ok(heard);
        }
        heard.push(message);
    }
}

/// How often it was told something of this kind.
fn count(heard: &[Value], kind: &str) -> usize {
    heard.iter().filter(|message| message["type"] == kind).count()
}

async fn engage(client: &mut Client, operator: &mut Operator) -> Result<()> {
    client.send_frame(operator.squeeze(false).capture()).await?;
    client.send_frame(operator.squeeze(true).capture()).await?;
    while client.receive_type("tracking").await?["value"] != true {}
    Ok(())
}

async fn ask(client: &mut Client, op: &str, n: i64) -> Result<()> {
    client.send(json!({"type": "lease", "op": op, "n": n}).to_string()).await
}

/// The first word about the lease that fits.
async fn lease(client: &mut Client, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    loop {
        let message = client.receive_type("lease").await?;
        if fits(&message) {
            return Ok(message);
        }
    }
}

/// The answer to the client's own request `n`.
async fn answer(client: &mut Client, n: i64) -> Result<Value> {
    lease(client, |message| message["n"] == n).await
}

/// The first word to everybody about the lease that fits.
async fn notice(client: &mut Client, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    Ok(lease(client, |message| fits(&message["value"])).await?["value"].clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_is_asked_and_may_deny_or_grant() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut driver = hello(&robot, "first", "driver", &ALL).await?;
    let mut other = hello(&robot, "second", "driver", &ALL).await?;
    let mut bystander = hello(&robot, "third", "driver", &ALL).await?;
    let mut operator = Operator::default();
    engage(&mut driver, &mut operator).await?;
    notice(&mut other, |v| v["driver"] == "first").await?;

    ask(&mut other, "take", 1).await?;
    let pending = answer(&mut other, 1).await?;
    assert_eq!(
        (&pending["ok"], &pending["state"], &pending["driver"]),
        (&json!(false), &json!("pending"), &json!("first"))
    );
    let asked = notice(&mut driver, |v| v["requested_by"] == "second").await?;
    let left = asked["deadline_ms"].as_f64().expect("a deadline");
    assert!((0.0..=10_000.0).contains(&left), "{left}");
    ask(&mut driver, "deny", 1).await?;
    let denied = answer(&mut other, 1).await?;
    let others = heard(&mut bystander).await?;
    assert!(others.iter().all(|message| message.get("n").is_none()), "answers are for who asked: {others:?}");
    assert_eq!((&denied["ok"], &denied["reason"]), (&json!(false), &json!("denied")));

    ask(&mut other, "take", 2).await?;
    notice(&mut driver, |v| v["requested_by"] == "second").await?;
    driver.send_frame(operator.capture()).await?;
    ask(&mut driver, "grant", 2).await?;
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
    ask(&mut other, "claim", 1).await?;
    assert_eq!(answer(&mut other, 1).await?["reason"], "held");
    ask(&mut other, "take", 2).await?;
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
    ask(&mut viewer, "take", 1).await?;
    assert_eq!(answer(&mut viewer, 1).await?["ok"], false);

    viewer.send(json!({"type": "stop", "n": 1}).to_string()).await?;
    assert_eq!(driver.receive_type("tracking").await?["value"], false);
    while driver.receive_type("hold").await?["value"]["reason"] != "stopped" {}
    other.send(json!({"type": "stop", "n": 2, "clear": true}).to_string()).await?;
    heard(&mut other).await?;
    driver.send_frame(operator.squeeze(false).capture()).await?;
    driver.send_frame(operator.squeeze(true).capture()).await?;
    heard(&mut driver).await?;
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
    let mut beside = hello(&robot, "second", "driver", &ALL).await?;
    let mut pinging = hello(&robot, "third", "driver", &["ping"]).await?;
    heard(&mut beside).await?;
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
    assert_eq!(beside.receive_type("motion").await?["value"], json!({"pos": 0.5, "rot": 2.0}), "to all");
    let others = heard(&mut beside).await?;
    assert_eq!((count(&others, "pong"), count(&others, "haptic")), (0, 0), "{others:?}");
    let others = heard(&mut pinging).await?;
    assert!(others.iter().all(|message| message["type"] == "tracking"), "{others:?}");

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

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_words_is_cut_and_a_stop_in_it_is_heard() -> Result<()> {
    const SENT: usize = 1_000;
    let robot = Robotics::simulated().await?;
    let mut noisy = hello(&robot, "noisy", "viewer", &["ping", "stop"]).await?;
    let mut beside = hello(&robot, "beside", "driver", &ALL).await?;
    let begin = Instant::now();
    for clear in [false, true] {
        for n in 0..SENT {
            noisy.send(json!({"type": "ping", "n": n, "t": 0}).to_string()).await?;
        }
        noisy.send(json!({"type": "stop", "n": i32::from(clear), "clear": clear}).to_string()).await?;
        while beside.receive_type("hold").await?["value"].is_null() != clear {}
    }
    let most = 60 + (30.0 * begin.elapsed().as_secs_f64()).ceil() as usize;
    // Enough for one more word to pass.
    sleep(Duration::from_millis(200)).await;
    let answered = count(&heard(&mut noisy).await?, "pong");
    assert!((50..=most).contains(&answered), "{answered} of {SENT} twice, and {most} may pass");
    Ok(())
}
