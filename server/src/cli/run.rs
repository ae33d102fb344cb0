//! `waldo run`: a command with its settings under one name.
//!
//! A blueprint is a table: `command`, which is `hosted arm`, `hosted twist` or `serve`; `settings` with the keys of a
//! configuration file; `modules` to add; `blueprint`, another one to begin with. Its settings count less than the
//! configuration file, variables and flags.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

/// The blueprints that have a name.
const BUILT_IN: &str = include_str!("run/blueprints.toml");

/// Modules that can be added, and the settings that they are.
const MODULES: [(&str, &str, &str); 2] =
    [("hosted-teleop-recorder", "record", "hosted"), ("teleop-recorder", "record", "teleop")];

/// Options of DimOS that have other names here.
const RENAMED: [(&str, &str); 5] = [
    ("broker-url", "hosted-broker"),
    ("robot-id", "hosted-id"),
    ("robot-name", "hosted-name"),
    ("robot-type", "hosted-robot-type"),
    ("stun-url", "hosted-stun"),
];

/// The one encoding of pictures for operators far away.
const CODEC: &str = "h264";

/// Blueprints that begin with another one, one after the other, at most.
const MAX_DEPTH: usize = 8;

/// Why nothing is run.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct NoRun(String);

/// What a `run` stands for.
#[derive(Debug, PartialEq)]
pub(super) struct Expanded {
    /// The command line of that command.
    pub(super) args: Vec<OsString>,
    /// Its settings, and the file that paths in them start from.
    pub(super) settings: (PathBuf, Table),
}

/// The names of all blueprints.
pub(super) fn names() -> Vec<String> {
    built_in().keys().cloned().collect()
}

/// The command line that `waldo run …` stands for; `None` if it is no `run`, or one that only asks for help.
pub(super) fn expand(args: &[OsString]) -> Result<Option<Expanded>, NoRun> {
    let [program, word, rest @ ..] = args else { return Ok(None) };
    if word != "run" || rest.is_empty() || rest.iter().any(|arg| arg == "--help" || arg == "-h") {
        return Ok(None);
    }
    let simulated = rest.iter().any(|arg| arg == "--simulation");
    let mut rest = rest.iter().filter(|arg| *arg != "--simulation").peekable();
    let is_flag = |arg: &OsStr| arg.to_string_lossy().starts_with('-');
    let name =
        rest.next().filter(|name| !is_flag(name)).ok_or_else(|| NoRun(which("which blueprint shall be run?")))?;
    let mut blueprint = Blueprint::find(name, 0)?;
    while let Some(module) = rest.next_if(|arg| !is_flag(arg)) {
        blueprint.add(&module.to_string_lossy())?;
    }
    if !(simulated || blueprint.simulation) {
        return Err(NoRun(
            "this program has the simulated robot only: add --simulation. A program of your own robot has the options of \
            `waldo serve`"
                .to_owned(),
        ));
    }
    let mut expanded = vec![program.clone()];
    expanded.extend(blueprint.command.iter().map(OsString::from));
    for arg in rest {
        expanded.extend(renamed(arg)?);
    }
    let settings = (blueprint.file, blueprint.settings);
    Ok(Some(Expanded { args: expanded, settings }))
}

/// The question with all names.
fn which(question: &str) -> String {
    format!("{question} There are {}, and files that end in .toml", names().join(", "))
}

/// `--module.some_option=value`, as DimOS writes options, as `--some-option=value`; none for what is so anyway.
fn renamed(arg: &OsStr) -> Result<Option<OsString>, NoRun> {
    let unchanged = || Ok(Some(arg.to_owned()));
    let Some(option) = arg.to_str().and_then(|arg| arg.strip_prefix("--")) else { return unchanged() };
    let (key, value) = option.split_once('=').map_or((option, None), |(key, value)| (key, Some(value)));
    let Some((_, key)) = key.rsplit_once('.') else { return unchanged() };
    let key = key.replace('_', "-");
    if key == "api-key" {
        return Err(NoRun(
            "the robot's key is for no command line, where everybody on this computer sees it: put it into the variable \
            TRANSPORTS__BROKER__API_KEY or into a file for --hosted-key-file"
                .to_owned(),
        ));
    }
    if key == "video-codec" {
        let fits = value.is_some_and(|value| value.eq_ignore_ascii_case(CODEC));
        return if fits { Ok(None) } else { Err(NoRun(format!("operators far away get {CODEC} and nothing else"))) };
    }
    let key = RENAMED.iter().find(|(theirs, _)| *theirs == key).map_or(key.as_str(), |(_, ours)| ours);
    Ok(Some(value.map_or_else(|| format!("--{key}"), |value| format!("--{key}={value}")).into()))
}

