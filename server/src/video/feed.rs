//! One encoded camera.

use bytes::Bytes;
use waldo_protocol::time::MonoTime;

use super::VideoSource;

/// One access unit in Annex B form.
#[derive(Clone, Debug)]
pub struct EncodedFrame {
    /// NAL units with start codes; a keyframe carries SPS and PPS.
    pub data: Bytes,
    /// Decodable without earlier frames.
    pub keyframe: bool,
    /// When the picture was taken.
    pub captured: MonoTime,
}

/// Encoder settings of one feed.
#[derive(Clone, Copy, Debug)]
pub struct FeedSettings {
    /// Bits per second.
    pub bitrate: u32,
    /// Frames per second the rate control plans for.
    pub fps: f32,
}

/// One camera, encoded once for all viewers. Cheap to clone; the encoder ends with the last clone.
#[derive(Clone)]
pub struct Feed {}

/// One viewer's share of a feed. Frames that it does not fetch in time are dropped up to the next keyframe.
pub struct Subscription {}

impl Feed {
    /// A feed of this source. Nothing runs before the first subscription.
    pub fn new(_name: impl Into<String>, _source: VideoSource) -> Self {
        unimplemented!()
    }

    /// The camera's name.
    pub fn name(&self) -> &str {
        unimplemented!()
    }

    /// Starts to watch; the first frame is a keyframe.
    pub fn subscribe(&self) -> Subscription {
        unimplemented!()
    }

    /// Asks for a keyframe soon; requests within 300 ms are merged.
    pub fn request_keyframe(&self) {
        unimplemented!()
    }
}

impl Subscription {
    /// The next frame, or none when the feed has ended.
    pub async fn next(&mut self) -> Option<EncodedFrame> {
        unimplemented!()
    }
}
