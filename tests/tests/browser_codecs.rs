//! Cameras in a codec that the robot's clients seldom ask for, decoded by headless Chromium.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use waldo_server::config::Settings;
use waldo_server::sensors::RgbImage;
use waldo_server::video::VideoSource;
use waldo_server::vr::VrServer;
use waldo_tests::browser::{Chromium, PATIENCE, Tab};
use waldo_tests::robot::local;

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 255, 0];
const BLUE: [u8; 3] = [0, 0, 255];

/// A picture whose halves have one colour each.
fn halves(width: u32, height: u32, left: [u8; 3], right: [u8; 3]) -> Option<RgbImage> {
    let row = [left, right].map(|colour| colour.repeat(width as usize / 2)).concat();
    RgbImage::new(width, height, row.repeat(height as usize)).ok()
}

/// Size and colours of the picture that the page shows, in the middle of each half.
async fn shown(tab: &Tab) -> Result<([u32; 2], [[u8; 3]; 2])> {
    tab.eval(
        "(() => {
            const { video } = tracks[0];
            const [width, height] = [video.videoWidth, video.videoHeight];
            const canvas = new OffscreenCanvas(width, height).getContext('2d');
            canvas.drawImage(video, 0, 0);
            const colour = x => [...canvas.getImageData(x, height / 2, 1, 1).data.slice(0, 3)];
            return [[width, height], [colour(width / 4), colour((width * 3) / 4)]];
        })()",
    )
    .await
}

/// Waits until the page shows a picture of this size with these halves.
async fn until_shown(tab: &Tab, size: [u32; 2], halves: [[u8; 3]; 2]) -> Result<()> {
    let start = Instant::now();
    loop {
        let (seen_size, seen) = shown(tab).await?;
        let close = seen.iter().flatten().zip(halves.iter().flatten()).all(|(s, e)| s.abs_diff(*e) < 40);
        if seen_size == size && close {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            bail!("the page shows {seen:?} in {seen_size:?} pixels, not {halves:?} in {size:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_takes_vp8_alone_shows_the_camera_and_its_changes() -> Result<()> {
    let later = Arc::new(AtomicBool::new(false));
    let changed = Arc::clone(&later);
    let source = VideoSource::Callable(Box::new(move || match changed.load(Ordering::Relaxed) {
        false => halves(320, 240, RED, BLUE),
        true => halves(640, 480, BLUE, GREEN),
    }));
    let data = TempDir::new()?;
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bench/page");
    let server = VrServer::new(Settings { static_dir: Some(page.into()), ..local(data.path()) });
    server.set_video_sources(Some(vec![("overhead".into(), source)]));
    server.start().await?;
    let port = server.addr().context("the server runs")?.port();

    let chromium = Chromium::launch(1280, 800).await?;
    let tab = chromium.tab().await?;
    tab.open(port, "").await?;
    tab.until("window.ready").await?;
    tab.eval::<bool>("ready").await?;
    tab.run("codec = 'video/VP8'; await request(1)").await?;
    until_shown(&tab, [320, 240], [RED, BLUE]).await?;
    later.store(true, Ordering::Relaxed);
    until_shown(&tab, [640, 480], [BLUE, GREEN]).await?;
    assert_eq!(tab.eval::<String>("tracks[0].codec()").await?, "video/VP8");
    assert!(tab.eval::<u32>("tracks[0].counters().then(counters => counters.framesDecoded)").await? > 1);

    chromium.close().await?;
    server.stop().await;
    Ok(())
}
