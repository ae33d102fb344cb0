//! Why Waldo does not start.

use std::io;

use waldo_protocol::policy::NotForTheWire;

use crate::config::ZenohEndpoint;
use crate::field::{FieldStartError, FieldTokensError};
use crate::hosted::HostedStartError;
use crate::http::BindError;
use crate::policy::PolicyStartError;
use crate::robot::RobotError;
use crate::sensors::V4l2Error;
use crate::video::NoEncoder;
use crate::vr::StartError;

/// Why Waldo does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The services do not start.
    #[error(transparent)]
    Server(#[from] StartError),
    /// Two services shall have the same port.
    #[error("{} and {} both ask for port {port}: choose another one for one of them", flags[0], flags[1])]
    SamePort {
        /// The port.
        port: u16,
        /// Who asks for it.
        flags: [&'static str; 2],
    },
    /// The port for policies, or that of the field, is not to be had.
    #[error(transparent)]
    PolicyPort(#[from] BindError),
    /// The policy service does not start.
    #[error(transparent)]
    Policy(#[from] PolicyStartError),
    /// The field service does not start.
    #[error(transparent)]
    Field(#[from] FieldStartError),
    /// The tokens of the field cannot be used.
    #[error(transparent)]
    FieldTokens(#[from] FieldTokensError),
    /// Zenoh would let strangers move the robot.
    #[error(
        "--policy-zenoh {endpoint} would let everybody in the network move the robot, as Zenoh asks for no token: add --open if you \
        trust them all, or let it listen on this machine only, on tcp/127.0.0.1:{}",
        endpoint.port()
    )]
    ZenohOpen {
        /// Where it was asked to listen.
        endpoint: ZenohEndpoint,
    },
    /// Zenoh is asked for and was left out when this program was built.
    #[error("--policy-zenoh: this program was built without Zenoh (feature `zenoh`)")]
    NoZenoh,
    /// What the robot says of itself cannot be told to policies.
    #[error("what the robot says of itself cannot be told to policies")]
    Metadata(#[from] NotForTheWire),
    /// Hosted teleoperation does not start.
    #[error(transparent)]
    Hosted(#[from] HostedStartError),
    /// The robot does not start.
    #[error("the robot does not start: {0}")]
    Robot(#[from] RobotError),
    /// A camera of this computer cannot be used.
    #[error(transparent)]
    Camera(#[from] V4l2Error),
    /// The encoder that was asked for does not work.
    #[error(transparent)]
    Encoder(#[from] NoEncoder),
    /// The addresses cannot be printed, or Ctrl-C cannot be heard.
    #[error(transparent)]
    Io(#[from] io::Error),
}
