//! Pictures for the tests of encoders, and what becomes of them.

use std::ops::Range;
use std::sync::Arc;

use openh264::decoder::Decoder;
use openh264::formats::YUVSource;
use waldo_protocol::time::MonoTime;

use super::Encoder;
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

/// Bits per second at 30 of the pictures with these numbers, which all flicker, but for the first `settling` of them.
/// `look` sees the number of each and what became of it.
pub(super) fn bitrate(
    encoder: &mut dyn Encoder,
    numbers: Range<u32>,
    settling: u32,
    mut look: impl FnMut(u32, &[u8], bool),
) -> usize {
    let settled = numbers.start + settling;
    let counted = numbers.end - settled;
    let mut bytes = 0;
    for number in numbers {
        let (data, keyframe) = encoder.encode(&flicker(number), false).unwrap();
        look(number, &data, keyframe);
        bytes += if number < settled { 0 } else { data.len() };
    }
    bytes * 8 * 30 / counted as usize
}

/// The first pixel, in grey, of a picture of H.264 that must come out of the decoder at once.
pub(super) fn grey(decoder: &mut Decoder, data: &[u8]) -> u8 {
    let picture = decoder.decode(data).unwrap().expect("no picture delay");
    let (width, height) = picture.dimensions();
    let mut rgb = vec![0; width * height * 3];
    picture.write_rgb8(&mut rgb);
    rgb[0]
}
