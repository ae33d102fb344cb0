//! The policy wire over Zenoh.
//!
//! Every client with extensions has a pair of keys of its own, `chiral/<robot>/c2s/<client>` and
//! `chiral/<robot>/s2c/<client>`, and so a session of its own. The clients of the original share one pair, which all of
//! their robots on a network share too; they are one session together.
//!
//! A session begins with the first message on its key. It ends as soon as nobody listens on the key of its replies any
//! more, which Zenoh tells at once when a client leaves or its connection breaks, and within ten seconds when its computer
//! is gone. A client that does not listen within [`GRACE`] is none.
//!
//! Zenoh runs on threads of its own, of ordinary priority. Messages are taken in on them, and never wait there. Sending
//! may wait for the network, so each client has a thread for that; what a client does not take within five seconds ends
//! its connection.

mod client;
mod conflict;
mod everybody;
mod memory;
mod settings;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use waldo_protocol::policy::shared_memory::{MemoryOffer, every_offer, offerer_of};
use waldo_protocol::policy::{
    EVERY_LIVE, LEGACY_C2S, LEGACY_S2C, RobotId, client_of, every_client, every_reply, live_key, robot_of,
};
use zenoh::Wait;
use zenoh::bytes::ZBytes;
use zenoh::liveliness::LivelinessToken;
use zenoh::qos::CongestionControl;
use zenoh::sample::{Locality, Sample, SampleKind};

use self::client::{Client, Whose};
use self::conflict::Conflict;
pub use self::settings::{ZenohConfig, ZenohTls};
use super::outbox::Outgoing;
use super::robot::Peer;
use super::service::Service;
use super::session::Link;
use crate::websocket::{Close, Frame};

/// How long a client that sends may take to listen.
const GRACE: Duration = Duration::from_secs(2);

/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// How often others who would move with this robot are looked for.
const LOOK_AROUND_EVERY: Duration = Duration::from_millis(200);

/// How long the last messages may take when the server stops.
const GOODBYE: Duration = Duration::from_millis(500);

/// The service on Zenoh. Dropping it ends it, without waiting for that.
pub(super) struct Transport {
    network: Arc<Network>,
    running: Mutex<Option<Running>>,
}

struct Running {
    /// Dropped to end it.
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Transport {
    /// Opens the session with the network. Blocks for some milliseconds; with scouting for half a second.
    ///
    /// # Errors
    /// The configuration is wrong, or the locators cannot be listened on.
    pub(super) fn open(config: &ZenohConfig, service: &Arc<Service>, runtime: &Handle) -> Result<Self, String> {
        let settings = config.settings(service.config.max_message)?;
        let network = Arc::new(Network {
            service: Arc::clone(service),
            robot: service.config.robot.clone(),
            conflict: Conflict::default(),
            blind: settings::is_blind(&settings),
            runtime: runtime.clone(),
            clients: Mutex::default(),
            senders: Mutex::default(),
        });
        let legacy = config.legacy;
        let shared = Arc::clone(&network);
        let (opened, result) = sync_channel(1);
        let (stop, stopped) = sync_channel::<()>(1);
        // Zenoh cannot block on every kind of Tokio runtime, so a thread without one opens and closes it.
        let thread = thread::Builder::new().name("zenoh policy".to_owned()).spawn(move || {
            let opening =
                zenoh::open(settings).wait().and_then(|session| Ok((shared.serve(&session, legacy)?, session)));
            let (token, session) = match opening {
                Ok(open) => open,
                Err(error) => return drop(opened.send(Err(error.to_string()))),
            };
            drop(opened.send(Ok(())));
            if let Err(error) = shared.look_around(&session, &stopped) {
                tracing::warn!(%error, "the Zenoh session ended");
            }
            drop(token);
            shared.end(&session);
        });
        let thread = thread.map_err(|error| error.to_string())?;
        result.recv().unwrap_or_else(|_| Err("its thread ended".to_owned()))?;
        let locators = config.listen.join(" ");
        tracing::info!(robot = %network.robot, %locators, legacy, "policy service on Zenoh");
        Ok(Self { network, running: Mutex::new(Some(Running { stop, thread })) })
    }

    /// Why actions on the keys of the original are refused, if they are.
    pub(super) fn conflict(&self) -> Option<&str> {
        self.network.conflict.refuses(true)
    }

    /// Ends it when the server stops, after what waits was sent.
    pub(super) async fn close_after(self: Arc<Self>, shutdown: CancellationToken) {
        shutdown.cancelled().await;
        if let Err(error) = tokio::task::spawn_blocking(move || self.close()).await {
            tracing::error!(%error, "closing Zenoh");
        }
    }

    fn close(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Running { stop, thread }) = running else { return };
        drop(stop);
        if thread.join().is_err() {
            tracing::error!("the thread of Zenoh panicked");
        }
    }
}

/// What all clients on Zenoh share.
struct Network {
    service: Arc<Service>,
    robot: RobotId,
    conflict: Conflict,
    /// Whether who is behind a router is not seen.
    blind: bool,
    runtime: Handle,
    clients: Mutex<HashMap<Whose, Arc<Client>>>,
    senders: Mutex<Vec<JoinHandle<()>>>,
}

