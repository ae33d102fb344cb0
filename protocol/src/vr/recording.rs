//! What the operator decided: presses of the reset button, and the start and end of episodes.

use super::frame::{EpisodeOp, VrFrame, VrState};

/// A decision about an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Episode {
    /// Begin to record. If an episode is open already its end was lost: keep it and mark it for review.
    Start,
    /// Keep what was recorded. With `review`, frames with another decision may have been lost before this one, so that
    /// a person should look at the episode.
    Save {
        /// Mark the episode for review.
        review: bool,
    },
    /// Throw away what was recorded.
    Discard,
}

/// What happens to an open episode without a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interruption {
    /// The operator leaves the presentation in the middle of it.
    Begins,
    /// The operator is back and goes on with it.
    Ends,
}

/// What one frame decides. The reset comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edges {
    /// The reset button was pressed.
    pub reset: bool,
    /// An episode starts or ends.
    pub episode: Option<Episode>,
    /// The open episode is interrupted, or is so no longer.
    pub interruption: Option<Interruption>,
    /// Decisions about episodes before this one that were lost on the way; known of streams with counters only.
    pub lost: u32,
}

/// Finds the edges in the frames of one stream, already without duplicates.
///
/// One value a stream: an edge between the frames of two streams means nothing. With counters negotiated an edge
/// survives the loss of its frame; without them it is a change of `reset` or `state` from one frame to the next.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordingEdges {
    counters: bool,
    before: Option<Before>,
    reset_n: Option<u32>,
    ep_n: Option<u32>,
    recording: bool,
    /// Of an open episode only.
    interrupted: bool,
    /// The server ended the episode, and the stream has not left it yet.
    ended: bool,
}

/// What the next frame is compared with.
#[derive(Clone, Copy, Debug)]
struct Before {
    reset: bool,
    state: VrState,
    seq: Option<i64>,
}

struct Decision {
    op: EpisodeOp,
    lost: u32,
    /// Frames before this one are missing, and with them perhaps another decision.
    doubtful: bool,
}

impl RecordingEdges {
    /// The stream agreed on counters: from now on its `reset_n`, `ep_n` and `ep_op` count instead of pulses and states.
    ///
    /// The first values are the baseline. Until they come, pulses and states go on to count.
    pub fn use_counters(&mut self) {
        self.counters = true;
    }

    /// Whether an episode that this stream started is open.
    pub fn recording(&self) -> bool {
        self.recording
    }

    /// Whether that episode is interrupted: nobody records at the moment.
    pub fn interrupted(&self) -> bool {
        self.interrupted
    }

    /// The stream vanished: its last socket closed, or nothing came for long. True if an episode is open and was not
    /// interrupted before.
    ///
    /// Keep this value for a stream of the same id, which goes on where it was; a save that may have been a discard is
    /// then marked for review. If none comes, keep the episode and mark it for review.
    pub fn interrupt(&mut self) -> bool {
        // What was pressed while the link was dead was not meant for later.
        self.reset_n = None;
        if let Some(before) = &mut self.before {
            before.reset = true;
        }
        let was = std::mem::replace(&mut self.interrupted, self.recording);
        self.recording && !was
    }

    /// The server itself ended the episode: a later save or discard of the stream is without a start. One that was on its
    /// way already decides nothing, but a discard takes its reset with it all the same: it was not meant as one.
    pub fn end(&mut self) {
        self.ended |= std::mem::take(&mut self.recording);
        self.interrupted = false;
    }

    /// Feeds one frame. With `counts` false (another stream drives) nothing is an edge, an open episode is no longer
    /// this stream's, and nothing that changes meanwhile is an edge later.
    ///
    /// A save or discard without a start is none. A discard takes the reset of its frame with it. A reset in the middle
    /// of a recording that decides nothing comes from who leaves: any other press of its button asks first.
    pub fn observe(&mut self, frame: &VrFrame, counts: bool) -> Edges {
        let (reset, decision) = (self.reset_edge(frame), self.decision(frame));
        let before = self.before.replace(Before { reset: frame.reset, state: frame.state, seq: frame.seq });
        if !counts {
            (self.recording, self.interrupted, self.ended) = (false, false, false);
            return Edges::default();
        }
        let episode = match &decision {
            Some(Decision { op: EpisodeOp::Start, .. }) => Some(Episode::Start),
            Some(Decision { op: EpisodeOp::Save, doubtful, .. }) if self.recording => {
                Some(Episode::Save { review: *doubtful })
            }
            Some(Decision { op: EpisodeOp::Discard, .. }) if self.recording => Some(Episode::Discard),
            _ => None,
        };
        if let Some(episode) = episode {
            (self.recording, self.interrupted) = (episode == Episode::Start, false);
        }
        let ended = decision.is_some() && std::mem::take(&mut self.ended);
        let discards = matches!(decision, Some(Decision { op: EpisodeOp::Discard, .. }));
        let reset = reset && episode != Some(Episode::Discard) && !(ended && discards);
        let interruption = self.recording.then(|| self.interruption(before, frame, reset)).flatten();
        Edges { reset, episode, interruption, lost: decision.map_or(0, |d| d.lost) }
    }

    fn interruption(&mut self, before: Option<Before>, frame: &VrFrame, reset: bool) -> Option<Interruption> {
        if reset && frame.state == VrState::Recording {
            let was = std::mem::replace(&mut self.interrupted, true);
            return (!was).then_some(Interruption::Begins);
        }
        let as_before = before.is_none_or(|before| before.state == frame.state);
        let back = as_before && !frame.reset && std::mem::take(&mut self.interrupted);
        back.then_some(Interruption::Ends)
    }

    fn reset_edge(&mut self, frame: &VrFrame) -> bool {
        if self.counters
            && let Some(n) = frame.reset_n
            && let Some(known) = self.reset_n.replace(n)
        {
            return n != known;
        }
        let counted = self.reset_n.is_some() && frame.reset_n.is_none();
        frame.reset && !counted && self.before.is_none_or(|before| !before.reset)
    }

    fn decision(&mut self, frame: &VrFrame) -> Option<Decision> {
        if self.counters
            && let Some(n) = frame.ep_n
            && let Some(known) = self.ep_n.replace(n)
        {
            let lost = n.wrapping_sub(known).checked_sub(1)?;
            return frame.ep_op.map(|op| Decision { op, lost, doubtful: lost > 0 });
        }
        if self.ep_n.is_some() && frame.ep_n.is_none() {
            return None;
        }
        let before = self.before?;
        let op = match (before.state, frame.state, frame.reset) {
            (VrState::DataCollection, VrState::Recording, _) => EpisodeOp::Start,
            (VrState::Recording, VrState::DataCollection, false) => EpisodeOp::Save,
            (VrState::Recording, VrState::DataCollection, true) => EpisodeOp::Discard,
            _ => return None,
        };
        let gap = matches!((before.seq, frame.seq), (Some(last), Some(seq)) if seq > last.saturating_add(1));
        Some(Decision { op, lost: 0, doubtful: gap || self.interrupted })
    }
}
