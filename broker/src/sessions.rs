//! Sessions: robots register, operators join, bridges connect both, and whoever is silent goes.
//!
//! What changes a session's peers or its slot holds the session's lock in this process, and is a conditional update in the store, which
//! decides between processes. An operation once begun runs to its end, also if its caller hangs up.

mod bridge;
mod events;
mod held;
mod locks;
mod operator;
mod reaper;
mod refusal;
mod robot;
mod told;
mod viewer;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waldo_protocol::hosted::ToRobot;

use self::held::Held;
use self::locks::Locks;
pub(crate) use self::operator::{Joining, Lease};
pub(crate) use self::refusal::Refusal;
pub(crate) use self::robot::{ESTOPPED, Registration};
use self::told::Told;
use crate::auth::Operator;
use crate::metrics::Metrics;
use crate::sfu::{Bridge, Engine, EngineError, PeerId};
use crate::store::{Session, State, Store, now_ms};

/// When somebody counts as gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// A robot without a heartbeat for so long is hidden at once, and its session ended by the reaper.
    pub robot: Duration,
    /// An operator without a heartbeat for so long loses the slot to the reaper.
    pub operator: Duration,
    /// How often the reaper looks.
    pub reap_every: Duration,
    /// How long a robot's offer is repeated in its heartbeats.
    pub robot_offer: Duration,
    /// How long the reply to a bridge waits for the picture's offer.
    pub video_offer: Duration,
    /// How long ended sessions and audit entries are kept.
    pub history: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            robot: Duration::from_secs(30),
            operator: Duration::from_secs(20),
            reap_every: Duration::from_secs(10),
            robot_offer: Duration::from_secs(10),
            video_offer: Duration::from_secs(2),
            history: Duration::from_secs(90 * 24 * 60 * 60),
        }
    }
}

/// Who this process is among those that share the database.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its name there.
    pub(crate) id: String,
    /// Where the others reach it.
    pub(crate) url: String,
    /// Whether peers live in this process.
    pub(crate) holds_peers: bool,
}

/// All sessions.
#[derive(Clone)]
pub(crate) struct Sessions(Arc<Inner>);

/// What sessions need of the rest of the broker.
pub(crate) struct Parts {
    pub(crate) store: Store,
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) timers: Timers,
    /// Viewers of one session.
    pub(crate) max_viewers: usize,
    /// Robots of one owner.
    pub(crate) max_robots: usize,
    pub(crate) node: Node,
    pub(crate) metrics: Metrics,
    pub(crate) stop: CancellationToken,
}

struct Inner {
    parts: Parts,
    locks: Locks,
    held: Held,
    told: Told,
    tasks: TaskTracker,
}

impl std::ops::Deref for Inner {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// Milliseconds of a duration.
fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl Sessions {
    pub(crate) fn new(parts: Parts) -> Self {
        let (locks, held, told, tasks) = Default::default();
        Self(Arc::new(Inner { parts, locks, held, told, tasks }))
    }

    /// Forgets what a process of the same name held before it ended: its peers are gone.
    pub(crate) async fn begin_anew(&self) -> Result<(), Refusal> {
        if !self.0.node.holds_peers {
            return Ok(());
        }
        let Node { id, url, .. } = &self.0.node;
        for session in self.0.store.sessions_at(id).await? {
            self.0.forget_peers(&session).await?;
        }
        if self.0.store.is_node_url_taken(id, url, now_ms() - ms(reaper::NODE_LOST)).await? {
            tracing::warn!(
                "another broker of this database is at {url} too: give each the --node-url where the others reach it"
            );
        }
        Ok(self.0.store.announce_node(id, url, now_ms()).await?)
    }

    /// Runs the reaper and follows the engine, until stopped.
    pub(crate) fn watch(&self) {
        self.0.tasks.spawn(events::follow(Arc::clone(&self.0)));
        self.0.tasks.spawn(reaper::run(Arc::clone(&self.0)));
        if self.0.node.holds_peers {
            self.0.tasks.spawn(held::announce(Arc::clone(&self.0)));
            self.0.tasks.spawn(held::reconcile(Arc::clone(&self.0)));
        }
    }

    /// Waits until all operations under way have ended.
    pub(crate) async fn finish(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// Runs an operation to its end even if the caller does not wait for it.
    async fn to_the_end<T: Send + 'static>(
        &self,
        operation: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let task = self.0.tasks.spawn(operation);
        task.await.unwrap_or_else(|error| Err(Refusal::Failed(error.to_string())))
    }

    /// Sessions that this person sees and whose robots are there.
    pub(crate) async fn list(&self, operator: &Operator) -> Result<Vec<(Session, i64)>, Refusal> {
        let owner = (operator.role != crate::auth::Role::Admin).then_some(operator.sub.as_str());
        let since = now_ms() - ms(self.0.timers.robot);
        let sessions = self.0.store.live_sessions(owner, since).await?;
        let viewers = self.0.store.viewers_by_session().await?;
        let count = |id: &str| viewers.iter().find(|(session, _)| session == id).map_or(0, |(_, count)| *count);
        Ok(sessions.into_iter().map(|session| (count(&session.id), session)).map(|(count, it)| (it, count)).collect())
    }

    /// One session, also an ended one.
    pub(crate) async fn status(&self, operator: &Operator, id: &str) -> Result<(Session, i64), Refusal> {
        let session = self.0.seen(operator, id).await?;
        let viewers = self.0.store.count_viewers(id).await?;
        Ok((session, viewers))
    }

    /// What was done to a session.
    pub(crate) async fn audit(&self, operator: &Operator, id: &str) -> Result<Vec<crate::store::AuditEntry>, Refusal> {
        self.0.seen(operator, id).await?;
        Ok(self.0.store.audit(id).await?)
    }

    /// A session that somebody may watch as things stand.
    pub(crate) async fn watchable(&self, operator: &Operator, id: &str) -> Result<Session, Refusal> {
        self.0.joinable(operator, id).await
    }

    /// The process that holds a session's peers, if it is another one.
    pub(crate) async fn elsewhere(&self, id: &str) -> Result<Option<String>, Refusal> {
        if !self.0.node.holds_peers {
            return Ok(None);
        }
        let Some(session) = self.0.store.session(id).await? else { return Ok(None) };
        let Some(node) = session.engine_node.filter(|node| *node != self.0.node.id) else { return Ok(None) };
        Ok(self.0.store.node_url(&node, now_ms() - ms(reaper::NODE_LOST)).await?)
    }
}

impl Inner {
    /// A session that this person may see; ended ones too.
    async fn seen(&self, operator: &Operator, id: &str) -> Result<Session, Refusal> {
        let session = self.store.session(id).await?;
        session.filter(|session| operator.sees(&session.owner_id)).ok_or(Refusal::NotFound)
    }