impl Network {
    /// Begins to listen. The order matters to clients: whoever sees that somebody listens on the keys of the original sees
    /// the token, and whoever sees the token is heard.
    fn serve(self: &Arc<Self>, session: &zenoh::Session, legacy: bool) -> zenoh::Result<LivelinessToken> {
        self.watch(session, every_reply(&self.robot), |network| network.conflict.own_reply_seen(&network.robot))?;
        self.listen(session, every_offer(&self.robot), Self::offered)?;
        self.listen(session, every_client(&self.robot), Self::receive)?;
        let token = session.liveliness().declare_token(live_key(&self.robot)).wait()?;
        if legacy {
            self.watch(session, LEGACY_S2C.to_owned(), |network| network.conflict.legacy_reply_seen())?;
            let network = Arc::downgrade(self);
            let tokens = session.liveliness().declare_subscriber(EVERY_LIVE).history(true).callback(move |token| {
                let Some(network) = network.upgrade() else { return };
                let robot = robot_of(token.key_expr()).filter(|robot| *robot != network.robot);
                if let (SampleKind::Put, Some(robot)) = (token.kind(), robot) {
                    network.tell(network.conflict.robot_seen(&robot));
                }
            });
            tokens.background().wait()?;
            self.listen(session, LEGACY_C2S.to_owned(), Self::receive)?;
        }
        Ok(token)
    }

    /// Until the transport ends: looks for routers that hide others, and lets another robot with this robot's id know that
    /// there are two. Both look for replies that are not their own. Their tokens do not tell, as they are the same.
    fn look_around(&self, session: &zenoh::Session, stopped: &Receiver<()>) -> zenoh::Result<()> {
        let knock = session.declare_publisher(format!("chiral/{}/s2c/twin", self.robot));
        let knock = knock.congestion_control(CongestionControl::Block).allowed_destination(Locality::Remote).wait()?;
        let mut heard = false;
        while stopped.recv_timeout(LOOK_AROUND_EVERY) == Err(RecvTimeoutError::Timeout) {
            if self.blind && session.info().routers_zid().wait().next().is_some() {
                self.tell(self.conflict.router_seen());
            }
            let listened_to = knock.matching_status().wait()?.matching();
            if listened_to && !heard {
                knock.put("").wait()?;
            }
            heard = listened_to;
        }
        Ok(())
    }

    /// Looks for replies of others.
    fn watch(
        self: &Arc<Self>,
        session: &zenoh::Session,
        key: String,
        seen: fn(&Self) -> Option<&str>,
    ) -> zenoh::Result<()> {
        let network = Arc::downgrade(self);
        let others = session.declare_subscriber(key).allowed_origin(Locality::Remote);
        let others = others.callback(move |_| {
            if let Some(network) = network.upgrade() {
                network.tell(seen(&network));
            }
        });
        others.background().wait()
    }

    /// Takes in what clients say on these keys.
    fn listen(
        self: &Arc<Self>,
        session: &zenoh::Session,
        key: String,
        take: fn(&Arc<Self>, &zenoh::Session, &Sample),
    ) -> zenoh::Result<()> {
        let (network, open) = (Arc::downgrade(self), session.clone());
        let clients = session.declare_subscriber(key).allowed_origin(Locality::Remote).callback(move |sample| {
            if let Some(network) = network.upgrade() {
                take(&network, &open, &sample);
            }
        });
        clients.background().wait()
    }

    fn receive(self: &Arc<Self>, session: &zenoh::Session, sample: &Sample) {
        let key = sample.key_expr().as_str();
        let whose = match client_of(key) {
            Some(client) => Whose::Client(client),
            None if key == LEGACY_C2S => Whose::Everybody,
            None => return self.dropped(key, "malformed", "the key ends with no id of a client"),
        };
        let conflict = self.conflict.refuses(whose.legacy());
        let Some(client) = self.client(session, whose, key) else {
            return self.dropped(key, "clients", "too many clients are connected");
        };
        if let Err((reason, why)) = client.take(contiguous(sample.payload()), conflict) {
            self.dropped(key, reason, why);
        }
    }

    /// A client offers memory, before its first message.
    fn offered(self: &Arc<Self>, session: &zenoh::Session, sample: &Sample) {
        let key = sample.key_expr().as_str();
        let offer = MemoryOffer::decode(&sample.payload().to_bytes());
        let (Some(client), Some(offer)) = (offerer_of(key), offer) else {
            return self.dropped(key, "malformed", "this offers no memory");
        };
        let whose = Whose::Client(client);
        let key = whose.keys(&self.robot).c2s;
        match self.client(session, whose, &key) {
            Some(client) => client.offers(offer),
            None => self.dropped(&key, "clients", "too many clients are connected"),
        }
    }

    /// Tells the clients with keys of their own that others were seen for the first time.
    fn tell(&self, seen: Option<&str>) {
        let Some(seen) = seen else { return };
        let clients: Vec<_> = self.clients().values().map(Arc::clone).collect();
        clients.iter().for_each(|client| client.session.refuse(&[], seen));
    }

