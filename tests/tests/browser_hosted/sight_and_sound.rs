//! What the robot hears of the operator, and how old the operator's picture is.

use std::time::Duration;

use anyhow::{Context, Result};
use waldo_server::config::HostedKind;
use waldo_tests::browser::PATIENCE;

use crate::set::{Set, press};

/// Packets of Opus that hold only silence are this small.
const SILENCE_BYTES: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn the_robot_hears_the_operator_once_the_microphone_is_on() -> Result<()> {
    let set = Set::open(HostedKind::Twist).await?;
    // Unless told otherwise the page takes the microphone along; here it is one that beeps once a second.
    set.connect().await?;
    set.tab.until("document.querySelector('#microphone').textContent === 'AUDIO OFF'").await?;
    let mut voices = set.robot.waldo.hosted().context("it is hosted")?.hearing().subscribe();
    press(&set.tab, "#microphone").await?;
    set.tab.until("document.querySelector('#microphone').textContent === 'AUDIO ON'").await?;
    let loud = async { while voices.recv().await.is_ok_and(|voice| voice.payload.len() <= SILENCE_BYTES) {} };
    tokio::time::timeout(PATIENCE, loud).await.context("no voice arrived")?;
    set.tab.screenshot("hosted-audio").await?;
    press(&set.tab, "#microphone").await?;
    set.tab.until("document.querySelector('#microphone').textContent === 'AUDIO OFF'").await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_strip_below_the_picture_tells_how_old_it_is_and_is_not_shown() -> Result<()> {
    let set = Set::open_with(HostedKind::Twist, |hosted| hosted.pictures.latency_stamp = true).await?;
    set.connect().await?;
    set.tab.until("document.querySelector('.figures').innerText.includes('Camera to screen')").await?;
    set.tab.screenshot("hosted-latency").await?;
    let value = "[...document.querySelectorAll('.figures dt')].find((row) => row.innerText === 'Camera to screen').nextElementSibling.innerText";
    let told: String = set.tab.eval(value).await?;
    let ms: f64 = told.trim_end_matches(" ms").parse().with_context(|| told.clone())?;
    assert!(ms > 1.0 && ms < Duration::from_secs(5).as_secs_f64() * 1000.0, "{told}");
    assert_eq!(set.tab.eval::<String>("document.body.dataset.strip").await?, "16");
    assert_eq!(set.tab.eval::<String>("document.body.dataset.picture").await?, "640x480", "without the strip");
    let [frame, video]: [f64; 2] = set
        .tab
        .eval("['.picture .frame', '.screen-of-robot video'].map((part) => document.querySelector(part).getBoundingClientRect().height)")
        .await?;
    assert!((video / frame - 496.0 / 480.0).abs() < 0.01, "{video} of {frame}");
    set.close().await
}
