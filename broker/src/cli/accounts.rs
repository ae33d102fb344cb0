//! `waldo-broker user …` and `waldo-broker key …`, also while the broker runs.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::{Context, bail};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::args::{AddKey, AddUser, ChangePassword, DataArgs};
use crate::auth::{Passwords, PlainKey, Role, Strength, add_user as add, set_password};
use crate::broker::open;
use crate::store::Store;

/// Characters of a generated password: none that look alike.
const LETTERS: &[u8] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// How many of them: 100 bits.
const LENGTH: usize = 20;

pub(super) fn add_user(args: &AddUser) -> anyhow::Result<()> {
    args.data.start_log();
    let password = password(args.generate)?;
    let role = if args.admin { Role::Admin } else { Role::Operator };
    with_store(&args.data, async |store| {
        let passwords = Passwords::new(Strength::Recommended);
        if add(&store, &passwords, &args.email, &password, role).await?.is_some() {
            say(&format!("made the account {}", args.email));
        } else if args.replace {
            set_password(&store, &passwords, &args.email, &password).await?;
            say(&format!("changed the password of {}; who was logged in must log in again", args.email));
        } else {
            bail!("there is an account {}: `user passwd` changes its password, and so does --replace", args.email);
        }
        Ok(())
    })?;
    show_generated(args.generate, &password)
}

pub(super) fn change_password(args: &ChangePassword) -> anyhow::Result<()> {
    args.data.start_log();
    let password = password(args.generate)?;
    with_store(&args.data, async |store| {
        let passwords = Passwords::new(Strength::Recommended);
        if !set_password(&store, &passwords, &args.email, &password).await? {
            bail!("there is no account {}: `waldo-broker user add` makes one", args.email);
        }
        say(&format!("changed the password of {}; who was logged in must log in again", args.email));
        Ok(())
    })?;
    show_generated(args.generate, &password)
}

pub(super) fn add_key(args: &AddKey) -> anyhow::Result<()> {
    args.data.start_log();
    let key = PlainKey::new(args.dev)?;
    with_store(&args.data, async |store| {
        let owner = args.owner.trim().to_lowercase();
        if store.user(&owner).await?.is_none() {
            say(&format!("{owner} has no account here: who logs in under this name will see the robot"));
        }
        key.keep(&store, &owner, &args.name, None).await?.context("the store has this key already")?;
        say(&format!("made a key for a robot of {owner}; it cannot be shown again"));
        Ok(())
    })?;
    Ok(writeln!(io::stdout(), "{}", key.reveal())?)
}

/// Words for people; what programs read goes to stdout.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

fn show_generated(generated: bool, password: &str) -> anyhow::Result<()> {
    if generated {
        writeln!(io::stdout(), "{password}")?;
    }
    Ok(())
}

fn with_store(args: &DataArgs, act: impl AsyncFnOnce(Store) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = open(&args.settings()).await?;
        let done = act(store.clone()).await;
        store.close().await;
        done
    })
}

/// A new password, or the one that is typed or piped in.
fn password(generate: bool) -> anyhow::Result<String> {
    if generate {
        let mut bytes = [0; LENGTH];
        getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
        return Ok(bytes.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect());
    }
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return line(&mut stdin.lock());
    }
    let first = hidden("Password: ")?;
    if hidden("Again: ")? != first {
        bail!("the two passwords differ");
    }
    Ok(first)
}

fn line(input: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        bail!("no password was given: type one, or pipe it in, or say --generate");
    }
    Ok(password)
}

/// A line from the terminal that does not appear on it.
fn hidden(prompt: &str) -> anyhow::Result<String> {
    let stdin = io::stdin();
    write!(io::stderr(), "{prompt}")?;
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let read = line(&mut stdin.lock());
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    writeln!(io::stderr())?;
    read
}
