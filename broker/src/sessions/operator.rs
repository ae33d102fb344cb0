//! What operators do: join, tell that they are there, leave, take over, stop the robot.

use waldo_protocol::hosted::{MediaKind, ToRobot};

use super::robot::{offer, track};
use super::{Refusal, Sessions, ms};
use crate::auth::Operator;
use crate::sfu::{EngineError, NewPeer, PeerId, PeerKind};
use crate::store::{Claim, Session, State, now_ms};

/// What a caller says about which of their joins this call belongs to: the header `X-Teleop-Lease`.
pub(crate) type Lease = Option<String>;

/// What a person asks for when joining.
#[derive(Clone, Debug)]
pub(crate) struct Joining {
    pub(crate) sdp_offer: Option<String>,
    /// Takes the slot from whoever has it, with the reason for the audit log.
    pub(crate) takeover: Option<String>,
}

/// A slot that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Joined {
    pub(crate) session: Session,
    /// Peer and answer, with an engine that takes offers.
    pub(crate) leg: Option<(PeerId, String)>,
    pub(crate) lease_id: String,
}

/// By which join the slot is held, and whether this call has changed that.
enum Seat {
    /// By a new lease that this call made.
    New(String),
    /// By this one, as before the call.
    Old(Option<String>),
}

impl Session {
    /// Whether this call comes from who holds the slot, and by the join that does.
    pub(super) fn is_bound(&self, operator: &Operator, lease: &Lease) -> bool {
        self.operator_id.as_deref() == Some(operator.sub.as_str())
            && lease.as_ref().is_none_or(|lease| self.lease_id.as_ref() == Some(lease))
    }
}

impl Sessions {
    /// Takes the slot and makes the operator's peer.
    pub(crate) async fn join(
        &self,
        operator: Operator,
        id: String,
        wanted: Joining,
        has_livekit: bool,
    ) -> Result<Joined, Refusal> {
        let inner = self.0.clone();
        self.to_the_end(async move {
            let session = inner.joinable(&operator, &id).await?;
            if wanted.takeover.is_some() && session.transport != "livekit" {
                // Nobody is sent away for a request that comes to nothing.
                offer(wanted.sdp_offer.as_deref())?;
            }
            let (seat, lease) = inner.take_seat(&session, &operator, wanted.takeover.as_deref()).await?;
            if session.transport == "livekit" && !has_livekit {
                if let Seat::New(lease) = &seat {
                    inner.store.vacate(&id, lease, None).await?;
                }
                return Err(Refusal::NoLivekit);
            }
            let joined = inner.sit(&session, &operator, &seat, &lease, wanted.sdp_offer.as_deref()).await;
            // What this call has claimed goes back; a slot that was the caller's before stays theirs.
            if joined.is_err()
                && let Seat::New(lease) = &seat
            {
                inner.store.vacate(&id, lease, None).await?;
            }
            joined
        })
        .await
    }

    /// Notes that an operator is there.
    pub(crate) async fn operator_beat(&self, operator: &Operator, id: &str, lease: &Lease) -> Result<(), Refusal> {
        self.0.live(operator, id).await?;
        let noted = self.0.store.operator_beat(id, &operator.sub, lease.as_deref(), now_ms()).await?;
        if noted { Ok(()) } else { Err(Refusal::NotBound) }
    }

    /// Frees the slot if the caller holds it; gives the state after that.
    pub(crate) async fn leave(
        &self,
        operator: Operator,
        id: String,
        lease: Lease,
        reason: String,
    ) -> Result<State, Refusal> {
        let inner = self.0.clone();
        self.to_the_end(async move {
            inner.seen(&operator, &id).await?;
            let _lock = inner.locks.lock(&id).await;
            let session = inner.seen(&operator, &id).await?;
            let held = session.lease_id.as_deref().filter(|_| session.is_bound(&operator, &lease));
            let Some(held) = held else { return Ok(session.state) };
            if inner.store.vacate(&id, held, None).await? {
                inner.cut(&session, "left").await;
                inner.note(&id, &operator.sub, "leave", &reason).await;
            }
            Ok(inner.seen(&operator, &id).await?.state)
        })
        .await
    }

    /// Stops the robot through its engine.
    pub(crate) async fn estop(&self, operator: &Operator, id: &str) -> Result<String, Refusal> {
        let inner = &self.0;
        let session = inner.live(operator, id).await?;
        let peer = session.robot_peer.ok_or(Refusal::Conflict("Robot CF session not established"))?;
        let nonce = format!("broker-{}", uuid::Uuid::new_v4());
        let text = ToRobot::Estop { nonce: Some(nonce.clone().into()) }.encode();
        let told = inner.engine.inject(&PeerId::new(peer), &text).await;
        let outcome = if told.is_ok() { "" } else { "not delivered" };
        inner.note(id, &operator.sub, "e-stop", outcome).await;
        match told {
            Ok(()) => Ok(nonce),
            Err(EngineError::Refused(_)) => {
                Err(Refusal::Conflict("The robot has no open command channel: the e-stop was not delivered"))
            }
            Err(error) => Err(Refusal::of_engine(&error)),
        }
    }
}

