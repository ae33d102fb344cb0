//! HTTP to services outside.

use std::time::Duration;

/// A client that gives up after this time.
pub(crate) fn client(limit: Duration) -> reqwest::Client {
    // Fails if there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(limit).connect_timeout(limit);
    client.build().unwrap_or_default()
}
