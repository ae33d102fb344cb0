use glam::DQuat;
use waldo_protocol::vr::{Controller, Hand, Hands, LeaseOp, LeaseRequest, LeaseState, VrState};

use super::*;
use crate::control::tests::{frame, pose, squeezed};

mod episodes;
mod lease;
mod programs;
mod properties;
mod stop;

const A: SourceId = SourceId::person(1);
const B: SourceId = SourceId::person(2);
const FRAME: Duration = Duration::from_millis(11);

/// A [`Arbiter`] with a clock of its own.
struct Room {
    arbiter: Arbiter,
    now: MonoTime,
    events: Vec<Event>,
}

impl Room {
    fn new() -> Self {
        Self { arbiter: Arbiter::default(), now: MonoTime::from_nanos(1_000_000_000_000), events: Vec::new() }
    }

    /// Sends a frame and lets the time until the next one pass.
    fn send(&mut self, from: SourceId, frame: VrFrame) -> Admission {
        let admission = self.arbiter.on_frame(self.now, from, &frame, &mut self.events);
        self.now = self.now + FRAME;
        admission
    }

    fn wait(&mut self, millis: u64) {
        for _ in 0..millis {
            self.now = self.now + Duration::from_millis(1);
            self.arbiter.on_tick(self.now, &mut self.events);
        }
    }

    /// Both grips, seen released before.
    fn squeeze(&mut self, stream: SourceId) -> Admission {
        self.send(stream, frame());
        self.send(stream, squeezed(frame()))
    }

    fn engage(&mut self, stream: SourceId) {
        self.squeeze(stream);
        assert!(self.arbiter.engaged());
        self.send(stream, frame());
    }

    fn robot_hold(&mut self, reason: Option<HoldReason>) {
        self.arbiter.set_robot_hold(self.now, reason, &mut self.events);
    }

    fn reason(&self) -> Option<HoldReason> {
        self.arbiter.hold(self.now).map(|h| h.reason)
    }

