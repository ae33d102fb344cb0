//! The robot side of Waldo: a library, and the program `waldo`.
//!
//! # A robot of your own
//!
//! Implement [`robot::Robot`] and hand it to [`cli::run`]: the program has all the flags of `waldo serve`. Inverse
//! kinematics, limits, watchdogs, the page and video come from here.
//!
//! ```no_run
//! use std::process::ExitCode;
//!
//! use waldo_server::robot::sim::{SimOptions, SimRobot};
//!
//! fn main() -> ExitCode {
//!     // Your robot instead of the simulated one.
//!     waldo_server::cli::run(SimRobot::new(SimOptions::default()))
//! }
//! ```
//!
//! # Poses and pictures without the control loop
//!
//! A program that moves its arms itself uses the VR service alone.
//!
//! ```no_run
//! # async fn example() -> Result<(), waldo_server::vr::StartError> {
//! use waldo_server::vr::{VrServer, VrServerConfig};
//!
//! let server = VrServer::new(VrServerConfig::default());
//! server.start().await?;
//! if let Some(frame) = server.frame() {
//!     println!("left hand {:?}, gripper open by {}", frame.left.pose, frame.left.grip);
//! }
//! server.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Inside of a larger program
//!
//! [`serve::Waldo`] is everything `waldo serve` starts, with [`config::Settings`] instead of flags.
//!
//! # Modules
//!
//! | module | job |
//! |---|---|
//! | [`robot`] | what a user implements, and the simulated robot |
//! | [`control`] | engage logic, inverse kinematics, limits, the thread that owns the robot |
//! | [`sensors`] | newest camera frames and joint readings, shared without copies |
//! | [`video`], [`rtc`] | encoders, and WebRTC to carry their pictures |
//! | [`vr`] | the service that headsets talk to |
//! | [`policy`] | the service that policies talk to |
//! | [`hosted`] | operators far away, through a broker |
//! | [`http`], [`tls`], [`mdns`], [`metrics`] | the listener, its certificate, its name in the network, its counters |
//! | [`config`], [`cli`], [`serve`] | settings, the command line, everything put together |
//! | [`clock`] | the one place that reads clocks |
#![warn(missing_docs)]

pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod field;
pub mod hosted;
pub mod http;
pub mod lcm;
pub mod mdns;
pub mod metrics;
pub mod policy;
mod priority;
pub mod record;
pub mod robot;
pub mod rtc;
mod seldom;
pub mod sensors;
pub mod serve;
pub mod tls;
pub mod video;
pub mod vr;
mod websocket;
