//! ICE over TCP (RFC 6544), for peers whose network lets no UDP through: each datagram has its length before it (RFC 4571).
//!
//! Anybody can connect. A stranger has a few seconds to send a connectivity check of one of our peers, and nothing else first; a place that
//! such a stranger holds goes to whoever comes when all are taken.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::SockRef;
use str0m::net::Transmit;

use super::udp::{canonical, destination};
use crate::limits::network;

/// Bytes of one datagram.
const FRAME: usize = 2048;

/// What waits for a peer that takes nothing, here and in the system. More would be old before it arrives; what does not fit is lost, as a
/// datagram would be.
const OUTPUT: usize = 256 << 10;
const KERNEL_BUFFER: usize = 128 << 10;

/// Connections of one address, or of one network of IPv6. Many peers may be behind one translator.
const PER_ADDRESS: usize = 64;

/// A stranger says whose he is within this time.
const STRANGER: Duration = Duration::from_secs(5);

/// A connection over which nothing came for so long is given up. Checks come every few seconds.
const SILENT: Duration = Duration::from_secs(30);

/// What is read of one connection, and how many are accepted, before others have their turn.
const READS: usize = 4;
const ACCEPTS: usize = 16;

/// How often silence is looked for.
const EVERY: Duration = Duration::from_secs(1);

pub(super) struct Tcp {
    listener: TcpListener,
    announced: Vec<SocketAddr>,
    token: Token,
    next: usize,
    most: usize,
    connections: HashMap<Token, Connection>,
    by_address: HashMap<SocketAddr, Token>,
    /// That may have more to read.
    readable: Vec<Token>,
    /// That have something to be written.
    writable: Vec<Token>,
    accepts: bool,
    looked: Instant,
    /// From where nothing will come any more.
    closed: Vec<SocketAddr>,
    scratch: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    source: SocketAddr,
    destination: SocketAddr,
    /// A check of one of our peers came over it.
    known: bool,
    heard: Instant,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Tcp {
    /// `tokens` from the first on are the listener's and its connections'. `most` is how many connections there may be at a time.
    pub(super) fn new(
        listener: std::net::TcpListener,
        announced: Vec<SocketAddr>,
        tokens: usize,
        most: usize,
        now: Instant,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener: TcpListener::from_std(listener),
            announced,
            token: Token(tokens),
            next: tokens,
            most,
            connections: HashMap::new(),
            by_address: HashMap::new(),
            readable: Vec::new(),
            writable: Vec::new(),
            accepts: true,
            looked: now,
            closed: Vec::new(),
            scratch: vec![0; 16 << 10],
        })
    }

    pub(super) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        registry.register(&mut self.listener, self.token, Interest::READABLE)
    }

    /// Something happened to the listener or to a connection.
    pub(super) fn wake(&mut self, event: &Event) {
        let token = event.token();
        if token == self.token {
            self.accepts = true;
        } else if self.connections.contains_key(&token) {
            if (event.is_readable() || event.is_read_closed() || event.is_error()) && !self.readable.contains(&token) {
                self.readable.push(token);
            }
            if event.is_writable() {
                self.writable.push(token);
            }
        }
    }

    /// Whether there may be more to read or to accept.
    pub(super) fn is_readable(&self) -> bool {
        self.accepts || !self.readable.is_empty()
    }

    /// Accepts and reads some, and hands over each datagram with where it came from and which of the announced addresses it came to. What
    /// it is handed to says whether it is a peer's; a connection that begins with anything else is closed.
    pub(super) fn read(
        &mut self,
        registry: &Registry,
        now: Instant,
        mut take: impl FnMut(SocketAddr, SocketAddr, &[u8]) -> bool,
    ) {
        if now.saturating_duration_since(self.looked) >= EVERY {
            self.look(now);
        }
        self.accept(registry, now);
        for token in std::mem::take(&mut self.readable) {
            let Some(connection) = self.connections.get_mut(&token) else { continue };
            match connection.read(&mut self.scratch, now, &mut take) {
                Ok(true) => self.readable.push(token),
                Ok(false) => {}
                Err(error) => {
                    tracing::debug!(source = %connection.source, %error, "a TCP connection ends");
                    self.close(token);
                }
            }
        }
    }

    fn accept(&mut self, registry: &Registry, now: Instant) {
        for _ in 0..ACCEPTS {
            if !self.accepts {
                return;
            }
            match self.listener.accept() {
                Ok((stream, source)) => {
                    if let Err(error) = self.admit(stream, canonical(source), registry, now) {
                        tracing::debug!(%source, %error, "a TCP connection is not taken");
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Also if the system has no more to give; then it is tried again when silence is looked for.
                Err(_) => self.accepts = false,
            }
        }
    }

    fn admit(
        &mut self,
        mut stream: TcpStream,
        source: SocketAddr,
        registry: &Registry,
        now: Instant,
    ) -> io::Result<()> {
        let refused = |why| Err(io::Error::new(ErrorKind::QuotaExceeded, why));
        let to = Some(stream.local_addr()?.ip());
        let Some(destination) = destination(&self.announced, to, source) else {
            return refused("none of our addresses is of its family");
        };
        let of_it = self.connections.values().filter(|one| network(one.source.ip()) == network(source.ip())).count();
        if of_it >= PER_ADDRESS {
            return refused("there are too many of this address");
        }
        if self.connections.len() >= self.most {
            let strangers = self.connections.iter().filter(|(_, one)| !one.known);
            let Some(oldest) = strangers.min_by_key(|(token, one)| (one.heard, token.0)).map(|(token, _)| *token)
            else {
                return refused("there are too many");
            };
            self.close(oldest);
        }
        stream.set_nodelay(true)?;
        // Best effort: the system's limits decide.
        let _ = SockRef::from(&stream).set_send_buffer_size(KERNEL_BUFFER);
        self.next += 1;
        let token = Token(self.next);
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let (input, output) = (Vec::new(), Vec::new());
        let connection = Connection { stream, source, destination, known: false, heard: now, input, output };
        self.connections.insert(token, connection);
        self.by_address.insert(source, token);
        self.readable.push(token);
        Ok(())
    }

    /// Ends what is silent.
    fn look(&mut self, now: Instant) {
        self.looked = now;
        self.accepts = true;
        let is_over =
            |one: &Connection| now.saturating_duration_since(one.heard) > if one.known { SILENT } else { STRANGER };
        let over: Vec<Token> =
            self.connections.iter().filter(|(_, one)| is_over(one)).map(|(token, _)| *token).collect();
        for token in over {
            self.close(token);
        }
    }

    fn close(&mut self, token: Token) {
        // The socket takes its registration along.
        let Some(connection) = self.connections.remove(&token) else { return };
        self.readable.retain(|one| *one != token);
        if self.by_address.get(&connection.source) == Some(&token) {
            self.by_address.remove(&connection.source);
            if connection.known {
                self.closed.push(connection.source);
            }
        }
    }

    /// The addresses of peers from which nothing will come any more.
    pub(super) fn closed(&mut self) -> std::vec::Drain<'_, SocketAddr> {
        self.closed.drain(..)
    }

    /// Puts a datagram into its connection's queue, if it has one.
    pub(super) fn push(&mut self, transmit: &Transmit) {
        let Some(token) = self.by_address.get(&transmit.destination) else { return };
        let Some(connection) = self.connections.get_mut(token) else { return };
        let Ok(length) = u16::try_from(transmit.contents.len()) else { return };
        // Nothing is said to strangers; whose check comes first is known then, and a reply to ours would not tell.
        if !connection.known {
            return;
        }
        if connection.output.len() + 2 + usize::from(length) > OUTPUT {
            return;
        }
        if connection.output.is_empty() {
            self.writable.push(*token);
        }
        connection.output.extend(length.to_be_bytes());
        connection.output.extend_from_slice(&transmit.contents);
    }

    /// Writes what the system takes.
    pub(super) fn send(&mut self) {
        for token in std::mem::take(&mut self.writable) {
            if let Some(connection) = self.connections.get_mut(&token)
                && let Err(error) = connection.write()
            {
                tracing::debug!(source = %connection.source, %error, "a TCP connection ends");
                self.close(token);
            }
        }
    }
}

