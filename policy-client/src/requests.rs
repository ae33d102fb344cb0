//! Which request a reply belongs to.
//!
//! Every request has an owner until its reply came or the connection ended, whether anybody still waits for it or not.
//! With ids a reply finds its request by its id. Without, the server answers in the order of the requests; then a reply
//! that does not fit the oldest request means that the order is lost, and with it the connection.

use std::collections::VecDeque;

use waldo_protocol::policy::{RequestId, ServerMessage};

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    Metadata,
    Reset,
    Observation,
    /// An observation is asked for in order to see whether the server answers at all.
    Probe,
    Step,
    Subscribe,
    Unsubscribe,
    Configure,
    Chunk,
    Lease,
    Clock,
    Stats,
}

impl Call {
    pub(crate) const ALL: [Self; 12] = [
        Self::Metadata,
        Self::Reset,
        Self::Observation,
        Self::Probe,
        Self::Step,
        Self::Subscribe,
        Self::Unsubscribe,
        Self::Configure,
        Self::Chunk,
        Self::Lease,
        Self::Clock,
        Self::Stats,
    ];

    /// The request's type on the wire.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Metadata => "metadata",
            Self::Reset => "reset",
            Self::Observation | Self::Probe => "obs_request",
            Self::Step => "action",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Configure => "configure",
            Self::Chunk => "action_chunk",
            Self::Lease => "lease",
            Self::Clock => "clock",
            Self::Stats => "stats",
        }
    }

    /// Whether it always has an id, because it is none of the original wire.
    pub(crate) const fn is_extension(self) -> bool {
        !matches!(self, Self::Metadata | Self::Reset | Self::Observation | Self::Probe | Self::Step)
    }

    /// Whether a message can be its reply.
    pub(crate) const fn takes(self, message: &ServerMessage) -> bool {
        matches!(
            (self, message),
            (_, ServerMessage::Error(_))
                | (Self::Metadata, ServerMessage::Metadata(_))
                | (Self::Reset, ServerMessage::Reset(_))
                | (Self::Observation | Self::Probe, ServerMessage::Observation(_))
                | (Self::Step, ServerMessage::Step(_))
                | (Self::Subscribe, ServerMessage::Subscribed(_))
                | (Self::Unsubscribe, ServerMessage::Unsubscribed(_))
                | (Self::Configure, ServerMessage::Configured(_))
                | (Self::Chunk, ServerMessage::Chunk(_))
                | (Self::Lease, ServerMessage::Lease(_))
                | (Self::Clock, ServerMessage::Clock(_))
                | (Self::Stats, ServerMessage::Stats(_))
        )
    }
}

/// Replies that an ended connection waited for and that may still come where the next one listens: Zenoh's keys stay the
/// same. Servers answer in order, so one of metadata that was asked for later shows that all before it were given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overdue {
    /// Of metadata.
    pub(crate) metadata: u32,
    /// As many answers of metadata may come before the last other reply without an id; the next comes after it.
    pub(crate) before_others: u32,
}

impl Overdue {
    /// Metadata are asked for.
    pub(crate) fn asked(&mut self) {
        self.metadata = self.metadata.saturating_add(1);
    }

    /// Metadata came. Whether no other reply can come any more that was asked for before.
    pub(crate) fn answered(&mut self) -> bool {
        self.metadata = self.metadata.saturating_sub(1);
        let all = self.before_others == 0;
        self.before_others = self.before_others.saturating_sub(1);
        all
    }
}

/// Requests whose replies did not come yet, oldest first.
#[derive(Debug)]
pub(crate) struct Requests<T> {
    waiting: VecDeque<Waiting<T>>,
    next: u64,
    /// Answers to a first request that was repeated, which may still come.
    surplus: u32,
}

#[derive(Debug)]
struct Waiting<T> {
    serial: u64,
    id: Option<RequestId>,
    call: Call,
    owner: T,
}

/// What to do with a reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Match<T> {
    /// It belongs to this request.
    Reply(Call, T),
    /// It is none to the request it claims to answer, or to the oldest. Fail that call, and give up the connection:
    /// other replies may be wrong as well.
    Misfit(Call, T),
    /// It answers nothing that was asked. No call is concerned.
    Stray,
}

impl<T> Requests<T> {
    /// No request. `surplus` answers to repetitions of the first request may still come.
    pub(crate) fn new(surplus: u32) -> Self {
        Self { waiting: VecDeque::new(), next: 0, surplus }
    }

    /// A request is sent. Gives its serial number; they rise.
    pub(crate) fn add(&mut self, id: Option<RequestId>, call: Call, owner: T) -> u64 {
        self.next += 1;
        self.waiting.push_back(Waiting { serial: self.next, id, call, owner });
        self.next
    }

    /// The oldest request whose reply must come next if nobody gives ids: its serial number, what it asks for, its owner.
    /// A probe may stay without a reply, so it is not counted.
    pub(crate) fn oldest(&self) -> Option<(u64, Call, &T)> {
        let oldest = self.waiting.iter().find(|waiting| waiting.id.is_none() && waiting.call != Call::Probe)?;
        Some((oldest.serial, oldest.call, &oldest.owner))
    }