    /// A session that this person may see and that goes on.
    async fn live(&self, operator: &Operator, id: &str) -> Result<Session, Refusal> {
        let session = self.seen(operator, id).await?;
        if session.state == State::Disconnected { Err(Refusal::NotFound) } else { Ok(session) }
    }

    /// Writes down what was done; a log that cannot be written is no reason to refuse anything.
    async fn note(&self, session: &str, actor: &str, event: &str, detail: &str) {
        tracing::info!(session, actor, event, detail, "audit");
        if let Err(error) = self.store.note(session, actor, event, detail, now_ms()).await {
            tracing::error!("the audit log cannot be written: {error}");
        }
    }

    /// Cuts the operator of a session as it was off at the engine, and tells the robot why. The row is changed already.
    async fn cut(&self, was: &Session, reason: &str) {
        if let (Some(robot), Some(operator)) = (&was.robot_peer, &was.operator_peer) {
            let (robot, operator) = (PeerId::new(robot), PeerId::new(operator));
            if let Some(bridge) = &was.bridge {
                self.unbridge(&robot, &operator, bridge, reason).await;
            }
        }
        if let Some(operator) = &was.operator_peer {
            self.close(operator).await;
        }
        self.held.remove_operator(&was.id);
    }

    /// Closes a bridge, and tells the robot why. One that the engine had closed by itself is the robot's past already.
    async fn unbridge(&self, robot: &PeerId, operator: &PeerId, bridge: &Bridge, reason: &str) {
        match self.engine.close_bridge(robot, operator, bridge).await {
            Ok(false) => return,
            Ok(true) => {}
            // Its operator's peer is closed next, and again until that succeeds.
            Err(error) => tracing::warn!(%robot, "a bridge may still be open: {error}"),
        }
        self.tell_lost(robot, reason).await;
    }

    /// Closes a peer, or sees to it that the reaper does.
    async fn close(&self, peer: &str) {
        let Err(error) = self.engine.close_peer(&PeerId::new(peer)).await else { return };
        tracing::warn!(peer, "a peer may still be there, and will be closed later: {error}");
        if let Err(error) = self.store.add_unclosed(peer, now_ms()).await {
            tracing::error!(peer, "nobody will close this peer: {error}");
        }
    }

    /// Tells a robot that its operator is gone, so that it need not wait for its next heartbeat.
    async fn tell_lost(&self, robot: &PeerId, reason: &str) {
        if !self.engine.capabilities().inject {
            return;
        }
        let text = ToRobot::OperatorLost { reason: Some(reason.to_owned()) }.encode();
        match self.engine.inject(robot, &text).await {
            // A robot that has not opened the channel yet has nothing to lose.
            Ok(()) | Err(EngineError::Refused(_) | EngineError::Gone { .. }) => {}
            Err(error) => tracing::warn!(%robot, "a robot could not be told that its operator is gone: {error}"),
        }
    }

    /// Removes all peers of a session as it was. The row is changed already.
    async fn tear_down(&self, was: &Session, reason: &str) {
        self.cut(was, reason).await;
        for viewer in self.store.viewers_of(&was.id).await.unwrap_or_default() {
            self.drop_viewer(&was.id, &viewer.peer).await;
        }
        if let Some(robot) = &was.robot_peer {
            self.close(robot).await;
        }
        self.held.remove(&was.id);
        self.told.forget(&was.id);
        self.locks.forget(&was.id);
    }

    /// Forgets the peers of a session whose process ended.
    async fn forget_peers(&self, session: &Session) -> Result<(), Refusal> {
        self.store.clear_bridge(&session.id, session.bridge_generation).await?;
        if let Some(peer) = &session.operator_peer {
            self.store.forget_operator_peer(&session.id, peer).await?;
        }
        if let Some(peer) = &session.robot_peer {
            self.store.forget_robot_peer(&session.id, peer).await?;
        }
        for viewer in self.store.viewers_of(&session.id).await? {
            self.store.remove_viewer(&viewer.peer).await?;
        }
        Ok(())
    }
}
