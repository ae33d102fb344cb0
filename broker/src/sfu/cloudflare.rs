//! Cloudflare Realtime as the engine: peers, channels and tracks are made by its REST API, and media never comes near us.

mod api;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::broadcast;
use waldo_protocol::hosted::{ChannelLabel, Direction};

use self::api::{Api, Failure};
use super::{
    Attached, Bridge, Capabilities, Engine, EngineError, EngineEvent, Leg, LegIds, NewPeer, PeerId, PeerState, Track,
    VideoStatus, ViewerIds,
};

/// Where the service is.
pub const BASE: &str = "https://rtc.live.cloudflare.com/v1";

/// Waits before a channel call is tried again that came too early.
const NOT_READY: [Duration; 4] =
    [Duration::from_millis(250), Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];

/// Waits before a pull is tried again whose track was not found.
const NOT_FOUND: [Duration; 5] = [
    Duration::from_millis(300),
    Duration::from_millis(600),
    Duration::from_secs(1),
    Duration::from_millis(1500),
    Duration::from_secs(2),
];

/// Peers whose publications are remembered, so that they can be closed; the map is emptied when it is full.
const REMEMBERED: usize = 4096;

/// The engine.
pub struct Cloudflare {
    api: Api,
    events: broadcast::Sender<EngineEvent>,
    /// What was published and pulled at an operator's session, to be closed with the bridge.
    opened: Mutex<HashMap<PeerId, Opened>>,
}

#[derive(Clone, Debug, Default)]
struct Opened {
    channels: Vec<u16>,
    video: Option<String>,
}

impl Cloudflare {
    /// An app of Cloudflare Realtime, by its id and secret. `base` is [`BASE`] but in tests.
    pub fn new(base: &str, app: &str, secret: String) -> Self {
        let (events, _) = broadcast::channel(1);
        Self { api: Api::new(base, app, secret), events, opened: Mutex::default() }
    }

    /// Closes what an earlier bridge left at an operator's session.
    async fn close_operator(&self, operator: &PeerId) {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner).remove(operator);
        let Some(opened) = opened else { return };
        self.close_channels(operator, &opened.channels).await;
        if let Some(mid) = opened.video
            && let Err(failure) = self.api.close_track(operator, &mid).await
        {
            tracing::warn!(%operator, %failure, "a pulled track may still be there");
        }
    }

    /// Closes publications; what is gone already is no error.
    async fn close_channels(&self, peer: &PeerId, ids: &[u16]) {
        if ids.is_empty() {
            return;
        }
        if let Err(failure) = self.api.close_channels(peer, ids).await {
            tracing::warn!(%peer, %failure, "publications may still be there");
        }
    }

    fn remember(&self, operator: &PeerId, change: impl FnOnce(&mut Opened)) {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.len() >= REMEMBERED && !opened.contains_key(operator) {
            opened.clear();
        }
        change(opened.entry(operator.clone()).or_default());
    }

    /// Makes two channels on a session: published there, or from another session.
    async fn channels(
        &self,
        peer: &PeerId,
        leg: Leg,
        direction: Direction,
        from: Option<&PeerId>,
    ) -> Result<[u16; 2], EngineError> {
        let labels: Vec<ChannelLabel> =
            ChannelLabel::ALL.into_iter().filter(|label| label.direction() == direction).collect();
        let mut waits = NOT_READY.into_iter();
        loop {
            match self.api.new_channels(peer, &labels, from).await {
                Ok(ids) => match ids[..] {
                    [first, second] => return Ok([first, second]),
                    _ => return Err(EngineError::Malformed("another number of channels than asked for".to_owned())),
                },
                Err(Failure::Transient(detail)) => match waits.next() {
                    Some(wait) => self.api.wait(wait).await,
                    None => return Err(EngineError::NotReady(detail)),
                },
                Err(failure) => return Err(failure.into_error(leg)),
            }
        }
    }

    /// Publishes a track and pulls it, with patience while it has not arrived yet.
    async fn pull(&self, from: &PeerId, track: &Track, to: &PeerId) -> (VideoStatus, Option<(Option<String>, String)>) {
        match self.api.publish(from, track).await {
            Ok(()) => {}
            Err(Failure::Item { code, .. }) if code == "repeated_local_track_error" => {}
            Err(failure) => {
                tracing::warn!(peer = %from, %failure, "a track cannot be published");
                return (VideoStatus::PublishError, None);
            }
        }
        let mut waits = NOT_FOUND.into_iter();
        loop {
            let failure = match self.api.pull(from, track, to).await {
                Ok((Some(offer), mid)) => return (VideoStatus::Ok, Some((mid, offer))),
                Ok((None, _)) => return (VideoStatus::NoOffer, None),
                Err(failure) => failure,
            };
            let early = matches!(&failure, Failure::Transient(_))
                || matches!(&failure, Failure::Item { code, .. } if code == "not_found_track_error");
            let is_empty = matches!(&failure, Failure::Item { code, .. } if code == "empty_track_error");
            match waits.next().filter(|_| early) {
                Some(wait) => self.api.wait(wait).await,
                None => {
                    tracing::warn!(peer = %to, %failure, "a track cannot be pulled");
                    return (if is_empty { VideoStatus::NoOffer } else { VideoStatus::PullError }, None);
                }
            }
        }
    }
}

