//! The policy service over real sockets, with tokio-tungstenite as the client.

mod control;
mod extensions;
mod flows;
mod harness;
mod transport;
mod vectors;
