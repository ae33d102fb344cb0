//! Viewers: they get copies of what the robot sends, and never a way to move it.

use super::robot::offer;
use super::{Refusal, Sessions};
use crate::auth::Operator;
use crate::sfu::{Attached, EngineError, NewPeer, PeerId, PeerKind, VideoStatus, ViewerIds};
use crate::store::{Session, Viewer, now_ms};

/// Somebody who is about to watch.
#[derive(Clone, Debug)]
pub(crate) struct ViewerJoined {
    pub(crate) session: Session,
    pub(crate) peer: PeerId,
    pub(crate) answer: String,
}

/// A viewer's channels and picture.
#[derive(Clone, Debug)]
pub(crate) struct ViewerBridged {
    pub(crate) ids: ViewerIds,
    pub(crate) video: Attached,
}

impl Sessions {
    /// Makes a viewer's peer.
    pub(crate) async fn watch_session(
        &self,
        operator: Operator,
        id: String,
        sdp_offer: Option<String>,
    ) -> Result<ViewerJoined, Refusal> {
        let inner = self.0.clone();
        self.to_the_end(async move {
            let session = inner.joinable(&operator, &id).await?;
            if session.transport == "livekit" || !inner.engine.capabilities().viewers {
                return Err(Refusal::Conflict("This engine has no viewers"));
            }
            let most = i64::try_from(inner.max_viewers).unwrap_or(i64::MAX);
            const FULL: Refusal = Refusal::Conflict("Session has too many viewers");
            if inner.store.count_viewers(&id).await? >= most {
                return Err(FULL);
            }
            let new = NewPeer {
                kind: PeerKind::Viewer,
                tenant: session.owner_id.clone(),
                offer: offer(sdp_offer.as_deref())?.to_owned(),
                push: false,
            };
            let made = inner.engine.create_peer(new).await;
            let (peer, answer) = made.map_err(|error| Refusal::of_description(&error, "sdp_offer"))?;
            let _lock = inner.locks.lock(&id).await;
            let added = inner.store.add_viewer(peer.as_str(), &id, &operator.sub, most, now_ms()).await;
            if !matches!(added, Ok(true)) {
                inner.close(peer.as_str()).await;
                added?;
                return Err(FULL);
            }
            inner.held.viewer(&id, peer.as_str());
            inner.note(&id, &operator.sub, "watch", "").await;
            Ok(ViewerJoined { session, peer, answer })
        })
        .await
    }

    /// Connects a viewer with the robot.
    pub(crate) async fn bridge_viewer(
        &self,
        operator: Operator,
        id: String,
        peer: String,
    ) -> Result<ViewerBridged, Refusal> {
        let inner = self.0.clone();
        self.to_the_end(async move {
            let (session, _) = inner.viewer(&operator, &id, &peer).await?;
            let robot = session.robot_peer.ok_or(Refusal::Conflict("CF sessions not ready"))?;
            let (robot, viewer) = (PeerId::new(robot), PeerId::new(&peer));
            let ids = inner.engine.attach_viewer(&robot, &viewer).await.map_err(|error| Refusal::of_engine(&error))?;
            let video = match &session.video {
                Some(video) => inner.engine.attach_video(&robot, video, &viewer).await,
                None => Attached { status: VideoStatus::NoPublishedTrack, offer: None },
            };
            inner.store.set_viewer_offer(&peer, video.offer.is_some()).await?;
            inner.store.viewer_beat(&peer, now_ms()).await?;
            Ok(ViewerBridged { ids, video })
        })
        .await
    }

    /// Takes a viewer's answer to the offer of its bridge.
    pub(crate) async fn viewer_answer(
        &self,
        operator: Operator,
        id: String,
        peer: String,
        answer: String,
    ) -> Result<(), Refusal> {
        let inner = self.0.clone();
        self.to_the_end(async move {
            inner.viewer(&operator, &id, &peer).await?;
            if !inner.store.set_viewer_offer(&peer, false).await? {
                return Err(Refusal::Conflict("No pending video renegotiation — re-bridge to get a fresh offer"));
            }
            match inner.engine.submit_answer(&PeerId::new(&peer), &answer).await {
                Ok(()) => Ok(()),
                Err(EngineError::Gone { .. }) => Err(Refusal::Conflict("Operator CF session expired — rejoin")),
                Err(error) => Err(Refusal::of_description(&error, "sdp_answer")),
            }
        })
        .await
    }

    /// Notes that a viewer is there.
    pub(crate) async fn viewer_beat(&self, operator: &Operator, id: &str, peer: &str) -> Result<(), Refusal> {
        self.0.viewer(operator, id, peer).await?;
        Ok(self.0.store.viewer_beat(peer, now_ms()).await?)
    }

    /// Ends a viewer.
    pub(crate) async fn viewer_leave(&self, operator: Operator, id: String, peer: String) -> Result<(), Refusal> {
        let inner = self.0.clone();
        self.to_the_end(async move {
            inner.viewer(&operator, &id, &peer).await?;
            inner.drop_viewer(&id, &peer).await;
            Ok(())
        })
        .await
    }
}

impl super::Inner {
    /// A viewer of the caller's own.
    async fn viewer(&self, operator: &Operator, id: &str, peer: &str) -> Result<(Session, Viewer), Refusal> {
        let session = self.live(operator, id).await?;
        let viewer = self.store.viewer(id, peer).await?;
        let viewer = viewer.filter(|viewer| viewer.user_id == operator.sub).ok_or(Refusal::NoViewer)?;
        Ok((session, viewer))
    }

    /// Removes a viewer and its peer.
    pub(super) async fn drop_viewer(&self, session: &str, peer: &str) {
        if let Err(error) = self.store.remove_viewer(peer).await {
            tracing::warn!("a viewer could not be removed: {error}");
        }
        self.close(peer).await;
        self.held.remove_viewer(session, peer);
    }
}
