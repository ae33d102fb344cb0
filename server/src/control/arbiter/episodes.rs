//! Episodes whose recording stream leaves, falls silent, or no longer drives. At most one is open at a time.

use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Edges, Episode, HoldReason, Interruption, RecordingEdges};

use super::standing::Standing;
use super::stream::Stream;
use super::{Arbiter, Event, SourceId};

impl Arbiter {
    /// What a source that left in the middle of an episode had decided so far, once.
    pub fn take_interrupted(&mut self) -> Option<RecordingEdges> {
        self.interrupted.take()
    }

    /// A source that left in the middle of an episode is back and goes on with it.
    pub fn resume(&mut self, now: MonoTime, source: SourceId, edges: RecordingEdges) {
        if let Some(stream) = self.stream_or_new(now, source) {
            stream.edges = edges;
        }
    }

    /// The server itself ended the open episode, of whichever source: what its operator decides about it later counts for
    /// nothing.
    pub fn end_episode(&mut self) {
        let left = self.interrupted.iter_mut();
        self.streams.iter_mut().map(|s| &mut s.edges).chain(left).for_each(RecordingEdges::end);
    }

    /// What a frame that counts says about episodes.
    pub(super) fn note_episode(&mut self, id: SourceId, edges: &Edges, events: &mut Vec<Event>) {
        if edges.episode == Some(Episode::Start) {
            // Whatever was open is lost with this start, and its own headset can no longer decide about it.
            for stream in self.streams.iter_mut().filter(|s| s.id != id) {
                stream.edges.end();
            }
        }
        if edges.lost > 0 {
            events.push(Event::DecisionsLost(edges.lost));
        }
        events.extend(edges.episode.map(Event::Episode));
        events.extend(edges.interruption.map(|interruption| match interruption {
            Interruption::Begins => Event::Interrupted(id),
            Interruption::Ends => Event::Resumed(id),
        }));
    }

    /// The last socket of a source closed: keeps what it had decided, if an episode is open.
    pub(super) fn part_with_episode(&mut self, source: SourceId, events: &mut Vec<Event>) {
        let Some(stream) = self.streams.iter_mut().find(|s| s.id == source) else { return };
        if stream.edges.interrupt() {
            events.push(Event::Interrupted(source));
        }
        if stream.edges.recording() {
            self.interrupted = Some(stream.edges);
        }
    }

    /// A headset that sends nothing records nothing, whether it drives or not. Its episode stays open for it.
    pub(super) fn interrupt_silent(&mut self, now: MonoTime, events: &mut Vec<Event>) {
        let silent = |s: &&mut Stream| s.edges.recording() && s.silence(now) >= s.id.kind.lost_after();
        for stream in self.streams.iter_mut().filter(silent) {
            if stream.edges.interrupt() {
                events.push(Event::Interrupted(stream.id));
            }
        }
    }

    /// What others do counts for nothing from now on, so that their episodes can neither be saved nor discarded by them.
    pub(super) fn end_episodes_but_of(&mut self, driver: SourceId, events: &mut Vec<Event>) {
        for stream in self.streams.iter_mut().filter(|s| s.id != driver && s.edges.recording()) {
            if stream.edges.interrupt() {
                events.push(Event::Interrupted(stream.id));
            }
            stream.edges.end();
        }
    }
}

impl Stream {
    /// A word to the operator whose episode waits for them.
    pub(super) fn interrupted_episode(&self) -> Option<Standing> {
        self.edges.interrupted().then(|| Standing::info(HoldReason::Interrupted, self.newest()))
    }
}
