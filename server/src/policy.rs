//! The policy service: programs that decide what the robot does get observations here and send actions.
//!
//! A robot of your own in six steps: declare cameras, declare proprioception, start sensor threads, fill the buffers,
//! implement the calls, run.
//!
//! ```
//! use waldo_server::policy::{ActionData, Observation, PolicyConfig, PolicyError, PolicyRobot, PolicyServer};
//! use waldo_server::sensors::{CameraConfig, ProprioConfig, SensorHub};
//! use waldo_protocol::policy::AppMap;
//!
//! struct MyRobot(SensorHub);
//!
//! impl PolicyRobot for MyRobot {
//!     fn reset(&self) -> Result<(Observation, AppMap), PolicyError> {
//!         // Move to where episodes begin.
//!         Ok((self.0.snapshot().into(), AppMap::default()))
//!     }
//!
//!     fn apply_action(&self, action: &ActionData) -> Result<(), PolicyError> {
//!         let [_joints @ .., _gripper] = &action.values[..] else { return Err("an action has joints".into()) };
//!         Ok(()) // Hand them to the motors.
//!     }
//!
//!     fn on_stale(&self) {
//!         // The policy is silent or gone: hold.
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = SensorHub::default();
//! hub.declare_camera(CameraConfig::new("wrist", 480, 640))?;
//! hub.declare_proprio(ProprioConfig::new("joints", 7))?;
//! let sensors = hub.clone();
//! std::thread::spawn(move || {
//!     let mut picture = vec![0u8; 480 * 640 * 3];
//!     for n in (0..=255u8).cycle() {
//!         picture.fill(n); // Read the camera here: the hub copies it and returns at once.
//!         sensors.update_image("wrist", &picture).expect("as declared");
//!         sensors.update_proprio("joints", &[f32::from(n); 7]).expect("as declared");
//!         std::thread::sleep(std::time::Duration::from_millis(33));
//!     }
//! });
//! let server = PolicyServer::new(PolicyConfig::default(), hub.clone(), MyRobot(hub));
//! # let server = PolicyServer::new(PolicyConfig { websocket: Some(([127, 0, 0, 1], 0).into()), ..PolicyConfig::default() },
//! #     SensorHub::default(), MyRobot(SensorHub::default()));
//! # let stopper = server.clone();
//! # std::thread::spawn(move || { while stopper.addr().is_none() {} stopper.stop() });
//! server.run()?;
//! # Ok(())
//! # }
//! ```
//!
//! That robot is served over WebSockets; over Zenoh with `PolicyConfig::over(PolicyTransport::Zenoh, …)`, or over both at
//! once:
//!
//! ```
//! # #[cfg(feature = "zenoh")] {
//! use waldo_server::policy::{PolicyConfig, ZenohConfig};
//!
//! let both = PolicyConfig { zenoh: Some(ZenohConfig::default()), ..PolicyConfig::default() };
//! # assert!(both.websocket.is_some());
//! # }
//! ```
//!
//! [`PolicyServer`] is the handle that programs hold. Inside, `websocket` is one transport and `zenoh` another, `session` is
//! one client whatever carries its frames, `service` is what all clients share, `floor` decides who controls the robot,
//! `watchdog` whether they are silent, `worker` is the thread that calls the robot, `encode` makes frames of observations.
//! For clients with extensions, `view` cuts, scales and packs pictures, `stream` sends observations unasked when `pacing` says
//! so, and `chunks` hands actions to the robot when they are due.
//!
//! The service has a runtime of its own, of threads with ordinary priority: sending pictures is heavier than anything the
//! urgent thread of the program `waldo` may do, and a program that blocks its own runtime blocks no link.

mod chunks;
mod config;
mod encode;
mod floor;
pub(crate) mod outbox;
mod pacing;
mod robot;
mod server;
mod service;
mod session;
mod stats;
mod stream;
mod transport;
mod view;
mod watchdog;
pub(crate) mod websocket;
mod worker;
#[cfg(feature = "zenoh")]
mod zenoh;

pub use config::{PolicyAccess, PolicyConfig};
pub use robot::{ActionData, Observation, Peer, PolicyError, PolicyRobot, StepResult};
pub use server::{PolicyServer, PolicyStartError};

#[cfg(feature = "zenoh")]
pub use self::zenoh::{ZenohConfig, ZenohTls};
pub use stats::PolicyCounts;
pub use transport::{PolicyTransport, UnknownTransport};
