//! What the sockets of policies and of the field have in common. Those of `/ws` are axum's.
//!
//! [`upgrade`] is their HTTP, [`Messages`] come out of them, [`mod@write`] puts frames into them without copying them, and
//! [`farewell`] ends them. When who may speak is each service's own.

mod close;
mod frame;
mod pings;
mod read;
pub(crate) mod upgrade;
pub(crate) mod write;

pub(crate) use close::{Close, LINGER, farewell};
pub(crate) use frame::Frame;
pub(crate) use pings::Pings;
pub(crate) use read::{Message, Messages, ReadEnd};
