//! Driving from the desk, and from a phone.

use std::time::Duration;

use anyhow::Result;
use chromiumoxide::cdp::browser_protocol::emulation::SetDeviceMetricsOverrideParams;
use waldo_protocol::hosted::TwistUnits;
use waldo_server::config::HostedKind;

use crate::set::{MOVES, Set, key, live, press};

#[tokio::test(flavor = "multi_thread")]
async fn keys_drive_a_base_as_long_as_they_are_held_and_the_window_is_looked_at() -> Result<()> {
    let set = Set::open(HostedKind::Twist).await?;
    let (tab, robot) = (&set.tab, &set.robot);
    set.connect().await?;
    tab.screenshot("hosted-drive").await?;
    key(tab, "KeyW", true).await?;
    robot.until("half a metre a second", |heard| heard.forward > 0.5 - MOVES).await?;
    tab.screenshot("hosted-driving").await?;
    key(tab, "ShiftLeft", true).await?;
    robot.until("twice as fast", |heard| heard.forward > 1.0 - MOVES).await?;
    key(tab, "ShiftLeft", false).await?;
    key(tab, "KeyW", false).await?;
    robot.until("a stop after the keys", |heard| heard.forward == 0.0).await?;

    // Whoever looks elsewhere has let go, although no key was seen to be released.
    key(tab, "KeyW", true).await?;
    robot.until("motion", |heard| heard.forward > MOVES).await?;
    tab.run("window.dispatchEvent(new Event('blur'))").await?;
    robot.until("a stop after the window lost the keys", |heard| heard.forward == 0.0).await?;
    key(tab, "KeyW", false).await?;

    // A finger on the screen is a key too.
    tab.run("document.querySelector('[data-code=KeyW]').dispatchEvent(new PointerEvent('pointerdown', { bubbles: true, cancelable: true }))").await?;
    robot.until("motion by touch", |heard| heard.forward > MOVES).await?;
    tab.run(
        "document.querySelector('[data-code=KeyW]').dispatchEvent(new PointerEvent('pointerup', { bubbles: true }))",
    )
    .await?;
    robot.until("a stop after the touch", |heard| heard.forward == 0.0).await?;

    tab.until("/bit.s/.test(document.body.dataset.line)").await?;
    tab.until("document.body.dataset.map === 'true'").await?;
    tab.screenshot("hosted-map").await?;
    tab.run(
        "const map = document.querySelector('#map').getBoundingClientRect();
         const at = { clientX: map.left + map.width * 0.6, clientY: map.top + map.height * 0.4, bubbles: true };
         const canvas = document.querySelector('#map');
         canvas.setPointerCapture = () => {};
         canvas.dispatchEvent(new PointerEvent('pointerdown', at)); canvas.dispatchEvent(new PointerEvent('pointerup', at))",
    )
    .await?;
    robot.until("a goal", |heard| heard.goal.is_some()).await?;

    press(tab, "#leave").await?;
    tab.until("document.body.dataset.stage === 'Board' && document.querySelector('.connect:enabled').textContent === 'Connect'")
        .await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stop_acts_at_once_and_stays_until_it_is_re_armed() -> Result<()> {
    let set = Set::open(HostedKind::Twist).await?;
    let (tab, robot) = (&set.tab, &set.robot);
    set.connect().await?;
    key(tab, "KeyW", true).await?;
    robot.until("motion", |heard| heard.forward > MOVES).await?;
    press(tab, "#estop").await?;
    let stopped: String = tab.eval("document.body.dataset.stopped").await?;
    assert_eq!(stopped, "true", "nobody waits for the robot");
    tab.until("document.body.dataset.posture === 'Damp' && document.body.dataset.unheard === 'false'").await?;
    tab.screenshot("hosted-stopped").await?;
    key(tab, "KeyW", true).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    robot.heard.lock().expect("no panic").fastest = 0.0;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(robot.heard().fastest <= 0.0, "{:?}", robot.heard());

    press(tab, "#rearm").await?;
    tab.until("document.body.dataset.stopped === 'false'").await?;
    key(tab, "KeyW", false).await?;
    press(tab, "#stand").await?;
    tab.until("document.body.dataset.posture === 'StandReady'").await?;
    key(tab, "KeyW", true).await?;
    robot.until("motion after re-arming", |heard| heard.forward > MOVES).await?;
    key(tab, "KeyW", false).await?;
    // Escape stops too.
    key(tab, "Escape", true).await?;
    tab.until("document.body.dataset.stopped === 'true'").await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_the_broker_the_page_drives_again_once_the_keys_were_released() -> Result<()> {
    let mut set = Set::open(HostedKind::Twist).await?;
    set.connect().await?;
    let tab = &set.tab;
    key(tab, "KeyW", true).await?;
    set.robot.until("motion", |heard| heard.forward > MOVES).await?;
    set.brokerage.stop().await;
    tab.until("document.body.dataset.way.startsWith('Broken')").await?;
    tab.screenshot("hosted-broken").await?;
    set.brokerage.start_again().await?;
    live(tab).await?;
    key(tab, "KeyW", false).await?;
    tab.until("document.body.dataset.blocked === 'false'").await?;
    key(tab, "KeyW", true).await?;
    set.robot.until("motion after the restart", |heard| heard.forward > MOVES).await?;
    key(tab, "KeyW", false).await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cockpit_fits_a_phone() -> Result<()> {
    let set = Set::open(HostedKind::Twist).await?;
    set.tab.page.execute(SetDeviceMetricsOverrideParams::new(390, 844, 2.0, true)).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let fits = "document.documentElement.scrollWidth <= 390";
    set.tab.screenshot("hosted-phone-board").await?;
    assert!(set.tab.eval::<bool>(fits).await?, "the list of robots");
    set.connect().await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    set.tab.screenshot("hosted-phone").await?;
    assert!(set.tab.eval::<bool>(fits).await?, "the cockpit");
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_that_scales_by_itself_drives_as_fast_as_any_other() -> Result<()> {
    let set = Set::open_with(HostedKind::Twist, |hosted| hosted.drive.units = TwistUnits::Normalized).await?;
    set.connect().await?;
    key(&set.tab, "KeyW", true).await?;
    set.robot.until("half a metre a second", |heard| heard.forward > 0.5 - MOVES).await?;
    // All of its own speed.
    set.tab.until("document.body.dataset.twist.startsWith('[1.0, ')").await?;
    key(&set.tab, "KeyW", false).await?;
    set.close().await
}
