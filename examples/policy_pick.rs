//! A scripted policy that picks up the simulated robot's red cube over the policy wire, and knows by its own fingers
//! whether it did.
//!
//! ```text
//! cargo run -p waldo-server -- serve &
//! cargo run -p waldo-tests --example policy_pick -- ws://localhost:8765
//! ```

use std::io::{self, Write};
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use glam::{DQuat, DVec3};
use waldo_policy_client::{Action, DEFAULT_URI, Observation, Options, PolicyClient};
use waldo_protocol::geometry::{Base, Pose};
use waldo_server::control::ik::Solver;
use waldo_server::robot::kinematics::forward;
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::robot::{Arm, Robot as _};

/// Actions per second.
const HZ: f64 = 50.0;
/// The arm moves at this part of its highest speed.
const CALM: f64 = 0.3;
/// Centre of the red cube on the table, metres.
const CUBE: DVec3 = DVec3::new(0.56, 0.2, 0.775);
/// From the gripper's mount to the middle of its finger pads, along the approach direction, metres.
const PADS: f64 = 0.1225;
/// How far the cube is lifted, metres.
const LIFT: f64 = 0.15;
/// The gripper's opening with the cube between its fingers: 5 cm of 10.
const HELD: f32 = 0.5;
/// Longest time for one phase, seconds.
const PATIENCE: f64 = 15.0;

/// Pick up the simulated robot's red cube over the policy wire. Ctrl-C ends it.
#[derive(Parser)]
struct Arguments {
    /// The robot: ws://host:port, wss://host:port, or tcp/host:port for Zenoh.
    #[arg(default_value = DEFAULT_URI)]
    uri: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    tokio::select! {
        result = pick(&arguments.uri) => result,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

async fn pick(uri: &str) -> Result<()> {
    let robot = PolicyClient::connect(uri, Options::default()).await?;
    let (first, _) = robot.reset().await?;
    robot.start_obs_stream(HZ)?;
    robot.start_action_dispatch(HZ)?;
    let mut policy = Policy::new(robot, &first)?;
    // Tilted a little, so that the wrist stays clear of the table; fingers to the left and right.
    let tilt = DQuat::from_rotation_y(-0.4) * DQuat::from_rotation_z(std::f64::consts::FRAC_PI_2);
    let at = |point: DVec3| Pose::<Base>::new(point + tilt * DVec3::Z * PADS, tilt);
    // Until then the reset brings it there, and takes no actions.
    policy.go(forward(&policy.arm, &policy.arm.rest), 1.0).await?;
    for (what, height, opening) in
        [("above the cube", 0.12, 1.0), ("around it", 0.0, 1.0), ("closing", 0.0, 0.0), ("lifting", LIFT, 0.0)]
    {
        writeln!(io::stdout(), "{what}")?;
        policy.go(at(CUBE + DVec3::Z * height)?, opening).await?;
    }
    let opening = policy.opening()?;
    ensure!((opening - HELD).abs() < 0.1, "the fingers are {opening:.2} open: they hold no cube");
    writeln!(io::stdout(), "the cube is lifted by {LIFT} m; it keeps the fingers {opening:.2} open")?;
    policy.robot.close().await;
    Ok(())
}

struct Policy {
    robot: PolicyClient,
    arm: Arm,
    solver: Solver,
    /// What the left arm is told: its joints, rad, and the opening of its gripper.
    joints: Vec<f64>,
    /// What the right one is told: to stay at rest.
    rest: Vec<f32>,
}

impl Policy {
    fn new(robot: PolicyClient, first: &Observation) -> Result<Self> {
        let sim = SimRobot::new(SimOptions::default());
        let arm = sim.description().arms[0].clone();
        let left = first.proprio(&arm.name)?.to_vec();
        ensure!(left.len() == arm.joints.len() + 1, "this is no simulated robot: its left arm reads {left:?}");
        let (solver, joints) = (Solver::new(&arm), arm.rest.clone());
        // The right arm is the left one's mirror image.
        let rest = arm.rest.iter().map(|angle| *angle as f32).chain([1.0]).collect();
        Ok(Self { robot, solver, joints, rest, arm })
    }

    /// Moves the left gripper's mount to a pose, and its fingers to an opening.
    async fn go(&mut self, target: Pose<Base>, opening: f32) -> Result<()> {
        let mut version = 0;
        let mut settled = 0;
        for _ in 0..(PATIENCE * HZ) as usize {
            self.solver.step(&mut self.joints, target, Duration::from_secs_f64(CALM / HZ));
            let latest = self.robot.newer_obs(version, Duration::from_secs(5)).await?;
            version = latest.version;
            let mut values: Vec<f32> = self.joints.iter().map(|angle| *angle as f32).collect();
            values.push(opening);
            values.extend(&self.rest);
            self.robot.put_action(Action::from(values).computed_from(&latest.observation))?;
            let there = forward(&self.arm, &self.joints).position().distance(target.position()) < 0.003;
            settled = if there { settled + 1 } else { 0 };
            // The fingers, and the arm behind its commands, take their time.
            if settled as f64 > HZ {
                return Ok(());
            }
        }
        let reached = forward(&self.arm, &self.joints).position();
        anyhow::bail!("the arm stays at {reached}, wanted at {}", target.position())
    }

    /// What the left gripper reads.
    fn opening(&self) -> Result<f32> {
        let latest = self.robot.latest_obs();
        let reading =
            latest.map(|latest| latest.observation.proprio(&self.arm.name).map(|arm| arm.to_vec())).transpose()?;
        reading.and_then(|reading| reading.last().copied()).ok_or_else(|| anyhow::anyhow!("no observation"))
    }
}
