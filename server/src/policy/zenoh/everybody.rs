//! What is particular to the keys of the original, which all of its clients share.

use waldo_protocol::policy::ClientMessage;

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
    /// A frame came, with this message unless it is malformed.
    pub(super) fn came(&mut self, message: Option<&ClientMessage>) -> Verdict {
        match message {
            Some(ClientMessage::Metadata(_)) if std::mem::replace(&mut self.waits, true) => Verdict::Repeated,
            // What is malformed or unknown asks for nothing.
            Some(ClientMessage::Metadata(_) | ClientMessage::Unknown { .. }) | None => Verdict::Pass,
            Some(_) => {
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

/// Whether the message makes the robot move.
pub(super) fn moves(message: &ClientMessage) -> bool {
    use ClientMessage::{Action, ApplyAction, Chunk, Reset};
    matches!(message, Reset(_) | ApplyAction(_) | Action(_) | Chunk(_))
}

#[cfg(test)]
mod tests {
    use waldo_protocol::policy::{
        ActionHeader, Capabilities, MetadataRequest, MetadataResponse, ObsRequest, SimpleRequest,
    };

    use super::*;

    fn written(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut frame = Vec::new();
        encode(&mut frame);
        frame
    }

    fn read(encode: impl FnOnce(&mut Vec<u8>)) -> ClientMessage {
        ClientMessage::decode(&written(encode), Capabilities::NONE).unwrap()
    }

    fn metadata() -> ClientMessage {
        read(|out| MetadataRequest::default().encode(out))
    }

    #[test]
    fn requests_for_the_metadata_that_wait_together_are_answered_once() {
        let mut repetition = Repetition::default();
        let (again, observation) = (metadata(), read(|out| ObsRequest::default().encode(out)));
        let answer = written(|out| MetadataResponse::default().encode(out));
        let mut came = |message| repetition.came(message);
        assert_eq!(
            [came(Some(&again)), came(Some(&again)), came(None)],
            [Verdict::Pass, Verdict::Repeated, Verdict::Pass]
        );
        assert_eq!(came(Some(&again)), Verdict::Repeated, "nothing was asked for in between");
        assert_eq!([came(Some(&observation)), came(Some(&again))], [Verdict::Pass; 2], "no longer consecutive");
        repetition.goes(b"another answer");
        assert_eq!(repetition.came(Some(&again)), Verdict::Repeated);
        repetition.goes(&answer);
        assert_eq!(repetition.came(Some(&again)), Verdict::Pass, "none waits");
    }

    #[test]
    fn resets_and_all_kinds_of_actions_move_the_robot() {
        let header = ActionHeader { shape: &[1], ..Default::default() };
        let action = read(|out| header.encode(&[0.5], out).unwrap());
        let step = read(|out| header.encode_coupled(&[0.5], out).unwrap());
        let reset = read(|out| SimpleRequest::default().encode_reset(out));
        assert!([action, step, reset].iter().all(moves));
        assert!(!moves(&metadata()));
    }
}
