//! Settings from variables and a file, put below the flags.
//!
//! There is one parser, the one of the command line: `WALDO_PORT=9000` and `port = 9000` both become `--port=9000` in
//! front of the real flags, where the last one counts.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, ValueHint};
use toml::{Table, Value};

/// Variables that existing installations of this wire have set; our own of the same meaning count more.
const ALIASES: [(&str, &str); 11] = [
    ("ice-server", "AXOL_TURN_URL"),
    ("ice-username", "AXOL_TURN_USERNAME"),
    ("ice-credential", "AXOL_TURN_PASSWORD"),
    ("hosted-broker", "TRANSPORTS__BROKER__BROKER_URL"),
    ("hosted-id", "TRANSPORTS__BROKER__ROBOT_ID"),
    ("hosted-id", "TELEOP_ROBOT_ID"),
    ("hosted-name", "TRANSPORTS__BROKER__ROBOT_NAME"),
    ("hosted-name", "TELEOP_ROBOT_NAME"),
    ("heartbeat-hz", "TRANSPORTS__BROKER__HEARTBEAT_HZ"),
    ("ordered", "TRANSPORTS__BROKER__ORDERED"),
    ("max-retransmits", "TRANSPORTS__BROKER__MAX_RETRANSMITS"),
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

/// The command line with the settings of a blueprint, of the file and of the environment in front of its own. `subcommand` is the one it names.
pub(super) fn layered(
    mut root: Command,
    subcommand: &[String],
    args: Vec<OsString>,
    blueprint: Option<(&Path, &Table)>,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<Vec<OsString>, SettingError> {
    root.build();
    let mut command = &root;
    for name in subcommand {
        match command.find_subcommand(name) {
            Some(found) => command = found,
            // Only `--help` and the like come here, and they ask for no settings.
            None => return Ok(args),
        }
    }
    let mut below = Vec::new();
    if let Some((path, settings)) = blueprint {
        below.extend(from_table(&root, command, path, settings.clone())?);
    }
    if let Some(path) = config_file(&root, &args, subcommand, env) {
        below.extend(from_file(&root, command, &path)?);
    }
    for (key, arg) in keys(command) {
        let own = format!("WALDO_{}", key.to_uppercase().replace('-', "_"));
        let set = |name: &str| env(name).filter(|value| !value.is_empty() && arg.get_id() != "config");
        let mut aliases = ALIASES.iter().filter(|(of, _)| *of == key).map(|(_, alias)| *alias);
        let mut other = || aliases.find_map(|alias| Some((alias.to_owned(), set(alias)?)));
        if let Some((name, value)) = set(&own).map(|value| (own, value)).or_else(&mut other) {
            let flag = flag(key, &value);
            check(command, &flag).map_err(|detail| SettingError::Value { at: name, detail })?;
            below.push(flag);
        }
    }
    let at = (1 + subcommand.len()).min(args.len());
    let (front, own) = args.split_at(at);
    Ok(front.iter().chain(&below).chain(own).cloned().collect())
}

/// Options of a command that take a value, by their long names.
fn keys(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    command
        .get_arguments()
        .filter(|arg| arg.get_action().takes_values())
        .filter_map(|arg| arg.get_long().map(|long| (long, arg)))
}

fn config_file(
    root: &Command,
    args: &[OsString],
    subcommand: &[String],
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Option<PathBuf> {
    let matches = root.clone().try_get_matches_from(args).ok()?;
    let mut matches = &matches;
    for name in subcommand {
        matches = matches.subcommand_matches(name)?;
    }
    let flag = matches.get_one::<PathBuf>("config").cloned();
    flag.or_else(|| env("WALDO_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from))
}

/// The flags a file stands for. Keys of other commands of the program are legal and skipped.
fn from_file(root: &Command, command: &Command, path: &Path) -> Result<Vec<OsString>, SettingError> {
    let broken = |detail: String| SettingError::File { path: path.to_owned(), detail };
    let text = fs::read_to_string(path).map_err(|error| broken(format!("cannot be read: {error}")))?;
    let table: Table = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
        broken(format!("line {line}: {}", error.message().replace('\n', ", ")))
    })?;
    from_table(root, command, path, table)
}

/// The flags that the settings of a table stand for.
fn from_table(root: &Command, command: &Command, path: &Path, table: Table) -> Result<Vec<OsString>, SettingError> {
    let broken = |detail: String| SettingError::File { path: path.to_owned(), detail };
    let all = std::iter::once(root).chain(root.get_subcommands()).flat_map(keys);
    let mut known: Vec<_> = all.map(|(key, _)| key).filter(|key| *key != "config").collect();
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
            Value::String(text) if is_path(arg) => beside(path, &text),
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

/// A path in a file means one beside that file, wherever the program was started.
fn beside(file: &Path, path: &str) -> OsString {
    file.parent().unwrap_or(Path::new("")).join(path).into_os_string()
}

fn flag(key: &str, value: &OsStr) -> OsString {
    let mut flag = OsString::from(format!("--{key}="));
    flag.push(value);
    flag
}

/// Parses one flag alone, to know whose fault a wrong value is.
fn check(command: &Command, flag: &OsStr) -> Result<(), String> {
    let alone = command.clone().arg_required_else_help(false);
    let Err(error) = alone.try_get_matches_from([OsStr::new("waldo"), flag]) else { return Ok(()) };
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.starts_with("For more information")).map(str::trim);
    let one_line = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    Err(one_line.trim_start_matches("error: ").to_owned())
}
