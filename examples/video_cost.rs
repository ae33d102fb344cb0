//! Says what encoding video costs on this computer: some cameras at 30 pictures a second, each watched by one viewer
//! that throws everything away.
//!
//! `cargo run --release --example video_cost -- 3 1280x720`

use std::io::{self, Write};
use std::time::Duration;
use std::{env, thread};

use anyhow::Context;
use rustix::time::{ClockId, clock_gettime};
use waldo_server::clock;
use waldo_server::sensors::RgbImage;
use waldo_server::video::{Feed, VideoSource};

const SECONDS: u32 = 8;
const FPS: u32 = 30;

/// How far the scene moves to and fro, in pixels.
const TRAVEL: usize = 256;

fn main() -> anyhow::Result<()> {
    let mut args = env::args().skip(1);
    let count: usize = args.next().map_or(Ok(3), |count| count.parse())?;
    let size = args.next().unwrap_or_else(|| "1280x720".to_owned());
    let (width, height) = size.split_once('x').context("a size such as 1280x720")?;
    let (width, height): (u32, u32) = (width.parse()?, height.parse()?);
    let pictures = pictures(width, height)?;

    let (mut senders, mut feeds) = (Vec::new(), Vec::new());
    for number in 0..count {
        let (sender, source) = VideoSource::pushed();
        senders.push(sender);
        feeds.push(Feed::new(format!("camera{number}"), source));
    }
    let viewers: Vec<_> = feeds.iter().map(Feed::subscribe).collect();
    let watching: Vec<_> = viewers
        .into_iter()
        .map(|mut viewer| {
            thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build()?;
                let (mut bytes, mut frames, mut late) = (0, 0, Vec::new());
                while let Some(frame) = runtime.block_on(viewer.next()) {
                    late.push(clock::now().since(frame.captured));
                    (bytes, frames) = (bytes + frame.data.len(), frames + 1);
                }
                late.sort_unstable();
                anyhow::Ok((bytes, frames, late))
            })
        })
        .collect();

    let (began, cpu) = (clock::now(), cpu_seconds(ClockId::ProcessCPUTime));
    let own = cpu_seconds(ClockId::ThreadCPUTime);
    for number in 0..SECONDS * FPS {
        let due = began + Duration::from_secs(1) * number / FPS;
        // A camera has a clock of its own, and this thread is nothing else.
        thread::sleep(due.since(clock::now()));
        let place = number as usize % (2 * pictures.len() - 2);
        let place = place.min(2 * pictures.len() - 2 - place);
        senders.iter().for_each(|sender| sender.push(pictures[place].clone(), clock::now()));
    }
    let took = clock::now().since(began).as_secs_f64();
    let cpu = cpu_seconds(ClockId::ProcessCPUTime) - cpu - (cpu_seconds(ClockId::ThreadCPUTime) - own);
    drop(feeds);
    for thread in watching {
        let (bytes, frames, late) = thread.join().ok().context("a viewer panicked")??;
        let at = |share: f64| late.get((late.len() as f64 * share) as usize).copied().unwrap_or_default();
        writeln!(
            io::stdout(),
            "{:.1} pictures/s, {:.2} Mbit/s, push → encoded p50 {:.1?} p99 {:.1?}",
            f64::from(frames) / took,
            bytes as f64 * 8e-6 / took,
            at(0.5),
            at(0.99)
        )?;
    }
    writeln!(io::stdout(), "{count} × {size}: {:.1} % of a core", cpu / took * 100.0)?;
    Ok(())
}

/// Smooth surfaces, hard edges and a little sensor noise, further to the left in each picture.
fn pictures(width: u32, height: u32) -> anyhow::Result<Vec<RgbImage>> {
    let mut noise = 0x2545_f491_u32;
    let row = (width as usize + TRAVEL) * 3;
    let mut scene = Vec::with_capacity(row * height as usize);
    for y in 0..height {
        for x in 0..width + TRAVEL as u32 {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let value = (x / 96 + y / 96) % 2 * 50 + 60 + 80 * y / height + (noise >> 29);
            scene.extend([value, value + 20 * x / width, 200 - value / 2].map(|v| v.min(255) as u8));
        }
    }
    let view = |left: usize| {
        let rows = scene.chunks_exact(row).flat_map(|r| &r[left * 3..(left + width as usize) * 3]);
        RgbImage::new(width, height, rows.copied().collect::<Vec<u8>>()).map_err(Into::into)
    };
    (0..TRAVEL).step_by(4).map(view).collect()
}

fn cpu_seconds(clock: ClockId) -> f64 {
    let t = clock_gettime(clock);
    t.tv_sec as f64 + t.tv_nsec as f64 * 1e-9
}
