//! Commands and flags.

mod engine;
mod serve;

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueHint};
use waldo_program::log::{self, LogFormat};

pub(super) use self::engine::SfuArgs;
pub(super) use self::serve::ServeArgs;
use crate::settings::{Settings, default_data_dir};

const ABOUT_SETTINGS: &str = "Every option can also be given as a variable (--data-dir as WALDO_BROKER_DATA_DIR) or in \
     the file of --config (data-dir = \"…\"). A flag counts more than a variable, a variable more than the file.";

/// Introduce robots and operators to each other over the internet.
#[derive(Debug, Parser)]
#[command(name = "waldo-broker", version, arg_required_else_help = true, args_override_self = true)]
pub(super) struct Program {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Answer robots and operators until Ctrl-C
    #[command(after_help = ABOUT_SETTINGS)]
    Serve(Box<ServeArgs>),
    /// Only forward pictures and commands, for brokers with `--sfu process:URL`
    #[command(after_help = ABOUT_SETTINGS)]
    Sfu(Box<SfuArgs>),
    /// Accounts of operators
    #[command(arg_required_else_help = true)]
    User(UserArgs),
    /// Keys of robots
    #[command(arg_required_else_help = true)]
    Key(KeyArgs),
}

#[derive(Debug, Args)]
pub(super) struct UserArgs {
    #[command(subcommand)]
    pub(super) action: UserAction,
}

#[derive(Debug, Subcommand)]
pub(super) enum UserAction {
    /// Make an account
    #[command(after_help = ABOUT_SETTINGS)]
    Add(AddUser),
    /// Change a password; all tokens of the account are void then
    #[command(after_help = ABOUT_SETTINGS)]
    Passwd(ChangePassword),
}

#[derive(Debug, Args)]
pub(super) struct KeyArgs {
    #[command(subcommand)]
    pub(super) action: KeyAction,
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyAction {
    /// Make a key; it is shown this once
    #[command(after_help = ABOUT_SETTINGS)]
    Add(AddKey),
}

/// Where everything is kept.
#[derive(Debug, Args)]
pub(super) struct DataArgs {
    /// Settings file (TOML)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    config: Option<PathBuf>,
    /// Where the database and a certificate are kept
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, default_value_os_t = default_data_dir())]
    pub(super) data_dir: PathBuf,
    /// `sqlite:…` or `postgres://…`, instead of a file in the data folder
    #[arg(long, value_name = "URL")]
    pub(super) database_url: Option<String>,
    /// What to log: error, warn, info, debug, trace, or a filter such as `info,waldo_broker=debug`
    #[arg(long, default_value = "info", value_parser = log::filter)]
    log: String,
    /// How to log
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

impl DataArgs {
    pub(super) fn start_log(&self) {
        log::init(&self.log, self.log_format);
    }

    /// Settings that only say where the data is.
    pub(super) fn settings(&self) -> Settings {
        Settings { data_dir: self.data_dir.clone(), database_url: self.database_url.clone(), ..Settings::default() }
    }
}

#[derive(Debug, Args)]
pub(super) struct AddUser {
    /// E-mail address
    pub(super) email: String,
    /// Make a password and print it; without, it is read from the terminal or the first line of the input
    #[arg(long)]
    pub(super) generate: bool,
    /// If there is such an account, change its password
    #[arg(long)]
    pub(super) replace: bool,
    /// May see and operate the robots of all
    #[arg(long)]
    pub(super) admin: bool,
    #[command(flatten)]
    pub(super) data: DataArgs,
}

#[derive(Debug, Args)]
pub(super) struct ChangePassword {
    /// E-mail address
    pub(super) email: String,
    /// Make a password and print it; without, it is read from the terminal or the first line of the input
    #[arg(long)]
    pub(super) generate: bool,
    #[command(flatten)]
    pub(super) data: DataArgs,
}

#[derive(Debug, Args)]
pub(super) struct AddKey {
    /// E-mail address of whose robot it is
    #[arg(long, value_name = "EMAIL")]
    pub(super) owner: String,
    /// A label
    #[arg(long, default_value = "robot")]
    pub(super) name: String,
    /// A key for development: `dtk_dev_…`
    #[arg(long, action = ArgAction::SetTrue)]
    pub(super) dev: bool,
    #[command(flatten)]
    pub(super) data: DataArgs,
}
