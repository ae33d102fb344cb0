//! RGB to planar YUV 4:2:0, the form the encoder takes.
//!
//! BT.601 coefficients in limited range at every size: that is what WebRTC receivers assume when they do not read the
//! colour description in the stream, and the stream says the same to those that do.

use openh264::formats::YUVSource;
use yuv::{
    YuvChromaSubsampling, YuvConversionMode, YuvError, YuvPlanarImageMut, YuvRange, YuvStandardMatrix, rgb_to_yuv420,
};

use crate::sensors::RgbImage;

/// A reusable picture buffer of one size.
pub(super) struct I420(YuvPlanarImageMut<'static, u8>);

impl I420 {
    /// A buffer for pictures of this size; both sides even.
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self(YuvPlanarImageMut::alloc(width, height, YuvChromaSubsampling::Yuv420))
    }

    /// Whether pictures of this image's size fit.
    pub(super) fn fits(&self, image: &RgbImage) -> bool {
        (self.0.width, self.0.height) == (image.width(), image.height())
    }

    /// Converts an image of the buffer's size.
    pub(super) fn fill(&mut self, image: &RgbImage) -> Result<(), YuvError> {
        rgb_to_yuv420(
            &mut self.0,
            image.data(),
            image.width() * 3,
            YuvRange::Limited,
            YuvStandardMatrix::Bt601,
            YuvConversionMode::Balanced,
        )
    }
}

impl YUVSource for I420 {
    fn dimensions(&self) -> (usize, usize) {
        (self.0.width as usize, self.0.height as usize)
    }

    fn strides(&self) -> (usize, usize, usize) {
        (self.0.y_stride as usize, self.0.u_stride as usize, self.0.v_stride as usize)
    }

    fn y(&self) -> &[u8] {
        self.0.y_plane.borrow()
    }

    fn u(&self) -> &[u8] {
        self.0.u_plane.borrow()
    }

    fn v(&self) -> &[u8] {
        self.0.v_plane.borrow()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(rgb: [u8; 3]) -> I420 {
        let image = RgbImage::new(4, 2, rgb.repeat(8)).unwrap();
        let mut picture = I420::new(4, 2);
        assert!(picture.fits(&image));
        picture.fill(&image).unwrap();
        picture
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
            let picture = plain(rgb);
            for (plane, expected) in [picture.y(), picture.u(), picture.v()].into_iter().zip(expected) {
                assert!(plane.iter().all(|&v| v.abs_diff(expected) <= 1), "{rgb:?}: {plane:?}, not {expected}");
            }
        }
    }

    #[test]
    fn a_picture_of_another_size_does_not_fit() {
        assert!(!I420::new(4, 2).fits(&RgbImage::new(2, 4, vec![0; 24]).unwrap()));
    }
}
