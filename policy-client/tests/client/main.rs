//! The client against servers of every generation, over real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::result_large_err, reason = "it is tungstenite's")]

mod actions;
mod calls;
mod extensions;
mod frames;
mod generations;
mod lost;
mod server;
mod streams;
mod vectors;
#[cfg(feature = "zenoh")]
mod zenoh;

use std::time::Duration;

use server::{Kind, Server};
use waldo_policy_client::{Capabilities, Options, PolicyClient};

/// Options that end a test early where something hangs.
fn options() -> Options {
    Options { connect_timeout: Some(Duration::from_secs(20)), ..Options::default() }
}

/// Options of a client that knows nothing but the original wire.
fn plain() -> Options {
    Options { extensions: Capabilities::NONE, ..options() }
}

async fn connect(kind: Kind) -> (Server, PolicyClient) {
    connect_with(kind, options()).await
}

async fn connect_with(kind: Kind, options: Options) -> (Server, PolicyClient) {
    let server = Server::start(kind).await;
    let client = PolicyClient::connect(&server.uri(), options).await.unwrap();
    (server, client)
}
