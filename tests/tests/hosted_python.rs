//! Hosted teleoperation against the second implementation of its wire, in `tests/python`, which knows nothing of this one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use waldo_broker::{Broker, Settings};
use waldo_tests::process::{Child, waldo};

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
    let broker = Broker::start(Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: data.path().to_owned(),
        ..Settings::default()
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
