//! A whole robot, driven and annoyed over real sockets.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use glam::DVec3;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite;
use waldo_tests::client::{Client, FRAME, Operator, PATIENCE, connect_tls};
use waldo_tests::robot::Robotics;

async fn engage(client: &mut Client, operator: &mut Operator) -> Result<()> {
    client.send_frame(operator.squeeze(false).capture()).await?;
    client.send_frame(operator.squeeze(true).capture()).await?;
    assert_eq!(client.receive_type("tracking").await?["value"], true);
    Ok(())
}

/// Moves the controllers 5 cm along their rays, and waits until both grippers have moved along their approach direction
/// by as much.
async fn push_5_cm(robot: &Robotics, client: &mut Client, operator: &mut Operator) -> Result<()> {
    let start = robot.grippers();
    for _ in 0..10 {
        client.send_frame(operator.move_by(DVec3::new(0.0, 0.0, -0.005)).capture()).await?;
        sleep(FRAME).await;
    }
    let arrived = |now: [DVec3; 2]| (0..2).all(|i| (now[i].distance(start[i]) - 0.05).abs() < 2e-3);
    let begin = Instant::now();
    while !arrived(robot.grippers()) {
        assert!(begin.elapsed() < PATIENCE, "the grippers are not 5 cm from the start: {:?}", robot.grippers());
        client.send_frame(operator.capture()).await?;
        sleep(FRAME).await;
    }
    Ok(())
}

/// Skips the greeting, which tells that nobody is engaged.
async fn greeted(robot: &Robotics) -> Result<Client> {
    let mut client = robot.client().await?;
    assert_eq!(client.receive_type("tracking").await?["value"], false);
    Ok(client)
}

