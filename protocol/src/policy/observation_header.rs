//! Observations to be sent: the header of a frame, for which the arrays stay where they are.

use super::app_map::AppMap;
use super::array::byte_size;
use super::configure::{Align, Encoding};
use super::episode::{Episode, Outcome};
use super::fields::Field;
use super::ids::RequestId;
use super::writer::{MapWriter, array, frame};
use super::{Dtype, Frame, Problem, WireError};

/// Element type and shape of an array to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArrayHeader<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    size: usize,
}

impl<'a> ArrayHeader<'a> {
    /// An array of that shape, outermost dimension first.
    ///
    /// # Errors
    /// More than [`MAX_DIMENSIONS`](super::MAX_DIMENSIONS), or a size in bytes that is no number of this computer.
    pub fn new(dtype: Dtype, shape: &'a [usize]) -> Result<Self, Problem> {
        Ok(Self { dtype, shape, size: byte_size(dtype, shape)? })
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// Bytes it takes in the payload.
    pub fn size(&self) -> usize {
        self.size
    }
}

/// The picture of a camera to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageHeader<'a> {
    /// The pixels, [H, W, C].
    Raw(ArrayHeader<'a>),
    /// A JPEG file of `size` bytes, which shows `picture`. Only if `enc` is negotiated.
    Jpeg {
        /// The decoded picture.
        picture: ArrayHeader<'a>,
        /// Length of the file, bytes.
        size: usize,
    },
    /// The client has `picture` already. Only if `fresh` is negotiated.
    Same(ArrayHeader<'a>),
}

impl ImageHeader<'_> {
    /// Bytes it takes in the payload.
    pub fn size(&self) -> usize {
        match self {
            Self::Raw(array) => array.size,
            Self::Jpeg { size, .. } => *size,
            Self::Same(_) => 0,
        }
    }
}

/// A camera to be sent. See [`Camera`](super::Camera) for units and frames of reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CameraHeader<'a> {
    /// Its name.
    pub name: &'a str,
    /// When the picture was taken, seconds of the monotonic clock; 0 before the first.
    pub timestamp: f64,
    /// Pinhole matrix K, row major, pixels.
    pub intrinsics: &'a [f64; 9],
    /// Camera to world, row major.
    pub extrinsics: &'a [f64; 16],
    /// Its picture.
    pub image: ImageHeader<'a>,
    /// Its depth, [H, W]; not of a picture that stayed the same.
    pub depth: Option<ArrayHeader<'a>>,
    /// Encoding, counter and age; only if `enc` or `fresh` is negotiated.
    pub marks: Option<CameraMarks>,
}

/// What a camera entry says beyond the plain wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CameraMarks {
    /// Counter of the camera's frames.
    pub n: u64,
    /// Age of the picture, milliseconds.
    pub age_ms: f64,
}

/// A proprioception stream to be sent: float32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProprioHeader<'a> {
    /// Its name.
    pub name: &'a str,
    /// Number of its values.
    pub len: usize,
}

/// Which message an observation is part of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ObservationKind<'a> {
    /// `obs_response`
    Requested,
    /// `reset_response`
    Reset {
        /// Whatever the application says about the new episode.
        info: &'a AppMap,
    },
    /// `step_response` of the coupled generation.
    Step {
        /// What the action led to.
        outcome: Outcome,
        /// Whatever the application says about the step.
        info: &'a AppMap,
    },
    /// `obs_push`; only if `push` is negotiated.
    Push(PushMark),
}

/// Where a pushed observation stands in its stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PushMark {
    /// The client's number of the stream.
    pub stream: u64,
    /// Counter of the stream's observations.
    pub n: u64,
    /// Frames left out since the last one.
    pub skipped: u64,
    /// When it was sent, seconds of the server's clock.
    pub t_send: f64,
}

/// An observation to be sent: everything but the arrays.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ObservationHeader<'a> {
    /// Whatever the application means by it.
    pub timestamp: f64,
    /// The cameras.
    pub cameras: &'a [CameraHeader<'a>],
    /// The proprioception streams.
    pub proprios: &'a [ProprioHeader<'a>],
    /// Whatever the application adds.
    pub extra: &'a AppMap,
    /// How the cameras were put together; only if `enc` is negotiated.
    pub align: Option<Align>,
    /// How the episode stands; only if `episode` is negotiated. Reward and end in a `step_response` are what the step led to.
    pub episode: Option<Episode>,
}

