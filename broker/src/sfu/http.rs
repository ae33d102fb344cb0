//! HTTP to services outside of this process.

use std::time::Duration;

/// A client for services on the internet that gives up after this time.
pub(crate) fn client(limit: Duration) -> reqwest::Client {
    builder(limit).build().unwrap_or_default()
}

/// The same for processes of our own, which no proxy stands before.
pub(crate) fn inside(limit: Duration) -> reqwest::Client {
    builder(limit).no_proxy().build().unwrap_or_default()
}

fn builder(limit: Duration) -> reqwest::ClientBuilder {
    // Fails if there is one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Secrets go where they are meant to, not wherever an answer points.
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    client.timeout(limit).connect_timeout(limit)
}
