//! Bridges: whose messages go to whom.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use str0m::channel::ChannelId;
use waldo_protocol::hosted::{BridgeUpdate, ChannelLabel, Direction};

use super::{Core, is_private};
use crate::sfu::embedded::channels::{Leg, Message, Sent};
use crate::sfu::{Bridge, EngineError, EngineEvent, LegIds, PeerKind, ViewerIds};

/// Where an operator's ids begin within their slot.
const OPERATOR: u16 = 4;

/// Messages on `state_reliable` that wait for the robot to open its channel, with their bytes, and how old they may get.
const HELD: (usize, usize) = (64, 512 << 10);
const HELD_AGE: Duration = Duration::from_secs(2);

/// After this time it is taken to be open anyhow, while the first of them are not too old.
const HELD_FOR: Duration = Duration::from_millis(1800);

/// From the robot being told its ids until its channel is taken to be open.
const TOLD: Duration = Duration::from_millis(250);

/// An open bridge, kept under its robot's key.
pub(super) struct Bridged {
    pub(super) operator: u64,
    pub(super) generation: u64,
    held: Option<Held>,
}

/// The robot is not heard yet: what the operator says waits. No message tells when a channel of agreed ids is open.
struct Held {
    until: Instant,
    messages: VecDeque<(Instant, Message)>,
    bytes: usize,
}

impl Held {
    /// Lets a message wait; the oldest make room.
    fn push(&mut self, message: Message, now: Instant) {
        self.bytes += message.data.len();
        self.messages.push_back((now, message));
        while self.is_too_much() {
            let Some((_, oldest)) = self.messages.pop_front() else { return };
            self.bytes -= oldest.data.len();
        }
    }

    /// Puts a message before all that wait; the newest of those make room.
    fn push_first(&mut self, message: Message, now: Instant) {
        self.bytes += message.data.len();
        self.messages.push_front((now, message));
        while self.is_too_much() {
            let Some((_, newest)) = self.messages.pop_back() else { return };
            self.bytes -= newest.data.len();
        }
    }

    /// One message may wait however large it is.
    fn is_too_much(&self) -> bool {
        self.messages.len() > HELD.0 || (self.bytes > HELD.1 && self.messages.len() > 1)
    }
}

impl Core {
    pub(super) fn bridge(
        &mut self,
        robot: u64,
        operator: u64,
        generation: u64,
        previous: Option<LegIds>,
        now: Instant,
    ) -> Result<Bridge, EngineError> {
        let last = self.peers.get(&robot).map_or(0, |peer| peer.generation);
        if generation <= last {
            return Err(EngineError::Refused(format!("bridge {generation} comes after bridge {last}")));
        }
        self.end_bridge(robot);
        self.end_bridges_of(operator);
        let stale = |id: u16| previous.is_some_and(|ids| [ids.cmd, ids.state, ids.state_back, ids.map].contains(&id));
        let robot_ids = self.open_leg(robot, generation, 0, &ChannelLabel::ALL, stale)?.ids();
        let operator_ids = self.open_leg(operator, generation, OPERATOR, &ChannelLabel::ALL, |_| false)?.ids();
        let held = Held { until: now + HELD_FOR, messages: VecDeque::new(), bytes: 0 };
        self.bridges.insert(robot, Bridged { operator, generation, held: Some(held) });
        self.operators.insert(operator, robot);
        if let Some(peer) = self.peers.get_mut(&robot) {
            peer.generation = generation;
        }
        let bridge = Bridge { generation, robot: robot_ids, operator: operator_ids };
        self.push_ids(robot, Some(&bridge), generation);
        Ok(bridge)
    }

    pub(super) fn open_viewer(&mut self, robot: u64, viewer: u64) -> Result<ViewerIds, EngineError> {
        let before = self.peers.get(&viewer).and_then(|peer| peer.leg.as_ref()).map_or(0, |leg| leg.viewer_ids().map);
        let ids = self
            .open_leg(
                viewer,
                u64::from(before / 8),
                0,
                &[ChannelLabel::StateReliableBack, ChannelLabel::MapUnreliable],
                |_| false,
            )?
            .viewer_ids();
        for viewers in self.viewers.values_mut() {
            viewers.retain(|one| *one != viewer);
        }
        self.viewers.entry(robot).or_default().push(viewer);
        Ok(ids)
    }

