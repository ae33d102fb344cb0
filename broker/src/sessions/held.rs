//! The peers in this process, and that they go when another process says so in the store.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::Inner;
use crate::sfu::{Bridge, PeerId};
use crate::store::{Session, StoreError, now_ms};

/// How often the store is asked what became of the sessions whose peers are here.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often the others are told that this process is there.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(4);

/// What this process holds of one session.
#[derive(Clone, Debug, Default)]
struct Peers {
    robot: Option<String>,
    operator: Option<String>,
    bridge: Option<Bridge>,
    viewers: BTreeSet<String>,
}

impl Peers {
    fn is_nobody(&self) -> bool {
        self.robot.is_none() && self.operator.is_none() && self.bridge.is_none() && self.viewers.is_empty()
    }
}

/// What this process holds of all sessions. Only what is in the store already is in here.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<HashMap<String, Peers>>);

impl Held {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, Peers>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn robot(&self, session: &str, peer: &str) {
        self.with(|held| held.entry(session.to_owned()).or_default().robot = Some(peer.to_owned()));
    }

    pub(super) fn operator(&self, session: &str, peer: &str) {
        self.with(|held| {
            let peers = held.entry(session.to_owned()).or_default();
            (peers.operator, peers.bridge) = (Some(peer.to_owned()), None);
        });
    }

    pub(super) fn bridge(&self, session: &str, bridge: Bridge) {
        self.with(|held| held.entry(session.to_owned()).or_default().bridge = Some(bridge));
    }

    pub(super) fn viewer(&self, session: &str, peer: &str) {
        self.with(|held| held.entry(session.to_owned()).or_default().viewers.insert(peer.to_owned()));
    }

    pub(super) fn remove_operator(&self, session: &str) {
        self.change(session, |peers| (peers.operator, peers.bridge) = (None, None));
    }

    pub(super) fn remove_viewer(&self, session: &str, peer: &str) {
        self.change(session, |peers| {
            peers.viewers.remove(peer);
        });
    }

    /// Changes what is held of a session, if anything is.
    fn change(&self, session: &str, act: impl FnOnce(&mut Peers)) {
        self.with(|held| {
            let Some(peers) = held.get_mut(session) else { return };
            act(peers);
            if peers.is_nobody() {
                held.remove(session);
            }
        });
    }

    pub(super) fn remove(&self, session: &str) {
        self.with(|held| held.remove(session));
    }
}

/// Tells the others that this process is there, until stopped. Nothing else may keep it from that: who is not seen is gone for them.
pub(super) async fn announce(inner: Arc<Inner>) {
    let mut next = interval(ANNOUNCE_EVERY);
    next.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = next.tick() => {}
            () = inner.stop.cancelled() => return,
        }
        if let Err(error) = inner.store.announce_node(&inner.node.id, &inner.node.url, now_ms()).await {
            tracing::warn!("the other brokers are not told that this one is there: {error}");
        }
    }
}

/// Cuts off what another process ended, until stopped.
pub(super) async fn reconcile(inner: Arc<Inner>) {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = inner.stop.cancelled() => return,
        }
        if let Err(error) = once(&inner).await {
            tracing::warn!("the store does not tell what became of our sessions: {error}");
        }
    }
}

async fn once(inner: &Inner) -> Result<(), StoreError> {
    // First what is held, then what is stored: a peer is stored before it is held.
    let held = inner.held.with(|held| held.clone());
    if held.is_empty() {
        return Ok(());
    }
    let rows: HashMap<String, Session> =
        inner.store.sessions_at(&inner.node.id).await?.into_iter().map(|row| (row.id.clone(), row)).collect();
    let watching: BTreeSet<String> =
        inner.store.viewers_at(&inner.node.id).await?.into_iter().map(|viewer| viewer.peer).collect();
    for (id, peers) in held {
        let row = rows.get(&id);
        let robot_stays = row.is_some_and(|row| row.robot_peer == peers.robot);
        let operator_stays = row.is_some_and(|row| row.operator_peer == peers.operator);
        let bridge_stays = row.is_some_and(|row| row.bridge == peers.bridge);
        if robot_stays && operator_stays && bridge_stays && peers.viewers.is_subset(&watching) {
            continue;
        }
        // Who has the lock may wait for a peer, and the other sessions do not: there is another look soon.
        let Some(_lock) = inner.locks.try_lock(&id) else { continue };
        // Who had the lock may have put it right.
        let still = |check: &dyn Fn(&Peers) -> bool| inner.held.with(|held| held.get(&id).is_some_and(check));
        if let (Some(robot), Some(operator), Some(bridge)) = (&peers.robot, &peers.operator, &peers.bridge)
            && !(bridge_stays && operator_stays && robot_stays)
            && still(&|now| now.bridge == peers.bridge)
        {
            inner.unbridge(&PeerId::new(robot), &PeerId::new(operator), bridge, "ended").await;
            inner.held.change(&id, |peers| peers.bridge = None);
        }
        if let Some(operator) = &peers.operator
            && !operator_stays
            && still(&|now| now.operator == peers.operator)
        {
            inner.close(operator).await;
            inner.held.remove_operator(&id);
        }
        for viewer in peers.viewers.difference(&watching) {
            inner.close(viewer).await;
            inner.held.remove_viewer(&id, viewer);
        }
        if let Some(robot) = &peers.robot
            && !robot_stays
            && still(&|now| now.robot == peers.robot)
        {
            inner.close(robot).await;
            inner.held.change(&id, |peers| peers.robot = None);
        }
    }
    Ok(())
}
