//! What the operator's hands, keys and gripper button ask of the arms, as one lead per arm.
//!
//! An arm is led by a hand that is engaged, else by the jog. Whenever what leads an arm changes, it is let go for one step
//! first, so that nobody's last place counts as another one's.

use glam::{DQuat, DVec3};
use waldo_protocol::geometry::{Base, Pose};
use waldo_protocol::hosted::{ArmTick, HANDS, Twist};
use waldo_protocol::vr::Hand;

use crate::control::{FieldHand, FieldHands};

/// A jog is never further ahead of its arm, metres: at a limit it waits there instead of winding up.
const LEAD: f64 = 0.05;

/// The same for turns, rad.
const LEAD_TURN: f64 = 0.3;

/// Steps for which the gripper button leads an arm that nothing else does. The first one engages and moves nothing.
const GRIPPER_STEPS: u8 = 6;

/// What leads one arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leader {
    Nobody,
    Hand,
    Jog,
}

/// The leads of both arms.
#[derive(Debug)]
pub(super) struct Leads {
    jog_hand: Hand,
    jog: Twist,
    /// How far the jog leads its arm from where it began, and the gripper there.
    way: (DVec3, DQuat),
    began: Option<Pose<Base>>,
    /// What the gripper button wants, and for how many more steps it says so.
    gripper: (bool, u8),
    led: [(Leader, Pose<Base>); 2],
    /// The hand was let go because nothing was heard of it, and nothing is by now.
    unseen: [bool; 2],
}

impl Leads {
    pub(super) fn new(jog_hand: Hand) -> Self {
        Self {
            jog_hand,
            jog: Twist::ZERO,
            way: (DVec3::ZERO, DQuat::IDENTITY),
            began: None,
            gripper: (false, 0),
            led: [(Leader::Nobody, Pose::IDENTITY); 2],
            unseen: [false; 2],
        }
    }

    /// The jog's velocity from now on, in the axes of the base.
    pub(super) fn jog(&mut self, velocity: Twist) {
        self.jog = velocity;
    }

    /// The gripper button; true if it counts, which it does not while a hand leads that arm.
    pub(super) fn press_gripper(&mut self, closed: bool) -> bool {
        let counts = self.led[self.jog_hand as usize].0 != Leader::Hand;
        if counts {
            self.gripper = (closed, GRIPPER_STEPS);
        }
        counts
    }

    /// Nothing leads any more.
    pub(super) fn let_go(&mut self) {
        *self = Self::new(self.jog_hand);
    }

    /// One step of `dt` seconds. `grippers`: where the grippers of the left and the right arm are commanded to be.
    pub(super) fn step(&mut self, dt: f64, tick: &ArmTick, grippers: [Option<Pose<Base>>; 2]) -> FieldHands {
        HANDS.map(|hand| {
            let at = hand as usize;
            self.unseen[at] = (self.unseen[at] || tick.expired[at]) && tick.controllers[at].is_none();
            let wish = match tick.deltas[at] {
                Some(delta) => {
                    let trigger = tick.controllers[at].map(|joy| 1.0 - joy.trigger.clamp(0.0, 1.0));
                    let moved = Pose::new(delta.delta.position, delta.delta.orientation).ok();
                    moved.map(|moved| (Leader::Hand, moved, trigger))
                }
                None if hand == self.jog_hand => self.jogged(dt, grippers[at]),
                None => None,
            };
            if hand == self.jog_hand && wish.is_none_or(|(leader, ..)| leader != Leader::Jog) {
                (self.way, self.began) = ((DVec3::ZERO, DQuat::IDENTITY), None);
            }
            self.lead(at, wish)
        })
    }

    /// Whether hands that led arms are not heard of any more, and nothing else is either.
    pub(super) fn silent(&self, tick: &ArmTick) -> bool {
        let led = self.led.iter().any(|(leader, _)| *leader != Leader::Nobody);
        self.unseen.contains(&true) && tick.controllers.iter().all(Option::is_none) && !led
    }

