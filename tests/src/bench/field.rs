//! The field wire under load, measured beside bare sockets that carry the same bytes.
//!
//! The field is one process ([`serve`]), everybody in it another ([`FieldSide`] starts the first), so that the figures
//! contain what crossing processes costs.

mod field_side;
mod floor;
mod watchers;

pub use field_side::{Addresses, FieldSide, serve};
pub use floor::{Echo, floor};
pub use watchers::{Frame, Watched, Watchers, stall};
