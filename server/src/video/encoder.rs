//! One H.264 encoder for pictures of one size.

use bytes::Bytes;
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, ColorPrimaries, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod,
    MatrixCoefficients, Profile, RateControlMode, SpsPpsStrategy, TransferCharacteristics, UsageType, VuiConfig,
};

use super::i420::I420;
use crate::sensors::RgbImage;

/// Pictures per second the rate control plans for.
const FPS: f32 = 30.0;

/// Compressed size of a picture. 640x480 at 30 Hz: 1.1 Mbit/s; 1280x720: 3.3 Mbit/s.
const BITS_PER_PIXEL: f32 = 0.12;

/// Smaller pictures get no less than this, in bits per second: tiny rates make the picture unreadable.
const MIN_BITRATE: f32 = 200_000.0;

/// A keyframe at least this often, in pictures. Viewers ask for keyframes when they need one; each costs a burst on the
/// link, so those that nobody asked for are rare.
const INTRA_PERIOD: u32 = 600;

/// Why a picture could not be encoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum EncodeError {
    #[error("colour conversion: {0}")]
    Convert(#[from] yuv::YuvError),
    #[error("H.264 encoder: {0}")]
    Encode(#[from] openh264::Error),
    #[error("a picture of {width}x{height}: the H.264 encoder takes at most 3840x2160, or 2160x3840")]
    TooLarge { width: u32, height: u32 },
    #[error("the H.264 encoder gave no picture back")]
    Skipped,
}

/// An encoder and its input buffer. The first picture is a keyframe.
pub(super) struct H264 {
    encoder: Encoder,
    picture: I420,
}

impl H264 {
    /// An encoder for pictures of this size.
    pub(super) fn new(width: u32, height: u32) -> Result<Self, EncodeError> {
        if width.max(height) > 3840 || width.min(height) > 2160 {
            return Err(EncodeError::TooLarge { width, height });
        }
        let config = EncoderConfig::new()
            .usage_type(UsageType::CameraVideoRealTime)
            .profile(Profile::Baseline)
            .complexity(Complexity::Low)
            .num_threads(1)
            .bitrate(BitRate::from_bps(bitrate(width, height)))
            .rate_control_mode(RateControlMode::Bitrate)
            .max_frame_rate(FrameRate::from_hz(FPS))
            .skip_frames(false)
            .scene_change_detect(false)
            .intra_frame_period(IntraFramePeriod::from_num_frames(INTRA_PERIOD))
            .sps_pps_strategy(SpsPpsStrategy::ConstantId)
            .vui(
                VuiConfig::new()
                    .color_primaries(ColorPrimaries::Bt709)
                    .transfer_characteristics(TransferCharacteristics::Bt709)
                    .matrix_coefficients(MatrixCoefficients::Smpte170M)
                    .full_range(false),
            );
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config)?;
        Ok(Self { encoder, picture: I420::new(width, height) })
    }

    /// Whether pictures of this image's size can be encoded.
    pub(super) fn fits(&self, image: &RgbImage) -> bool {
        self.picture.fits(image)
    }

    /// Encodes one picture of the encoder's size; gives the access unit in Annex B form and whether it is a keyframe,
    /// which it always is when `keyframe` is set.
    pub(super) fn encode(&mut self, image: &RgbImage, keyframe: bool) -> Result<(Bytes, bool), EncodeError> {
        self.picture.fill(image)?;
        if keyframe {
            self.encoder.force_intra_frame();
        }
        let stream = self.encoder.encode(&self.picture)?;
        let keyframe = match stream.frame_type() {
            FrameType::IDR => true,
            FrameType::I | FrameType::P | FrameType::IPMixed => false,
            FrameType::Skip | FrameType::Invalid => return Err(EncodeError::Skipped),
        };
        Ok((stream.to_vec().into(), keyframe))
    }
}

fn bitrate(width: u32, height: u32) -> u32 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 3840 * 2160 * 3.6")]
    let bitrate = (width as f32 * height as f32 * FPS * BITS_PER_PIXEL).max(MIN_BITRATE) as u32;
    bitrate
}

#[cfg(test)]
mod tests {
    use openh264::decoder::Decoder;

    use super::*;

    fn image(width: u32, height: u32, value: u8) -> RgbImage {
        RgbImage::new(width, height, vec![value; (width * height * 3) as usize]).unwrap()
    }

    /// NAL unit types of an Annex B stream.
    fn nal_types(data: &[u8]) -> Vec<u8> {
        data.windows(4).filter(|w| w[..3] == [0, 0, 1]).map(|w| w[3] & 0x1f).collect()
    }

    #[test]
    fn the_first_picture_is_a_keyframe_with_parameter_sets_and_later_ones_follow_requests() {
        let mut encoder = H264::new(64, 48).unwrap();
        let (data, keyframe) = encoder.encode(&image(64, 48, 10), false).unwrap();
        assert!(keyframe);
        assert_eq!(nal_types(&data), [7, 8, 5]);
        let (data, keyframe) = encoder.encode(&image(64, 48, 20), false).unwrap();
        assert!(!keyframe);
        assert_eq!(nal_types(&data), [1]);
        let (data, keyframe) = encoder.encode(&image(64, 48, 30), true).unwrap();
        assert!(keyframe);
        assert_eq!(nal_types(&data), [7, 8, 5]);
    }

    #[test]
    fn the_stream_is_constrained_baseline() {
        let (data, _) = H264::new(64, 48).unwrap().encode(&image(64, 48, 0), false).unwrap();
        let sps = data.windows(4).position(|w| w == [0, 0, 1, 0x67]).unwrap();
        assert_eq!(data[sps + 4], 66, "profile_idc");
        assert_eq!(data[sps + 5] & 0x40, 0x40, "constraint_set1_flag");
    }

    #[test]
    fn every_picture_can_be_decoded_at_once() {
        let mut encoder = H264::new(64, 48).unwrap();
        let mut decoder = Decoder::new().unwrap();
        for value in [0, 80, 160, 240] {
            let (data, _) = encoder.encode(&image(64, 48, value), false).unwrap();
            let picture = decoder.decode(&data).unwrap().expect("no picture delay");
            let mut rgb = vec![0; 64 * 48 * 3];
            picture.write_rgb8(&mut rgb);
            assert!(rgb[0].abs_diff(value) < 12, "{} instead of {value}", rgb[0]);
        }
    }

    #[test]
    fn a_picture_beyond_the_encoders_limit_is_an_error() {
        assert!(H264::new(3840, 2160).is_ok());
        for (width, height) in [(3842, 16), (16, 3842), (2162, 2162)] {
            assert!(matches!(H264::new(width, height), Err(EncodeError::TooLarge { .. })), "{width}x{height}");
        }
    }

    #[test]
    fn the_bitrate_follows_the_size() {
        assert_eq!(bitrate(640, 480), 1_105_920);
        assert_eq!(bitrate(1280, 720), 3_317_760);
        assert_eq!(bitrate(64, 48), 200_000);
    }
}
