//! The field service: several people drive arms in one scene, and everybody sees it.
//!
//! [`FieldServer`] is the handle that programs hold. Inside, `upgrade` makes sockets of requests, `connection` is one
//! socket, `session` what it is to the scene, `service` what all of them share. `worker` is the thread that owns the back
//! end and steps it 200 times a second, with what `input` has of each user; `publish` the one that shows the scene to
//! everybody 72 times a second, through each client's `outbox`, with what is `large` in it written only once.
//!
//! A [`FieldBackend`] moves the arms: [`MultiArmPassThroughBackend`], or one of your own.
//!
//! The service has a runtime of its own, with threads of ordinary priority, as the policy service has and for its reasons.

mod backend;
mod config;
mod connection;
mod gate;
mod input;
mod large;
mod outbox;
mod publish;
mod rights;
mod robot;
mod schedule;
mod seat;
mod sequence;
mod server;
mod service;
mod session;
mod sim;
mod snapshot;
mod upgrade;
mod worker;

pub use backend::{BackendError, FieldBackend, FieldHold, MultiArmPassThroughBackend};
pub use config::{FieldAccess, FieldConfig, FieldMapping};
pub use rights::{FieldRights, FieldTokens, FieldTokensError};
pub use robot::RobotField;
pub(crate) use server::FieldDoor;
pub use server::{FieldServer, FieldStartError};
pub use service::UserView;
pub use sim::{Physics, Simulation};
