//! What comes of a robot that fails, or says that it is limited.

use super::*;

#[test]
fn a_failing_robot_holds_until_a_reset() {
    for failure in [Failure::Error, Failure::Panic] {
        let mut bench = Bench::new();
        bench.engage(A, &frame());
        bench.fail(Some(failure));
        bench.drive(A, &moved(DVec3::Z * -0.05, DQuat::IDENTITY), 0.1);
        assert_eq!((bench.hold(), bench.engaged()), (Some(HoldReason::Fault), false));
        bench.fail(None);
        let held = bench.command();
        bench.drive(A, &frame(), 0.1);
        bench.drive(A, &squeezed(frame()), 1.0);
        assert_eq!((bench.hold(), bench.engaged()), (Some(HoldReason::Fault), false));
        assert_eq!(bench.command(), held);
        bench.drive(A, &VrFrame { reset: true, ..frame() }, 2.0);
        assert_eq!(bench.hold(), None);
        assert_eq!(bench.command().arms[0].joints, rest_command().arms[0].joints);
        bench.engage(A, &frame());
    }
}

#[test]
fn a_robot_that_reports_a_failure_in_full_motion_is_braked_within_its_limits() {
    let mut bench = Bench::new();
    bench.engage(A, &frame());
    for step in 0..20 {
        bench.drive(A, &moved(DVec3::Z * (-0.02 * f64::from(step)), DQuat::IDENTITY), 1.0 / 120.0);
    }
    bench.fail(Some(Failure::Error));
    let failed = bench.script.lock().unwrap().commands.len();
    bench.drive(A, &moved(DVec3::Z * -0.4, DQuat::IDENTITY), 1.0);
    let commands = bench.script.lock().unwrap().commands.clone();
    let mut fastest: f64 = 0.0;
    for (i, arm) in model::description().arms.iter().enumerate() {
        for (j, joint) in arm.joints.iter().enumerate() {
            let angle = |n: usize| commands[n].arms[i].joints[j];
            for n in failed - 1..commands.len() {
                let velocity = |n: usize| (angle(n) - angle(n - 1)) * 120.0;
                let acceleration = (velocity(n) - velocity(n - 1)) * 120.0;
                assert!(acceleration.abs() <= joint.max_acceleration * 1.001, "{}: {acceleration}", joint.name);
                fastest = fastest.max(velocity(n - 1).abs());
            }
            let way = joint.max_velocity.powi(2) / (2.0 * joint.max_acceleration) + 2.0 * joint.max_velocity / 120.0;
            let (then, last) = (angle(failed), angle(commands.len() - 1));
            assert!((last - then).abs() <= way, "{}: {then} {last}", joint.name);
            assert_eq!(last, angle(commands.len() - 30), "{} stands", joint.name);
        }
    }
    assert!(fastest > 0.5, "it was in motion: {fastest} rad/s");
    assert_eq!((bench.hold(), bench.engaged()), (Some(HoldReason::Fault), false));
}

#[test]
fn a_robot_that_panicked_is_left_alone_until_a_reset() {
    let mut bench = Bench::new();
    bench.fail(Some(Failure::Panic));
    bench.ticks(1.0);
    let script = bench.script.lock().unwrap();
    assert_eq!((script.commands.len(), script.holds.len()), (1, 0));
}

#[test]
fn what_limits_the_robot_is_told_once_it_lasts() {
    let mut bench = Bench::new();
    bench.script.lock().unwrap().limited = Some(HoldReason::Contact);
    bench.tick();
    assert_eq!(bench.hold(), None);
    bench.ticks(0.3);
    assert_eq!(bench.hold(), Some(HoldReason::Contact));
    let told = bench.arbiter.lock().unwrap().hold(bench.now).unwrap();
    assert_eq!(told.hand, Hands::Both);
    bench.script.lock().unwrap().limited = None;
    bench.ticks(0.3);
    assert_eq!(bench.hold(), None);
}
