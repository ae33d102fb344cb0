//! What the arms of each character are made of, and how they stand.

use glam::{DMat3, DQuat, DVec3};
use waldo_protocol::field::CharacterMode;

use super::rod::{Gains, Material};

/// Radius at the tip as a share of that at the base.
const TAPER: f64 = 0.5;
/// Gravity under water, where an arm weighs little, m/s².
const SUNKEN: f64 = 0.6;
const EARTH: f64 = 9.81;

/// Damping, bound and gains are ours; density, modulus and sizes are those of silicone arms of this kind.
pub(super) fn material(mode: CharacterMode) -> Material {
    use CharacterMode::{CathyForaging, CoommOctopus, NoelC4, OctoWaypoint};
    let swims = matches!(mode, CoommOctopus | CathyForaging | OctoWaypoint);
    let radius = mode.radius();
    Material {
        elements: mode.elements(),
        length: mode.length(),
        radius: [radius, TAPER * radius],
        density: 1500.0,
        // What stands upright by itself must be stiffer than what hangs.
        modulus: if mode == NoelC4 { 6e6 } else { 8e5 },
        damping: 0.05,
        drag: if swims { 6.0 } else { 2.0 },
        gravity: if swims { SUNKEN } else { EARTH },
    }
}

pub(super) fn gains(mode: CharacterMode) -> Gains {
    use CharacterMode::{CathyForaging, CathyThrow, NoelC4, OctoWaypoint, Spirobs, TwoCr, TwoGcr};
    let (linear, angular, damping, most_force) = match mode {
        TwoCr | TwoGcr => (1000.0, 3.0, 20.0, 25.0),
        NoelC4 => (500.0, 5.0, 15.0, 25.0),
        Spirobs | CathyThrow => (200.0, 5.0, 8.0, 20.0),
        CathyForaging | OctoWaypoint => (200.0, 0.3, 8.0, 10.0),
        CharacterMode::CoommOctopus => (200.0, 3.0, 8.0, 15.0),
    };
    Gains { linear, angular, damping, most_force }
}

/// Radii of so many elements between those at the base and at the tip.
pub(super) fn tapered([base, tip]: [f64; 2], elements: usize) -> Vec<f64> {
    (0..elements).map(|index| base + (tip - base) * (index as f64 + 0.5) / elements as f64).collect()
}

/// How an arm of a pair is clamped, local to world: along −z, in `noel-c4` upward.
pub(super) fn pair_clamp(mode: CharacterMode) -> DQuat {
    match mode {
        CharacterMode::NoelC4 => upward(),
        _ => DQuat::from_mat3(&DMat3::from_cols(DVec3::X, DVec3::NEG_Y, DVec3::NEG_Z)),
    }
}

/// How what stands upright is clamped.
pub(super) fn upward() -> DQuat {
    DQuat::from_mat3(&DMat3::from_cols(DVec3::X, DVec3::NEG_Z, DVec3::Y))
}

/// How an arm of an octopus is clamped, which goes out level in that direction.
pub(super) fn radial_clamp(outward: DVec3) -> DQuat {
    DQuat::from_mat3(&DMat3::from_cols(DVec3::Y, outward.cross(DVec3::Y), outward))
}