fn built_in() -> Table {
    toml::from_str(BUILT_IN).expect("a test reads all of them")
}

/// A command and its settings.
#[derive(Debug, Default)]
struct Blueprint {
    command: Vec<String>,
    settings: Table,
    simulation: bool,
    /// Where it stands; empty for one that has a name.
    file: PathBuf,
}

impl Blueprint {
    fn find(name: &OsStr, depth: usize) -> Result<Self, NoRun> {
        let path = Path::new(name);
        if path.extension().is_some_and(|extension| extension == "toml") {
            let wrong = |detail: String| NoRun(format!("{}: {detail}", path.display()));
            let text = fs::read_to_string(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
            let table = toml::from_str(&text).map_err(|error| wrong(error.message().replace('\n', ", ")))?;
            return Self::read(table, path, depth).map_err(|NoRun(detail)| wrong(detail));
        }
        match built_in().remove(&*name.to_string_lossy()) {
            Some(Value::Table(table)) => Self::read(table, Path::new(""), depth),
            _ => Err(NoRun(which(&format!("there is no blueprint `{}`.", name.to_string_lossy())))),
        }
    }

    fn read(table: Table, file: &Path, depth: usize) -> Result<Self, NoRun> {
        if depth > MAX_DEPTH {
            return Err(NoRun("it begins with blueprints that begin with each other".to_owned()));
        }
        let base = table.get("blueprint").map(|name| match name {
            Value::String(name) if name.ends_with(".toml") => {
                Self::find(file.with_file_name(name).as_os_str(), depth + 1)
            }
            Value::String(name) => Self::find(name.as_ref(), depth + 1),
            _ => Err(NoRun("`blueprint` must be a name".to_owned())),
        });
        let mut own = base.transpose()?.unwrap_or_default();
        own.file = file.to_owned();
        for (key, value) in table {
            match (key.as_str(), value) {
                ("blueprint", _) => {}
                ("command", Value::String(command)) => own.command = command_of(&command)?,
                ("simulation", Value::Boolean(simulation)) => own.simulation = simulation,
                ("settings", Value::Table(settings)) => own.settings.extend(settings),
                ("modules", Value::Array(modules)) => {
                    for module in modules {
                        own.add(module.as_str().unwrap_or_default())?;
                    }
                }
                ("command" | "simulation" | "settings" | "modules", _) => {
                    return Err(NoRun(format!("`{key}` is of the wrong kind")));
                }
                _ => {
                    let known = "blueprint, command, simulation, settings and modules";
                    return Err(NoRun(format!("there is no `{key}`; known are {known}")));
                }
            }
        }
        if own.command.is_empty() {
            return Err(NoRun("it needs a `command`, or a `blueprint` to begin with".to_owned()));
        }
        Ok(own)
    }

    fn add(&mut self, module: &str) -> Result<(), NoRun> {
        let Some((_, key, value)) = MODULES.iter().find(|(name, ..)| *name == module) else {
            let known: Vec<_> = MODULES.iter().map(|(name, ..)| *name).collect();
            return Err(NoRun(format!("there is no module `{module}`; known are {}", known.join(", "))));
        };
        self.settings.insert((*key).to_owned(), (*value).into());
        Ok(())
    }
}

fn command_of(text: &str) -> Result<Vec<String>, NoRun> {
    let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
    let words_are = |expected: &[&str]| words == expected;
    if words_are(&["hosted", "arm"]) || words_are(&["hosted", "twist"]) || words_are(&["serve"]) {
        return Ok(words);
    }
    Err(NoRun(format!("`{text}` is no command to run; there are hosted arm, hosted twist and serve")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> Result<Option<Expanded>, NoRun> {
        let args: Vec<_> = ["waldo", "run"].iter().chain(args).map(OsString::from).collect();
        expand(&args)
    }

    fn expanded(args: &[&str]) -> (String, Table) {
        let expanded = run(args).unwrap().unwrap();
        let args: Vec<_> = expanded.args.iter().map(|arg| arg.to_str().unwrap()).collect();
        (args.join(" "), expanded.settings.1)
    }

    #[test]
    fn every_named_blueprint_is_one() {
        for name in names() {
            let (args, _) = expanded(&[&name, "--simulation"]);
            assert!(args.starts_with("waldo hosted ") || args == "waldo serve", "{name}: {args}");
        }
        assert_eq!(names().len(), 12);
    }

    #[test]
    fn a_blueprint_is_a_command_with_settings_below_the_flags() {
        let (args, settings) = expanded(&["teleop-hosted-go2", "--simulation", "--hosted-broker", "http://b"]);
        assert_eq!(args, "waldo hosted twist --hosted-broker http://b");
        assert_eq!(settings["twist-units"].as_str(), Some("normalized"));
        let (args, settings) = expanded(&["teleop-hosted-xarm7", "hosted-teleop-recorder", "--simulation"]);
        assert_eq!((args.as_str(), settings["record"].as_str()), ("waldo hosted arm", Some("hosted")));
    }

    #[test]
    fn options_of_modules_are_written_as_users_of_dimos_are_used_to() {
        let (args, _) = expanded(&[
            "teleop-hosted-go2-transport",
            "--simulation",
            "--hostedstatsmodule.telemetry-hz=5",
            "--transports.broker.robot_name=r2",
            "--transports.broker.video_codec=h264",
            "--map-hz",
            "1.5",
        ]);
        assert_eq!(args, "waldo hosted twist --telemetry-hz=5 --hosted-name=r2 --map-hz 1.5");
        let error = run(&["teleop-hosted-go2", "--simulation", "--transports.broker.api_key=dtk_live_x"]).unwrap_err();
        assert!(error.0.contains("TRANSPORTS__BROKER__API_KEY") && !error.0.contains("dtk_live"), "{error}");
        let error = run(&["teleop-hosted-go2", "--simulation", "--transports.broker.video_codec=vp8"]).unwrap_err();
        assert!(error.0.contains("h264"), "{error}");
    }

    #[test]
    fn what_is_wrong_is_named_with_what_there_is() {
        for (args, expected) in [
            (&["teleop-moon"][..], "teleop-hosted-xarm7"),
            (&["--simulation"], "which blueprint"),
            (&["teleop-hosted-go2"], "--simulation"),
            (&["teleop-hosted-go2", "dancer", "--simulation"], "hosted-teleop-recorder"),
            (&["/nowhere/a.toml", "--simulation"], "/nowhere/a.toml"),
        ] {
            let error = run(args).unwrap_err();
            assert!(error.0.contains(expected), "{args:?}: {error}");
        }
        assert_eq!(run(&["--help"]), Ok(None));
        assert_eq!(expand(&["waldo".into(), "serve".into()]), Ok(None));
    }

    #[test]
    fn a_file_of_ones_own_begins_with_another_blueprint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.toml");
        let write = |text: &str| fs::write(&path, text).unwrap();
        let name = path.to_str().unwrap();
        write(
            "blueprint = \"teleop-hosted-xarm7\"\nmodules = [\"teleop-recorder\"]\nsimulation = true\n\
            [settings]\nhosted-broker = \"http://b\"\n",
        );
        let (args, settings) = expanded(&[name]);
        assert_eq!(args, "waldo hosted arm");
        let text = |key: &str| settings[key].as_str();
        assert_eq!((text("hosted-broker"), text("record")), (Some("http://b"), Some("teleop")));
        assert!(settings["hosted-cameras"].is_array());
        for (wrong, expected) in [
            ("settings = 1", "wrong kind"),
            ("color = 1", "there is no `color`"),
            ("command = \"rm\"", "hosted twist"),
            ("simulation = true", "needs a `command`"),
            ("a = ", "mine.toml"),
            ("blueprint = \"mine.toml\"", "begin with each other"),
        ] {
            write(wrong);
            let error = run(&[name, "--simulation"]).unwrap_err();
            assert!(error.0.contains(expected), "{wrong}: {error}");
        }
    }
}
