//! The sticks of a client that knows none of the extensions drive the robot's base, over a real socket.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::time::sleep;
use waldo_protocol::time::MonoTime;
use waldo_server::sensors::BaseReading;
use waldo_tests::client::{FRAME, Operator};
use waldo_tests::robot::Robotics;

/// Where the base is, and when that was measured.
fn base(robot: &Robotics) -> Result<(MonoTime, BaseReading)> {
    let reading = robot.waldo.hub().proprio().context("joints are read from the start on")?;
    Ok((reading.measured, reading.base.context("the simulated robot drives")?))
}

fn way(from: &BaseReading, to: &BaseReading) -> f64 {
    (to.pose.position() - from.pose.position()).length()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pushed_stick_drives_the_base_until_the_frames_end() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut client = robot.client().await?;
    let mut operator = Operator::default();
    let (_, start) = base(&robot)?;
    let overhead = robot.waldo.hub().camera("overhead_left").context("the camera")?;
    let mut watch = overhead.watch();
    let before = watch.next_timeout(Duration::from_secs(20)).ok().context("a picture")?;

    client.send_frame(operator.capture()).await?;
    // Back from the table, and the lift up.
    operator.frame.l_stick_y = 1.0;
    operator.frame.right.stick_click = true;
    let pushed = Instant::now();
    while way(&start, &base(&robot)?.1) < 0.1 {
        assert!(pushed.elapsed() < Duration::from_secs(20), "it does not drive: {:?}", base(&robot)?);
        client.send_frame(operator.capture()).await?;
        sleep(FRAME).await;
    }
    assert!(!robot.waldo.server().tracking(), "nobody engaged");

    // Silence, with the stick still pushed in the last frame.
    let (mut measured, mut last) = base(&robot)?;
    let (silent, going) = (measured, last);
    let mut moved = measured;
    while measured.since(moved) < Duration::from_millis(600) {
        assert!(measured.since(silent) < Duration::from_secs(20), "it does not stop");
        sleep(Duration::from_millis(1)).await;
        let (now, here) = base(&robot)?;
        if here != last {
            moved = now;
        }
        (measured, last) = (now, here);
    }
    let to = last.pose.position();
    // 0.3 s at what it can have reached by then, and no more.
    assert!(way(&going, &last) < 0.3, "{going:?} {last:?}");
    assert!(to.x < -0.1 && to.y.abs() < 1e-9 && to.z == 0.0, "straight back: {to}");
    assert!(last.lift > start.lift, "{last:?}");

    let after = watch.next_timeout(Duration::from_secs(20)).ok().context("a picture")?;
    let (then, now) = (before.extrinsics.context("a pose")?, after.extrinsics.context("a pose")?);
    assert!((now.position().x - then.position().x - to.x).abs() < 1e-9, "the camera came along: {then:?} {now:?}");
    assert_ne!(before.image, after.image);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_from_anybody_stops_the_base_while_frames_go_on() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let mut driver = robot.client().await?;
    let mut viewer = robot.client().await?;
    let hello = r#"{"type":"hello","v":1,"client":"test/1","stream":"viewer","role":"viewer","caps":["stop","hold"]}"#;
    viewer.send(hello).await?;
    viewer.receive_type("hello").await?;
    let mut operator = Operator::default();
    driver.send_frame(operator.capture()).await?;
    operator.frame.l_stick_y = 1.0;
    let (_, start) = base(&robot)?;
    while way(&start, &base(&robot)?.1) < 0.02 {
        driver.send_frame(operator.capture()).await?;
        sleep(FRAME).await;
    }
    viewer.send(r#"{"type":"stop","n":1}"#).await?;
    while viewer.receive_type("hold").await?["value"]["reason"] != "stopped" {}
    // The command of the tick after that has been applied.
    let ticks = robot.waldo.control().status().ticks;
    robot.until("two more ticks", |robot| robot.waldo.control().status().ticks > ticks + 1).await?;
    let (_, stopped) = base(&robot)?;
    for _ in 0..30 {
        driver.send_frame(operator.capture()).await?;
        sleep(FRAME).await;
    }
    assert_eq!(base(&robot)?.1, stopped);
    Ok(())
}
