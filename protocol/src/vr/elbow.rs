//! Elbows for headsets without body tracking.

use glam::DVec3;

use super::Hand;
use crate::geometry::{LocalFloor, Pose};

/// A plausible elbow position in metres, from the head's and the hand's pose.
///
/// Only fills the required field of the pose frame; a consumer that knows `elbow_est` gives it no weight.
pub fn estimate_elbow(_hand: Hand, _head: Pose<LocalFloor>, _controller: Pose<LocalFloor>) -> DVec3 {
    unimplemented!()
}
