//! A whole Waldo in this process: the real services on a free port, with the simulated robot.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use glam::DVec3;
use tempfile::TempDir;
use tokio_rustls::TlsConnector;
use waldo_server::config::{FieldSettings, PolicySettings, Settings};
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::serve::Waldo;

use crate::client::{Client, PATIENCE, trusting};

/// Settings of a server that only this machine reaches, on a free port, with its own data folder. It serves neither policies nor a field.
pub fn local(data: &Path) -> Settings {
    Settings {
        bind: Ipv4Addr::LOCALHOST.into(),
        port: 0,
        data_dir: data.to_owned(),
        mdns: false,
        policy: PolicySettings::off(),
        field: FieldSettings::off(),
        ..Settings::default()
    }
}

/// The same with policies, on a free port of this machine.
pub fn with_policies(data: &Path) -> Settings {
    Settings { policy: PolicySettings { port: Some(0), ..PolicySettings::default() }, ..local(data) }
}

/// The same with a field, on `/field` and on a free port of its own.
pub fn with_field(data: &Path) -> Settings {
    Settings { field: FieldSettings { port: Some(0), ..FieldSettings::default() }, ..local(data) }
}

/// Those of [`local`] for a server that everybody reaches and may use.
pub fn reachable(data: &Path) -> Settings {
    Settings { bind: Ipv4Addr::UNSPECIFIED.into(), open: true, ..local(data) }
}

/// A running Waldo with its own data folder.
pub struct Robotics {
    /// The services.
    pub waldo: Waldo,
    /// Where they listen.
    pub addr: SocketAddr,
    /// Trusts the robot's certificate.
    pub tls: TlsConnector,
    _data: TempDir,
}

impl Robotics {
    /// The simulated robot with small cameras.
    pub async fn simulated() -> Result<Self> {
        Self::start(local).await
    }

    /// The same with these settings for its data folder.
    pub async fn start(settings: impl FnOnce(&Path) -> Settings) -> Result<Self> {
        let data = TempDir::new()?;
        let options = SimOptions { camera_size: (320, 240), latency_stamp: true };
        let waldo = Waldo::start(settings(data.path()), Box::new(SimRobot::new(options))).await?;
        let tls = trusting(waldo.server().certificate().context("the server runs")?)?;
        let addr = waldo.server().addr().context("the server runs")?;
        Ok(Self { waldo, addr, tls, _data: data })
    }

    /// A new socket on `/ws`.
    pub async fn client(&self) -> Result<Client> {
        Client::connect(self.addr, &self.tls, "/ws").await
    }

    /// Where policies connect to.
    ///
    /// # Errors
    /// If it serves none.
    pub fn policy_uri(&self) -> Result<String> {
        let policies = self.waldo.policies().context("policies are served")?;
        Ok(format!("ws://{}", policies.addr().context("over WebSockets")?))
    }

    /// Commanded positions of the grippers (left, right), metres in the base.
    pub fn grippers(&self) -> [DVec3; 2] {
        let status = self.waldo.control().status();
        [status.grippers[0].position(), status.grippers[1].position()]
    }

    /// Waits until `done` holds.
    ///
    /// # Errors
    /// If it does not in time; `what` says what was awaited.
    pub async fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) -> Result<()> {
        let start = Instant::now();
        while !done(self) {
            if start.elapsed() > PATIENCE {
                bail!("waited in vain: {what}");
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Ok(())
    }
}
