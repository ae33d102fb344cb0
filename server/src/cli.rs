//! The command line of `waldo`, also for programs with a robot of their own.

mod args;
mod certs;
mod publish;
mod report;
mod run;
mod welcome;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use toml::Table;
use waldo_program::{SettingError, Sources, finish, misused};

use self::args::{Command, FieldCommand, LogArgs, OwnRobot, SimArgs, StampPlace, Waldo};
use crate::config::Settings;
use crate::robot::Robot;
use crate::robot::sim::{SimOptions, SimRobot};

pub use self::welcome::welcome;

/// Variables that existing installations of this wire have set.
const ALIASES: [(&str, &str); 13] = [
    ("ice-server", "AXOL_TURN_URL"),
    ("ice-username", "AXOL_TURN_USERNAME"),
    ("ice-credential", "AXOL_TURN_PASSWORD"),
    ("hosted-broker", "TRANSPORTS__BROKER__BROKER_URL"),
    ("hosted-id", "TRANSPORTS__BROKER__ROBOT_ID"),
    ("hosted-id", "TELEOP_ROBOT_ID"),
    ("hosted-name", "TRANSPORTS__BROKER__ROBOT_NAME"),
    ("hosted-name", "TELEOP_ROBOT_NAME"),
    ("hosted-robot-type", "TRANSPORTS__BROKER__ROBOT_TYPE"),
    ("hosted-stun", "TRANSPORTS__BROKER__STUN_URL"),
    ("heartbeat-hz", "TRANSPORTS__BROKER__HEARTBEAT_HZ"),
    ("ordered", "TRANSPORTS__BROKER__ORDERED"),
    ("max-retransmits", "TRANSPORTS__BROKER__MAX_RETRANSMITS"),
];

/// How long threads that wait for a disk or a name may hold up the end of the program.
const STRAGGLERS: Duration = Duration::from_millis(50);

/// Runs `robot` with all the flags of `waldo serve`: the whole `main` of a program with a robot of its own.
///
/// ```no_run
/// # fn my_robot() -> waldo_server::robot::sim::SimRobot { unimplemented!() }
/// use std::process::ExitCode;
///
/// fn main() -> ExitCode {
///     waldo_server::cli::run(my_robot())
/// }
/// ```
pub fn run(robot: impl Robot + 'static) -> ExitCode {
    let args = std::env::args_os().collect();
    let env = |name: &str| std::env::var_os(name);
    let run = |own: OwnRobot| serve(&own.serve.log, own.serve.settings(&env)?, Box::new(robot));
    finish(parse::<OwnRobot>(args, None, &env).map(run))
}

/// The program `waldo`: the simulated robot.
pub fn run_simulated() -> ExitCode {
    let mut args: Vec<_> = std::env::args_os().collect();
    let expanded = match run::expand(&args) {
        Ok(expanded) => expanded,
        Err(error) => return misused(error),
    };
    let blueprint = expanded.map(|expanded| {
        args = expanded.args;
        expanded.settings
    });
    let env = |name: &str| std::env::var_os(name);
    let blueprint = blueprint.as_ref().map(|(file, settings)| (file.as_path(), settings));
    finish(parse::<Waldo>(args, blueprint, &env).map(|waldo| match waldo.command {
        Command::Serve { serve: args, sim } => serve(&args.log, stamped(args.settings(&env)?, &sim), simulated(&sim)),
        Command::Hosted(hosted) => {
            let (args, kind) = hosted.command.of();
            serve(&args.log, stamped(args.settings(kind, &env)?, &args.sim), simulated(&args.sim))
        }
        Command::Field(field) => match field.command {
            FieldCommand::Publish(args) => publish::run(&args),
        },
        Command::Certs(args) => certs::run(&args),
        Command::Report(args) => report::run(&args),
        // Every other `run` was expanded to what it runs.
        Command::Run { .. } => anyhow::bail!("please say `waldo run <blueprint>` with options after the names"),
    }))
}

