//! Which socket belongs to which stream of pose frames, which frames are new, and how well they travel.

mod health;
mod rate;

use std::collections::{BTreeMap, BTreeSet};

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{FIELD, POLICY, Role, SeqMark, VrFrame};

use self::health::Travel;
use self::rate::Limiter;
use super::session::ConnId;
use crate::control::{SourceId, SourceKind};

/// What becomes of a frame that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is news of this stream.
    Accepted(SourceId),
    /// It is a duplicate, came late, or comes from a viewer.
    Repeated,
    /// Its socket sends too many; unless a newer one comes, [`Streams::overdue`] gives it back.
    TooFast,
}

#[derive(Debug)]
struct Stream {
    name: Option<String>,
    sockets: usize,
    mark: SeqMark,
    travel: Travel,
}

impl Stream {
    fn new() -> Self {
        Self { name: None, sockets: 1, mark: SeqMark::default(), travel: Travel::default() }
    }
}

/// One socket.
#[derive(Debug)]
struct Socket {
    stream: SourceId,
    limiter: Limiter,
}

/// All streams that have a socket. Forgets a stream with its last socket.
#[derive(Debug)]
pub(super) struct Streams {
    streams: BTreeMap<SourceId, Stream>,
    sockets: BTreeMap<ConnId, Socket>,
    /// Sockets that said they only watch: their frames count for nothing.
    viewers: BTreeSet<ConnId>,
    /// Frames per second and socket; none for no limit.
    max_rate: Option<u32>,
    next: u64,
}

impl Streams {
    /// No streams yet; each socket may send `max_rate` frames per second.
    pub(super) fn new(max_rate: Option<u32>) -> Self {
        let (streams, sockets, viewers) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { streams, sockets, viewers, max_rate, next: 0 }
    }

    /// A socket opened: a new stream, until `hello` says otherwise.
    pub(super) fn open(&mut self, conn: ConnId) -> SourceId {
        let id = SourceId::person(self.next);
        self.next += 1;
        self.streams.insert(id, Stream::new());
        self.sockets.insert(conn, Socket { stream: id, limiter: Limiter::new(self.max_rate) });
        id
    }

    /// The socket said which stream it belongs to; only the first word counts. A viewer belongs to no stream but its
    /// own. Returns the stream that lost its last socket by that, if any.
    pub(super) fn name(&mut self, conn: ConnId, name: &str, role: Role) -> Option<SourceId> {
        let own = self.of(conn)?;
        if role == Role::Viewer {
            self.viewers.insert(conn);
        }
        if self.is_viewer(conn) || self.public_name(own).is_some() {
            return None;
        }
        let other = self.streams.iter().find(|(_, s)| s.name.as_deref() == Some(name)).map(|(id, _)| *id);
        match other {
            Some(joined) => self.move_socket(conn, joined),
            None => {
                self.streams.get_mut(&own)?.name = Some(name.to_owned());
                None
            }
        }
    }

    /// A socket closed. Returns its stream if this was the last socket of it.
    pub(super) fn close(&mut self, conn: ConnId) -> Option<SourceId> {
        self.viewers.remove(&conn);
        let socket = self.sockets.remove(&conn)?;
        self.leave(socket.stream)
    }

    /// Puts a socket into another stream. Returns the one that lost its last socket by that.
    fn move_socket(&mut self, conn: ConnId, to: SourceId) -> Option<SourceId> {
        let from = std::mem::replace(&mut self.sockets.get_mut(&conn)?.stream, to);
        self.streams.get_mut(&to)?.sockets += 1;
        self.leave(from)
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
        self.sockets.get(&conn).map(|socket| socket.stream)
    }

    /// Whether this socket said that it only watches.
    pub(super) fn is_viewer(&self, conn: ConnId) -> bool {
        self.viewers.contains(&conn)
    }

    /// The sockets of this stream.
    pub(super) fn sockets_of(&self, id: SourceId) -> impl Iterator<Item = ConnId> {
        self.sockets.iter().filter(move |(_, socket)| socket.stream == id).map(|(conn, _)| *conn)
    }

    /// What others call this stream: the id from its `hello`, if it said one.
    pub(super) fn public_name(&self, id: SourceId) -> Option<&str> {
        match id.kind {
            SourceKind::Policy => Some(POLICY),
            SourceKind::FieldUser => Some(FIELD),
            _ => self.streams.get(&id)?.name.as_deref(),
        }
    }

