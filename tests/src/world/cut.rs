//! A leg of the route is cut, and comes back.

use std::time::Duration;

use anyhow::{Context, Result};

use super::{MOVES, World, unix_ms};

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

impl World {
    /// Cuts a leg while the operator drives.
    ///
    /// # Errors
    /// If the drive does not go on afterwards.
    pub async fn cut(&self, leg: Leg, duration: Duration) -> Result<Recovery> {
        self.drive().await?;
        let cable = match leg {
            Leg::Robot => &self.robot_cable,
            Leg::Operator => &self.operator_cable,
        };
        let begin = unix_ms();
        cable.cut(duration);
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
