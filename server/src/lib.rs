//! The robot side of Waldo.
#![warn(missing_docs)]

pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
pub mod http;
pub mod mdns;
pub mod metrics;
pub mod robot;
pub mod rtc;
pub mod sensors;
pub mod serve;
pub mod tls;
pub mod video;
pub mod vr;
