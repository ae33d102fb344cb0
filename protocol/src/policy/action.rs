//! Actions: one array for the robot, of both generations of the wire.

use super::array::{ArrayRef, byte_size};
use super::capability::{Capabilities, Capability};
use super::fields::Field;
use super::ids::RequestId;
use super::writer::{MapWriter, frame};
use super::{Dtype, Frame, Problem, WireError};

/// What a client may say about an action beyond the action itself, if `ttl` is negotiated. [`ActionGate`] applies it.
///
/// [`ActionGate`]: super::ActionGate
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ActionMarks {
    /// Rises with every action of a client; one that is not above the last is to be dropped.
    pub seq: Option<u64>,
    /// Longest age on arrival, milliseconds; an older one is to be dropped.
    pub ttl_ms: Option<f64>,
    /// When it was sent, seconds of the client's clock.
    pub sent: Option<f64>,
}

/// An action as it was received.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// The action, the frame's whole payload; any shape, and any numbers: NaN is decoded like all others.
    pub array: ArrayRef,
    /// Stamps of the observation it was computed from: camera name → seconds of the camera's stamps. May be empty.
    pub obs_timestamps: Vec<(String, f64)>,
    /// Nothing unless negotiated.
    pub marks: ActionMarks,
    /// To be repeated by the reply, if there is one. Nothing unless negotiated.
    pub id: Option<RequestId>,
}

impl Action {
    pub(super) fn read(frame: &Frame<'_>, id: Option<RequestId>, caps: Capabilities) -> Result<Self, WireError> {
        let [shape, dtype, stamps, seq, ttl_ms, sent] =
            frame.members(["shape", "dtype", "obs_timestamps", "seq", "ttl_ms", "sent"]);
        let ttl = caps.has(Capability::Ttl);
        Ok(Self {
            array: ArrayRef::whole(dtype.dtype()?, shape.shape()?, frame.payload.clone())?,
            obs_timestamps: stamps.stamps()?,
            marks: ActionMarks {
                seq: seq.negotiated(ttl, Field::integer)?,
                ttl_ms: ttl_ms.negotiated(ttl, Field::magnitude)?,
                sent: sent.negotiated(ttl, Field::finite)?,
            },
            id,
        })
    }
}

/// An action to be sent; its elements are float32 on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ActionHeader<'a> {
    /// The array's own shape, such as `[7]` or `[1, 7]`.
    pub shape: &'a [usize],
    /// Stamps of the observation it was computed from: camera name → seconds of the camera's stamps.
    pub obs_timestamps: &'a [(String, f64)],
    /// Only if negotiated.
    pub marks: ActionMarks,
    /// Only if negotiated.
    pub id: Option<RequestId>,
}

impl ActionHeader<'_> {
    /// Appends an `apply_action`, which has no reply.
    ///
    /// # Errors
    /// `values` are not as many as the shape says; nothing is appended then.
    pub fn encode(&self, values: &[f32], out: &mut Vec<u8>) -> Result<(), WireError> {
        self.encode_as("apply_action", values, out)
    }

    /// Appends an `action` of the coupled generation, which is answered by a `step_response`. Servers in C++ want the
    /// shape [N, D].
    ///
    /// # Errors
    /// `values` are not as many as the shape says; nothing is appended then.
    pub fn encode_coupled(&self, values: &[f32], out: &mut Vec<u8>) -> Result<(), WireError> {
        self.encode_as("action", values, out)
    }

    fn encode_as(&self, kind: &str, values: &[f32], out: &mut Vec<u8>) -> Result<(), WireError> {
        check_shape(self.shape, values)?;
        frame(out, kind, |header| {
            write_array(header, self.shape, self.obs_timestamps);
            if let Some(seq) = self.marks.seq {
                header.integer("seq", seq);
            }
            if let Some(ttl_ms) = self.marks.ttl_ms {
                header.float("ttl_ms", ttl_ms);
            }
            if let Some(sent) = self.marks.sent {
                header.float("sent", sent);
            }
            if let Some(id) = self.id {
                header.id(id);
            }
        });
        write_payload(values, out);
        Ok(())
    }
}

/// Whether the values are as many as the shape says.
pub(super) fn check_shape(shape: &[usize], values: &[f32]) -> Result<(), WireError> {
    let expected = byte_size(Dtype::Float32, shape).map_err(|problem| WireError::field("shape", problem))?;
    let actual = size_of_val(values);
    if actual == expected {
        return Ok(());
    }
    Err(WireError::field("payload", Problem::Size { actual: actual as u64, expected: expected as u64 }))
}

/// `shape`, `dtype` and `obs_timestamps`.
pub(super) fn write_array(header: &mut MapWriter<'_>, shape: &[usize], obs_timestamps: &[(String, f64)]) {
    header.shape("shape", shape);
    header.text("dtype", Dtype::Float32.name());
    header.stamps("obs_timestamps", obs_timestamps);
}

pub(super) fn write_payload(values: &[f32], out: &mut Vec<u8>) {
    out.reserve(size_of_val(values));
    values.iter().for_each(|value| out.extend(value.to_le_bytes()));
}
