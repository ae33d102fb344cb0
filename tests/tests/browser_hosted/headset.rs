//! Driving with a headset, an emulated one or none.

use std::time::{Duration, Instant};

use anyhow::Result;
use glam::{DQuat, DVec3};
use waldo_protocol::vr::Hand;
use waldo_server::config::HostedKind;
use waldo_tests::browser::PATIENCE;
use waldo_tests::headset::{enter_vr, hold, place};

use crate::set::{Heard, MOVES, Set, key};

#[tokio::test(flavor = "multi_thread")]
async fn keys_jog_an_arm_and_a_hand_in_the_headset_moves_it_while_its_button_is_held() -> Result<()> {
    let set = Set::open(HostedKind::Arm).await?;
    let (tab, robot) = (&set.tab, &set.robot);
    set.connect().await?;
    key(tab, "KeyW", true).await?;
    robot.until("a jog", |heard| heard.jog > 0.1).await?;
    tab.screenshot("hosted-arm").await?;
    key(tab, "KeyW", false).await?;
    robot.until("the end of the jog", |heard| heard.jog == 0.0).await?;
    key(tab, "Space", true).await?;
    robot.until("a closed gripper", |heard| heard.gripper_closed == Some(true)).await?;
    key(tab, "Space", false).await?;

    enter_vr(tab).await?;
    let reach = |x: f64| place(tab, Hand::Right, DVec3::new(x, 1.1, -0.4), DQuat::IDENTITY);
    reach(0.2).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(robot.heard().deltas, 0, "nobody engages");
    hold(tab, Hand::Right, "a-button", 1).await?;
    robot.until("an engaged hand", |heard| heard.deltas > 0).await?;
    reach(0.3).await?;
    robot.until("a motion of ten centimetres", |heard| heard.furthest > 0.08).await?;
    tab.screenshot("hosted-vr-arm").await?;
    tab.until("document.body.dataset.engaged.includes('true')").await?;
    hold(tab, Hand::Right, "a-button", 0).await?;
    tab.until("!document.body.dataset.engaged.includes('true')").await?;
    let deltas = robot.heard().deltas;
    reach(0.2).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(robot.heard().deltas, deltas, "released");
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn thumbsticks_in_the_headset_drive_a_base_and_b_stops_it() -> Result<()> {
    let set = Set::open(HostedKind::Twist).await?;
    let (tab, robot) = (&set.tab, &set.robot);
    set.connect().await?;
    enter_vr(tab).await?;
    let fast = |heard: &Heard| heard.forward > 0.5 - MOVES;
    let give_up = Instant::now() + PATIENCE;
    // On a busy computer the picture may stand still for a second; then the stick must be let go first.
    while !fast(&robot.heard()) && Instant::now() < give_up {
        tab.run("headset.controllers.left.updateAxes('thumbstick', 0, 0)").await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        tab.run("headset.controllers.left.updateAxes('thumbstick', 0, -1)").await?;
        let pushed = Instant::now();
        while !fast(&robot.heard()) && pushed.elapsed() < Duration::from_secs(3) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    robot.until("half a metre a second", fast).await?;
    tab.screenshot("hosted-vr-drive").await?;
    tab.run("headset.controllers.left.updateAxes('thumbstick', 0, 0)").await?;
    robot.until("a stop after the stick", |heard| heard.forward == 0.0).await?;
    hold(tab, Hand::Right, "b-button", 1).await?;
    tab.until("document.body.dataset.stopped === 'true' && document.body.dataset.posture === 'Damp'").await?;
    hold(tab, Hand::Right, "b-button", 0).await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_preview_shows_the_cockpit_without_a_headset_and_its_buttons_work() -> Result<()> {
    let set = Set::open(HostedKind::Twist).await?;
    set.tab.run("location.hash = 'vrpreview'").await?;
    set.connect().await?;
    set.tab.until("document.querySelector('#vr-preview')").await?;
    set.tab.until("document.body.dataset.map === 'true'").await?;
    set.tab.screenshot("hosted-vr-preview").await?;
    // The stop is as high as the panel of the buttons, at its left end.
    let stop = "const canvas = document.querySelector('#vr-preview'), at = canvas.getBoundingClientRect();
        for (const part of [0.25, 0.275, 0.3, 0.325, 0.35])
          canvas.dispatchEvent(new MouseEvent('click', { clientX: at.left + at.width * part, clientY: at.top + at.height * 0.8, bubbles: true }))";
    set.tab.run(stop).await?;
    set.tab.until("document.body.dataset.stopped === 'true' && document.body.dataset.unheard === 'false'").await?;
    set.close().await
}
