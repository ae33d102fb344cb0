//! All sensors at one moment.

use std::sync::Arc;

use bytes::Bytes;
use waldo_protocol::policy::Dtype;
use waldo_protocol::time::MonoTime;

use super::config::{IDENTITY_K, IDENTITY_T};
use super::{Array, CameraConfig};

/// The newest of every sensor. Pixels are shared with the hub, not copied; clones are cheap.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot {
    /// Cameras in the order they were declared or added.
    pub cameras: Vec<CameraSnapshot>,
    /// Proprioception streams in the order they were declared, then those of the arms and of the base.
    pub proprios: Vec<ProprioSnapshot>,
    /// Whether the cameras' frames were taken within the tolerance that was asked for; false if none was.
    pub aligned: bool,
}

impl Snapshot {
    /// The camera of that name.
    pub fn camera(&self, name: &str) -> Option<&CameraSnapshot> {
        self.cameras.iter().find(|camera| &*camera.name == name)
    }

    /// The proprioception stream of that name.
    pub fn proprio(&self, name: &str) -> Option<&ProprioSnapshot> {
        self.proprios.iter().find(|stream| &*stream.name == name)
    }
}

/// One frame of a camera.
#[derive(Clone, Debug, PartialEq)]
pub struct CameraSnapshot {
    /// The camera's name.
    pub name: Arc<str>,
    /// Pictures so far, this one included; 0 before the first.
    pub n: u64,
    /// When the picture was taken, or written if nobody said when it was taken. None before the first, and while a
    /// camera rests because nobody watches it.
    pub stamp: Option<MonoTime>,
    /// Pinhole matrix K, 3×3 row major, in pixels whose centres have integer coordinates; identity if nobody knows.
    pub intrinsics: [f64; 9],
    /// Camera (optical frame: x right, y down, z forward) to world, 4×4 row major, metres; identity if nobody knows.
    pub extrinsics: [f64; 16],
    /// The picture, [H, W, C]: zeros before the first, [0, 0, C] for a camera that failed, that rests, or whose size
    /// is not known yet.
    pub image: Array,
    /// Depth along the optical axis, [H, W], in metres if its type is float32; none for a camera without depth.
    pub depth: Option<Array>,
}

impl CameraSnapshot {
    /// An added camera that shows nothing yet.
    pub(super) fn nothing(name: Arc<str>) -> Self {
        Self {
            name,
            n: 0,
            stamp: None,
            intrinsics: IDENTITY_K,
            extrinsics: IDENTITY_T,
            image: Array::no_picture(Dtype::Uint8, 3),
            depth: None,
        }
    }

    /// A declared camera before its first picture.
    pub(super) fn declared(config: &CameraConfig, image: Array, depth: Option<Array>) -> Self {
        let (intrinsics, extrinsics) = (config.intrinsics, config.extrinsics);
        Self { name: config.name.as_str().into(), n: 0, stamp: None, intrinsics, extrinsics, image, depth }
    }
}

/// One reading of a proprioception stream.
#[derive(Clone, Debug, PartialEq)]
pub struct ProprioSnapshot {
    /// The stream's name.
    pub name: Arc<str>,
    /// Readings so far, this one included; 0 before the first.
    pub n: u64,
    /// When they were taken, or written; none before the first.
    pub stamp: Option<MonoTime>,
    /// The values, float32 little endian; zeros before the first.
    pub bytes: Bytes,
}

impl ProprioSnapshot {
    /// The values.
    pub fn values(&self) -> impl ExactSizeIterator<Item = f32> + '_ {
        self.bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes))
    }
}
