//! The channels of one peer and what waits for them.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::channel::{ChannelConfig, ChannelId, Reliability};
use waldo_protocol::hosted::ChannelLabel;

use crate::sfu::{LegIds, ViewerIds};

/// Ids come in slots of eight: four for a robot's side, four for an operator's.
const SLOT: u16 = 8;

/// Lower ids belong to channels that peers open by themselves.
const FIRST: u16 = 16;

/// Chromium refuses ids above 1023.
const SLOTS: u16 = (1024 - FIRST) / SLOT;

/// Bytes of a channel that may lie in the association. What comes then waits here, where of a lossy channel the newest counts.
fn under_way(label: ChannelLabel) -> usize {
    match label {
        ChannelLabel::CmdUnreliable => 32 << 10,
        ChannelLabel::MapUnreliable => 128 << 10,
        ChannelLabel::StateReliable | ChannelLabel::StateReliableBack => 256 << 10,
    }
}

/// Bytes and messages of a lossy channel that wait behind them.
const LOSSY_WAITING: (usize, usize) = (256 << 10, 64);

/// How old a message of a lossy channel may get while it waits.
const LOSSY_AGE: Duration = Duration::from_millis(500);

/// Bytes of a reliable channel that may wait before it counts as stuck.
const RELIABLE_WAITING: usize = 1 << 20;

/// What one association may hold, all its channels together.
pub(super) const ASSOCIATION: usize = 4 << 20;

/// One message of a channel.
pub(super) struct Message {
    pub(super) binary: bool,
    pub(super) data: Vec<u8>,
}

/// What became of a message that was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It is on its way, or waits for it.
    Taken,
    /// It, or older ones in favour of it, are left out.
    Dropped,
    /// The channel does not move, and may lose nothing.
    Stuck,
}

/// The side of a bridge that one peer has.
pub(super) struct Leg {
    outlets: Vec<Outlet>,
    slot: u16,
}

struct Outlet {
    label: ChannelLabel,
    id: u16,
    channel: ChannelId,
    waiting: VecDeque<(Instant, Message)>,
    bytes: usize,
}

impl Leg {
    /// Opens these channels at a peer, with ids of the slot that a generation asks for, or of the next one that differs from all that the
    /// peer has or had last.
    pub(super) fn open(
        rtc: &mut Rtc,
        generation: u64,
        offset: u16,
        labels: &[ChannelLabel],
        avoid: impl Fn(u16) -> bool,
    ) -> Option<Self> {
        let wanted = u16::try_from(generation % u64::from(SLOTS)).unwrap_or(0);
        let slot = (0..SLOTS).map(|step| (wanted + step) % SLOTS).find(|slot| {
            let first = FIRST + slot * SLOT;
            (first..first + SLOT).all(|id| !avoid(id) && rtc.direct_api().channel_id_by_sctp_stream_id(id).is_none())
        })?;
        let first = FIRST + slot * SLOT + offset;
        let outlets = labels
            .iter()
            .zip(first..)
            .map(|(&label, id)| Outlet {
                label,
                id,
                channel: rtc.direct_api().create_data_channel(negotiated(label.as_str(), id, label.lossy())),
                waiting: VecDeque::new(),
                bytes: 0,
            })
            .collect();
        Some(Self { outlets, slot })
    }

    /// Whether this id is in the slot of this side.
    pub(super) fn has(&self, id: u16) -> bool {
        id >= FIRST && (id - FIRST) / SLOT == self.slot
    }

    /// Which of its channels this is.
    pub(super) fn label(&self, channel: ChannelId) -> Option<ChannelLabel> {
        self.outlets.iter().find(|outlet| outlet.channel == channel).map(|outlet| outlet.label)
    }

    /// Whether a channel stands: the other side has not closed it.
    pub(super) fn is_open(&self, rtc: &mut Rtc, label: ChannelLabel) -> bool {
        let outlet = self.outlets.iter().find(|outlet| outlet.label == label);
        outlet.is_some_and(|outlet| rtc.channel(outlet.channel).is_some())
    }

