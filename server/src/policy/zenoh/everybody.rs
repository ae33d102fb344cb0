//! What is particular to the keys of the original, which all of its clients share.

use waldo_protocol::policy::{Capabilities, ClientMessage};

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes on to the session.
    Pass,
    /// A repeated `metadata`; the one before it waits for its answer still.
    Repeated,
}

/// Answers consecutive requests for the metadata that wait together once.
///
/// Clients ask again every half second until something comes. A robot that was busy would answer each, and the answers
/// that are too many would be taken for those to later requests.
#[derive(Debug, Default)]
pub(super) struct Repetition {
    /// The last request was for the metadata and waits for its answer.
    waits: bool,
}

impl Repetition {
    /// A frame came.
    pub(super) fn came(&mut self, frame: &[u8]) -> Verdict {
        match ClientMessage::decode(frame, Capabilities::NONE) {
            Ok(ClientMessage::Metadata(_)) if std::mem::replace(&mut self.waits, true) => Verdict::Repeated,
            // What is malformed or unknown asks for nothing.
            Ok(ClientMessage::Metadata(_) | ClientMessage::Unknown { .. }) | Err(_) => Verdict::Pass,
            Ok(_) => {
                self.waits = false;
                Verdict::Pass
            }
        }
    }

    /// A frame that begins so goes out.
    pub(super) fn goes(&mut self, head: &[u8]) {
        if is_metadata_response(head) {
            self.waits = false;
        }
    }
}

/// Whether a frame of this server that begins so is the answer to a request for the metadata. Its type is the first key.
fn is_metadata_response(head: &[u8]) -> bool {
    const KIND: &[u8] = b"\xa4type\xb1metadata_response";
    head.get(5..).is_some_and(|entries| entries.starts_with(KIND))
}

/// Whether the frame makes the robot move, whatever was negotiated.
pub(super) fn moves(frame: &[u8]) -> bool {
    use ClientMessage::{Action, ApplyAction, Chunk, Reset};
    [Capabilities::NONE, Capabilities::all()]
        .into_iter()
        .any(|caps| matches!(ClientMessage::decode(frame, caps), Ok(Reset(_) | ApplyAction(_) | Action(_) | Chunk(_))))
}

#[cfg(test)]
mod tests {
    use waldo_protocol::policy::{ActionHeader, MetadataRequest, MetadataResponse, ObsRequest, SimpleRequest};

    use super::*;

    fn written(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut frame = Vec::new();
        encode(&mut frame);
        frame
    }

    fn metadata() -> Vec<u8> {
        written(|out| MetadataRequest::default().encode(out))
    }

    #[test]
    fn requests_for_the_metadata_that_wait_together_are_answered_once() {
        let mut repetition = Repetition::default();
        let observation = written(|out| ObsRequest::default().encode(out));
        let answer = written(|out| MetadataResponse::default().encode(out));
        let mut came = |frame: &[u8]| repetition.came(frame);
        assert_eq!(
            [came(&metadata()), came(&metadata()), came(b"x")],
            [Verdict::Pass, Verdict::Repeated, Verdict::Pass]
        );
        assert_eq!(came(&metadata()), Verdict::Repeated, "nothing was asked for in between");
        assert_eq!([came(&observation), came(&metadata())], [Verdict::Pass; 2], "no longer consecutive");
        repetition.goes(&observation);
        assert_eq!(repetition.came(&metadata()), Verdict::Repeated);
        repetition.goes(&answer);
        assert_eq!(repetition.came(&metadata()), Verdict::Pass, "none waits");
    }

    #[test]
    fn resets_and_all_kinds_of_actions_move_the_robot() {
        let reset = written(|out| SimpleRequest::default().encode_reset(out));
        let action = written(|out| ActionHeader { shape: &[1], ..Default::default() }.encode(&[0.5], out).unwrap());
        assert!(moves(&reset) && moves(&action));
        assert!(!moves(&metadata()) && !moves(b""));
    }
}
