//! The field service: several people drive soft arms in one scene, and everybody sees it.

mod backend;
mod robot;
mod sim;

pub use backend::{BackendError, FieldBackend, FieldHold, MeshChange, MultiArmPassThroughBackend};
pub use robot::RobotField;
pub use sim::Simulation;
