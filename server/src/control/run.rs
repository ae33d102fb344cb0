//! The control thread: the clock and the rim around [`Pilot`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tracing::error;
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::HoldReason;

use super::pilot::{ControlStatus, Pilot, lock};
use super::{Arbiter, Event, SourceId};
use crate::clock;
use crate::priority::{Urgent, become_urgent};
use crate::robot::{ActionLayout, Arm, MobileBase, Robot, RobotError};
use crate::sensors::SensorHub;

/// Ticks per second.
pub const RATE_HZ: u64 = 120;

/// The thread that owns the robot: 120 ticks per second. Stops when dropped.
pub struct ControlLoop {
    status: Arc<ArcSwap<ControlStatus>>,
    robot: String,
    arms: Vec<Arm>,
    layout: ActionLayout,
    base: Option<MobileBase>,
    driver: watch::Receiver<Option<SourceId>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl ControlLoop {
    /// Starts the robot and its thread; returns when the robot has started.
    ///
    /// `on_event` is called on that thread with what the watchdogs and the arms cause, without any lock held. It must
    /// not block.
    ///
    /// # Errors
    /// What [`Robot::start`] returned, or that the description makes no sense (which part is named).
    pub fn start(
        robot: Box<dyn Robot>,
        hub: &SensorHub,
        arbiter: Arc<Mutex<Arbiter>>,
        on_event: Box<dyn Fn(Event) + Send>,
    ) -> Result<Self, RobotError> {
        let status = Arc::new(ArcSwap::from_pointee(ControlStatus::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (started, outcome) = sync_channel(1);
        let (name, base) = (robot.description().name.clone(), robot.description().base.clone());
        let (drives, driver) = watch::channel(None);
        let rim = Rim { status: Arc::clone(&status), stop: Arc::clone(&stop), arbiter, drives, on_event };
        let hub = hub.clone();
        let thread = thread::Builder::new()
            .name("control".into())
            .spawn(move || rim.main(robot, &hub, &started))
            .map_err(|e| RobotError(format!("the control thread did not start: {e}")))?;
        // The sender is gone without a word only if the robot's start panicked.
        match outcome.recv().unwrap_or_else(|_| Err(RobotError("the robot's program panicked at its start".into()))) {
            Ok((arms, layout)) => {
                Ok(Self { status, robot: name, arms, layout, base, driver, stop, thread: Some(thread) })
            }
            Err(refusal) => {
                // It ends by itself; its panics are dealt with and logged there.
                let _ = thread.join();
                Err(refusal)
            }
        }
    }

    /// The robot's name.
    pub fn robot(&self) -> &str {
        &self.robot
    }

    /// The robot's arms.
    pub fn arms(&self) -> &[Arm] {
        &self.arms
    }

    /// What the robot drives on, if it does.
    pub fn base(&self) -> Option<&MobileBase> {
        self.base.as_ref()
    }

    /// What the numbers of a policy's action mean.
    pub fn action_layout(&self) -> &ActionLayout {
        &self.layout
    }

    /// Who drives, seen once per tick.
    pub fn driver(&self) -> watch::Receiver<Option<SourceId>> {
        self.driver.clone()
    }

    /// The newest status, for those who outlive this handle.
    pub fn statuses(&self) -> Arc<ArcSwap<ControlStatus>> {
        Arc::clone(&self.status)
    }

    /// The newest status.
    pub fn status(&self) -> Arc<ControlStatus> {
        self.status.load_full()
    }
}

impl Drop for ControlLoop {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        if thread.thread().id() != thread::current().id() {
            // Its panics are dealt with and logged on the thread itself.
            let _ = thread.join();
        }
    }
}

/// What is known of a robot that has started.
type Started = Result<(Vec<Arm>, ActionLayout), RobotError>;

struct Rim {
    status: Arc<ArcSwap<ControlStatus>>,
    stop: Arc<AtomicBool>,
    arbiter: Arc<Mutex<Arbiter>>,
    drives: watch::Sender<Option<SourceId>>,
    on_event: Box<dyn Fn(Event) + Send>,
}

impl Rim {
    fn main(self, robot: Box<dyn Robot>, hub: &SensorHub, started: &SyncSender<Started>) {
        become_urgent(Urgent::Control);
        let pilot = Pilot::start(robot, hub, Arc::clone(&self.arbiter), clock::now());
        let (mut pilot, layout) = match pilot.and_then(|mut pilot| pilot.action_layout().map(|layout| (pilot, layout)))
        {
            Ok(ready) => ready,
            Err(refusal) => {
                let _ = started.send(Err(refusal));
                return;
            }
        };
        self.status.store(Arc::new(pilot.status()));
        // `ControlLoop::start` waits for this word, so it cannot fail; nor can the one above.
        let _ = started.send(Ok((pilot.arms().to_vec(), layout)));
        let ended = catch_unwind(AssertUnwindSafe(|| self.run(&mut pilot)));
        if ended.is_err() {
            error!("the control loop ended by a defect; the arms hold until the program is restarted");
        }
        // Nobody engages arms that no loop moves.
        let reason = if ended.is_ok() { HoldReason::Stopped } else { HoldReason::Fault };
        let mut events = Vec::new();
        lock(&self.arbiter).set_robot_hold(clock::now(), Some(reason), &mut events);
        pilot.end(reason);
        // It may have been the report itself that panicked.
        let _ = catch_unwind(AssertUnwindSafe(|| events.into_iter().for_each(&self.on_event)));
    }

    fn run(&self, pilot: &mut Pilot) {
        let begin = clock::now();
        let mut due = 0;
        let mut events = Vec::new();
        while !self.stop.load(Ordering::Acquire) {
            let now = clock::now();
            let wait = tick_time(begin, due).since(now);
            if !wait.is_zero() {
                thread::park_timeout(wait);
                continue;
            }
            pilot.tick(now, &mut events);
            self.status.store(Arc::new(pilot.status()));
            let driver = lock(&self.arbiter).lease().driver;
            self.drives.send_if_modified(|known| std::mem::replace(known, driver) != driver);
            events.drain(..).for_each(&self.on_event);
            due = next_tick(begin, due, clock::now());
        }
    }
}

/// When a tick is due, from the beginning on: rounding never adds up.
fn tick_time(begin: MonoTime, tick: u64) -> MonoTime {
    let nanos = u128::from(tick) * 1_000_000_000 / u128::from(RATE_HZ);
    MonoTime::from_nanos(begin.as_nanos().saturating_add(u64::try_from(nanos).unwrap_or(u64::MAX)))
}

/// The tick after this one; those that were missed altogether are left out instead of following in a burst.
fn next_tick(begin: MonoTime, done: u64, now: MonoTime) -> u64 {
    let passed = now.since(begin).as_nanos() * u128::from(RATE_HZ) / 1_000_000_000;
    u64::try_from(passed).unwrap_or(u64::MAX).max(done.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;
    use std::time::Duration;

    use super::*;
    use crate::control::SourceId;
    use crate::control::tests::{FakeRobot, frame, rest_command, squeezed};
    use crate::robot::Command;

    #[test]
    fn ticks_do_not_drift() {
        let begin = MonoTime::from_nanos(7);
        assert_eq!(tick_time(begin, RATE_HZ * 3600), begin + Duration::from_secs(3600));
    }

    #[test]
    fn missed_ticks_are_left_out() {
        let begin = MonoTime::from_nanos(1_000);
        assert_eq!(next_tick(begin, 5, tick_time(begin, 5) + Duration::from_millis(1)), 6);
        assert_eq!(next_tick(begin, 5, tick_time(begin, 50) + Duration::from_millis(1)), 50);
    }

    #[test]
    fn the_thread_commands_the_robots_own_posture_and_ends_when_dropped() {
        let (seen, commands) = sync_channel::<Command>(1000);
        let (robot, script) = FakeRobot::new();
        let robot = robot.watched_by(seen);
        let arbiter = Arc::new(Mutex::new(Arbiter::default()));
        let control =
            ControlLoop::start(Box::new(robot), &SensorHub::default(), Arc::clone(&arbiter), Box::new(|_| ())).unwrap();
        for _ in 0..10 {
            assert_eq!(commands.recv_timeout(Duration::from_secs(20)).unwrap(), rest_command());
        }
        assert_eq!(control.status().joints.len(), 2);
        drop(control);
        while commands.try_recv().is_ok() {}
        assert!(commands.recv_timeout(Duration::from_secs(20)).is_err(), "the robot is gone with its thread");
        assert_eq!(lock(&arbiter).hold(clock::now()).map(|h| h.reason), Some(HoldReason::Stopped));
        assert_eq!(script.lock().unwrap().holds.last(), Some(&HoldReason::Stopped), "the robot was told");
    }

    #[test]
    fn a_defect_in_the_loop_holds_the_arms_for_good_and_says_so() {
        let (robot, script) = FakeRobot::new();
        let arbiter = Arc::new(Mutex::new(Arbiter::default()));
        let engage = |at| {
            let mut arbiter = lock(&arbiter);
            for frame in [frame(), squeezed(frame())] {
                arbiter.on_frame(at, SourceId::person(1), &frame, &mut Vec::new());
            }
            arbiter.engaged()
        };
        // So long ago that the first tick has something to report.
        assert!(engage(MonoTime::from_nanos(1)));
        let (reported, report) = sync_channel(10);
        let on_event = Box::new(move |event| {
            reported.send(event).unwrap();
            panic!("a defect of the one who is told");
        });
        let control =
            ControlLoop::start(Box::new(robot), &SensorHub::default(), Arc::clone(&arbiter), on_event).unwrap();
        assert_eq!(report.recv_timeout(Duration::from_secs(20)), Ok(Event::Tracking(false)));
        while report.recv_timeout(Duration::from_secs(20)).is_ok() {}
        assert_eq!(lock(&arbiter).hold(clock::now()).map(|h| h.reason), Some(HoldReason::Fault));
        assert_eq!(script.lock().unwrap().holds.last(), Some(&HoldReason::Fault), "the robot was told");
        assert!(!engage(clock::now()), "nobody engages arms that no loop moves");
        drop(control);
    }

    #[test]
    fn a_robot_that_does_not_start_is_an_error_with_its_own_words() {
        let (mut robot, _) = FakeRobot::new();
        robot.start = Err("no power".into());
        let arbiter = Arc::default();
        let refused = ControlLoop::start(Box::new(robot), &SensorHub::default(), arbiter, Box::new(|_| ()));
        assert_eq!(refused.err().map(|e| e.0), Some("no power".into()));
    }
}
