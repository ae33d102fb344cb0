//! The public handle of the field service.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use axum::Router;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waldo_protocol::field::SceneState;

use super::backend::FieldBackend;
use super::config::FieldConfig;
use super::service::{Service, UserView};
use super::worker::{self, Calls, Shared, World};
use super::{publish, upgrade};
use crate::http::{self, BindError};

/// Threads of the service's own runtime: two, so that one client's message of many megabytes holds up nobody's hands.
const THREADS: usize = 2;

/// Connections beyond the clients: those that shake hands, or are told that there are too many.
const SPARE: usize = 64;

/// Sockets at a time that have yet to show the token.
const MAX_STRANGERS: usize = 16;

/// Why the field service does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FieldStartError {
    /// The port is not to be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// It was started before.
    #[error("the field service was started before; make a new one")]
    Started,
    /// The system gives no threads or files.
    #[error("the field service cannot start: {0}")]
    Io(#[from] io::Error),
}

/// The server of the Virtual Field wire: controller samples in, a scene of arms out. Cheap to clone; all clones are one
/// server, which ends with the last of them.
///
/// ```no_run
/// use waldo_server::field::{FieldConfig, FieldServer, MultiArmPassThroughBackend};
///
/// # fn main() -> Result<(), waldo_server::field::FieldStartError> {
/// let server = FieldServer::new(FieldConfig::default());
/// server.start(Box::new(MultiArmPassThroughBackend::default()))?;
/// println!("ws://{:?}, {} arms", server.addr(), server.scene().arms.len());
/// # server.stop();
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct FieldServer(Arc<Inner>);

struct Inner {
    config: FieldConfig,
    door: FieldDoor,
    shutdown: CancellationToken,
    running: Mutex<Option<Running>>,
}

/// What exists after the start.
struct Running {
    addr: Option<SocketAddr>,
    service: Arc<Service>,
    tasks: TaskTracker,
    stopping: Arc<AtomicBool>,
    runtime: Option<Runtime>,
    threads: Vec<JoinHandle<()>>,
}

/// What requests come through; shut before the start and after the end.
#[derive(Clone, Default)]
pub(crate) struct FieldDoor(Arc<Mutex<Option<Arc<Open>>>>);