    /// Opens channels at a peer, instead of those that it has.
    fn open_leg(
        &mut self,
        key: u64,
        generation: u64,
        offset: u16,
        labels: &[ChannelLabel],
        stale: impl Fn(u16) -> bool,
    ) -> Result<&Leg, EngineError> {
        let gone = || EngineError::Unavailable("the peer failed".to_owned());
        let peer = self.peers.get_mut(&key).ok_or_else(gone)?;
        let opened = peer.guard(|peer| {
            let old = peer.leg.take();
            let avoid = |id| stale(id) || old.as_ref().is_some_and(|old| old.has(id));
            let leg = Leg::open(&mut peer.rtc, generation, offset, labels, avoid);
            if let Some(old) = old {
                old.close(&mut peer.rtc);
            }
            leg
        });
        let leg = opened.flatten().ok_or_else(gone)?;
        self.touch(key);
        let peer = self.peers.get_mut(&key).ok_or_else(gone)?;
        Ok(peer.leg.insert(leg))
    }

    /// Ends the bridge of a robot. Its own channels stay, so that it can be told why.
    pub(super) fn end_bridge(&mut self, robot: u64) -> Option<Bridged> {
        let bridged = self.bridges.remove(&robot)?;
        let operator = bridged.operator;
        self.operators.remove(&operator);
        if let Some(peer) = self.peers.get_mut(&operator) {
            peer.subscriptions.retain(|one| one.receiver != robot);
            if let Some(leg) = peer.leg.take() {
                peer.guard(|peer| leg.close(&mut peer.rtc));
                self.touch(operator);
            }
        }
        if let Some(peer) = self.peers.get_mut(&robot) {
            peer.subscriptions.retain(|one| one.receiver != operator);
        }
        self.push_ids(robot, None, bridged.generation);
        Some(bridged)
    }

    fn end_bridges_of(&mut self, operator: u64) {
        if let Some(robot) = self.robot_of(operator) {
            self.end_bridge(robot);
        }
    }

    /// Ends a bridge that nobody asked to end.
    pub(super) fn break_bridge(&mut self, robot: u64, reason: &str) {
        let Some(bridged) = self.end_bridge(robot) else { return };
        let name = |key| self.peers.get(&key).map(|peer| peer.id.clone());
        if let (Some(robot), Some(operator)) = (name(robot), name(bridged.operator)) {
            tracing::info!(%robot, %operator, reason, "a bridge is closed");
            let generation = bridged.generation;
            self.tell(EngineEvent::BridgeClosed { robot, operator, generation, reason: reason.to_owned() });
        }
    }

    /// The robot that an operator is bridged to.
    pub(super) fn robot_of(&self, operator: u64) -> Option<u64> {
        self.operators.get(&operator).copied()
    }

    pub(super) fn forward_message(&mut self, from: u64, channel: ChannelId, message: Message, now: Instant) {
        let Some(peer) = self.peers.get(&from) else { return };
        let Some(label) = peer.leg.as_ref().and_then(|leg| leg.label(channel)) else { return };
        match (peer.kind, label.direction()) {
            (PeerKind::Operator, Direction::ToRobot) => {
                let Some(robot) = self.robot_of(from) else { return };
                self.say_to_robot(robot, label, message, now);
            }
            (PeerKind::Robot, Direction::ToOperator) => self.hear_robot(from, label, message, now),
            _ => tracing::debug!(peer = %peer.id, label = label.as_str(), "a message against its channel's direction"),
        }
    }

    fn say_to_robot(&mut self, robot: u64, label: ChannelLabel, message: Message, now: Instant) {
        if label == ChannelLabel::StateReliable
            && let Some(held) = self.bridges.get_mut(&robot).and_then(|bridged| bridged.held.as_mut())
        {
            held.push(message, now);
            return;
        }
        if self.send(robot, label, message, now) == Sent::Stuck {
            self.break_bridge(robot, "the robot does not take what the operator says");
        }
    }

    /// Says something to a robot before all else that waits for it. What a robot may not hear yet, as its channel is not open there,
    /// it is told again when that is.
    ///
    /// # Errors
    /// `Refused` if the robot has closed its channel.
    pub(super) fn say_first(&mut self, robot: u64, text: &str, now: Instant) -> Result<Sent, EngineError> {
        let message = || Message { binary: false, data: text.as_bytes().to_vec() };
        let peer = self.peers.get_mut(&robot);
        let is_open = peer.and_then(|peer| {
            peer.guard(|peer| {
                let leg = peer.leg.as_ref();
                leg.is_some_and(|leg| leg.is_open(&mut peer.rtc, ChannelLabel::StateReliable))
            })
        });
        let held = self.bridges.get_mut(&robot).and_then(|bridged| bridged.held.as_mut());
        let waits = held.is_some();
        if let Some(held) = held {
            held.push_first(message(), now);
        }
        match is_open {
            Some(true) => Ok(self.send(robot, ChannelLabel::StateReliable, message(), now)),
            _ if waits => Ok(Sent::Taken),
            _ => Err(EngineError::Refused("the robot has closed its channel".to_owned())),
        }
    }

