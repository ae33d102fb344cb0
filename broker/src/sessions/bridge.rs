//! Bridges: the robot's channels, picture and ears connected with the operator's.

use std::sync::Arc;

use tokio::time::timeout;

use super::{Inner, Lease, Refusal, Sessions};
use crate::auth::Operator;
use crate::sfu::{Attached, Bridge, EngineError, Leg, LegIds, PeerId, VideoStatus};
use crate::store::{Session, now_ms};

/// An open bridge.
#[derive(Clone, Debug)]
pub(crate) struct Bridged {
    /// The ids of the operator's channels.
    pub(crate) ids: LegIds,
    pub(crate) video: Attached,
}

impl Sessions {
    /// Connects the bound operator with the robot.
    pub(crate) async fn bridge(&self, operator: Operator, id: String, lease: Lease) -> Result<Bridged, Refusal> {
        let inner = self.0.clone();
        self.to_the_end(async move {
            let (session, bridge) = inner.open(&operator, &id, &lease).await?;
            let video = Inner::attach(&inner, &session, &bridge).await;
            Ok(Bridged { ids: bridge.operator, video })
        })
        .await
    }

    /// Takes the operator's answer to the offer of the last bridge.
    pub(crate) async fn operator_answer(
        &self,
        operator: Operator,
        id: String,
        lease: Lease,
        answer: String,
    ) -> Result<(), Refusal> {
        let inner = self.0.clone();
        self.to_the_end(async move {
            let session = inner.live(&operator, &id).await?;
            if session.transport == "livekit" {
                return Err(Refusal::Conflict("renegotiate-answer is cloudflare-only"));
            }
            if !session.is_bound(&operator, &lease) {
                return Err(Refusal::NotBound);
            }
            let Some(peer) = &session.operator_peer else {
                return Err(Refusal::Conflict("Operator CF session not ready"));
            };
            const NOTHING_WAITS: Refusal =
                Refusal::Conflict("No pending video renegotiation — re-bridge to get a fresh offer");
            let Some(offer) = &session.video_offer else { return Err(NOTHING_WAITS) };
            if !inner.store.take_video_offer(&id, session.bridge_generation, offer).await? {
                return Err(NOTHING_WAITS);
            }
            if let Err(error) = inner.engine.submit_answer(&PeerId::new(peer), &answer).await {
                inner.store.restore_video_offer(&id, session.bridge_generation, offer).await?;
                if matches!(error, EngineError::Gone { .. }) {
                    inner.store.forget_operator_peer(&id, peer).await?;
                    return Err(Refusal::Conflict("Operator CF session expired — rejoin"));
                }
                return Err(Refusal::of_description(&error, "sdp_answer"));
            }
            Ok(())
        })
        .await
    }
}

impl Inner {
    /// Checks in the order of the wire, and gives both peers and the lease.
    async fn bridgeable(
        &self,
        operator: &Operator,
        id: &str,
        lease: &Lease,
    ) -> Result<(Session, PeerId, PeerId, String), Refusal> {
        let session = self.live(operator, id).await?;
        if session.transport == "livekit" {
            return Err(Refusal::Conflict("bridge-datachannel is cloudflare-only"));
        }
        if !session.is_bound(operator, lease) {
            return Err(Refusal::NotBound);
        }
        let peers = session.robot_peer.as_ref().zip(session.operator_peer.as_ref());
        let (robot, operator) = peers.ok_or(Refusal::Conflict("CF sessions not ready"))?;
        let (robot, operator) = (PeerId::new(robot), PeerId::new(operator));
        let held = session.lease_id.clone().ok_or(Refusal::NotBound)?;
        Ok((session, robot, operator, held))
    }