/// Parses the command line with blueprint, configuration file and environment below it.
fn parse<P: Parser>(
    args: Vec<OsString>,
    blueprint: Option<(&Path, &Table)>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<P, SettingError> {
    Sources { prefix: "WALDO_", aliases: &ALIASES, env, blueprint }.parse(args)
}

/// The simulated robot as it was asked for.
fn simulated(sim: &SimArgs) -> Box<dyn Robot> {
    let mut options = SimOptions::default();
    if let Some(size) = sim.sim_size {
        options.camera_size = size;
    }
    options.latency_stamp = matches!(sim.latency_stamp, Some(StampPlace::Corner));
    Box::new(SimRobot::new(options))
}

/// With the strip below the pictures for operators far away, if it was asked for.
fn stamped(mut settings: Settings, sim: &SimArgs) -> Settings {
    if let (Some(hosted), Some(StampPlace::Strip)) = (&mut settings.hosted, sim.latency_stamp) {
        hosted.pictures.latency_stamp = true;
    }
    settings
}

fn serve(log: &LogArgs, settings: Settings, robot: Box<dyn Robot>) -> anyhow::Result<()> {
    log.start();
    let runtime = crate::serve::runtime()?;
    let result = runtime.block_on(crate::serve::serve(settings, robot));
    runtime.shutdown_timeout(STRAGGLERS);
    Ok(result?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use waldo_protocol::hosted::TwistUnits;

    use super::*;
    use crate::config::{HostedKind, HostedSettings};
    use crate::record::Place;

    fn settings(args: &[&str], env: &[(&str, &str)]) -> Result<Settings, SettingError> {
        let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        let args = args.iter().map(OsString::from).collect();
        let waldo: Waldo = parse(args, None, &env)?;
        match waldo.command {
            Command::Serve { serve, .. } => Ok(serve.settings(&env).expect("no key is asked for")),
            _ => unreachable!("the tests call serve"),
        }
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("waldo.toml");
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (dir, path)
    }

    #[test]
    fn without_anything_the_defaults_hold() {
        assert_eq!(settings(&["waldo", "serve"], &[]).unwrap(), Settings::default());
    }

    #[test]
    fn a_flag_beats_a_variable_beats_the_file() {
        let (_dir, path) = file("port = 1\nopen = true\nmdns = false\n");
        let env = [("WALDO_CONFIG", path.as_str()), ("WALDO_PORT", "2"), ("WALDO_OPEN", "false")];
        let all = settings(&["waldo", "serve", "--port", "3"], &env).unwrap();
        assert_eq!((all.port, all.open, all.mdns), (3, false, false));
        let without_flag = settings(&["waldo", "serve"], &env).unwrap();
        assert_eq!(without_flag.port, 2);
        let file_only = settings(&["waldo", "serve", "--config", &path], &[]).unwrap();
        assert_eq!((file_only.port, file_only.open), (1, true));
    }

    #[test]
    fn every_setting_can_come_from_the_file_and_paths_start_there() {
        let (dir, path) = file(
            "mode = \"data_collection\"\nbind = \"::1\"\ncertfile = \"a.pem\"\nkeyfile = \"/b.pem\"\n\
             data-dir = \"d\"\nstatic_dir = \"s\"\nlog = \"debug\"\nlog-format = \"json\"\nsim-size = \"320x240\"\n",
        );
        let settings = settings(&["waldo", "serve", "--config", &path], &[]).unwrap();
        assert_eq!(settings.mode, Some(waldo_protocol::vr::Mode::DataCollection));
        assert_eq!(settings.bind.to_string(), "::1");
        assert_eq!(settings.certfile, Some(dir.path().join("a.pem")));
        assert_eq!(settings.keyfile.as_deref(), Some(Path::new("/b.pem")));
        assert_eq!(settings.data_dir, dir.path().join("d"));
        assert_eq!(settings.static_dir, Some(dir.path().join("s")));
    }

    #[test]
    fn what_the_policy_service_is_told_comes_from_everywhere_too() {
        let (_dir, path) = file("policy-lease = 2.5\npolicy_max_message = 1024\npolicy-tls = true\n");
        let policy = settings(&["waldo", "serve", "--config", &path], &[]).unwrap().policy;
        assert_eq!((policy.lease, policy.max_message, policy.tls), (Duration::from_millis(2500), 1 << 30, true));
        let env = [("WALDO_POLICY_LEASE", "3"), ("WALDO_POLICY_MAX_MESSAGE", "2"), ("WALDO_POLICY_TLS", "false")];
        let args = ["waldo", "serve", "--config", &path, "--policy-lease", "4"];
        let policy = settings(&args, &env).unwrap().policy;
        assert_eq!((policy.lease, policy.max_message, policy.tls), (Duration::from_secs(4), 2 << 20, false));
    }

    #[test]
    fn errors_name_the_key_and_where_it_stands() {
        let error = settings(&["waldo", "serve"], &[("WALDO_PORT", "many")]).unwrap_err().to_string();
        assert!(error.starts_with("WALDO_PORT: ") && error.contains("'many'"), "{error}");
        for (text, expected) in [
            ("port = 70000", "waldo.toml, port: "),
            ("mode = \"dance\"", "teleop, data_collection"),
            ("port = [1]", "text, a number, true or false"),
            ("port = ", "line 1"),
            ("prot = 1", "there is no `prot`; known are "),
            ("config = \"x\"", "there is no `config`"),
            ("help = true", "there is no `help`"),
        ] {
            let (_dir, path) = file(text);
            let error = settings(&["waldo", "serve", "--config", &path], &[]).unwrap_err().to_string();
            assert!(error.contains("waldo.toml") && error.contains(expected), "{text}: {error}");
            assert_eq!(error.lines().count(), 1, "{error}");
        }
        let error = settings(&["waldo", "serve", "--config", "/nowhere.toml"], &[]).unwrap_err().to_string();
        assert!(error.contains("/nowhere.toml"), "{error}");
    }

    #[test]
    fn a_file_for_all_commands_serves_each_of_them() {
        let (_dir, path) = file("port = 9000\nsim-size = \"320x240\"\ndata-dir = \"/d\"\n");
        let args = ["waldo", "certs", "renew", "--config", &path].map(OsString::from).to_vec();
        let waldo: Waldo = parse(args, None, &|_| None).unwrap();
        let Command::Certs(certs) = waldo.command else { unreachable!("certs was asked for") };
        assert_eq!(certs.settings().data_dir, Path::new("/d"));
        let args = ["my-robot", "--config", &path, "--port", "1"].map(OsString::from).to_vec();
        let own = parse::<OwnRobot>(args, None, &|_| None);
        assert!(own.unwrap_err().to_string().contains("`sim-size`"), "only the simulated robot has it");
    }

    #[test]
    fn a_robot_of_ones_own_takes_the_flags_of_serve_at_once() {
        let args = ["my-robot", "--port", "9", "--open"].map(OsString::from).to_vec();
        let own: OwnRobot = parse(args, None, &|_| None).unwrap();
        let settings = own.serve.settings(&|_| None).unwrap();
        assert_eq!((settings.port, settings.open), (9, true));
    }

    /// What a `waldo run …` tells hosted teleoperation.
    fn hosted(words: &str, env: &[(&str, &str)]) -> HostedSettings {
        let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        let args: Vec<_> = words.split(' ').map(OsString::from).collect();
        let run::Expanded { args, settings: (file, settings) } = run::expand(&args).unwrap().unwrap();
        let waldo: Waldo = parse(args, Some((&file, &settings)), &env).unwrap();
        let Command::Hosted(hosted) = waldo.command else { unreachable!("hosted teleoperation was asked for") };
        let (args, kind) = hosted.command.of();
        stamped(args.settings(kind, &env).unwrap(), &args.sim).hosted.unwrap()
    }

    const BROKER: [(&str, &str); 3] = [
        ("TRANSPORTS__BROKER__BROKER_URL", "http://127.0.0.1:8450"),
        ("TRANSPORTS__BROKER__API_KEY", "dtk_dev_0123456789"),
        ("TRANSPORTS__BROKER__ROBOT_NAME", "arm 7"),
    ];

    #[test]
    fn a_blueprint_runs_with_the_variables_of_existing_installations() {
        let words =
            "waldo run teleop-hosted-xarm7 hosted-teleop-recorder --simulation --lcm-url udpm:// --latency-stamp";
        let settings = hosted(words, &BROKER);
        assert_eq!((settings.broker.as_str(), settings.name.as_str()), ("http://127.0.0.1:8450", "arm 7"));
        assert_eq!((settings.kind, settings.record), (HostedKind::Arm, Some(Place::Hosted)));
        assert_eq!(settings.cameras, ["overhead_left", "right_arm"]);
        assert!(settings.lcm.is_some() && settings.pictures.latency_stamp);
    }

    #[test]
    fn what_a_blueprint_says_counts_less_than_a_variable_and_a_flag() {
        let words = "waldo run teleop-hosted-go2 --simulation";
        let settings = hosted(words, &BROKER);
        assert_eq!((settings.kind, settings.drive.units), (HostedKind::Twist, TwistUnits::Normalized));
        assert!(settings.generation_a() && settings.record.is_none() && !settings.pictures.latency_stamp);
        let mut env = BROKER.to_vec();
        env.push(("WALDO_TWIST_UNITS", "si"));
        assert_eq!(hosted(words, &env).drive.units, TwistUnits::Si);
        let words = format!("{words} --twist-units normalized --record --video-max-width=640 --video-max-fps 15");
        let settings = hosted(&words, &env);
        assert_eq!((settings.drive.units, settings.record), (TwistUnits::Normalized, Some(Place::Teleop)));
        assert_eq!((settings.pictures.max_width, settings.pictures.max_fps), (640, 15.0));
        assert_eq!((settings.robot_type, settings.stun), (None, None));
        let words = "waldo run teleop-hosted-go2 --simulation --transports.broker.stun_url=stun:a:1 \
            --transports.broker.robot_type=spot";
        let settings = hosted(words, &BROKER);
        assert_eq!((settings.robot_type.as_deref(), settings.stun.as_deref()), (Some("spot"), Some("stun:a:1")));
    }

    #[test]
    fn relays_get_name_and_password_and_stun_servers_none() {
        let urls = "stun:a:1, turn:b:2?transport=tcp,turns:c";
        let args = ["waldo", "serve", "--ice-server", urls, "--ice-username", "n", "--ice-credential", "p"];
        let servers = settings(&args, &[]).unwrap().ice_servers;
        assert_eq!((servers[0].urls.concat().as_str(), servers[0].credential.as_deref()), ("stun:a:1", None));
        assert_eq!(servers[1].urls, ["turn:b:2?transport=tcp", "turns:c"]);
        assert_eq!((servers[1].username.as_deref(), servers[1].credential.as_deref()), (Some("n"), Some("p")));
        assert_eq!(servers.len(), 2);
    }

    #[test]
    fn the_variables_of_existing_installations_name_the_relay_unless_ours_do() {
        let theirs = [("AXOL_TURN_URL", "turn:a"), ("AXOL_TURN_USERNAME", "n"), ("AXOL_TURN_PASSWORD", "p")];
        let server = settings(&["waldo", "serve"], &theirs).unwrap().ice_servers.remove(0);
        assert_eq!(server.urls, ["turn:a"]);
        assert_eq!((server.username.as_deref(), server.credential.as_deref()), (Some("n"), Some("p")));
        let both: Vec<_> = theirs.into_iter().chain([("WALDO_ICE_SERVER", "turn:b")]).collect();
        assert_eq!(settings(&["waldo", "serve"], &both).unwrap().ice_servers[0].urls, ["turn:b"]);
    }

    #[test]
    fn the_bitrate_of_cameras_is_a_range() {
        let rates = settings(&["waldo", "serve", "--video-bitrate", "300-6000"], &[]).unwrap().cameras.bitrate;
        assert_eq!(rates.map(crate::config::BitrateRange::bits_per_second), Some(300_000..=6_000_000));
    }

    #[test]
    fn the_scale_of_motion_is_one_until_a_flag_a_variable_or_the_file_says_otherwise() {
        let scale = |args: &[&str], env: &[(&str, &str)]| {
            let motion = settings(&[&["waldo", "serve"], args].concat(), env).unwrap().motion;
            (motion.pos, motion.rot)
        };
        assert_eq!(scale(&[], &[]), (1.0, 1.0));
        assert_eq!(scale(&["--position-scale", "0.1"], &[("WALDO_ROTATION_SCALE", "2")]), (0.1, 2.0));
        let (_dir, path) = file("position-scale = 0.5\nrotation-scale = 1\n");
        assert_eq!(scale(&["--config", &path], &[]), (0.5, 1.0));
        for wrong in ["0.09", "2.1", "-1", "NaN", "much"] {
            let error = settings(&["waldo", "serve"], &[("WALDO_POSITION_SCALE", wrong)]).unwrap_err().to_string();
            assert!(error.starts_with("WALDO_POSITION_SCALE: ") && error.contains("from 0.1 to 2"), "{error}");
        }
    }

    #[test]
    fn media_ports_are_a_range() {
        let ports = settings(&["waldo", "serve", "--media-ports", "50000-50100"], &[]).unwrap().media_ports;
        assert_eq!(ports.map(crate::config::PortRange::ports), Some(50000..=50100));
        let error = settings(&["waldo", "serve"], &[("WALDO_MEDIA_PORTS", "9-8")]).unwrap_err().to_string();
        assert!(error.starts_with("WALDO_MEDIA_PORTS: ") && error.contains("50000-50100"), "{error}");
    }

    #[test]
    fn camera_sizes_are_checked() {
        for (size, good) in [("640x480", true), ("641x480", false), ("640", false), ("0x0", false), ("9000x480", false)]
        {
            let result = settings(&["waldo", "serve", "--sim-size", size], &[]);
            assert_eq!(result.is_ok(), good, "{size}");
        }
    }

    #[test]
    fn cameras_come_from_the_file_and_from_flags() {
        let names = |settings: Settings| settings.cameras.v4l2.iter().map(ToString::to_string).collect::<Vec<_>>();
        let (_dir, path) = file("camera = [\"a=/dev/video0\", \"b=/dev/video2:640x480@15\"]");
        let from_file = settings(&["waldo", "serve", "--config", &path], &[]).unwrap();
        assert_eq!(names(from_file), ["a=/dev/video0", "b=/dev/video2:640x480@15"]);
        let flags = ["waldo", "serve", "--camera", "c=/dev/video1,d=/dev/video3", "--camera", "e=/dev/video5"];
        assert_eq!(names(settings(&flags, &[]).unwrap()), ["c=/dev/video1", "d=/dev/video3", "e=/dev/video5"]);
        let one = settings(&["waldo", "serve"], &[("WALDO_CAMERA", "a=/dev/video0")]).unwrap();
        assert_eq!(names(one), ["a=/dev/video0"]);
        let error = settings(&["waldo", "serve"], &[("WALDO_CAMERA", "/dev/video0")]).unwrap_err().to_string();
        assert!(error.starts_with("WALDO_CAMERA: ") && error.contains("NAME=PATH"), "{error}");
    }

    #[test]
    fn the_command_line_is_consistent() {
        Waldo::command().debug_assert();
        OwnRobot::command().debug_assert();
    }
}
