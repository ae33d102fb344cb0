//! The thread of the engine: waits for datagrams, commands and timers, and gives them to the core.

use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};
use str0m::net::{Protocol, Transmit};
use tokio::sync::mpsc;

use super::core::{Command, Core};
use super::tcp::Tcp;
use super::udp::Udp;

const UDP: Token = Token(0);
const WAKE: Token = Token(1);

/// The first token of the TCP listener and its connections.
pub(super) const TCP: usize = 2;

/// Commands that are done between two looks at the sockets.
const COMMANDS: usize = 16;

pub(super) struct Driver {
    poll: Poll,
    udp: Udp,
    tcp: Option<Tcp>,
    core: Core,
    commands: mpsc::Receiver<Command>,
    out: Vec<Transmit>,
}

impl Driver {
    pub(super) fn new(
        mut udp: Udp,
        mut tcp: Option<Tcp>,
        core: Core,
        commands: mpsc::Receiver<Command>,
    ) -> io::Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        poll.registry().register(udp.source(), UDP, Interest::READABLE)?;
        if let Some(tcp) = &mut tcp {
            tcp.register(poll.registry())?;
        }
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        Ok((Self { poll, udp, tcp, core, commands, out: Vec::new() }, waker))
    }

    /// Runs until nobody can send a command any more. After a fault all peers are gone, and new ones can come.
    pub(super) fn run(mut self) {
        while catch_unwind(AssertUnwindSafe(|| self.work())).is_err() {
            tracing::error!("a fault in the SFU: all its peers are dropped");
            self.core.begin_anew(Instant::now());
        }
    }

    fn work(&mut self) {
        let mut events = Events::with_capacity(64);
        let mut more = true;
        loop {
            let readable = self.udp.is_readable() || self.tcp.as_ref().is_some_and(Tcp::is_readable);
            let wait = if more || readable { Duration::ZERO } else { self.wait() };
            match self.poll.poll(&mut events, Some(wait)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "the SFU cannot wait for its sockets any more");
                    return;
                }
            }
            for event in &events {
                match (event.token(), &mut self.tcp) {
                    (UDP, _) => self.udp.wake(),
                    (WAKE, _) | (_, None) => {}
                    (_, Some(tcp)) => tcp.wake(event),
                }
            }
            self.read();
            more = false;
            for done in 0..COMMANDS {
                match self.commands.try_recv() {
                    Ok(command) => self.core.command(command, Instant::now()),
                    Err(mpsc::error::TryRecvError::Empty) => break,
                    Err(mpsc::error::TryRecvError::Disconnected) => return self.send(),
                }
                more = done + 1 == COMMANDS;
            }
            self.core.advance(Instant::now());
            self.send();
        }
    }

    /// Takes in what has come. What it leads to goes out at once, before commands are done.
    fn read(&mut self) {
        let (core, now) = (&mut self.core, Instant::now());
        if self.udp.is_readable() {
            self.udp.read(|source: SocketAddr, destination, datagram| {
                core.receive(Protocol::Udp, source, destination, datagram, now);
            });
        }
        if let Some(tcp) = &mut self.tcp {
            tcp.read(self.poll.registry(), now, |source, destination, datagram| {
                core.receive(Protocol::Tcp, source, destination, datagram, now)
            });
            for source in tcp.closed() {
                core.forget(Protocol::Tcp, source);
            }
        }
        self.core.settle(now);
        self.send();
    }

    fn wait(&self) -> Duration {
        self.core.deadline().saturating_duration_since(Instant::now())
    }

    fn send(&mut self) {
        for transmit in self.core.transmits() {
            match (transmit.proto, &mut self.tcp) {
                (Protocol::Udp, _) => self.out.push(transmit),
                (_, Some(tcp)) => tcp.push(&transmit),
                (_, None) => {}
            }
        }
        self.udp.send(&self.out);
        self.out.clear();
        if let Some(tcp) = &mut self.tcp {
            tcp.send();
        }
    }
}
