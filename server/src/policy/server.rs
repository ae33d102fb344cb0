//! The public handle of the policy service.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waldo_protocol::policy::AppMap;

use super::config::PolicyConfig;
use super::robot::{Peer, PolicyRobot};
use super::service::Service;
use super::stats::PolicyCounts;
use super::websocket;
#[cfg(feature = "zenoh")]
use super::zenoh::Transport;
use crate::http::{self, BindError};
use crate::sensors::SensorHub;

/// Threads of the service's own runtime: two, so that one client's pictures on their way to the kernel hold up no other's
/// actions, and not more, so that strangers who flood the port leave the other cores to everybody else.
const THREADS: usize = 2;

/// Observations of the robot's own that are waited for at a time, each on its own thread; more wait for one of these.
const OBSERVERS: usize = 64;

/// Why the policy service does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyStartError {
    /// The port is not to be had.
    #[error("policies: {0}")]
    Bind(#[from] BindError),
    /// There is no way onto Zenoh.
    #[cfg(feature = "zenoh")]
    #[error("cannot serve policies over Zenoh: {0}")]
    Zenoh(String),
    /// It was stopped before.
    #[error("the policy service was stopped; make a new one")]
    Stopped,
    /// The system gives no threads or files.
    #[error("the policy service cannot start: {0}")]
    Io(#[from] io::Error),
}

/// The server of the policy wire: observations out, actions in. Cheap to clone; all clones are one server, which ends
/// with the last of them.
#[derive(Clone)]
pub struct PolicyServer(Arc<Inner>);

struct Inner {
    config: PolicyConfig,
    hub: SensorHub,
    robot: Arc<dyn PolicyRobot>,
    metadata: AppMap,
    shutdown: CancellationToken,
    running: Mutex<Option<Running>>,
}

/// What exists after the start.
struct Running {
    addr: Option<SocketAddr>,
    service: Arc<Service>,
    tasks: TaskTracker,
    #[cfg(feature = "zenoh")]
    zenoh: Option<Arc<Transport>>,
    threads: Threads,
}

/// A runtime of the service's own, so that neither a program that blocks its runtime nor real-time threads have to do with
/// it.
struct Threads(Option<Runtime>);

impl Threads {
    fn new() -> io::Result<Self> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).max_blocking_threads(OBSERVERS).thread_name("policy net").enable_all();
        Ok(Self(Some(builder.build()?)))
    }

    fn handle(&self) -> io::Result<&Handle> {
        self.0.as_ref().map(Runtime::handle).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waiting is not allowed here: this may be a thread of a runtime.
            runtime.shutdown_background();
        }
    }
}

impl PolicyServer {
    /// A server that does not listen yet. Asks the robot for its metadata.
    pub fn new(config: PolicyConfig, hub: SensorHub, robot: impl PolicyRobot) -> Self {
        let (metadata, shutdown) = (robot.metadata(), CancellationToken::new());
        let robot: Arc<dyn PolicyRobot> = Arc::new(robot);
        Self(Arc::new(Inner { config, hub, robot, metadata, shutdown, running: Mutex::default() }))
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the port and serves, on threads of the server's own. A second call does nothing.
    ///
    /// # Errors
    /// [`PolicyStartError`] says what to do; nothing is left behind.
    pub fn start(&self) -> Result<(), PolicyStartError> {
        self.start_on(None)
    }

    /// The same for WebSockets on a port that was taken already; it is listened on at the address of the settings otherwise.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub(crate) fn start_on(&self, listener: Option<TcpListener>) -> Result<(), PolicyStartError> {
        let mut running = self.running();
        if self.0.shutdown.is_cancelled() {
            return Err(PolicyStartError::Stopped);
        }
        if running.is_some() {
            return Ok(());
        }
        let Inner { config, hub, robot, metadata, shutdown, .. } = &*self.0;
        let bind = |addr| http::bind_for(addr, "PolicyConfig::websocket");
        let listener =
            listener.map_or_else(|| config.websocket.map(bind).transpose(), |listener| Ok(Some(listener)))?;
        let addr = listener.as_ref().map(TcpListener::local_addr).transpose()?;
        let threads = Threads::new()?;
        let handle = threads.handle()?;
        let service = Service::start(config.clone(), hub.clone(), Arc::clone(robot), metadata.clone(), handle.clone())?;
        #[cfg(feature = "zenoh")]
        let zenoh = {
            let open = |config| Transport::open(config, &service, handle);
            let opened = config.zenoh.as_ref().map(open).transpose();
            opened.inspect_err(|_| service.shut_down()).map_err(PolicyStartError::Zenoh)?.map(Arc::new)
        };
        let tasks = TaskTracker::new();
        tasks.spawn_on(Arc::clone(&service).watch(shutdown.clone()), handle);
        if let Some(listener) = listener {
            tasks.spawn_on(websocket::serve(listener, Arc::clone(&service), shutdown.clone()), handle);
        }
        #[cfg(feature = "zenoh")]
        if let Some(zenoh) = zenoh.clone() {
            tasks.spawn_on(zenoh.close_after(shutdown.clone()), handle);
        }
        tasks.close();
        *running = Some(Running {
            addr,
            service,
            tasks,
            #[cfg(feature = "zenoh")]
            zenoh,
            threads,
        });
        Ok(())
    }

