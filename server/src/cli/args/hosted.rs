//! Flags of hosted teleoperation.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use waldo_protocol::hosted::{TaskNames, TwistUnits};

use super::record::RecordArgs;
use super::{CameraArgs, DataArgs, LogArgs, SimArgs};
use crate::config::{FieldSettings, HostedKind, HostedSettings, PolicySettings, PortRange, RobotKey, Settings};

/// Variables with the robot's key: ours, then those that existing installations have set.
const KEYS: [&str; 3] = ["WALDO_HOSTED_KEY", "TRANSPORTS__BROKER__API_KEY", "TELEOP_API_KEY"];

#[derive(Debug, Args)]
#[command(next_help_heading = "Hosted teleoperation")]
pub(super) struct HostedArgs {
    /// A broker through which operators far away reach the robot: `https://teleop.example.org` [default: none]
    #[arg(long, value_name = "URL")]
    hosted_broker: Option<String>,
    /// File with the robot's key for the broker; without it the variable WALDO_HOSTED_KEY has the key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    hosted_key_file: Option<PathBuf>,
    /// What operators far away see as the robot's name
    #[arg(long, value_name = "NAME", default_value = "robot")]
    hosted_name: String,
    /// Tells robots with the same key apart; a new one takes the place of an older one with the same
    #[arg(long, value_name = "ID", default_value = "")]
    hosted_id: String,
    /// What operators' pages take the robot for: arm, go2 [default: by what they move]
    #[arg(long, value_name = "TYPE")]
    hosted_robot_type: Option<String>,
    /// A STUN server for when the broker names none: `stun:stun.example.org:3478` [default: none]
    #[arg(long, value_name = "URL", value_parser = stun)]
    hosted_stun: Option<String>,
    /// Certificates (PEM) to trust beside the system's, for a broker that made its own
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    hosted_ca: Option<PathBuf>,
    /// What the numbers of twists are: m/s and rad/s, or parts of --linear-speed and --angular-speed
    #[arg(long, value_enum, default_value_t = UnitsArg::Si)]
    twist_units: UnitsArg,
    /// Speed of a normalised twist of 1, m/s
    #[arg(long, value_name = "M/S", default_value_t = 0.5, value_parser = speed)]
    linear_speed: f64,
    /// The same for turns, rad/s
    #[arg(long, value_name = "RAD/S", default_value_t = 0.8, value_parser = speed)]
    angular_speed: f64,
    /// Let operators set how far the grippers move for a motion of their hands
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true")]
    enable_ui_scaling: bool,
    /// Allow jumps
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true")]
    allow_acrobatics: bool,
    /// Lie down when the operator is lost
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true")]
    damp_on_operator_lost: bool,
    /// Telemetry per second
    #[arg(long, value_name = "HZ", default_value_t = 3.0, value_parser = rate)]
    telemetry_hz: f64,
    /// Maps per second at most
    #[arg(long, value_name = "HZ", default_value_t = 2.0, value_parser = rate)]
    map_hz: f64,
    /// Places of the base per second at most
    #[arg(long, value_name = "HZ", default_value_t = 15.0, value_parser = rate)]
    odom_hz: f64,
    /// The cameras that operators choose from as cam1 and cam2, by commas [default: the first two]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    hosted_cameras: Vec<String>,
    /// Plays the operator's voice: a program that takes 48 kHz stereo of signed 16 bit, such as
    /// `aplay -q -t raw -f S16_LE -r 48000 -c 2` [default: nobody hears it]
    #[arg(long, value_name = "COMMAND")]
    hosted_speaker: Option<String>,
    /// What the outputs of the hands are addressed to, for coordinators of arms: `left=arm_left,right=arm_right`
    /// [default: left and right]
    #[arg(long, value_name = "NAMES", value_parser = task_names)]
    task_names: Option<TaskNames>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    record: RecordArgs,
}

