//! Which engine forwards, and how it is started.

use std::sync::Arc;

use crate::broker::BrokerError;
use crate::sfu::{Engine, embedded};

/// The engine that forwards between peers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum SfuSettings {
    /// Inside of the broker.
    Embedded(embedded::Settings),
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
    }
}
