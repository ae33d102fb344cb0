//! Which engine forwards, and how it is started.

mod nothing;

use std::fmt;
use std::sync::Arc;

use crate::broker::BrokerError;
use crate::sfu::{Engine, cloudflare, embedded, process};

/// The engine that forwards between peers.
#[derive(Clone)]
#[non_exhaustive]
pub enum SfuSettings {
    /// Inside of the broker.
    Embedded(embedded::Settings),
    /// Inside of `waldo-broker sfu`.
    Process {
        /// `http://host:port`
        url: String,
        /// What it knows us by.
        secret: String,
    },
    /// Cloudflare Realtime.
    Cloudflare {
        /// Where it is: [`cloudflare::BASE`] but in tests.
        base: String,
        /// The app's id.
        app: String,
        /// Its secret.
        secret: String,
    },
    /// None: robots and operators meet on LiveKit.
    Livekit,
}

impl fmt::Debug for SfuSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(settings) => f.debug_tuple("Embedded").field(settings).finish(),
            Self::Process { url, .. } => f.debug_struct("Process").field("url", url).finish_non_exhaustive(),
            Self::Livekit => f.write_str("Livekit"),
            Self::Cloudflare { app, .. } => f.debug_struct("Cloudflare").field("app", app).finish_non_exhaustive(),
        }
    }
}

impl Default for SfuSettings {
    fn default() -> Self {
        Self::Embedded(embedded::Settings::default())
    }
}

/// An engine, and whether its peers are in this process.
pub(crate) struct Started {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) inside: bool,
}

/// Starts the engine.
pub(crate) async fn start(settings: &SfuSettings) -> Result<Started, BrokerError> {
    match settings {
        SfuSettings::Embedded(settings) => {
            let engine = embedded::Embedded::start(settings).map_err(BrokerError::Engine)?;
            Ok(Started { engine: Arc::new(engine), inside: true })
        }
        SfuSettings::Livekit => Ok(Started { engine: Arc::new(nothing::Nothing::new()), inside: false }),
        SfuSettings::Process { url, secret } => {
            Ok(Started { engine: Arc::new(process::Client::new(url, secret)), inside: false })
        }
        SfuSettings::Cloudflare { base, app, secret } => {
            let engine = cloudflare::Cloudflare::new(base, app, secret.clone());
            Ok(Started { engine: Arc::new(engine), inside: false })
        }
    }
}
