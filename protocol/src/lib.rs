//! Messages, codecs and pure functions of Waldo's wires.
//!
//! Everything here is sans-I/O: no sockets, no clock reads, no async runtime, so that the robot's server and the
//! headset's page (wasm32) share one set of types and both sides of every wire are tested in one place.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod exchange;
pub mod field;
pub mod geometry;
pub mod hosted;
pub mod lcm;
mod names;
pub mod policy;
pub mod time;
pub mod vr;
