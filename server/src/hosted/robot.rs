//! The robot that operators move, as this module sees it: the arbiter, what the control loop says, the sensors.

use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use waldo_protocol::geometry::{Base, Pose};
use waldo_protocol::hosted::HANDS;
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::Hand;

use super::service::lock;
use crate::clock;
use crate::control::{Arbiter, ControlLoop, ControlStatus, Event, StopView};
use crate::priority::{Urgent, while_urgent};
use crate::robot::MobileBase;
use crate::sensors::SensorHub;

/// What becomes of the arbiter's events.
pub(crate) type Report = Box<dyn Fn(Event) + Send + Sync>;

/// The robot that operators move.
pub(crate) struct Robot {
    arbiter: Arc<Mutex<Arbiter>>,
    pub(super) stop: StopView,
    status: Arc<ArcSwap<ControlStatus>>,
    /// Which arm of the status each hand moves.
    arms: [Option<usize>; 2],
    pub(super) base: Option<MobileBase>,
    pub(super) hub: SensorHub,
    report: Report,
}

impl Robot {
    pub(crate) fn new(control: &ControlLoop, arbiter: Arc<Mutex<Arbiter>>, hub: SensorHub, report: Report) -> Self {
        let stop = lock(&arbiter).stop_view();
        let arm = |hand: Hand| control.arms().iter().position(|arm| arm.hand == hand);
        let (arms, base) = (HANDS.map(arm), control.base().cloned());
        Self { arbiter, stop, status: control.statuses(), arms, base, hub, report }
    }

    /// Does something to the arbiter, and tells what came of it when its lock is free again.
    pub(super) fn arbitrate<T>(&self, act: impl FnOnce(&mut Arbiter, MonoTime, &mut Vec<Event>) -> T) -> T {
        let mut events = Vec::new();
        // Who holds this lock holds up the control loop.
        let result = while_urgent(Urgent::Poses, || act(&mut lock(&self.arbiter), clock::now(), &mut events));
        events.into_iter().for_each(&self.report);
        result
    }

    /// Where the grippers of the left and the right arm are commanded to be.
    pub(super) fn grippers(&self) -> [Option<Pose<Base>>; 2] {
        let status = self.status.load();
        self.arms.map(|arm| status.grippers.get(arm?).copied())
    }
}
