//! What one client does, the others do not notice. Limits are ten times what is expected.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::time::sleep;
use waldo_server::sensors::RgbImage;
use waldo_server::video::VideoSource;
use waldo_server::vr::VrServer;
use waldo_tests::bench::percentile;
use waldo_tests::client::trusting;
use waldo_tests::crowd::{Viewers, delays};
use waldo_tests::robot::local;

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_stops_reading_delays_nobody_and_is_disconnected() -> Result<()> {
    let frames = 270;
    let alone = delays(frames, false).await?;
    let beside = delays(frames, true).await?;
    assert!(beside.other_got.context("there was another client")? < frames, "its queue is bounded");
    for (before, after) in [(&alone.up, &beside.up), (&alone.down, &beside.down)] {
        assert_eq!(after.len(), frames as usize);
        let [before, after] = [before, after].map(|delays| percentile(delays, 0.95));
        assert!(after < before + 50.0, "{after} ms instead of {before} ms");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_is_encoded_once_for_twenty_four_viewers() -> Result<()> {
    const CAMERA: &str = "watched";
    let asked = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&asked);
    let picture = RgbImage::new(320, 240, vec![90; 320 * 240 * 3])?;
    // Asked once for each picture that is encoded, on the encoder's thread.
    let source = VideoSource::Callable(Box::new(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        Some(picture.clone())
    }));
    let data = TempDir::new()?;
    let server = VrServer::new(local(data.path()));
    server.set_video_sources(Some(vec![(CAMERA.to_owned(), source)]));
    server.start().await?;
    let tls = trusting(server.certificate().context("the server runs")?)?;
    let viewers = Viewers::arrive(24, 1, server.addr().context("the server runs")?, &tls).await?;

    let (encoded_before, seen_before) = (asked.load(Ordering::Relaxed), viewers.counts());
    sleep(Duration::from_secs(2)).await;
    let (encoded, seen) = (asked.load(Ordering::Relaxed) - encoded_before, viewers.counts());
    // 60 are expected; two encoders would need twice as many.
    assert!(encoded <= 90, "{encoded} pictures were encoded in two seconds");
    for (before, after) in seen_before.iter().zip(&seen) {
        assert!(after - before >= 6, "{} pictures were seen in two seconds", after - before);
    }
    assert_eq!(threads_named(CAMERA)?, 1);
    server.stop().await;
    Ok(())
}

/// Threads of this process with this name.
fn threads_named(name: &str) -> Result<usize> {
    let tasks = std::fs::read_dir("/proc/self/task")?;
    let names = tasks.flatten().filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    Ok(names.filter(|found| found.trim_end() == name).count())
}
