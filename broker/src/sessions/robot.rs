//! What robots do: register, tell that they are there, answer, go.

use std::sync::Arc;

use waldo_protocol::hosted::{MediaKind, published_track};

use super::{Refusal, Sessions, ms};
use crate::auth::Robot;
use crate::sfu::{NewPeer, PeerId, PeerKind, Track};
use crate::store::{Figures, NewSession, Session, State, now_ms};

/// What a robot asks for when it registers.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) robot_name: String,
    /// May be empty.
    pub(crate) robot_id: String,
    pub(crate) robot_type: Option<String>,
    pub(crate) livekit: bool,
    pub(crate) sdp_offer: Option<String>,
    pub(crate) twist_units: Option<String>,
    /// The session it had before a redial.
    pub(crate) resume_of: Option<String>,
    /// Whether it takes pushed channel ids.
    pub(crate) push: bool,
}

/// A session that has just begun.
#[derive(Clone, Debug)]
pub(crate) struct Registered {
    pub(crate) session_id: String,
    /// Peer and answer, with an engine that takes offers.
    pub(crate) leg: Option<(PeerId, String)>,
}

/// Bytes of an m-section's name, and of a track's.
const LONGEST_MID: usize = 64;
const LONGEST_TRACK: usize = 256;

/// The text that published clients and tests know.
const NO_OFFER: &str = "sdp_offer required for cloudflare transport";

/// A robot whose stop latch is set, as the store keeps it.
pub(crate) const ESTOPPED: &str = "estopped";

/// The offer of a request, if it can be one at all.
pub(super) fn offer(offer: Option<&str>) -> Result<&str, Refusal> {
    let offer = offer.filter(|offer| !offer.is_empty()).ok_or_else(|| Refusal::Unfit(NO_OFFER.to_owned()))?;
    Ok(offer)
}

/// The track that an offer publishes, as the store keeps it.
pub(super) fn track(offer: &str, kind: MediaKind) -> Option<Track> {
    let track = published_track(offer, kind)?;
    // Both are kept: what is longer than any real one is none.
    (track.mid.len() <= LONGEST_MID && track.name.len() <= LONGEST_TRACK)
        .then_some(Track { mid: track.mid, name: track.name })
}

impl Sessions {
    /// Begins a session of a robot, and ends the ones it had before.
    pub(crate) async fn register(&self, robot: Robot, wanted: Registration) -> Result<Registered, Refusal> {
        let inner = self.0.clone();
        self.to_the_end(async move {
            // Of two registrations the one that was asked for later stays, whichever of them takes longer.
            let began = now_ms();
            let live = inner.store.count_live(&robot.owner).await?;
            if live >= i64::try_from(inner.max_robots).unwrap_or(i64::MAX) {
                return Err(Refusal::Conflict("Too many robots of this owner are registered"));
            }
            let leg = if wanted.livekit {
                None
            } else {
                let offer = offer(wanted.sdp_offer.as_deref())?;
                let new = NewPeer {
                    kind: PeerKind::Robot,
                    tenant: robot.owner.clone(),
                    offer: offer.to_owned(),
                    push: wanted.push,
                };
                let made = inner.engine.create_peer(new).await;
                let (peer, answer) = made.map_err(|error| Refusal::of_description(&error, "sdp_offer"))?;
                Some((peer, answer, track(offer, MediaKind::Video)))
            };
            let new = NewSession {
                id: uuid::Uuid::new_v4().to_string(),
                owner_id: robot.owner.clone(),
                robot_id: wanted.robot_id,
                robot_name: wanted.robot_name,
                robot_type: wanted.robot_type,
                transport: if wanted.livekit { "livekit" } else { "cloudflare" }.to_owned(),
                twist_units: wanted.twist_units,
                key_prefix: robot.key_prefix,
                engine_node: inner.node.holds_peers.then(|| inner.node.id.clone()),
                robot_peer: leg.as_ref().map(|(peer, ..)| peer.as_str().to_owned()),
                video: leg.as_ref().and_then(|(.., video)| video.clone()),
            };
            if let Err(error) = inner.store.add_session(&new, began, now_ms()).await {
                tracing::error!("a session could not be stored: {error}");
                if let Some((peer, ..)) = &leg {
                    inner.close(peer.as_str()).await;
                }
                return Err(Refusal::Persist);
            }
            if let Some((peer, ..)) = &leg {
                inner.held.robot(&new.id, peer.as_str());
            }
            inner.note(&new.id, "robot", "register", &new.robot_name).await;
            let mut earlier = Vec::new();
            if !new.robot_id.is_empty() {
                let of_robot = inner.store.sessions_of_robot(&new.owner_id, &new.robot_id).await?;
                let is_later = |other: &Session| (other.created_at, &other.id) > (began, &new.id);
                if let Some(later) = of_robot.iter().find(|other| is_later(other)) {
                    inner.supersede(&new.id, &later.id).await?;
                    return Err(Refusal::Conflict("The robot has registered again meanwhile"));
                }
                earlier.extend(of_robot.into_iter().filter(|other| other.id != new.id));
            } else if let Some(before) = &wanted.resume_of {
                let before = inner.store.session(before).await?;
                earlier.extend(before.filter(|before| before.owner_id == new.owner_id && before.robot_id.is_empty()));
            }
            for before in earlier {
                inner.supersede(&before.id, &new.id).await?;
            }
            Ok(Registered { session_id: new.id, leg: leg.map(|(peer, answer, _)| (peer, answer)) })
        })
        .await
    }

