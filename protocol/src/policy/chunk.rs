//! Chunks: several actions at once, each with the time at which it is due.

use super::action::{check_shape, write_array, write_payload};
use super::array::ArrayRef;
use super::fields::{Field, number};
use super::ids::RequestId;
use super::writer::frame;
use super::{Frame, Problem, WireError};
use crate::names::wire_names;

wire_names! {
    /// What a chunk does to the rows that are queued already.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum ChunkMode {
        /// They stay.
        Append = "append",
        /// Those due at or after the chunk's first accepted row are removed.
        Replace = "replace",
    }
}

/// When the rows of a chunk are due, seconds of the server's clock; never descending.
#[derive(Clone, Debug, PartialEq)]
pub enum ChunkTiming {
    /// The first at `t0`, each next one `dt` later.
    Every {
        /// Due time of the first row, seconds.
        t0: f64,
        /// Time between two rows, seconds, at least 0.
        dt: f64,
    },
    /// One time per row.
    Due(Vec<f64>),
}

impl ChunkTiming {
    /// When a row is due, seconds of the server's clock; `None` for a row that is not there.
    pub fn due(&self, row: usize) -> Option<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "rows are counted in thousands")]
            Self::Every { t0, dt } => Some(t0 + dt * row as f64),
            Self::Due(due) => due.get(row).copied(),
        }
    }
}

/// A chunk of actions as it was received.
#[derive(Clone, Debug, PartialEq)]
pub struct ActionChunk {
    /// Id of the request.
    pub id: RequestId,
    /// The client's own number of the chunk.
    pub chunk: u64,
    /// The actions, shape [N, D]: one per row; the frame's whole payload. N is 0, or D is not 0.
    pub array: ArrayRef,
    /// Stamps of the observation it was computed from: camera name → seconds of the camera's stamps.
    pub obs_timestamps: Vec<(String, f64)>,
    /// When the rows are due.
    pub timing: ChunkTiming,
    /// What happens to what is queued.
    pub mode: ChunkMode,
    /// How late a row may come and still count, milliseconds.
    pub late_limit_ms: f64,
}

impl ActionChunk {
    /// Number of actions, and of values of each.
    pub fn rows(&self) -> (usize, usize) {
        match self.array.shape() {
            [n, d] => (*n, *d),
            _ => (0, 0),
        }
    }

    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, WireError> {
        let [id, chunk, shape, dtype, stamps, t0, dt, due, mode, late] = frame.members([
            "id",
            "chunk",
            "shape",
            "dtype",
            "obs_timestamps",
            "t0",
            "dt",
            "due",
            "mode",
            "late_limit_ms",
        ]);
        let dimensions = shape.shape()?;
        // Without values in a row, an empty payload could claim any number of rows.
        let n = match dimensions[..] {
            [n, d] if n == 0 || d > 0 => n,
            _ => return Err(shape.error(Problem::OutOfRange("[rows, values of a row], with at least one value"))),
        };
        let array = ArrayRef::whole(dtype.dtype()?, dimensions, frame.payload.clone())?;
        let every = (t0.optional(Field::finite)?, dt.optional(Field::magnitude)?);
        let timing = match (every, due.optional(|due| due_times(due, n))?) {
            ((Some(t0), Some(dt)), None) => ChunkTiming::Every { t0, dt },
            ((None, None), Some(due)) => ChunkTiming::Due(due),
            _ => return Err(due.error(Problem::Contradiction("either t0 and dt, or due: one of both"))),
        };
        Ok(Self {
            id: id.id()?,
            chunk: chunk.integer()?,
            array,
            obs_timestamps: stamps.stamps()?,
            timing,
            mode: mode.named(ChunkMode::from_name, "append or replace")?,
            late_limit_ms: late.optional(Field::magnitude)?.unwrap_or(0.0),
        })
    }
}

fn due_times(field: &Field<'_>, rows: usize) -> Result<Vec<f64>, WireError> {
    let mut due = Vec::new();
    // No more than the payload has rows.
    field.each("an array of numbers", rows, |value| {
        let time = number(value.token()?).filter(|time| time.is_finite());
        let time = time.ok_or_else(|| field.error(Problem::OutOfRange("an array of finite numbers")))?;
        if due.last().is_some_and(|last| time < *last) {
            return Err(field.error(Problem::OutOfRange("in the order of time")));
        }
        due.push(time);
        Ok(())
    })?;
    if due.len() != rows {
        return Err(field.error(Problem::Length { expected: rows, actual: due.len() }));
    }
    Ok(due)
}

/// A chunk of actions to be sent; its elements are float32 on the wire. Only if `chunk` is negotiated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChunkHeader<'a> {
    /// Id of the request.
    pub id: RequestId,
    /// The client's own number of the chunk.
    pub chunk: u64,
    /// Rows and values of a row.
    pub shape: [usize; 2],
    /// Stamps of the observation it was computed from: camera name → seconds of the camera's stamps.
    pub obs_timestamps: &'a [(String, f64)],
    /// When the rows are due.
    pub timing: &'a ChunkTiming,
    /// What happens to what is queued.
    pub mode: ChunkMode,
    /// How late a row may come and still count, milliseconds; 0 if none.
    pub late_limit_ms: Option<f64>,
}

impl ChunkHeader<'_> {
    /// Appends the frame.
    ///
    /// # Errors
    /// `values` are not as many as the shape says; nothing is appended then.
    pub fn encode(&self, values: &[f32], out: &mut Vec<u8>) -> Result<(), WireError> {
        check_shape(&self.shape, values)?;
        frame(out, "action_chunk", |header| {
            header.id(self.id);
            header.integer("chunk", self.chunk);
            write_array(header, &self.shape, self.obs_timestamps);
            match self.timing {
                ChunkTiming::Every { t0, dt } => {
                    header.float("t0", *t0);
                    header.float("dt", *dt);
                }
                ChunkTiming::Due(due) => header.floats("due", due),
            }
            header.text("mode", self.mode.name());
            if let Some(late) = self.late_limit_ms {
                header.float("late_limit_ms", late);
            }
        });
        write_payload(values, out);
        Ok(())
    }
}

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkResponse {
    /// Id of the request.
    pub id: RequestId,
    /// The client's number of the chunk.
    pub chunk: u64,
    /// Rows that came too late.
    pub dropped_late: u64,
    /// Rows that wait now, those of earlier chunks included.
    pub queued: u64,
}

impl ChunkResponse {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, "chunk_response", |header| {
            header.id(self.id);
            header.integer("chunk", self.chunk);
            header.integer("dropped_late", self.dropped_late);
            header.integer("queued", self.queued);
        });
    }

    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, WireError> {
        let [id, chunk, dropped_late, queued] = frame.members(["id", "chunk", "dropped_late", "queued"]);
        Ok(Self {
            id: id.id()?,
            chunk: chunk.integer()?,
            dropped_late: dropped_late.integer()?,
            queued: queued.integer()?,
        })
    }
}
