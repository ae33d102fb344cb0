//! The move to the rest posture, a pure function of time.
//!
//! It goes straight in joint space. It knows nothing of the table, of what the grippers hold or of the other arm: the
//! operator who asks for it looks first.

use std::time::Duration;

use waldo_protocol::time::MonoTime;

use crate::robot::{Arm, ArmCommand, Command};

/// Average speed of the joint with the longest way: a tenth of a turn per second, in rad/s.
const AVERAGE_SPEED: f64 = std::f64::consts::TAU / 10.0;

/// The shortest move.
const SHORTEST: Duration = Duration::from_millis(1500);

/// Top speed over average speed.
const PEAK: f64 = 1.5;

/// Share of the time in which the move gathers speed, and again in which it slows down; follows from [`PEAK`].
const RAMP: f64 = 1.0 / 3.0;

/// A move of all arms to their rest posture, while the base stands; all arrive at the same time, and the grippers open on the way.
#[derive(Clone, Debug)]
pub struct RestMove {
    from: Command,
    to: Command,
    start: MonoTime,
    duration: Duration,
}

impl RestMove {
    /// Plans the move from the last command. No joint exceeds its velocity limit; a slow joint makes all of them wait.
    pub fn new(arms: &[Arm], from: &Command, start: MonoTime) -> Self {
        let to = arms.iter().map(|a| ArmCommand { joints: a.rest.clone(), gripper: 1.0 }).collect();
        let mut seconds = SHORTEST.as_secs_f64();
        for (arm, from) in arms.iter().zip(&from.arms) {
            for ((joint, rest), angle) in arm.joints.iter().zip(&arm.rest).zip(&from.joints) {
                let speed = AVERAGE_SPEED.min(joint.max_velocity / PEAK);
                seconds = seconds.max((rest - angle).abs() / speed);
            }
        }
        let duration = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Self { from: from.clone(), to: Command { arms: to, base: None }, start, duration }
    }

    /// How long the whole move takes.
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Whether the arms are at rest.
    pub fn done(&self, now: MonoTime) -> bool {
        now.since(self.start) >= self.duration
    }

    /// The command at this time: the last one before the move until it starts, rest when it is done.
    pub fn at(&self, now: MonoTime) -> Command {
        if self.done(now) {
            return self.to.clone();
        }
        let part = progress(now.since(self.start).as_secs_f64() / self.duration.as_secs_f64());
        let mix = |from: f64, to: f64| from + (to - from) * part;
        let arm = |(from, to): (&ArmCommand, &ArmCommand)| ArmCommand {
            joints: from.joints.iter().zip(&to.joints).map(|(f, t)| mix(*f, *t)).collect(),
            gripper: mix(from.gripper, to.gripper),
        };
        Command { arms: self.from.arms.iter().zip(&self.to.arms).map(arm).collect(), base: None }
    }
}

/// Share of the way after a share of the time. Velocity and acceleration begin and end at zero and never jump.
///
/// The velocity rises as a smooth step, stays at [`PEAK`] and falls again. A minimum-jerk polynomial would peak at 1.875.
fn progress(time: f64) -> f64 {
    // The integral of the smooth step 3x² − 2x³.
    let gathered = |x: f64| x * x * x - x * x * x * x / 2.0;
    if time <= 0.0 {
        0.0
    } else if time < RAMP {
        PEAK * RAMP * gathered(time / RAMP)
    } else if time <= 1.0 - RAMP {
        PEAK * (time - RAMP / 2.0)
    } else if time < 1.0 {
        1.0 - PEAK * RAMP * gathered((1.0 - time) / RAMP)
    } else {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::robot::sim::model;

    fn posture(arms: &[Arm], share: f64, gripper: f64) -> Command {
        let joints = |a: &Arm| a.joints.iter().map(|j| j.lower + share * (j.upper - j.lower)).collect();
        Command { arms: arms.iter().map(|a| ArmCommand { joints: joints(a), gripper }).collect(), base: None }
    }

    #[test]
    fn a_short_move_takes_a_second_and_a_half() {
        let arms = model::description().arms;
        let mut near = RestMove::new(&arms, &posture(&arms, 0.5, 0.0), MonoTime::default()).to;
        near.arms[0].joints[0] += 0.01;
        assert_eq!(RestMove::new(&arms, &near, MonoTime::default()).duration(), SHORTEST);
    }

    #[test]
    fn the_worst_joint_averages_a_tenth_of_a_turn_per_second() {
        let mut arms = model::description().arms;
        arms.iter_mut().flat_map(|a| &mut a.joints).for_each(|j| j.max_velocity = 10.0);
        let mut from = RestMove::new(&arms, &posture(&arms, 0.5, 0.0), MonoTime::default()).to;
        from.arms[1].joints[2] += 2.0;
        let seconds = RestMove::new(&arms, &from, MonoTime::default()).duration().as_secs_f64();
        assert!((seconds - 2.0 / AVERAGE_SPEED).abs() < 1e-6, "{seconds}");
    }

    #[test]
    fn the_profile_is_monotone_and_peaks_at_one_and_a_half() {
        let steps = 3000;
        let at = |i: i32| progress(f64::from(i) / f64::from(steps));
        let speeds: Vec<f64> = (0..steps).map(|i| (at(i + 1) - at(i)) * f64::from(steps)).collect();
        assert_eq!((at(0), at(steps)), (0.0, 1.0));
        assert!(speeds.iter().all(|v| (0.0..=PEAK + 1e-9).contains(v)));
        assert!(speeds.iter().any(|v| *v > PEAK - 1e-9));
        assert!(speeds.windows(2).all(|v| (v[1] - v[0]).abs() < 5e-3), "the speed never jumps");
        assert!(speeds[0] < 1e-3 && speeds[speeds.len() - 1] < 1e-3);
    }

    proptest! {
        #[test]
        fn a_move_starts_where_the_arms_are_ends_at_rest_and_keeps_every_limit(share in 0.0f64..=1.0, gripper in 0.0f64..=1.0) {
            let arms = model::description().arms;
            let from = posture(&arms, share, gripper);
            let start = MonoTime::from_nanos(5_000_000_000);
            let rest = RestMove::new(&arms, &from, start);
            prop_assert_eq!(rest.at(start), from.clone());
            let tick = Duration::from_millis(8);
            let mut now = start;
            let mut last = from;
            while !rest.done(now) {
                now = now + tick;
                let next = rest.at(now);
                for ((arm, next), last) in arms.iter().zip(&next.arms).zip(&last.arms) {
                    prop_assert!(next.gripper >= last.gripper);
                    for ((joint, next), last) in arm.joints.iter().zip(&next.joints).zip(&last.joints) {
                        prop_assert!((next - last).abs() <= joint.max_velocity * 0.008 + 1e-9);
                        prop_assert!((joint.lower..=joint.upper).contains(next));
                    }
                }
                last = next;
            }
            for (arm, last) in arms.iter().zip(&last.arms) {
                prop_assert_eq!(&last.joints, &arm.rest);
                prop_assert_eq!(last.gripper, 1.0);
            }
        }
    }
}
