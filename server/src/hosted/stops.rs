//! The emergency stop, and lying down: what runs at once, whatever else is under way.

use waldo_protocol::hosted::{Nonce, SportCommand};
use waldo_protocol::vr::{Role, Stop};

use super::service::{Service, now};
use crate::config::HostedKind;

impl Service {
    pub(super) fn estop(&self, nonce: Option<Nonce>) {
        let source = self.source();
        // Before anything else.
        let stopped = self.robot.arbitrate(|arbiter, now, events| {
            arbiter.on_stop(now, (source, Role::Driver), Stop { n: None, clear: false }, events);
            arbiter.stopped()
        });
        let now = now();
        self.follow_stop(stopped);
        if self.settings.kind == HostedKind::Twist {
            self.state().body.take(SportCommand::Damp);
        }
        self.cancel_navigation(now);
        self.tell_state(now);
        tracing::warn!("the operator stopped the robot");
        self.acknowledge(nonce, stopped);
    }

    pub(super) fn clear_estop(&self, nonce: Option<Nonce>) {
        let source = self.source();
        let now = now();
        self.cancel_navigation(now);
        let stopped = self.robot.arbitrate(|arbiter, now, events| {
            arbiter.on_stop(now, (source, Role::Driver), Stop { n: None, clear: true }, events);
            arbiter.stopped()
        });
        self.follow_stop(stopped);
        self.tell_state(now);
        if stopped {
            tracing::info!("the stop stays: somebody else drives the robot, and may clear it");
        } else {
            tracing::info!("the operator cleared the stop");
        }
        self.acknowledge(nonce, !stopped);
    }

    /// The robot lies down, urgently.
    pub(super) fn damp(&self, nonce: Option<Nonce>) {
        let drives = self.settings.kind == HostedKind::Twist;
        if drives {
            let mut state = self.state();
            state.body.take(SportCommand::Damp);
            // It drives no longer, whatever was asked for, and nothing that was ordered before lets it stand up again.
            state.operator.rest(now());
            state.executor.fence();
        }
        self.acknowledge(nonce, drives);
    }

    /// The one stop latch, wherever it was set, holds for everything here too.
    pub(super) fn follow_stop(&self, stopped: bool) -> bool {
        let stops = self.robot.stop.stops();
        let mut state = self.state();
        // One that was set and cleared since the last look has stopped everything all the same.
        let missed = stops > std::mem::replace(&mut state.stops, stops) && !stopped && !state.operator.stopped();
        if missed {
            state.operator.latch(true);
            state.executor.latch();
        }
        let news = state.operator.latch(stopped);
        match (news, stopped) {
            (true, true) => state.executor.latch(),
            (true, false) => state.executor.clear(),
            (false, _) => {}
        }
        news
    }
}
