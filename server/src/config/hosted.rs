//! Hosted teleoperation, as settings.

use std::fmt;
use std::path::PathBuf;

use waldo_protocol::hosted::{ArmSettings, DriveSettings, TaskNames, TwistUnits};
use waldo_protocol::vr::Hand;

use crate::lcm::LcmUrl;
use crate::record::Place;
use crate::video::ComposeSettings;

/// What an operator far away moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostedKind {
    /// The arms: by the hands of a headset, or by keys.
    #[default]
    Arm,
    /// The base.
    Twist,
}

impl HostedKind {
    /// What registrations say, and pages choose their view by.
    pub const fn robot_type(self) -> &'static str {
        match self {
            Self::Arm => "arm",
            Self::Twist => "go2",
        }
    }
}

/// The key that lets a robot register. Shows no more than its first 14 characters.
#[derive(Clone, PartialEq, Eq)]
pub struct RobotKey(String);

impl RobotKey {
    /// A key, as the broker's page showed it once. Space around it does not count.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let key = text.trim();
        if key.is_empty() {
            return Err("it is empty");
        }
        if key.len() > 256 || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("it is no key: keys are letters, digits and signs, 256 at most");
        }
        Ok(Self(key.to_owned()))
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for RobotKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RobotKey({}…)", self.0.get(..14.min(self.0.len() / 2)).unwrap_or_default())
    }
}

/// How operators far away reach the robot.
#[derive(Clone, Debug, PartialEq)]
pub struct HostedSettings {
    /// Where the broker is, such as `https://teleop.example.org`.
    pub broker: String,
    /// What the robot shows it.
    pub key: RobotKey,
    /// What operators see.
    pub name: String,
    /// Tells robots of one key apart; empty for none.
    pub id: String,
    /// What operators move.
    pub kind: HostedKind,
    /// What registrations say the robot is, and pages choose their view by; by its kind if there is none.
    pub robot_type: Option<String>,
    /// A STUN server (`stun:host:port`) for when the broker names none.
    pub stun: Option<String>,
    /// Certificates (PEM) to trust beside the system's, for a broker with one of its own.
    pub ca: Option<PathBuf>,
    /// How commands for the arms are judged.
    pub arm: ArmSettings,
    /// Which arm keys move, and the gripper button.
    pub jog_hand: Hand,
    /// Addresses of the arms' outputs (generation A); none by default.
    pub task_names: TaskNames,
    /// How commands for the base are judged.
    pub drive: DriveSettings,
    /// Navigation goals are at most so far from the origin, metres, in each coordinate.
    pub max_nav_goal: f64,
    /// Whether jumps are allowed.
    pub allow_acrobatics: bool,
    /// Whether the robot lies down when its operator is lost.
    pub damp_on_operator_lost: bool,
    /// Heartbeats per second.
    pub heartbeat_hz: f64,
    /// Telemetry per second.
    pub telemetry_hz: f64,
    /// Maps per second at most.
    pub map_hz: f64,
    /// Places of the base per second at most.
    pub odom_hz: f64,
    /// Whether the lossy channels keep the order of messages.
    pub ordered: bool,
    /// How often lost messages of the lossy channels are sent again.
    pub max_retransmits: u16,
    /// The robot's cameras that are `cam1` and `cam2`; empty for its first two.
    pub cameras: Vec<String>,
    /// How their pictures are put together.
    pub pictures: ComposeSettings,
    /// Where outputs are recorded, if they are.
    pub record: Option<Place>,
    /// The program that plays the operator's voice: a line of the shell, given 48 kHz stereo of signed 16 bit, little
    /// endian. None by default.
    pub speaker: Option<String>,
    /// The LCM network on which outputs are published, if they are.
    pub lcm: Option<LcmUrl>,
}

impl HostedSettings {
    /// The usual ones of a robot of this kind.
    pub fn new(broker: impl Into<String>, key: RobotKey, kind: HostedKind) -> Self {
        Self {
            broker: broker.into(),
            key,
            name: "robot".into(),
            id: String::new(),
            kind,
            robot_type: None,
            stun: None,
            ca: None,
            arm: ArmSettings::default(),
            jog_hand: Hand::Right,
            task_names: TaskNames::default(),
            drive: DriveSettings::default(),
            max_nav_goal: 100.0,
            allow_acrobatics: false,
            damp_on_operator_lost: false,
            heartbeat_hz: 1.0,
            telemetry_hz: 3.0,
            map_hz: 2.0,
            odom_hz: 15.0,
            ordered: false,
            max_retransmits: 0,
            cameras: Vec::new(),
            pictures: ComposeSettings::default(),
            record: None,
            speaker: None,
            lcm: None,
        }
    }

    /// Whether the robot is wired as robots of generation A were: outputs by task, or twists as parts of its own speeds.
    pub fn generation_a(&self) -> bool {
        self.task_names != TaskNames::default() || self.drive.units == TwistUnits::Normalized
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_trimmed_checked_and_not_shown() {
        let key = RobotKey::parse(" dtk_live_0123456789abcdef0123456789abcdef01234567\n").unwrap();
        assert_eq!(key.expose().len(), 49);
        assert_eq!(format!("{key:?}"), "RobotKey(dtk_live_01234…)");
        assert!(!format!("{:?}", RobotKey::parse("short").unwrap()).contains("short"));
        for wrong in ["", "  ", "two words", "ä", &"k".repeat(257)] {
            assert!(RobotKey::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
