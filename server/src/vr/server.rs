//! The public handle of the VR service, with its listener.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use rustls_pki_types::CertificateDer;
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use waldo_protocol::vr::{Mode, MotionScale, ServerMessage, VrFrame, VrState};

use super::outbox::Outgoing;
use super::routes::{MAX_CLIENTS, Sockets, health, upgrade};
use super::service::{EpisodeEvent, OnFrame, Service, lock};
use crate::config::{PortRange, Settings};
use crate::control::{Arbiter, Event};
use crate::http::{self, Access, AccessError, BindError, Site};
use crate::mdns;
use crate::metrics::Metrics;
use crate::rtc::{Network, RtcError};
use crate::sensors::SensorHub;
use crate::tls::{Identity, ServerTls, TlsError};
use crate::video::{Feed, VideoSource};

/// Period of the watchdogs and of what is told to operators about holds.
const TICK: Duration = Duration::from_millis(100);

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The port is not to be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// There is no usable certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The token cannot be kept.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A STUN or TURN server cannot be used.
    #[error("--ice-server: {0}")]
    IceServer(#[from] RtcError),
    /// A setting makes no sense.
    #[error("the scale of motion must be from 0.1 to 2, and not {} for positions and {} for rotations", .0.pos, .0.rot)]
    MotionScale(MotionScale),
    /// The system refused something else.
    #[error("cannot listen: {0}")]
    Io(#[from] std::io::Error),
}

/// The server of the VR wire: poses in, feedback and camera pictures out. Cheap to clone; all clones are one server.
///
/// ```no_run
/// # async fn example() -> Result<(), waldo_server::vr::StartError> {
/// use std::sync::Arc;
/// use waldo_server::vr::{VrServer, VrServerConfig};
///
/// let server = VrServer::new(VrServerConfig::default());
/// server.on_frame(Some(Arc::new(|frame| tracing::info!("left hand: {:?}", frame.left.pose))));
/// server.start().await?;
/// # server.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct VrServer(Arc<Inner>);

impl fmt::Debug for VrServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not all settings: passwords of relays are among them.
        let Settings { bind, port, .. } = self.0.settings;
        f.debug_struct("VrServer").field("bind", &bind).field("port", &port).finish_non_exhaustive()
    }
}

struct Inner {
    settings: Settings,
    service: Arc<Service>,
    /// Shown by the pages below `/api`.
    sensors: Mutex<Option<SensorHub>>,
    /// Served beside `/ws`.
    sockets: Mutex<Option<Router>>,
    running: Mutex<Option<Running>>,
}

/// What exists between start and stop.
struct Running {
    addr: SocketAddr,
    tls: Arc<ServerTls>,
    access: Arc<Access>,
    tasks: TaskTracker,
    shutdown: DropGuard,
}

impl VrServer {
    /// A server that does not listen yet; takes a [`VrServerConfig`](super::VrServerConfig) or [`Settings`].
    pub fn new(settings: impl Into<Settings>) -> Self {
        let settings = settings.into();
        let network = Network::new(settings.media_ports.map(PortRange::ports), settings.ice_servers.clone())
            .with_ice_secret(settings.ice_secret.as_deref());
        let service = Arc::new(Service::new(Metrics::default(), network, &settings));
        Self(Arc::new(Inner {
            settings,
            service,
            sensors: Mutex::default(),
            sockets: Mutex::default(),
            running: Mutex::default(),
        }))
    }

    /// Sets the sensors that `/api/cameras` and `/api/proprio` show to people and scripts from the next start on; without
    /// any there are no such pages.
    pub fn set_sensors(&self, sensors: Option<SensorHub>) {
        *self.sensors() = sensors;
    }

    /// Sets what is served beside `/ws` from the next start on: routes for WebSockets that ask for the token themselves,
    /// such as [`FieldServer::routes`](crate::field::FieldServer::routes).
    pub fn set_sockets(&self, sockets: Option<Router>) {
        *lock(&self.0.sockets) = sockets;
    }

