//! From the sticks to the velocity of the base, in virtual time.

use waldo_protocol::vr::{Role, Stop};

use super::*;
use crate::control::SourceId;
use crate::robot::BaseCommand;

const STANDS: BaseCommand = BaseCommand { vx: 0.0, vy: 0.0, wz: 0.0, lift: 0.0 };

/// Left stick pushed forward, right stick pushed left.
fn pushed(frame: VrFrame) -> VrFrame {
    let right = Controller { stick_x: -1.0, ..frame.right };
    VrFrame { l_stick_y: -1.0, right, ..frame }
}

fn clicked(left: bool, right: bool) -> VrFrame {
    let f = frame();
    let click = |c: Controller, stick_click| Controller { stick_click, ..c };
    VrFrame { left: click(f.left, left), right: click(f.right, right), ..f }
}

fn base(bench: &Bench) -> BaseCommand {
    bench.command().base.unwrap()
}

/// A robot that drives ahead and turns, not engaged.
fn rolling() -> Bench {
    let mut bench = Bench::new();
    bench.send(A, &frame());
    bench.drive(A, &pushed(frame()), 1.0);
    assert!(base(&bench).vx > 0.2 && base(&bench).wz > 0.4, "{:?}", base(&bench));
    bench
}

#[test]
fn sticks_drive_the_base_as_fast_as_it_may_without_engaging_anything() {
    let mut bench = rolling();
    bench.drive(A, &pushed(frame()), 2.0);
    assert!(!bench.engaged());
    let limits = model::description().base.unwrap();
    assert_eq!(base(&bench), BaseCommand { vx: limits.max_speed, wz: limits.max_turn, ..STANDS });
    assert_eq!(bench.command().arms, rest_command().arms);
    bench.drive(A, &frame(), 3.0);
    assert_eq!(base(&bench), STANDS);
}

#[test]
fn the_base_gathers_speed_gently() {
    let mut bench = Bench::new();
    bench.send(A, &frame());
    let mut last = 0.0;
    for _ in 0..120 {
        bench.drive(A, &pushed(frame()), 1.0 / 120.0);
        let now = base(&bench).vx;
        assert!(now - last <= 0.5 * 0.5 / 120.0 + 1e-9, "half of the highest speed per second: {last} {now}");
        last = now;
    }
    assert!(last > 0.2);
}

#[test]
fn sticks_drive_on_while_the_arms_are_engaged() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    bench.drive(A, &pushed(frame()), 1.0);
    assert!(bench.engaged() && base(&bench).vx > 0.2);
    bench.drive(A, &squeezed(pushed(frame())), 0.1);
    assert!(!bench.engaged() && base(&bench).vx > 0.2, "letting the arms go does not stop the base");
}

#[test]
fn clicks_move_the_lift() {
    let mut bench = Bench::new();
    bench.send(A, &frame());
    let fastest = model::description().base.unwrap().lift.unwrap().max_speed;
    for (left, right, speed) in [(false, true, fastest), (true, false, -fastest), (true, true, 0.0)] {
        bench.drive(A, &clicked(left, right), 0.1);
        assert_eq!(base(&bench), BaseCommand { lift: speed, ..STANDS });
    }
}

#[test]
fn silence_stops_the_base_long_before_it_disengages() {
    let mut bench = rolling();
    bench.ticks(0.28);
    assert!(base(&bench).vx > 0.2);
    bench.ticks(0.04);
    assert_eq!((base(&bench), bench.hold()), (STANDS, None));
}

#[test]
fn a_reset_stops_the_base_which_stands_until_the_arms_are_at_rest() {
    let mut bench = rolling();
    bench.send(A, &VrFrame { reset: true, ..pushed(frame()) });
    bench.tick();
    assert_eq!(base(&bench), STANDS);
    for _ in 0..100 {
        bench.drive(A, &pushed(frame()), 0.01);
        assert_eq!((base(&bench), bench.hold()), (STANDS, Some(HoldReason::Resetting)));
    }
    bench.drive(A, &frame(), 1.0);
    assert_eq!(bench.hold(), None);
    bench.drive(A, &pushed(frame()), 1.0 / 120.0);
    let vx = base(&bench).vx;
    assert!(vx > 0.0 && vx < 0.01, "it starts from rest: {vx}");
}