#[async_trait]
impl Engine for Cloudflare {
    fn capabilities(&self) -> Capabilities {
        Capabilities { sdp_relay: true, bridge: true, ..Capabilities::default() }
    }

    async fn create_peer(&self, new: NewPeer) -> Result<(PeerId, String), EngineError> {
        self.api.new_session(&new.offer).await.map_err(|failure| failure.into_error(Leg::Unknown))
    }

    async fn peer_state(&self, peer: &PeerId) -> Result<PeerState, EngineError> {
        match self.api.session(peer).await {
            Ok(()) => Ok(PeerState::Connected),
            Err(Failure::Transient(_)) => Ok(PeerState::Connecting),
            Err(failure) => Err(failure.into_error(Leg::Unknown)),
        }
    }

    async fn open_bridge(
        &self,
        robot: &PeerId,
        operator: &PeerId,
        generation: u64,
        previous: Option<LegIds>,
    ) -> Result<Bridge, EngineError> {
        if let Some(previous) = previous {
            self.close_channels(robot, &[previous.state_back, previous.map]).await;
        }
        self.close_operator(operator).await;
        let (up, down) = tokio::join!(
            self.channels(operator, Leg::Operator, Direction::ToRobot, None),
            self.channels(robot, Leg::Robot, Direction::ToOperator, None),
        );
        let opened = async {
            let ([cmd, state], [back, map]) = match (&up, &down) {
                (Ok(up), Ok(down)) => (*up, *down),
                (Err(error), _) | (_, Err(error)) => return Err(error.clone()),
            };
            let (robot_up, operator_down) = tokio::join!(
                self.channels(robot, Leg::Robot, Direction::ToRobot, Some(operator)),
                self.channels(operator, Leg::Operator, Direction::ToOperator, Some(robot)),
            );
            let ([robot_cmd, robot_state], [operator_back, operator_map]) = (robot_up?, operator_down?);
            Ok(Bridge {
                generation,
                robot: LegIds { cmd: robot_cmd, state: robot_state, state_back: back, map },
                operator: LegIds { cmd, state, state_back: operator_back, map: operator_map },
            })
        };
        let bridge = opened.await;
        match &bridge {
            Ok(bridge) => {
                let channels = vec![bridge.operator.cmd, bridge.operator.state];
                self.remember(operator, |opened| opened.channels = channels);
            }
            // All or none: what this attempt has published is closed again.
            Err(_) => {
                let (up, down) =
                    (up.as_ref().map_or(&[][..], |ids| &ids[..]), down.as_ref().map_or(&[][..], |ids| &ids[..]));
                tokio::join!(self.close_channels(operator, up), self.close_channels(robot, down));
            }
        }
        bridge
    }

    async fn close_bridge(&self, robot: &PeerId, operator: &PeerId, bridge: &Bridge) {
        self.remember(operator, |opened| {
            if opened.channels.is_empty() {
                opened.channels = vec![bridge.operator.cmd, bridge.operator.state];
            }
        });
        let robot_ids = [bridge.robot.state_back, bridge.robot.map];
        tokio::join!(self.close_operator(operator), self.close_channels(robot, &robot_ids));
    }

    async fn attach_video(&self, robot: &PeerId, track: &Track, receiver: &PeerId) -> Attached {
        let (status, pulled) = self.pull(robot, track, receiver).await;
        let offer = pulled.map(|(mid, offer)| {
            self.remember(receiver, |opened| opened.video = mid);
            offer
        });
        Attached { status, offer }
    }

    async fn attach_audio(&self, operator: &PeerId, track: &Track, robot: &PeerId) -> Option<String> {
        self.pull(operator, track, robot).await.1.map(|(_, offer)| offer)
    }

    async fn attach_viewer(&self, _robot: &PeerId, _viewer: &PeerId) -> Result<ViewerIds, EngineError> {
        Err(EngineError::Refused("Cloudflare gives viewers no copies".to_owned()))
    }

    async fn submit_answer(&self, peer: &PeerId, sdp: &str) -> Result<(), EngineError> {
        self.api.renegotiate(peer, sdp).await.map_err(|failure| failure.into_error(Leg::Unknown))
    }

    async fn close_peer(&self, peer: &PeerId) {
        // A session cannot be deleted; it ends with its connection.
        self.close_operator(peer).await;
    }

    async fn inject(&self, _robot: &PeerId, _text: &str) -> Result<(), EngineError> {
        Err(EngineError::Refused("Cloudflare takes no messages from us".to_owned()))
    }

    fn events(&self) -> broadcast::Receiver<EngineEvent> {
        self.events.subscribe()
    }
}
