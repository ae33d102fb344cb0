//! A robot and its broker over real HTTP, with a WebRTC peer in the place of the SFU and the operator.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod arms;
mod broker;
mod driving;
mod pictures;
mod registering;
mod sfu;
mod stage;
mod stopping;
mod voice;
