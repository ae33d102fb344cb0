//! Which engine forwards, and how it is started.

use std::sync::Arc;

use crate::broker::BrokerError;
use crate::sfu::Engine;

/// The engine that forwards between peers.
#[derive(Clone, Debug, Default)]
pub enum SfuSettings {
    /// Inside of the broker.
    #[default]
    Embedded,
}

/// An engine, and whether its peers are in this process.
pub(crate) struct Started {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) inside: bool,
}

/// Starts the engine.
pub(crate) async fn start(_settings: &SfuSettings) -> Result<Started, BrokerError> {
    Err(BrokerError::Settings("no engine yet".to_owned()))
}
