use waldo_protocol::vr::Hands;

use super::*;
use crate::control::tests::{frame, pose, squeezed};

mod properties;

const A: StreamId = StreamId(1);
const B: StreamId = StreamId(2);
const FRAME: Duration = Duration::from_millis(11);

/// A [`Teleop`] with a clock of its own.
struct Room {
    teleop: Teleop,
    now: MonoTime,
    events: Vec<Event>,
}

impl Room {
    fn new() -> Self {
        Self { teleop: Teleop::default(), now: MonoTime::from_nanos(1_000_000_000_000), events: Vec::new() }
    }

    /// Sends a frame and lets the time until the next one pass.
    fn send(&mut self, from: StreamId, frame: VrFrame) -> Admission {
        let admission = self.teleop.on_frame(self.now, from, &frame, &mut self.events);
        self.now = self.now + FRAME;
        admission
    }

    fn wait(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now = self.now + Duration::from_millis(1);
            self.teleop.on_tick(self.now, &mut self.events);
        }
    }

    fn engage(&mut self, stream: StreamId) {
        self.send(stream, frame());
        self.send(stream, squeezed(frame()));
        assert!(self.teleop.engaged());
        self.send(stream, frame());
    }

    fn robot_hold(&mut self, reason: Option<HoldReason>) {
        self.teleop.set_robot_hold(self.now, reason, &mut self.events);
    }

    fn reason(&self) -> Option<HoldReason> {
        self.teleop.hold(self.now).map(|h| h.reason)
    }

    fn reason_for(&self, stream: StreamId) -> Option<HoldReason> {
        self.teleop.hold_for(self.now, stream).map(|h| h.reason)
    }

    fn tracking(&self) -> Vec<bool> {
        let pushes = self.events.iter().filter_map(|e| match e {
            Event::Tracking(on) => Some(*on),
            _ => None,
        });
        pushes.collect()
    }
}

fn reset() -> VrFrame {
    VrFrame { reset: true, ..frame() }
}

fn at(ms: f64) -> VrFrame {
    VrFrame { t: Some(ms), ..frame() }
}

fn left_at(x: f64, tracked: bool) -> VrFrame {
    let left = Controller { pose: pose([x, 1.0, 0.0], glam::DQuat::IDENTITY), tracked, ..frame().left };
    VrFrame { left, ..frame() }
}

#[test]
fn the_first_stream_that_engages_drives() {
    let mut room = Room::new();
    assert_eq!(room.send(A, frame()), Admission::Admitted);
    assert_eq!(room.send(B, frame()), Admission::Admitted);
    assert_eq!(room.teleop.driver(), None);
    room.engage(B);
    assert_eq!(room.events, [Event::Driver(Some(B)), Event::Tracking(true)]);
    assert_eq!(room.send(A, frame()), Admission::Watching);
}

#[test]
fn letting_go_keeps_the_driver_role() {
    let mut room = Room::new();
    room.engage(A);
    room.send(A, squeezed(frame()));
    assert!(!room.teleop.engaged());
    room.send(B, frame());
    assert_eq!(room.send(B, squeezed(frame())), Admission::Watching);
    assert_eq!((room.teleop.driver(), room.teleop.engaged()), (Some(A), false));
}

#[test]
fn who_tries_to_drive_beside_the_driver_is_told() {
    let mut room = Room::new();
    room.engage(A);
    room.send(B, frame());
    assert_eq!(room.reason_for(B), None);
    room.send(B, squeezed(frame()));
    assert_eq!((room.reason_for(B), room.reason_for(A)), (Some(HoldReason::NotDriver), None));
    let told = room.teleop.hold_for(room.now + Duration::from_millis(89), B).expect("still squeezing");
    assert_eq!((told.severity, told.since_ms), (waldo_protocol::vr::Severity::Hold, 100.0));
    room.send(B, frame());
    assert_eq!(room.reason_for(B), None);
}

#[test]
fn grips_held_while_the_driver_leaves_do_not_engage() {
    let mut room = Room::new();
    room.engage(A);
    room.send(B, frame());
    room.send(B, squeezed(frame()));
    room.teleop.on_closed(room.now, A, &mut room.events);
    assert_eq!(room.teleop.driver(), None);
    room.send(B, squeezed(frame()));
    assert!(!room.teleop.engaged());
    assert_eq!(room.reason_for(B), Some(HoldReason::ReleaseGrips));
    room.engage(B);
    assert_eq!(room.teleop.driver(), Some(B));
}

#[test]
fn silence_disengages_after_half_a_second_and_ends_the_role_after_two() {
    let mut room = Room::new();
    room.engage(A);
    room.wait(488);
    assert!(room.teleop.engaged());
    room.wait(1);
    assert!(!room.teleop.engaged());
    assert_eq!((room.reason(), room.teleop.driver()), (Some(HoldReason::LinkStale), Some(A)));
    room.wait(1499);
    assert_eq!(room.teleop.driver(), Some(A));
    room.wait(1);
    assert_eq!((room.reason(), room.teleop.driver()), (Some(HoldReason::LinkStale), None));
}