    pub(super) fn ids(&self) -> LegIds {
        LegIds {
            cmd: self.id(ChannelLabel::CmdUnreliable),
            state: self.id(ChannelLabel::StateReliable),
            state_back: self.id(ChannelLabel::StateReliableBack),
            map: self.id(ChannelLabel::MapUnreliable),
        }
    }

    pub(super) fn viewer_ids(&self) -> ViewerIds {
        ViewerIds { state_back: self.id(ChannelLabel::StateReliableBack), map: self.id(ChannelLabel::MapUnreliable) }
    }

    fn id(&self, label: ChannelLabel) -> u16 {
        self.outlets.iter().find(|outlet| outlet.label == label).map_or(0, |outlet| outlet.id)
    }

    /// Closes the channels that are still there.
    pub(super) fn close(self, rtc: &mut Rtc) {
        for outlet in self.outlets {
            rtc.direct_api().close_data_channel(outlet.channel);
        }
    }

    /// Sends a message, or lets it wait for its turn.
    pub(super) fn send(&mut self, rtc: &mut Rtc, label: ChannelLabel, message: Message, now: Instant) -> Sent {
        let Some(outlet) = self.outlets.iter_mut().find(|outlet| outlet.label == label) else {
            return Sent::Dropped;
        };
        if outlet.waiting.is_empty() {
            match outlet.write(rtc, &message) {
                Written::Yes => return Sent::Taken,
                Written::Never => return Sent::Dropped,
                Written::NotNow => {}
            }
        }
        outlet.wait(message, now)
    }

    /// Sends what waits, as far as it may. Tells whether anything was sent.
    pub(super) fn flush(&mut self, rtc: &mut Rtc, now: Instant) -> bool {
        let mut sent = false;
        for outlet in &mut self.outlets {
            while let Some((since, message)) = outlet.waiting.front() {
                let too_old = outlet.label.lossy() && now.saturating_duration_since(*since) > LOSSY_AGE;
                if !too_old {
                    match outlet.write(rtc, message) {
                        Written::Yes => sent = true,
                        Written::Never => {}
                        Written::NotNow => break,
                    }
                }
                outlet.pop();
            }
        }
        sent
    }

    /// Whether anything waits.
    pub(super) fn waits(&self) -> bool {
        self.outlets.iter().any(|outlet| !outlet.waiting.is_empty())
    }
}

enum Written {
    Yes,
    NotNow,
    /// The other side cannot take it.
    Never,
}

impl Outlet {
    fn write(&self, rtc: &mut Rtc, message: &Message) -> Written {
        let Some(mut channel) = rtc.channel(self.channel) else { return Written::NotNow };
        let waiting = channel.buffered_amount();
        if waiting > 0 && waiting + message.data.len() > under_way(self.label) {
            return Written::NotNow;
        }
        match channel.write(message.binary, &message.data) {
            Ok(true) => Written::Yes,
            Ok(false) => Written::NotNow,
            Err(error) => {
                tracing::debug!(label = self.label.as_str(), bytes = message.data.len(), %error, "a message is left out");
                Written::Never
            }
        }
    }

    fn wait(&mut self, message: Message, now: Instant) -> Sent {
        self.bytes += message.data.len();
        self.waiting.push_back((now, message));
        if !self.label.lossy() {
            return if self.bytes > RELIABLE_WAITING { Sent::Stuck } else { Sent::Taken };
        }
        let mut sent = Sent::Taken;
        while self.waiting.len() > LOSSY_WAITING.1 || (self.bytes > LOSSY_WAITING.0 && self.waiting.len() > 1) {
            self.pop();
            sent = Sent::Dropped;
        }
        sent
    }

    fn pop(&mut self) {
        if let Some((_, message)) = self.waiting.pop_front() {
            self.bytes -= message.data.len();
        }
    }
}

/// A channel that both sides open with an id they know.
pub(super) fn negotiated(label: &str, id: u16, lossy: bool) -> ChannelConfig {
    ChannelConfig {
        label: label.to_owned(),
        ordered: !lossy,
        reliability: if lossy { Reliability::MaxRetransmits { retransmits: 0 } } else { Reliability::Reliable },
        negotiated: Some(id),
        protocol: String::new(),
    }
}