    /// Judges a frame. Returns too which stream ended because this frame showed that its socket belongs to another one.
    pub(super) fn admit(&mut self, now: MonoTime, conn: ConnId, frame: &VrFrame) -> (Verdict, Option<SourceId>) {
        if self.is_viewer(conn) {
            return (Verdict::Repeated, None);
        }
        let left = self.join_twin(now, conn, frame);
        (self.judge(now, conn, frame).unwrap_or(Verdict::Repeated), left)
    }

    fn judge(&mut self, now: MonoTime, conn: ConnId, frame: &VrFrame) -> Option<Verdict> {
        let socket = self.sockets.get_mut(&conn)?;
        let stream = self.streams.get_mut(&socket.stream)?;
        if !socket.limiter.passes(now, frame) {
            return Some(Verdict::TooFast);
        }
        let highest = stream.mark.highest();
        if !stream.mark.admit(frame.seq) {
            stream.travel.repeated();
            return Some(Verdict::Repeated);
        }
        stream.travel.accepted(now, frame, highest);
        Some(Verdict::Accepted(socket.stream))
    }

    /// Two sockets of a client that says no `hello` are one stream from the first frame on that came by both: the pair
    /// of `seq` and `t` tells. The older stream goes on.
    fn join_twin(&mut self, now: MonoTime, conn: ConnId, frame: &VrFrame) -> Option<SourceId> {
        let (seq, t) = (frame.seq?, frame.t?);
        let own = self.of(conn)?;
        if self.streams.len() < 2 || self.public_name(own).is_some() {
            return None;
        }
        let carried = |(id, stream): (&SourceId, &Stream)| {
            let twin = *id != own && stream.name.is_none() && stream.travel.carried(now, seq, t);
            twin.then_some(*id)
        };
        let twin = self.streams.iter().find_map(carried)?;
        let (older, younger) = (own.min(twin), own.max(twin));
        let mark = self.streams.get(&younger)?.mark.highest();
        let moved: Vec<ConnId> = self.sockets_of(younger).collect();
        let left = moved.into_iter().filter_map(|conn| self.move_socket(conn, older)).last();
        let stream = self.streams.get_mut(&older)?;
        // What the younger one had accepted is no news any more.
        let _ = stream.mark.admit(mark);
        left
    }

    /// Frames that were too fast and have not been overtaken by newer ones, now that they may pass.
    pub(super) fn overdue(&mut self, now: MonoTime) -> Vec<(ConnId, VrFrame)> {
        self.sockets.iter_mut().filter_map(|(conn, socket)| Some((*conn, socket.limiter.overdue(now)?))).collect()
    }

