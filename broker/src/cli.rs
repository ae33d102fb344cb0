//! The command line of `waldo-broker`.

mod accounts;
mod args;
mod serve;
mod sfu;

use std::ffi::OsString;
use std::process::ExitCode;

use waldo_program::{SettingError, Sources, finish};

use self::args::{Command, KeyAction, Program, UserAction};

/// Where `HOST` and `PORT` stand together.
const HOST_AND_PORT: &str = "HOST and PORT";

/// Variables that existing installations have set.
const ALIASES: [(&str, &str); 15] = [
    ("listen", HOST_AND_PORT),
    ("environment", "ENVIRONMENT"),
    ("public-origin", "PUBLIC_ORIGIN"),
    ("database-url", "DATABASE_URL"),
    ("rate-limits", "RATE_LIMIT_ENFORCE"),
    ("cloudflare-app-id", "CF_TELEOP_APP_ID"),
    ("cloudflare-app-secret", "CF_TELEOP_APP_SECRET"),
    ("cloudflare-turn-key-id", "CF_TURN_KEY_ID"),
    ("cloudflare-turn-token", "CF_TURN_API_TOKEN"),
    ("livekit-url", "LIVEKIT_URL"),
    ("livekit-api-key", "LIVEKIT_API_KEY"),
    ("livekit-api-secret", "LIVEKIT_API_SECRET"),
    ("cognito-region", "COGNITO_REGION"),
    ("cognito-user-pool-id", "COGNITO_USER_POOL_ID"),
    ("oidc-client-id", "COGNITO_CLIENT_ID"),
];

/// The program `waldo-broker`.
pub fn run() -> ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    finish(parse(args, &|name| std::env::var_os(name)).map(|program| run_command(program.command)))
}

fn run_command(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => serve::run(*args),
        Command::Sfu(args) => sfu::run(&args),
        Command::User(user) => match user.action {
            UserAction::Add(args) => accounts::add_user(&args),
            UserAction::Passwd(args) => accounts::change_password(&args),
        },
        Command::Key(key) => match key.action {
            KeyAction::Add(args) => accounts::add_key(&args),
        },
    }
}

/// Parses the command line with environment and configuration file below it.
fn parse(args: Vec<OsString>, env: &dyn Fn(&str) -> Option<OsString>) -> Result<Program, SettingError> {
    let env = |name: &str| if name == HOST_AND_PORT { host_and_port(env) } else { env(name) };
    Sources { prefix: "WALDO_BROKER_", aliases: &ALIASES, env: &env, blueprint: None }.parse(args)
}