    /// Whether the server has answered everything that was asked before the probe, and not the probe.
    pub(crate) fn is_probe_next(&self) -> bool {
        self.waiting.front().is_some_and(|waiting| waiting.call == Call::Probe)
    }

    /// Whether a probe waits for its reply.
    pub(crate) fn is_waiting_for_probe(&self) -> bool {
        self.waiting.iter().any(|waiting| waiting.call == Call::Probe)
    }

    /// Whether any request waits for its reply, but for a probe.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.iter().any(|waiting| waiting.call != Call::Probe)
    }

    /// The owner of a request that waits.
    pub(crate) fn owner(&mut self, serial: u64) -> Option<&mut T> {
        self.waiting.iter_mut().find(|waiting| waiting.serial == serial).map(|waiting| &mut waiting.owner)
    }

    /// A reply came, or what looks like one.
    pub(crate) fn on_reply(&mut self, message: &ServerMessage) -> Match<T> {
        let mut place = self.place(message.id());
        let fits = |place: Option<usize>| place.is_some_and(|place| self.waiting[place].call.takes(message));
        if message.id().is_none() && !fits(place) {
            if self.surplus > 0 && matches!(message, ServerMessage::Metadata(_)) {
                self.surplus -= 1;
                return Match::Stray;
            }
            // Replies come in order, so a probe that is overtaken will have none.
            if place.is_some_and(|place| self.waiting[place].call == Call::Probe) {
                place.and_then(|place| self.waiting.remove(place));
                place = self.place(None);
            }
        }
        match place.and_then(|place| self.waiting.remove(place)) {
            None => Match::Stray,
            Some(Waiting { call, owner, .. }) if call.takes(message) => Match::Reply(call, owner),
            Some(Waiting { call, owner, .. }) => Match::Misfit(call, owner),
        }
    }

    /// The request that a reply with that id, or without one, is meant for.
    fn place(&self, id: Option<RequestId>) -> Option<usize> {
        self.waiting.iter().position(|waiting| waiting.id == id)
    }

    /// A frame came that cannot be read but has this id, or none. The request it was meant for, and whether the other
    /// requests can still count on their replies.
    pub(crate) fn on_unreadable(&mut self, id: Option<RequestId>) -> Option<(Call, T, bool)> {
        let place = self.place(id)?;
        self.waiting.remove(place).map(|waiting| (waiting.call, waiting.owner, id.is_some()))
    }

    /// Everything that still waits; the connection ended.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (Call, T)> {
        self.waiting.drain(..).map(|waiting| (waiting.call, waiting.owner))
    }

    /// The replies without an id that may come after the end of the connection.
    pub(crate) fn overdue(&self) -> Overdue {
        let mut overdue = Overdue { metadata: self.surplus, before_others: 0 };
        for waiting in self.waiting.iter().filter(|waiting| waiting.id.is_none()) {
            match waiting.call {
                Call::Metadata => overdue.asked(),
                _ => overdue.before_others = overdue.metadata,
            }
        }
        overdue
    }

    /// Requests that wait.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use waldo_protocol::policy::{
        AppMap, Capabilities, ErrorCode, ErrorReply, MetadataResponse, ObservationHeader, ObservationKind,
    };

    use super::*;

    fn id(n: u64) -> Option<RequestId> {
        RequestId::new(n)
    }

    fn metadata(id: Option<RequestId>) -> ServerMessage {
        ServerMessage::Metadata(MetadataResponse { id, ..Default::default() })
    }

    fn observation(kind: ObservationKind<'_>, id: Option<RequestId>) -> ServerMessage {
        let extra = AppMap::default();
        let header = ObservationHeader {
            timestamp: 0.0,
            cameras: &[],
            proprios: &[],
            extra: &extra,
            align: None,
            episode: None,
        };
        let mut frame = Vec::new();
        header.encode(kind, id, &mut frame);
        ServerMessage::decode(&frame, Capabilities::all()).unwrap()
    }

    fn obs(id: Option<RequestId>) -> ServerMessage {
        observation(ObservationKind::Requested, id)
    }

    #[test]
    fn without_ids_replies_come_in_the_order_of_the_requests() {
        let mut requests = Requests::new(0);
        requests.add(None, Call::Observation, 'a');
        requests.add(None, Call::Metadata, 'b');
        requests.add(None, Call::Observation, 'c');
        assert_eq!(requests.on_reply(&obs(None)), Match::Reply(Call::Observation, 'a'));
        assert_eq!(requests.on_reply(&metadata(None)), Match::Reply(Call::Metadata, 'b'));
        assert_eq!(requests.on_reply(&obs(None)), Match::Reply(Call::Observation, 'c'));
        assert_eq!(requests.on_reply(&obs(None)), Match::Stray);
    }

    #[test]
    fn a_reply_that_does_not_fit_the_oldest_request_is_nobody_elses_either() {
        let mut requests = Requests::new(0);
        requests.add(None, Call::Metadata, 'a');
        requests.add(None, Call::Observation, 'b');
        assert_eq!(requests.on_reply(&obs(None)), Match::Misfit(Call::Metadata, 'a'));
        assert_eq!(requests.drain().collect::<Vec<_>>(), [(Call::Observation, 'b')]);
    }

    #[test]
    fn with_ids_replies_may_come_in_any_order() {
        let mut requests = Requests::new(0);
        for (n, owner) in [(1, 'a'), (2, 'b'), (3, 'c')] {
            requests.add(id(n), Call::Observation, owner);
        }
        assert_eq!(requests.on_reply(&obs(id(3))), Match::Reply(Call::Observation, 'c'));
        assert_eq!(requests.on_reply(&obs(id(1))), Match::Reply(Call::Observation, 'a'));
        // A reply to a request of another connection, or twice the same.
        assert_eq!(requests.on_reply(&obs(id(1))), Match::Stray);
        // No reply without an id belongs to a request with one.
        assert_eq!(requests.on_reply(&obs(None)), Match::Stray);
        assert_eq!(requests.on_reply(&metadata(id(2))), Match::Misfit(Call::Observation, 'b'));
        assert_eq!(requests.len(), 0);
    }

    #[test]
    fn an_error_completes_the_request_that_it_names() {
        let mut requests = Requests::new(0);
        requests.add(id(8), Call::Reset, 'a');
        let error =
            |id| ServerMessage::Error(ErrorReply { id, code: ErrorCode::App, message: String::new(), retry_ms: None });
        assert_eq!(requests.on_reply(&error(None)), Match::Stray);
        assert_eq!(requests.on_reply(&error(id(8))), Match::Reply(Call::Reset, 'a'));
    }

    #[test]
    fn a_late_answer_to_the_probe_is_taken_for_no_other() {
        let mut requests = Requests::new(0);
        requests.add(None, Call::Probe, 'p');
        requests.add(None, Call::Observation, 'a');
        assert!(requests.is_probe_next());
        assert_eq!(requests.oldest(), Some((2, Call::Observation, &'a')));
        assert_eq!(requests.on_reply(&obs(None)), Match::Reply(Call::Probe, 'p'));
        assert_eq!(requests.on_reply(&obs(None)), Match::Reply(Call::Observation, 'a'));
        assert_eq!(requests.on_reply(&obs(None)), Match::Stray);
    }

    #[test]
    fn a_reply_to_a_later_request_shows_that_the_probe_will_have_none() {
        let mut requests = Requests::new(0);
        requests.add(None, Call::Probe, 'p');
        requests.add(None, Call::Metadata, 'a');
        assert_eq!(requests.on_reply(&metadata(None)), Match::Reply(Call::Metadata, 'a'));
        assert_eq!(requests.len(), 0);
    }

    #[test]
    fn answers_to_a_repeated_first_request_disturb_nobody() {
        let mut requests = Requests::new(2);
        requests.add(None, Call::Probe, 'p');
        assert_eq!(requests.on_reply(&metadata(None)), Match::Stray);
        assert!(requests.is_probe_next(), "it was not overtaken by what was asked before it");
        assert_eq!(requests.on_reply(&obs(None)), Match::Reply(Call::Probe, 'p'));
        requests.add(None, Call::Reset, 'a');
        assert_eq!(requests.on_reply(&metadata(None)), Match::Stray);
        assert_eq!(requests.on_reply(&metadata(None)), Match::Misfit(Call::Reset, 'a'));
    }

    #[test]
    fn after_an_end_an_answer_of_metadata_counts_once_nothing_else_can_come_that_was_asked_before() {
        let mut requests = Requests::new(1);
        let calls = [Call::Metadata, Call::Observation, Call::Metadata, Call::Reset, Call::Metadata];
        for call in calls {
            requests.add(None, call, ());
        }
        let mut overdue = requests.overdue();
        assert_eq!(overdue, Overdue { metadata: 4, before_others: 3 });
        // The next connection asks twice before anything comes.
        (0..2).for_each(|_| overdue.asked());
        assert_eq!([(); 4].map(|()| overdue.answered()), [false, false, false, true]);
        assert_eq!(overdue, Overdue { metadata: 2, before_others: 0 });
    }

    #[test]
    fn replies_with_ids_find_nobody_after_an_end_so_nothing_is_waited_for() {
        let mut requests = Requests::new(0);
        requests.add(id(1), Call::Metadata, ());
        requests.add(id(2), Call::Observation, ());
        let mut overdue = requests.overdue();
        assert!(overdue.answered());
    }

    #[test]
    fn a_frame_that_cannot_be_read_fails_the_request_it_was_meant_for() {
        let mut requests = Requests::new(0);
        requests.add(id(1), Call::Observation, 'a');
        requests.add(id(2), Call::Observation, 'b');
        assert_eq!(requests.on_unreadable(id(2)), Some((Call::Observation, 'b', true)));
        assert_eq!(requests.on_unreadable(None), None);
        requests.add(None, Call::Reset, 'c');
        assert_eq!(requests.on_unreadable(None), Some((Call::Reset, 'c', false)));
    }
}