#[test]
fn the_stop_latch_stops_the_base_until_it_is_cleared() {
    let mut bench = rolling();
    let stop = |bench: &mut Bench, n, clear| {
        let stop = Stop { n: Some(n), clear };
        bench.arbiter.lock().unwrap().on_stop(bench.now, (B, Role::Driver), stop, &mut Vec::new());
    };
    stop(&mut bench, 1, false);
    bench.tick();
    assert_eq!(base(&bench), STANDS);
    bench.drive(A, &pushed(frame()), 1.0);
    assert_eq!(base(&bench), STANDS);
    stop(&mut bench, 2, true);
    bench.drive(A, &pushed(frame()), 1.0);
    assert_eq!(base(&bench), STANDS, "a stick that was pushed all along starts nothing");
    bench.send(A, &frame());
    bench.drive(A, &pushed(frame()), 1.0);
    assert!(base(&bench).vx > 0.2);
}

#[test]
fn a_fault_stops_the_base_until_a_reset() {
    let mut bench = rolling();
    bench.fail(Some(Failure::Error));
    bench.drive(A, &pushed(frame()), 2.0 / 120.0);
    assert_eq!(base(&bench), STANDS, "the first command after the one that failed");
    bench.fail(None);
    bench.drive(A, &pushed(frame()), 1.0);
    assert_eq!((base(&bench), bench.hold()), (STANDS, Some(HoldReason::Fault)));
    bench.drive(A, &VrFrame { reset: true, ..frame() }, 2.0);
    bench.drive(A, &pushed(frame()), 1.0);
    assert!(base(&bench).vx > 0.2);
}

#[test]
fn a_robot_that_panicked_while_driving_is_told_to_stand_when_it_is_called_again() {
    let mut bench = rolling();
    bench.fail(Some(Failure::Panic));
    bench.drive(A, &pushed(frame()), 0.1);
    let heard = bench.script.lock().unwrap().commands.len();
    bench.fail(None);
    bench.drive(A, &pushed(frame()), 1.0);
    assert_eq!(bench.script.lock().unwrap().commands.len(), heard, "it is left alone");
    bench.send(A, &VrFrame { reset: true, ..pushed(frame()) });
    bench.tick();
    assert_eq!(base(&bench), STANDS);
}

#[test]
fn a_lost_link_holds_the_base_until_poses_come_again() {
    let mut bench = rolling();
    bench.engage(A, &pushed(frame()));
    bench.ticks(0.6);
    assert_eq!((bench.hold(), base(&bench)), (Some(HoldReason::LinkStale), STANDS));
    bench.drive(A, &squeezed(pushed(frame())), 0.5);
    assert_eq!(bench.hold(), Some(HoldReason::ReleaseGrips));
    assert_eq!(base(&bench), STANDS, "a stick that was pushed all along starts nothing");
    bench.send(A, &squeezed(frame()));
    bench.drive(A, &squeezed(pushed(frame())), 0.5);
    assert!(base(&bench).vx > 0.1, "grips concern the arms only");
}

#[test]
fn a_base_in_motion_is_stopped_when_the_control_loop_ends() {
    let mut bench = rolling();
    let before = bench.command();
    bench.pilot.end(HoldReason::Stopped);
    assert_eq!(bench.command(), Command { base: Some(STANDS), ..before });
    assert_eq!(bench.script.lock().unwrap().holds, [HoldReason::Stopped]);
}

#[test]
fn a_robot_without_a_base_is_told_nothing_of_one_and_one_without_a_lift_drives() {
    let mut bench = Bench::with(|robot| robot.description.base = None);
    bench.drive(A, &pushed(frame()), 0.5);
    assert_eq!(bench.command().base, None);

    let mut bench = Bench::with(|robot| robot.description.base.as_mut().unwrap().lift = None);
    bench.send(A, &frame());
    let right = Controller { stick_click: true, ..pushed(frame()).right };
    bench.drive(A, &VrFrame { right, ..pushed(frame()) }, 0.5);
    assert!(base(&bench).vx > 0.1 && base(&bench).lift == 0.0);
}

