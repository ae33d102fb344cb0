//! The picture type that cameras publish.

use bytes::Bytes;

/// An RGB picture: 8 bits per channel, rows from the top, no padding. Clones share the pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RgbImage {
    width: u32,
    height: u32,
    data: Bytes,
}

/// The pixels do not fit the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an RGB image of {width}x{height} needs {needed} bytes and even, positive sides up to 8192; got {got} bytes")]
pub struct WrongSize {
    width: u32,
    height: u32,
    needed: u64,
    got: usize,
}

impl RgbImage {
    /// A picture from `width * height * 3` bytes.
    ///
    /// # Errors
    /// [`WrongSize`] if the byte count does not fit, or a side is zero, odd or above 8192.
    pub fn new(width: u32, height: u32, data: impl Into<Bytes>) -> Result<Self, WrongSize> {
        let data = data.into();
        if Self::check(width, height)? != data.len() {
            return Err(WrongSize { width, height, needed: bytes(width, height), got: data.len() });
        }
        Ok(Self { width, height, data })
    }

    /// The bytes that a picture of this size needs.
    ///
    /// # Errors
    /// [`WrongSize`] if a side is zero, odd or above 8192.
    pub(crate) fn check(width: u32, height: u32) -> Result<usize, WrongSize> {
        let side = |s: u32| s > 0 && s <= 8192 && s.is_multiple_of(2);
        let needed = bytes(width, height);
        match usize::try_from(needed) {
            Ok(needed) if side(width) && side(height) => Ok(needed),
            _ => Err(WrongSize { width, height, needed, got: 0 }),
        }
    }

    /// Pixels per row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The pixels, `height * width * 3` bytes.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The pixels; a clone shares them.
    pub(super) fn bytes(&self) -> &Bytes {
        &self.data
    }
}

fn bytes(width: u32, height: u32) -> u64 {
    u64::from(width) * u64::from(height) * 3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_needs_even_sides_in_range_and_all_its_bytes() {
        let made = |w: u32, h: u32, bytes: usize| RgbImage::new(w, h, vec![0; bytes]);
        assert_eq!(made(4, 2, 24).map(|i| (i.width(), i.height(), i.data().len())), Ok((4, 2, 24)));
        for (w, h, bytes) in [(4, 2, 23), (4, 2, 25), (3, 2, 18), (4, 1, 12), (0, 2, 0), (8194, 2, 8194 * 6)] {
            assert!(made(w, h, bytes).is_err(), "{w}x{h} {bytes}");
        }
        let error = made(4, 2, 23).unwrap_err().to_string();
        assert!(error.contains("4x2 needs 24") && error.contains("got 23"), "{error}");
    }
}
