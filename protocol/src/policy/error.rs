//! Why a frame was refused.

use std::fmt;

use super::ErrorCode;

/// Longest piece of a peer's text that an error repeats, bytes.
const MAX_QUOTED: usize = 64;

/// Why a frame was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// Shorter than the length field.
    #[error("a frame has at least 4 bytes, this one has {len}")]
    Short {
        /// Length of the message, bytes.
        len: usize,
    },
    /// The header's length lies beyond the end of the message.
    #[error("a header of {header} bytes does not fit into a message of {len} bytes")]
    HeaderLength {
        /// Length the frame claims for its header, bytes.
        header: u32,
        /// Length of the message, bytes.
        len: usize,
    },
    /// The header is not one msgpack map with text keys.
    #[error("header, byte {at}: {problem}")]
    Msgpack {
        /// Where in the header, bytes.
        at: usize,
        /// What is wrong there.
        problem: MsgpackProblem,
    },
    /// A value of the header is missing or wrong.
    #[error("{of}{field}: {problem}")]
    Field {
        /// Whose value.
        of: Owner,
        /// The key.
        field: &'static str,
        /// What is wrong with it.
        problem: Problem,
    },
}

impl WireError {
    /// The code of an error reply to such a frame.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Field { problem: Problem::Contradiction(_) | Problem::OutOfRange(_), .. } => ErrorCode::BadRequest,
            Self::Field { problem: Problem::TooMany { .. }, .. } => ErrorCode::TooLarge,
            _ => ErrorCode::Malformed,
        }
    }

    pub(super) fn field(field: &'static str, problem: Problem) -> Self {
        Self::Field { of: Owner::Message, field, problem }
    }

    /// The same error of an entry instead of the whole message.
    pub(super) fn of(self, owner: Owner) -> Self {
        match self {
            Self::Field { of: Owner::Message, field, problem } => Self::Field { of: owner, field, problem },
            other => other,
        }
    }
}

/// What is wrong with the msgpack of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MsgpackProblem {
    /// The bytes end before the value does.
    #[error("the value is cut off")]
    Truncated,
    /// A byte that begins no value.
    #[error("0xc1 begins no value")]
    Reserved,
    /// The header is something other than a map.
    #[error("the header must be a map")]
    NotAMap,
    /// A key that is not text.
    #[error("keys must be text")]
    KeyNotText,
    /// Text that is not UTF-8.
    #[error("text must be UTF-8")]
    NotUtf8,
    /// Nested deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    #[error("nested deeper than 128 levels")]
    TooDeep,
    /// The header has more keys than any message.
    #[error("more than 1024 keys")]
    TooManyKeys,
    /// A map of the application has more than [`MAX_VALUES`](super::MAX_VALUES) values.
    #[error("more than 1048576 values")]
    TooManyValues,
    /// Bytes after the map.
    #[error("bytes after the header map")]
    Trailing,
}

/// Whose field it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The message itself.
    Message,
    /// The camera of that name, or `#n` if it has none.
    Camera(String),
    /// The proprioception stream of that name, or `#n` if it has none.
    Proprio(String),
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message => Ok(()),
            Self::Camera(name) => write!(f, "camera {name:?}: "),
            Self::Proprio(name) => write!(f, "proprio {name:?}: "),
        }
    }
}

/// What is wrong with a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// It must be there and is not.
    #[error("is missing")]
    Missing,
    /// It has another type.
    #[error("must be {0}")]
    Not(&'static str),
    /// A list of another length.
    #[error("must have {expected} numbers, not {actual}")]
    Length {
        /// Numbers it must have.
        expected: usize,
        /// Numbers it has.
        actual: usize,
    },
    /// A negative dimension.
    #[error("dimension {0} is negative")]
    NegativeDimension(i64),
    /// More dimensions than arrays have.
    #[error("{dimensions} dimensions, at most {max} are possible")]
    TooManyDimensions {
        /// Dimensions it has.
        dimensions: usize,
        /// Most dimensions.
        max: usize,
    },
    /// The array's size in bytes is no number of this computer.
    #[error("the product of the dimensions is too large")]
    Overflow,
    /// A name of no element type.
    #[error("{0:?} is no element type")]
    UnknownDtype(String),
    /// Bytes outside of the payload.
    #[error("{size} bytes at {offset} lie outside of a payload of {payload} bytes")]
    Outside {
        /// First byte, counted from the payload's first.
        offset: u64,
        /// Bytes.
        size: u64,
        /// Length of the payload, bytes.
        payload: usize,
    },
    /// A size that does not fit the shape.
    #[error("{actual} bytes, but shape and element type need {expected}")]
    Size {
        /// Bytes there are.
        actual: u64,
        /// product(shape) × item size.
        expected: u64,
    },
    /// A size that ends within an element.
    #[error("{size} bytes are no multiple of the item size {item}")]
    NotAMultiple {
        /// Bytes there are.
        size: u64,
        /// Bytes of one element.
        item: usize,
    },
    /// A value that is not allowed.
    #[error("must be {0}")]
    OutOfRange(&'static str),
    /// Values that do not go together.
    #[error("{0}")]
    Contradiction(&'static str),
    /// More entries than are read.
    #[error("more than {max} entries")]
    TooMany {
        /// Most entries.
        max: usize,
    },
}

impl Problem {
    pub(super) fn unknown_dtype(name: &str) -> Self {
        Self::UnknownDtype(quoted(name))
    }
}

/// The beginning of a peer's text.
pub(super) fn quoted(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_QUOTED)].to_owned()
}