    fn jogged(&mut self, dt: f64, gripper: Option<Pose<Base>>) -> Option<(Leader, Pose<Base>, Option<f64>)> {
        let (closed, steps) = self.gripper;
        self.gripper.1 = steps.saturating_sub(1);
        if self.jog.is_zero() && steps == 0 {
            return None;
        }
        let (position, turn) = self.way;
        let mut way =
            (position + self.jog.linear * dt, (DQuat::from_scaled_axis(self.jog.angular * dt) * turn).normalize());
        if let Some(gripper) = gripper {
            let began = *self.began.get_or_insert(gripper);
            let reached = gripper.position() - began.position();
            way.0 = reached + (way.0 - reached).clamp_length_max(LEAD);
            let turned = gripper.orientation() * began.orientation().conjugate();
            let ahead = (way.1 * turned.conjugate()).normalize();
            // The short way round.
            let ahead = if ahead.w < 0.0 { -ahead } else { ahead };
            way.1 = DQuat::from_scaled_axis(ahead.to_scaled_axis().clamp_length_max(LEAD_TURN)) * turned;
        }
        self.way = way;
        let moved = Pose::new(way.0, way.1).ok()?;
        let opening = (steps > 0).then_some(if closed { 0.0 } else { 1.0 });
        Some((Leader::Jog, moved, opening))
    }

