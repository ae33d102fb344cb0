//! What happens at the engine: lost and closed peers.

use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;

use super::{Inner, Refusal};
use crate::sfu::{EngineError, EngineEvent, PeerId, PeerState};

/// Follows the engine until stopped.
pub(super) async fn follow(inner: Arc<Inner>) {
    let mut events = inner.engine.events();
    // What happened before, while no broker listened, nobody tells any more.
    if let Err(error) = inner.look_at_all().await {
        tracing::warn!("what became of the peers could not be stored: {error}");
    }
    loop {
        let event = tokio::select! {
            event = events.recv() => event,
            () = inner.stop.cancelled() => return,
        };
        let done = match event {
            Ok(event) => inner.on_event(event).await,
            Err(RecvError::Lagged(_)) => inner.look_at_all().await,
            Err(RecvError::Closed) => return,
        };
        if let Err(error) = done {
            tracing::warn!("what happened at the engine could not be stored: {error}");
        }
    }
}

impl Inner {
    async fn on_event(&self, event: EngineEvent) -> Result<(), Refusal> {
        match event {
            EngineEvent::PeerLost { peer, reason } => match self.engine.peer_state(&peer).await {
                // It was heard again, and may have another bridge by now. What closed the one before says so by itself.
                Ok(PeerState::Connected | PeerState::Connecting) => Ok(()),
                Ok(PeerState::Lost) | Err(_) => self.peer_is(&peer, false, &reason).await,
            },
            EngineEvent::PeerClosed { peer } => self.peer_is(&peer, true, "closed").await,
            EngineEvent::BridgeClosed { robot, generation, reason, .. } => {
                let Some(session) = self.store.session_of_peer(robot.as_str()).await? else { return Ok(()) };
                if self.store.clear_bridge(&session.id, i64::try_from(generation).unwrap_or(i64::MAX)).await? {
                    self.note(&session.id, "engine", "bridge closed", &reason).await;
                }
                Ok(())
            }
            EngineEvent::Missed => self.look_at_all().await,
            EngineEvent::PeerConnected { .. }
            | EngineEvent::PeerRecovered { .. }
            | EngineEvent::TrackActive { .. }
            | EngineEvent::TrackSilent { .. } => Ok(()),
        }
    }

    /// A peer is lost, or gone for ever. Its bridge is closed at the engine already.
    async fn peer_is(&self, peer: &PeerId, gone: bool, reason: &str) -> Result<(), Refusal> {
        if gone && self.store.remove_viewer(peer.as_str()).await? {
            return Ok(());
        }
        let Some(session) = self.store.session_of_peer(peer.as_str()).await? else { return Ok(()) };
        let is_robot = session.robot_peer.as_deref() == Some(peer.as_str());
        if self.store.clear_bridge(&session.id, session.bridge_generation).await? {
            let who = if is_robot { "robot lost" } else { "operator lost" };
            self.note(&session.id, "engine", who, reason).await;
        }
        match (gone, is_robot) {
            (true, true) => self.store.forget_robot_peer(&session.id, peer.as_str()).await?,
            (true, false) => self.store.forget_operator_peer(&session.id, peer.as_str()).await?,
            (false, _) => {}
        }
        Ok(())
    }

    /// Events were missed: asks for each peer and bridge whether it is still there.
    async fn look_at_all(&self) -> Result<(), Refusal> {
        for session in self.store.live_sessions(None, 0).await? {
            if self.node.holds_peers && session.engine_node.as_ref() != Some(&self.node.id) {
                continue;
            }
            let viewers = self.store.viewers_of(&session.id).await?;
            let viewers = viewers.iter().map(|viewer| &viewer.peer);
            for peer in session.robot_peer.iter().chain(&session.operator_peer).chain(viewers) {
                let peer = PeerId::new(peer);
                match self.engine.peer_state(&peer).await {
                    Err(EngineError::Gone { .. }) => self.peer_is(&peer, true, "closed").await?,
                    // It tells that events were missed once it answers.
                    Err(EngineError::Unavailable(_)) => return Ok(()),
                    Ok(PeerState::Lost) => self.peer_is(&peer, false, "lost").await?,
                    Ok(_) | Err(_) => {}
                }
            }
            let (Some(robot), Some(operator), Some(bridge)) =
                (&session.robot_peer, &session.operator_peer, &session.bridge)
            else {
                continue;
            };
            let (robot, operator) = (PeerId::new(robot), PeerId::new(operator));
            if self.engine.bridge_is_open(&robot, &operator, bridge.generation).await == Ok(false)
                && self.store.clear_bridge(&session.id, session.bridge_generation).await?
            {
                self.note(&session.id, "engine", "bridge closed", "unnoticed").await;
            }
        }
        Ok(())
    }
}
