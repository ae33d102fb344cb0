use proptest::prelude::*;
use waldo_protocol::field::CharacterMode;

use super::*;
use crate::field::sim::characters;

const TICK: f64 = 0.005;

fn rod(mode: CharacterMode) -> Rod {
    Rod::new(characters::material(mode), DVec3::Y, characters::pair_clamp(mode))
}

fn settle(rod: &mut Rod, gains: &Gains, pull: Option<Pull>, seconds: f64) {
    for _ in 0..(seconds / TICK) as usize {
        rod.step(TICK, gains, pull, &[]);
    }
}

/// Kinetic, potential and elastic energy, J.
fn energy(rod: &Rod) -> f64 {
    let length = rod.element_length();
    let mut parent = rod.clamp;
    let mut sum = 0.0;
    for (index, element) in rod.elements.iter().enumerate() {
        let middle = 0.5 * (rod.nodes[index] + rod.nodes[index + 1]);
        let velocity = 0.5 * (rod.velocities[index] + rod.velocities[index + 1]);
        let tangent = element.orientation * DVec3::Z;
        let axial_spin = element.spin.dot(tangent);
        let cross_spin = (element.spin - axial_spin * tangent).length_squared();
        let round = element.mass * rod.radii[index] * rod.radii[index];
        let slender = 0.25 * round + element.mass * length * length / 12.0;
        let kinetic =
            0.5 * (element.mass * velocity.length_squared() + slender * cross_spin + 0.5 * round * axial_spin.powi(2));
        let bending = rotation_vector(element.orientation * parent.inverse());
        let twist = bending.dot(tangent);
        let bend = (bending - twist * tangent).length_squared();
        let elastic = 0.5 * (element.bend * bend + element.twist * twist * twist);
        sum += kinetic + elastic + element.mass * rod.material.gravity * middle.y;
        parent = element.orientation;
    }
    sum
}

#[test]
fn an_arm_that_nobody_holds_loses_energy_until_it_hangs_still() {
    for mode in [CharacterMode::TwoCr, CharacterMode::Spirobs, CharacterMode::CoommOctopus] {
        let mut rod = rod(mode);
        let mut before = energy(&rod);
        for _ in 0..4000 {
            rod.step(TICK, &characters::gains(mode), None, &[]);
            let now = energy(&rod);
            assert!(now <= before + 1e-6, "{mode:?}: {before} J became {now} J");
            before = now;
        }
        assert!(rod.tip_velocity().length() < 0.01, "{mode:?} still moves: {}", rod.tip_velocity());
        assert!(rod.tip().0.y < 1.0, "{mode:?} hangs: {}", rod.tip().0);
    }
}

#[test]
fn a_stiff_arm_bends_under_its_weight_as_beams_do() {
    let material = Material {
        elements: 40,
        length: 0.5,
        radius: [0.015; 2],
        density: 1500.0,
        modulus: 5e7,
        damping: 0.05,
        drag: 2.0,
        gravity: 9.81,
    };
    let area = PI * 0.015_f64.powi(2);
    let second_moment = PI / 4.0 * 0.015_f64.powi(4);
    let expected = 1500.0 * area * 9.81 * 0.5_f64.powi(4) / (8.0 * 5e7 * second_moment);
    let mut rod = Rod::new(material, DVec3::Y, characters::pair_clamp(CharacterMode::TwoCr));
    settle(&mut rod, &characters::gains(CharacterMode::TwoCr), None, 5.0);
    let sag = 1.0 - rod.tip().0.y;
    assert!((sag / expected - 1.0).abs() < 0.02, "sags by {sag} m instead of {expected} m");
}

#[test]
fn a_tip_comes_to_its_target_and_turns_as_asked() {
    for mode in [CharacterMode::TwoCr, CharacterMode::Spirobs, CharacterMode::NoelC4, CharacterMode::CoommOctopus] {
        let mut rod = rod(mode);
        let position = match mode {
            CharacterMode::NoelC4 => DVec3::new(0.15, 1.35, -0.1),
            _ => DVec3::new(0.15, 1.1, -0.35),
        };
        let orientation = DQuat::from_rotation_y(0.5) * characters::pair_clamp(mode);
        settle(&mut rod, &characters::gains(mode), Some(Pull { position, orientation }), 4.0);
        let (tip, turned) = rod.tip();
        assert!(tip.distance(position) < 0.03, "{mode:?}: {tip} instead of {position}");
        assert!(turned.angle_between(orientation) < 0.35, "{mode:?}: off by {}", turned.angle_between(orientation));
        assert!(rod.tip_velocity().length() < 0.01, "{mode:?}: still moves");
    }
}

