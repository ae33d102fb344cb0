//! Settings of cameras and video.

use super::BitrateRange;
use crate::sensors::V4l2Address;
use crate::video::H264Encoder;

/// How the two cameras of a stereo pair, `NAME_left` and `NAME_right`, are offered to clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stereo {
    /// As two tracks under their own names.
    #[default]
    Pair,
    /// Side by side in one track, `NAME_sbs`: one decoder in the headset instead of two.
    Packed,
}

/// What a user can choose about cameras and video.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CameraSettings {
    /// How stereo pairs are offered.
    pub stereo: Stereo,
    /// Cameras of this computer, beside the robot's own. One with the name of another takes its place.
    pub v4l2: Vec<V4l2Address>,
    /// What encodes H.264.
    pub encoder: H264Encoder,
    /// Within what each camera's bitrate follows the network; `None` goes by the size of the picture.
    pub bitrate: Option<BitrateRange>,
}