    fn reason_for(&self, stream: SourceId) -> Option<HoldReason> {
        self.arbiter.hold_for(self.now, stream).map(|h| h.reason)
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
    let left = Controller { pose: pose([x, 1.0, 0.0], DQuat::IDENTITY), tracked, ..frame().left };
    VrFrame { left, ..frame() }
}

#[test]
fn the_first_stream_that_engages_drives() {
    let mut room = Room::new();
    assert_eq!(room.send(A, frame()), Admission::Admitted);
    assert_eq!(room.send(B, frame()), Admission::Admitted);
    assert_eq!(room.arbiter.lease().driver, None);
    room.engage(B);
    assert_eq!(room.events, [Event::Lease, Event::Tracking(true)]);
    assert_eq!(room.arbiter.lease().driver, Some(B));
    assert_eq!(room.send(A, frame()), Admission::Watching);
}

#[test]
fn letting_go_keeps_the_driver_role() {
    let mut room = Room::new();
    room.engage(A);
    room.send(A, squeezed(frame()));
    assert!(!room.arbiter.engaged());
    assert_eq!(room.squeeze(B), Admission::Watching);
    assert_eq!((room.arbiter.lease().driver, room.arbiter.engaged()), (Some(A), false));
}

#[test]
fn who_tries_to_drive_beside_the_driver_is_told() {
    let mut room = Room::new();
    room.engage(A);
    room.send(B, frame());
    assert_eq!(room.reason_for(B), None);
    room.send(B, squeezed(frame()));
    assert_eq!((room.reason_for(B), room.reason_for(A)), (Some(HoldReason::NotDriver), None));
    let told = room.arbiter.hold_for(room.now + Duration::from_millis(89), B).expect("still squeezing");
    assert_eq!((told.severity, told.since_ms), (waldo_protocol::vr::Severity::Hold, 100.0));
    room.send(B, frame());
    assert_eq!(room.reason_for(B), None);
}

#[test]
fn grips_held_while_the_driver_leaves_do_not_engage() {
    let mut room = Room::new();
    room.engage(A);
    room.squeeze(B);
    room.arbiter.on_closed(room.now, A, &mut room.events);
    assert_eq!(room.arbiter.lease().driver, None);
    room.send(B, squeezed(frame()));
    assert!(!room.arbiter.engaged());
    assert_eq!(room.reason_for(B), Some(HoldReason::ReleaseGrips));
    room.engage(B);
    assert_eq!(room.arbiter.lease().driver, Some(B));
}

#[test]
fn silence_disengages_after_half_a_second_and_ends_the_role_after_two() {
    let mut room = Room::new();
    room.engage(A);
    room.wait(488);
    assert!(room.arbiter.engaged());
    room.wait(1);
    assert!(!room.arbiter.engaged());
    assert_eq!((room.reason(), room.arbiter.lease().driver), (Some(HoldReason::LinkStale), Some(A)));
    room.wait(1499);
    assert_eq!(room.arbiter.lease().driver, Some(A));
    room.wait(1);
    assert_eq!((room.reason(), room.arbiter.lease().driver), (Some(HoldReason::LinkStale), None));
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
    room.arbiter.on_closed(room.now, A, &mut room.events);
    assert_eq!(room.events[..2], [Event::Tracking(false), Event::Lease]);
    assert_eq!(room.reason(), Some(HoldReason::LinkStale));
    assert_eq!(room.arbiter.targets(room.now), None);
}

#[test]
fn a_reset_disengages_and_is_latched_once_however_long_it_is_held() {
    let mut room = Room::new();
    room.engage(A);
    room.events.clear();
    for _ in 0..10 {
        room.send(A, reset());
    }
    assert_eq!((&room.events[..], room.arbiter.resets()), (&[Event::Tracking(false)][..], 1));
    assert!(room.arbiter.take_reset());
    assert!(!room.arbiter.take_reset());
    room.send(A, frame());
    room.send(A, reset());
    assert!(room.arbiter.take_reset());
    assert_eq!(room.arbiter.resets(), 2);
}

#[test]
fn a_reset_beats_a_squeeze_in_the_same_frame_and_blocks_until_it_is_taken() {
    let mut room = Room::new();
    room.send(A, frame());
    room.send(A, squeezed(reset()));
    assert_eq!((room.arbiter.resets(), room.arbiter.engaged()), (1, false));
    room.squeeze(A);
    assert!(!room.arbiter.engaged());
    room.arbiter.take_reset();
    room.engage(A);
}

#[test]
fn only_the_driver_resets_while_there_is_one() {
    let mut room = Room::new();
    room.send(B, reset());
    assert!(room.arbiter.take_reset());
    room.send(B, frame());
    room.engage(A);
    room.send(B, reset());
    assert!(room.arbiter.engaged() && !room.arbiter.take_reset());
    // Held until the driver has left, it is still no edge.
    room.arbiter.on_closed(room.now, A, &mut room.events);
    room.send(B, reset());
    assert!(!room.arbiter.take_reset());
}

#[test]
fn while_the_robot_holds_nobody_engages_and_grips_held_to_its_end_do_not_either() {
    let mut room = Room::new();
    room.engage(A);
    room.robot_hold(Some(HoldReason::Resetting));
    assert_eq!((room.tracking(), room.reason()), (vec![true, false], Some(HoldReason::Resetting)));
    room.squeeze(A);
    room.robot_hold(None);
    room.send(A, squeezed(frame()));
    assert_eq!((room.arbiter.engaged(), room.reason()), (false, Some(HoldReason::ReleaseGrips)));
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
    let first = room.arbiter.targets(room.now).expect("engaged").hands[0];
    assert_eq!((first.origin, first.grip), (first.controller, None));
    room.send(A, squeezed(left_at(0.3, true)));
    let next = *room.arbiter.targets(room.now).expect("engaged").hand(Hand::Left);
    assert_eq!((next.origin.position().x, next.controller.position().x, next.grip), (0.2, 0.3, Some(1.0)));
    assert_eq!(next.engagement, first.engagement);
}

#[test]
fn an_untracked_controller_freezes_its_target_and_gets_a_new_snapshot_when_it_returns() {
    let mut room = Room::new();
    room.engage(A);
    room.send(A, left_at(0.1, true));
    let before = room.arbiter.targets(room.now).expect("engaged").hands;
    room.send(A, left_at(0.5, false));
    let lost = room.arbiter.targets(room.now).expect("engaged").hands;
    assert_eq!((lost[0].controller, lost[0].tracked), (before[0].controller, false));
    let hold = room.arbiter.hold(room.now).expect("lost");
    assert_eq!((hold.reason, hold.hand), (HoldReason::TrackingLost, Hands::Left));
    assert_eq!(hold.severity, waldo_protocol::vr::Severity::Clamp);
    room.send(A, left_at(0.6, true));
    let found = room.arbiter.targets(room.now).expect("engaged").hands;
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
    assert_eq!(room.arbiter.targets(room.now).expect("engaged").hands[0].grip, Some(0.25));
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
        assert!(room.arbiter.engaged());
        room.send(A, at(300.0 * 11.0 + jump));
        assert_eq!((room.arbiter.engaged(), room.reason()), (false, Some(HoldReason::Clock)));
        room.send(A, at(301.0 * 11.0 + jump));
        room.send(A, squeezed(at(302.0 * 11.0 + jump)));
        assert!(room.arbiter.engaged(), "the new clock is as good as the old one");
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
    assert!(room.arbiter.engaged());
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
    assert_eq!(room.reason(), None);
}

#[test]
fn clamps_name_the_hand_and_come_after_holds() {
    let mut room = Room::new();
    room.engage(A);
    let (limit, reach) = (Some(HoldReason::Limit), Some(HoldReason::Workspace));
    for (clamps, expected) in
        [([None, limit], Hands::Right), ([reach, limit], Hands::Left), ([limit, limit], Hands::Both)]
    {
        room.arbiter.set_clamps(room.now, clamps);
        room.now = room.now + Duration::from_millis(150);
        assert_eq!(room.arbiter.hold(room.now).map(|h| h.hand), Some(expected));
    }
    assert!(room.arbiter.engaged());
    room.robot_hold(Some(HoldReason::Fault));
    assert_eq!(room.reason(), Some(HoldReason::Fault));
}

#[test]
fn a_full_table_lets_newcomers_watch_until_somebody_falls_silent() {
    let mut room = Room::new();
    room.engage(A);
    for n in 1..MAX_STREAMS as u64 {
        assert_eq!(room.send(SourceId::person(100 + n), frame()), Admission::Watching);
        room.send(A, frame());
    }
    assert_eq!(room.arbiter.streams.len(), MAX_STREAMS);
    room.send(B, frame());
    assert_eq!(room.arbiter.stream(B).map(|s| s.id), None);
    for _ in 0..200 {
        room.send(A, frame());
    }
    room.send(B, frame());
    assert_eq!(room.arbiter.stream(B).map(|s| s.id), Some(B));
    assert_eq!((room.arbiter.streams.len(), room.arbiter.engaged()), (MAX_STREAMS, true));
}

#[test]
fn a_hand_that_is_suddenly_elsewhere_disengages() {
    let mut room = Room::new();
    room.engage(A);
    room.send(A, left_at(0.3, true));
    assert!(room.arbiter.engaged(), "a glitch that the playout deals with");
    room.send(A, left_at(1.5, true));
    assert_eq!((room.arbiter.engaged(), room.reason()), (false, Some(HoldReason::Velocity)));
    room.send(A, left_at(1.5, true));
    room.send(A, squeezed(left_at(1.5, true)));
    assert!(room.arbiter.engaged(), "from there on, deliberately");
}

#[test]
fn a_press_while_the_link_was_dead_starts_nothing_when_it_is_back() {
    let mut room = Room::new();
    let counted = |n, state| VrFrame { reset_n: Some(n), state, ..frame() };
    room.arbiter.use_counters(room.now, A);
    room.send(A, counted(3, VrState::DataCollection));
    room.send(A, counted(3, VrState::Recording));
    room.arbiter.on_closed(room.now, A, &mut room.events);
    let edges = room.arbiter.take_interrupted().expect("in the middle of an episode");
    room.arbiter.resume(room.now, B, edges);
    room.send(B, counted(7, VrState::Recording));
    assert!(!room.arbiter.take_reset());
    room.send(B, counted(8, VrState::DataCollection));
    assert!(room.arbiter.take_reset());
    assert!(room.events.contains(&Event::Episode(Episode::Save { review: false })), "{:?}", room.events);
}