/// Which commands count, and how much they may ask for.
#[derive(Debug, Args)]
struct LimitArgs {
    /// Commands of operators that are older do not count
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, value_parser = seconds)]
    cmd_stale_after_sec: f64,
    /// A hand that is silent for so long lets go of its arm
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    input_timeout_s: f64,
    /// Operators drive no faster, in each direction
    #[arg(long, value_name = "M/S", default_value_t = 1.5, value_parser = speed)]
    max_linear_mps: f64,
    /// The same for turns
    #[arg(long, value_name = "RAD/S", default_value_t = 2.0, value_parser = speed)]
    max_angular_rps: f64,
    /// Keys move grippers no faster, in each direction
    #[arg(long, value_name = "M/S", default_value_t = 0.25, value_parser = speed)]
    max_jog_linear: f64,
    /// The same for turns
    #[arg(long, value_name = "RAD/S", default_value_t = 1.5, value_parser = speed)]
    max_jog_angular: f64,
    /// Goals on the map are at most so far from its origin, in each direction
    #[arg(long, value_name = "M", default_value_t = 100.0, value_parser = distance)]
    max_nav_goal_m: f64,
}

impl LimitArgs {
    fn apply(&self, settings: &mut HostedSettings) {
        settings.arm.freshness.stale_after = self.cmd_stale_after_sec;
        settings.drive.freshness.stale_after = self.cmd_stale_after_sec;
        settings.arm.input_timeout = Duration::from_secs_f64(self.input_timeout_s);
        (settings.drive.max_linear, settings.drive.max_angular) = (self.max_linear_mps, self.max_angular_rps);
        (settings.arm.max_jog_linear, settings.arm.max_jog_angular) = (self.max_jog_linear, self.max_jog_angular);
        settings.max_nav_goal = self.max_nav_goal_m;
    }
}

/// What operators move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum KindArg {
    /// The arms: by the hands of a headset, or by keys
    Arm,
    /// The base
    Twist,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum UnitsArg {
    Si,
    Normalized,
}

/// Let operators far away reach the robot, and nobody else.
#[derive(Debug, Args)]
pub(in crate::cli) struct HostedCommandArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: HostedCommand,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum HostedCommand {
    /// Operators move the arms
    Arm(HostedRunArgs),
    /// Operators drive the base
    Twist(HostedRunArgs),
}

impl HostedCommand {
    /// What it is told, and what operators move.
    pub(in crate::cli) fn of(&self) -> (&HostedRunArgs, KindArg) {
        match self {
            Self::Arm(args) => (args, KindArg::Arm),
            Self::Twist(args) => (args, KindArg::Twist),
        }
    }
}

/// Everything that a robot without services of its own needs to know.
#[derive(Debug, Args)]
pub(in crate::cli) struct HostedRunArgs {
    #[command(flatten)]
    hosted: HostedArgs,
    /// Ports of the connection to the SFU, for a firewall [default: any free]
    #[arg(long, value_name = "FIRST-LAST")]
    media_ports: Option<PortRange>,
    #[command(flatten)]
    cameras: CameraArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    pub(in crate::cli) sim: SimArgs,
    #[command(flatten)]
    pub(in crate::cli) log: LogArgs,
}

