//! Cameras to H.264, or VP8: one encoder per source and codec, shared by every viewer.
//!
//! A [`Feed`] rests until somebody subscribes. Its encoder runs on a thread of its own, away from the pose path, and
//! ends with the last subscription. Pictures go RGB to I420 to constrained-baseline H.264; a viewer that cannot follow
//! skips to the next keyframe and never slows the encoder or another viewer.

mod annex_b;
mod compose;
mod encoded;
mod encoder;
mod feed;
mod health;
mod i420;
mod ladder;
mod poller;
mod queue;
mod rate;
mod run;
mod schedule;
mod source;

pub use compose::{CameraChoice, ComposeSettings, Composition, MAX_COMPOSED};
pub use encoded::{BadAccessUnit, H264Sender, H264Source};
pub use encoder::{Codec, H264Encoder, NoEncoder};
pub(crate) use feed::WeakFeed;
pub use feed::{EncodedFrame, Feed, Subscription};
pub use source::{PictureSender, VideoSource};
