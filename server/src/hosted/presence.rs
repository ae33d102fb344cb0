//! Whether an operator is there, and what it means that they come, go, or are lost.

use std::sync::atomic::Ordering;
use std::time::Duration;

use waldo_protocol::hosted::{Now, SportCommand, VideoCap};
use waldo_protocol::time::MonoTime;

use super::service::{Service, now};
use crate::clock;
use crate::config::HostedKind;
use crate::control::SourceKind;

/// An operator of whom nothing at all was heard for so long asks for nothing.
const SILENT_AFTER: Duration = SourceKind::RemoteHuman.lost_after();

impl Service {
    /// Whether the operator was heard of within this time.
    pub(super) fn heard_within(&self, limit: Duration) -> bool {
        let heard = self.heard.load(Ordering::Relaxed);
        heard > 0 && clock::now().since(MonoTime::from_nanos(heard)) <= limit
    }

    /// Whether the operator has said anything lately.
    pub(super) fn hears(&self) -> bool {
        self.heard_within(SILENT_AFTER)
    }

    pub(super) fn hear(&self, now: Now) {
        self.heard.store(now.mono.as_nanos().max(1), Ordering::Relaxed);
    }

    /// An operator has channels to the robot, or another one than before.
    pub(super) fn arrived(&self) {
        // Nothing that the one before ordered or held goes on under the name of this one.
        self.lost("another one is there");
        let mut state = self.state();
        (state.there, state.silent, state.rtt_ms) = (true, false, None);
        self.next_source();
        state.operator.arrived();
        state.executor.forget_nonces();
        (state.seen, state.cap) = (None, VideoCap::default());
        self.video.allow(None);
        drop(state);
        self.chosen.send_replace(vec![0]);
        tracing::info!("an operator is there");
    }

    /// The id of a channel changed: whoever counts from now on may begin anew.
    pub(super) fn channel_changed(&self) {
        let mut state = self.state();
        state.executor.forget_nonces();
        state.operator.restart();
    }

    /// The operator has no channels any more.
    pub(super) fn left(&self) {
        self.lost("they left");
        self.state().there = false;
    }

    /// The connection is no more, and with it the operator.
    pub(super) fn gone(&self) {
        self.set_back(None);
        self.set_map(None);
        self.left();
        self.go_blind(false);
    }

    /// From now on nobody would tell the robot that its operator left, so they count as lost, whatever they send; or somebody
    /// would again.
    pub(super) fn go_blind(&self, blind: bool) {
        if blind {
            self.lost("the broker says nothing any more");
        }
        self.state().blind = blind;
    }

    /// The operator is lost: nothing moves on, and whoever comes next engages deliberately.
    pub(super) fn lost(&self, why: &str) {
        let now = now();
        let source = {
            let mut state = self.state();
            if !state.there || std::mem::replace(&mut state.silent, true) {
                return;
            }
            let source = self.next_source();
            state.operator.lost();
            state.executor.operator_lost();
            if self.settings.damp_on_operator_lost && self.settings.kind == HostedKind::Twist {
                state.body.take(SportCommand::Damp);
            }
            source
        };
        self.robot.arbitrate(|arbiter, now, events| arbiter.on_remote_lost(now, source, events));
        self.cancel_navigation(now);
        tracing::info!("the operator is lost: {why}");
    }
}
