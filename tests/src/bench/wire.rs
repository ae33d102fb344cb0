//! Blocking sockets for load generators: a sender that costs little, and bare receivers to compare with.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};

/// What lies between sender and receiver.
pub enum Link {
    /// TCP alone.
    Plain,
    /// TLS with this configuration.
    Tls(Arc<ClientConfig>),
}

/// The sending end: one TLS record per message, as browsers send.
pub struct Sender {
    socket: TcpStream,
    tls: Option<ClientConnection>,
    pending: Vec<u8>,
}

impl Sender {
    /// Connects, and completes the TLS handshake as a client of `localhost`.
    ///
    /// # Errors
    /// If nobody listens, or the certificate is not trusted.
    pub fn connect(addr: SocketAddr, link: &Link) -> Result<Self> {
        let mut socket = TcpStream::connect(addr)?;
        socket.set_nodelay(true)?;
        let tls = match link {
            Link::Plain => None,
            Link::Tls(config) => {
                let mut tls = ClientConnection::new(Arc::clone(config), ServerName::try_from("localhost")?)?;
                tls.set_buffer_limit(None);
                tls.complete_io(&mut socket)?;
                Some(tls)
            }
        };
        Ok(Self { socket, tls, pending: Vec::new() })
    }

    /// Adds a message to what [`Sender::flush`] will send.
    ///
    /// # Errors
    /// If TLS has failed.
    pub fn queue(&mut self, message: &[u8]) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(message),
            None => self.pending.write_all(message),
        }
    }

    /// Sends what is queued; waits while the receiver does not take it.
    ///
    /// # Errors
    /// If the connection ended.
    pub fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.socket)?;
            }
        } else {
            self.socket.write_all(&self.pending)?;
            self.pending.clear();
        }
        Ok(())
    }

    /// Asks for a WebSocket on this path.
    ///
    /// # Errors
    /// If the server declines.
    pub fn upgrade(&mut self, path: &str) -> Result<()> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: d2FsZG8gYmVuY2ggcG9zZQ==\r\n\r\n"
        );
        self.queue(request.as_bytes())?;
        self.flush()?;
        let mut answer = Vec::new();
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut buffer = [0; 1024];
            let count = match &mut self.tls {
                Some(tls) => {
                    tls.complete_io(&mut self.socket)?;
                    match tls.reader().read(&mut buffer) {
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                        other => other?,
                    }
                }
                None => self.socket.read(&mut buffer)?,
            };
            if count == 0 {
                bail!("the server closed the connection");
            }
            answer.extend_from_slice(&buffer[..count]);
        }
        let status = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
        if !status.contains(" 101 ") {
            bail!("the server declined the WebSocket: {status}");
        }
        Ok(())
    }
}

/// Writes `text` as one masked WebSocket text message into `out`, replacing what it held.
pub fn websocket(text: &[u8], out: &mut Vec<u8>) {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    out.clear();
    out.push(0x81);
    match u16::try_from(text.len()) {
        Ok(short @ ..126) => out.push(0x80 | short as u8),
        Ok(long) => {
            out.push(0x80 | 126);
            out.extend_from_slice(&long.to_be_bytes());
        }
        Err(_) => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(text.len() as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(text.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// A listening socket on a free port of this machine.
///
/// # Errors
/// If there is none.
pub fn listen() -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addr = listener.local_addr()?;
    Ok((listener, addr))
}

/// TLS for a bare receiver, and the certificate to trust.
///
/// # Errors
/// If no key can be made.
pub fn tls_server() -> Result<(Arc<ServerConfig>, CertificateDer<'static>)> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).map_err(anyhow::Error::msg)?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key)?;
    // Tickets would lie unread at the sender, and closing a socket with unread bytes resets the connection.
    config.send_tls13_tickets = 0;
    Ok((Arc::new(config), certificate))
}

/// The receiving end that does nothing but receive.
pub struct Receiver {
    socket: TcpStream,
    tls: Option<ServerConnection>,
}

impl Receiver {
    /// Waits for a connection, and completes the TLS handshake if there is a configuration.
    ///
    /// # Errors
    /// If the handshake fails.
    pub fn accept(listener: &TcpListener, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let (mut socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        let tls = match tls {
            None => None,
            Some(config) => {
                let mut tls = ServerConnection::new(config)?;
                tls.complete_io(&mut socket)?;
                Some(tls)
            }
        };
        Ok(Self { socket, tls })
    }

    /// Calls `on_bytes` with the number of bytes that arrived, each time some have, until the sender closes.
    ///
    /// # Errors
    /// If the connection fails.
    pub fn run(mut self, mut on_bytes: impl FnMut(usize)) -> Result<()> {
        let mut buffer = vec![0; 64 * 1024];
        let Some(tls) = &mut self.tls else {
            loop {
                match self.socket.read(&mut buffer)? {
                    0 => return Ok(()),
                    count => on_bytes(count),
                }
            }
        };
        loop {
            if tls.read_tls(&mut self.socket)? == 0 {
                return Ok(());
            }
            tls.process_new_packets().context("bad TLS")?;
            loop {
                match tls.reader().read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(count) => on_bytes(count),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_framed_with_the_shortest_length_and_masked() {
        let mut out = Vec::new();
        websocket(b"ab", &mut out);
        assert_eq!(out, [0x81, 0x82, 0x37, 0xfa, 0x21, 0x3d, b'a' ^ 0x37, b'b' ^ 0xfa]);
        websocket(&[0; 850], &mut out);
        assert_eq!(out[..4], [0x81, 0xfe, 0x03, 0x52]);
        assert_eq!(out.len(), 858);
    }

    #[test]
    fn a_bare_receiver_gets_every_byte_over_either_link() {
        let (config, certificate) = tls_server().unwrap();
        for secured in [false, true] {
            let (listener, addr) = listen().unwrap();
            let link = if secured { Link::Tls(trusting(certificate.clone())) } else { Link::Plain };
            let server = secured.then(|| Arc::clone(&config));
            let receiving = std::thread::spawn(move || {
                let mut received = 0;
                Receiver::accept(&listener, server).unwrap().run(|count| received += count).unwrap();
                received
            });
            let mut sender = Sender::connect(addr, &link).unwrap();
            for _ in 0..1000 {
                sender.queue(&[7; 850]).unwrap();
            }
            sender.flush().unwrap();
            drop(sender);
            assert_eq!(receiving.join().unwrap(), 850_000);
        }
    }

    fn trusting(certificate: CertificateDer<'static>) -> Arc<ClientConfig> {
        crate::client::trusting(certificate).unwrap().config().clone()
    }
}
