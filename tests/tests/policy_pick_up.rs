//! A scripted policy picks up a thing of the simulated robot over the wire, with joint targets and the gripper.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use glam::{DQuat, DVec3};
use tokio::time::sleep;
use waldo_policy_client::{Action, Options, PolicyClient};
use waldo_protocol::geometry::{Base, Pose};
use waldo_protocol::policy::Outcome;
use waldo_server::control::ik::Solver;
use waldo_server::robot::kinematics::forward;
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::robot::{Arm, Robot};
use waldo_tests::client::PATIENCE;
use waldo_tests::robot::{Robotics, with_policies};

/// The middle of the red cube at the beginning, metres in the world, which is the base while that stands.
const CUBE: DVec3 = DVec3::new(0.56, 0.2, 0.775);

/// Gripper mount to the middle of the finger pads, metres.
const PADS: f64 = 0.1225;

const STEP: Duration = Duration::from_millis(20);

struct Picker {
    client: PolicyClient,
    arms: Vec<Arm>,
    solver: Solver,
    left: Vec<f64>,
    opening: f64,
}

impl Picker {
    async fn act(&self) -> Result<Outcome> {
        let observation = self.client.observation().await?;
        let right = self.arms[1].rest.iter().chain(&[1.0]);
        let values: Vec<f32> = self.left.iter().chain(&[self.opening]).chain(right).map(|v| *v as f32).collect();
        self.client.send_action(Action::from(values).computed_from(&observation)).await?;
        sleep(STEP).await;
        Ok(observation.episode().context("it was agreed on")?.outcome)
    }

    async fn hold(&self, time: Duration) -> Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            self.act().await?;
        }
        Ok(())
    }

    /// Leads the left finger pads to a point, from above.
    async fn reach(&mut self, point: DVec3) -> Result<()> {
        let down = DQuat::from_rotation_y(-0.4) * DQuat::from_rotation_z(std::f64::consts::FRAC_PI_2);
        let target: Pose<Base> = Pose::new(point + down * DVec3::Z * PADS, down)?;
        let start = Instant::now();
        while forward(&self.arms[0], &self.left).position().distance(target.position()) > 1e-3 {
            ensure!(start.elapsed() < PATIENCE * 2, "{point} is out of reach");
            // A third of what the joints could do: the arm shall be where it is wanted.
            self.solver.step(&mut self.left, target, STEP / 3);
            self.act().await?;
        }
        self.hold(Duration::from_millis(300)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scripted_policy_picks_up_the_red_cube_and_a_reset_puts_it_back() -> Result<()> {
    let robot = Robotics::start(with_policies).await?;
    let options = Options { connect_timeout: Some(PATIENCE), ..Options::default() };
    let client = PolicyClient::connect(&robot.policy_uri()?, options).await?;
    let arms = SimRobot::new(SimOptions::default()).description().arms.clone();
    let (solver, left) = (Solver::new(&arms[0]), arms[0].rest.clone());
    let mut picker = Picker { client, arms, solver, left, opening: 1.0 };

    picker.client.reset().await?;
    picker.hold(Duration::from_millis(1200)).await?;
    picker.reach(CUBE + DVec3::Z * 0.1).await?;
    picker.reach(CUBE).await?;
    picker.opening = 0.0;
    picker.hold(Duration::from_secs(1)).await?;
    assert_eq!(picker.act().await?, Outcome::default(), "held, but not up yet");
    picker.reach(CUBE + DVec3::Z * 0.16).await?;
    assert_eq!(picker.act().await?, Outcome { reward: 1.0, terminated: true, truncated: false });

    let before = picker.client.observation().await?.episode().context("it was agreed on")?.episode;
    picker.client.reset().await?;
    let after = picker.client.observation().await?.episode().context("it was agreed on")?;
    assert_eq!((after.outcome, after.episode), (Outcome::default(), before + 1));
    let readings = robot.waldo.hub().proprio().context("joints are read")?;
    for (arm, reading) in picker.arms.iter().zip(&readings.arms) {
        let off = arm.rest.iter().zip(&reading.joints).map(|(rest, q)| (rest - q).abs()).fold(0.0, f64::max);
        assert!(off < 0.02 && reading.gripper > 0.95, "{reading:?}");
    }
    Ok(())
}
