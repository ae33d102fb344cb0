//! Who may do what: accounts and keys, viewers, other pages.

use std::time::{Duration, Instant};

use anyhow::Result;
use waldo_server::config::HostedKind;
use waldo_tests::browser::Chromium;

use crate::set::{AMY, Brokerage, FarRobot, Set, key, live, log_in, press, type_into};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_made_on_the_page_brings_a_robot_and_is_shown_only_once() -> Result<()> {
    let mut brokerage = Brokerage::start().await?;
    let chromium = Chromium::launch(1280, 800).await?;
    let tab = chromium.tab().await?;
    let port = brokerage.broker().address().port();
    tab.page.goto(format!("http://localhost:{port}/")).await?;
    type_into(&tab, "#email", AMY).await?;
    type_into(&tab, "#password", "not this one").await?;
    press(&tab, "#log-in").await?;
    tab.until("!document.querySelector('.alert').hidden").await?;
    tab.screenshot("hosted-sign-in").await?;
    log_in(&tab, &brokerage).await?;
    assert_eq!(tab.eval::<String>("document.body.dataset.account").await?, AMY);
    type_into(&tab, "#key-name", "Lab 1").await?;
    press(&tab, "#create-key").await?;
    tab.until("document.querySelector('#fresh-key').textContent !== ''").await?;
    let made: String = tab.eval("document.querySelector('#fresh-key').textContent").await?;
    assert!(made.starts_with("dtk_live_") && made.len() == 49, "a key");
    tab.screenshot("hosted-key").await?;

    let robot = FarRobot::start(&brokerage.url(), &made, HostedKind::Twist).await?;
    tab.until("document.body.dataset.robots === '1' && document.querySelector('.robot').innerText.includes('Rover')")
        .await?;
    press(&tab, "#forget-key").await?;
    tab.until("document.querySelector('.fresh').hidden").await?;
    tab.screenshot("hosted-board").await?;
    let told: String = tab.eval("document.body.innerText").await?;
    assert!(!told.contains(&made), "shown only once");

    // A robot that ends says so, and is gone at once.
    robot.stop().await;
    tab.until("document.body.dataset.robots === '0'").await?;
    press(&tab, ".key .revoke").await?;
    press(&tab, ".key .confirm-revoke").await?;
    tab.until("!document.querySelector('.key')").await?;
    press(&tab, "#log-out").await?;
    tab.until("document.body.dataset.stage === 'SignIn'").await?;
    chromium.close().await?;
    brokerage.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_everything_and_moves_nothing_but_the_stop() -> Result<()> {
    let set = Set::open(HostedKind::Twist).await?;
    let robot = &set.robot;
    set.connect().await?;
    let watching = set.chromium.tab().await?;
    let port = set.brokerage.broker().address().port();
    watching.page.goto(format!("http://localhost:{port}/")).await?;
    watching.until("document.body.dataset.stage === 'Board'").await?;
    press(&watching, ".robot .watch").await?;
    live(&watching).await?;
    key(&watching, "KeyW", true).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(robot.heard().fastest, 0.0);
    assert_eq!(watching.eval::<String>("document.body.dataset.commands").await?, "0");
    watching.screenshot("hosted-viewer").await?;
    press(&watching, "#estop").await?;
    set.tab.until("document.body.dataset.stopped === 'true'").await?;
    assert_eq!(set.tab.eval::<String>("document.body.dataset.way").await?, "Live", "nobody lost the robot");
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_loses_the_robot_to_another_page_is_told_and_sends_nothing() -> Result<()> {
    let set = Set::open(HostedKind::Twist).await?;
    set.connect().await?;
    let other = set.chromium.tab().await?;
    let port = set.brokerage.broker().address().port();
    other.page.goto(format!("http://localhost:{port}/")).await?;
    other.until("document.querySelector('.robot .connect')").await?;
    assert_eq!(other.eval::<String>("document.querySelector('.robot .connect').textContent").await?, "Reclaim");
    press(&other, ".robot .connect").await?;
    live(&other).await?;
    set.tab.until("document.body.dataset.way === 'Evicted'").await?;
    set.tab.screenshot("hosted-evicted").await?;
    let sent: String = set.tab.eval("document.body.dataset.commands").await?;
    key(&set.tab, "KeyW", true).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(set.tab.eval::<String>("document.body.dataset.commands").await?, sent);
    key(&set.tab, "KeyW", false).await?;
    press(&set.tab, "#rejoin").await?;
    live(&set.tab).await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_closed_frees_its_robot_at_once() -> Result<()> {
    let set = Set::open(HostedKind::Twist).await?;
    set.connect().await?;
    let other = set.chromium.tab().await?;
    let port = set.brokerage.broker().address().port();
    other.page.goto(format!("http://localhost:{port}/")).await?;
    let says = |label: &str| format!("document.querySelector('.robot .connect')?.textContent === '{label}'");
    other.until(&says("Reclaim")).await?;
    let closed = Instant::now();
    set.tab.page.goto("about:blank").await?;
    other.until(&says("Connect")).await?;
    // Nobody would hear of a page that only vanished for twice as long.
    assert!(closed.elapsed() < Duration::from_secs(10), "{:?}", closed.elapsed());
    set.close().await
}