    /// Notes that a robot is there, and gives its session.
    pub(crate) async fn robot_beat(&self, robot: &Robot, id: &str, figures: &Figures) -> Result<Session, Refusal> {
        let inner = &self.0;
        let session = inner.own(robot, id).await?;
        let now = now_ms();
        if session.state == State::Disconnected || !inner.store.robot_beat(id, figures, now).await? {
            return Err(Refusal::NotFound);
        }
        inner.note_safety(id, &session.figures.safety_state, &figures.safety_state).await;
        let mut session = session;
        // What it did not answer in time it never got, or it cannot.
        session.robot_offer = session.robot_offer.filter(|(_, at)| now - at < ms(inner.timers.robot_offer));
        if let (Some(peer), Some(bridge)) = (&session.robot_peer, &session.bridge)
            && inner.told.note(id, bridge.generation)
        {
            // The robot waits for the reply, not for an engine that may be far away.
            let (inner, peer, generation) = (Arc::clone(inner), PeerId::new(peer), bridge.generation);
            self.0.tasks.spawn(async move { inner.engine.ids_told(&peer, generation).await });
        }
        Ok(session)
    }

    /// Takes a robot's answer to the offer for its operator's voice.
    pub(crate) async fn robot_answer(&self, robot: Robot, id: String, answer: String) -> Result<(), Refusal> {
        let inner = self.0.clone();
        self.to_the_end(async move {
            let session = inner.own(&robot, &id).await?;
            if session.state == State::Disconnected {
                return Err(Refusal::NotFound);
            }
            if session.transport == "livekit" {
                return Err(Refusal::Conflict("renegotiate-robot is cloudflare-only"));
            }
            let Some(peer) = &session.robot_peer else {
                return Err(Refusal::Conflict("Robot CF session not established"));
            };
            const NOTHING_WAITS: Refusal = Refusal::Conflict("No pending robot renegotiation");
            let Some((offer, at)) = &session.robot_offer else { return Err(NOTHING_WAITS) };
            if !inner.store.take_robot_offer(&id, session.bridge_generation, offer).await? {
                return Err(NOTHING_WAITS);
            }
            if let Err(error) = inner.engine.submit_answer(&PeerId::new(peer), &answer).await {
                inner.store.restore_robot_offer(&id, session.bridge_generation, offer, *at).await?;
                return Err(Refusal::of_description(&error, "sdp_answer"));
            }
            Ok(())
        })
        .await
    }

    /// Ends a robot's session.
    pub(crate) async fn unregister(&self, robot: Robot, id: String) -> Result<(), Refusal> {
        let inner = self.0.clone();
        self.to_the_end(async move {
            inner.own(&robot, &id).await?;
            let _lock = inner.locks.lock(&id).await;
            let session = inner.own(&robot, &id).await?;
            if inner.store.end_session(&id, None, None, now_ms()).await? {
                inner.tear_down(&session, "robot left").await;
                inner.note(&id, "robot", "unregister", "").await;
            }
            Ok(())
        })
        .await
    }
}

impl super::Inner {
    /// A session of this robot's owner.
    async fn own(&self, robot: &Robot, id: &str) -> Result<Session, Refusal> {
        let session = self.store.session(id).await?;
        session.filter(|session| session.owner_id == robot.owner).ok_or(Refusal::NotFound)
    }

    /// Writes down that a robot was stopped, or was given free again, by whatever way.
    async fn note_safety(&self, id: &str, before: &str, now: &str) {
        let event = match (before, now) {
            (ESTOPPED, ESTOPPED) => return,
            (_, ESTOPPED) => "e-stop",
            (ESTOPPED, _) => "e-stop clear",
            _ => return,
        };
        self.note(id, "robot", event, "told by its heartbeat").await;
    }

    /// Ends a session for another one of the same robot.
    async fn supersede(&self, id: &str, by: &str) -> Result<(), Refusal> {
        let _lock = self.locks.lock(id).await;
        let Some(before) = self.store.session(id).await? else { return Ok(()) };
        if self.store.end_session(id, Some(by), None, now_ms()).await? {
            self.tear_down(&before, "superseded").await;
            self.note(id, "broker", "superseded", by).await;
        }
        Ok(())
    }
}