    fn sensors(&self) -> MutexGuard<'_, Option<SensorHub>> {
        self.0.sensors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the certificate if needed, binds the port and serves. A second call does nothing.
    ///
    /// # Errors
    /// [`StartError`] says what to do; nothing is left behind.
    pub async fn start(&self) -> Result<(), StartError> {
        let mut running = self.running();
        if running.is_some() {
            return Ok(());
        }
        let settings = &self.0.settings;
        if !settings.motion.in_range() {
            return Err(StartError::MotionScale(settings.motion));
        }
        self.0.service.network.check()?;
        let tls = ServerTls::new(settings)?;
        let access = Arc::new(Access::load(&settings.data_dir, settings.open)?);
        let listener = http::bind(SocketAddr::new(settings.bind, settings.port))?;
        let addr = listener.local_addr()?;

        let shutdown = CancellationToken::new();
        let tasks = TaskTracker::new();
        let service = &self.0.service;
        let sockets = Sockets {
            service: Arc::clone(service),
            places: Arc::new(Semaphore::new(MAX_CLIENTS)),
            tasks: tasks.clone(),
            shutdown: shutdown.clone(),
        };
        let router = http::site(Site {
            access: Arc::clone(&access),
            metrics: service.metrics.clone(),
            health: health(service),
            static_dir: settings.static_dir.clone(),
            sockets: Router::new().route("/ws", any(upgrade)).with_state(sockets),
            own_access: lock(&self.0.sockets).clone().unwrap_or_default(),
            apis: self.sensors().clone().map(http::sensors).unwrap_or_default(),
        });
        let listening = http::serve(listener, Arc::clone(&tls), router, service.metrics.clone(), shutdown.clone());
        tasks.spawn(async move {
            if let Err(error) = listening.await {
                tracing::error!("the listener failed: {error}; restart the program");
            }
        });
        tasks.spawn(Arc::clone(&tls).keep_current(shutdown.clone()));
        if settings.mdns && !settings.bind.is_loopback() {
            tasks.spawn(mdns::announce(addr, shutdown.clone()));
        }
        tasks.spawn(watch(Arc::clone(service), shutdown.clone()));
        *running = Some(Running { addr, tls, access, tasks, shutdown: shutdown.drop_guard() });
        Ok(())
    }

    /// Closes every socket and peer connection and frees the port.
    pub async fn stop(&self) {
        let Some(running) = self.running().take() else { return };
        drop(running.shutdown);
        running.tasks.close();
        running.tasks.wait().await;
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.0.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it listens; none before [`VrServer::start`].
    pub fn addr(&self) -> Option<SocketAddr> {
        self.running().as_ref().map(|r| r.addr)
    }

    /// The present certificate with its names and fingerprint; none before [`VrServer::start`].
    pub fn identity(&self) -> Option<Arc<Identity>> {
        self.running().as_ref().map(|r| r.tls.identity())
    }

    /// The present certificate, for clients that shall trust it; none before [`VrServer::start`].
    pub fn certificate(&self) -> Option<CertificateDer<'static>> {
        self.identity().map(|identity| identity.certificate().clone())
    }

    /// TLS with the present certificate, whichever that is, for other listeners; none before [`VrServer::start`].
    pub(crate) fn tls(&self) -> Option<Arc<rustls::ServerConfig>> {
        self.running().as_ref().map(|r| r.tls.config())
    }

    /// Who may pass; none before [`VrServer::start`].
    pub fn access(&self) -> Option<Arc<Access>> {
        self.running().as_ref().map(|r| Arc::clone(&r.access))
    }

    /// The newest accepted frame, or none; the driver's while somebody drives. Never blocks.
    pub fn frame(&self) -> Option<VrFrame> {
        self.0.service.frame()
    }

    /// The smoothed frame for now, of the stream whose frame came last: poses and grips as they were a little ago,
    /// buttons as they are. None only before the first frame.
    pub fn render_frame(&self) -> Option<VrFrame> {
        self.0.service.render_frame()
    }

    /// What operators decided about episodes since the last call, in order; at most the newest 256.
    pub fn take_episode_events(&self) -> Vec<EpisodeEvent> {
        self.0.service.take_episodes()
    }

    /// Sets what is called once per accepted frame, in order of arrival, on the thread that received it. It must not
    /// block; a panic in it is logged and disturbs nobody.
    pub fn on_frame(&self, callback: Option<OnFrame>) {
        self.0.service.set_callback(callback);
    }

    /// Whether at least one client is connected.
    pub fn connected(&self) -> bool {
        !self.0.service.session().clients.is_empty()
    }

    /// Queues a text for every connected client.
    pub fn broadcast_text(&self, text: &str) {
        self.0.service.session().broadcast(Outgoing::text(text.into()));
    }

    /// Pushes a state that overrides the headsets' own. Any but `recording` ends an open episode: what the program does
    /// with it is its own decision, and no episode event follows.
    pub fn send_feedback_state(&self, state: VrState) {
        self.0.service.push_state(state);
    }

