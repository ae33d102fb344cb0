//! Whoever joins drives.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use glam::{DQuat, DVec3};
use serde_json::json;
use tempfile::TempDir;
use waldo_protocol::vr::Hand;
use waldo_tests::browser::Chromium;
use waldo_tests::headset::{enter_vr, hold, place, with_headset};
use waldo_tests::process::RobotProcess;
use waldo_tests::scripted::{Script, ScriptedRobot};

use super::picture::{blue, until_seen};
use super::stage::{Set, joined, look_down, press};

#[tokio::test(flavor = "multi_thread")]
async fn joining_drives_one_s_own_arms_with_the_emulated_controllers() -> Result<()> {
    let set = Set::open(1280, 800, "#field").await?;
    let tab = &set.tab;
    tab.until("document.querySelector('#join')").await?;
    tab.screenshot("field-landing").await?;
    press(tab, "#join").await?;
    let user = joined(tab).await?;
    let arm = format!("{user}_arm_1");
    tab.until("document.body.dataset.arms === '2'").await?;
    set.robot.until("arms of the page's user", |_| set.tip(&arm).is_some()).await?;
    until_seen(tab, "field-joined", |shot| shot.find(blue).0 > 60).await?;

    enter_vr(tab).await?;
    let reach = |at: DVec3| async move { place(tab, Hand::Right, at, DQuat::IDENTITY).await };
    // A controller's grip is some centimetres from where the emulator says the controller is.
    let near = |at: DVec3| set.tip(&arm).is_some_and(|tip| tip.distance(at) < 0.15);
    for at in [DVec3::new(0.2, 1.05, -0.5), DVec3::new(0.25, 1.3, -0.4)] {
        reach(at).await?;
        set.robot.until(&format!("the right arm at {at}"), |_| near(at)).await?;
    }
    tab.until("document.body.dataset.words === 'Your hands drive'").await?;
    look_down(tab).await?;
    until_seen(tab, "field-vr", |shot| shot.find(blue).0 > 500).await?;

    // Held A lets the arm hang loose: it follows no more.
    hold(tab, Hand::Right, "a-button", 1).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    reach(DVec3::new(0.2, 1.0, -0.55)).await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!near(DVec3::new(0.2, 1.0, -0.55)) || set.tip(&arm).is_some_and(|tip| tip.y > 1.1));
    hold(tab, Hand::Right, "a-button", 0).await?;
    set.robot.until("the right arm follows again", |_| near(DVec3::new(0.2, 1.0, -0.55))).await?;

    // Leaving VR lets go; leaving the field takes the arms along.
    tab.run("headset.activeSession.end()").await?;
    tab.until("document.body.dataset.presence === 'Out'").await?;
    press(tab, "#leave").await?;
    set.robot.until("the arms gone", |_| set.tip(&arm).is_none()).await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_the_page_says_where_the_field_is() -> Result<()> {
    let set = Set::open(1280, 800, "?ws_port=9#field").await?;
    let requests = set.tab.requests().await?;
    press(&set.tab, "#join").await?;
    set.robot
        .until("a socket to that port", |_| requests.so_far().iter().any(|url| url.starts_with("wss://localhost:9/")))
        .await?;
    set.tab.screenshot("field-connecting").await?;
    set.tab.run("location.search = '?ws_port=none'").await?;
    set.tab.until("document.body.innerText.includes('the parameter ws_port must be a number')").await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_the_server_the_same_user_drives_again_in_the_same_presentation() -> Result<()> {
    let data = TempDir::new()?;
    let program = Path::new(env!("CARGO_BIN_EXE_robot"));
    let mut robot = RobotProcess::start(program, data.path(), 0)?;
    let chromium = Chromium::launch(1280, 800).await?;
    let tab = chromium.tab().await?;
    with_headset(&tab).await?;
    tab.open(robot.addr.port(), "#field").await?;
    press(&tab, "#join").await?;
    let user = joined(&tab).await?;
    enter_vr(&tab).await?;
    let sent = |at_least: u32| format!("Number(document.body.dataset.inputs) >= {at_least}");
    tab.until(&sent(5)).await?;

    robot.kill()?;
    tab.until("document.body.dataset.words === 'Connection lost'").await?;
    tab.screenshot("field-lost").await?;
    let robot = RobotProcess::start(program, data.path(), robot.addr.port())?;
    assert_eq!(joined(&tab).await?, user);
    let so_far: String = tab.eval("document.body.dataset.inputs").await?;
    tab.until(&sent(so_far.parse::<u32>()? + 5)).await?;
    tab.until("document.body.dataset.words === 'Your hands drive'").await?;
    chromium.close().await?;
    robot.stop()
}

/// Where the left hand is that the page of a user of this character sends, while the emulated controller is there.
async fn sent_hand(mode: &str, at: DVec3) -> Result<DVec3> {
    let field = ScriptedRobot::start(Script::default()).await?;
    let address = format!("?ws=wss://localhost:{}/x&mode={mode}#field", field.addr.port());
    let set = Set::open(1280, 800, &address).await?;
    let tab = &set.tab;
    press(tab, "#join").await?;
    field.until("a hello", |field| !field.messages("hello").is_empty()).await?;
    let arms = json!(["user_1_arm_0", "user_1_arm_1"]);
    let ack = json!({
        "protocol": 1, "server_time": 0.0, "role": "vr_client", "character_mode": mode, "user_id": "user_1",
        "arm_ids": arms, "controlled_arm_ids": arms,
    });
    field.say(&json!({"version": 1, "type": "hello_ack", "payload": ack}));
    joined(tab).await?;
    enter_vr(tab).await?;
    place(tab, Hand::Left, at, DQuat::IDENTITY).await?;
    let hand = |field: &ScriptedRobot| -> Option<DVec3> {
        let inputs = field.messages("xr_input");
        let place = &inputs.last()?["payload"]["controllers"]["left"]["pose"]["translation"];
        Some(DVec3::new(place[0].as_f64()?, place[1].as_f64()?, place[2].as_f64()?))
    };
    field.until("the hand is there", |field| hand(field).is_some_and(|hand| hand.distance(at) < 0.15)).await?;
    let sent = hand(&field).context("samples")?;
    set.close().await?;
    Ok(sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walking_octopus_gets_where_controllers_point_and_others_where_they_are_held() -> Result<()> {
    // The emulator's controllers are where their rays begin; they are held some centimetres from there.
    let at = DVec3::new(-0.3, 1.25, -0.6);
    let (ray, grip) = (sent_hand("octo-waypoint", at).await?, sent_hand("two-cr", at).await?);
    assert!(ray.distance(at) < 1e-3, "{ray} is not {at}");
    assert!(grip.distance(at) > 5e-3, "{grip} is where the ray begins");
    Ok(())
}
