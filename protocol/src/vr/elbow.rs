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
