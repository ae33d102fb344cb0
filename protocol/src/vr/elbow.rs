//! Elbows for headsets without body tracking.

use glam::{DQuat, DVec3};

use super::Hand;
use crate::geometry::{LocalFloor, MAX_COORDINATE, Pose};

/// From the point between the eyes to a shoulder of a grown-up: aside, down, back; metres.
const SHOULDER_ASIDE: f64 = 0.19;
const SHOULDER_BELOW: f64 = 0.26;
const SHOULDER_BEHIND: f64 = 0.09;

/// Shoulder to elbow, and elbow to the controller in the hand; metres.
const UPPER_ARM: f64 = 0.30;
const FOREARM: f64 = 0.34;

/// A plausible elbow position in metres, from the head's and the hand's pose.
///
/// The shoulder hangs below the head and turns with its heading only; upper arm and forearm are two links of fixed
/// length; of all elbows they allow, the one that hangs down and slightly outward is taken. A hand out of reach
/// straightens the arm towards it.
///
/// Only fills the required field of the pose frame; a consumer that knows `elbow_est` gives it no weight. Always finite
/// and within [`MAX_COORDINATE`].
pub fn estimate_elbow(hand: Hand, head: Pose<LocalFloor>, controller: Pose<LocalFloor>) -> DVec3 {
    let outward = match hand {
        Hand::Left => -1.0,
        Hand::Right => 1.0,
    };
    let heading = heading(head.orientation());
    let shoulder = head.position() + heading * DVec3::new(outward * SHOULDER_ASIDE, -SHOULDER_BELOW, SHOULDER_BEHIND);

    let reach = controller.position() - shoulder;
    let along = reach.try_normalize().unwrap_or(heading * DVec3::NEG_Z);
    let distance = reach.length().clamp((UPPER_ARM - FOREARM).abs(), UPPER_ARM + FOREARM);

    // Law of cosines: how far along the reach the elbow lies, and how far off it.
    let (a, b) = (UPPER_ARM, FOREARM);
    let foot = ((a * a - b * b + distance * distance) / (2.0 * distance)).clamp(-a, a);
    let off = (a * a - foot * foot).max(0.0).sqrt();

    let hang = heading * DVec3::new(0.4 * outward, -1.0, 0.2);
    let sideways = (hang - along * hang.dot(along)).try_normalize().unwrap_or(heading * DVec3::X * outward);
    let limit = DVec3::splat(MAX_COORDINATE);
    (shoulder + along * foot + sideways * off).clamp(-limit, limit)
}

/// The turn about the vertical that a head's orientation holds.
///
/// Taken from the line through the ears: it stays level when the head looks up or down, where the line of sight has no
/// heading.
fn heading(head: DQuat) -> DQuat {
    let right = head * DVec3::X;
    let level = DVec3::new(right.x, 0.0, right.z).try_normalize().unwrap_or(DVec3::X);
    DQuat::from_rotation_y((-level.z).atan2(level.x))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pose(x: f64, y: f64, z: f64, orientation: DQuat) -> Pose<LocalFloor> {
        Pose::new(DVec3::new(x, y, z), orientation).unwrap()
    }

    /// Standing at the origin, looking along −z.
    fn head() -> Pose<LocalFloor> {
        pose(0.0, 1.65, 0.0, DQuat::IDENTITY)
    }

    #[test]
    fn the_elbow_hangs_below_the_shoulder_and_outside_the_hand() {
        let elbow = estimate_elbow(Hand::Right, head(), pose(0.2, 1.1, -0.35, DQuat::IDENTITY));
        assert!(elbow.y < 1.15 && elbow.x > 0.2 && elbow.z > -0.3, "{elbow}");
        assert!((elbow - DVec3::new(0.2, 1.1, -0.35)).length() <= FOREARM + 1e-9);
    }

    #[test]
    fn left_mirrors_right() {
        let right = estimate_elbow(Hand::Right, head(), pose(0.3, 1.2, -0.3, DQuat::IDENTITY));
        let left = estimate_elbow(Hand::Left, head(), pose(-0.3, 1.2, -0.3, DQuat::IDENTITY));
        assert!((left - DVec3::new(-right.x, right.y, right.z)).length() < 1e-12, "{left} {right}");
    }

    #[test]
    fn both_links_keep_their_length_within_reach() {
        for (x, y, z) in [(0.2, 1.1, -0.3), (0.4, 1.4, -0.2), (0.1, 1.6, -0.3), (0.19, 0.9, 0.0)] {
            let elbow = estimate_elbow(Hand::Right, head(), pose(x, y, z, DQuat::IDENTITY));
            let shoulder = DVec3::new(SHOULDER_ASIDE, 1.65 - SHOULDER_BELOW, SHOULDER_BEHIND);
            assert!(((elbow - shoulder).length() - UPPER_ARM).abs() < 1e-9);
            assert!(((elbow - DVec3::new(x, y, z)).length() - FOREARM).abs() < 1e-9);
        }
    }

    #[test]
    fn a_hand_out_of_reach_straightens_the_arm() {
        let hand = DVec3::new(0.19, 1.39, -5.0);
        let elbow = estimate_elbow(Hand::Right, head(), pose(hand.x, hand.y, hand.z, DQuat::IDENTITY));
        let shoulder = DVec3::new(SHOULDER_ASIDE, 1.65 - SHOULDER_BELOW, SHOULDER_BEHIND);
        assert!((elbow - shoulder).angle_between(hand - shoulder) < 1e-6);
        assert!(((elbow - shoulder).length() - UPPER_ARM).abs() < 1e-9);
    }

    #[test]
    fn the_estimate_turns_with_the_operator_and_not_with_a_nod() {
        let straight = estimate_elbow(Hand::Left, head(), pose(-0.2, 1.1, -0.3, DQuat::IDENTITY));
        let turn = DQuat::from_rotation_y(2.1);
        let hand = turn * DVec3::new(-0.2, 1.1, -0.3);
        for nod in [-1.5, 0.0, 1.2, std::f64::consts::FRAC_PI_2] {
            let head = pose(0.0, 1.65, 0.0, turn * DQuat::from_rotation_x(nod));
            let turned = estimate_elbow(Hand::Left, head, pose(hand.x, hand.y, hand.z, DQuat::IDENTITY));
            assert!((turned - turn * straight).length() < 1e-9, "{nod}: {turned}");
        }
    }
}