impl super::Inner {
    /// A session that somebody may join as things stand.
    pub(super) async fn joinable(&self, operator: &Operator, id: &str) -> Result<Session, Refusal> {
        let session = self.live(operator, id).await?;
        if now_ms() - session.last_heartbeat > ms(self.timers.robot) {
            return Err(Refusal::Stale);
        }
        if session.transport != "livekit" && session.robot_peer.is_none() {
            return Err(Refusal::Conflict("Robot CF session not established"));
        }
        Ok(session)
    }

    /// Takes the slot: it is free, or the caller's, or taken over.
    async fn take_seat(
        &self,
        session: &Session,
        operator: &Operator,
        takeover: Option<&str>,
    ) -> Result<(Seat, String), Refusal> {
        let lease = uuid::Uuid::new_v4().to_string();
        match self.store.claim(&session.id, &operator.sub, &lease, now_ms()).await? {
            Claim::Taken => {
                self.note(&session.id, &operator.sub, "join", "").await;
                Ok((Seat::New(lease.clone()), lease))
            }
            Claim::Kept(held) => Ok((Seat::Old(held), lease)),
            Claim::Gone => Err(Refusal::NotFound),
            Claim::Held(holder) => {
                let Some(reason) = takeover else {
                    // The name is nobody's business outside of the tenant.
                    let known = operator.sub == session.owner_id || holder == session.owner_id;
                    return Err(Refusal::Busy(if known { holder } else { "another operator".to_owned() }));
                };
                let _lock = self.locks.lock(&session.id).await;
                let before = self.live(operator, &session.id).await?;
                let held = before.lease_id.clone().ok_or(Refusal::Conflict("The slot was freed: join again"))?;
                if !self.store.take_over(&session.id, &held, &operator.sub, &lease, now_ms()).await? {
                    return Err(Refusal::Conflict("The slot has changed hands: try again"));
                }
                self.cut(&before, "takeover").await;
                let from = before.operator_id.as_deref().unwrap_or_default();
                self.note(&session.id, &operator.sub, "takeover", &format!("from {from}: {reason}")).await;
                Ok((Seat::New(lease.clone()), lease))
            }
        }
    }

    /// Makes the operator's peer and puts it into the slot.
    async fn sit(
        &self,
        session: &Session,
        operator: &Operator,
        seat: &Seat,
        lease: &str,
        sdp_offer: Option<&str>,
    ) -> Result<Joined, Refusal> {
        let id = &session.id;
        let leg = if session.transport == "livekit" {
            None
        } else {
            let offer = offer(sdp_offer)?;
            let new = NewPeer {
                kind: PeerKind::Operator,
                tenant: session.owner_id.clone(),
                offer: offer.to_owned(),
                push: false,
            };
            let made = self.engine.create_peer(new).await;
            let (peer, answer) = made.map_err(|error| Refusal::of_description(&error, "sdp_offer"))?;
            Some((peer, answer, track(offer, MediaKind::Audio)))
        };
        let _lock = self.locks.lock(id).await;
        let before = self.store.session(id).await?.ok_or(Refusal::NotFound)?;
        let peer = leg.as_ref().map(|(peer, ..)| peer.as_str());
        let audio = leg.as_ref().and_then(|(.., audio)| audio.as_ref());
        let held = match seat {
            Seat::New(lease) => Some(lease.as_str()),
            Seat::Old(lease) => lease.as_deref(),
        };
        let seated = self.store.seat(id, held, lease, peer, audio, now_ms()).await;
        if !matches!(seated, Ok(true)) {
            if let Some((peer, ..)) = &leg {
                self.close(peer.as_str()).await;
            }
            seated?;
            return Err(Refusal::Conflict("The slot has changed hands: join again"));
        }
        if matches!(seat, Seat::Old(_)) {
            self.cut(&before, "rejoin").await;
            self.note(id, &operator.sub, "join", "again").await;
        }
        if let Some(peer) = peer {
            self.held.operator(id, peer);
        }
        let session = self.store.session(id).await?.ok_or(Refusal::NotFound)?;
        Ok(Joined { session, leg: leg.map(|(peer, answer, _)| (peer, answer)), lease_id: lease.to_owned() })
    }
}