impl ObservationHeader<'_> {
    /// Appends the frame without its payload, and returns the payload's length in bytes.
    ///
    /// The payload is to follow without gaps: per camera its picture, then its depth; then the proprioception streams.
    /// [`ImageHeader::size`], [`ArrayHeader::size`] and 4 × [`ProprioHeader::len`] are their lengths.
    pub fn encode(&self, kind: ObservationKind<'_>, id: Option<RequestId>, out: &mut Vec<u8>) -> u64 {
        let name = match kind {
            ObservationKind::Requested => "obs_response",
            ObservationKind::Reset { .. } => "reset_response",
            ObservationKind::Step { .. } => "step_response",
            ObservationKind::Push(_) => "obs_push",
        };
        let mut at = 0;
        frame(out, name, |header| {
            header.float("timestamp", self.timestamp);
            self.write_arrays(header, &mut at);
            header.app_map("extra", self.extra);
            if let Some(align) = self.align {
                align.write(header);
            }
            match kind {
                ObservationKind::Requested | ObservationKind::Push(_) => {}
                ObservationKind::Reset { info } => header.app_map("info", info),
                ObservationKind::Step { outcome, info } => {
                    outcome.write(header);
                    header.app_map("info", info);
                }
            }
            if let Some(episode) = self.episode {
                if !matches!(kind, ObservationKind::Step { .. }) {
                    episode.outcome.write(header);
                }
                episode.write(header);
            }
            if let ObservationKind::Push(mark) = kind {
                mark.write(header);
            }
            if let Some(id) = id {
                header.id(id);
            }
        });
        at
    }

    fn write_arrays(&self, header: &mut MapWriter<'_>, at: &mut u64) {
        let cameras = header.key("cameras");
        array(cameras, self.cameras.len());
        self.cameras.iter().for_each(|camera| camera.write(MapWriter::new(cameras), at));
        let proprios = header.key("proprios");
        array(proprios, self.proprios.len());
        for proprio in self.proprios {
            let size = (proprio.len as u64).saturating_mul(4);
            let mut entry = MapWriter::new(proprios);
            entry.text("name", proprio.name);
            entry.text("dtype", Dtype::Float32.name());
            entry.integer("offset", *at);
            entry.integer("size", size);
            entry.finish();
            *at = at.saturating_add(size);
        }
    }
}

impl CameraHeader<'_> {
    fn write(&self, mut entry: MapWriter<'_>, at: &mut u64) {
        entry.text("name", self.name);
        entry.float("timestamp", self.timestamp);
        entry.floats("intrinsics", self.intrinsics);
        entry.floats("extrinsics", self.extrinsics);
        let (ImageHeader::Raw(picture) | ImageHeader::Jpeg { picture, .. } | ImageHeader::Same(picture)) = &self.image;
        entry.shape("image_shape", picture.shape);
        entry.text("image_dtype", picture.dtype.name());
        entry.integer("image_offset", *at);
        entry.integer("image_size", self.image.size() as u64);
        *at = at.saturating_add(self.image.size() as u64);
        if let Some(depth) = &self.depth {
            entry.shape("depth_shape", depth.shape);
            entry.text("depth_dtype", depth.dtype.name());
            entry.integer("depth_offset", *at);
            entry.integer("depth_size", depth.size as u64);
            *at = at.saturating_add(depth.size as u64);
        }
        match self.image {
            ImageHeader::Jpeg { .. } => entry.text("encoding", Encoding::Jpeg.name()),
            _ if self.marks.is_some() => entry.text("encoding", Encoding::Raw.name()),
            _ => {}
        }
        if let Some(marks) = self.marks {
            entry.integer("n", marks.n);
            entry.float("age_ms", marks.age_ms);
        }
        if matches!(self.image, ImageHeader::Same(_)) {
            entry.flag("same", true);
        }
        entry.finish();
    }
}

impl PushMark {
    fn write(self, header: &mut MapWriter<'_>) {
        header.integer("stream", self.stream);
        header.integer("n", self.n);
        header.integer("skipped", self.skipped);
        header.float("t_send", self.t_send);
    }

    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, WireError> {
        let [stream, n, skipped, t_send] = frame.members(["stream", "n", "skipped", "t_send"]);
        Ok(Self {
            stream: stream.integer()?,
            n: n.integer()?,
            skipped: skipped.optional(Field::integer)?.unwrap_or(0),
            t_send: t_send.finite()?,
        })
    }
}
