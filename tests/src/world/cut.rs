//! A leg of the route is cut, and comes back.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use super::{MOVES, World, unix_ms};
use crate::network::Cable;

/// Which cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    /// Between broker and robot.
    Robot,
    /// Between broker and operator.
    Operator,
}

/// What becomes of a drive then; milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Recovery {
    /// From the beginning of the cut until the robot stands.
    pub stands: f64,
    /// From its end until the operator sees a picture that was taken after it.
    pub sees: f64,
    /// From its end until the robot drives again, by an operator who lets go and presses again as soon as the page asks.
    pub drives: f64,
}

/// How long a key that was held all the time is given to move the robot, which it must not.
const TEMPTATION: Duration = Duration::from_secs(1);

impl World {
    /// Cuts a leg while the operator drives, who keeps holding the key.
    ///
    /// # Errors
    /// If the robot moves again before the key was let go.
    pub async fn cut_held(&self, leg: Leg, duration: Duration) -> Result<()> {
        self.drive().await?;
        self.operator.keep().await?;
        let begin = unix_ms();
        self.cable(leg).cut(duration);
        self.operator.tab.until("document.body.dataset.way !== 'Live'").await?;
        self.operator.live().await?;
        self.ignores_what_is_held(begin).await?;
        self.operator.drive(false).await
    }

    /// Waits whether the robot, which has stood since, moves by a key that is held; when it stood.
    pub(super) async fn ignores_what_is_held(&self, since: f64) -> Result<f64> {
        sleep(TEMPTATION).await;
        let heard = self.robot.heard();
        let stood = heard.stands_after(since).context("it has stood")?;
        ensure!(heard.moves_after(stood).is_none(), "the robot moves by a key that was held all the time");
        Ok(stood)
    }

    fn cable(&self, leg: Leg) -> &Cable {
        match leg {
            Leg::Robot => &self.robot_cable,
            Leg::Operator => &self.operator_cable,
        }
    }

    /// Cuts a leg while the operator drives.
    ///
    /// # Errors
    /// If the drive does not go on afterwards.
    pub async fn cut(&self, leg: Leg, duration: Duration) -> Result<Recovery> {
        self.drive().await?;
        let begin = unix_ms();
        self.cable(leg).cut(duration);
        let end = begin + duration.as_secs_f64() * 1000.0;
        let moves = |heard: &super::Heard| heard.moves_after(end).is_some();
        self.robot.until("motion after the cut", moves).await?;
        let sees = self.operator.sees_after(end).await? - end;
        let heard = self.robot.heard();
        let stands = heard.stands_after(begin).context("the robot has stood")? - begin;
        let drives = heard.moves_after(end).context("the robot moves")? - end;
        self.operator.drive(false).await?;
        self.robot.until("a stop", |heard| heard.forward() <= MOVES).await?;
        Ok(Recovery { stands, sees, drives })
    }
}
