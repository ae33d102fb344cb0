//! The field service over real sockets, with tokio-tungstenite as the client.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access;
mod driving;
mod harness;
mod ports;
mod publishing;
mod sockets;
mod tool;
mod vectors;
