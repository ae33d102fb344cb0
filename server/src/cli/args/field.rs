//! Flags of the field service.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum, ValueHint};
use waldo_protocol::field::{ClutchMode, Smoothing};

use super::seconds;
use crate::config::{FieldBackendKind, FieldSettings};
use crate::field::FieldMapping;

/// Limits of the dead-man's time, seconds.
const DEADMAN: RangeInclusive<f64> = 0.1..=2.0;

/// No character has more arms.
const MAX_ARMS: usize = 32;

#[derive(Debug, Args)]
#[command(next_help_heading = "Field")]
pub(super) struct FieldArgs {
    /// A port of its own for the field, beside `/field` on the page's port, for clients that know no path; 0 takes a free
    /// one. Other machines need the token, as `?token=…` or in their hello, unless --open
    #[arg(long, value_name = "PORT")]
    field_port: Option<u16>,
    /// Let --field-port speak wss, with the certificate of the page or --certfile
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true")]
    field_tls: bool,
    /// Serve no field
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true")]
    no_field: bool,
    /// What the arms of the field are
    #[arg(long, value_enum, default_value_t = BackendArg::Soft)]
    field_backend: BackendArg,
    /// Silence of a user's controllers after which their arms are let go, seconds; at most 0.3 with the robot
    #[arg(long, value_name = "SECONDS", default_value = "0.3", value_parser = deadman)]
    field_deadman: Duration,
    /// Hold clients to --field-deadman that did not agree on it; they have 5 s otherwise, but never with the robot
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true")]
    field_strict_deadman: bool,
    /// Tokens for other people and programs, each with what it lets do: lines of `TOKEN control,publish,view`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    field_tokens: Option<PathBuf>,
    /// Let pages of these origins in like the own page, and no others: `https://lab.example`; several by commas
    #[arg(long, value_name = "URL", value_delimiter = ',', value_parser = origin)]
    field_origin: Vec<String>,
    /// Whether simulated arms follow always, or only while a grip is held, and then its motion; the robot does the latter
    #[arg(long, value_enum, default_value_t = ClutchArg::Off)]
    field_clutch: ClutchArg,
    /// How far a grip is squeezed, 0 to 1, when it counts as held
    #[arg(long, value_name = "VALUE", default_value = "0.4", value_parser = share)]
    field_grip: f64,
    /// How far a stick is moved, 0 to 1, when it counts
    #[arg(long, value_name = "VALUE", default_value = "0.1", value_parser = deadband)]
    field_deadband: f64,
    /// How far hands reach from the middle of the field along each axis, metres
    #[arg(long, value_name = "METRES", default_value = "2", value_parser = reach)]
    field_reach: f64,
    /// How simulated arms are smoothed: the part of the way that is gone with each message (0.25), or a time constant
    /// whatever the rate of messages (0.12s) [default: 0.25]
    #[arg(long, value_name = "PART|SECONDS", value_parser = smoothing)]
    field_smoothing: Option<Smoothing>,
    /// The arms that the left and the right hand drive, counted from 0
    #[arg(long, value_name = "LEFT,RIGHT", default_value = "0,1", value_parser = hands)]
    field_hands: [usize; 2],
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ClutchArg {
    /// The arm goes where the hand is
    Off,
    /// The arm moves as the hand moves while the grip is held
    Relative,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BackendArg {
    /// Simulated soft arms
    Soft,
    /// Arms whose tip follows, without physics
    Kinematic,
    /// Arms that are where the hand is
    PassThrough,
    /// This robot
    Robot,
}

impl FieldArgs {
    pub(super) fn settings(&self) -> FieldSettings {
        FieldSettings {
            on: !self.no_field,
            port: self.field_port.filter(|_| !self.no_field),
            tls: self.field_tls,
            backend: match self.field_backend {
                BackendArg::Soft => FieldBackendKind::Soft,
                BackendArg::Kinematic => FieldBackendKind::Kinematic,
                BackendArg::PassThrough => FieldBackendKind::PassThrough,
                BackendArg::Robot => FieldBackendKind::Robot,
            },
            deadman: self.field_deadman,
            strict_deadman: self.field_strict_deadman,
            tokens: self.field_tokens.clone(),
            origins: self.field_origin.clone(),
            mapping: FieldMapping {
                arms: self.field_hands,
                clutch_threshold: self.field_grip,
                joystick_deadband: self.field_deadband,
                max_translation: self.field_reach,
                smoothing: self.field_smoothing,
            },
            clutch: match self.field_clutch {
                ClutchArg::Off => ClutchMode::Off,
                ClutchArg::Relative => ClutchMode::Relative,
            },
        }
    }
}

fn deadman(text: &str) -> Result<Duration, String> {
    seconds(text, DEADMAN)
}

fn number(text: &str, limits: RangeInclusive<f64>) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| limits.contains(number));
    number.ok_or_else(|| format!("`{text}` is no number from {} to {}", limits.start(), limits.end()))
}

/// Something that nobody reaches without moving.
fn share(text: &str) -> Result<f64, String> {
    number(text, 0.01..=1.0)
}

