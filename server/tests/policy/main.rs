//! The policy service over real sockets, with tokio-tungstenite as the client.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod chunks;
mod control;
mod extensions;
mod flows;
mod harness;
mod observing;
mod pushing;
mod transport;
mod vectors;