impl HostedArgs {
    /// What was asked for, if anything; `env` are the variables, for the key.
    pub(super) fn settings(
        &self,
        kind: KindArg,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> anyhow::Result<Option<HostedSettings>> {
        let Some(broker) = &self.hosted_broker else { return Ok(None) };
        let key = self.key(env)?;
        let kind = match kind {
            KindArg::Arm => HostedKind::Arm,
            KindArg::Twist => HostedKind::Twist,
        };
        let mut settings = HostedSettings::new(broker.clone(), key, kind);
        settings.name.clone_from(&self.hosted_name);
        settings.id.clone_from(&self.hosted_id);
        settings.robot_type.clone_from(&self.hosted_robot_type);
        settings.stun.clone_from(&self.hosted_stun);
        settings.ca.clone_from(&self.hosted_ca);
        settings.drive.units = match self.twist_units {
            UnitsArg::Si => TwistUnits::Si,
            UnitsArg::Normalized => TwistUnits::Normalized,
        };
        (settings.drive.linear_speed, settings.drive.angular_speed) = (self.linear_speed, self.angular_speed);
        settings.arm.ui_scaling = self.enable_ui_scaling;
        settings.allow_acrobatics = self.allow_acrobatics;
        settings.damp_on_operator_lost = self.damp_on_operator_lost;
        (settings.telemetry_hz, settings.map_hz, settings.odom_hz) = (self.telemetry_hz, self.map_hz, self.odom_hz);
        settings.cameras.clone_from(&self.hosted_cameras);
        settings.speaker.clone_from(&self.hosted_speaker);
        settings.task_names = self.task_names.clone().unwrap_or_default();
        self.limits.apply(&mut settings);
        self.record.apply(&mut settings);
        Ok(Some(settings))
    }

    fn key(&self, env: &dyn Fn(&str) -> Option<OsString>) -> anyhow::Result<RobotKey> {
        if let Some(path) = &self.hosted_key_file {
            let named = |error: String| anyhow::anyhow!("--hosted-key-file {}: {error}", path.display());
            let text = std::fs::read_to_string(path).map_err(|error| named(error.to_string()))?;
            return RobotKey::parse(&text).map_err(|error| named(error.to_owned()));
        }
        let set = |name: &'static str| Some((name, env(name).filter(|value| !value.is_empty())?));
        match KEYS.into_iter().find_map(set) {
            Some((name, value)) => {
                RobotKey::parse(&value.to_string_lossy()).map_err(|error| anyhow::anyhow!("{name}: {error}"))
            }
            None => anyhow::bail!(
                "--hosted-broker needs the robot's key, which its page shows once: put it into a file for \
                --hosted-key-file, or into the variable WALDO_HOSTED_KEY"
            ),
        }
    }
}

impl HostedRunArgs {
    /// A robot with no services of its own.
    pub(in crate::cli) fn settings(
        &self,
        kind: KindArg,
        env: &dyn Fn(&str) -> Option<OsString>,
    ) -> anyhow::Result<Settings> {
        let Some(hosted) = self.hosted.settings(kind, env)? else {
            anyhow::bail!("--hosted-broker is missing: the broker's address, such as https://teleop.example.org");
        };
        Ok(Settings {
            hosted: Some(hosted),
            local: false,
            mdns: false,
            policy: PolicySettings::off(),
            field: FieldSettings::off(),
            cameras: self.cameras.settings(),
            media_ports: self.media_ports,
            ..self.data.settings()
        })
    }
}

fn stun(text: &str) -> Result<String, String> {
    let names_a_host = text.strip_prefix("stun:").is_some_and(|host| !host.is_empty());
    names_a_host.then(|| text.to_owned()).ok_or_else(|| format!("`{text}` is no `stun:HOST` or `stun:HOST:PORT`"))
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse().ok().filter(|speed: &f64| (0.0..=10.0).contains(speed));
    speed.ok_or_else(|| format!("`{text}` is no speed from 0 to 10"))
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok().filter(|seconds: &f64| (0.05..=10.0).contains(seconds));
    seconds.ok_or_else(|| format!("`{text}` is no time from 0.05 to 10 seconds"))
}

fn distance(text: &str) -> Result<f64, String> {
    let distance = text.parse().ok().filter(|distance: &f64| (0.0..=1e5).contains(distance));
    distance.ok_or_else(|| format!("`{text}` is no distance from 0 to 100000"))
}

fn task_names(text: &str) -> Result<TaskNames, String> {
    let mut names = TaskNames::default();
    for part in text.split(',').filter(|part| !part.trim().is_empty()) {
        let wrong = || format!("`{part}` is none of left=NAME and right=NAME, with a name of 1 to 64 characters");
        let (hand, name) = part.split_once('=').ok_or_else(wrong)?;
        let name = name.trim();
        if name.is_empty() || name.len() > 64 || name.chars().any(char::is_control) {
            return Err(wrong());
        }
        match hand.trim() {
            "left" => names.left = Some(name.to_owned()),
            "right" => names.right = Some(name.to_owned()),
            _ => return Err(wrong()),
        }
    }
    Ok(names)
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| (0.1..=100.0).contains(rate));
    rate.ok_or_else(|| format!("`{text}` is no rate from 0.1 to 100"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_named_by_hand() {
        let names = |left: Option<&str>, right: Option<&str>| TaskNames {
            left: left.map(str::to_owned),
            right: right.map(str::to_owned),
        };
        assert_eq!(task_names("left=arm_left,right=arm_right"), Ok(names(Some("arm_left"), Some("arm_right"))));
        assert_eq!(task_names(" right = teleop_xarm , "), Ok(names(None, Some("teleop_xarm"))));
        for wrong in ["arm", "middle=a", "left=", "left"] {
            assert!(task_names(wrong).unwrap_err().contains("left=NAME"), "{wrong}");
        }
    }
}
