//! Settings from variables and a file, put below the flags.
//!
//! There is one parser, the one of the command line: `WALDO_BROKER_LISTEN=…` and `listen = …` both become `--listen=…` in front of the
//! real flags, where the last one counts.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, CommandFactory, ValueHint};
use toml::{Table, Value};

use super::args::Program;

/// Variables that existing installations have set; our own of the same meaning count more.
const ALIASES: [(&str, &str); 14] = [
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

/// A setting is wrong; the message names it and where it stands.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingError {
    /// On the command line, or help was asked for.
    #[error(transparent)]
    Flags(#[from] clap::Error),
    /// In a variable or the file.
    #[error("{at}: {detail}")]
    Value { at: String, detail: String },
    /// The file itself.
    #[error("{}: {detail}", path.display())]
    File { path: PathBuf, detail: String },
}

/// The command line with the settings of environment and file in front of its own.
pub(super) fn layered(
    args: Vec<OsString>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Vec<OsString>, SettingError> {
    let mut root = Program::command();
    root.build();
    // The names of the subcommands come first, as many as there are.
    let (mut command, mut depth) = (&root, 1);
    while let Some(found) = args.get(depth).and_then(|arg| command.find_subcommand(arg)) {
        (command, depth) = (found, depth + 1);
    }
    if command.get_subcommands().next().is_some() {
        return Ok(args);
    }
    let mut below = Vec::new();
    if let Some(path) = config_file(&root, &args, env) {
        below.extend(from_file(&root, command, &path)?);
    }
    for (key, arg) in keys(command) {
        let own = format!("WALDO_BROKER_{}", key.to_uppercase().replace('-', "_"));
        let set = |name: &str| env(name).filter(|value| !value.is_empty() && arg.get_id() != "config");
        let alias = ALIASES.iter().find(|(of, _)| *of == key).map(|(_, alias)| (*alias).to_owned());
        let other = || alias.and_then(|alias| set(&alias).map(|value| (alias, value)));
        let address = || (key == "listen").then(|| host_and_port(env)).flatten();
        let value = set(&own).map(|value| (own, value)).or_else(other).or_else(address);
        if let Some((name, value)) = value {
            let flag = flag(key, &value);
            check(command, &flag).map_err(|detail| SettingError::Value { at: name, detail })?;
            below.push(flag);
        }
    }
    let (front, own) = args.split_at(depth.min(args.len()));
    Ok(front.iter().chain(&below).chain(own).cloned().collect())
}

/// `HOST` and `PORT`, of which either may be missing.
fn host_and_port(env: &dyn Fn(&str) -> Option<OsString>) -> Option<(String, OsString)> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let (host, port) = (set("HOST"), set("PORT"));
    // Shells set HOST to the machine's name; without a port it is not meant for us.
    let port = port?;
    let mut address = host.unwrap_or_else(|| "127.0.0.1".into());
    address.push(":");
    address.push(port);
    Some(("HOST and PORT".to_owned(), address))
}

/// Options of a command that take a value, by their long names.
fn keys(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    command
        .get_arguments()
        .filter(|arg| arg.get_action().takes_values())
        .filter_map(|arg| arg.get_long().map(|long| (long, arg)))
}

fn config_file(root: &Command, args: &[OsString], env: &dyn Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    fn innermost(matches: &ArgMatches) -> &ArgMatches {
        matches.subcommand().map_or(matches, |(_, inner)| innermost(inner))
    }
    let matches = root.clone().try_get_matches_from(args).ok()?;
    let flag = innermost(&matches).get_one::<PathBuf>("config").cloned();
    flag.or_else(|| env("WALDO_BROKER_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from))
}

fn all_keys<'a>(command: &'a Command, into: &mut Vec<&'a str>) {
    into.extend(keys(command).map(|(key, _)| key).filter(|key| *key != "config"));
    for inner in command.get_subcommands() {
        all_keys(inner, into);
    }
}

/// The flags a file stands for. Keys of other commands of the program are legal and skipped.
fn from_file(root: &Command, command: &Command, path: &Path) -> Result<Vec<OsString>, SettingError> {
    let broken = |detail: String| SettingError::File { path: path.to_owned(), detail };
    let text = fs::read_to_string(path).map_err(|error| broken(format!("cannot be read: {error}")))?;
    let table: Table = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
        broken(format!("line {line}: {}", error.message().replace('\n', ", ")))
    })?;
    let mut known = Vec::new();
    all_keys(root, &mut known);
    known.sort_unstable();
    known.dedup();
    let mut flags = Vec::new();
    for (written, value) in table {
        let key = written.replace('_', "-");
        if !known.contains(&key.as_str()) {
            return Err(broken(format!("there is no `{written}`; known are {}", known.join(", "))));
        }
        let Some((_, arg)) = keys(command).find(|(name, _)| *name == key) else { continue };
        let at = || format!("{}, {written}", path.display());
        let value = match value {
            // A path in a file means one beside that file, wherever the program was started.
            Value::String(text) if is_path(arg) => path.parent().unwrap_or(Path::new("")).join(text).into_os_string(),
            Value::String(text) => text.into(),
            Value::Integer(number) => number.to_string().into(),
            Value::Float(number) => number.to_string().into(),
            Value::Boolean(yes) => yes.to_string().into(),
            Value::Array(several) if arg.get_value_delimiter() == Some(',') && several.iter().all(Value::is_str) => {
                several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",").into()
            }
            _ => {
                let detail = "must be text, a number, true or false".to_owned();
                return Err(SettingError::Value { at: at(), detail });
            }
        };
        let flag = flag(&key, &value);
        check(command, &flag).map_err(|detail| SettingError::Value { at: at(), detail })?;
        flags.push(flag);
    }
    Ok(flags)
}

fn is_path(arg: &Arg) -> bool {
    matches!(arg.get_value_hint(), ValueHint::FilePath | ValueHint::DirPath)
}

fn flag(key: &str, value: &OsStr) -> OsString {
    let mut flag = OsString::from(format!("--{key}="));
    flag.push(value);
    flag
}

/// Parses one flag alone, to know whose fault a wrong value is.
fn check(command: &Command, flag: &OsStr) -> Result<(), String> {
    // What else the command needs is none of this flag's business.
    let alone = command
        .clone()
        .arg_required_else_help(false)
        .mut_args(|arg| if arg.is_required_set() { arg.required(false) } else { arg });
    let Err(error) = alone.try_get_matches_from([OsStr::new("waldo-broker"), flag]) else { return Ok(()) };
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.starts_with("For more information")).map(str::trim);
    let one_line = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    Err(one_line.trim_start_matches("error: ").to_owned())
}
