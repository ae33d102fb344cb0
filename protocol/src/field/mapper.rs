//! From what the hands hold to what the arms are told.

use std::collections::BTreeMap;

use super::{
    ArmCommand, CRAWL, ControllerSample, LEFT, MultiArmCommand, RIGHT, TRIGGER_CLICK, Transform, XrInputSample,
};

/// How the translation of a hand is smoothed on its way to the arm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Smoothing {
    /// This share, above 0 and at most 1, of the remaining way is gone with every message. How quickly an arm follows
    /// depends on the client's rate, then: at 30 Hz a share of 0.25 is a time constant of 0.116 s.
    PerMessage(f64),
    /// Seconds after which 63 % of a step are gone, whatever the rate, by the samples' own time stamps; 0 does not
    /// smooth. A stamp before the last one moves nothing.
    TimeConstant(f64),
}

/// The constants of a mapper.
#[derive(Clone, Debug, PartialEq)]
pub struct MapperConfig {
    /// The arms that the left and the right hand drive; they may be the same.
    pub controlled_arm_ids: [String; 2],
    /// The grip value, 0 to 1, from which on a command is active.
    pub clutch_threshold: f64,
    /// A joystick axis below this is 0; above it, it is passed on unchanged.
    pub joystick_deadband: f64,
    /// No coordinate of a target lies farther from the origin than this, m.
    pub max_translation: f64,
    /// How translations are smoothed.
    pub smoothing: Smoothing,
}

impl MapperConfig {
    /// The constants of the wire, for the arms of the left and the right hand.
    pub fn new(left: impl Into<String>, right: impl Into<String>) -> Self {
        Self {
            controlled_arm_ids: [left.into(), right.into()],
            clutch_threshold: 0.4,
            joystick_deadband: 0.1,
            max_translation: 2.0,
            smoothing: Smoothing::PerMessage(0.25),
        }
    }

    fn check(&self) -> Result<(), InvalidMapper> {
        let smoothing = match self.smoothing {
            Smoothing::PerMessage(share) => share > 0.0 && share <= 1.0,
            Smoothing::TimeConstant(seconds) => seconds.is_finite() && seconds >= 0.0,
        };
        for (name, valid) in [
            ("clutch_threshold", self.clutch_threshold.is_finite()),
            ("joystick_deadband", self.joystick_deadband.is_finite()),
            ("max_translation", self.max_translation.is_finite() && self.max_translation >= 0.0),
            ("smoothing", smoothing),
        ] {
            if !valid {
                return Err(InvalidMapper(name));
            }
        }
        Ok(())
    }
}

