//! Frames over a WebSocket.
//!
//! The framing of RFC 6455 is our own: messages of megabytes are read from the socket straight into the buffer in which
//! the policy sees them, and that buffer is used again, which no library does.

mod handshake;
mod head;
mod receiver;
mod sender;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

pub(crate) use receiver::Receiver;
pub(crate) use sender::Sender;

use super::{Dial, DialError, Link};
use crate::Address;

/// How long the other side's computer may acknowledge nothing of what was sent.
#[cfg(target_os = "linux")]
const GONE: Duration = Duration::from_secs(10);

/// How often it is asked for a sign of life while nothing is sent, such as during a reset.
const ALIVE: Duration = Duration::from_secs(3);

/// Dials once.
pub(super) async fn dial(dial: Dial<'_>) -> Result<Link, DialError> {
    let Address::WebSocket { tls, host, port, resource } = dial.address else {
        return Err(DialError::for_good("no address of a WebSocket"));
    };
    let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let stream = match &dial.options.proxy {
        None => TcpStream::connect((host.as_str(), *port)).await.map_err(DialError::later)?,
        Some(proxy) => handshake::through_proxy(proxy, &authority).await?,
    };
    prepare(&stream).map_err(DialError::later)?;
    if *tls {
        let config = dial.options.tls.clone().ok_or_else(|| {
            DialError::for_good("wss:// needs Options::tls, which says whose certificates are trusted")
        })?;
        let name = rustls_pki_types::ServerName::try_from(host.clone()).map_err(DialError::for_good)?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
            let untrusted = error
                .get_ref()
                .is_some_and(|inner| matches!(inner.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))));
            DialError { message: format!("TLS: {error}"), for_good: untrusted }
        })?;
        let (stream, early) = handshake::upgrade(stream, &authority, resource).await?;
        let (read, write) = tokio::io::split(stream);
        Ok(link(Box::new(read), Box::new(write), &early, dial.options.max_message))
    } else {
        let (stream, early) = handshake::upgrade(stream, &authority, resource).await?;
        let (read, write) = stream.into_split();
        Ok(link(Box::new(read), Box::new(write), &early, dial.options.max_message))
    }
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Requests are small and wait for nothing.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(ALIVE).with_interval(ALIVE))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(GONE))?;
    Ok(())
}

type Read = Box<dyn AsyncRead + Send + Unpin>;
type Write = Box<dyn AsyncWrite + Send + Unpin>;

fn link(read: Read, write: Write, early: &[u8], max_message: usize) -> Link {
    let sender = Sender::new(write);
    let receiver = Receiver::new(read, early, Arc::clone(sender.socket()), max_message);
    let (sender, receiver) = (super::Sender::Ws(sender), super::Receiver::Ws(receiver));
    Link { sender, receiver, hello_every: None, extensions: true, robot: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_system_gives_a_computer_up_that_is_gone() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        prepare(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(GONE));
        assert_eq!((socket.keepalive().unwrap(), socket.tcp_keepalive_time().unwrap()), (true, ALIVE));
        assert!(stream.nodelay().unwrap());
    }
}
