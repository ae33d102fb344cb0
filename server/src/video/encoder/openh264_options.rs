//! Options of a running openh264 encoder that the `openh264` crate has no safe call for.
#![expect(unsafe_code, reason = "options are set through the raw interface of the C++ library")]

use std::os::raw::c_int;
use std::ptr;

use openh264::encoder::Encoder;
use openh264_sys2::{
    ENCODER_OPTION, ENCODER_OPTION_BITRATE, ENCODER_OPTION_FRAME_RATE, ENCODER_OPTION_MAX_BITRATE,
    ENCODER_OPTION_TRACE_LEVEL, SBitrateInfo, SPATIAL_LAYER_0,
};

use super::EncodeError;

/// Keeps the encoder from writing to stderr; it complains of settings that are meant so.
pub(super) fn silence(encoder: &mut Encoder) -> Result<(), EncodeError> {
    let quiet: c_int = 0;
    set(encoder, "trace level", ENCODER_OPTION_TRACE_LEVEL, quiet)
}

/// Aims at this many bits per second, and lets single pictures take `max` bits per second. The encoder must have
/// encoded a picture: before, it refuses.
pub(super) fn set_bitrate(encoder: &mut Encoder, bps: i32, max: i32) -> Result<(), EncodeError> {
    let rate = |bps| SBitrateInfo { iLayer: SPATIAL_LAYER_0, iBitrate: bps };
    // The highest rate first: the encoder refuses a rate above it, and never minds one far below.
    set(encoder, "maximum bitrate", ENCODER_OPTION_MAX_BITRATE, rate(max))?;
    set(encoder, "bitrate", ENCODER_OPTION_BITRATE, rate(bps))
}

/// Plans for this many pictures per second, at most 60. The encoder must have encoded a picture: before, it refuses.
pub(super) fn set_frame_rate(encoder: &mut Encoder, fps: f32) -> Result<(), EncodeError> {
    set(encoder, "frame rate", ENCODER_OPTION_FRAME_RATE, fps)
}

/// Sets one option. Private to this module, because the type of the value must be the one that the option takes.
fn set<T: Copy>(
    encoder: &mut Encoder,
    name: &'static str,
    option: ENCODER_OPTION,
    mut value: T,
) -> Result<(), EncodeError> {
    // SAFETY: `Encoder` holds a valid encoder for as long as it lives, and we have it alone. SetOption reads through the
    // pointer a value of the type that the option's documentation in codec_app_def.h names, before it returns, and
    // keeps no reference: `int` for the trace level, `SBitrateInfo` for both bitrates, `float` for the frame rate,
    // which is what the callers above pass. None of these changes what the `openh264` crate relies on (picture size,
    // pixel format, layers). An encoder without a picture yet returns an error for all but the trace level.
    let code = unsafe { encoder.raw_api().set_option(option, ptr::from_mut(&mut value).cast()) };
    if code == 0 { Ok(()) } else { Err(EncodeError::Option { option: name, code }) }
}
