//! How the connection stands, and what happens on it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use waldo_protocol::policy::{ErrorReply, LeaseEvent};

use crate::connection::Connection;
use crate::{Error, Lost};

/// How the connection stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// The client looks for the server.
    Connecting,
    /// Calls can be made.
    Ready,
    /// The connection ended. The client tries again after 0.1 s, at most 2 s if that fails.
    Lost(Lost),
    /// The client was closed, or will not be served however often it asks.
    Closed,
}

/// What happens without having been asked for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The connection stands otherwise than before.
    State(State),
    /// The server reports an error that belongs to no request, such as an action it did not take.
    Server(ErrorReply),
    /// Somebody else controls the robot now, or nobody.
    Lease(LeaseEvent),
    /// The server does not take the settings of cameras any more that were asked for on an earlier connection.
    Configure(Error),
    /// An observation of the stream could not be had; the stream goes on.
    Stream(Error),
    /// An action could not be sent, or a step failed; the dispatch goes on.
    Dispatch(Error),
}

/// The connection there is, if there is one.
pub(crate) struct Current {
    state: watch::Sender<State>,
    connection: Mutex<Option<Arc<Connection>>>,
    /// How the last connection ended, or the last attempt to connect.
    problem: Mutex<String>,
}

impl Current {
    pub(crate) fn new() -> Self {
        let problem = Mutex::new("nothing was tried yet".to_owned());
        Self { state: watch::Sender::new(State::Connecting), connection: Mutex::new(None), problem }
    }

    /// What a connection or an attempt to connect ended with; whether that is another problem than before.
    pub(crate) fn note(&self, problem: &str) -> bool {
        let mut known = self.problem.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = *known != problem;
        problem.clone_into(&mut known);
        changed
    }

    /// What was noted last.
    pub(crate) fn problem(&self) -> String {
        self.problem.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// After [`State::Closed`] nothing changes any more.
    pub(crate) fn set(&self, state: State, connection: Option<Arc<Connection>>) -> bool {
        *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = connection;
        self.state.send_if_modified(|known| {
            let changed = *known != state && *known != State::Closed;
            if changed {
                *known = state;
            }
            changed
        })
    }

    pub(crate) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }

    /// The connection.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn connection(&self) -> Result<Arc<Connection>, Error> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        connection.ok_or_else(|| match self.state() {
            State::Closed => Error::Closed,
            _ => Error::NotConnected { last: self.problem() },
        })
    }

    /// The connection as soon as there is one.
    ///
    /// # Errors
    /// The client was closed.
    pub(crate) async fn ready(&self) -> Result<Arc<Connection>, Error> {
        let mut watch = self.watch();
        loop {
            match watch.wait_for(|state| matches!(state, State::Ready | State::Closed)).await.as_deref() {
                Ok(State::Ready) => {}
                _ => return Err(Error::Closed),
            }
            if let Ok(connection) = self.connection() {
                return Ok(connection);
            }
            // It was lost in between.
            if watch.changed().await.is_err() {
                return Err(Error::Closed);
            }
        }
    }
}