    fn lead(&mut self, at: usize, wish: Option<(Leader, Pose<Base>, Option<f64>)>) -> Option<FieldHand> {
        let (before, place) = self.led[at];
        let released = |pose| Some(FieldHand { pose, grips: false, follows: false, grip: None, rests: false });
        match wish {
            Some((leader, pose, grip)) if before == leader || before == Leader::Nobody => {
                self.led[at] = (leader, pose);
                Some(FieldHand { pose, grips: true, follows: true, grip, rests: false })
            }
            _ if self.unseen[at] => {
                self.led[at] = (Leader::Nobody, Pose::IDENTITY);
                None
            }
            _ if before == Leader::Nobody => released(Pose::IDENTITY),
            _ => {
                self.led[at] = (Leader::Nobody, Pose::IDENTITY);
                released(place)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use waldo_protocol::hosted::{HandDelta, HandJoy, StampedDelta};

    use super::*;

    const DT: f64 = 0.02;

    fn led(hand: Hand, x: f64, trigger: f64) -> ArmTick {
        let mut tick = ArmTick::default();
        let delta = HandDelta { position: DVec3::new(x, 0.0, 0.0), orientation: DQuat::IDENTITY };
        tick.deltas[hand as usize] = Some(StampedDelta { delta, stamp: 1.0 });
        tick.controllers[hand as usize] = Some(HandJoy { trigger, ..HandJoy::default() });
        tick
    }

    fn at(x: f64) -> Pose<Base> {
        Pose::new(DVec3::new(x, 0.0, 0.0), DQuat::IDENTITY).unwrap()
    }

    fn forward(speed: f64) -> Twist {
        Twist { linear: DVec3::new(speed, 0.0, 0.0), ..Twist::ZERO }
    }

    #[test]
    fn an_engaged_hand_leads_its_arm_and_its_trigger_the_gripper() {
        let mut leads = Leads::new(Hand::Right);
        let hands = leads.step(DT, &led(Hand::Left, 0.2, 0.25), [None; 2]);
        let left = hands[0].unwrap();
        assert_eq!((left.pose, left.grips, left.grip), (at(0.2), true, Some(0.75)));
        assert!(!hands[1].unwrap().grips);
    }

    #[test]
    fn an_arm_that_is_let_go_is_let_go_where_it_was_led_last() {
        let mut leads = Leads::new(Hand::Right);
        leads.step(DT, &led(Hand::Left, 0.9, 0.0), [None; 2]);
        let released = leads.step(DT, &ArmTick::default(), [None; 2])[0].unwrap();
        assert_eq!((released.pose, released.grips), (at(0.9), false));
        assert_eq!(leads.step(DT, &ArmTick::default(), [None; 2])[0].unwrap().pose, Pose::IDENTITY);
    }

    #[test]
    fn a_hand_that_is_not_heard_of_any_more_releases_nothing() {
        let mut leads = Leads::new(Hand::Right);
        leads.step(DT, &led(Hand::Left, 0.1, 0.0), [None; 2]);
        let mut silent = ArmTick::default();
        silent.expired[0] = true;
        assert_eq!(leads.step(DT, &silent, [None; 2])[0], None);
        assert_eq!(leads.step(DT, &ArmTick::default(), [None; 2])[0], None);
        let mut seen = ArmTick::default();
        seen.controllers[0] = Some(HandJoy::default());
        assert!(!leads.step(DT, &seen, [None; 2])[0].unwrap().grips);
    }

    #[test]
    fn a_jog_leads_as_fast_as_it_is_asked_to_and_ends_with_its_zero() {
        let mut leads = Leads::new(Hand::Right);
        leads.jog(forward(0.1));
        let mut gripper = at(0.4);
        for step in 1..=50 {
            let hand = leads.step(DT, &ArmTick::default(), [None, Some(gripper)])[1].unwrap();
            assert!(hand.grips && hand.grip.is_none());
            assert!((hand.pose.position().x - 0.1 * DT * f64::from(step)).abs() < 1e-9, "{hand:?}");
            gripper = at(0.4 + hand.pose.position().x);
        }
        leads.jog(Twist::ZERO);
        assert!(!leads.step(DT, &ArmTick::default(), [None, Some(gripper)])[1].unwrap().grips);
    }

    #[test]
    fn a_jog_against_a_wall_does_not_wind_up() {
        let mut leads = Leads::new(Hand::Right);
        let turning = Twist { angular: DVec3::new(0.0, 0.0, 1.5), ..forward(0.25) };
        leads.jog(turning);
        for _ in 0..500 {
            let hand = leads.step(DT, &ArmTick::default(), [None, Some(at(0.4))])[1].unwrap();
            assert!(hand.pose.position().x <= LEAD + 1e-9);
            assert!(hand.pose.orientation().to_scaled_axis().length() <= LEAD_TURN + 1e-9);
        }
    }

    #[test]
    fn the_gripper_button_leads_its_arm_for_a_moment_without_moving_it() {
        let mut leads = Leads::new(Hand::Right);
        assert!(leads.press_gripper(true));
        let steps: Vec<_> = (0..10).map(|_| leads.step(DT, &ArmTick::default(), [None; 2])[1].unwrap()).collect();
        assert!(steps.iter().all(|hand| hand.pose == Pose::IDENTITY));
        assert_eq!(steps.iter().filter(|hand| hand.grips && hand.grip == Some(0.0)).count(), 6);
        assert!(!steps[9].grips);
    }

    #[test]
    fn a_hand_comes_before_the_jog_and_between_them_the_arm_is_let_go() {
        let mut leads = Leads::new(Hand::Right);
        leads.jog(forward(0.1));
        assert!(leads.step(DT, &ArmTick::default(), [None; 2])[1].unwrap().grips);
        let tick = led(Hand::Right, 0.0, 0.5);
        assert!(!leads.step(DT, &tick, [None; 2])[1].unwrap().grips);
        let hand = leads.step(DT, &tick, [None; 2])[1].unwrap();
        assert_eq!((hand.grips, hand.grip), (true, Some(0.5)));
        assert!(!leads.press_gripper(true));
        assert!(!leads.step(DT, &ArmTick::default(), [None; 2])[1].unwrap().grips);
        assert!(leads.step(DT, &ArmTick::default(), [None; 2])[1].unwrap().grips, "the jog again");
    }
}
