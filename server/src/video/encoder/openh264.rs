//! H.264 in software, with the library that Waldo carries inside.

use bytes::Bytes;
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, ColorPrimaries, Complexity, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, MatrixCoefficients,
    Profile, RateControlMode, SpsPpsStrategy, TransferCharacteristics, UsageType, VuiConfig,
};

use super::openh264_options::{set_bitrate, set_frame_rate, silence};
use super::{EncodeError, Encoder, FPS, INTRA_PERIOD, MAX_BITRATE, MIN_BITRATE};
use crate::video::i420::I420;

/// The highest frame rate that the library plans for.
const MAX_FPS: f32 = 60.0;

/// Frame rates that differ by less than this part count as equal: each change makes the rate control begin anew.
const FPS_TOLERANCE: f32 = 0.2;

/// An encoder for pictures of one size.
pub(in crate::video) struct H264 {
    encoder: openh264::encoder::Encoder,
    bps: i32,
    /// What the library was told last, and the highest that it was ever told, which it wants to know apart.
    told: i32,
    highest: i32,
    fps: f32,
    told_fps: f32,
    /// Before its first picture the library takes no options.
    begun: bool,
}

impl H264 {
    /// An encoder for pictures of this size that begins with this bitrate.
    pub(in crate::video) fn new(width: u32, height: u32, bps: u32) -> Result<Self, EncodeError> {
        let bps = bps.clamp(MIN_BITRATE, MAX_BITRATE);
        if width.max(height) > 3840 || width.min(height) > 2160 {
            return Err(EncodeError::TooLarge { width, height });
        }
        let config = EncoderConfig::new()
            .usage_type(UsageType::CameraVideoRealTime)
            .profile(Profile::Baseline)
            .complexity(Complexity::Low)
            .num_threads(1)
            .bitrate(BitRate::from_bps(bps))
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
        let mut encoder = openh264::encoder::Encoder::with_api_config(OpenH264API::from_source(), config)?;
        silence(&mut encoder)?;
        let bps = bps.cast_signed();
        Ok(Self { encoder, bps, told: bps, highest: bps, fps: FPS, told_fps: FPS, begun: false })
    }
}

impl Encoder for H264 {
    fn set_bitrate(&mut self, bps: u32) {
        self.bps = bps.clamp(MIN_BITRATE, MAX_BITRATE).cast_signed();
    }

    fn set_frame_rate(&mut self, fps: f32) {
        self.fps = fps.clamp(1.0, MAX_FPS);
    }

    fn encode(&mut self, picture: &I420, keyframe: bool) -> Result<(Bytes, bool), EncodeError> {
        if self.begun && self.told != self.bps {
            self.highest = self.highest.max(self.bps);
            set_bitrate(&mut self.encoder, self.bps, self.highest)?;
            self.told = self.bps;
        }
        if self.begun && (self.fps / self.told_fps - 1.0).abs() > FPS_TOLERANCE {
            set_frame_rate(&mut self.encoder, self.fps)?;
            self.told_fps = self.fps;
        }
        if keyframe {
            self.encoder.force_intra_frame();
        }
        let stream = self.encoder.encode(picture)?;
        let keyframe = match stream.frame_type() {
            FrameType::IDR => true,
            FrameType::I | FrameType::P | FrameType::IPMixed => false,
            FrameType::Skip | FrameType::Invalid => return Err(EncodeError::Skipped),
        };
        let data = stream.to_vec().into();
        self.begun = true;
        Ok((data, keyframe))
    }
}

#[cfg(test)]
mod tests {
    use openh264::decoder::Decoder;

    use super::*;
    use crate::video::encoder::testing::{bitrate, flicker, grey, plain};

    /// NAL unit types of an Annex B stream.
    fn nal_types(data: &[u8]) -> Vec<u8> {
        data.windows(4).filter(|w| w[..3] == [0, 0, 1]).map(|w| w[3] & 0x1f).collect()
    }

