//! Cameras to H.264: one encoder per source, shared by every viewer.
//!
//! A [`Feed`] rests until somebody subscribes. Its encoder runs on a thread of its own, away from the pose path.

mod encoder;
mod feed;
mod source;

pub use feed::{EncodedFrame, Feed, FeedSettings, Subscription};
pub use source::VideoSource;
