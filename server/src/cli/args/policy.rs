//! Flags of the policy service.

use std::time::Duration;

use clap::{ArgAction, Args, ValueEnum};
use waldo_protocol::policy::RobotId;

use super::seconds;
use crate::config::{PolicySettings, ZenohEndpoint};
use crate::control::Resume;

/// The longest silence that may be chosen, seconds.
const LONGEST_SILENCE: f64 = 3600.0;

/// The shortest silence that may cost a policy its control, seconds: less is a network's usual pause.
const SHORTEST_LEASE: f64 = 0.1;

/// The largest message that may be allowed, MiB; its length fits into 32 bits.
const LARGEST_MESSAGE: i64 = 2048;

#[derive(Debug, Args)]
#[command(next_help_heading = "Policies")]
pub(super) struct PolicyArgs {
    /// Port of the WebSockets of policies, at the address of --bind; 0 takes a free one. Other machines need the token,
    /// `ws://robot:8765/?token=…`, unless --open
    #[arg(long, value_name = "PORT", default_value_t = 8765)]
    policy_port: u16,
    /// Encrypt the WebSockets of policies, `wss://`, with the certificate of the page. Clients that know `ws://` only, as the
    /// original ones do, cannot connect then
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true")]
    policy_tls: bool,
    /// Serve policies over Zenoh too, on tcp/127.0.0.1:7447 unless another endpoint is named. Zenoh asks for no token, so
    /// other machines reach it only with --open: then it is tcp/0.0.0.0:7447. An endpoint tls/… is encrypted with the
    /// certificate of the page
    #[arg(long, value_name = "ENDPOINT", num_args = 0..=1, default_value = "off", default_missing_value = "on")]
    policy_zenoh: ZenohArg,
    /// Serve no policies
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true")]
    no_policy: bool,
    /// What lets a policy go on after a person took over or stopped the robot
    #[arg(long, value_enum, default_value_t = ResumeArg::Newer)]
    policy_resume: ResumeArg,
    /// Silence of a policy after which the arms hold, seconds; 0 for never
    #[arg(long, value_name = "SECONDS", default_value = "0.5", value_parser = timeout)]
    policy_timeout: Duration,
    /// Silence of the policy that controls the robot after which another one may take over, seconds
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = lease)]
    policy_lease: Duration,
    /// Largest message that a policy may send, MiB, from 1 to 2048; a larger one ends its connection
    #[arg(long, value_name = "MIB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=LARGEST_MESSAGE))]
    policy_max_message: u32,
    /// Name of the robot for policies, unique in its network [default: the name of this machine]
    #[arg(long, value_name = "NAME", value_parser = robot_id)]
    robot_id: Option<RobotId>,
}

#[derive(Clone, Debug)]
enum ZenohArg {
    Off,
    Usual,
    At(ZenohEndpoint),
}

impl std::str::FromStr for ZenohArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "off" | "false" => Ok(Self::Off),
            "on" | "true" => Ok(Self::Usual),
            endpoint => endpoint.parse().map(Self::At).map_err(|error| format!("{error}, nor on or off")),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ResumeArg {
    /// An action computed from an observation that is newer than the release
    Newer,
    /// A reset by the policy
    Reset,
}

impl PolicyArgs {
    /// `open`: everybody may reach the robot.
    pub(super) fn settings(&self, open: bool) -> PolicySettings {
        let usual = PolicySettings::default();
        let on = !self.no_policy;
        let zenoh = match &self.policy_zenoh {
            ZenohArg::Off => None,
            ZenohArg::Usual => Some(ZenohEndpoint::usual(open)),
            ZenohArg::At(endpoint) => Some(endpoint.clone()),
        };
        PolicySettings {
            port: on.then_some(self.policy_port),
            zenoh: zenoh.filter(|_| on),
            resume: match self.policy_resume {
                ResumeArg::Newer => Resume::Newer,
                ResumeArg::Reset => Resume::Reset,
            },
            timeout: self.policy_timeout,
            lease: self.policy_lease,
            max_message: usize::try_from(u64::from(self.policy_max_message) << 20).unwrap_or(usize::MAX),
            tls: self.policy_tls,
            robot: self.robot_id.clone().unwrap_or(usual.robot),
        }
    }
}

