//! Cloudflare Realtime as the engine: peers, channels and tracks are made by its REST API, and media never comes near us.

mod api;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
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

/// Operators for whom is remembered what was opened; beyond it, all is forgotten.
const REMEMBERED: usize = 4096;

/// The engine.
pub struct Cloudflare {
    api: Api,
    events: broadcast::Sender<EngineEvent>,
    /// What this process has opened for operators, to be closed with the bridge.
    opened: Mutex<HashMap<PeerId, Opened>>,
    bridges: AtomicU64,
}

/// What was opened for an operator.
#[derive(Clone, Debug, Default)]
struct Opened {
    /// Tells one bridge of an operator from the next.
    number: u64,
    /// Publications at the operator's session.
    channels: Vec<u16>,
    /// m-sections of the operator's session: the pulled picture, the published voice.
    tracks: Vec<String>,
    /// Where the voice was pulled to, and its m-section there.
    voice: Option<(PeerId, String)>,
}

impl Cloudflare {
    /// An app of Cloudflare Realtime, by its id and secret. `base` is [`BASE`] but in tests.
    pub fn new(base: &str, app: &str, secret: String) -> Self {
        let (events, _) = broadcast::channel(1);
        Self { api: Api::new(base, app, secret), events, opened: Mutex::default(), bridges: AtomicU64::new(0) }
    }

    /// Closes what a bridge has at an operator's session, these publications among it. What another process, or this one before it was
    /// started anew, has opened there is asked for.
    async fn close_operator(&self, operator: &PeerId, channels: &[u16]) -> Result<bool, EngineError> {
        let found = self.opened.lock().unwrap_or_else(PoisonError::into_inner).remove(operator);
        let is_known = found.is_some();
        let mut opened = found.unwrap_or_default();
        if opened.channels.is_empty() {
            opened.channels.extend(channels);
        }
        let mut failed = None;
        if !is_known {
            match self.patiently(|| self.api.tracks(operator)).await {
                Ok(tracks) => opened.tracks = tracks,
                Err(failure) => failed = Some(failure),
            }
        }
        let was = !opened.channels.is_empty() || !opened.tracks.is_empty();
        if !opened.channels.is_empty() {
            failed = self.patiently(|| self.api.close_channels(operator, &opened.channels)).await.err().or(failed);
        }
        failed = self.close_tracks(&opened, operator).await.err().or(failed);
        match failed {
            Some(failure) => Err(failure.into_error(Leg::Operator)),
            None => Ok(was),
        }
    }

    /// Ends picture and voice of an operator.
    async fn close_tracks(&self, opened: &Opened, operator: &PeerId) -> Result<(), Failure> {
        let mut failed = None;
        if !opened.tracks.is_empty() {
            failed = self.patiently(|| self.api.close_tracks(operator, &opened.tracks)).await.err();
        }
        if let Some((robot, mid)) = &opened.voice {
            let mids = std::slice::from_ref(mid);
            failed = self.patiently(|| self.api.close_tracks(robot, mids)).await.err().or(failed);
        }
        failed.map_or(Ok(()), Err)
    }

    /// Closes publications; what is gone already is no error.
    async fn close_channels(&self, peer: &PeerId, ids: &[u16]) -> Result<(), EngineError> {
        if ids.is_empty() {
            return Ok(());
        }
        let closed = self.patiently(|| self.api.close_channels(peer, ids)).await;
        closed.map_err(|failure| failure.into_error(Leg::Unknown))
    }

    /// Asks again while the service says that it is too early. What is gone needs no closing.
    async fn patiently<T: Default, F: Future<Output = Result<T, Failure>>>(
        &self,
        ask: impl Fn() -> F,
    ) -> Result<T, Failure> {
        let mut waits = NOT_READY.into_iter();
        loop {
            match ask().await {
                Err(Failure::Transient(detail)) => match waits.next() {
                    Some(wait) => self.api.wait(wait).await,
                    None => return Err(Failure::Transient(detail)),
                },
                Err(Failure::Gone(_)) => return Ok(T::default()),
                done => return done,
            }
        }
    }

