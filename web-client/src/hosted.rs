//! Hosted teleoperation: the operator's page, which drives robots far away through a broker and an SFU.
//!
//! As elsewhere in the app, an engine outside the reactive graph owns requests, connection, video, map and presentation;
//! the page shows its [`summary::Summary`]. What needs no browser builds natively, for its tests.

pub mod acks;
pub mod backoff;
pub mod cadence;
pub mod chart;
pub mod console;
pub mod gathering;
pub mod mending;
pub mod panels;
pub mod robot;
pub mod summary;
pub mod token;
pub mod words;

#[cfg(target_arch = "wasm32")]
mod api;
#[cfg(target_arch = "wasm32")]
mod board;
#[cfg(target_arch = "wasm32")]
mod boards;
#[cfg(target_arch = "wasm32")]
mod channel;
#[cfg(target_arch = "wasm32")]
mod commands;
#[cfg(target_arch = "wasm32")]
mod engine;
#[cfg(target_arch = "wasm32")]
mod figures;
#[cfg(target_arch = "wasm32")]
mod hands;
#[cfg(target_arch = "wasm32")]
mod leg;
#[cfg(target_arch = "wasm32")]
mod map;
#[cfg(target_arch = "wasm32")]
mod mend;
#[cfg(target_arch = "wasm32")]
mod microphone;
#[cfg(target_arch = "wasm32")]
mod preview;
#[cfg(target_arch = "wasm32")]
mod report;
#[cfg(target_arch = "wasm32")]
mod ride;
#[cfg(target_arch = "wasm32")]
mod stage;
#[cfg(target_arch = "wasm32")]
mod vr;
#[cfg(target_arch = "wasm32")]
mod way;

#[cfg(target_arch = "wasm32")]
pub(crate) use engine::Hosted;
