//! The internet side of Waldo: a broker between robots and operators, and the SFU that forwards between them.
//!
//! Robots and operators dial out to the broker, which knows them ([`auth`]), keeps their sessions ([`store`]) and asks an engine
//! ([`sfu`]) to connect them. Commands, pictures and telemetry go through the engine, not through the broker.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use waldo_broker::{Broker, Settings};
//!
//! let broker = Broker::start(Settings::default()).await?;
//! broker.add_user("alice@example.org", "a long password").await?;
//! let key = broker.add_key("alice@example.org", "lab robot").await?;
//! println!("{} takes robots with the key {}", broker.url(), key.reveal());
//! broker.stop().await;
//! # Ok(())
//! # }
//! ```

mod api;
pub mod auth;
mod broker;
pub mod cli;
mod engine;
mod http;
mod limits;
mod livekit;
mod metrics;
mod sessions;
mod settings;
pub mod sfu;
pub mod store;
pub mod turn;

pub use self::broker::{Broker, BrokerError};
pub use self::engine::SfuSettings;
pub use self::http::{Tls, TlsError};
pub use self::livekit::LivekitSettings;
pub use self::sessions::Timers;
pub use self::settings::{Environment, Settings};
