//! The field service: several people drive soft arms in one scene, and everybody sees it.

mod backend;
mod sim;

pub use backend::{BackendError, FieldBackend, FieldHold, MeshChange, MultiArmPassThroughBackend};
pub use sim::Simulation;