fn deadband(text: &str) -> Result<f64, String> {
    number(text, 0.0..=1.0)
}

fn reach(text: &str) -> Result<f64, String> {
    number(text, 0.1..=10.0)
}

fn smoothing(text: &str) -> Result<Smoothing, String> {
    match text.strip_suffix('s') {
        Some(text) => number(text, 0.0..=10.0).map(Smoothing::TimeConstant),
        None => share(text).map(Smoothing::PerMessage),
    }
}

fn hands(text: &str) -> Result<[usize; 2], String> {
    let arm = |text: &str| text.trim().parse().ok().filter(|arm| *arm < MAX_ARMS);
    let both = text.split_once(',').and_then(|(left, right)| Some([arm(left)?, arm(right)?]));
    both.ok_or_else(|| format!("`{text}` is not two arms below {MAX_ARMS} with a comma between them, such as 0,1"))
}

/// As browsers write it.
fn origin(text: &str) -> Result<String, String> {
    let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let plain = authority.is_some_and(|authority| !authority.is_empty() && !authority.contains(['/', '?', '#', ' ']));
    if plain {
        Ok(text.to_ascii_lowercase())
    } else {
        Err(format!("`{text}` is no origin such as https://lab.example or https://10.0.0.7:8443, without a path"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        field: FieldArgs,
    }

    fn settings(args: &[&str]) -> Result<FieldSettings, String> {
        let args = [&["program"], args].concat();
        Program::try_parse_from(args).map(|p| p.field.settings()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_field_of_soft_arms_is_served_beside_the_page_only() {
        assert_eq!(settings(&[]), Ok(FieldSettings::default()));
        assert_eq!(settings(&[]).map(|s| (s.on, s.port, s.is_strict())), Ok((true, None, false)));
        let off = settings(&["--no-field", "--field-port", "1"]).unwrap();
        assert_eq!((off.on, off.port), (false, None));
    }

    #[test]
    fn a_robot_is_let_go_sooner_than_a_simulation() {
        assert!(settings(&["--field-backend", "robot"]).unwrap().is_strict());
        assert!(settings(&["--field-backend", "robot", "--field-strict-deadman=false"]).unwrap().is_strict());
        let patient = settings(&["--field-backend", "robot", "--field-deadman", "2"]).unwrap();
        assert_eq!(patient.silence(), Duration::from_millis(300));
        assert_eq!(settings(&["--field-deadman", "2"]).unwrap().silence(), Duration::from_secs(2));
        assert!(settings(&["--field-backend", "pass-through", "--field-strict-deadman"]).unwrap().is_strict());
    }

    #[test]
    fn hands_become_commands_as_the_flags_say() {
        let usual = settings(&[]).unwrap();
        assert_eq!((usual.mapping, usual.clutch), (FieldMapping::default(), ClutchMode::Off));
        let flags = ["--field-grip=0.7", "--field-deadband", "0", "--field-reach=1.5", "--field-hands", "1, 0"];
        let mapping = settings(&[&flags[..], &["--field-smoothing", "0.12s"]].concat()).unwrap().mapping;
        let smoothing = Some(Smoothing::TimeConstant(0.12));
        let (clutch_threshold, joystick_deadband, max_translation) = (0.7, 0.0, 1.5);
        let expected = FieldMapping { arms: [1, 0], clutch_threshold, joystick_deadband, max_translation, smoothing };
        assert_eq!(mapping, expected);
        let part = settings(&["--field-smoothing=0.5", "--field-clutch=relative"]).unwrap();
        assert_eq!((part.mapping.smoothing, part.clutch), (Some(Smoothing::PerMessage(0.5)), ClutchMode::Relative));
        for wrong in [
            "--field-grip=0",
            "--field-grip=1.1",
            "--field-deadband=-0.1",
            "--field-reach=0",
            "--field-reach=NaN",
            "--field-smoothing=0",
            "--field-smoothing=-1s",
            "--field-smoothing=soon",
            "--field-hands=0",
            "--field-hands=0,99",
        ] {
            let error = settings(&[wrong]).unwrap_err();
            let (flag, _) = wrong.split_once('=').unwrap();
            assert!(error.contains(flag), "{error}");
        }
    }

    #[test]
    fn origins_are_as_browsers_write_them() {
        let settings = settings(&["--field-origin", "https://Lab.example,http://10.0.0.7:8080"]).unwrap();
        assert_eq!(settings.origins, ["https://lab.example", "http://10.0.0.7:8080"]);
        for wrong in ["lab.example", "https://", "https://lab.example/field", "ws://lab.example"] {
            assert!(origin(wrong).unwrap_err().contains("https://lab.example"), "{wrong}");
        }
    }

    #[test]
    fn the_dead_mans_time_has_limits() {
        assert_eq!(settings(&["--field-deadman", "0.5"]).unwrap().deadman, Duration::from_millis(500));
        for wrong in ["0.05", "2.1", "NaN", "soon", "-1"] {
            let error = settings(&[&format!("--field-deadman={wrong}")]).unwrap_err();
            assert!(error.contains("from 0.1 to 2"), "{wrong}: {error}");
        }
    }
}