/// An open door.
pub(super) struct Open {
    pub(super) service: Arc<Service>,
    pub(super) shutdown: CancellationToken,
    pub(super) tasks: TaskTracker,
    pub(super) handle: Handle,
    places: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

/// What a socket occupies.
#[derive(Debug)]
pub(super) struct Place {
    _place: OwnedSemaphorePermit,
    stranger: Option<OwnedSemaphorePermit>,
}

impl Place {
    /// The client has shown the token.
    pub(super) fn is_known(&mut self) {
        self.stranger = None;
    }
}

impl Open {
    /// Room for one more, if there is any.
    pub(super) fn place(&self, trusted: bool) -> Option<Place> {
        let take = |places: &Arc<Semaphore>| Arc::clone(places).try_acquire_owned().ok();
        let stranger = if trusted { None } else { Some(take(&self.strangers)?) };
        Some(Place { _place: take(&self.places)?, stranger })
    }
}

impl FieldDoor {
    /// As [`FieldServer::routes`].
    pub(crate) fn routes(&self) -> Router {
        upgrade::below_the_page(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Open>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn open(&self) -> Option<Arc<Open>> {
        self.lock().clone()
    }
}

impl FieldServer {
    /// A server that does not run yet.
    pub fn new(config: FieldConfig) -> Self {
        Self::behind(FieldDoor::default(), config)
    }

    /// The same behind a door that there is already.
    pub(crate) fn behind(door: FieldDoor, config: FieldConfig) -> Self {
        Self(Arc::new(Inner { config, door, shutdown: CancellationToken::new(), running: Mutex::default() }))
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The route `/field` for a listener that speaks HTTP/1.1 with upgrades and gives the peer as
    /// [`axum::extract::ConnectInfo`]. It asks for the token itself, and answers 503 before the start.
    pub fn routes(&self) -> Router {
        self.0.door.routes()
    }

    /// Takes the port if there is one, starts the simulation, and lets clients in.
    ///
    /// # Errors
    /// [`FieldStartError`] says what to do; nothing is left behind.
    pub fn start(&self, backend: Box<dyn FieldBackend>) -> Result<(), FieldStartError> {
        self.start_on(None, backend)
    }

    /// The same on a port that was taken already; otherwise that of the settings is taken.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(crate) fn start_on(
        &self,
        listener: Option<TcpListener>,
        backend: Box<dyn FieldBackend>,
    ) -> Result<(), FieldStartError> {
        let mut running = self.running();
        if running.is_some() || self.0.shutdown.is_cancelled() {
            return Err(FieldStartError::Started);
        }
        let config = &self.0.config;
        let bind = |addr| http::bind_for(addr, "FieldConfig::listen");
        let listener = listener.map_or_else(|| config.listen.map(bind).transpose(), |listener| Ok(Some(listener)))?;
        let addr = listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let runtime =
            Builder::new_multi_thread().worker_threads(THREADS).thread_name("field net").enable_all().build()?;
        let (calls, called) = Calls::new();
        let shared = Arc::<Shared>::default();
        let service = Arc::new(Service::new(config.clone(), Arc::clone(&shared), calls, backend.limits()));
        let (stopping, shutdown) = (Arc::<AtomicBool>::default(), self.0.shutdown.clone());
        let world = World::new(backend, config);
        let spawn =
            |name: &str, run: Box<dyn FnOnce() + Send>| std::thread::Builder::new().name(name.into()).spawn(run);
        let mut threads = Vec::new();
        let started = [
            spawn("field steps", {
                let (shared, stopping) = (Arc::clone(&shared), Arc::clone(&stopping));
                Box::new(move || worker::run(world, called, &shared, &stopping))
            }),
            spawn("field scenes", {
                let (service, stopping) = (Arc::clone(&service), Arc::clone(&stopping));
                Box::new(move || publish::run(&service, &stopping))
            }),
        ];
        for thread in started {
            match thread {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    stopping.store(true, Ordering::Relaxed);
                    return Err(error.into());
                }
            }
        }
        let tasks = TaskTracker::new();
        let handle = runtime.handle().clone();
        tasks.spawn_on(Arc::clone(&service).watch(shutdown.clone()), &handle);
        *self.0.door.lock() = Some(Arc::new(Open {
            service: Arc::clone(&service),
            shutdown: shutdown.clone(),
            tasks: tasks.clone(),
            handle: handle.clone(),
            places: Arc::new(Semaphore::new(config.max_clients.min(Semaphore::MAX_PERMITS))),
            strangers: Arc::new(Semaphore::new(MAX_STRANGERS)),
        }));
        if let Some(listener) = listener {
            let router = upgrade::everywhere(self.0.door.clone());
            let max = config.max_clients.saturating_add(SPARE);
            let (tls, metrics) = (config.tls.clone(), config.metrics.clone());
            let listening = async move {
                match tokio::net::TcpListener::from_std(listener) {
                    Ok(listener) => http::serve_at_most(max, listener, tls, router, metrics, shutdown).await,
                    Err(error) => tracing::error!("the listener of the field failed: {error}; restart the program"),
                }
            };
            tasks.spawn_on(listening, &handle);
        }
        *running = Some(Running { addr, service, tasks, stopping, runtime: Some(runtime), threads });
        Ok(())
    }

    /// Tells every client that the server stops, closes their connections and frees the port. Does not wait for it.
    pub fn stop(&self) {
        self.0.shutdown.cancel();
        *self.0.door.lock() = None;
    }

    /// Waits until the server has stopped and every connection is closed. At once if it never started.
    pub async fn stopped(&self) {
        let tasks = self.running().as_ref().map(|running| running.tasks.clone());
        if let Some(tasks) = tasks {
            self.0.shutdown.cancelled().await;
            tasks.close();
            tasks.wait().await;
            self.running().as_ref().inspect(|running| running.stopping.store(true, Ordering::Relaxed));
        }
    }

    /// Where it listens on a port of its own; none before [`start`](Self::start), or if there is none.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.running().as_ref().and_then(|running| running.addr)
    }

    fn service(&self) -> Option<Arc<Service>> {
        self.running().as_ref().map(|running| Arc::clone(&running.service))
    }

    /// The scene as it was published last; empty before the start.
    pub fn scene(&self) -> Arc<SceneState> {
        self.service().map(|service| Arc::clone(&service.shared.snapshot().scene)).unwrap_or_default()
    }

    /// Steps of the simulation so far, 200 a second.
    pub fn steps(&self) -> u64 {
        self.service().map_or(0, |service| service.shared.steps())
    }

    /// Those who have arms in the scene.
    pub fn users(&self) -> Vec<UserView> {
        self.service().map(|service| service.users()).unwrap_or_default()
    }

    /// Sockets that are connected.
    pub fn clients(&self) -> usize {
        self.service().map_or(0, |service| service.client_count())
    }

    /// Whether the back end has panicked: its arms hold until the program is started anew.
    pub fn has_failed(&self) -> bool {
        self.service().is_some_and(|service| service.shared.is_broken())
    }

    /// Holds the time of the scene, or lets it go on. Clients with extensions are told.
    pub fn set_paused(&self, paused: bool) {
        if let Some(service) = self.service() {
            service.shared.pause(paused);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shutdown.cancel();
        *self.door.lock() = None;
        let Some(mut running) = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take() else { return };
        running.stopping.store(true, Ordering::Relaxed);
        if let Some(runtime) = running.runtime.take() {
            // Waiting is not allowed here: this may be a thread of a runtime.
            runtime.shutdown_background();
        }
        // A back end that moves something ends before its owner goes on; a step takes a few milliseconds.
        for thread in running.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for FieldServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldServer").field("config", &self.0.config).finish_non_exhaustive()
    }
}
