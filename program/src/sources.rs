//! Settings from variables and a file, put below the flags.
//!
//! There is one parser, the one of the command line: `WALDO_PORT=9000` and `port = 9000` both become `--port=9000` in
//! front of the real flags, where the last one counts.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, Parser, ValueHint};
use toml::{Table, Value};

/// A setting is wrong; the message names it and where it stands.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// On the command line, or help was asked for.
    #[error(transparent)]
    Flags(#[from] clap::Error),
    /// In a variable or the file.
    #[error("{at}: {detail}")]
    Value {
        /// The variable, or the file and the key in it.
        at: String,
        /// What is wrong.
        detail: String,
    },
    /// The file itself.
    #[error("{}: {detail}", path.display())]
    File {
        /// Where it is.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

/// Where a program's settings come from, beside its command line. Each counts more than the one after it: flags, variables, the file
/// of `--config`, a blueprint.
pub struct Sources<'a> {
    /// What the names of its variables begin with: with `WALDO_`, `--data-dir` can be given as `WALDO_DATA_DIR`.
    pub prefix: &'a str,
    /// Options, and variables that existing installations have set for them; our own count more, and of several the first.
    pub aliases: &'a [(&'a str, &'a str)],
    /// The variables.
    pub env: &'a dyn Fn(&str) -> Option<OsString>,
    /// Settings that count least, and the file that paths in them start from.
    pub blueprint: Option<(&'a Path, &'a Table)>,
}

impl Sources<'_> {
    /// What a program or the command of it that `args` name is told, by them and by these sources.
    ///
    /// # Errors
    /// The first setting that is wrong, or help that was asked for.
    pub fn parse<P: Parser>(&self, args: Vec<OsString>) -> Result<P, SettingError> {
        let mut root = undemanding(P::command());
        root.build();
        // Before anything else, so that a wrong flag is told as such, and `--help` needs no configuration.
        let Ok(matches) = root.clone().try_get_matches_from(&args) else { return Ok(P::try_parse_from(args)?) };
        let (mut command, mut matches, mut depth) = (&root, &matches, 1);
        while let Some((name, inner)) = matches.subcommand() {
            let Some(found) = command.find_subcommand(name) else { break };
            (command, matches, depth) = (found, inner, depth + 1);
        }
        let below = self.below(&root, command, matches)?;
        let (front, own) = args.split_at(depth.min(args.len()));
        Ok(P::try_parse_from(front.iter().chain(&below).chain(own))?)
    }

    /// The flags that all settings for `command` stand for, those that count least first.
    fn below(&self, root: &Command, command: &Command, matches: &ArgMatches) -> Result<Vec<OsString>, SettingError> {
        let set = |name: &str| (self.env)(name).filter(|value| !value.is_empty());
        let variable = |key: &str| format!("{}{}", self.prefix, key.to_uppercase().replace('-', "_"));
        let mut below = Vec::new();
        if let Some((path, settings)) = self.blueprint {
            below.extend(from_table(root, command, path, settings)?);
        }
        let file = matches.try_get_one::<PathBuf>("config").ok().flatten().cloned();
        if let Some(path) = file.or_else(|| set(&variable("config")).map(PathBuf::from)) {
            below.extend(from_file(root, command, &path)?);
        }
        for (key, _) in keys(command).filter(|(key, _)| *key != "config") {
            let aliases = self.aliases.iter().filter(|(of, _)| *of == key).map(|(_, alias)| (*alias).to_owned());
            let mut names = std::iter::once(variable(key)).chain(aliases);
            if let Some((name, value)) = names.find_map(|name| set(&name).map(|value| (name, value))) {
                let flag = flag(key, &value);
                check(command, &flag).map_err(|detail| SettingError::Value { at: name, detail })?;
                below.push(flag);
            }
        }
        Ok(below)
    }
}

/// The same command, satisfied with less: what it needs may come from elsewhere, and is nothing that a flag alone can be blamed for.
fn undemanding(command: Command) -> Command {
    command
        .arg_required_else_help(false)
        .mut_args(|arg| if arg.is_required_set() { arg.required(false) } else { arg })
        .mut_subcommands(undemanding)
}

/// Options of a command that take a value, by their long names.
fn keys(command: &Command) -> impl Iterator<Item = (&str, &Arg)> {
    command
        .get_arguments()
        .filter(|arg| arg.get_action().takes_values())
        .filter_map(|arg| arg.get_long().map(|long| (long, arg)))
}

/// What may stand in a file: the same of all commands of a program that read one, by their names alone.
fn all_keys<'a>(command: &'a Command, into: &mut Vec<&'a str>) {
    let own = || keys(command).map(|(key, _)| key);
    if own().any(|key| key == "config") {
        into.extend(own().filter(|key| *key != "config"));
    }
    for inner in command.get_subcommands() {
        all_keys(inner, into);
    }
}

fn from_file(root: &Command, command: &Command, path: &Path) -> Result<Vec<OsString>, SettingError> {
    let broken = |detail: String| SettingError::File { path: path.to_owned(), detail };
    let text = fs::read_to_string(path).map_err(|error| broken(format!("cannot be read: {error}")))?;
    let table: Table = toml::from_str(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
        broken(format!("line {line}: {}", error.message().replace('\n', ", ")))
    })?;
    from_table(root, command, path, &table)
}

