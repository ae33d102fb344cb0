//! What every encoder has in common, whatever its codec.

#[cfg(feature = "gstreamer")]
mod gst;
mod openh264;
mod openh264_options;
#[cfg(test)]
mod testing;
#[cfg(feature = "vp8")]
mod vp8;

use std::str::FromStr;

use bytes::Bytes;

use self::openh264::H264;
use super::i420::I420;

/// How pictures are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// H.264, constrained baseline; access units in Annex B form.
    H264,
    /// VP8.
    #[cfg(feature = "vp8")]
    Vp8,
}

impl Codec {
    /// All that this build has, those first that are better for most clients.
    pub const ALL: &'static [Self] = &[
        Self::H264,
        #[cfg(feature = "vp8")]
        Self::Vp8,
    ];

    /// An encoder for pictures of this size that begins with this bitrate.
    pub(super) fn encoder(
        self,
        h264: &H264Encoder,
        (width, height): (u32, u32),
        bps: u32,
    ) -> Result<Box<dyn Encoder>, EncodeError> {
        Ok(match (self, h264) {
            (Self::H264, H264Encoder::BuiltIn) => Box::new(H264::new(width, height, bps)?),
            #[cfg(feature = "gstreamer")]
            (Self::H264, H264Encoder::Gstreamer(element)) => Box::new(gst::Gst::new(element, width, height, bps)?),
            #[cfg(feature = "vp8")]
            (Self::Vp8, _) => Box::new(vp8::Vp8::new(width, height, bps)?),
        })
    }
}

/// What encodes H.264.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum H264Encoder {
    /// openh264, which Waldo has inside.
    #[default]
    BuiltIn,
    /// An element of GStreamer by its name, such as `vah264enc`, with properties if the usual ones do not do. When it
    /// fails, the built-in one goes on.
    #[cfg(feature = "gstreamer")]
    Gstreamer(String),
}

/// Why there is no such encoder; the message is for the user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoEncoder(String);

impl FromStr for H264Encoder {
    type Err = NoEncoder;

    fn from_str(text: &str) -> Result<Self, NoEncoder> {
        match text.split_once(':') {
            None if text == "openh264" => Ok(Self::BuiltIn),
            #[cfg(feature = "gstreamer")]
            Some(("gst", element)) if !element.trim().is_empty() => Ok(Self::Gstreamer(element.trim().to_owned())),
            #[cfg(not(feature = "gstreamer"))]
            Some(("gst", _)) => Err(NoEncoder("this program was built without the feature `gstreamer`".into())),
            _ => Err(NoEncoder("expected openh264, or gst:ELEMENT such as gst:vah264enc".into())),
        }
    }
}

impl H264Encoder {
    /// Tries it with a small picture.
    ///
    /// # Errors
    /// [`NoEncoder`] with what the encoder says.
    pub fn check(&self) -> Result<(), NoEncoder> {
        let tried = Codec::H264.encoder(self, (320, 240), 500_000);
        let tried = tried.and_then(|mut encoder| encoder.encode(&I420::new(320, 240), true));
        tried.map(drop).map_err(|error| NoEncoder(format!("--encoder: {error}")))
    }
}

/// Pictures per second the rate control plans for.
pub(super) const FPS: f32 = 30.0;

/// Compressed size of a picture. 640x480 at 30 Hz: 1.1 Mbit/s; 1280x720: 3.3 Mbit/s.
const BITS_PER_PIXEL: f32 = 0.12;

/// Smaller pictures are not planned with less than this, in bits per second: it makes the picture unreadable.
const SMALL_BITRATE: f32 = 200_000.0;

/// What encoders are asked for at least and at most, in bits per second.
const MIN_BITRATE: u32 = 30_000;
const MAX_BITRATE: u32 = 200_000_000;

/// A keyframe at least this often, in pictures. Viewers ask for keyframes when they need one; each costs a burst on the
/// link, so those that nobody asked for are rare.
const INTRA_PERIOD: u32 = 600;

/// Turns pictures of one size into access units of one codec. The first one is a keyframe.
pub(super) trait Encoder: Send {
    /// Aims at this many bits per second from the next picture on. The stream goes on: no keyframe, no new encoder.
    fn set_bitrate(&mut self, bps: u32);

    /// Plans for this many pictures per second from the next one on; 30 at the beginning.
    fn set_frame_rate(&mut self, fps: f32);

    /// Encodes one picture of the encoder's size; gives the access unit and whether it is a keyframe, which it always
    /// is when `keyframe` is set.
    ///
    /// # Errors
    /// [`EncodeError`]; the encoder is of no use any more.
    fn encode(&mut self, picture: &I420, keyframe: bool) -> Result<(Bytes, bool), EncodeError>;
}

/// Why a picture could not be encoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncodeError {
    #[error("colour conversion: {0}")]
    Convert(#[from] yuv::YuvError),
    #[error("H.264 encoder: {0}")]
    Encode(#[from] ::openh264::Error),
    #[error("a picture of {width}x{height}: the H.264 encoder takes at most 3840x2160, or 2160x3840")]
    TooLarge { width: u32, height: u32 },
    #[error("the encoder refused its option {option}: code {code}")]
    Option { option: &'static str, code: i32 },
    #[cfg(feature = "gstreamer")]
    #[error("GStreamer: {0}")]
    Gst(String),
    #[cfg(feature = "vp8")]
    #[error("VP8 encoder: {0}")]
    Vp8(&'static str),
    #[error("the encoder gave no picture back")]
    Skipped,
}

/// What a good picture of this size takes, in bits per second. Used until somebody knows what the network carries.
pub(super) fn default_bitrate(width: u32, height: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 3840 * 2160 * 3.6")]
    let bitrate = (width as f32 * height as f32 * FPS * BITS_PER_PIXEL).max(SMALL_BITRATE) as u32;
    bitrate
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoders_are_chosen_by_name() {
        assert_eq!("openh264".parse(), Ok(H264Encoder::BuiltIn));
        assert!(H264Encoder::BuiltIn.check().is_ok());
        for wrong in ["", "x264enc", "gst", "gst:", "gst: "] {
            assert!(wrong.parse::<H264Encoder>().is_err(), "{wrong}");
        }
    }

    #[cfg(feature = "gstreamer")]
    #[test]
    fn elements_are_tried_before_anybody_watches() {
        assert!("gst:x264enc".parse::<H264Encoder>().unwrap().check().is_ok());
        let own: H264Encoder = "gst:x264enc tune=zerolatency speed-preset=superfast".parse().unwrap();
        assert!(own.check().is_ok());
        let error = "gst:nothing".parse::<H264Encoder>().unwrap().check().unwrap_err().to_string();
        assert!(error.starts_with("--encoder: ") && error.contains("nothing"), "{error}");
    }

    #[test]
    fn the_bitrate_follows_the_size() {
        assert_eq!(default_bitrate(640, 480), 1_105_920);
        assert_eq!(default_bitrate(1280, 720), 3_317_760);
        assert_eq!(default_bitrate(64, 48), 200_000);
    }
}
