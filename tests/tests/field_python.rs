//! The field against the second implementation of its wire, in `tests/python`, which knows nothing of this one.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use waldo_server::field::{FieldConfig, FieldServer, MultiArmPassThroughBackend};

#[test]
fn users_spectators_and_publishers_in_python_see_what_the_wire_describes() -> Result<()> {
    let server = FieldServer::new(FieldConfig { listen: Some(([127, 0, 0, 1], 0).into()), ..FieldConfig::default() });
    server.start(Box::new(MultiArmPassThroughBackend::new()))?;
    let url = format!("ws://{}", server.addr().context("it listens")?);
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(3).context("this test lies outside of a build directory")?;
    let python = target.join("python/bin/python");
    ensure!(python.is_file(), "there is no {}: please run `cargo xtask setup`", python.display());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let mut command = std::process::Command::new(python);
    command.args(["-B", "-m", "waldo_field.check", &url]).current_dir(folder).env_remove("PYTHONPATH");
    let output = command.output()?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(said.lines().count() == 3, "{said}");
    Ok(())
}
