//! Taking the port.
use std::net::{SocketAddr, TcpListener};

/// The port cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {}

/// Listens; a busy port's error says who holds it and what to do.
///
/// # Errors
/// [`BindError`].
pub fn bind(_addr: SocketAddr) -> Result<TcpListener, BindError> {
    unimplemented!()
}