    fn hear_robot(&mut self, robot: u64, label: ChannelLabel, message: Message, now: Instant) {
        // It opens this channel together with the one that something may wait for.
        self.release(robot, now);
        if let Some(viewers) = self.viewers.get(&robot)
            && !is_private(label, &message.data)
        {
            for viewer in viewers.clone() {
                let copy = Message { binary: message.binary, data: message.data.clone() };
                if self.send(viewer, label, copy, now) == Sent::Stuck {
                    self.drop_peer(viewer);
                }
            }
        }
        let Some(operator) = self.bridges.get(&robot).map(|bridged| bridged.operator) else { return };
        if self.send(operator, label, message, now) == Sent::Stuck {
            self.break_bridge(robot, "the operator does not take what the robot says");
        }
    }

    pub(super) fn send(&mut self, to: u64, label: ChannelLabel, message: Message, now: Instant) -> Sent {
        let Some(peer) = self.peers.get_mut(&to) else { return Sent::Dropped };
        let sent = peer.guard(|peer| match &mut peer.leg {
            Some(leg) => leg.send(&mut peer.rtc, label, message, now),
            None => Sent::Dropped,
        });
        self.touch(to);
        sent.unwrap_or(Sent::Dropped)
    }

    pub(super) fn flush(&mut self, key: u64, now: Instant) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if !peer.leg.as_ref().is_some_and(Leg::waits) {
            return;
        }
        let sent = peer.guard(|peer| peer.leg.as_mut().is_some_and(|leg| leg.flush(&mut peer.rtc, now)));
        if sent == Some(true) {
            self.touch(key);
        }
    }

    /// The robot has been told its ids; soon its channels are open.
    pub(super) fn told(&mut self, robot: u64, generation: u64, now: Instant) {
        if let Some(bridged) = self.bridges.get_mut(&robot)
            && bridged.generation == generation
            && let Some(held) = &mut bridged.held
        {
            held.until = held.until.min(now + TOLD);
        }
    }

    /// Sends what waited for a robot to open its channel.
    pub(super) fn release(&mut self, robot: u64, now: Instant) {
        let Some(held) = self.bridges.get_mut(&robot).and_then(|bridged| bridged.held.take()) else { return };
        for (since, message) in held.messages {
            if now.saturating_duration_since(since) <= HELD_AGE {
                self.say_to_robot(robot, ChannelLabel::StateReliable, message, now);
            }
        }
    }

    /// Releases what has waited long enough.
    pub(super) fn release_due(&mut self, now: Instant) {
        let due: Vec<u64> = self
            .bridges
            .iter()
            .filter(|(_, bridged)| bridged.held.as_ref().is_some_and(|held| held.until <= now))
            .map(|(robot, _)| *robot)
            .collect();
        for robot in due {
            self.release(robot, now);
        }
    }

    /// Tells a robot that asked for it which ids its channels have now.
    fn push_ids(&mut self, robot: u64, bridge: Option<&Bridge>, generation: u64) {
        let Some(peer) = self.peers.get_mut(&robot) else { return };
        let Some(ctl) = peer.ctl else { return };
        let update = BridgeUpdate { generation, ids: LegIds::told(bridge.map(|bridge| bridge.robot)) };
        // Numbers and nulls cannot fail.
        let text = serde_json::to_string(&update).unwrap_or_default();
        let sent = peer.guard(|peer| peer.rtc.channel(ctl).map(|mut channel| channel.write(false, text.as_bytes())));
        if !matches!(sent, Some(Some(Ok(true)))) {
            tracing::debug!(peer = %peer.id, "a push is left to the next heartbeat");
        }
        self.touch(robot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_robot_is_bounded_in_number_and_bytes() {
        let now = Instant::now();
        let mut held = Held { until: now, messages: VecDeque::new(), bytes: 0 };
        let message = |size| Message { binary: false, data: vec![0; size] };
        for _ in 0..3 {
            held.push(message(200 << 10), now);
        }
        assert_eq!((held.messages.len(), held.bytes), (2, 400 << 10));
        for size in 0..100 {
            held.push(message(size), now);
        }
        assert_eq!(held.messages.len(), HELD.0);
        assert_eq!(held.messages.back().map(|(_, message)| message.data.len()), Some(99));
        held.push_first(message(7), now);
        assert_eq!(held.messages.len(), HELD.0);
        assert_eq!(held.messages.front().map(|(_, message)| message.data.len()), Some(7));
        assert_eq!(held.bytes, held.messages.iter().map(|(_, message)| message.data.len()).sum::<usize>());
    }
}