#[tokio::test(flavor = "multi_thread")]
async fn squeezed_grips_drive_the_arms_and_released_ones_hold_them() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut client = greeted(&robot).await?;
    let mut operator = Operator::default();
    let start = robot.grippers();

    for _ in 0..10 {
        client.send_frame(operator.move_by(DVec3::new(0.0, 0.005, 0.0)).capture()).await?;
        sleep(FRAME).await;
    }
    for _ in 0..20 {
        client.send_frame(operator.capture()).await?;
        sleep(FRAME).await;
    }
    engage(&mut client, &mut operator).await?;
    assert!(robot.grippers()[0].distance(start[0]) < 1e-6, "nothing moves before and at engaging");

    push_5_cm(&robot, &mut client, &mut operator).await?;

    operator.frame.left.lock = false;
    operator.frame.right.lock = false;
    client.send_frame(operator.capture()).await?;
    operator.frame.left.lock = true;
    client.send_frame(operator.capture()).await?;
    assert_eq!(client.receive_type("tracking").await?["value"], false);
    robot.waldo.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_and_a_closed_socket_hold() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut watcher = greeted(&robot).await?;

    let mut client = greeted(&robot).await?;
    let mut operator = Operator::default();
    engage(&mut client, &mut operator).await?;
    assert_eq!(watcher.receive_type("tracking").await?["value"], true);
    // No more frames: the watchdog speaks.
    assert_eq!(client.receive_type("tracking").await?["value"], false);
    assert_eq!(watcher.receive_type("tracking").await?["value"], false);

    engage(&mut client, &mut operator).await?;
    assert_eq!(watcher.receive_type("tracking").await?["value"], true);
    drop(client);
    assert_eq!(watcher.receive_type("tracking").await?["value"], false);
    robot.waldo.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_client_does_not_drive() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let (mut first, mut second) = (greeted(&robot).await?, greeted(&robot).await?);
    let (mut driver, mut other) = (Operator::default(), Operator::default());
    other.frame.seq = None;
    engage(&mut first, &mut driver).await?;
    let held = robot.grippers();

    let hello =
        json!({"type": "hello", "v": 1, "client": "test/1", "stream": "other", "role": "driver", "caps": ["hold"]});
    second.send(hello.to_string()).await?;
    second.send_frame(other.squeeze(false).capture()).await?;
    second.send_frame(other.squeeze(true).capture()).await?;
    for _ in 0..20 {
        second.send_frame(other.move_by(DVec3::new(0.01, 0.0, 0.0)).capture()).await?;
        first.send_frame(driver.capture()).await?;
    }
    let hold = second.receive_type("hold").await?;
    assert_eq!(hold["value"]["reason"], "not_driver");
    assert!(robot.grippers()[0].distance(held[0]) < 1e-6);
    assert_eq!(robot.waldo.server().frame().map(|f| f.seq), Some(driver.frame.seq), "frame() is the driver's");
    robot.waldo.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_brings_the_arms_to_rest_and_disengages() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut client = greeted(&robot).await?;
    let mut operator = Operator::default();
    let rest = robot.grippers();
    engage(&mut client, &mut operator).await?;
    push_5_cm(&robot, &mut client, &mut operator).await?;
    operator.frame.reset = true;
    client.send_frame(operator.capture()).await?;
    assert_eq!(client.receive_type("tracking").await?["value"], false);
    robot.until("the grippers at rest", |r| r.grippers()[0].distance(rest[0]) < 1e-3).await?;
    robot.waldo.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_counted_and_disturbs_nobody() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut good = greeted(&robot).await?;
    let mut bad = greeted(&robot).await?;
    let mut operator = Operator::default();

    let mut valid = String::new();
    Operator::default().capture().encode(&mut valid);
    let nonsense = [
        "hello".to_owned(),
        String::new(),
        "\u{feff}{}".to_owned(),
        "[1,2]".to_owned(),
        "{}".to_owned(),
        valid.replacen("\"l_lock\":false", "\"l_lock\":\"maybe\"", 1),
        valid.replacen("-0.2", "1e999", 1),
        valid.replacen("-0.2", "NaN", 1),
        valid.replacen("-0.2", "\"nan\"", 1),
        valid.replacen("-0.2", "5000", 1),
        "[".repeat(100_000),
    ];
    for text in nonsense {
        assert_ne!(text, valid, "the example must differ from a valid frame");
        bad.send(text).await?;
    }
    bad.send_binary(vec![0xff; 1000]).await?;
    assert_eq!(bad.receive_all().await?, Vec::<serde_json::Value>::new(), "no replies, and the socket lives");
    good.send_frame(operator.capture()).await?;

    let metrics = get(&robot, "/metrics").await?;
    for kind in ["not_json", "not_an_object", "missing_field", "wrong_type", "not_finite", "out_of_range", "binary"] {
        let counted = metrics.lines().any(|l| l.contains(&format!("kind=\"{kind}\"")) && !l.ends_with(" 0"));
        assert!(counted, "{kind} is missing in:\n{metrics}");
    }

    let close = bad.closed_while_sending("x".repeat(17 << 20)).await?;
    assert_eq!(close.map(|f| u16::from(f.code)), Some(1009));
    good.send_frame(operator.capture()).await?;
    assert_eq!(good.receive_all().await?, Vec::<serde_json::Value>::new(), "the other client noticed nothing");
    let accepted = robot.waldo.server().frame().map(|frame| frame.seq);
    assert_eq!(accepted, Some(operator.frame.seq), "and its frames are taken");
    robot.waldo.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_too_many_is_told_so_and_disturbs_nobody() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut driver = greeted(&robot).await?;
    let mut operator = Operator::default();
    engage(&mut driver, &mut operator).await?;
    let mut others = Vec::new();
    for _ in 1..64 {
        others.push(robot.client().await?);
        // A robot that hears nothing from its driver would disengage.
        driver.send_frame(operator.capture()).await?;
    }
    for refused in 1..=2 {
        let error = robot.client().await.err().context("there is no place left")?;
        let Some(tungstenite::Error::Http(answer)) = error.downcast_ref() else { bail!("another error: {error:#}") };
        let body = String::from_utf8_lossy(answer.body().as_deref().unwrap_or_default()).into_owned();
        assert_eq!(answer.status(), 503);
        assert!(body.contains("64 clients") && body.contains("close a page"), "{body}");
        let counted = format!("waldo_http_refusals_total{{reason=\"clients\"}} {refused}");
        let metrics = get(&robot, "/metrics").await?;
        assert!(metrics.contains(&counted), "{metrics}");
    }
    push_5_cm(&robot, &mut driver, &mut operator).await?;
    assert!(robot.waldo.server().tracking());
    assert_eq!(driver.receive_all().await?, Vec::<serde_json::Value>::new(), "the driver noticed nothing");

    others.pop();
    let begin = Instant::now();
    while robot.client().await.is_err() {
        assert!(begin.elapsed() < PATIENCE, "the place of a client that left is free again");
        sleep(FRAME).await;
    }
    robot.waldo.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_closes_sockets_and_frees_the_port() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut client = greeted(&robot).await?;
    let addr = robot.addr;
    robot.waldo.stop().await;
    assert_eq!(client.closed().await?.map(|f| u16::from(f.code)), Some(1001));
    std::net::TcpListener::bind(addr)?;
    Ok(())
}

/// The body of a GET request.
async fn get(robot: &Robotics, path: &str) -> Result<String> {
    let mut stream = connect_tls(robot.addr, &robot.tls).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut body = String::new();
    stream.read_to_string(&mut body).await?;
    Ok(body)
}