    #[test]
    fn the_first_picture_is_a_keyframe_with_parameter_sets_and_later_ones_follow_requests() {
        let mut encoder = H264::new(64, 48, 200_000).unwrap();
        let (data, keyframe) = encoder.encode(&plain(64, 48, 10), false).unwrap();
        assert!(keyframe);
        assert_eq!(nal_types(&data), [7, 8, 5]);
        let (data, keyframe) = encoder.encode(&plain(64, 48, 20), false).unwrap();
        assert!(!keyframe);
        assert_eq!(nal_types(&data), [1]);
        let (data, keyframe) = encoder.encode(&plain(64, 48, 30), true).unwrap();
        assert!(keyframe);
        assert_eq!(nal_types(&data), [7, 8, 5]);
    }

    #[test]
    fn the_bitrate_changes_while_the_stream_goes_on() {
        let mut encoder = H264::new(320, 240, 600_000).unwrap();
        let mut decoder = Decoder::new().unwrap();
        let mut number = 0;
        for bps in [600_000, 200_000, 900_000, 400_000] {
            encoder.set_bitrate(bps);
            // The encoder may take half a second to follow.
            let measured = bitrate(&mut encoder, number..number + 60, 15, |number, data, keyframe| {
                assert_eq!(keyframe, number == 0, "picture {number}");
                assert!(decoder.decode(data).unwrap().is_some());
            });
            number += 60;
            assert!(measured.abs_diff(bps as usize) < bps as usize / 5, "{measured} bit/s instead of {bps}");
        }
    }

    #[test]
    fn a_camera_that_gives_few_pictures_uses_its_bitrate_too() {
        for fps in [10_u16, 60] {
            let mut encoder = H264::new(320, 240, 400_000).unwrap();
            encoder.set_frame_rate(fps.into());
            let frames = u32::from(4 * fps);
            let bytes = |from: u32, to: u32, encoder: &mut H264| -> usize {
                (from..to).map(|number| encoder.encode(&flicker(number), false).unwrap().0.len()).sum()
            };
            bytes(0, frames / 4, &mut encoder);
            let measured = bytes(frames / 4, frames, &mut encoder) * 8 / 3;
            assert!(measured.abs_diff(400_000) < 80_000, "{measured} bit/s at {fps} pictures per second");
        }
    }

    #[test]
    fn a_rate_set_before_the_first_picture_is_followed_after_it() {
        let mut encoder = H264::new(64, 48, 200_000).unwrap();
        encoder.set_bitrate(0);
        encoder.set_bitrate(u32::MAX);
        encoder.set_frame_rate(f32::MAX);
        for value in 0..4 {
            encoder.encode(&plain(64, 48, value), false).unwrap();
        }
    }

    #[test]
    fn the_stream_is_constrained_baseline() {
        let (data, _) = H264::new(64, 48, 200_000).unwrap().encode(&plain(64, 48, 0), false).unwrap();
        let sps = data.windows(4).position(|w| w == [0, 0, 1, 0x67]).unwrap();
        assert_eq!(data[sps + 4], 66, "profile_idc");
        assert_eq!(data[sps + 5] & 0x40, 0x40, "constraint_set1_flag");
    }

    #[test]
    fn every_picture_can_be_decoded_at_once() {
        let mut encoder = H264::new(64, 48, 200_000).unwrap();
        let mut decoder = Decoder::new().unwrap();
        for value in [0, 80, 160, 240] {
            let (data, _) = encoder.encode(&plain(64, 48, value), false).unwrap();
            let seen = grey(&mut decoder, &data);
            assert!(seen.abs_diff(value) < 12, "{seen} instead of {value}");
        }
    }

    #[test]
    fn a_picture_beyond_the_encoders_limit_is_an_error() {
        assert!(H264::new(3840, 2160, 1_000_000).is_ok());
        for (width, height) in [(3842, 16), (16, 3842), (2162, 2162)] {
            assert!(
                matches!(H264::new(width, height, 1_000_000), Err(EncodeError::TooLarge { .. })),
                "{width}x{height}"
            );
        }
    }
}
