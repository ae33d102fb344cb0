//! An arbiter with a clock of its own, and what people and a policy do there.

use std::sync::Arc;

use waldo_protocol::vr::Stop;

use super::*;
use crate::control::{JointAction, Refused, Resume};
use crate::robot::ArmCommand;

/// A [`Arbiter`] with a clock of its own.
pub(super) struct Room {
    pub(super) arbiter: Arbiter,
    pub(super) now: MonoTime,
    pub(super) events: Vec<Event>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self { arbiter: Arbiter::default(), now: MonoTime::from_nanos(1_000_000_000_000), events: Vec::new() }
    }

    /// Sends a frame and lets the time until the next one pass.
    pub(super) fn send(&mut self, from: SourceId, frame: VrFrame) -> Admission {
        let admission = self.arbiter.on_frame(self.now, from, &frame, &mut self.events);
        self.now = self.now + FRAME;
        admission
    }

    pub(super) fn wait(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now = self.now + Duration::from_millis(1);
            self.arbiter.on_tick(self.now, &mut self.events);
        }
    }

    /// Both grips, seen released before.
    pub(super) fn squeeze(&mut self, stream: SourceId) -> Admission {
        self.send(stream, frame());
        self.send(stream, squeezed(frame()))
    }

    pub(super) fn engage(&mut self, stream: SourceId) {
        self.squeeze(stream);
        assert!(self.arbiter.engaged());
        self.send(stream, frame());
    }

    pub(super) fn robot_hold(&mut self, reason: Option<HoldReason>) {
        self.arbiter.set_robot_hold(self.now, reason, &mut self.events);
    }

    pub(super) fn reason(&self) -> Option<HoldReason> {
        self.arbiter.hold(self.now).map(|h| h.reason)
    }

    pub(super) fn reason_for(&self, stream: SourceId) -> Option<HoldReason> {
        self.arbiter.hold_for(self.now, stream).map(|h| h.reason)
    }

    pub(super) fn tracking(&self) -> Vec<bool> {
        let pushes = self.events.iter().filter_map(|e| match e {
            Event::Tracking(on) => Some(*on),
            _ => None,
        });
        pushes.collect()
    }
}

impl Room {
    pub(super) fn resuming(resume: Resume) -> Self {
        Self { arbiter: Arbiter::default().resuming(resume), ..Self::new() }
    }

    pub(super) fn act_seen(&mut self, who: SourceId, observed: Option<MonoTime>) -> Result<(), Refused> {
        self.arbiter.on_action(self.now, who, action(1.0, observed), &mut self.events)
    }

    /// The policy acts on what it sees at this moment.
    pub(super) fn act(&mut self) -> Result<(), Refused> {
        self.act_seen(POLICY, Some(self.now))
    }

    /// The policy acts every 20 ms for so long; the last answer.
    pub(super) fn act_for(&mut self, millis: u64) -> Result<(), Refused> {
        let mut answer = self.act();
        for _ in 0..millis / 20 {
            self.wait(20);
            answer = self.act();
        }
        answer
    }

    /// The same with a headset that does nothing but look.
    pub(super) fn act_beside(&mut self, person: SourceId, millis: u64) -> Result<(), Refused> {
        let mut answer = self.act();
        for _ in 0..millis / 11 {
            self.send(person, frame());
            answer = self.act();
        }
        answer
    }

    pub(super) fn moves(&self) -> bool {
        self.arbiter.joint_targets(self.now).is_some()
    }

    pub(super) fn driver(&self) -> Option<SourceId> {
        self.arbiter.lease().driver
    }

    pub(super) fn stop(&mut self, from: SourceId, clear: bool) -> bool {
        self.arbiter.on_stop(self.now, (from, Role::Driver), Stop { n: None, clear }, &mut self.events)
    }

    pub(super) fn reset(&mut self) -> Result<(), Refused> {
        self.arbiter.request_reset(self.now, POLICY, &mut self.events)
    }

    /// The arm side takes the reset, moves to rest for two seconds, and is there.
    pub(super) fn move_to_rest(&mut self) {
        assert!(self.arbiter.take_reset());
        self.robot_hold(Some(HoldReason::Resetting));
        self.wait(2000);
        self.robot_hold(None);
    }
}

/// An action that says where all joints shall be, computed from what was seen at that time.
pub(super) fn action(to: f64, observed: Option<MonoTime>) -> JointAction {
    let arm = ArmCommand { joints: vec![to; 7], gripper: 0.5 };
    JointAction { arms: Arc::new([arm.clone(), arm]), observed, holds_after: Some(Duration::from_millis(500)) }
}
