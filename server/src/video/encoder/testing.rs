//! Pictures for the tests of encoders.

use std::sync::Arc;

use waldo_protocol::time::MonoTime;

use crate::sensors::{CameraFrame, RgbImage};
use crate::video::i420::I420;
use crate::video::source::Picture;

/// A picture of one grey.
pub(super) fn plain(width: u32, height: u32, value: u8) -> I420 {
    painted(width, height, |_, _| value)
}

fn painted(width: u32, height: u32, value: impl Fn(u32, u32) -> u8) -> I420 {
    let pixels = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
    let data: Vec<u8> = pixels.flat_map(|(x, y)| [value(x, y); 3]).collect();
    let image = RgbImage::new(width, height, data).unwrap();
    let captured = MonoTime::from_nanos(0);
    let left = Arc::new(CameraFrame { image, depth: None, intrinsics: None, extrinsics: None, captured });
    let mut picture = I420::new(width, height);
    picture.fill(&Picture { left, right: None }).unwrap();
    picture
}

/// Patches of another brightness in every picture, so that each costs bits.
pub(super) fn flicker(number: u32) -> I420 {
    painted(320, 240, |x, y| {
        let patch = (x / 8 + 31 * (y / 8) + 977 * number).wrapping_mul(2_654_435_761);
        (96 + (patch >> 26)) as u8
    })
}
