//! What is to be seen in a picture of the page.

use std::io::Cursor;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use waldo_tests::browser::{PATIENCE, Tab};

/// A picture of the tab.
pub(crate) struct Shot {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

impl Shot {
    pub(crate) async fn of(tab: &Tab, name: &str) -> Result<Self> {
        let png = tab.screenshot(name).await?;
        let mut reader = png::Decoder::new(Cursor::new(png)).read_info()?;
        let mut bytes = vec![0; reader.output_buffer_size().context("a picture that fits into memory")?];
        let info = reader.next_frame(&mut bytes)?;
        let pixels = bytes.chunks_exact(info.color_type.samples()).map(|p| [p[0], p[1], p[2]]).collect();
        Ok(Self { width: info.width as usize, pixels })
    }

    /// How many pixels are of that colour, and their middle, x right and y down.
    pub(crate) fn find(&self, is: impl Fn([i32; 3]) -> bool) -> (usize, [f64; 2]) {
        let (mut count, mut sum) = (0, [0.0; 2]);
        for (index, pixel) in self.pixels.iter().enumerate() {
            if is(pixel.map(i32::from)) {
                count += 1;
                sum[0] += (index % self.width) as f64;
                sum[1] += (index / self.width) as f64;
            }
        }
        (count, sum.map(|sum| sum / f64::from(u32::try_from(count.max(1)).expect("a picture"))))
    }

    /// The share of pixels that clearly differ.
    pub(crate) fn differs_from(&self, other: &Self) -> f64 {
        let differs = |(a, b): (&[u8; 3], &[u8; 3])| a.iter().zip(b).any(|(a, b)| a.abs_diff(*b) > 24);
        let count = self.pixels.iter().zip(&other.pixels).filter(|pair| differs(*pair)).count();
        count as f64 / self.pixels.len() as f64
    }
}

/// The colour of a second arm; nothing else on the page is as blue.
pub(crate) fn blue([r, g, b]: [i32; 3]) -> bool {
    b > r + 70 && b > g + 20 && b > 130
}

pub(crate) fn magenta([r, g, b]: [i32; 3]) -> bool {
    r > g + 90 && b > g + 90
}

pub(crate) fn green([r, g, b]: [i32; 3]) -> bool {
    g > r + 90 && g > b + 90
}

/// Waits until a picture shows what it should.
pub(crate) async fn until_seen(tab: &Tab, name: &str, seen: impl Fn(&Shot) -> bool) -> Result<Shot> {
    let start = Instant::now();
    loop {
        let shot = Shot::of(tab, name).await?;
        if seen(&shot) {
            return Ok(shot);
        }
        if start.elapsed() > PATIENCE {
            bail!("{name} never shows it; the picture is in the artifacts");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
