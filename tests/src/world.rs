//! The wide world on this machine: a simulated robot, a broker and an operator's browser in three network namespaces,
//! with the delay, jitter and loss of real routes between them. All three are what people use: the robot module, the
//! program `waldo-broker`, and its page in Chromium.

mod brokerage;
mod cut;
mod operator;
mod outage;
mod robot;
mod route;

use std::path::Path;
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::{Result, bail};

pub use brokerage::{Brokerage, Engine, Program, TURN_SECRET};
pub use cut::{Leg, Recovery};
pub use operator::{Operator, Path as MediaPath, Picture, Ride, Stop};
pub use outage::{Away, Outage};
pub use robot::{FarRobot, Heard, MOVES};
pub use route::Route;

use crate::network::{Cable, Namespace, robot};

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Chances are the same in every run; packets are not, since all three have clocks of their own.
const SEED: u64 = 1;

/// Robot, broker and operator, with a route between them.
pub struct World {
    /// The operator's browser, with the page.
    pub operator: Operator,
    /// The robot.
    pub robot: FarRobot,
    /// The broker, and its SFU.
    pub brokerage: Brokerage,
    /// From the broker to the robot.
    pub robot_cable: Cable,
    /// From the broker to the operator.
    pub operator_cable: Cable,
}

impl World {
    /// Starts all three. `program` is `waldo-broker`. The operator is logged in and connected, and sees the robot's picture.
    ///
    /// # Errors
    /// If networks are not permitted here, or something does not start.
    pub async fn open(route: Route, engine: Engine, program: &Path) -> Result<Self> {
        let middle = Namespace::new()?;
        let [near, far] = route.legs();
        let robot_cable = Cable::between(&middle, robot()?, &near, SEED)?;
        let operator_cable = Cable::between(&middle, &Namespace::new()?, &far, SEED + 1)?;
        let names = [robot_cable.near, operator_cable.near].map(|address| address.to_string());
        let brokerage = Brokerage::start(program, &middle, engine, &names)?;
        let robot = FarRobot::start(&Brokerage::url(&names[0]), &brokerage).await?;
        let operator = Operator::start(&operator_cable.far, &Brokerage::url(&names[1]), &brokerage).await?;
        operator.connect().await?;
        Ok(Self { operator, robot, brokerage, robot_cable, operator_cable })
    }

    /// The operator holds a key until the robot drives.
    ///
    /// # Errors
    /// If it does not.
    pub async fn drive(&self) -> Result<()> {
        self.operator.drive(true).await?;
        let moves = self.robot.until("motion", |heard| heard.forward() > MOVES).await;
        if let Err(error) = moves {
            let page: String =
                self.operator.tab.eval("JSON.stringify([document.body.dataset, world.channels()])").await?;
            bail!("{error}; the page: {page}");
        }
        Ok(())
    }

    /// Ends all three.
    ///
    /// # Errors
    /// If the browser does not end.
    pub async fn close(self) -> Result<()> {
        self.operator.close().await?;
        self.robot.stop().await
    }
}

/// Unix time, milliseconds.
pub fn unix_ms() -> f64 {
    UNIX_EPOCH.elapsed().unwrap_or_default().as_secs_f64() * 1000.0
}

/// Waits until there is something.
///
/// # Errors
/// If there is nothing in time.
async fn until_some<T>(what: &str, mut look: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if start.elapsed() > PATIENCE {
            bail!("waited in vain for {what}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