    fn dropped(&self, key: &str, reason: &'static str, why: &str) {
        self.service.dropped(reason, &Peer::new(key), why);
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<Whose, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session with a client, a new one if there was none; `None` if there are too many.
    fn client(self: &Arc<Self>, session: &zenoh::Session, whose: Whose, key: &str) -> Option<Arc<Client>> {
        let mut clients = self.clients();
        if let Some(client) = clients.get(&whose) {
            return Some(Arc::clone(client));
        }
        // Nobody can be hung up on: what a client without extensions does wrong has no reply.
        let link = Link { extensions: !whose.legacy(), closes: false };
        let client = Arc::new(Client::new(whose.clone(), self.service.connect(key, link)?));
        let (network, open, to) = (Arc::clone(self), session.clone(), Arc::clone(&client));
        let sender = thread::Builder::new().name("zenoh client".to_owned()).spawn(move || {
            if let Err(error) = network.send(&open, &to) {
                tracing::debug!(client = %to.session.peer(), %error, "sending over Zenoh");
            }
            network.forget(&to);
        });
        let sender = sender.map_err(|error| tracing::error!(%error, "no thread for a client on Zenoh")).ok()?;
        clients.insert(whose, Arc::clone(&client));
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.retain(|sender| !sender.is_finished());
        senders.push(sender);
        Some(client)
    }

    /// Sends what there is for a client until it listens no more.
    fn send(self: &Arc<Self>, session: &zenoh::Session, client: &Arc<Client>) -> zenoh::Result<()> {
        let publisher = session.declare_publisher(client.whose.keys(&self.robot).s2c);
        let publisher = publisher.congestion_control(CongestionControl::Block).express(true);
        let publisher = Arc::new(publisher.allowed_destination(Locality::Remote).wait()?);
        let (network, weak) = (Arc::clone(self), Arc::downgrade(client));
        let left = publisher.matching_listener().callback(move |status| {
            if let (false, Some(client)) = (status.matching(), weak.upgrade()) {
                network.forget(&client);
                // What waits is for nobody, not for whoever listens on the same key next.
                client.session.outbox().hang_up(Close::new(1001, "nobody listens to the replies"));
            }
        });
        let _left = left.wait()?;
        let until = Instant::now() + GRACE;
        while !publisher.matching_status().wait()?.matching() {
            if Instant::now() > until {
                tracing::debug!(client = %client.session.peer(), "listens to no replies");
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        // Behind a router others would use the batches too.
        if session.info().routers_zid().wait().next().is_none() {
            client.pass_on(&publisher);
        }
        // Of the same priority as the replies, so that the order is kept.
        let notices = client.whose.notices(&self.robot);
        while let Outgoing::Frame(frame) = self.runtime.block_on(client.session.outbox().next()) {
            client.goes(&frame);
            match (&notices, client.share(&frame)) {
                (Some(key), Some(notice)) => {
                    drop(frame);
                    self.service.stats.shared();
                    let notice = session.put(key, notice.encode().as_slice()).express(true);
                    notice.congestion_control(CongestionControl::Block).allowed_destination(Locality::Remote).wait()?;
                }
                _ => publisher.put(payload(frame)).wait()?,
            }
        }
        Ok(())
    }

    /// The session with a client is over; the next message begins a new one.
    fn forget(&self, client: &Arc<Client>) {
        let mut clients = self.clients();
        if clients.get(&client.whose).is_some_and(|known| Arc::ptr_eq(known, client)) {
            clients.remove(&client.whose);
        }
    }

    /// Tells everybody what waits for them, and closes the session with the network.
    fn end(&self, session: &zenoh::Session) {
        for client in self.clients().values() {
            client.session.outbox().close(Close::new(1001, "the server stops"));
        }
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = std::mem::take(&mut *senders);
        let until = Instant::now() + GOODBYE;
        while senders.iter().any(|sender| !sender.is_finished()) && Instant::now() < until {
            thread::sleep(LOOK_EVERY);
        }
        if let Err(error) = session.close().wait() {
            tracing::warn!(%error, "closing the Zenoh session");
        }
        // Whoever still waited for the network is told now that there is none.
        for sender in senders {
            if sender.join().is_err() {
                tracing::error!("the thread of a client on Zenoh panicked");
            }
        }
    }
}

/// The bytes in one piece; those of actions and requests are, unless they are very long.
fn contiguous(payload: &ZBytes) -> Bytes {
    match payload.to_bytes() {
        Cow::Borrowed(bytes) => Bytes::copy_from_slice(bytes),
        Cow::Owned(bytes) => bytes.into(),
    }
}

/// The frame as Zenoh takes it: pictures stay where they are until Zenoh cuts them into batches, the only copy.
fn payload(frame: Frame) -> ZBytes {
    let mut writer = ZBytes::writer();
    for part in frame.into_parts() {
        writer.append(part.into());
    }
    writer.finish()
}
