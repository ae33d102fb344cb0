//! Hosted teleoperation against the second implementation of its wire, in `tests/python`, which knows nothing of this one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use waldo_broker::Broker;
use waldo_server::config::{HostedKind, HostedSettings, RobotKey, Settings};
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::serve::Waldo;
use waldo_tests::robot::local;

const OPERATOR: &str = "operator@example.org";
const PASSWORD: &str = "open the pod bay doors";

fn python() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(3).context("this test lies outside of a build directory")?;
    let python = target.join("python/bin/python");
    ensure!(python.is_file(), "there is no {}: please run `cargo xtask setup`", python.display());
    Ok(python)
}

fn check(args: &[&str]) -> Result<Command> {
    let mut command = Command::new(python()?);
    command.args(["-B", "-m", "waldo_hosted.check"]).args(args).env_remove("PYTHONPATH");
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("python"));
    Ok(command)
}

#[tokio::test(flavor = "multi_thread")]
async fn robots_and_operators_in_python_meet_at_the_broker() -> Result<()> {
    let data = tempfile::tempdir()?;
    let broker = Broker::start(waldo_broker::Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: data.path().to_owned(),
        ..waldo_broker::Settings::default()
    })
    .await?;
    broker.add_user(OPERATOR, PASSWORD).await?;
    let key = broker.add_key(OPERATOR, "python").await?;
    let mut command = check(&["broker", &broker.url(), key.reveal(), OPERATOR, PASSWORD])?;
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(said.lines().count() == 4, "{said}");
    broker.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_robot_dials_and_obeys_a_broker_in_python() -> Result<()> {
    let mut rehearsal =
        check(&["robot"])?.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(rehearsal.stdout.take().context("a pipe")?).lines();
    let mut next = move || lines.next().context("it has ended")?.context("it says something");
    let place: Value = serde_json::from_str(&next()?)?;
    let (url, key) = (place["url"].as_str().context("a URL")?, place["key"].as_str().context("a key")?);
    let data = tempfile::tempdir()?;
    let key = RobotKey::parse(key).map_err(anyhow::Error::msg)?;
    let hosted = Some(HostedSettings::new(url, key, HostedKind::Twist));
    let waldo =
        Waldo::start(Settings { hosted, ..local(data.path()) }, Box::new(SimRobot::new(SimOptions::default()))).await?;
    let watched = tokio::task::spawn_blocking(move || -> Result<_> {
        let said = (0..3).map(|_| next()).collect::<Result<Vec<_>>>();
        Ok((said, next))
    });
    let (said, next) = watched.await??;
    waldo.stop().await;
    if said.is_ok() {
        // It waits for this before it looks whether the robot said goodbye.
        drop(rehearsal.stdin.take());
        tokio::task::spawn_blocking(next).await??;
    }
    let output = tokio::task::spawn_blocking(move || rehearsal.wait_with_output()).await??;
    if !output.status.success() {
        bail!("{said:?}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
