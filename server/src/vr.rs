//! The VR service: `/ws`, where headsets send poses and get feedback and camera offers.
//!
//! [`VrServer`] is the handle that programs hold. Inside, `connection` is one socket, `session` is what all clients
//! share, `streams` tells which sockets are one stream of poses and drops its duplicates, `extensions` is what only clients
//! get that agreed on it in `hello`, `telling` is what clients are told without asking, `lost_hands` what the log is.

mod bucket;
mod config;
mod connection;
mod extensions;
mod lost_hands;
mod negotiation;
mod outbox;
mod routes;
mod server;
mod service;
mod session;
mod streams;
mod telling;
#[cfg(test)]
mod tests;

pub(crate) use bucket::Bucket;
pub use config::VrServerConfig;
pub use server::{StartError, VrServer};
pub use service::{EpisodeEvent, OnFrame};
