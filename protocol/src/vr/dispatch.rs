//! The one rule that tells signalling from poses.

use super::scan::scan;
use super::{ClientMessage, Refusal};

/// Tells signalling from poses and decodes either.
///
/// An object with a `type` key at the top level is signalling, whatever that key's value is; anything else must be a
/// pose frame. Of duplicate keys the last one counts.
///
/// # Errors
/// [`Refusal`] for what is neither, and for signalling whose fields do not fit; the caller counts it, keeps the socket
/// and answers nothing.
pub fn dispatch(text: &str) -> Result<ClientMessage, Refusal> {
    match scan(text)? {
        Some(frame) => Ok(ClientMessage::Pose(frame)),
        None => ClientMessage::decode_signalling(text),
    }
}

/// The rule of the pose data channel: poses only; anything with a `type` is [`ClientMessage::Ignored`], but for
/// [`ClientMessage::Stop`], which the caller heeds only if the client has agreed on it in `hello`.
///
/// # Errors
/// As [`dispatch`] for what is no pose and has no `type`.
pub fn dispatch_channel(text: &str) -> Result<ClientMessage, Refusal> {
    Ok(match scan(text)? {
        Some(frame) => ClientMessage::Pose(frame),
        None => match ClientMessage::decode_signalling(text) {
            Ok(stop @ ClientMessage::Stop(_)) => stop,
            _ => ClientMessage::Ignored,
        },
    })
}
