//! Which stream of pose frames drives, whether it is engaged, and what it asks of the arms.

use std::time::Duration;

use waldo_protocol::geometry::{LocalFloor, Pose};
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Hold, HoldReason, VrFrame};

/// Pose silence that disengages.
pub const STALE_AFTER: Duration = Duration::from_millis(500);

/// Pose silence that ends the driver role.
pub const DRIVER_LOST_AFTER: Duration = Duration::from_secs(2);

/// One stream of pose frames: a socket, or several sockets of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u64);

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Its stream drives, or nobody does.
    Admitted,
    /// Another stream drives.
    Watching,
}

/// Something that everybody who watches should hear, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The engage toggle changed.
    Tracking(bool),
    /// Another stream drives now, or none.
    Driver(Option<StreamId>),
    /// Motion of all arms is held or limited for this reason; `None` when cleared.
    Hold(Option<Hold>),
    /// The reset button's edge: the arms shall go to rest.
    Reset,
}

/// What the driver asks of the arms at this moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Targets {
    /// Increases with each engagement; a new number means: take a new clutch snapshot.
    pub engagement: u64,
    /// Controllers (left, right) in the frame that engaged.
    pub at_engage: [Pose<LocalFloor>; 2],
    /// Controllers in the newest frame.
    pub controllers: [Pose<LocalFloor>; 2],
    /// Whether each controller's position is measured, not dead-reckoned.
    pub tracked: [bool; 2],
    /// Gripper openings, 0 closed, 1 open.
    pub grips: [f64; 2],
}

/// The engage logic and the driver rule of all streams. Pure: time comes in as an argument.
#[derive(Debug, Default)]
pub struct Teleop {}

impl Teleop {
    /// Feeds one frame of a stream, already without duplicates. Events are appended in order.
    pub fn on_frame(&mut self, _now: MonoTime, _stream: StreamId, _frame: &VrFrame, _events: &mut Vec<Event>) -> Admission {
        unimplemented!()
    }

    /// The stream's last socket closed.
    pub fn on_closed(&mut self, _now: MonoTime, _stream: StreamId, _events: &mut Vec<Event>) {
        unimplemented!()
    }

    /// Runs the watchdogs.
    pub fn on_tick(&mut self, _now: MonoTime, _events: &mut Vec<Event>) {
        unimplemented!()
    }

    /// Targets while engaged; none while held.
    pub fn targets(&self) -> Option<Targets> {
        unimplemented!()
    }

    /// True once after each reset edge.
    pub fn take_reset(&mut self) -> bool {
        unimplemented!()
    }

    /// The arm side's word: while it holds for a reason (rest move, fault), nobody can engage, and whoever was engaged
    /// is disengaged. `None` lifts it. Info and clamps only inform.
    pub fn set_robot_hold(&mut self, _now: MonoTime, _reason: Option<HoldReason>, _events: &mut Vec<Event>) {
        unimplemented!()
    }

    /// The reason why motion is held or limited now.
    pub fn hold(&self, _now: MonoTime) -> Option<Hold> {
        unimplemented!()
    }

    /// Why this stream's frames move nothing, for its own operator: as [`Teleop::hold`], or that another one drives.
    pub fn hold_for(&self, _now: MonoTime, _stream: StreamId) -> Option<Hold> {
        unimplemented!()
    }

    /// The stream that drives.
    pub fn driver(&self) -> Option<StreamId> {
        unimplemented!()
    }

    /// Whether the toggle is on.
    pub fn engaged(&self) -> bool {
        unimplemented!()
    }
}
