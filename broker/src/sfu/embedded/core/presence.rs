//! Who is there: peers that connect, fall silent, come back and go.

use std::time::{Duration, Instant};

use str0m::Output;
use waldo_protocol::hosted::{ChannelLabel, ToRobot};

use super::{Core, TICK};
use crate::sfu::embedded::channels::Message;
use crate::sfu::{EngineEvent, PeerKind, PeerState};

/// An operator that nothing is heard of for this long is lost. Checks go to him every 200 ms.
const OPERATOR_SILENT: Duration = Duration::from_millis(800);

/// The same for robots and viewers, who are checked every 500 ms and whose loss moves nothing.
const OTHERS_SILENT: Duration = Duration::from_millis(2500);

/// A lost peer that does not come back within this time is removed.
const LOST: Duration = Duration::from_secs(30);

/// A peer that has not connected within this time is removed.
const CONNECTING: Duration = Duration::from_secs(90);

/// A track without packets for this long is silent.
const TRACK_SILENT: Duration = Duration::from_secs(2);

/// A pause of the engine itself that is longer is not counted as silence of its peers.
const PAUSE: Duration = Duration::from_millis(300);

impl Core {
    pub(super) fn tick(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.last_tick);
        if passed > PAUSE {
            tracing::warn!(milliseconds = passed.as_millis(), "the SFU was kept from running");
            for peer in self.peers.values_mut() {
                peer.heard = (peer.heard + (passed - TICK)).min(now);
            }
        }
        self.last_tick = now;
        let keys: Vec<u64> = self.peers.keys().copied().collect();
        for key in keys {
            self.look_at(key, now);
        }
        self.release_due(now);
        self.retry_waiting(now);
    }

    fn look_at(&mut self, key: u64, now: Instant) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let silent = now.saturating_duration_since(peer.heard);
        let limit = if peer.kind == PeerKind::Operator { OPERATOR_SILENT } else { OTHERS_SILENT };
        match peer.state {
            PeerState::Connecting if now.saturating_duration_since(peer.born) > CONNECTING => self.drop_peer(key),
            PeerState::Connected if silent > limit => self.lost(key, "ice", now),
            PeerState::Lost if silent > LOST => self.drop_peer(key),
            PeerState::Lost if silent < limit => {
                peer.state = PeerState::Connected;
                let event = EngineEvent::PeerRecovered { peer: peer.id.clone() };
                self.tell(event);
            }
            _ => {}
        }
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let mut silent_tracks = Vec::new();
        for source in &mut peer.sources {
            let is_silent = source.heard.is_some_and(|heard| now.saturating_duration_since(heard) > TRACK_SILENT);
            if source.active && is_silent {
                source.active = false;
                silent_tracks.push(EngineEvent::TrackSilent { peer: peer.id.clone(), mid: source.mid.to_string() });
            }
        }
        let asked = (0..peer.sources.len()).any(|index| peer.ask_for_key_frame(index, now));
        for event in silent_tracks {
            self.tell(event);
        }
        if asked {
            self.touch(key);
        }
        self.flush(key, now);
    }

    pub(super) fn connected(&mut self, key: u64, now: Instant) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        if peer.state != PeerState::Connecting {
            return;
        }
        peer.state = PeerState::Connected;
        peer.heard = now;
        let event = EngineEvent::PeerConnected { peer: peer.id.clone() };
        tracing::debug!(peer = %peer.id, kind = ?peer.kind, "connected");
        self.tell(event);
        self.retry_waiting(now);
    }

    /// A peer closed its connection, or it failed.
    pub(super) fn hung_up(&mut self, key: u64, now: Instant) {
        if self.peers.contains_key(&key) {
            self.lost(key, "dtls", now);
            self.drop_peer(key);
        }
    }

    /// What is to happen at once when a peer is not heard any more: nothing moves on an operator's behalf.
    fn lost(&mut self, key: u64, reason: &str, now: Instant) {
        let Some(peer) = self.peers.get_mut(&key) else { return };
        let was = std::mem::replace(&mut peer.state, PeerState::Lost);
        let (id, kind) = (peer.id.clone(), peer.kind);
        if was == PeerState::Lost {
            return;
        }
        if kind == PeerKind::Robot {
            // The broker forgets the ids; channels that still were there would lead nowhere.
            self.break_bridge(key, "the robot is lost");
        }
        if kind == PeerKind::Operator
            && let Some(robot) = self.robot_of(key)
        {
            self.break_bridge(robot, "the operator is lost");
            let data = ToRobot::OperatorLost { reason: Some(reason.to_owned()) }.encode().into_bytes();
            self.send(robot, ChannelLabel::StateReliable, Message { binary: false, data }, now);
        }
        if was == PeerState::Connected {
            tracing::info!(peer = %id, ?kind, reason, "lost");
            self.tell(EngineEvent::PeerLost { peer: id, reason: reason.to_owned() });
        }
    }

    /// Removes a peer and whatever hangs on it.
    pub(super) fn drop_peer(&mut self, key: u64) {
        let robot = if self.bridges.contains_key(&key) { Some(key) } else { self.robot_of(key) };
        if let Some(robot) = robot {
            self.break_bridge(robot, "a peer is gone");
        }
        self.viewers.remove(&key);
        for viewers in self.viewers.values_mut() {
            viewers.retain(|viewer| *viewer != key);
        }
        let Some(mut peer) = self.peers.remove(&key) else { return };
        for other in self.peers.values_mut() {
            other.subscriptions.retain(|one| one.receiver != key);
        }
        if let Some(at) = peer.deadline {
            self.timers.remove(&(at, key));
        }
        for address in &peer.addresses {
            self.addresses.remove(address);
        }
        self.fragments.remove(&peer.ufrag);
        self.names.remove(&peer.id);
        // The other side learns of it at once instead of by silence.
        let transmits = &mut self.transmits;
        peer.guard(|peer| {
            if peer.rtc.is_alive() && peer.rtc.close().is_ok() {
                while let Ok(output) = peer.rtc.poll_output() {
                    match output {
                        Output::Transmit(transmit) => transmits.push(transmit),
                        Output::Event(_) => {}
                        Output::Timeout(_) => break,
                    }
                }
            }
        });
        self.tell(EngineEvent::PeerClosed { peer: peer.id });
    }
}
