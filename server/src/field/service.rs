//! What all sockets share: who is who, what belongs to whom, and the way to the simulation.

mod users;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use waldo_protocol::field::{Extensions, Invalid, Limits, MeshMarks, Role, SceneCursor};
use waldo_protocol::time::MonoTime;

use self::users::Books;
pub use self::users::UserView;
use super::config::FieldConfig;
use super::outbox::Outbox;
use super::seat::Seat;
use super::worker::{Calls, NoAnswer, Shared};
use crate::clock;
use crate::seldom::Seldom;
use crate::websocket::Close;

/// Period of [`Service::watch`].
const TICK: Duration = Duration::from_millis(250);

/// How long a client may take to say hello if it has to show the token with it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Silence after which spectators and publishers are taken to be gone.
const SILENCE: Duration = Duration::from_secs(60);

/// Silence after which a user counts as away.
pub(super) const AWAY: Duration = Duration::from_secs(5);

/// What a client is refused, with a word for programs.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) reason: Invalid,
    pub(super) code: &'static str,
}

impl Refused {
    pub(super) fn new(code: &'static str, reason: impl Into<String>) -> Self {
        Self { reason: Invalid::reason(reason), code }
    }
}

impl From<Invalid> for Refused {
    fn from(reason: Invalid) -> Self {
        Self { code: if reason == Invalid::Disconnected { "disconnected" } else { "invalid" }, reason }
    }
}

impl From<super::backend::BackendError> for Refused {
    fn from(error: super::backend::BackendError) -> Self {
        Self::new("refused", error.to_string())
    }
}

impl From<NoAnswer> for Refused {
    fn from(gone: NoAnswer) -> Self {
        Self::new("fault", gone.to_string())
    }
}

/// One of these per server.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) config: FieldConfig,
    pub(super) shared: Arc<Shared>,
    pub(super) calls: Calls,
    /// Of the back end's targets.
    pub(super) limits: Option<Limits>,
    books: Mutex<Books>,
    clients: Mutex<BTreeMap<u64, Arc<Client>>>,
    next_conn: AtomicU64,
    /// Users that began anew since the last frame.
    resets: Mutex<BTreeSet<String>>,
    logged: Seldom,
}

/// One socket, as far as others have to do with it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) conn: u64,
    pub(super) outbox: Arc<Outbox>,
    /// When its last message came, nanoseconds of the monotonic clock.
    heard: AtomicU64,
    view: Mutex<View>,
}

/// What a client is, and what it has seen.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// Whether it may see the scene.
    pub(super) trusted: bool,
    pub(super) role: Option<Role>,
    pub(super) ext: Extensions,
    /// The static meshes that it got since its hello.
    pub(super) marks: MeshMarks,
    /// What it has of the scene, if it gets what changed.
    pub(super) cursor: SceneCursor,
    /// The last scene told it something of its own.
    pub(super) told: bool,
    pub(super) seat: Option<Arc<Seat>>,
    /// How often what it has began anew: what was made for it before counts no more.
    begun: u64,
}

impl View {
    fn new(trusted: bool) -> Self {
        let (marks, cursor) = (MeshMarks::new(), SceneCursor::NEW);
        Self { trusted, role: None, ext: Extensions::NONE, marks, cursor, told: false, seat: None, begun: 0 }
    }

    /// The next scene is a whole one.
    pub(super) fn begin_anew(&mut self) {
        (self.cursor, self.told) = (SceneCursor::NEW, false);
        self.begun += 1;
    }

    /// Whether nothing began anew since this copy was taken.
    pub(super) fn goes_on_from(&self, copy: &Self) -> bool {
        self.begun == copy.begun
    }
}

