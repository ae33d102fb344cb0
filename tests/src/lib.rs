//! What the integration tests, the browser tests and the benches share.

pub mod bench;
pub mod browser;
pub mod client;
pub mod headset;
pub mod robot;
pub mod scripted;
