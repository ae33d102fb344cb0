//! Which commands of the operator run: once each, few at a time, none that was given before a stop.
//!
//! The commands themselves, their queue and their threads are the robot module's; this decides. An urgent command (a stop,
//! `Damp`, the end of a stop) asks nobody: it runs at once, on its own.

use std::collections::VecDeque;
use std::time::Duration;

use crate::time::MonoTime;

/// Normal commands under way at most, the running one included.
pub const MAX_PENDING: usize = 4;
/// Nonces remembered at most.
pub const MAX_NONCES: usize = 64;
/// How long the result of a command is remembered.
pub const NONCE_LIFE: Duration = Duration::from_secs(10);

/// A normal command that may be queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    number: u64,
    epoch: u64,
}

/// What becomes of a normal command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is queued; [`CommandExecutor::may_run`] when its turn comes, [`CommandExecutor::finished`] in any case.
    Queued(Ticket),
    /// It ran before: its result is acknowledged again.
    Repeated {
        /// How it ended.
        ok: bool,
    },
    /// It is under way: nothing is said.
    UnderWay,
    /// It does not run, which is acknowledged with `ok: false`, nonce or not.
    Refused(Refused),
}

/// Why a command does not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The emergency stop is latched.
    #[error("the emergency stop is latched")]
    Latched,
    /// [`MAX_PENDING`] are under way.
    #[error("too many commands are under way")]
    Backlog,
    /// The robot shuts down.
    #[error("the robot shuts down")]
    ShuttingDown,
}

#[derive(Debug)]
struct Known<N> {
    nonce: N,
    ticket: u64,
    /// When and how it ended.
    ended: Option<(MonoTime, bool)>,
}

/// The decisions about the normal commands of one operator. `N` is the type of nonces.
#[derive(Debug)]
pub struct CommandExecutor<N> {
    known: VecDeque<Known<N>>,
    pending: usize,
    tickets: u64,
    epoch: u64,
    latched: bool,
    shut_down: bool,
}

impl<N> Default for CommandExecutor<N> {
    fn default() -> Self {
        Self { known: VecDeque::new(), pending: 0, tickets: 0, epoch: 0, latched: false, shut_down: false }
    }
}

impl<N: PartialEq> CommandExecutor<N> {
    /// A normal command arrives.
    pub fn submit(&mut self, nonce: Option<N>, now: MonoTime) -> Submitted {
        self.known.retain(|known| known.ended.is_none_or(|(at, _)| now.since(at) < NONCE_LIFE));
        if self.shut_down {
            return Submitted::Refused(Refused::ShuttingDown);
        }
        if self.latched {
            return Submitted::Refused(Refused::Latched);
        }
        let before = nonce.as_ref().and_then(|nonce| self.known.iter().find(|known| known.nonce == *nonce));
        match before {
            Some(Known { ended: Some((_, ok)), .. }) => return Submitted::Repeated { ok: *ok },
            Some(_) => return Submitted::UnderWay,
            None => {}
        }
        if self.pending >= MAX_PENDING {
            return Submitted::Refused(Refused::Backlog);
        }
        self.pending += 1;
        self.tickets += 1;
        if let Some(nonce) = nonce {
            if self.known.len() >= MAX_NONCES {
                // There are fewer under way than are remembered, so the oldest that ended goes.
                let oldest = self.known.iter().position(|known| known.ended.is_some()).unwrap_or(0);
                self.known.remove(oldest);
            }
            self.known.push_back(Known { nonce, ticket: self.tickets, ended: None });
        }
        Submitted::Queued(Ticket { number: self.tickets, epoch: self.epoch })
    }

    /// Whether a queued command may begin, or a longer one go on with its next step: no stop, loss or shutdown since it
    /// was submitted. If not it has failed.
    pub const fn may_run(&self, ticket: Ticket) -> bool {
        ticket.epoch == self.epoch
    }

    /// A queued command has ended, or was not begun (`ok` false). It is acknowledged if it has a nonce.
    pub fn finished(&mut self, ticket: Ticket, ok: bool, now: MonoTime) {
        self.pending = self.pending.saturating_sub(1);
        if let Some(known) = self.known.iter_mut().find(|known| known.ticket == ticket.number) {
            known.ended = Some((now, ok));
        }
    }

    /// The emergency stop: what is queued will not run, and nothing is queued until [`CommandExecutor::clear`].
    pub fn latch(&mut self) {
        self.latched = true;
        self.epoch += 1;
    }

    /// The emergency stop is over.
    pub fn clear(&mut self) {
        self.latched = false;
    }

    /// The operator is gone: what is queued will not run, and the next operator's nonces are new ones.
    pub fn operator_lost(&mut self) {
        self.epoch += 1;
        self.forget_nonces();
    }

    /// Nothing that was submitted so far runs, or goes on with its next step.
    pub fn fence(&mut self) {
        self.epoch += 1;
    }

    /// Another operator's page may count from 1 again: for every change of a channel's id.
    pub fn forget_nonces(&mut self) {
        self.known.clear();
    }

    /// The robot shuts down: what is queued will not run, and nothing more is queued.
    pub fn shut_down(&mut self) {
        self.shut_down = true;
        self.epoch += 1;
    }

    /// Counts the stops and losses so far.
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Commands under way, the running one included.
    pub const fn pending(&self) -> usize {
        self.pending
    }
}
