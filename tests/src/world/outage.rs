//! The broker is killed while the operator drives, and comes back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use super::{World, unix_ms};

/// The drive has to go on for so long after the return, in which the heartbeats come to the new broker.
const ONWARDS: Duration = Duration::from_secs(3);

/// What a drive is like while the broker is away but its SFU is not; milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Away {
    /// The longest time without motion, from the kill until a while after the return.
    pub without_motion: f64,
    /// The longest time without a new picture.
    pub without_picture: f64,
    /// How long the operator takes to leave, and to connect anew with the broker that came back.
    pub reconnects: f64,
}

/// What becomes of a drive when the SFU is gone too; milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// From the kill until the robot stands.
    pub stands: f64,
    /// From the return until the page has its robot back, with a picture.
    pub live: f64,
    /// From then on until the robot drives, once the key was let go and pressed again.
    pub drives: f64,
}

impl World {
    /// Kills the broker for so long. The SFU is a process of its own.
    ///
    /// # Errors
    /// If the drive ends, or nobody can connect afterwards.
    pub async fn broker_away(&mut self, duration: Duration) -> Result<Away> {
        self.drive().await?;
        let killed = unix_ms();
        self.brokerage.kill()?;
        sleep(duration).await;
        self.brokerage.serve()?;
        sleep(ONWARDS).await;
        let now = unix_ms();
        let without_motion = self.robot.heard().longest_pause(killed, now);
        let without_picture = self.operator.longest_still(killed, now).await?;
        self.operator.drive(false).await?;
        let way: String = self.operator.tab.eval("document.body.dataset.way").await?;
        ensure!(way == "Live", "the page's way to the robot is {way}");
        let leaves = unix_ms();
        self.operator.leave().await?;
        self.operator.connect().await?;
        let reconnects = unix_ms() - leaves;
        self.drive().await?;
        self.operator.drive(false).await?;
        Ok(Away { without_motion, without_picture, reconnects })
    }

    /// Kills the broker, and the SFU inside of it, for so long. The operator keeps holding the key.
    ///
    /// # Errors
    /// If the robot is not reached again without a new log-in, or moves before the key was let go.
    pub async fn all_away(&mut self, duration: Duration) -> Result<Outage> {
        self.drive().await?;
        self.operator.keep().await?;
        let killed = unix_ms();
        self.brokerage.kill()?;
        self.robot.until("a stop", |heard| heard.stands_after(killed).is_some()).await?;
        self.operator.tab.until("document.body.dataset.way !== 'Live'").await?;
        sleep(duration).await;
        self.brokerage.serve()?;
        let returned = unix_ms();
        self.operator.live().await?;
        let live = unix_ms();
        let stood = self.ignores_what_is_held(killed).await?;
        let pressed = unix_ms();
        self.drive().await?;
        let drives = self.robot.heard().moves_after(pressed).context("it moves")?;
        self.operator.drive(false).await?;
        Ok(Outage { stands: stood - killed, live: live - returned, drives: drives - pressed })
    }
}
