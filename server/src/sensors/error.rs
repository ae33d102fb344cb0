//! Why a sensor cannot be declared or written to.

use waldo_protocol::policy::Dtype;

/// Why the hub refused something; nothing changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A camera of this name is there already.
    #[error("there is a camera `{name}` already")]
    DuplicateCamera {
        /// The name.
        name: String,
    },
    /// A proprioception stream of this name is there already.
    #[error("there is a proprioception stream `{name}` already")]
    DuplicateProprio {
        /// The name.
        name: String,
    },
    /// Cameras have 1 or 3 channels.
    #[error("camera `{name}`: {channels} channels; a camera has 3 (RGB) or 1 (grey)")]
    Channels {
        /// The camera.
        name: String,
        /// As declared.
        channels: u32,
    },
    /// More than fits into a message, or too many sensors.
    #[error("`{name}` is too much: {limit}")]
    TooMuch {
        /// The camera or stream.
        name: String,
        /// What the limit is.
        limit: &'static str,
    },
    /// No camera of this name was declared.
    #[error("no camera `{name}` was declared; there {}", listed(known))]
    UnknownCamera {
        /// The name.
        name: String,
        /// Those that were.
        known: Vec<String>,
    },
    /// No proprioception stream of this name was declared.
    #[error("no proprioception stream `{name}` was declared; there {}", listed(known))]
    UnknownProprio {
        /// The name.
        name: String,
        /// Those that were.
        known: Vec<String>,
    },
    /// A camera that was declared without depth.
    #[error("camera `{name}` was declared without depth")]
    NoDepth {
        /// The camera.
        name: String,
    },
    /// A whole frame of a camera with depth without any.
    #[error("camera `{name}` was declared with depth, so a whole frame of it has depth")]
    DepthMissing {
        /// The camera.
        name: String,
    },
    /// Another shape than declared.
    #[error("`{name}`: {what} has shape {needed:?}, got {got:?}")]
    Shape {
        /// The camera or stream.
        name: String,
        /// Which of its arrays.
        what: &'static str,
        /// As declared.
        needed: Vec<usize>,
        /// As written; of elements without a shape how many they are.
        got: Vec<usize>,
    },
    /// Another element type than declared.
    #[error("`{name}`: {what} has elements of type {}, got {}", needed.name(), got.name())]
    Dtype {
        /// The camera or stream.
        name: String,
        /// Which of its arrays.
        what: &'static str,
        /// As declared.
        needed: Dtype,
        /// As written.
        got: Dtype,
    },
}

fn listed(names: &[String]) -> String {
    match names {
        [] => "are none".to_owned(),
        [one] => format!("is `{one}`"),
        many => format!("are `{}`", many.join("`, `")),
    }
}