    /// Which bridge of an operator's is the present one.
    fn number(&self, operator: &PeerId) -> Option<u64> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).get(operator).map(|opened| opened.number)
    }

    /// Notes what was opened for the bridge of this number. If it is over meanwhile, it is closed at once, and the result is false.
    async fn keep(&self, operator: &PeerId, number: Option<u64>, new: Opened) -> bool {
        {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            if opened.get(operator).map(|opened| opened.number) == number {
                let kept = opened.entry(operator.clone()).or_default();
                kept.tracks.extend(new.tracks);
                kept.voice = new.voice.or(kept.voice.take());
                return true;
            }
        }
        if let Err(failure) = self.close_tracks(&new, operator).await {
            tracing::warn!(%operator, %failure, "a track that came too late may still be there");
        }
        false
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
            let stale = [previous.state_back, previous.map];
            if let Err(error) = self.close_channels(robot, &stale).await {
                tracing::warn!(%robot, %error, "publications may still be there");
            }
        }
        // A session's first bridge has none before it.
        if generation > 1
            && let Err(error) = self.close_operator(operator, &[]).await
        {
            tracing::warn!(%operator, %error, "something of the bridge before may still be there");
        }
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
                let number = self.bridges.fetch_add(1, Ordering::Relaxed) + 1;
                let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
                if opened.len() >= REMEMBERED {
                    // What is forgotten is asked for when it is to be closed.
                    opened.clear();
                }
                opened.insert(operator.clone(), Opened { number, channels, ..Opened::default() });
            }
            // All or none: what this attempt has published is closed again.
            Err(_) => {
                let (up, down) =
                    (up.as_ref().map_or(&[][..], |ids| &ids[..]), down.as_ref().map_or(&[][..], |ids| &ids[..]));
                let closed = tokio::join!(self.close_channels(operator, up), self.close_channels(robot, down));
                if let (Err(error), _) | (_, Err(error)) = closed {
                    tracing::warn!(%robot, %operator, %error, "publications may still be there");
                }
            }
        }
        bridge
    }

    async fn close_bridge(&self, robot: &PeerId, operator: &PeerId, bridge: &Bridge) -> Result<bool, EngineError> {
        let (at_operator, at_robot) =
            ([bridge.operator.cmd, bridge.operator.state], [bridge.robot.state_back, bridge.robot.map]);
        let is_another = {
            let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            opened.get(operator).is_some_and(|open| !open.channels.is_empty() && open.channels != at_operator)
        };
        if is_another {
            // What the operator has now belongs to a later bridge.
            return self.close_channels(robot, &at_robot).await.map(|()| false);
        }
        let (operator, robot) =
            tokio::join!(self.close_operator(operator, &at_operator), self.close_channels(robot, &at_robot));
        robot.and(operator)
    }

    async fn attach_video(&self, robot: &PeerId, track: &Track, receiver: &PeerId) -> Attached {
        let number = self.number(receiver);
        let (status, pulled) = self.pull(robot, track, receiver).await;
        let Some((mid, offer)) = pulled else { return Attached { status, offer: None } };
        let new = Opened { tracks: mid.into_iter().collect(), ..Opened::default() };
        if !self.keep(receiver, number, new).await {
            return Attached { status: VideoStatus::PullError, offer: None };
        }
        Attached { status, offer: Some(offer) }
    }

    async fn attach_audio(&self, operator: &PeerId, track: &Track, robot: &PeerId) -> Option<String> {
        let number = self.number(operator);
        let (mid, offer) = self.pull(operator, track, robot).await.1?;
        let voice = mid.map(|mid| (robot.clone(), mid));
        let new = Opened { tracks: vec![track.mid.clone()], voice, ..Opened::default() };
        self.keep(operator, number, new).await.then_some(offer)
    }

    async fn attach_viewer(&self, _robot: &PeerId, _viewer: &PeerId) -> Result<ViewerIds, EngineError> {
        Err(EngineError::Refused("Cloudflare gives viewers no copies".to_owned()))
    }

    async fn submit_answer(&self, peer: &PeerId, sdp: &str) -> Result<(), EngineError> {
        self.api.renegotiate(peer, sdp).await.map_err(|failure| failure.into_error(Leg::Unknown))
    }

    async fn close_peer(&self, peer: &PeerId) -> Result<(), EngineError> {
        // A session cannot be deleted; it ends with its connection.
        self.close_operator(peer, &[]).await.map(drop)
    }

    async fn inject(&self, _robot: &PeerId, _text: &str) -> Result<(), EngineError> {
        Err(EngineError::Refused("Cloudflare takes no messages from us".to_owned()))
    }

    fn events(&self) -> broadcast::Receiver<EngineEvent> {
        self.events.subscribe()
    }
}