/// `HOST` and `PORT` as one address; the host may be missing.
fn host_and_port(env: &dyn Fn(&str) -> Option<OsString>) -> Option<OsString> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    // Shells set HOST to the machine's name; without a port it is not meant for us.
    let port = set("PORT")?;
    let mut address = set("HOST").unwrap_or_else(|| "127.0.0.1".into());
    address.push(":");
    address.push(port);
    Some(address)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory;

    use super::*;
    use crate::settings::{Environment, Settings};

    fn settings(args: &[&str], env: &[(&str, &str)]) -> Result<Settings, String> {
        let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        let args = ["waldo-broker", "serve"].iter().chain(args).map(OsString::from).collect();
        match parse(args, &env).map_err(|error| error.to_string())?.command {
            Command::Serve(serve) => serve.settings().map_err(|error| error.to_string()),
            _ => unreachable!("the tests call serve"),
        }
    }

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("broker.toml");
        std::fs::write(&path, text).unwrap();
        let path = path.to_str().unwrap().to_owned();
        (dir, path)
    }

    #[test]
    fn without_anything_the_defaults_hold() {
        let (told, default) = (settings(&[], &[]).unwrap(), Settings::default());
        assert_eq!((told.listen, told.tls, told.timers), (default.listen, default.tls, default.timers));
        assert_eq!((told.environment, told.registration), (Environment::Production, false));
        assert!(told.enforce_rate_limits && told.oidc.is_none() && told.livekit.is_none());
        assert_eq!((told.token_life, told.max_viewers), (default.token_life, default.max_viewers));
    }

    #[test]
    fn a_flag_beats_a_variable_beats_the_file() {
        let (_dir, path) = file("listen = \"127.0.0.1:1\"\nmax-viewers = 3\nregistration = true\n");
        let env = [
            ("WALDO_BROKER_CONFIG", path.as_str()),
            ("WALDO_BROKER_LISTEN", "127.0.0.1:2"),
            ("WALDO_BROKER_REGISTRATION", "false"),
        ];
        let all = settings(&["--listen", "127.0.0.1:3"], &env).unwrap();
        assert_eq!((all.listen.port(), all.max_viewers, all.registration), (3, 3, false));
        assert_eq!(settings(&[], &env).unwrap().listen.port(), 2);
        assert_eq!(settings(&["--config", &path], &[]).unwrap().listen.port(), 1);
    }

    #[test]
    fn the_variables_of_existing_installations_count() {
        let env = [
            ("ENVIRONMENT", "dev"),
            ("PUBLIC_ORIGIN", "https://teleop.example.org"),
            ("DATABASE_URL", "postgres://db/teleop"),
            ("HOST", "127.0.0.1"),
            ("PORT", "9000"),
            ("LIVEKIT_URL", "wss://lk"),
            ("LIVEKIT_API_KEY", "k"),
            ("LIVEKIT_API_SECRET", "s"),
            ("COGNITO_REGION", "eu-central-1"),
            ("COGNITO_USER_POOL_ID", "eu-central-1_x"),
            ("COGNITO_CLIENT_ID", "c"),
            ("RATE_LIMIT_ENFORCE", "false"),
        ];
        let told = settings(&[], &env).unwrap();
        assert_eq!((told.environment, told.listen.to_string().as_str()), (Environment::Development, "127.0.0.1:9000"));
        assert_eq!(told.database_url.as_deref(), Some("postgres://db/teleop"));
        let oidc = told.oidc.unwrap();
        assert_eq!(oidc.issuer, "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_x");
        assert_eq!((oidc.client_id.as_str(), oidc.region.as_str()), ("c", "eu-central-1"));
        assert_eq!(told.livekit.unwrap().url, "wss://lk");
        assert!(!told.enforce_rate_limits);
        let told = settings(&["--listen", "127.0.0.1:1"], &env).unwrap();
        assert_eq!(told.listen.port(), 1, "ours count more");
    }

    #[test]
    fn errors_name_the_key_and_where_it_stands() {
        let error = settings(&[], &[("WALDO_BROKER_LISTEN", "here")]).unwrap_err();
        assert!(error.starts_with("WALDO_BROKER_LISTEN: ") && error.contains("'here'"), "{error}");
        for (text, expected) in [
            ("listen = [1]", "text, a number, true or false"),
            ("listen = ", "line 1"),
            ("lisen = \"x\"", "there is no `lisen`; known are "),
        ] {
            let (_dir, path) = file(text);
            let error = settings(&["--config", &path], &[]).unwrap_err();
            assert!(error.contains("broker.toml") && error.contains(expected), "{text}: {error}");
        }
        for (args, expected) in [
            (&["--livekit-url", "wss://x"][..], "--livekit-api-key"),
            (&["--oidc-issuer", "https://x"], "--oidc-client-id"),
            (&["--tls-cert", "x"], "--tls-key"),
            (&["--sfu", "smoke"], "embedded"),
        ] {
            let error = settings(args, &[]).unwrap_err();
            assert!(error.contains(expected), "{args:?}: {error}");
        }
    }

    #[test]
    fn times_are_in_seconds() {
        let told = settings(&["--robot-timeout", "3", "--operator-timeout", "2.5"], &[]).unwrap();
        assert_eq!((told.timers.robot, told.timers.operator), (Duration::from_secs(3), Duration::from_millis(2500)));
    }

    #[test]
    fn the_command_line_is_consistent() {
        Program::command().debug_assert();
    }
}
