//! Whoever watches sees the others.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use chromiumoxide::cdp::browser_protocol::emulation::SetDeviceMetricsOverrideParams;
use glam::{DQuat, DVec3};
use waldo_protocol::field::LEFT;
use waldo_protocol::vr::Hand;
use waldo_tests::browser::{Chromium, PATIENCE};
use waldo_tests::headset::{enter_vr, place, with_headset};

use super::picture::{Shot, blue, until_seen};
use super::stage::{Set, Stranger, joined, look_down, press};

#[tokio::test(flavor = "multi_thread")]
async fn a_spectator_sees_who_drives_and_where_the_arms_go() -> Result<()> {
    let set = Set::open(1280, 800, "#field").await?;
    let tab = &set.tab;
    let amy = Stranger::join(&set, "amy", "two-cr").await?;
    press(tab, "#spectate").await?;
    joined(tab).await?;
    tab.until("document.body.dataset.followed === 'amy' && document.body.dataset.people === '1'").await?;
    amy.reach(&set, DVec3::new(-0.3, 0.8, -0.45), DVec3::new(0.3, 0.8, -0.45)).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    tab.screenshot("field-spectate").await?;

    // From now on the view stands still, and only the arm moves in it.
    tab.run("document.querySelector('#scene').focus()").await?;
    tab.run("for (const type of ['keydown', 'keyup']) document.querySelector('#scene').dispatchEvent(new KeyboardEvent(type, { code: 'KeyE', bubbles: true }))").await?;
    tab.until("document.querySelector('#follow')").await?;
    let low = until_seen(tab, "field-spectate-low", |shot| shot.find(blue).0 > 100).await?;
    amy.reach(&set, DVec3::new(-0.3, 1.35, -0.4), DVec3::new(0.3, 1.35, -0.4)).await?;
    let high = Shot::of(tab, "field-spectate-high").await?;
    let (from, to) = (low.find(blue).1, high.find(blue).1);
    assert!(to[1] < from[1] - 25.0, "the arm went up, the blue pixels from {from:?} to {to:?}");

    press(tab, "#follow").await?;
    enter_vr(tab).await?;
    look_down(tab).await?;
    until_seen(tab, "field-spectate-vr", |shot| shot.find(blue).0 > 100).await?;
    tab.run("headset.activeSession.end()").await?;
    drop(amy);
    tab.until("document.body.dataset.followed === ''").await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_arm_camera_looks_from_the_arm_that_is_chosen() -> Result<()> {
    let set = Set::open(1280, 800, "#field").await?;
    let tab = &set.tab;
    press(tab, "#arm-camera").await?;
    joined(tab).await?;
    let amy = Stranger::join(&set, "amy", "two-cr").await?;
    amy.reach(&set, DVec3::new(-0.3, 0.85, -0.5), DVec3::new(0.3, 1.3, -0.45)).await?;
    tab.until("document.body.dataset.seat === 'amy_arm_0'").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let left = Shot::of(tab, "field-arm-camera").await?;
    tab.run("const seat = document.querySelector('#seat'); seat.value = 'amy_arm_1'; seat.dispatchEvent(new Event('change'))")
        .await?;
    tab.until("document.body.dataset.seat === 'amy_arm_1'").await?;
    let start = Instant::now();
    loop {
        let share = Shot::of(tab, "field-arm-camera-right").await?.differs_from(&left);
        if share > 0.02 {
            break;
        }
        if start.elapsed() > PATIENCE {
            bail!("both arms see the same: {share}");
        }
    }
    drop(amy);
    tab.until("document.querySelector('#seat') === null").await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_readable_on_a_phone_and_with_an_octopus() -> Result<()> {
    let set = Set::open(1280, 800, "?mode=cathy-foraging#field").await?;
    let tab = &set.tab;
    press(tab, "#join").await?;
    joined(tab).await?;
    tab.until("document.body.dataset.arms === '8'").await?;
    let amy = Stranger::join(&set, "amy", "two-cr").await?;
    tab.until("document.body.dataset.people === '1'").await?;
    amy.reach(&set, DVec3::new(-0.3, 0.85, -0.5), DVec3::new(0.3, 1.3, -0.45)).await?;
    tab.screenshot("field-octopus").await?;
    let phone = SetDeviceMetricsOverrideParams::new(390, 844, 2.0, true);
    tab.page.execute(phone).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let fits: bool = tab.eval("document.documentElement.scrollWidth <= 390").await?;
    tab.screenshot("field-phone").await?;
    tab.run("document.querySelector('#scene').scrollIntoView()").await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    tab.screenshot("field-phone-scene").await?;
    assert!(fits, "nothing sticks out");
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_headsets_see_each_other_s_head_and_hands() -> Result<()> {
    let set = Set::open(1280, 800, "#field").await?;
    // The controllers of a walking octopus move no arms: what moves in the picture are head and hands.
    let other = Chromium::launch(800, 600).await?;
    let theirs = other.tab().await?;
    with_headset(&theirs).await?;
    theirs.open(set.robot.addr.port(), "?mode=octo-waypoint#field").await?;
    let mut users = Vec::new();
    for tab in [&set.tab, &theirs] {
        press(tab, "#join").await?;
        users.push(joined(tab).await?);
        enter_vr(tab).await?;
    }
    for tab in [&set.tab, &theirs] {
        tab.until("document.body.dataset.people === '1'").await?;
    }
    let stands = async |at: DVec3| -> Result<()> {
        theirs.run(&format!("headset.position.set({}, {}, {})", at.x, at.y, at.z)).await?;
        place(&theirs, Hand::Left, at + DVec3::new(-0.2, -0.15, 0.0), DQuat::IDENTITY).await?;
        place(&theirs, Hand::Right, at + DVec3::new(0.2, -0.15, 0.0), DQuat::IDENTITY).await?;
        let is_there = || {
            let scene = set.scene();
            let person = scene.people.get(&users[1])?;
            let near = |place: [f64; 3], wanted: DVec3| DVec3::from_array(place).distance(wanted) < 0.15;
            let hand = person.controllers.get(LEFT)?.pose.translation;
            (near(person.head_pose.translation, at) && near(hand, at + DVec3::new(-0.2, -0.15, 0.0))).then_some(())
        };
        set.robot.until(&format!("the other one at {at}"), |_| is_there().is_some()).await?;
        // Until that is drawn.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    };
    stands(DVec3::new(0.0, 1.55, -1.2)).await?;
    let near = Shot::of(&set.tab, "field-two-near").await?;
    stands(DVec3::new(0.0, 1.55, 3.0)).await?;
    let start = Instant::now();
    loop {
        let gone = Shot::of(&set.tab, "field-two-gone").await?.differs_from(&near);
        if gone > 0.003 {
            break;
        }
        if start.elapsed() > PATIENCE {
            bail!("head and hands are not to be seen: {gone}");
        }
    }
    // Who leaves VR shows no hands any more.
    theirs.run("headset.activeSession.end()").await?;
    set.tab.until("document.body.dataset.people === '0'").await?;
    theirs.until("document.body.dataset.people === '1'").await?;
    other.close().await?;
    set.close().await
}
