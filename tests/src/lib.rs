//! What the integration tests, the browser tests and the benches share.

pub mod bench;
pub mod browser;
pub mod client;
pub mod crowd;
pub mod driving;
pub mod field;
pub mod headset;
pub mod network;
pub mod offering;
pub mod peer;
pub mod plain_zenoh;
pub mod process;
pub mod robot;
pub mod scripted;
pub mod soak;
pub mod stage;
pub mod vectors;
pub mod world;
