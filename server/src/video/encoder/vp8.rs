//! VP8 with the system's libvpx, for clients without H.264.
#![expect(unsafe_code, reason = "libvpx is a library in C")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr::{self, NonNull};
use std::slice;

use bytes::Bytes;
use openh264::formats::YUVSource;

use super::{EncodeError, Encoder, FPS, INTRA_PERIOD, MAX_BITRATE, MIN_BITRATE};
use crate::video::i420::I420;

/// What `vp8.c` calls `waldo_vp8`; only ever seen through a pointer.
type Raw = c_void;

// Defined in vp8.c, which is compiled with the headers of the library that is linked.
unsafe extern "C" {
    fn waldo_vp8_new(width: u32, height: u32, bits_per_second: u32, intra_period: u32) -> *mut Raw;
    fn waldo_vp8_free(encoder: *mut Raw);
    fn waldo_vp8_set_bitrate(encoder: *mut Raw, bits_per_second: u32) -> c_int;
    fn waldo_vp8_encode(
        encoder: *mut Raw,
        y: *const u8,
        u: *const u8,
        v: *const u8,
        y_stride: c_int,
        chroma_stride: c_int,
        microseconds: u32,
        keyframe: c_int,
        data: *mut *const u8,
        length: *mut usize,
        is_keyframe: *mut c_int,
    ) -> c_int;
    fn waldo_vp8_error(code: c_int) -> *const c_char;
}

/// An encoder for pictures of one size.
pub(in crate::video) struct Vp8 {
    encoder: NonNull<Raw>,
    size: (u32, u32),
    bps: u32,
    told: u32,
    fps: f32,
}

// SAFETY: the encoder belongs to this value alone, libvpx keeps nothing for each thread, and with one thread of its own
// set it starts none.
unsafe impl Send for Vp8 {}

impl Vp8 {
    /// An encoder for pictures of this size that begins with this bitrate.
    pub(in crate::video) fn new(width: u32, height: u32, bps: u32) -> Result<Self, EncodeError> {
        let bps = bps.clamp(MIN_BITRATE, MAX_BITRATE);
        // SAFETY: takes numbers only; the library checks them itself.
        let encoder = unsafe { waldo_vp8_new(width, height, bps, INTRA_PERIOD) };
        let encoder = NonNull::new(encoder).ok_or(EncodeError::Vp8("no encoder for pictures of this size"))?;
        Ok(Self { encoder, size: (width, height), bps, told: bps, fps: FPS })
    }
}

impl Encoder for Vp8 {
    fn set_bitrate(&mut self, bps: u32) {
        self.bps = bps.clamp(MIN_BITRATE, MAX_BITRATE);
    }

    fn set_frame_rate(&mut self, fps: f32) {
        self.fps = fps.clamp(1.0, 120.0);
    }

    fn encode(&mut self, picture: &I420, keyframe: bool) -> Result<(Bytes, bool), EncodeError> {
        if picture.size() != self.size {
            return Err(EncodeError::Vp8("a picture of another size"));
        }
        if self.told != self.bps {
            // SAFETY: the pointer is that of `new` and was not freed.
            check(unsafe { waldo_vp8_set_bitrate(self.encoder.as_ptr(), self.bps) })?;
            self.told = self.bps;
        }
        let (y_stride, chroma_stride, _) = picture.strides_i32();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "8000 to 1 000 000")]
        let microseconds = (1e6 / self.fps) as u32;
        let (mut data, mut length, mut is_keyframe) = (ptr::null(), 0, 0);
        // SAFETY: the pointer is that of `new` and was not freed. The planes hold `height` rows of `y_stride` bytes and
        // half as many of `chroma_stride`, since the size is that of the encoder; they are only read, and not after the
        // call. The last three are places to write to.
        let code = unsafe {
            waldo_vp8_encode(
                self.encoder.as_ptr(),
                picture.y().as_ptr(),
                picture.u().as_ptr(),
                picture.v().as_ptr(),
                y_stride,
                chroma_stride,
                microseconds,
                keyframe.into(),
                &raw mut data,
                &raw mut length,
                &raw mut is_keyframe,
            )
        };
        check(code)?;
        if data.is_null() || length == 0 {
            return Err(EncodeError::Skipped);
        }
        // SAFETY: the library owns `length` bytes there until it is called again, which this borrow outlives not.
        let frame = unsafe { slice::from_raw_parts(data, length) };
        Ok((Bytes::copy_from_slice(frame), is_keyframe != 0))
    }
}

impl Drop for Vp8 {
    fn drop(&mut self) {
        // SAFETY: the pointer is that of `new`, and nobody has it any more.
        unsafe { waldo_vp8_free(self.encoder.as_ptr()) };
    }
}

fn check(code: c_int) -> Result<(), EncodeError> {
    if code == 0 {
        return Ok(());
    }
    // SAFETY: the library gives static texts for all codes, also for unknown ones.
    let text: &'static CStr = unsafe { CStr::from_ptr(waldo_vp8_error(code)) };
    Err(EncodeError::Vp8(text.to_str().unwrap_or("an error without words")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::video::encoder::testing::{bitrate, plain};

    /// Bit 0 of a VP8 frame is zero in keyframes (RFC 6386, 9.1), which then tell their size.
    fn size_of(frame: &[u8]) -> Option<(u16, u16)> {
        let side = |at| u16::from_le_bytes([frame[at], frame[at + 1]]) & 0x3fff;
        (frame[0] & 1 == 0 && frame[3..6] == [0x9d, 0x01, 0x2a]).then(|| (side(6), side(8)))
    }

    #[test]
    fn the_first_picture_is_a_keyframe_and_later_ones_follow_requests() {
        let mut encoder = Vp8::new(64, 48, 200_000).unwrap();
        for (number, asked, expected) in [(0, false, true), (1, false, false), (2, true, true), (3, false, false)] {
            let (data, keyframe) = encoder.encode(&plain(64, 48, 10 * number), asked).unwrap();
            assert_eq!(keyframe, expected, "picture {number}");
            assert_eq!(size_of(&data), expected.then_some((64, 48)));
        }
    }

    #[test]
    fn the_bitrate_changes_while_the_stream_goes_on() {
        let mut encoder = Vp8::new(320, 240, 180_000).unwrap();
        let mut number = 0;
        for bps in [180_000_u32, 90_000, 170_000, 120_000] {
            encoder.set_bitrate(bps);
            // Half a second to follow.
            let measured = bitrate(&mut encoder, number..number + 90, 15, |number, _, keyframe| {
                assert_eq!(keyframe, number == 0, "picture {number}");
            });
            number += 90;
            assert!(measured.abs_diff(bps as usize) < bps as usize / 3, "{measured} bit/s instead of {bps}");
        }
    }

    #[test]
    fn a_size_it_cannot_have_is_an_error() {
        assert!(matches!(Vp8::new(0, 48, 1), Err(EncodeError::Vp8(_))));
        assert!(matches!(Vp8::new(20_000, 48, 1), Err(EncodeError::Vp8(_))));
        let mut encoder = Vp8::new(64, 48, 200_000).unwrap();
        assert!(encoder.encode(&plain(48, 64, 0), false).is_err());
    }
}
