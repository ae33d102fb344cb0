//! What is declared of cameras and proprioception streams before their first reading.

use waldo_protocol::policy::Dtype;

/// The pinhole matrix of a camera that nobody measured, row major.
pub(super) const IDENTITY_K: [f64; 9] = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0];

/// A camera at the origin of the world, row major.
pub(super) const IDENTITY_T: [f64; 16] =
    [1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0];

/// A camera that a program writes to by its name. [`CameraConfig::new`] has the defaults of all that is optional.
///
/// ```
/// use waldo_server::sensors::CameraConfig;
///
/// let wrist = CameraConfig { has_depth: true, ..CameraConfig::new("wrist", 480, 640) };
/// assert_eq!((wrist.channels, wrist.intrinsics[8]), (3, 1.0));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CameraConfig {
    /// Its name, which no other camera has.
    pub name: String,
    /// Rows. A camera of 0×0 pixels is one that failed.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// 3 for RGB, 1 for grey. Default 3.
    pub channels: u32,
    /// Whether it measures depth, of the same height and width. Default false.
    pub has_depth: bool,
    /// Pinhole matrix K, 3×3 row major, in pixels whose centres have integer coordinates; may be updated. Default:
    /// identity.
    pub intrinsics: [f64; 9],
    /// Camera (optical frame: x right, y down, z forward) to world, 4×4 row major with the translation in metres at
    /// elements 3, 7 and 11; may be updated. Default: identity.
    pub extrinsics: [f64; 16],
    /// Element type of its pictures. Default uint8; only that can be video too.
    pub image_dtype: Dtype,
    /// Element type of its depth. Default float32, which is in metres.
    pub depth_dtype: Dtype,
}

impl CameraConfig {
    /// An RGB camera of that many rows and columns.
    pub fn new(name: impl Into<String>, height: u32, width: u32) -> Self {
        Self {
            name: name.into(),
            height,
            width,
            channels: 3,
            has_depth: false,
            intrinsics: IDENTITY_K,
            extrinsics: IDENTITY_T,
            image_dtype: Dtype::Uint8,
            depth_dtype: Dtype::Float32,
        }
    }

    /// [H, W, C].
    pub(super) fn image_shape(&self) -> [usize; 3] {
        [self.height as usize, self.width as usize, self.channels as usize]
    }

    /// [H, W].
    pub(super) fn depth_shape(&self) -> [usize; 2] {
        [self.height as usize, self.width as usize]
    }
}

/// A proprioception stream that a program writes to by its name: a list of numbers, such as the angles of joints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProprioConfig {
    /// Its name, which no other stream has.
    pub name: String,
    /// Number of values.
    pub size: usize,
    /// Type of the values that are written. Default float32. Snapshots and the policy wire have float32 always: any
    /// other type is converted, and what float32 cannot hold is rounded.
    pub dtype: Dtype,
}

impl ProprioConfig {
    /// A stream of that many float32 values.
    pub fn new(name: impl Into<String>, size: usize) -> Self {
        Self { name: name.into(), size, dtype: Dtype::Float32 }
    }
}
