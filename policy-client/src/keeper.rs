//! Keeps a connection: dials, waits for its end, dials again.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use waldo_protocol::policy::Capability;

use crate::client::Shared;
use crate::connection::Connection;
use crate::link::{Dial, DialError, dial};
use crate::stats::count;
use crate::{Address, Error, Event, Lost, State};

/// Time until the first try to connect again, and the longest one between two.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// Time for the way to the server to be opened.
const DIAL: Duration = Duration::from_secs(10);

/// A connection that lived so long was a good one.
const LIVED: Duration = Duration::from_secs(2);

/// The first outcome goes to whoever waits in `connect`.
pub(crate) async fn keep(shared: Arc<Shared>, address: Address, first: oneshot::Sender<Error>) {
    let mut first = Some(first);
    let mut told = false;
    let mut wait = BACK_OFF.0;
    loop {
        shared.set(State::Connecting, None);
        match connect(&shared, &address).await {
            Ok((connection, mut receiver)) => {
                told = true;
                let since = Instant::now();
                count(&shared.common.counters.connections, 1);
                tracing::info!(%address, "connected to the policy server");
                let connection = Arc::new(connection);
                shared.common.queue.open();
                shared.set(State::Ready, Some(Arc::clone(&connection)));
                // The wait is over for whoever holds the other end, who may use the connection at once.
                first = None;
                let lost = connection.run(&mut receiver).await;
                shared.on_lost(&connection, &lost);
                tracing::warn!(%address, %lost, "the connection to the policy server is lost");
                if since.elapsed() > LIVED {
                    wait = BACK_OFF.0;
                }
            }
            Err(error) => {
                let changed = shared.current.note(&error.message);
                if let Some(first) = first.take_if(|_| error.for_good) {
                    shared.set(State::Closed, None);
                    // Nobody may be waiting.
                    let _ = first.send(Error::Refused { address: address.to_string(), reason: error.message });
                    return;
                }
                // Once, and again when something else is wrong.
                if !std::mem::replace(&mut told, true) || changed {
                    tracing::info!(%address, reason = error.message, "waiting for the policy server");
                }
            }
        }
        tokio::time::sleep(wait).await;
        wait = (2 * wait).min(BACK_OFF.1);
    }
}

async fn connect(shared: &Shared, address: &Address) -> Result<(Connection, crate::link::Receiver), DialError> {
    let common = &shared.common;
    let way = dial(Dial { address, options: &common.options, client: &common.client, robot: common.robot() });
    let link = tokio::time::timeout(DIAL, way).await.map_err(|_| DialError::later("no answer"))??;
    let (connection, receiver) = Connection::open(Arc::clone(common), link).await.map_err(|lost: Lost| {
        if matches!(lost, Lost::OtherRobot { .. }) {
            shared.set(State::Lost(lost.clone()), None);
        }
        DialError::later(lost)
    })?;
    // Before anything else is asked, so that all observations are as the policy wants them.
    let configured = common.configured.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if connection.caps.has(Capability::Enc) && (!configured.cameras.is_empty() || configured.align.is_some()) {
        connection.configure_again(configured).map_err(DialError::later)?;
    }
    Ok((connection, receiver))
}

impl Shared {
    /// Tells a change of state to those who listen.
    pub(crate) fn set(&self, state: State, connection: Option<Arc<Connection>>) {
        if self.current.set(state.clone(), connection) {
            self.common.tell(Event::State(state));
        }
    }

    pub(crate) fn on_lost(&self, connection: &Connection, lost: &Lost) {
        self.common.latest.set_lost();
        if !self.common.options.keep_actions_when_lost {
            let dropped = self.common.queue.close(Error::NotConnected { last: lost.to_string() });
            count(&self.common.counters.actions_dropped_lost, dropped as u64);
        }
        self.current.note(&lost.to_string());
        self.set(State::Lost(lost.clone()), None);
        connection.close(lost);
    }
}
