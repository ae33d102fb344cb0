//! The public handle of hosted teleoperation, and what runs behind it.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waldo_protocol::hosted::IceServer;

use super::broker::{Broker, BrokerError};
use super::link::{Ended, Link, Session, leave};
use super::outputs::Outputs;
use super::pace::Pace;
use super::pictures::Pictures;
use super::redial::Redial;
use super::relays::Renewal;
use super::robot::Robot;
use super::service::{Service, lock};
use super::voice::{Hearing, Voices};
use super::{commands, surroundings, telemetry};
use crate::clock;
use crate::config::{HostedKind, HostedSettings};
use crate::lcm::LcmUrl;
use crate::metrics::Metrics;
use crate::record::RecordError;
use crate::rtc::{Network, RobotPeer};
use crate::video::Feed;

/// A connection that stood for so long was a good one: the next attempt after it comes soon.
const STOOD: Duration = Duration::from_secs(10);

/// A robot that dials again within this time does not end its session before.
const SOON: Duration = Duration::from_secs(3);

/// Why hosted teleoperation does not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HostedStartError {
    /// The broker cannot be called.
    #[error(transparent)]
    Broker(#[from] BrokerError),
    /// The robot stands where it is.
    #[error("this robot has no base to be driven: operators can move its arms only (`arm` instead of `twist`)")]
    NoBase,
    /// A rate makes no sense.
    #[error("{0} times per second is no rate from 0.1 to 100")]
    Rate(f64),
    /// Nothing can be recorded.
    #[error("cannot record: {0}")]
    Record(#[from] RecordError),
    /// Nothing can be published on LCM.
    #[error("no LCM over {url}: {error}")]
    Lcm {
        /// Where.
        url: LcmUrl,
        /// What the system says.
        error: io::Error,
    },
    /// It was started before.
    #[error("hosted teleoperation was started before; make a new one")]
    Started,
    /// The system gives no threads or files.
    #[error("hosted teleoperation cannot start: {0}")]
    Io(#[from] io::Error),
}

/// How a robot stands with its broker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostedStatus {
    /// It is not started, or stopped.
    #[default]
    Off,
    /// It dials, or waits to; the text says why it had to, if it had.
    Dialing(Option<String>),
    /// It is registered under this session, and operators can come.
    Registered(String),
}

/// A robot that operators far away reach through a broker. Cheap to clone; all clones are one, which ends with the last.
#[derive(Clone)]
pub struct HostedTeleop(Arc<Inner>);

struct Inner {
    settings: HostedSettings,
    broker: Broker,
    outputs: Outputs,
    hearing: Hearing,
    status: watch::Sender<HostedStatus>,
    ended: CancellationToken,
    running: Mutex<Option<Running>>,
}

struct Running {
    runtime: Option<Runtime>,
    tasks: TaskTracker,
    pace: Option<Pace>,
    service: Arc<Service>,
}

impl HostedTeleop {
    /// One that does not run yet.
    ///
    /// # Errors
    /// [`HostedStartError`] names the setting that makes no sense.
    pub fn new(settings: HostedSettings) -> Result<Self, HostedStartError> {
        let rates = [settings.heartbeat_hz, settings.telemetry_hz, settings.map_hz, settings.odom_hz];
        if let Some(rate) = rates.into_iter().find(|rate| !(0.1..=100.0).contains(rate)) {
            return Err(HostedStartError::Rate(rate));
        }
        let broker = Broker::new(&settings.broker, &settings.key, settings.ca.as_deref())?;
        Ok(Self(Arc::new(Inner {
            settings,
            broker,
            outputs: Outputs::default(),
            hearing: Hearing::default(),
            status: watch::Sender::default(),
            ended: CancellationToken::new(),
            running: Mutex::default(),
        })))
    }

    /// What the module puts out by name.
    pub fn outputs(&self) -> &Outputs {
        &self.0.outputs
    }

    /// The operator's voice.
    pub fn hearing(&self) -> &Hearing {
        &self.0.hearing
    }

    /// How the robot stands with its broker, as it changes.
    pub fn status(&self) -> watch::Receiver<HostedStatus> {
        self.0.status.subscribe()
    }

    /// Dials the broker, again and again. `cameras` are the names by which operators choose among the pictures.
    pub(crate) fn start(
        &self,
        robot: Robot,
        network: Network,
        metrics: Metrics,
        (pictures, cameras): (Pictures, Vec<String>),
    ) -> Result<(), HostedStartError> {
        let mut running = lock(&self.0.running);
        if running.is_some() || self.0.ended.is_cancelled() {
            return Err(HostedStartError::Started);
        }
        let settings = self.0.settings.clone();
        if settings.kind == HostedKind::Twist && robot.base.is_none() {
            return Err(HostedStartError::NoBase);
        }
        let (service, orders) = Service::new(settings, self.0.outputs.clone(), robot, metrics, cameras);
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("hosted net").enable_all().build()?;
        let pace = Pace::start(Arc::clone(&service))?;
        let (tasks, ended) = (TaskTracker::new(), self.0.ended.clone());
        let (shown, showing) = watch::channel(None);
        let spawn = |task| drop(tasks.spawn_on(task, runtime.handle()));
        spawn(boxed(super::pictures::show(Arc::clone(&service), pictures, shown, ended.clone())));
        spawn(boxed(telemetry::tell(Arc::clone(&service), ended.clone())));
        spawn(boxed(surroundings::tell(Arc::clone(&service), ended.clone())));
        let (voices, end) = (self.0.hearing.voices(), ended.clone());
        spawn(boxed(async move {
            tokio::select! {
                () = voices.decode() => {}
                () = end.cancelled() => {}
            }
        }));
        if let Some(command) = &self.0.settings.speaker {
            super::speaker::start(command.clone(), self.0.hearing.sound())?;
        }
        let (worker, end) = (Arc::clone(&service), ended.clone());
        spawn(boxed(async move {
            tokio::select! {
                () = commands::work(worker, orders) => {}
                () = end.cancelled() => {}
            }
        }));
        let dialer = Dialer {
            service: Arc::clone(&service),
            broker: self.0.broker.clone(),
            network,
            showing,
            voices: self.0.hearing.voices(),
            status: self.0.status.clone(),
            ended,
            session: Arc::default(),
        };
        spawn(boxed(dialer.run()));
        *running = Some(Running { runtime: Some(runtime), tasks, pace: Some(pace), service });
        Ok(())
    }

    /// Ends the session at the broker and everything else. Does not wait for it.
    pub fn stop(&self) {
        self.0.ended.cancel();
        if let Some(running) = &*lock(&self.0.running) {
            running.service.state().executor.shut_down();
        }
    }

    /// Waits until everything has ended. At once if it never started.
    pub async fn stopped(&self) {
        let tasks = lock(&self.0.running).as_ref().map(|running| running.tasks.clone());
        if let Some(tasks) = tasks {
            self.0.ended.cancelled().await;
            tasks.close();
            tasks.wait().await;
            let pace = lock(&self.0.running).as_mut().and_then(|running| running.pace.take());
            drop(pace);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.ended.cancel();
        let running = self.running.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(mut running) = running
            && let Some(runtime) = running.runtime.take()
        {
            // Waiting is not allowed here: this may be a thread of a runtime.
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for HostedTeleop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostedTeleop").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

fn boxed(task: impl Future<Output = ()> + Send + 'static) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(task)
}

/// Keeps the robot registered.
#[derive(Clone)]
struct Dialer {
    service: Arc<Service>,
    broker: Broker,
    network: Network,
    showing: watch::Receiver<Option<Feed>>,
    voices: Voices,
    status: watch::Sender<HostedStatus>,
    ended: CancellationToken,
    /// The session that is, or was last.
    session: Arc<Mutex<Session>>,
}

impl Dialer {
    async fn run(self) {
        let mut redial = Redial::default();
        self.status.send_replace(HostedStatus::Dialing(None));
        loop {
            let began = tokio::time::Instant::now();
            // On a task of its own, so that even a defect ends with the session told to the broker.
            let once = tokio::spawn(self.clone().once());
            let ended = match once.await {
                Ok(ended) => ended,
                Err(error) => Ended::Lost(format!("a defect of this program: {error}")),
            };
            // After a defect nobody else did.
            self.service.gone();
            let stops = matches!(ended, Ended::Stopped) || self.ended.is_cancelled();
            let stood = matches!(&*self.status.borrow(), HostedStatus::Registered(_));
            if stood && began.elapsed() >= STOOD {
                redial.stood();
            }
            self.status.send_replace(HostedStatus::Dialing(Some(ended.to_string())));
            let chance = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
            let wait = redial.wait(matches!(ended, Ended::Key(_)), chance);
            let (session, resumes) = {
                let mut session = lock(&self.session);
                let now = session.now.take();
                session.before = now.clone().or_else(|| session.before.take());
                (now, session.resumes)
            };
            // Its operator follows the robot into the next one, if that comes soon.
            if let Some(session) = session.filter(|_| stops || !resumes || wait > SOON) {
                leave(&self.broker, &session).await;
            }
            if stops {
                self.status.send_replace(HostedStatus::Off);
                return;
            }
            tracing::warn!("{ended}; dialing the broker again in {:.1} s", wait.as_secs_f64());
            tokio::select! {
                () = self.ended.cancelled() => {
                    self.status.send_replace(HostedStatus::Off);
                    return;
                }
                () = sleep(wait) => {}
            }
        }
    }

    /// From the first call to the end of one registration.
    async fn once(self) -> Ended {
        let linked = tokio::select! {
            () = self.ended.cancelled() => return Ended::Stopped,
            linked = timeout(Link::LIMIT, self.link()) => linked,
        };
        let mut link = match linked {
            Ok(Ok(link)) => link,
            Ok(Err(ended)) => return ended,
            Err(_) => return Ended::Lost("registering takes too long".into()),
        };
        let session = lock(&self.session).now.clone().unwrap_or_default();
        tracing::info!(session, "operators can reach the robot through the broker");
        self.status.send_replace(HostedStatus::Registered(session));
        let ended = link.run(&self.ended).await;
        link.close().await;
        ended
    }

    async fn link(&self) -> Result<Link, Ended> {
        // Before the connection is made, which cannot learn of them later.
        let mut servers = match self.broker.ice_servers().await {
            Ok(servers) => servers,
            Err(error) if error.status() == Some(401) => return Err(error.into()),
            Err(error) => {
                tracing::warn!("the broker names no STUN and TURN servers: {error}");
                Vec::new()
            }
        };
        if servers.is_empty() {
            servers.extend(self.service.settings.stun.clone().map(IceServer::stun));
        }
        let now = clock::now();
        let renewal = Renewal::new(&servers, now, clock::unix_time(now));
        let network = self.network.of_broker(servers.into_iter().map(named).collect());
        let rates = (Arc::clone(&self.service.drives), Arc::clone(&self.service.video));
        let voices = self.voices.clone();
        let offered = RobotPeer::offer(&network, self.showing.clone(), rates, move |voice| voices.hear(voice));
        let (peer, offer) = offered.await.map_err(|error| Ended::Lost(error.to_string()))?;
        let (service, broker) = (Arc::clone(&self.service), self.broker.clone());
        Link::dial(service, broker, (Arc::new(peer), offer), (&self.session, renewal)).await
    }
}

fn named(server: IceServer) -> waldo_protocol::vr::IceServer {
    let urls = server.urls.iter().map(str::to_owned).collect();
    waldo_protocol::vr::IceServer { urls, username: server.username, credential: server.credential }
}
