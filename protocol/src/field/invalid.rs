//! Why a message or a value was refused.

/// Why something was refused; its text is the `reason` of the answer, character by character what the wire asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A sample without controllers, a command without an arm: the controller is gone, which is no fault. Its text on
    /// the wire is empty, and clients show nothing.
    #[error("")]
    Disconnected,
    /// Anything else.
    #[error("{0}")]
    Reason(String),
}

impl Invalid {
    /// A refusal of that text.
    pub fn reason(text: impl Into<String>) -> Self {
        Self::Reason(text.into())
    }
    /// The list `field` has `got` elements instead of `size`.
    pub(super) fn size(field: &str, size: usize, got: usize) -> Self {
        Self::Reason(format!("{field} must have size {size}, got {got}"))
    }

    /// The key is missing.
    pub(super) fn missing(key: &str) -> Self {
        Self::Reason(format!("'{key}'"))
    }
}
