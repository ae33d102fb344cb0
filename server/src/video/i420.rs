//! RGB to planar YUV 4:2:0, the form the encoder takes.
//!
//! BT.601 coefficients in limited range at every size: that is what WebRTC receivers assume when they do not read the
//! colour description in the stream, and the stream says the same to those that do.

use openh264::formats::YUVSource;
use yuv::{BufferStoreMut, YuvConversionMode, YuvError, YuvPlanarImageMut, YuvRange, YuvStandardMatrix, rgb_to_yuv420};

use super::source::Picture;
use crate::sensors::RgbImage;

/// A reusable picture buffer of one size.
pub(super) struct I420 {
    width: u32,
    height: u32,
    y: Vec<u8>,
    u: Vec<u8>,
    v: Vec<u8>,
}

impl I420 {
    /// A buffer for pictures of this size; both sides even.
    pub(super) fn new(width: u32, height: u32) -> Self {
        // One row more than needed: the part of a plane below and right of its middle must still count as whole rows.
        let plane = |width: u32, height: u32| vec![0; width as usize * (height as usize + 1)];
        let (y, chroma) = (plane(width, height), plane(width / 2, height / 2));
        Self { width, height, y, u: chroma.clone(), v: chroma }
    }

    /// Width and height in pixels.
    pub(super) fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Converts a picture of the buffer's size.
    pub(super) fn fill(&mut self, picture: &Picture) -> Result<(), YuvError> {
        self.fill_from(0, &picture.left.image)?;
        match &picture.right {
            Some(right) => self.fill_from(picture.left.image.width(), &right.image),
            None => Ok(()),
        }
    }

    /// This picture at half the width and height, each pixel the mean of four. `half` has half this buffer's size.
    pub(super) fn halve(&self, half: &mut Self) {
        let (width, chroma) = (self.width as usize, self.width as usize / 2);
        halve(&self.y, width, &mut half.y);
        halve(&self.u, chroma, &mut half.u);
        halve(&self.v, chroma, &mut half.v);
    }

    /// Converts an image into the columns from `left` on, which is even.
    fn fill_from(&mut self, left: u32, image: &RgbImage) -> Result<(), YuvError> {
        let (at, chroma_at) = (left as usize, left as usize / 2);
        let mut part = YuvPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(&mut self.y[at..]),
            y_stride: self.width,
            u_plane: BufferStoreMut::Borrowed(&mut self.u[chroma_at..]),
            u_stride: self.width / 2,
            v_plane: BufferStoreMut::Borrowed(&mut self.v[chroma_at..]),
            v_stride: self.width / 2,
            width: image.width(),
            height: image.height(),
        };
        rgb_to_yuv420(
            &mut part,
            image.data(),
            image.width() * 3,
            YuvRange::Limited,
            YuvStandardMatrix::Bt601,
            YuvConversionMode::Balanced,
        )
    }
}

/// Means of four neighbours each; rows that are not there in `half` are left out.
fn halve(plane: &[u8], width: usize, half: &mut [u8]) {
    for (two, row) in plane.chunks_exact(2 * width).zip(half.chunks_exact_mut(width / 2)) {
        let (upper, lower) = two.split_at(width);
        for ((mean, up), down) in row.iter_mut().zip(upper.chunks_exact(2)).zip(lower.chunks_exact(2)) {
            let sum = u16::from(up[0]) + u16::from(up[1]) + u16::from(down[0]) + u16::from(down[1]);
            *mean = ((sum + 2) / 4) as u8;
        }
    }
}

impl YUVSource for I420 {
    fn dimensions(&self) -> (usize, usize) {
        (self.width as usize, self.height as usize)
    }

    fn strides(&self) -> (usize, usize, usize) {
        (self.width as usize, self.width as usize / 2, self.width as usize / 2)
    }

    fn y(&self) -> &[u8] {
        &self.y[..self.width as usize * self.height as usize]
    }

    fn u(&self) -> &[u8] {
        &self.u[..self.width as usize / 2 * (self.height as usize / 2)]
    }

    fn v(&self) -> &[u8] {
        &self.v[..self.width as usize / 2 * (self.height as usize / 2)]
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use waldo_protocol::time::MonoTime;

    use super::*;
    use crate::sensors::CameraFrame;

    fn frame(width: u32, height: u32, rgb: [u8; 3]) -> Arc<CameraFrame> {
        let image = RgbImage::new(width, height, rgb.repeat((width * height) as usize)).unwrap();
        let captured = MonoTime::from_nanos(0);
        Arc::new(CameraFrame { image, depth: None, intrinsics: None, extrinsics: None, captured })
    }

    /// Expected values: ITU-R BT.601, 8-bit limited range.
    #[test]
    fn primaries_become_their_bt601_limited_range_values() {
        for (rgb, expected) in [
            ([0, 0, 0], [16, 128, 128]),
            ([255, 255, 255], [235, 128, 128]),
            ([255, 0, 0], [81, 90, 240]),
            ([0, 255, 0], [145, 54, 34]),
            ([0, 0, 255], [41, 240, 110]),
        ] {
            let mut picture = I420::new(4, 2);
            picture.fill(&Picture { left: frame(4, 2, rgb), right: None }).unwrap();
            for (plane, expected) in [picture.y(), picture.u(), picture.v()].into_iter().zip(expected) {
                assert!(plane.iter().all(|&v| v.abs_diff(expected) <= 1), "{rgb:?}: {plane:?}, not {expected}");
            }
        }
    }

    #[test]
    fn a_halved_picture_has_the_means_of_the_whole() {
        let rgb: Vec<u8> = (0..8 * 4).flat_map(|n: u8| [n * 6; 3]).collect();
        let image = RgbImage::new(8, 4, rgb).unwrap();
        let left = Arc::new(CameraFrame { image, ..(*frame(8, 4, [0; 3])).clone() });
        let (mut whole, mut half) = (I420::new(8, 4), I420::new(4, 2));
        whole.fill(&Picture { left, right: None }).unwrap();
        whole.halve(&mut half);
        let luma = |x: usize, y: usize| u32::from(whole.y()[y * 8 + x]);
        for y in 0..2 {
            for x in 0..4 {
                let (a, b) = (2 * x, 2 * y);
                let sum = luma(a, b) + luma(a + 1, b) + luma(a, b + 1) + luma(a + 1, b + 1);
                assert_eq!(u32::from(half.y()[y * 4 + x]), (sum + 2) / 4);
            }
        }
        assert!(half.u().iter().chain(half.v()).all(|c| c.abs_diff(128) <= 1));
    }

    #[test]
    fn two_pictures_lie_side_by_side() {
        for (width, height) in [(2, 2), (38, 6), (320, 240)] {
            let pair =
                Picture { left: frame(width, height, [255, 0, 0]), right: Some(frame(width, height, [0, 0, 255])) };
            let mut picture = I420::new(2 * width, height);
            assert_eq!(pair.size(), picture.size());
            picture.fill(&pair).unwrap();
            for (plane, width, left, right) in [
                (picture.y(), width, 81_u8, 41_u8),
                (picture.u(), width / 2, 90, 240),
                (picture.v(), width / 2, 240, 110),
            ] {
                for row in plane.chunks_exact(2 * width as usize) {
                    let (l, r) = row.split_at(width as usize);
                    assert!(l.iter().all(|v| v.abs_diff(left) <= 1) && r.iter().all(|v| v.abs_diff(right) <= 1));
                }
            }
        }
    }
}
