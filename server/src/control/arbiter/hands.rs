//! What the hands of the driver ask of the arms.

use waldo_protocol::geometry::{LocalFloor, Pose};
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Controller, Hand, MotionScale};

/// What the driver asks of the arms at this moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Targets {
    /// The left and the right hand.
    pub hands: [HandTarget; 2],
    /// How far the grippers move for a motion of the hands; changes only between engagements.
    pub scale: MotionScale,
}

impl Targets {
    /// What one hand asks for.
    pub fn hand(&self, hand: Hand) -> &HandTarget {
        &self.hands[side(hand)]
    }
}

/// Where a hand stands in every pair of hands.
pub(crate) const fn side(hand: Hand) -> usize {
    match hand {
        Hand::Left => 0,
        Hand::Right => 1,
    }
}

/// What one hand of the driver asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HandTarget {
    /// A new number, always a higher one, means: take a new clutch snapshot of `origin`.
    ///
    /// It rises with each engagement, and when a controller that was lost is tracked again. The hand moved unseen
    /// meanwhile; following that motion, however slowly, would move the arm without anybody asking for it.
    pub engagement: u64,
    /// The controller at the moment of the clutch snapshot.
    pub origin: Pose<LocalFloor>,
    /// The controller now; while it is not tracked, where it was seen last.
    pub controller: Pose<LocalFloor>,
    /// Whether the controller's position is measured, not dead-reckoned.
    pub tracked: bool,
    /// Gripper opening, 0 closed, 1 open; none in the frame that engages, which moves nothing. Goes on while the
    /// controller is not tracked: a trigger needs no cameras.
    pub grip: Option<f64>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct FollowedHand {
    pub(super) target: HandTarget,
    pub(super) lost_since: Option<MonoTime>,
}

impl FollowedHand {
    pub(super) fn engage(now: MonoTime, controller: &Controller, engagement: u64) -> Self {
        let target = HandTarget {
            engagement,
            origin: controller.pose,
            controller: controller.pose,
            tracked: controller.tracked,
            grip: None,
        };
        Self { target, lost_since: (!controller.tracked).then_some(now) }
    }

    /// Takes over a frame; `engagement` is the number for a new clutch snapshot. True if it was used.
    pub(super) fn follow(&mut self, now: MonoTime, controller: &Controller, engagement: u64) -> bool {
        let found = controller.tracked && self.lost_since.is_some();
        if found {
            *self = Self::engage(now, controller, engagement);
        } else if controller.tracked {
            self.target.controller = controller.pose;
        } else {
            self.lost_since.get_or_insert(now);
            self.target.tracked = false;
        }
        self.target.grip = Some(controller.grip);
        found
    }
}
