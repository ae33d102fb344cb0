//! A real broker, asked over real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod client;
mod engine;
mod lifecycle;
mod limits;
mod livekit;
mod nodes;
#[allow(unreachable_pub, reason = "other test programs use more of it")]
#[path = "../peer/mod.rs"]
mod peer;
mod postgres;
mod program;
mod schemathesis;
mod security;
mod sessions;
mod slow;
mod vectors;
mod viewers;
mod whole_path;