    /// How the poses of this socket's stream have travelled since the last call.
    pub(super) fn travel(&mut self, now: MonoTime, id: SourceId) -> Option<waldo_protocol::vr::Health> {
        self.streams.get_mut(&id).map(|stream| stream.travel.report(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control;

    fn frame(seq: Option<i64>) -> VrFrame {
        VrFrame { seq, ..control::frame() }
    }

    fn admit(streams: &mut Streams, conn: ConnId, frame: &VrFrame) -> Option<SourceId> {
        match streams.admit(MonoTime::from_nanos(1), conn, frame) {
            (Verdict::Accepted(id), None) => Some(id),
            (Verdict::Repeated, None) => None,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn equal_and_lower_seq_are_dropped_and_frames_without_seq_pass() {
        let mut streams = Streams::new(None);
        let (a, id) = (ConnId(1), streams.open(ConnId(1)));
        assert_eq!(admit(&mut streams, a, &frame(Some(5))), Some(id));
        assert_eq!(admit(&mut streams, a, &frame(Some(5))), None);
        assert_eq!(admit(&mut streams, a, &frame(Some(4))), None);
        assert_eq!(admit(&mut streams, a, &frame(None)), Some(id));
        assert_eq!(admit(&mut streams, a, &frame(Some(6))), Some(id));
    }

    #[test]
    fn a_huge_seq_locks_out_nobody_else() {
        let mut streams = Streams::new(None);
        let (a, b) = (ConnId(1), ConnId(2));
        streams.open(a);
        let id_b = streams.open(b);
        assert!(admit(&mut streams, a, &frame(Some((1 << 53) - 1))).is_some());
        assert_eq!(admit(&mut streams, b, &frame(Some(1))), Some(id_b));
    }

    #[test]
    fn two_sockets_of_one_page_are_one_stream_until_the_last_closes() {
        let mut streams = Streams::new(None);
        let (a, b) = (ConnId(1), ConnId(2));
        let first = streams.open(a);
        let second = streams.open(b);
        assert_eq!(streams.name(a, "page", Role::Driver), None);
        assert_eq!(streams.name(b, "page", Role::Driver), Some(second));
        assert_eq!(admit(&mut streams, a, &frame(Some(1))), Some(first));
        assert_eq!(admit(&mut streams, b, &frame(Some(1))), None);
        assert_eq!(admit(&mut streams, b, &frame(Some(2))), Some(first));
        assert_eq!(streams.close(a), None);
        assert_eq!(streams.close(b), Some(first));
        assert_eq!(streams.close(b), None);
    }

    #[test]
    fn a_viewer_joins_no_stream_and_its_frames_count_for_nothing() {
        let mut streams = Streams::new(None);
        let (driver, viewer) = (ConnId(1), ConnId(2));
        let driven = streams.open(driver);
        streams.open(viewer);
        streams.name(driver, "page", Role::Driver);
        assert_eq!(streams.name(viewer, "page", Role::Viewer), None);
        assert_eq!(admit(&mut streams, viewer, &frame(Some(9))), None);
        assert_eq!(streams.name(viewer, "page", Role::Driver), None, "once a viewer, always a viewer");
        assert_eq!(admit(&mut streams, driver, &frame(Some(1))), Some(driven));
    }

    #[test]
    fn a_stream_keeps_its_first_name() {
        let mut streams = Streams::new(None);
        let a = streams.open(ConnId(1));
        streams.name(ConnId(1), "first", Role::Driver);
        assert_eq!(streams.name(ConnId(1), "second", Role::Driver), None);
        assert_eq!(streams.public_name(a), Some("first"));
    }

    fn stamped(seq: i64, t: f64) -> VrFrame {
        VrFrame { t: Some(t), ..frame(Some(seq)) }
    }

    #[test]
    fn two_sockets_that_carry_the_same_frame_are_one_stream_from_then_on() {
        let mut streams = Streams::new(None);
        let (network, cable) = (ConnId(1), ConnId(2));
        let (first, second) = (streams.open(network), streams.open(cable));
        let mut admit = |conn, frame: VrFrame| streams.admit(MonoTime::from_nanos(1), conn, &frame);
        assert_eq!(admit(network, stamped(1, 11.0)), (Verdict::Accepted(first), None));
        assert_eq!(admit(cable, stamped(1, 11.5)), (Verdict::Accepted(second), None), "another clock, another headset");
        assert_eq!(admit(cable, stamped(2, 22.0)), (Verdict::Accepted(second), None), "the cable is quicker");
        assert_eq!(admit(network, stamped(2, 22.0)), (Verdict::Repeated, Some(second)));
        assert_eq!(admit(cable, stamped(3, 33.0)), (Verdict::Accepted(first), None));
        assert_eq!(admit(network, stamped(3, 33.0)), (Verdict::Repeated, None));
        assert_eq!(streams.close(cable), None, "the stream lives on by the network");
        assert_eq!(streams.close(network), Some(first));
    }

    #[test]
    fn an_equal_frame_long_after_is_a_coincidence() {
        let mut streams = Streams::new(None);
        let (a, b) = (streams.open(ConnId(1)), streams.open(ConnId(2)));
        let at = |ms: u64| MonoTime::from_nanos(ms * 1_000_000);
        assert_eq!(streams.admit(at(0), ConnId(1), &stamped(7, 1.0)), (Verdict::Accepted(a), None));
        assert_eq!(streams.admit(at(2001), ConnId(2), &stamped(7, 1.0)), (Verdict::Accepted(b), None));
    }

    #[test]
    fn a_socket_that_floods_is_slowed_down_to_its_newest_frames() {
        let mut streams = Streams::new(Some(250));
        let id = streams.open(ConnId(1));
        let mut accepted = 0;
        for seq in 0..10_000 {
            let now = MonoTime::from_nanos(seq * 100_000);
            match streams.admit(now, ConnId(1), &frame(Some(seq as i64))) {
                (Verdict::Accepted(by), None) if by == id => accepted += 1,
                (Verdict::TooFast, None) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!((250..=400).contains(&accepted), "{accepted} in one second");
        let overdue = streams.overdue(MonoTime::from_nanos(2_000_000_000));
        assert_eq!(overdue.iter().map(|(_, f)| f.seq).collect::<Vec<_>>(), [Some(9_999)], "the newest is not lost");
        assert!(streams.overdue(MonoTime::from_nanos(3_000_000_000)).is_empty());
    }
}