    async fn open(&self, operator: &Operator, id: &str, lease: &Lease) -> Result<(Session, Bridge), Refusal> {
        self.bridgeable(operator, id, lease).await?;
        let _lock = self.locks.lock(id).await;
        let (session, robot, peer, held) = self.bridgeable(operator, id, lease).await?;
        if let Some(before) = &session.bridge {
            if let Err(error) = self.engine.close_bridge(&robot, &peer, before).await {
                tracing::warn!(session = id, "the bridge before may still be open: {error}");
            }
            // Always: the robot may not see the nulls between two bridges.
            self.tell_lost(&robot, "bridged anew").await;
        }
        let reserved = self.store.reserve_bridge(id, &held, session.bridge_generation, now_ms()).await?;
        let generation = reserved.ok_or(Refusal::NotBound)?;
        let stale = session.bridge.map(|bridge| bridge.robot).or(session.stale);
        let opened = self.engine.open_bridge(&robot, &peer, generation.unsigned_abs(), stale).await;
        let bridge = match opened {
            Ok(bridge) => bridge,
            Err(error) => {
                self.forget_gone(&session, &error).await?;
                tracing::warn!(session = id, "no bridge: {error}");
                return Err(Refusal::of_engine(&error));
            }
        };
        let set = self.store.set_bridge(id, &held, &bridge, now_ms()).await;
        if !matches!(set, Ok(true)) {
            self.unbridge(&robot, &peer, &bridge, "ended").await;
            set?;
            return Err(Refusal::NotBound);
        }
        self.held.bridge(id, bridge);
        self.note(id, &operator.sub, "bridge", &format!("number {generation}")).await;
        Ok((session, bridge))
    }

    /// Forgets whichever peer the engine does not have any more.
    async fn forget_gone(&self, session: &Session, error: &EngineError) -> Result<(), Refusal> {
        let EngineError::Gone { leg, .. } = error else { return Ok(()) };
        if let (Leg::Robot, Some(peer)) = (leg, &session.robot_peer) {
            self.store.forget_robot_peer(&session.id, peer).await?;
        }
        if let (Leg::Operator, Some(peer)) = (leg, &session.operator_peer) {
            self.store.forget_operator_peer(&session.id, peer).await?;
        }
        Ok(())
    }

    /// Attaches picture and voice. Neither ever fails the bridge. What takes too long comes too late for the reply.
    async fn attach(this: &Arc<Self>, session: &Session, bridge: &Bridge) -> Attached {
        let late = Attached { status: VideoStatus::NoOffer, offer: None };
        let (Some(robot), Some(operator)) = (session.robot_peer.clone(), session.operator_peer.clone()) else {
            return late;
        };
        let (robot, operator) = (PeerId::new(robot), PeerId::new(operator));
        let generation = i64::try_from(bridge.generation).unwrap_or(i64::MAX);
        if let Some(voice) = session.audio.clone() {
            let (inner, id) = (Arc::clone(this), session.id.clone());
            let (robot, operator) = (robot.clone(), operator.clone());
            this.tasks.spawn(async move {
                let Some(offer) = inner.engine.attach_audio(&operator, &voice, &robot).await else { return };
                if let Err(error) = inner.store.set_robot_offer(&id, generation, &offer, now_ms()).await {
                    tracing::warn!(session = id, "the robot will not get the operator's voice: {error}");
                }
            });
        }
        let Some(video) = session.video.clone() else {
            return Attached { status: VideoStatus::NoPublishedTrack, offer: None };
        };
        let (inner, id) = (Arc::clone(this), session.id.clone());
        let task = this.tasks.spawn(async move {
            let attached = inner.engine.attach_video(&robot, &video, &operator).await;
            if let Some(offer) = &attached.offer
                && let Err(error) = inner.store.set_video_offer(&id, generation, offer).await
            {
                tracing::warn!(session = id, "the operator will not get the picture: {error}");
            }
            attached
        });
        match timeout(this.timers.video_offer, task).await {
            Ok(Ok(attached)) => attached,
            Ok(Err(_)) | Err(_) => late,
        }
    }
}