#[test]
fn a_target_out_of_reach_stretches_the_arm_straight_and_still() {
    let mode = CharacterMode::TwoCr;
    let mut rod = rod(mode);
    let pull = Pull { position: DVec3::new(0.0, 1.0, -2.0), orientation: characters::pair_clamp(mode) };
    settle(&mut rod, &characters::gains(mode), Some(pull), 4.0);
    assert!(rod.tip().0.distance(DVec3::Y) > 0.98 * mode.length(), "{}", rod.tip().0);
    assert!(rod.tip_velocity().length() < 0.01);
}

#[test]
fn an_arm_that_is_pulled_into_the_floor_stays_above_it() {
    let mode = CharacterMode::TwoCr;
    let mut rod = rod(mode);
    let gains = characters::gains(mode);
    let pull = Pull { position: DVec3::new(0.0, 0.5, -0.3), orientation: characters::pair_clamp(mode) };
    for _ in 0..400 {
        rod.step(TICK, &gains, Some(pull), &[Solid::Floor(0.8)]);
    }
    assert!(!rod.touches().is_empty());
    let deepest = rod.touches().iter().map(|touch| touch.depth).fold(0.0, f64::max);
    assert!(deepest < 0.012, "sinks in by {deepest} m");
    assert!(rod.tip().0.y > 0.8 - 0.012, "{}", rod.tip().0);
}

#[test]
fn an_arm_that_grows_is_as_long_as_it_was_told() {
    let mode = CharacterMode::TwoGcr;
    let mut rod = rod(mode);
    for step in 0..200 {
        rod.set_length(0.55 + 0.002 * f64::from(step));
        rod.step(TICK, &characters::gains(mode), None, &[]);
    }
    let length: f64 = rod.nodes().windows(2).map(|ends| ends[0].distance(ends[1])).sum();
    assert!((length - 0.948).abs() < 1e-9, "{length}");
    assert!(rod.is_finite());
}

#[test]
fn no_time_is_no_motion_and_much_time_is_bounded_work() {
    let mut rod = rod(CharacterMode::TwoCr);
    let before = rod.nodes.clone();
    for dt in [0.0, -1.0, f64::NAN] {
        rod.step(dt, &characters::gains(CharacterMode::TwoCr), None, &[]);
        assert_eq!(rod.nodes, before);
    }
    let mut other = rod.clone();
    rod.step(0.05, &characters::gains(CharacterMode::TwoCr), None, &[]);
    other.step(f64::INFINITY, &characters::gains(CharacterMode::TwoCr), None, &[]);
    assert_eq!(rod.nodes, other.nodes);
}

prop_compose! {
    fn any_pull()(
        position in prop::array::uniform3(-3.0..3.0f64),
        axis in prop::array::uniform3(-4.0..4.0f64),
        held in prop::bool::weighted(0.8),
    ) -> Option<Pull> {
        held.then(|| Pull { position: position.into(), orientation: DQuat::from_scaled_axis(axis.into()) })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Jumping targets, uneven steps, a floor and a post in the way.
    #[test]
    fn whatever_pulls_an_arm_it_keeps_its_length_its_frames_and_its_calm(
        mode in prop::sample::select(CharacterMode::ALL),
        pulls in prop::collection::vec((any_pull(), 1..40usize, 0.0..0.03f64), 1..12),
    ) {
        let (mut rod, gains) = (rod(mode), characters::gains(mode));
        let solids = [Solid::Floor(0.7), Solid::Capsule { ends: [DVec3::new(0.0, 0.0, -0.3), DVec3::new(0.0, 2.0, -0.3)], radius: 0.03 }];
        for (pull, times, dt) in pulls {
            for _ in 0..times {
                rod.step(dt, &gains, pull, &solids);
                prop_assert!(rod.is_finite());
                let length: f64 = rod.nodes().windows(2).map(|ends| ends[0].distance(ends[1])).sum();
                prop_assert!((length / mode.length() - 1.0).abs() < 1e-9);
                for frame in rod.orientations() {
                    prop_assert!((frame.length() - 1.0).abs() < 1e-9);
                }
                // Below the spin at which the integrator would step in.
                let fastest = rod.elements.iter().map(|element| element.spin.length()).fold(0.0, f64::max);
                prop_assert!(fastest < FASTEST_SPIN, "spin {fastest}");
                prop_assert!(rod.tip_velocity().length() < 30.0, "tip at {} m/s, spin {fastest}", rod.tip_velocity().length());
            }
        }
        // Left alone it comes to rest.
        settle(&mut rod, &gains, None, 15.0);
        prop_assert!(rod.tip_velocity().length() < 0.05, "{}", rod.tip_velocity());
    }
}