#[test]
fn a_silence_counts_even_if_nobody_looked_at_the_clock() {
    let mut room = Room::new();
    room.engage(A);
    room.now = room.now + Duration::from_millis(600);
    room.send(A, squeezed(frame()));
    assert_eq!((room.tracking(), room.reason()), (vec![true, false], Some(HoldReason::ReleaseGrips)));
    room.send(A, frame());
    assert_eq!(room.reason(), None);
    room.send(A, squeezed(frame()));
    assert_eq!(room.tracking(), [true, false, true]);
}

#[test]
fn grips_released_before_a_silence_do_not_count_after_it() {
    let mut room = Room::new();
    room.send(A, frame());
    room.wait(600);
    room.send(A, squeezed(frame()));
    assert!(room.tracking().is_empty());
}

#[test]
fn a_closed_stream_disengages_and_leaves_at_once() {
    let mut room = Room::new();
    room.engage(A);
    room.events.clear();
    room.teleop.on_closed(room.now, A, &mut room.events);
    assert_eq!(room.events[..2], [Event::Tracking(false), Event::Driver(None)]);
    assert_eq!(room.reason(), Some(HoldReason::LinkStale));
    assert_eq!(room.teleop.targets(), None);
}

#[test]
fn a_reset_disengages_and_is_latched_once_however_long_it_is_held() {
    let mut room = Room::new();
    room.engage(A);
    room.events.clear();
    for _ in 0..10 {
        room.send(A, reset());
    }
    assert_eq!(room.events, [Event::Tracking(false), Event::Reset]);
    assert!(room.teleop.take_reset());
    assert!(!room.teleop.take_reset());
    room.send(A, frame());
    room.send(A, reset());
    assert!(room.teleop.take_reset());
    assert_eq!(room.teleop.resets(), 2);
}

#[test]
fn a_reset_beats_a_squeeze_in_the_same_frame_and_blocks_until_it_is_taken() {
    let mut room = Room::new();
    room.send(A, frame());
    room.send(A, squeezed(reset()));
    assert_eq!((room.events.first(), room.teleop.engaged()), (Some(&Event::Reset), false));
    room.send(A, frame());
    room.send(A, squeezed(frame()));
    assert!(!room.teleop.engaged());
    room.teleop.take_reset();
    room.engage(A);
}

#[test]
fn only_the_driver_resets_while_there_is_one() {
    let mut room = Room::new();
    room.send(B, reset());
    assert!(room.teleop.take_reset());
    room.send(B, frame());
    room.engage(A);
    room.send(B, reset());
    assert!(room.teleop.engaged() && !room.teleop.take_reset());
    // Held until the driver has left, it is still no edge.
    room.teleop.on_closed(room.now, A, &mut room.events);
    room.send(B, reset());
    assert!(!room.teleop.take_reset());
}

#[test]
fn while_the_robot_holds_nobody_engages_and_grips_held_to_its_end_do_not_either() {
    let mut room = Room::new();
    room.engage(A);
    room.robot_hold(Some(HoldReason::Resetting));
    assert_eq!((room.tracking(), room.reason()), (vec![true, false], Some(HoldReason::Resetting)));
    room.send(A, frame());
    room.send(A, squeezed(frame()));
    room.robot_hold(None);
    room.send(A, squeezed(frame()));
    assert_eq!((room.teleop.engaged(), room.reason()), (false, Some(HoldReason::ReleaseGrips)));
    room.engage(A);
}

#[test]
fn grips_held_from_the_first_frame_engage_nothing() {
    let mut room = Room::new();
    room.send(A, squeezed(frame()));
    room.send(A, squeezed(frame()));
    assert_eq!((room.tracking(), room.reason_for(A)), (vec![], Some(HoldReason::ReleaseGrips)));
    assert_eq!((room.reason(), room.reason_for(B)), (Some(HoldReason::ReleaseGrips), None));
    room.engage(A);
}

#[test]
fn targets_are_the_controllers_since_the_frame_that_engaged() {
    let mut room = Room::new();
    room.send(A, left_at(0.1, true));
    room.send(A, squeezed(left_at(0.2, true)));
    let first = room.teleop.targets().expect("engaged").hands[0];
    assert_eq!((first.origin, first.grip), (first.controller, None));
    room.send(A, squeezed(left_at(0.3, true)));
    let next = *room.teleop.targets().expect("engaged").hand(Hand::Left);
    assert_eq!((next.origin.position().x, next.controller.position().x, next.grip), (0.2, 0.3, Some(1.0)));
    assert_eq!(next.engagement, first.engagement);
}