    /// Pushes the state `error` and waits until it is on its way to every client, at most for `limit`, so that it is out
    /// before a shutdown.
    pub async fn send_feedback_error(&self, limit: Duration) {
        self.send_feedback_state(VrState::Error);
        let delivered = async {
            while !self.0.service.session().all_sent() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        // Whoever reads too slowly does not get it in time.
        let _ = tokio::time::timeout(limit, delivered).await;
    }

    /// Announces the number of the current episode, now and to later clients; `None` hides it.
    pub fn set_episode(&self, episode: Option<u64>) {
        let mut session = self.0.service.session();
        session.episode = episode;
        session.broadcast(&ServerMessage::Episode(episode));
    }

    /// Announces the operating mode, now and to later clients.
    pub fn set_mode(&self, mode: Option<Mode>) {
        let mut session = self.0.service.session();
        session.mode = mode;
        if let Some(mode) = mode {
            session.broadcast(&ServerMessage::Mode(mode));
        }
    }

    /// The engage state of an arm consumer of your own: told to every client on change, and to later ones.
    pub fn set_tracking(&self, engaged: bool) {
        let mut session = self.0.service.session();
        if session.tracking.replace(engaged) != Some(engaged) {
            session.broadcast(&ServerMessage::Tracking(engaged));
        }
    }

    /// The engage state last told to the clients; false while no consumer is attached.
    pub fn tracking(&self) -> bool {
        self.0.service.session().tracking.unwrap_or(false)
    }

    /// What `/metrics` shows; other services count here too.
    pub fn metrics(&self) -> Metrics {
        self.0.service.metrics.clone()
    }

    /// Adds something to the answer of `/healthz`, or replaces it. `value` must not block.
    pub(crate) fn show_in_health(
        &self,
        name: &'static str,
        value: impl Fn() -> serde_json::Value + Send + Sync + 'static,
    ) {
        lock(&self.0.service.health).insert(name, Box::new(value));
    }

    /// Takes back what [`Self::show_in_health`] added.
    pub(crate) fn hide_in_health(&self, name: &'static str) {
        // Its author's code may run with it, so not under the lock.
        let shown = lock(&self.0.service.health).remove(name);
        drop(shown);
    }

    /// Attaches Waldo's control loop as the arm consumer; this is what it reads. Nobody can engage before its first tick.
    pub fn attach_control(&self) -> Arc<Mutex<Arbiter>> {
        self.0.service.attach_control()
    }

    /// Tells the clients what the attached control loop reports.
    pub fn publish(&self, event: Event) {
        self.0.service.publish([event]);
    }

    /// Offers these cameras to clients, in this order; `None` or an empty list turns video off. Clients that were told to
    /// wait get their offer now; those that watch get a new one if anything changed. A camera that was there before
    /// under its name goes on undisturbed.
    pub fn set_video_sources(&self, sources: Option<Vec<(String, VideoSource)>>) {
        self.0.service.set_video(|video| {
            let before = Arc::clone(&video.feeds);
            let feed = |(name, source): (String, VideoSource)| {
                let known = before.iter().find(|feed| feed.shows(&name, &source)).cloned();
                known.unwrap_or_else(|| self.feed(name, source))
            };
            video.feeds = sources.into_iter().flatten().map(feed).collect();
            video.expected = false;
        });
    }

    /// The cameras that are offered, in order.
    pub(crate) fn feeds(&self) -> Vec<Feed> {
        self.0.service.video().feeds.to_vec()
    }

    /// A feed of this server's settings, which nobody is offered.
    pub(crate) fn feed(&self, name: String, source: VideoSource) -> Feed {
        let feed = Feed::new(name, source);
        feed.set_bitrate_limits(self.0.settings.cameras.bitrate);
        feed.set_h264_encoder(self.0.settings.cameras.encoder.clone());
        feed
    }

    /// Offers one more camera behind the others, or in the place of the one of that name; the others go on undisturbed.
    pub fn add_video_source(&self, name: impl Into<String>, source: VideoSource) {
        let feed = self.feed(name.into(), source);
        self.0.service.set_video(|video| {
            let mut feeds = video.feeds.to_vec();
            match feeds.iter_mut().find(|other| other.name() == feed.name()) {
                Some(other) => *other = feed,
                None => feeds.push(feed),
            }
            video.feeds = feeds.into();
            video.expected = false;
        });
    }

    /// Offers that camera no longer; the others go on undisturbed.
    pub fn remove_video_source(&self, name: &str) {
        self.0.service.set_video(|video| {
            video.feeds = video.feeds.iter().filter(|feed| feed.name() != name).cloned().collect();
        });
    }

    /// Cameras will come: requests wait for them instead of being refused.
    pub fn set_video_expected(&self, expected: bool) {
        self.0.service.set_video(|video| video.expected = expected);
    }
}

async fn watch(service: Arc<Service>, shutdown: CancellationToken) {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => service.tick(),
            () = shutdown.cancelled() => return,
        }
    }
}
