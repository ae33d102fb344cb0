//! One camera of an observation.

use std::ops::Range;

use super::array::{ArrayRef, part};
use super::capability::{Capabilities, Capability};
use super::configure::Encoding;
use super::fields::Field;
use super::reader::Reader;
use super::{Dtype, Owner, Problem, WireError};

/// The picture of a camera entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// [H, W, C], or [H, W] from some encoders; zeros mean that the camera failed.
    Raw(ArrayRef),
    /// A JPEG file. Only if `enc` is negotiated.
    Jpeg {
        /// Shape of the decoded picture, uint8.
        shape: Vec<usize>,
        /// Bytes of the file, counted from the beginning of the frame.
        bytes: Range<usize>,
    },
    /// The client has it already: the camera's newest frame is not newer than the one it asked for. Only if `fresh` is
    /// negotiated.
    Same {
        /// Shape of the picture the client has.
        shape: Vec<usize>,
    },
}

impl Image {
    /// Shape of the picture, once decoded.
    pub fn shape(&self) -> &[usize] {
        match self {
            Self::Raw(array) => array.shape(),
            Self::Jpeg { shape, .. } | Self::Same { shape } => shape,
        }
    }

    /// Where its bytes lie in the frame.
    pub fn bytes(&self) -> Range<usize> {
        match self {
            Self::Raw(array) => array.bytes(),
            Self::Jpeg { bytes, .. } => bytes.clone(),
            Self::Same { .. } => 0..0,
        }
    }
}

/// A camera as it was received.
#[derive(Clone, Debug, PartialEq)]
pub struct Camera {
    /// Its name; not always unique.
    pub name: String,
    /// When the picture was taken, seconds of the robot's monotonic clock; 0 before the first. Some robots send
    /// nanoseconds of Unix time.
    pub timestamp: f64,
    /// Pinhole matrix K, row major, pixels: [fx, shear, cx, 0, fy, cy, 0, 0, 1].
    pub intrinsics: [f64; 9],
    /// Camera (optical: x right, y down, z forward) to world, row major 4×4; the translation, metres, is at 3, 7, 11.
    pub extrinsics: [f64; 16],
    /// Its picture.
    pub image: Image,
    /// [H, W], metres if float32; `None` if the camera has no depth.
    pub depth: Option<ArrayRef>,
    /// Counter of the camera's frames, if negotiated.
    pub n: Option<u64>,
    /// Age of the picture when it was sent, milliseconds, if negotiated.
    pub age_ms: Option<f64>,
}

const KEYS: [&str; 16] = [
    "name",
    "timestamp",
    "intrinsics",
    "extrinsics",
    "image_shape",
    "image_dtype",
    "image_offset",
    "image_size",
    "depth_shape",
    "depth_dtype",
    "depth_offset",
    "depth_size",
    "encoding",
    "n",
    "age_ms",
    "same",
];

impl Camera {
    pub(super) fn read(
        entry: Reader<'_>,
        index: usize,
        payload: &Range<usize>,
        caps: Capabilities,
    ) -> Result<Self, WireError> {
        let Some(members) = entry.members(KEYS)? else {
            return Err(WireError::field("cameras", Problem::Not("an array of maps")));
        };
        let owner = || Owner::Camera(members[0].text().map_or_else(|_| format!("#{index}"), str::to_owned));
        Self::from_members(&members, payload, caps).map_err(|error| error.of(owner()))
    }

    fn from_members(
        members: &[Field<'_>; KEYS.len()],
        payload: &Range<usize>,
        caps: Capabilities,
    ) -> Result<Self, WireError> {
        let [name, timestamp, intrinsics, extrinsics, shape, dtype, offset, size, rest @ ..] = *members;
        let [depth_shape, depth_dtype, depth_offset, depth_size, encoding, n, age_ms, same] = rest;
        let marked = caps.has(Capability::Enc) || caps.has(Capability::Fresh);
        let encoding = encoding
            .negotiated(caps.has(Capability::Enc), |field| field.named(Encoding::from_name, "raw or jpeg"))?
            .unwrap_or(Encoding::Raw);
        let same = same.negotiated(caps.has(Capability::Fresh), Field::flag)?.unwrap_or(false);
        let image = match encoding {
            _ if same => Image::Same { shape: shape.shape()? },
            Encoding::Raw => Image::Raw(ArrayRef::located([shape, dtype, offset, size], payload)?),
            Encoding::Jpeg => {
                let shape = shape.shape()?;
                if !matches!(shape[..], [_, _] | [_, _, 1 | 3]) || dtype.dtype()? != Dtype::Uint8 {
                    return Err(dtype.error(Problem::Contradiction("a JPEG is uint8 with 1 or 3 channels")));
                }
                Image::Jpeg { shape, bytes: part(offset, size, payload)? }
            }
        };
        let depth = depth_shape
            .optional(|depth_shape| ArrayRef::located([*depth_shape, depth_dtype, depth_offset, depth_size], payload));
        Ok(Self {
            name: name.text()?.to_owned(),
            timestamp: timestamp.optional(Field::number)?.unwrap_or(0.0),
            intrinsics: intrinsics.numbers()?,
            extrinsics: extrinsics.numbers()?,
            image,
            // A picture that stayed the same has no new depth either.
            depth: if same { None } else { depth? },
            n: n.negotiated(marked, Field::integer)?,
            age_ms: age_ms.negotiated(marked, Field::magnitude)?,
        })
    }
}
