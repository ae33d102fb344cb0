//! The policy wire, measured beside what carries it: a plain socket and a plain Zenoh publication of the same bytes.
//!
//! The robot's side of all of them is one process ([`serve`]), the policy's side another ([`RobotSide`] starts the
//! first), so that the figures contain what crossing processes costs.

mod floor;
mod robot_side;
mod set;

pub use floor::{TcpFloor, ZenohFloor};
pub use robot_side::{Addresses, RobotSide, serve};
pub use set::{SETS, Set};
