//! `cargo xtask hosted`: broker, SFU and a simulated robot that dials them, to be driven from a page.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};
use std::{fs, io};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::{child, setup, web, workspace};

const OPERATOR: &str = "operator@waldo.local";
const ROBOT: &str = "simulated robot";

/// How long the broker may take until it answers.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long both may take to say goodbye.
const FAREWELL: Duration = Duration::from_secs(10);

/// How a robot is tried; `robot` are arguments of `waldo hosted`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What the operator moves: the arms, or the base
    #[arg(long, value_enum, default_value = "twist")]
    kind: Kind,
    /// The broker's port; the page is there too
    #[arg(long, default_value_t = 8450)]
    port: u16,
    /// Arguments of `waldo hosted`, for example `--sim-size 320x240`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    robot: Vec<OsString>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Kind {
    Arm,
    Twist,
}

/// Builds what is not up to date, starts both programs, and waits for Ctrl-C.
///
/// # Errors
/// If something is missing, a build fails, or one of them ends by itself.
pub(crate) fn run(args: &Args) -> Result<()> {
    let toolbox = setup::ensure(setup::NATIVE)?;
    web::build()?;
    let build = ["build", "--release", "--package", "waldo-server", "--package", "waldo-broker"];
    let mut build = toolbox.cargo(&build);
    build.args(["--bin", "waldo", "--bin", "waldo-broker"]);
    child::watch("building broker and robot", build)?;

    let target = workspace::target_dir()?;
    let (waldo, broker) = (target.join("release/waldo"), target.join("release/waldo-broker"));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
    if TcpStream::connect(address).is_ok() {
        bail!("something answers on port {} already; choose another one with --port", args.port);
    }
    // Begun anew each time, as password and key are: keys of earlier runs would pile up until the broker takes no more.
    let data = target.join("hosted").join(args.port.to_string());
    match fs::remove_dir_all(&data) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("cannot empty {}", data.display()));
        }
        _ => {}
    }
    let password = said(&broker, &["user", "add", OPERATOR, "--generate"], &data)?;
    let key = said(&broker, &["key", "add", "--owner", OPERATOR, "--name", ROBOT], &data)?;

    let (sender, interrupted) = sync_channel(1);
    // Without this Ctrl-C would end xtask before the two, which then say their last words into the next prompt.
    let pressed = move || {
        let _ = sender.try_send(());
    };
    ctrlc::set_handler(pressed).context("Ctrl-C cannot be waited for")?;
    let mut serve = child::command(&broker);
    serve.arg("serve").arg("--data-dir").arg(&data).arg("--listen").arg(address.to_string());
    let mut running = vec![("the broker", start(serve)?)];
    let outcome = wait_for(address, &mut running, &interrupted).and_then(|answers| {
        if !answers {
            return Ok(());
        }
        let mut robot = child::command(&waldo);
        robot.arg("hosted").arg(match args.kind {
            Kind::Arm => "arm",
            Kind::Twist => "twist",
        });
        robot.args(["--hosted-broker", &format!("http://{address}"), "--hosted-name", ROBOT, "--hosted-id", "sim"]);
        robot.args(&args.robot).env("WALDO_HOSTED_KEY", &key);
        running.push(("the robot", start(robot)?));
        eprintln!("\n    page      http://{address}\n    e-mail    {OPERATOR}\n    password  {password}\n");
        eprintln!("Log in, connect to \"{ROBOT}\", and drive it with W, A, S, D. Ctrl-C ends all.\n");
        until_interrupted(&mut running, &interrupted)
    });
    end(running);
    outcome
}

/// What a command of the broker prints on its standard output.
fn said(broker: &Path, args: &[&str], data: &Path) -> Result<String> {
    let mut command = child::command(broker);
    command.args(args).arg("--data-dir").arg(data);
    let output = command.output().with_context(|| format!("cannot start {}", broker.display()))?;
    if !output.status.success() {
        bail!("`waldo-broker {}` failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Starts one in a process group of its own: Ctrl-C reaches xtask alone, which then ends them in order.
fn start(mut command: Command) -> Result<Child> {
    command.process_group(0);
    command.spawn().with_context(|| format!("cannot start {}", command.get_program().to_string_lossy()))
}

/// Waits until the broker answers; false if Ctrl-C came first.
fn wait_for(address: SocketAddr, running: &mut [(&str, Child)], interrupted: &Receiver<()>) -> Result<bool> {
    let started = Instant::now();
    while TcpStream::connect(address).is_err() {
        if !goes_on(running, interrupted)? {
            return Ok(false);
        }
        if started.elapsed() > PATIENCE {
            bail!("the broker does not answer on {address}");
        }
    }
    Ok(true)
}

fn until_interrupted(running: &mut [(&str, Child)], interrupted: &Receiver<()>) -> Result<()> {
    while goes_on(running, interrupted)? {}
    Ok(())
}

/// A short wait; false once Ctrl-C was pressed.
fn goes_on(running: &mut [(&str, Child)], interrupted: &Receiver<()>) -> Result<bool> {
    match interrupted.recv_timeout(Duration::from_millis(100)) {
        Err(RecvTimeoutError::Timeout) => {}
        Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(false),
    }
    for (name, child) in running {
        if let Some(status) = child.try_wait()? {
            bail!("{name} ended: {status}");
        }
    }
    Ok(true)
}

/// Ends them, the robot first, so that it can still tell the broker that it goes.
fn end(running: Vec<(&str, Child)>) {
    for (name, mut child) in running.into_iter().rev() {
        if let Ok(id) = i32::try_from(child.id()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
        let asked = Instant::now();
        while matches!(child.try_wait(), Ok(None)) {
            if asked.elapsed() > FAREWELL {
                eprintln!("{name} does not end by itself");
                let _ = child.kill().and_then(|()| child.wait());
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
