//! Hosted teleoperation as the world is: the robot, the broker and the operator's page in namespaces of their own, with the
//! delay, jitter and loss of a route, with brokers that are killed, and behind firewalls. Limits are ten times what is
//! expected.

mod relays;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use waldo_tests::bench::percentile;
use waldo_tests::network::permitted;
use waldo_tests::world::{Engine, Leg, Route, World};

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_broker"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_in_shanghai_drives_sees_comes_back_after_a_cut_and_stops_the_robot() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    let route = Route::Shanghai;
    let world = World::open(route, Engine::Embedded, program()).await?;
    let recovery = world.cut(Leg::Operator, Duration::from_secs(2)).await?;
    assert!(recovery.stands < 10_000.0, "{recovery:?}");
    assert!(recovery.sees < 30_000.0 && recovery.drives < 30_000.0, "{recovery:?}");
    for leg in [Leg::Operator, Leg::Robot] {
        world.cut_held(leg, Duration::from_secs(4)).await?;
    }

    world.drive().await?;
    world.operator.begin().await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let stop = world.operator.stop().await?;
    let stood =
        world.robot.heard().stands_after(stop.pressed).context("it stands before it says that it has stopped")?;
    assert!(stood <= stop.acked, "acknowledged {} ms before it stood", stood - stop.acked);
    assert!(stop.acked - stop.pressed < 3000.0, "acknowledged after {} ms", stop.acked - stop.pressed);

    let ride = world.operator.end().await?;
    let trip = percentile(&ride.trips, 0.5);
    assert!(trip >= 0.8 * route.rtt_ms(), "{trip} ms: nothing is faster than its way");
    assert!(trip < 10.0 * route.rtt_ms(), "{trip} ms");
    let latencies: Vec<f64> = ride.pictures.iter().map(|picture| picture.at - picture.taken).collect();
    let latency = percentile(&latencies, 0.5);
    assert!((0.4 * route.rtt_ms()..3000.0).contains(&latency), "{latency} ms from the camera to the screen");
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drive_goes_on_while_a_killed_broker_whose_sfu_is_elsewhere_is_away() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    let mut world = World::open(Route::City, Engine::Process, program()).await?;
    world.operator.begin().await?;
    // A robot that hears of neither broker nor operator gives the operator up after five seconds, and would stand as long.
    let drive = world.broker_away(Duration::from_secs(10)).await?;
    assert!(drive.without_motion < 5000.0 && drive.without_picture < 5000.0, "{drive:?}");
    assert!(drive.reconnects < 50_000.0, "{drive:?}");
    world.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_broker_was_killed_with_its_sfu_the_page_comes_back_by_itself_and_wants_a_fresh_press() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    let mut world = World::open(Route::City, Engine::Embedded, program()).await?;
    let outage = world.all_away(Duration::from_secs(1)).await?;
    assert!(outage.stands < 10_000.0 && outage.live < 50_000.0 && outage.drives < 10_000.0, "{outage:?}");
    world.close().await
}
