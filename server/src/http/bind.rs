//! Taking the port.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};

use super::holder::{Holder, holder};

/// The port cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another program listens there.
    #[error("port {} is taken by {}; stop it, or choose another port with {flag}", .addr.port(), Unknown(.holder.as_ref()))]
    Busy {
        /// The address asked for.
        addr: SocketAddr,
        /// The flag that chooses the port.
        flag: &'static str,
        /// Who listens there, if that can be seen.
        holder: Option<Holder>,
    },
    /// The address is none of this machine's.
    #[error("{} is no address of this machine; --bind 0.0.0.0 listens on all of them", .addr.ip())]
    NotHere {
        /// The address asked for.
        addr: SocketAddr,
    },
    /// The system does not allow it.
    #[error("port {} is reserved for the system administrator; choose one above 1023 with {flag}", .addr.port())]
    Forbidden {
        /// The address asked for.
        addr: SocketAddr,
        /// The flag that chooses the port.
        flag: &'static str,
    },
    /// Anything else.
    #[error("cannot listen on {addr}: {source}")]
    Other {
        /// The address asked for.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// Displays a holder that may be unknown.
struct Unknown<'a>(Option<&'a Holder>);

impl fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(holder) => holder.fmt(f),
            None => f.write_str("a program of another user (`sudo ss -ltnp` shows it)"),
        }
    }
}

/// Listens at once; a port that a program has just left can be taken (SO_REUSEADDR).
///
/// # Errors
/// [`BindError`]; for a busy port it says who holds it, as far as this user may know, and what to do.
pub fn bind(addr: SocketAddr) -> Result<TcpListener, BindError> {
    bind_for(addr, "--port")
}

/// The same for a port that another flag chooses.
///
/// # Errors
/// As [`bind`].
pub fn bind_for(addr: SocketAddr, flag: &'static str) -> Result<TcpListener, BindError> {
    let listener = TcpListener::bind(addr).map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::Busy { addr, flag, holder: holder(addr.port()) },
        io::ErrorKind::AddrNotAvailable => BindError::NotHere { addr },
        io::ErrorKind::PermissionDenied => BindError::Forbidden { addr, flag },
        _ => BindError::Other { addr, source },
    })?;
    listener.set_nonblocking(true).map_err(|source| BindError::Other { addr, source })?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_port_names_its_holder_and_what_to_do() {
        let held = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let addr = held.local_addr().unwrap();
        let error = bind(addr).unwrap_err();
        assert!(matches!(&error, BindError::Busy { holder: Some(holder), .. } if holder.pid == std::process::id()));
        let text = error.to_string();
        assert!(text.contains(&format!("port {} is taken by", addr.port())), "{text}");
        assert!(text.contains(&format!("process {}", std::process::id())), "{text}");
        assert!(text.contains("--port"), "{text}");
        let text = bind_for(addr, "--other-port").unwrap_err().to_string();
        assert!(text.ends_with("choose another port with --other-port"), "{text}");
        drop(held);
        bind(addr).unwrap();
    }

    #[test]
    fn a_holder_that_cannot_be_seen_is_said_so() {
        let error = BindError::Busy { addr: "0.0.0.0:8000".parse().unwrap(), flag: "--port", holder: None };
        assert!(error.to_string().contains("another user"), "{error}");
    }

    #[test]
    fn an_address_of_another_machine_is_told_from_a_busy_port() {
        let error = bind("192.0.2.1:0".parse().unwrap()).unwrap_err();
        assert!(matches!(error, BindError::NotHere { .. }), "{error}");
    }
}