    /// Starts, and blocks until [`stop`](Self::stop) is called, on another thread or by the robot. In async code call
    /// [`serve`](Self::serve).
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn run(&self) -> Result<(), PolicyStartError> {
        self.start_or_go_on()?;
        let handle = self.running().as_ref().and_then(|running| running.threads.handle().ok().cloned());
        if let Some(handle) = handle {
            handle.block_on(self.stopped());
        }
        Ok(())
    }

    /// Starts, and waits until [`stop`](Self::stop) is called.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn serve(&self) -> Result<(), PolicyStartError> {
        self.start_or_go_on()?;
        self.stopped().await;
        Ok(())
    }

    /// A server that somebody started, and stopped a moment ago, is none that cannot start.
    fn start_or_go_on(&self) -> Result<(), PolicyStartError> {
        match self.start() {
            Err(PolicyStartError::Stopped) if self.running().is_some() => Ok(()),
            started => started,
        }
    }

    /// Tells every client that the server stops, closes their connections and frees the port. Does not wait for it.
    pub fn stop(&self) {
        self.0.shutdown.cancel();
    }

    /// Waits until the server has stopped and every connection is closed. At once if it never started.
    pub async fn stopped(&self) {
        let tasks = self.running().as_ref().map(|running| running.tasks.clone());
        if let Some(tasks) = tasks {
            tasks.wait().await;
        }
    }

    /// Where it listens for WebSockets; none before [`start`](Self::start), or if it does not.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.running().as_ref().and_then(|running| running.addr)
    }

    fn service(&self) -> Option<Arc<Service>> {
        self.running().as_ref().map(|running| Arc::clone(&running.service))
    }

    /// The clients that are connected.
    pub fn clients(&self) -> Vec<Peer> {
        self.service().map(|service| service.clients()).unwrap_or_default()
    }

    /// Who controls the robot: the name of a client, or `operator`.
    pub fn holder(&self) -> Option<String> {
        self.service().and_then(|service| service.holder())
    }

    /// Why actions over the keys that all Zenoh clients of the original share are refused: others answer there too. `None`
    /// as long as they are not.
    #[cfg(feature = "zenoh")]
    pub fn zenoh_conflict(&self) -> Option<String> {
        let running = self.running();
        running.as_ref()?.zenoh.as_ref()?.conflict().map(str::to_owned)
    }

    /// What was counted so far.
    pub fn counts(&self) -> PolicyCounts {
        self.service().map(|service| service.stats.counts()).unwrap_or_default()
    }

    /// Runs something on the service's own threads, while it runs.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Option<tokio::task::JoinHandle<()>> {
        self.running().as_ref().and_then(|running| Some(running.threads.handle().ok()?.spawn(task)))
    }

    /// A person at the robot begins to drive, or is done. Meanwhile actions and resets of policies do not count; afterwards
    /// whoever had control has it again.
    pub fn set_operator(&self, drives: bool) {
        if let Some(service) = self.service() {
            service.set_operator(drives);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shutdown.cancel();
        let running = self.running.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(running) = running {
            running.service.shut_down();
        }
    }
}

impl fmt::Debug for PolicyServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyServer").field("config", &self.0.config).finish_non_exhaustive()
    }
}