impl Client {
    pub(super) fn view(&self) -> MutexGuard<'_, View> {
        lock(&self.view)
    }

    /// A message came.
    pub(super) fn was_heard(&self, now: MonoTime) {
        self.heard.store(now.as_nanos(), Ordering::Relaxed);
    }

    fn silent(&self, now: MonoTime) -> Duration {
        now.since(MonoTime::from_nanos(self.heard.load(Ordering::Relaxed)))
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Service {
    pub(super) fn new(config: FieldConfig, shared: Arc<Shared>, calls: Calls, limits: Option<Limits>) -> Self {
        Self {
            config,
            shared,
            calls,
            limits,
            books: Mutex::default(),
            clients: Mutex::default(),
            next_conn: AtomicU64::new(1),
            resets: Mutex::default(),
            logged: Seldom::default(),
        }
    }

    /// A socket opened.
    pub(super) fn connect(&self, trusted: bool) -> Arc<Client> {
        let conn = self.next_conn.fetch_add(1, Ordering::Relaxed);
        let view = View::new(trusted);
        let heard = AtomicU64::new(clock::now().as_nanos());
        let client = Arc::new(Client { conn, outbox: Arc::default(), heard, view: Mutex::new(view) });
        lock(&self.clients).insert(conn, Arc::clone(&client));
        client
    }

    /// A socket closed.
    pub(super) fn disconnect(&self, client: &Client) {
        lock(&self.clients).remove(&client.conn);
    }

    /// The sockets that are open.
    pub(super) fn clients(&self) -> Vec<Arc<Client>> {
        lock(&self.clients).values().cloned().collect()
    }

    pub(super) fn client_count(&self) -> usize {
        lock(&self.clients).len()
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }

    /// Meshes of this user are sent anew, under whatever names.
    fn resend(&self, user: &str) {
        for client in self.clients() {
            let mut view = client.view();
            view.marks.forget(user);
            view.begun += 1;
        }
        lock(&self.resets).insert(user.to_owned());
    }

    /// The users whose meshes are to be sent anew.
    pub(super) fn take_resets(&self) -> BTreeSet<String> {
        std::mem::take(&mut lock(&self.resets))
    }

    /// Whether a line of this kind may be logged now: one per second.
    pub(super) fn may_log(&self, kind: &'static str) -> bool {
        self.logged.may_log(clock::now(), kind)
    }

    /// Ends what is silent for too long, until `shutdown`.
    pub(super) async fn watch(self: Arc<Self>, shutdown: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                () = shutdown.cancelled() => {
                    let close = || Close::new(1001, "the server stops");
                    return self.clients().iter().for_each(|client| client.outbox.close(close()));
                }
            }
            let now = clock::now();
            for client in self.clients() {
                if let Some(close) = overdue(&client.view(), client.silent(now)) {
                    client.outbox.close(close);
                }
            }
            let gone = self.books().lost_for_good(now);
            for user in gone {
                self.unseat(&user).await;
            }
        }
    }
}

/// Why a client that is silent is hung up on, if it is.
fn overdue(view: &View, silent: Duration) -> Option<Close> {
    match view.role {
        None if !view.trusted && silent >= PATIENCE => Some(Close::new(4401, "unauthorized")),
        Some(Role::Spectator | Role::Publisher) if silent >= SILENCE => {
            Some(Close::new(1001, "nothing was heard for a minute"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_watches_or_publishes_has_a_minute_and_who_drives_is_told_by_pings() {
        let code = |role, trusted, seconds| {
            let view = View { role, ..View::new(trusted) };
            overdue(&view, Duration::from_secs(seconds)).map(|close| close.code)
        };
        assert_eq!(code(Some(Role::Spectator), true, 59), None);
        assert_eq!(code(Some(Role::Spectator), true, 60), Some(1001));
        assert_eq!(code(Some(Role::Publisher), true, 60), Some(1001));
        assert_eq!(code(Some(Role::VrClient), true, 3600), None);
        assert_eq!(code(None, true, 3600), None, "a client without hello may watch");
        assert_eq!((code(None, false, 9), code(None, false, 10)), (None, Some(4401)));
    }
}
