//! Flags of the field service.

use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};

use super::seconds;
use crate::config::{FieldBackendKind, FieldSettings};

/// Limits of the dead-man's time, seconds.
const DEADMAN: std::ops::RangeInclusive<f64> = 0.1..=2.0;

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
        }
    }
}

fn deadman(text: &str) -> Result<Duration, String> {
    seconds(text, DEADMAN)
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
    fn the_dead_mans_time_has_limits() {
        assert_eq!(settings(&["--field-deadman", "0.5"]).unwrap().deadman, Duration::from_millis(500));
        for wrong in ["0.05", "2.1", "NaN", "soon", "-1"] {
            let error = settings(&[&format!("--field-deadman={wrong}")]).unwrap_err();
            assert!(error.contains("from 0.1 to 2"), "{wrong}: {error}");
        }
    }
}
