//! The program `waldo serve` with policies over Zenoh, as a person starts it, and our client in another process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use waldo_policy_client::{Options, PolicyClient};
use waldo_server::tls;
use waldo_tests::plain_zenoh::{PATIENCE, free_locator};
use waldo_tests::robot::local;

/// The program, killed when dropped.
struct Program {
    child: Child,
    data: TempDir,
}

impl Program {
    /// `waldo serve` with policies on that endpoint of Zenoh; returns when it says that it serves them there.
    fn serve(endpoint: &str) -> Result<Self> {
        let data = TempDir::new()?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_program"));
        command.args(["serve", "--bind", "127.0.0.1", "--port", "0", "--policy-port", "0", "--mdns=false"]);
        command.arg("--data-dir").arg(data.path()).args(["--policy-zenoh", endpoint]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().context("a pipe")?;
        let program = Self { child, data };
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        lines.find(|line| line.contains(endpoint)).context("it ended before it told where policies reach it")?;
        // What it says later has a reader as well.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(program)
    }

    /// Its certificate, as a person copies it to the policy's computer.
    fn certificate(&self) -> Result<String> {
        let (identity, _) = tls::certificate(&local(self.data.path()))?;
        Ok(fs::read_to_string(identity.certfile())?)
    }

    /// Whether it holds memory that a client shares with it.
    fn shares_memory(&self) -> Result<bool> {
        let files = fs::read_dir(format!("/proc/{}/fd", self.child.id()))?;
        Ok(files
            .flatten()
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|link| link.to_str().is_some_and(|name| name.starts_with("/memfd:waldo-policy-"))))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Looks and acts.
async fn drives(client: &PolicyClient) -> Result<()> {
    let (first, _) = client.reset().await?;
    let shape = client.metadata().await?.data.get("action_shape").map(ToString::to_string);
    ensure!(shape.as_deref() == Some("[16]"), "{shape:?}");
    client.send_action([0.0_f32; 16]).await?;
    client.start_obs_stream(30.0)?;
    let mut version = 0;
    for _ in 0..10 {
        let latest = client.newer_obs(version, PATIENCE).await?;
        version = latest.version;
        ensure!(latest.observation.cameras().count() == first.cameras().count());
        for camera in latest.observation.cameras() {
            let image = camera.image()?;
            ensure!(
                image.len() > 100_000 && image.iter().any(|value| *value != 0),
                "{}: {:?}",
                camera.name(),
                image.dim()
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_trusts_the_programs_certificate_drives_it_over_tls_and_no_other_does() -> Result<()> {
    let endpoint = free_locator()?.replace("tcp/", "tls/");
    let program = tokio::task::block_in_place(|| Program::serve(&endpoint))?;
    let options = |ca, limit| Options { zenoh_ca: ca, connect_timeout: Some(limit), ..Options::default() };
    let client = PolicyClient::connect(&endpoint, options(Some(program.certificate()?), PATIENCE)).await?;
    drives(&client).await?;
    client.close().await;

    let stranger = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?.cert.pem();
    let refused = PolicyClient::connect(&endpoint, options(Some(stranger), Duration::from_secs(12))).await;
    let refused = refused.err().context("it trusts the wrong certificate")?.to_string();
    ensure!(refused.ends_with("with a certificate that is trusted"), "{refused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_a_program_on_this_computer_come_through_shared_memory() -> Result<()> {
    let endpoint = free_locator()?;
    let program = tokio::task::block_in_place(|| Program::serve(&endpoint))?;
    for shared_memory in [true, false] {
        let options = Options { connect_timeout: Some(PATIENCE), shared_memory, ..Options::default() };
        let client = PolicyClient::connect(&endpoint, options).await?;
        drives(&client).await?;
        ensure!(program.shares_memory()? == shared_memory);
        client.close().await;
        let start = std::time::Instant::now();
        while program.shares_memory()? {
            ensure!(start.elapsed() < PATIENCE, "it keeps the memory of a client that is gone");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}
