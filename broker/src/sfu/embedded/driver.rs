//! The thread of the engine: waits for datagrams, commands and timers, and gives them to the core.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token, Waker};
use str0m::net::{Protocol, Transmit};
use tokio::sync::mpsc;

use super::core::{Command, Core};
use super::udp::Udp;

const UDP: Token = Token(0);
const WAKE: Token = Token(1);

/// Commands that are done between two looks at the sockets.
const COMMANDS: usize = 16;

pub(super) struct Driver {
    poll: Poll,
    udp: Udp,
    core: Core,
    commands: mpsc::Receiver<Command>,
    out: Vec<Transmit>,
}

impl Driver {
    pub(super) fn new(mut udp: Udp, core: Core, commands: mpsc::Receiver<Command>) -> io::Result<(Self, Arc<Waker>)> {
        let poll = Poll::new()?;
        poll.registry().register(udp.source(), UDP, Interest::READABLE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        Ok((Self { poll, udp, core, commands, out: Vec::new() }, waker))
    }

    /// Runs until nobody can send a command any more.
    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(64);
        let mut more = true;
        loop {
            let wait = if more || self.udp.is_readable() { Duration::ZERO } else { self.wait() };
            match self.poll.poll(&mut events, Some(wait)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    tracing::error!(%error, "the SFU cannot wait for its sockets any more");
                    return;
                }
            }
            if events.iter().any(|event| event.token() == UDP) {
                self.udp.wake();
            }
            if self.udp.is_readable() {
                let (core, now) = (&mut self.core, Instant::now());
                self.udp.read(|source: SocketAddr, destination, datagram| {
                    core.receive(Protocol::Udp, source, destination, datagram, now);
                });
                self.send();
            }
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

    fn wait(&self) -> Duration {
        self.core.deadline().saturating_duration_since(Instant::now())
    }

    fn send(&mut self) {
        self.out.extend(self.core.transmits());
        self.udp.send(&self.out);
        self.out.clear();
    }
}
