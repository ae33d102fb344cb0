//! Ends the sessions of robots that are silent, and frees the slots of operators that are.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::{Inner, Refusal, ms};
use crate::sfu::{EngineError, PeerId};
use crate::store::now_ms;

/// One process reaps at a time; another may after this.
const LEASE: Duration = Duration::from_secs(15);

/// A process that was not seen for so long is gone, and so are the peers inside of it.
pub(super) const NODE_LOST: Duration = Duration::from_secs(15);

/// A peer that could not be closed for so long has ended by itself.
const UNCLOSED: Duration = Duration::from_secs(24 * 60 * 60);

/// How often old history is looked for.
const FORGET_EVERY: u32 = 360;

/// Reaps until stopped.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut look = interval(inner.timers.reap_every.max(Duration::from_millis(10)));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut round = 0_u32;
    loop {
        tokio::select! {
            _ = look.tick() => {}
            () = inner.stop.cancelled() => break,
        }
        if let Err(error) = reap(&inner, round).await {
            tracing::warn!("silent robots and operators could not be looked for: {error}");
        }
        round = round.wrapping_add(1);
    }
    if let Err(error) = inner.store.drop_lease("reaper", &inner.node.id).await {
        tracing::debug!("the reaper's lease ends by itself: {error}");
    }
}

async fn reap(inner: &Arc<Inner>, round: u32) -> Result<(), Refusal> {
    if !inner.store.take_lease("reaper", &inner.node.id, now_ms(), LEASE).await? {
        return Ok(());
    }
    let robots_since = now_ms() - ms(inner.timers.robot);
    for session in inner.store.silent_robots(robots_since).await? {
        // Who has the lock may wait for an engine, and the others shall not: there is another round soon.
        let Some(_lock) = inner.locks.try_lock(&session.id) else { continue };
        // As it is now: a heartbeat or a join may have come in between. The store has the last word on the heartbeat.
        let Some(now) = inner.store.session(&session.id).await? else { continue };
        if inner.store.end_session(&session.id, None, Some(robots_since), now_ms()).await? {
            inner.metrics.robot_evicted();
            inner.tear_down(&now, "robot silent").await;
            inner.note(&session.id, "broker", "evict robot", "no heartbeat").await;
        }
    }
    let operators_since = now_ms() - ms(inner.timers.operator);
    for session in inner.store.silent_operators(operators_since).await? {
        let Some(_lock) = inner.locks.try_lock(&session.id) else { continue };
        let Some(now) = inner.store.session(&session.id).await? else { continue };
        let Some(lease) = &now.lease_id else { continue };
        if inner.store.vacate(&session.id, lease, Some(operators_since)).await? {
            inner.metrics.operator_evicted();
            inner.cut(&now, "evicted").await;
            let who = now.operator_id.as_deref().unwrap_or_default();
            inner.note(&session.id, "broker", "evict", &format!("{who}: no heartbeat")).await;
        }
    }
    // What a process held that is gone went with it; its robots come back by themselves.
    for session in inner.store.orphans(now_ms() - ms(NODE_LOST)).await? {
        let Some(_lock) = inner.locks.try_lock(&session.id) else { continue };
        inner.forget_peers(&session).await?;
    }
    for viewer in inner.store.stale_viewers(operators_since).await? {
        inner.drop_viewer(&viewer.session_id, &viewer.peer).await;
    }
    close_again(inner).await?;
    if round.is_multiple_of(FORGET_EVERY) {
        inner.store.forget_before(now_ms() - ms(inner.timers.history)).await?;
    }
    Ok(())
}

/// Closes peers at an engine outside that could not be closed when they should have been.
async fn close_again(inner: &Inner) -> Result<(), Refusal> {
    if inner.node.holds_peers {
        // Those of an engine inside went with it.
        return Ok(());
    }
    for peer in inner.store.unclosed().await? {
        match inner.engine.close_peer(&PeerId::new(&peer)).await {
            Ok(()) => inner.store.remove_unclosed(&peer).await?,
            // Nor does it answer for the others.
            Err(error @ EngineError::Unavailable(_)) => {
                tracing::warn!(peer, "peers may still be there: {error}");
                break;
            }
            Err(error) => tracing::warn!(peer, "a peer may still be there: {error}"),
        }
    }
    Ok(inner.store.forget_unclosed(now_ms() - ms(UNCLOSED)).await?)
}
