//! How a joint runs after its target within limits of velocity and acceleration.

/// So near to its target and so slow, rad and rad/s, a joint has arrived: far below what any encoder tells apart.
const ARRIVED: f64 = 1e-9;

/// Position and speed of a joint, rad and rad/s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Motion {
    pub(crate) position: f64,
    pub(crate) velocity: f64,
}

impl Motion {
    pub(crate) fn at_rest(position: f64) -> Self {
        Self { position, velocity: 0.0 }
    }

    /// One step of `dt` seconds towards `target`, as fast as the limits (rad/s, rad/s²) allow and no faster than it can
    /// brake in time.
    pub(crate) fn step(&mut self, target: f64, max_velocity: f64, max_acceleration: f64, dt: f64) {
        if dt <= 0.0 {
            return;
        }
        let distance = target - self.position;
        let change = max_acceleration * dt;
        // The speed from which whole steps of braking end at the target.
        let braking = change * ((0.25 + 2.0 * distance.abs() / (change * dt)).sqrt() - 0.5);
        let wanted = braking.min(max_velocity).min(distance.abs() / dt).copysign(distance);
        self.velocity += (wanted - self.velocity).clamp(-change, change);
        self.position += self.velocity * dt;
        if (target - self.position).abs() < ARRIVED && self.velocity.abs() < ARRIVED {
            *self = Self::at_rest(target);
        }
    }

    /// One step of `dt` seconds in which it brakes as hard as it may.
    pub(crate) fn brake(&mut self, max_acceleration: f64, dt: f64) {
        let change = max_acceleration * dt;
        self.velocity -= self.velocity.clamp(-change, change);
        self.position += self.velocity * dt;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX_ACCELERATION: f64 = 60.0;

    proptest! {
        #[test]
        fn limits_hold_and_the_target_is_reached_without_overshoot(
            start in -3.0f64..3.0, target in -3.0f64..3.0, max_velocity in 0.5f64..5.0, dt in 0.001f64..0.005,
        ) {
            let mut motion = Motion::at_rest(start);
            let seconds = (target - start).abs() / max_velocity + 2.0 * max_velocity / MAX_ACCELERATION + 0.2;
            for _ in 0..(seconds / dt) as usize {
                let before = motion;
                motion.step(target, max_velocity, MAX_ACCELERATION, dt);
                prop_assert!(motion.velocity.abs() <= max_velocity + 1e-9);
                prop_assert!((motion.velocity - before.velocity).abs() <= MAX_ACCELERATION * dt + 1e-9);
                let past = (motion.position - target) * (target - start).signum();
                prop_assert!(past < 1e-3, "overshoot of {past}");
            }
            prop_assert!((motion.position - target).abs() < 1e-3, "{motion:?}");
        }
    }

    #[test]
    fn a_target_that_moves_within_the_limits_is_followed_closely() {
        let mut motion = Motion::at_rest(0.0);
        let dt = 1.0 / 240.0;
        for tick in 1..480 {
            let t = f64::from(tick) * dt;
            // At most 1.6 rad/s, from which braking takes 0.02 rad.
            let target = 0.5 * (1.0 - (std::f64::consts::PI * t).cos());
            motion.step(target, 2.6, MAX_ACCELERATION, dt);
            assert!((motion.position - target).abs() < 0.025, "{t}: {motion:?} {target}");
        }
    }

    #[test]
    fn braking_takes_no_longer_way_than_the_limit_allows() {
        for velocity in [2.6, -0.3] {
            let mut motion = Motion { position: 1.0, velocity };
            let mut steps = 0;
            while motion.velocity != 0.0 {
                motion.brake(MAX_ACCELERATION, 1.0 / 120.0);
                steps += 1;
            }
            assert_eq!(steps, (velocity.abs() * 120.0 / MAX_ACCELERATION).ceil() as i32);
            assert!((motion.position - 1.0).abs() <= velocity * velocity / (2.0 * MAX_ACCELERATION), "{motion:?}");
        }
    }

    #[test]
    fn no_time_no_motion() {
        let mut motion = Motion::at_rest(1.0);
        motion.step(2.0, 1.0, MAX_ACCELERATION, 0.0);
        assert_eq!(motion, Motion::at_rest(1.0));
    }
}