/// A constant that no mapper can work with: not finite, or out of its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is out of its range")]
pub struct InvalidMapper(&'static str);

/// Maps the samples of one user to commands for the arms of this user. One per `vr_client`; a reset makes a new one.
///
/// The filter runs with every sample of a hand, whether or not its clutch is held, and its state is the clamped value.
/// Rotation, velocity and buttons pass unchanged. A hand with a number that is not finite counts as missing, so that no
/// such number leaves the mapper even if the sample was not validated.
///
/// ```
/// use waldo_protocol::field::{ControllerSample, SessionArmControlMapper, Transform, XrInputSample};
///
/// let sample = |x| {
///     let hand = ControllerSample { grip: 0.8, ..ControllerSample::at(Transform::at([x, 1.0, -0.4])) };
///     XrInputSample {
///         timestamp: 0.0,
///         head_pose: Transform::at([0.0, 1.6, 0.0]),
///         controllers: [("left".to_owned(), hand)].into(),
///         actions: Default::default(),
///     }
/// };
///
/// let mut mapper = SessionArmControlMapper::for_arms("amy_arm_0", "amy_arm_1");
/// mapper.map(&sample(0.0));
/// let command = mapper.map(&sample(0.4));
/// assert_eq!(command.commands["amy_arm_0"].target.translation, [0.1, 1.0, -0.4]);
/// assert!(command.commands["amy_arm_0"].active && !command.commands.contains_key("amy_arm_1"));
/// ```
#[derive(Clone, Debug)]
pub struct SessionArmControlMapper {
    config: MapperConfig,
    filters: BTreeMap<String, Filter>,
    timestamp: f64,
}

/// The smoothed translation of one arm and the time stamp of the sample it is of.
#[derive(Clone, Copy, Debug)]
struct Filter {
    translation: [f64; 3],
    timestamp: f64,
}

impl SessionArmControlMapper {
    /// A mapper with constants of one's own.
    ///
    /// # Errors
    /// Names the constant that is out of its range.
    pub fn new(config: MapperConfig) -> Result<Self, InvalidMapper> {
        config.check()?;
        Ok(Self { config, filters: BTreeMap::new(), timestamp: 0.0 })
    }

    /// A mapper as the wire specifies it, for the arms of the left and the right hand.
    pub fn for_arms(left: impl Into<String>, right: impl Into<String>) -> Self {
        Self { config: MapperConfig::new(left, right), filters: BTreeMap::new(), timestamp: 0.0 }
    }

    /// The constants it works with.
    pub fn config(&self) -> &MapperConfig {
        &self.config
    }

    /// As it was at the start.
    pub fn reset(&mut self) {
        self.filters.clear();
        self.timestamp = 0.0;
    }

    /// The commands that one sample means, and the new state of the filters.
    pub fn map(&mut self, sample: &XrInputSample) -> MultiArmCommand {
        if sample.timestamp.is_finite() {
            self.timestamp = sample.timestamp;
        }
        // Before any filter runs: with both hands on one arm the second would find that no time has passed.
        let shares = [0, 1].map(|hand| self.share(hand));

        let mut commands = BTreeMap::new();
        for (hand, name) in [LEFT, RIGHT].into_iter().enumerate() {
            let Some(controller) = sample.controllers.get(name).filter(|c| is_finite(c)) else { continue };
            let arm_id = self.config.controlled_arm_ids[hand].clone();
            let command = ArmCommand {
                active: controller.grip >= self.config.clutch_threshold,
                target: Transform {
                    translation: self.smooth(&arm_id, controller.pose.translation, shares[hand]),
                    rotation_xyzw: controller.pose.rotation_xyzw,
                },
                velocity: controller.velocity,
                joystick: controller.joystick.map(|v| if v.abs() < self.config.joystick_deadband { 0.0 } else { v }),
                buttons: controller.buttons.clone(),
                arm_id: arm_id.clone(),
            };
            commands.insert(arm_id, command);
        }

        let mut actions = sample.actions.clone();
        let crawl = || sample.controllers.values().any(|controller| controller.pressed(TRIGGER_CLICK));
        actions.entry(CRAWL.to_owned()).or_insert_with(crawl);
        let head_pose = Some(sample.head_pose).filter(Transform::is_finite);
        MultiArmCommand { timestamp: self.timestamp, commands, head_pose, actions }
    }

    /// The share of the remaining way that a sample taken now covers on the arm of this hand.
    fn share(&self, hand: usize) -> f64 {
        match self.config.smoothing {
            Smoothing::PerMessage(share) => share,
            Smoothing::TimeConstant(seconds) => {
                let Some(filter) = self.filters.get(&self.config.controlled_arm_ids[hand]) else { return 1.0 };
                let passed = (self.timestamp - filter.timestamp).max(0.0);
                if seconds > 0.0 { -(-passed / seconds).exp_m1() } else { 1.0 }
            }
        }
    }

    fn smooth(&mut self, arm_id: &str, translation: [f64; 3], share: f64) -> [f64; 3] {
        let max = self.config.max_translation;
        let previous = self.filters.get(arm_id).map_or(translation, |filter| filter.translation);
        let smoothed: [f64; 3] = std::array::from_fn(|axis| {
            let (from, to) = (previous[axis], translation[axis]);
            (from + share * (to - from)).clamp(-max, max)
        });
        self.filters.insert(arm_id.to_owned(), Filter { translation: smoothed, timestamp: self.timestamp });
        smoothed
    }
}

/// The mapper for the two arms `left_arm` and `right_arm`, without any session.
#[derive(Clone, Debug)]
pub struct DualArmControlMapper(SessionArmControlMapper);

impl Default for DualArmControlMapper {
    fn default() -> Self {
        Self(SessionArmControlMapper::for_arms("left_arm", "right_arm"))
    }
}

impl DualArmControlMapper {
    /// As [`SessionArmControlMapper::map`].
    pub fn map(&mut self, sample: &XrInputSample) -> MultiArmCommand {
        self.0.map(sample)
    }
}

fn is_finite(controller: &ControllerSample) -> bool {
    let [x, y] = controller.joystick;
    controller.pose.is_finite()
        && controller.velocity.is_finite()
        && [controller.grip, x, y].into_iter().all(f64::is_finite)
}