fn timeout(text: &str) -> Result<Duration, String> {
    seconds(text, 0.0..=LONGEST_SILENCE)
}

fn lease(text: &str) -> Result<Duration, String> {
    seconds(text, SHORTEST_LEASE..=LONGEST_SILENCE)
}

fn robot_id(text: &str) -> Result<RobotId, String> {
    RobotId::parse(text).map_err(|error| format!("`{text}`: {error}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        policy: PolicyArgs,
    }

    fn settings(args: &[&str], open: bool) -> Result<PolicySettings, String> {
        let args = [&["program"], args].concat();
        Program::try_parse_from(args).map(|p| p.policy.settings(open)).map_err(|error| error.to_string())
    }

    #[test]
    fn policies_are_served_on_8765_without_zenoh() {
        assert_eq!(settings(&[], false), Ok(PolicySettings::default()));
        assert_eq!(settings(&[], false).map(|s| (s.port, s.zenoh)), Ok((Some(8765), None)));
    }

    #[test]
    fn zenoh_reaches_beyond_this_machine_only_if_everybody_may() {
        let zenoh = |args: &[&str], open| settings(args, open).map(|s| s.zenoh.map(|z| z.to_string()));
        assert_eq!(zenoh(&["--policy-zenoh"], false), Ok(Some("tcp/127.0.0.1:7447".into())));
        assert_eq!(zenoh(&["--policy-zenoh"], true), Ok(Some("tcp/0.0.0.0:7447".into())));
        assert_eq!(zenoh(&["--policy-zenoh", "tcp/10.0.0.1:1"], false), Ok(Some("tcp/10.0.0.1:1".into())));
        for (value, expected) in [("true", Some("tcp/127.0.0.1:7447".into())), ("false", None), ("off", None)] {
            assert_eq!(zenoh(&[&format!("--policy-zenoh={value}")], false), Ok(expected));
        }
        assert!(zenoh(&["--policy-zenoh=7447"], false).unwrap_err().contains("tcp/127.0.0.1:7447"));
    }

    #[test]
    fn no_policy_is_neither_nor() {
        let off = settings(&["--no-policy", "--policy-zenoh"], false).unwrap();
        assert!(!off.on());
    }

    #[test]
    fn the_rest_is_checked() {
        let all = ["--policy-resume", "reset", "--policy-timeout", "1.5", "--robot-id", "arm_7"];
        let all = settings(&all, false).unwrap();
        assert_eq!(
            (all.resume, all.timeout, all.robot.as_str()),
            (Resume::Reset, Duration::from_millis(1500), "arm_7")
        );
        assert_eq!(settings(&["--policy-timeout=0"], false).unwrap().timeout, Duration::ZERO);
        for wrong in ["-1", "NaN", "inf", "soon", "3601"] {
            assert!(
                settings(&[&format!("--policy-timeout={wrong}")], false).unwrap_err().contains("seconds"),
                "{wrong}"
            );
        }
        assert!(settings(&["--robot-id", "a/b"], false).is_err());
    }

    #[test]
    fn a_lease_lasts_some_time_and_no_longer_than_an_hour() {
        let lease = |value: &str| settings(&[&format!("--policy-lease={value}")], false).map(|s| s.lease);
        assert_eq!(lease("2.5"), Ok(Duration::from_millis(2500)));
        for wrong in ["0", "-1", "0.09", "3601", "NaN", "long"] {
            assert!(lease(wrong).unwrap_err().contains("seconds from 0.1 to 3600"), "{wrong}");
        }
    }

    #[test]
    fn the_largest_message_is_given_in_mebibytes() {
        let max = |value: &str| settings(&[&format!("--policy-max-message={value}")], false).map(|s| s.max_message);
        assert_eq!((max("1"), max("1024"), max("2048")), (Ok(1 << 20), Ok(1 << 30), Ok(1 << 31)));
        for wrong in ["0", "2049", "-1", "1.5", "1GiB"] {
            assert!(max(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn encryption_is_a_matter_of_choice() {
        for (args, tls) in [(&[][..], false), (&["--policy-tls"], true), (&["--policy-tls=false"], false)] {
            assert_eq!(settings(args, false).map(|s| s.tls), Ok(tls));
        }
    }
}