impl Connection {
    /// Reads a little. Tells whether there may be more.
    fn read(
        &mut self,
        scratch: &mut [u8],
        now: Instant,
        take: &mut impl FnMut(SocketAddr, SocketAddr, &[u8]) -> bool,
    ) -> io::Result<bool> {
        for _ in 0..READS {
            match self.stream.read(scratch) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    self.input.extend_from_slice(&scratch[..read]);
                    self.frames(now, take)?;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn frames(&mut self, now: Instant, take: &mut impl FnMut(SocketAddr, SocketAddr, &[u8]) -> bool) -> io::Result<()> {
        let mut rest = &self.input[..];
        while let Some((head, body)) = rest.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*head));
            if length > FRAME {
                return Err(io::Error::new(ErrorKind::InvalidData, "a frame is too long"));
            }
            let Some((datagram, later)) = body.split_at_checked(length) else { break };
            let is_peers = take(self.source, self.destination, datagram);
            if !self.known && !is_peers {
                return Err(io::Error::new(ErrorKind::InvalidData, "it does not begin with a check of a peer"));
            }
            self.known = true;
            self.heard = now;
            rest = later;
        }
        let done = self.input.len() - rest.len();
        self.input.drain(..done);
        Ok(())
    }

    fn write(&mut self) -> io::Result<()> {
        let mut done = 0;
        let written = loop {
            if done == self.output.len() {
                break Ok(());
            }
            match self.stream.write(&self.output[done..]) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(more) => done += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.output.drain(..done);
        written
    }
}