#[test]
fn two_idle_headsets_do_not_share_the_cart() {
    let mut bench = rolling();
    for _ in 0..60 {
        bench.send(B, &frame());
        bench.drive(A, &pushed(frame()), 1.0 / 120.0);
    }
    assert!(base(&bench).vx > 0.35, "the other one is not asked: {:?}", base(&bench));
    bench.drive(A, &frame(), 3.0);
    bench.send(B, &frame());
    bench.drive(B, &pushed(frame()), 0.5);
    assert!(base(&bench).vx > 0.1);
}

#[test]
fn a_stick_held_beside_the_driver_starts_nothing_when_the_driver_leaves() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    for _ in 0..30 {
        bench.send(B, &pushed(frame()));
        bench.drive(A, &frame(), 1.0 / 120.0);
    }
    bench.arbiter.lock().unwrap().on_closed(bench.now, A, &mut bench.events);
    bench.drive(B, &pushed(frame()), 1.0);
    assert_eq!(base(&bench), STANDS);
}

/// A person far away drives ahead for so many seconds, with the headsets of others sending these frames meanwhile.
fn drive_from_afar(bench: &mut Bench, vx: f64, seconds: f64, beside: &[(SourceId, VrFrame)]) {
    let asked = waldo_protocol::vr::CartCommand { vx, ..waldo_protocol::vr::CartCommand::STOP };
    for tick in 0..(seconds * 120.0) as u32 {
        for (who, frame) in beside {
            bench.send(*who, frame);
        }
        if tick.is_multiple_of(2) {
            let mut events = Vec::new();
            let mut arbiter = bench.arbiter.lock().unwrap();
            arbiter.on_remote(bench.now, SourceId::remote(1), (&[None; 2], asked), &mut events);
        }
        bench.tick();
    }
}

#[test]
fn a_headset_that_rests_keeps_nobody_far_away_from_the_base() {
    let mut bench = Bench::new();
    drive_from_afar(&mut bench, 0.0, 0.2, &[(A, frame())]);
    drive_from_afar(&mut bench, 1.0, 1.0, &[(A, frame())]);
    assert!(base(&bench).vx > 0.2, "{:?}", base(&bench));
    assert_eq!(bench.arbiter.lock().unwrap().lease().driver, Some(SourceId::remote(1)));
}

#[test]
fn somebody_far_away_who_rests_keeps_no_headset_from_the_base() {
    let mut bench = Bench::new();
    drive_from_afar(&mut bench, 0.0, 0.2, &[(A, frame())]);
    drive_from_afar(&mut bench, 0.0, 1.0, &[(A, pushed(frame()))]);
    assert!(base(&bench).vx > 0.2, "{:?}", base(&bench));
    drive_from_afar(&mut bench, 1.0, 0.5, &[(A, pushed(frame()))]);
    assert_eq!(bench.arbiter.lock().unwrap().lease().driver, None, "the first to move it keeps it");
    drive_from_afar(&mut bench, 1.0, 4.0, &[(A, frame())]);
    assert_eq!(base(&bench), STANDS, "a key held beside the one who drove starts nothing");
}

#[test]
fn a_stick_that_was_held_beside_somebody_elses_motion_starts_nothing() {
    let mut bench = rolling();
    for _ in 0..60 {
        bench.send(B, &frame());
        bench.drive(A, &pushed(frame()), 1.0 / 120.0);
    }
    for _ in 0..30 {
        bench.send(B, &pushed(frame()));
        bench.drive(A, &pushed(frame()), 1.0 / 120.0);
    }
    for _ in 0..480 {
        bench.send(B, &pushed(frame()));
        bench.drive(A, &frame(), 1.0 / 120.0);
    }
    assert_eq!(base(&bench), STANDS);
}
