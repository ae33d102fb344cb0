//! Streams of pose frames: which sockets belong to one stream, and which of its frames are duplicates.
//!
//! A socket is a stream of its own until its `hello` names a stream id; sockets with the same id are one stream. Each
//! stream has its own high-water mark of `seq`, so that no stream can lock out another.

use std::collections::{BTreeMap, BTreeSet};

use waldo_protocol::vr::{Role, VrFrame};

use super::session::ConnId;
use crate::control::SourceId;

#[derive(Debug)]
struct Stream {
    name: Option<String>,
    sockets: usize,
    highest_seq: Option<i64>,
}

/// All streams that have a socket. Forgets a stream with its last socket.
#[derive(Debug, Default)]
pub(super) struct Streams {
    streams: BTreeMap<SourceId, Stream>,
    by_socket: BTreeMap<ConnId, SourceId>,
    /// Sockets that said they only watch: their frames count for nothing.
    viewers: BTreeSet<ConnId>,
    next: u64,
}

impl Streams {
    /// A socket opened: a new stream, until `hello` says otherwise.
    pub(super) fn open(&mut self, conn: ConnId) -> SourceId {
        let id = SourceId::person(self.next);
        self.next += 1;
        self.streams.insert(id, Stream { name: None, sockets: 1, highest_seq: None });
        self.by_socket.insert(conn, id);
        id
    }

    /// The socket said which stream it belongs to; only the first word counts. A viewer belongs to no stream but its
    /// own. Returns the stream that lost its last socket by that, if any.
    pub(super) fn name(&mut self, conn: ConnId, name: &str, role: Role) -> Option<SourceId> {
        let own = *self.by_socket.get(&conn)?;
        if role == Role::Viewer {
            self.viewers.insert(conn);
        }
        if self.viewers.contains(&conn) || self.public_name(own).is_some() {
            return None;
        }
        let other = self.streams.iter().find(|(_, s)| s.name.as_deref() == Some(name)).map(|(id, _)| *id);
        match other {
            Some(joined) => {
                self.by_socket.insert(conn, joined);
                if let Some(stream) = self.streams.get_mut(&joined) {
                    stream.sockets += 1;
                }
                self.leave(own)
            }
            None => {
                if let Some(stream) = self.streams.get_mut(&own) {
                    stream.name = Some(name.to_owned());
                }
                None
            }
        }
    }

    /// A socket closed. Returns its stream if this was the last socket of it.
    pub(super) fn close(&mut self, conn: ConnId) -> Option<SourceId> {
        self.viewers.remove(&conn);
        let id = self.by_socket.remove(&conn)?;
        self.leave(id)
    }

    fn leave(&mut self, id: SourceId) -> Option<SourceId> {
        let stream = self.streams.get_mut(&id)?;
        stream.sockets -= 1;
        if stream.sockets > 0 {
            return None;
        }
        self.streams.remove(&id);
        Some(id)
    }

    /// The stream of this socket.
    pub(super) fn of(&self, conn: ConnId) -> Option<SourceId> {
        self.by_socket.get(&conn).copied()
    }

    /// What others call this stream: the id from its `hello`, if it said one.
    pub(super) fn public_name(&self, id: SourceId) -> Option<&str> {
        self.streams.get(&id)?.name.as_deref()
    }

    /// The stream of this frame; none if the frame is a duplicate, came late, or comes from a viewer.
    pub(super) fn admit(&mut self, conn: ConnId, frame: &VrFrame) -> Option<SourceId> {
        if self.viewers.contains(&conn) {
            return None;
        }
        let id = self.of(conn)?;
        let stream = self.streams.get_mut(&id)?;
        if let Some(seq) = frame.seq {
            if stream.highest_seq.is_some_and(|highest| seq <= highest) {
                return None;
            }
            stream.highest_seq = Some(seq);
        }
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waldo_protocol::vr::{ClientMessage, dispatch};

    fn frame(seq: Option<i64>) -> VrFrame {
        let hand = r#"{"position":{"x":0,"y":1,"z":0},"quaternion":{"x":0,"y":0,"z":0,"w":1}}"#;
        let elbow = r#"{"x":0,"y":1,"z":0}"#;
        let seq = seq.map_or("null".to_owned(), |s| s.to_string());
        let text = format!(r#"{{"l_ee":{hand},"r_ee":{hand},"l_elbow":{elbow},"r_elbow":{elbow},"seq":{seq}}}"#);
        match dispatch(&text) {
            Ok(ClientMessage::Pose(frame)) => frame,
            other => panic!("not a pose: {other:?}"),
        }
    }

    #[test]
    fn equal_and_lower_seq_are_dropped_and_frames_without_seq_pass() {
        let mut streams = Streams::default();
        let (a, id) = (ConnId(1), streams.open(ConnId(1)));
        assert_eq!(streams.admit(a, &frame(Some(5))), Some(id));
        assert_eq!(streams.admit(a, &frame(Some(5))), None);
        assert_eq!(streams.admit(a, &frame(Some(4))), None);
        assert_eq!(streams.admit(a, &frame(None)), Some(id));
        assert_eq!(streams.admit(a, &frame(Some(6))), Some(id));
    }

    #[test]
    fn a_huge_seq_locks_out_nobody_else() {
        let mut streams = Streams::default();
        let (a, b) = (ConnId(1), ConnId(2));
        streams.open(a);
        let id_b = streams.open(b);
        assert!(streams.admit(a, &frame(Some((1 << 53) - 1))).is_some());
        assert_eq!(streams.admit(b, &frame(Some(1))), Some(id_b));
    }

    #[test]
    fn two_sockets_of_one_page_are_one_stream_until_the_last_closes() {
        let mut streams = Streams::default();
        let (a, b) = (ConnId(1), ConnId(2));
        let first = streams.open(a);
        let second = streams.open(b);
        assert_eq!(streams.name(a, "page", Role::Driver), None);
        assert_eq!(streams.name(b, "page", Role::Driver), Some(second));
        assert_eq!(streams.admit(a, &frame(Some(1))), Some(first));
        assert_eq!(streams.admit(b, &frame(Some(1))), None);
        assert_eq!(streams.admit(b, &frame(Some(2))), Some(first));
        assert_eq!(streams.close(a), None);
        assert_eq!(streams.close(b), Some(first));
        assert_eq!(streams.close(b), None);
    }

    #[test]
    fn a_viewer_joins_no_stream_and_its_frames_count_for_nothing() {
        let mut streams = Streams::default();
        let (driver, viewer) = (ConnId(1), ConnId(2));
        let driven = streams.open(driver);
        streams.open(viewer);
        streams.name(driver, "page", Role::Driver);
        assert_eq!(streams.name(viewer, "page", Role::Viewer), None);
        assert_eq!(streams.admit(viewer, &frame(Some(9))), None);
        assert_eq!(streams.name(viewer, "page", Role::Driver), None, "once a viewer, always a viewer");
        assert_eq!(streams.admit(driver, &frame(Some(1))), Some(driven));
    }

    #[test]
    fn a_stream_keeps_its_first_name() {
        let mut streams = Streams::default();
        let a = streams.open(ConnId(1));
        streams.name(ConnId(1), "first", Role::Driver);
        assert_eq!(streams.name(ConnId(1), "second", Role::Driver), None);
        assert_eq!(streams.public_name(a), Some("first"));
    }
}