/// The flags that the settings of a table stand for. Keys of other commands of the program are legal and skipped.
fn from_table(root: &Command, command: &Command, path: &Path, table: &Table) -> Result<Vec<OsString>, SettingError> {
    let mut known = Vec::new();
    all_keys(root, &mut known);
    known.sort_unstable();
    known.dedup();
    let mut flags = Vec::new();
    for (written, value) in table {
        let key = written.replace('_', "-");
        if !known.contains(&key.as_str()) {
            let detail = format!("there is no `{written}`; known are {}", known.join(", "));
            return Err(SettingError::File { path: path.to_owned(), detail });
        }
        let Some((_, arg)) = keys(command).find(|(name, _)| *name == key) else { continue };
        let wrong = |detail| SettingError::Value { at: format!("{}, {written}", path.display()), detail };
        let value = match value {
            Value::String(text) if is_path(arg) => beside(path, text),
            Value::String(text) => text.into(),
            Value::Integer(number) => number.to_string().into(),
            Value::Float(number) => number.to_string().into(),
            Value::Boolean(yes) => yes.to_string().into(),
            Value::Array(several) if arg.get_value_delimiter() == Some(',') && several.iter().all(Value::is_str) => {
                several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",").into()
            }
            _ => return Err(wrong("must be text, a number, true or false".to_owned())),
        };
        let flag = flag(&key, &value);
        check(command, &flag).map_err(wrong)?;
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
    let Err(error) = command.clone().try_get_matches_from([OsStr::new(command.get_name()), flag]) else {
        return Ok(());
    };
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.starts_with("For more information")).map(str::trim);
    let one_line = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    Err(one_line.trim_start_matches("error: ").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program whose commands need things, and have commands of their own.
    #[derive(Debug, Parser)]
    #[command(args_override_self = true, arg_required_else_help = true)]
    enum Program {
        Serve(Serve),
        #[command(subcommand)]
        Key(Key),
        Check {
            #[arg(long, default_value_t = 1)]
            depth: u8,
            file: PathBuf,
        },
    }

    #[derive(Debug, clap::Args)]
    struct Serve {
        #[arg(long)]
        config: Option<PathBuf>,
        #[arg(long)]
        secret: String,
        #[arg(long, default_value_t = 1)]
        port: u16,
    }

    #[derive(Debug, clap::Subcommand)]
    enum Key {
        Add {
            #[arg(long)]
            config: Option<PathBuf>,
            #[arg(long)]
            owner: String,
            file: PathBuf,
        },
    }

    fn parse(words: &str, variables: &[(&str, &str)]) -> Result<Program, SettingError> {
        let env = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        let aliases = [("secret", "OLD_SECRET"), ("secret", "OLDER_SECRET")];
        let sources = Sources { prefix: "TEST_", aliases: &aliases, env: &env, blueprint: None };
        sources.parse(words.split(' ').map(OsString::from).collect())
    }

    fn secret(words: &str, variables: &[(&str, &str)]) -> String {
        match parse(words, variables).unwrap() {
            Program::Serve(serve) => serve.secret,
            _ => unreachable!("serve was asked for"),
        }
    }

    #[test]
    fn what_a_command_needs_may_come_from_the_file_or_a_variable() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.toml");
        fs::write(&path, "secret = \"of the file\"\nowner = \"of another command\"\n").unwrap();
        let words = format!("test serve --config {}", path.display());
        assert_eq!(secret(&words, &[]), "of the file");
        assert_eq!(secret("test serve", &[("TEST_CONFIG", path.to_str().unwrap())]), "of the file");
        assert_eq!(secret(&words, &[("TEST_SECRET", "of a variable"), ("TEST_PORT", "2")]), "of a variable");
        assert_eq!(secret(&format!("{words} --secret own"), &[("TEST_SECRET", "of a variable")]), "own");
        assert!(parse("test serve", &[]).unwrap_err().to_string().contains("--secret"));
    }

    #[test]
    fn our_own_variable_counts_more_than_older_ones_and_empty_ones_count_nothing() {
        let older = ("OLDER_SECRET", "older");
        assert_eq!(secret("test serve", &[older]), "older");
        assert_eq!(secret("test serve", &[older, ("OLD_SECRET", "old")]), "old");
        assert_eq!(secret("test serve", &[older, ("OLD_SECRET", "")]), "older");
        assert_eq!(secret("test serve", &[older, ("TEST_SECRET", "ours")]), "ours");
    }

    #[test]
    fn commands_of_commands_have_their_variables_and_keep_their_words() {
        let Program::Key(Key::Add { owner, file, .. }) = parse("test key add f", &[("TEST_OWNER", "alice")]).unwrap()
        else {
            unreachable!("key add was asked for")
        };
        assert_eq!((owner.as_str(), file.as_path()), ("alice", Path::new("f")));
        let error = parse("test serve", &[("TEST_SECRET", "s"), ("TEST_PORT", "many")]).unwrap_err().to_string();
        assert!(error.starts_with("TEST_PORT: ") && error.contains("'many'"), "{error}");
    }

    #[test]
    fn commands_that_read_no_file_have_variables_only() {
        let depth = |words: &str, variables: &[(&str, &str)]| match parse(words, variables).unwrap() {
            Program::Check { depth, .. } => depth,
            _ => unreachable!("check was asked for"),
        };
        assert_eq!(depth("test check f", &[]), 1);
        assert_eq!(depth("test check f", &[("TEST_DEPTH", "2")]), 2);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.toml");
        fs::write(&path, "depth = 2\n").unwrap();
        let error = parse(&format!("test serve --config {}", path.display()), &[]).unwrap_err().to_string();
        assert!(error.ends_with("there is no `depth`; known are owner, port, secret"), "{error}");
    }

    #[test]
    fn a_wrong_flag_and_the_wish_for_help_come_before_all_settings() {
        let broken = [("TEST_PORT", "many"), ("TEST_CONFIG", "/nowhere.toml")];
        for words in ["test serve --help", "test key", "test", "test serve --prot 1"] {
            let error = parse(words, &broken).unwrap_err();
            assert!(matches!(error, SettingError::Flags(_)), "{words}: {error}");
        }
    }
}