#[test]
fn an_untracked_controller_freezes_its_target_and_gets_a_new_snapshot_when_it_returns() {
    let mut room = Room::new();
    room.engage(A);
    room.send(A, left_at(0.1, true));
    let before = room.teleop.targets().expect("engaged").hands;
    room.send(A, left_at(0.5, false));
    let lost = room.teleop.targets().expect("engaged").hands;
    assert_eq!((lost[0].controller, lost[0].tracked), (before[0].controller, false));
    let hold = room.teleop.hold(room.now).expect("lost");
    assert_eq!((hold.reason, hold.hand), (HoldReason::TrackingLost, Hands::Left));
    assert_eq!(hold.severity, waldo_protocol::vr::Severity::Clamp);
    room.send(A, left_at(0.6, true));
    let found = room.teleop.targets().expect("engaged").hands;
    assert!(found[0].engagement > before[0].engagement && found[0].tracked);
    assert_eq!((found[0].origin, found[0].controller.position().x), (found[0].controller, 0.6));
    assert_eq!(found[1], before[1]);
    assert_eq!(room.reason(), None);
}

#[test]
fn a_trigger_works_while_its_controller_is_not_tracked() {
    let mut room = Room::new();
    room.engage(A);
    let mut pulled = left_at(0.5, false);
    pulled.left.grip = 0.25;
    room.send(A, pulled);
    assert_eq!(room.teleop.targets().expect("engaged").hands[0].grip, Some(0.25));
}

#[test]
fn a_jump_of_the_headsets_clock_disengages() {
    for jump in [400.0, -400.0, 1e9, -1e9] {
        let mut room = Room::new();
        room.send(A, at(0.0));
        room.send(A, squeezed(at(11.0)));
        for i in 2..300 {
            room.send(A, at(f64::from(i) * 11.0));
        }
        assert!(room.teleop.engaged());
        room.send(A, at(300.0 * 11.0 + jump));
        assert_eq!((room.teleop.engaged(), room.reason()), (false, Some(HoldReason::Clock)));
        room.send(A, at(301.0 * 11.0 + jump));
        room.send(A, squeezed(at(302.0 * 11.0 + jump)));
        assert!(room.teleop.engaged(), "the new clock is as good as the old one");
        assert_eq!(room.reason(), None);
    }
}

#[test]
fn slow_drift_and_jitter_of_the_clock_are_no_jump() {
    let mut room = Room::new();
    room.send(A, at(0.0));
    room.send(A, squeezed(at(11.0)));
    for i in 2..2000 {
        let jitter = f64::from(i % 7) * 30.0;
        room.send(A, at(f64::from(i) * 11.05 - jitter));
    }
    assert!(room.teleop.engaged());
}

#[test]
fn the_word_about_the_clock_fades() {
    let mut room = Room::new();
    room.send(A, at(0.0));
    room.send(A, squeezed(at(11.0)));
    room.send(A, at(9000.0));
    assert_eq!(room.reason(), Some(HoldReason::Clock));
    for _ in 0..300 {
        room.send(A, frame());
    }
    assert_eq!((room.reason(), room.events.last()), (None, Some(&Event::Hold(None))));
}

#[test]
fn clamps_name_the_hand_and_come_after_holds() {
    let mut room = Room::new();
    room.engage(A);
    let (limit, reach) = (Some(HoldReason::Limit), Some(HoldReason::Workspace));
    for (clamps, expected) in
        [([None, limit], Hands::Right), ([reach, limit], Hands::Left), ([limit, limit], Hands::Both)]
    {
        room.teleop.set_clamps(room.now, clamps, &mut room.events);
        room.now = room.now + Duration::from_millis(150);
        assert_eq!(room.teleop.hold(room.now).map(|h| h.hand), Some(expected));
    }
    assert!(room.teleop.engaged());
    room.robot_hold(Some(HoldReason::Fault));
    assert_eq!(room.reason(), Some(HoldReason::Fault));
}

#[test]
fn a_full_table_lets_newcomers_watch_until_somebody_falls_silent() {
    let mut room = Room::new();
    room.engage(A);
    for n in 1..MAX_STREAMS as u64 {
        assert_eq!(room.send(StreamId(100 + n), frame()), Admission::Watching);
        room.send(A, frame());
    }
    assert_eq!(room.teleop.streams.len(), MAX_STREAMS);
    room.send(B, frame());
    assert_eq!(room.teleop.stream(B).map(|s| s.id), None);
    for _ in 0..200 {
        room.send(A, frame());
    }
    room.send(B, frame());
    assert_eq!(room.teleop.stream(B).map(|s| s.id), Some(B));
    assert_eq!((room.teleop.streams.len(), room.teleop.engaged()), (MAX_STREAMS, true));
}
