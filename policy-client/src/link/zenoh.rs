//! Zenoh as a link: one session with the network, one key to publish on, one to listen to.
//!
//! A Waldo robot shows a liveliness token and has a pair of keys for every client, so that nobody hears what is meant for
//! somebody else; an original server has one pair for everybody. Which of them it will be is found out while dialling.
//!
//! Zenoh brings threads of its own. Whatever of it may block, such as to open and to close a session and to send, is done
//! by one more thread per link: nobody else has to wait, and Zenoh cannot block on every kind of Tokio runtime.

#[cfg(target_os = "linux")]
mod memory;
#[cfg(not(target_os = "linux"))]
#[path = "zenoh/no_memory.rs"]
mod memory;
mod receiver;
mod sender;
mod settings;
#[cfg(test)]
mod tests;

use std::io::Read;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{oneshot, watch};
use waldo_protocol::policy::shared_memory::{MemoryNotice, MemoryOffer, notice_key, offer_key};
use waldo_protocol::policy::{ClientId, EVERY_LIVE, RobotId, ZenohKeys, robot_of};
use zenoh::bytes::ZBytes;
use zenoh::matching::MatchingListener;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::{CongestionControl, Priority};
use zenoh::sample::{Locality, Sample};
use zenoh::{Config, Session, Wait};

use self::memory::Memory;
pub(crate) use self::receiver::Receiver;
use self::receiver::{Inbox, inbox};
use self::sender::Outgoing;
pub(crate) use self::sender::Sender;
use super::pool::Pool;
use super::{Dial, DialError, Link};
use crate::{Address, Lost};

/// How often the first request is repeated, as the original does it.
const HELLO_EVERY: Duration = Duration::from_millis(500);

/// How long a dial looks for a policy server before it says that there is none.
const SEARCH: Duration = Duration::from_secs(5);

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long it waits for everybody to say whether they are alive.
const ASK: Duration = Duration::from_millis(500);

/// Looks for the robot, for at most [`SEARCH`].
pub(super) async fn dial(dial: Dial<'_>) -> Result<Link, DialError> {
    let Address::Zenoh { locator, robot } = dial.address else {
        return Err(DialError::for_good("no address of Zenoh"));
    };
    let config = settings::config(locator, dial.options).map_err(DialError::for_good)?;
    let search = Search {
        room: settings::room(&config),
        limit: dial.options.max_message,
        share: dial.options.shared_memory,
        config,
        own: dial.options.zenoh_config.is_some(),
        locator: locator.clone(),
        robot: robot.as_ref().or(dial.robot).cloned(),
        client: dial.client.clone(),
    };
    let (found, standing) = oneshot::channel();
    let carry = move || carry(&search, found);
    thread::Builder::new().name("zenoh link".to_owned()).spawn(carry).map_err(DialError::later)?;
    standing.await.unwrap_or_else(|_| Err(DialError::later("the link's thread ended")))
}

/// What a link is looked for with.
struct Search {
    config: Config,
    /// Whether the configuration is the user's, who knows what mode is right.
    own: bool,
    locator: String,
    /// The only one to be spoken to.
    robot: Option<RobotId>,
    client: ClientId,
    /// Batches that Zenoh has for what is sent.
    room: u64,
    /// Longest message that is taken, bytes.
    limit: usize,
    /// Whether to offer memory to a robot on this computer.
    share: bool,
}

/// Opens the session, hands out the link, and sends what is given to it until it is no longer needed.
fn carry(search: &Search, found: oneshot::Sender<Result<Link, DialError>>) {
    let session = match open(search) {
        Ok(session) => session,
        Err(error) => return drop(found.send(Err(error))),
    };
    let robot = find(&session, search, || found.is_closed());
    match robot.and_then(|robot| link(&session, robot, search)) {
        Ok((link, sending)) => {
            // If nobody waits any more, the link comes back and is dropped, which ends it.
            drop(found.send(Ok(link)));
            if let Err(lost) = sending.outgoing.send(&sending.actions, &sending.others) {
                give_up(&sending.lost, lost);
            }
        }
        Err(error) => drop(found.send(Err(error))),
    }
    if let Err(error) = session.close().wait() {
        tracing::debug!(%error, "closing the Zenoh session");
    }
}

/// Opens the session. A router is no robot: whoever wants to hear what is behind it has to be its client.
fn open(search: &Search) -> Result<Session, DialError> {
    let session = zenoh::open(search.config.clone()).wait().map_err(DialError::later)?;
    if search.own || session.info().routers_zid().wait().next().is_none() {
        return Ok(session);
    }
    session.close().wait().map_err(DialError::later)?;
    let mut config = search.config.clone();
    config.insert_json5("mode", "\"client\"").map_err(DialError::for_good)?;
    zenoh::open(config).wait().map_err(DialError::later)
}

/// The keys to speak on: those of a robot, or of the original for `None`.
fn keys(robot: Option<&RobotId>, client: &ClientId) -> ZenohKeys {
    robot.map_or_else(ZenohKeys::legacy, |robot| ZenohKeys::prefixed(robot, client))
}

/// The robot that was asked for, or the only one there is; `None`: a server that is as the original's are.
fn find(session: &Session, search: &Search, unwanted: impl Fn() -> bool) -> Result<Option<RobotId>, DialError> {
    let listened_to = publisher(session, &keys(search.robot.as_ref(), &search.client), Priority::DEFAULT)?;
    let until = Instant::now() + SEARCH;
    loop {
        let somebody = listened_to.matching_status().wait().map_err(DialError::later)?.matching();
        match &search.robot {
            Some(robot) if somebody => return Ok(Some(robot.clone())),
            Some(_) => {}
            // A Waldo robot shows its token before it listens on the keys of the original; so this order sees it.
            None => match &robots(session)?[..] {
                [] if somebody => return Ok(None),
                [] => {}
                [robot] => return Ok(Some(robot.clone())),
                several => return Err(choose(several)),
            },
        }
        if unwanted() || Instant::now() > until {
            return Err(nobody(session, search));
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// The robots that are alive.
fn robots(session: &Session) -> Result<Vec<RobotId>, DialError> {
    let replies = session.liveliness().get(EVERY_LIVE).timeout(ASK).wait().map_err(DialError::later)?;
    let alive = replies.into_iter().filter_map(|reply| robot_of(reply.result().ok()?.key_expr()));
    let mut robots: Vec<_> = alive.collect();
    robots.sort();
    robots.dedup();
    Ok(robots)
}

fn choose(robots: &[RobotId]) -> DialError {
    let names: Vec<_> = robots.iter().map(RobotId::as_str).collect();
    DialError::for_good(format!("several robots are there: {}; name one with ?robot=", names.join(", ")))
}

fn nobody(session: &Session, search: &Search) -> DialError {
    let info = session.info();
    let alone = info.peers_zid().wait().next().is_none() && info.routers_zid().wait().next().is_none();
    let locator = &search.locator;
    DialError::later(match &search.robot {
        _ if alone && locator.starts_with("tls/") => {
            format!("nobody answers at {locator} with a certificate that is trusted")
        }
        _ if alone => format!("nobody answers at {locator}"),
        Some(robot) => format!("{locator} answers, but no robot {robot} is there"),
        None => format!("{locator} answers, but no policy server is there"),
    })
}

fn publisher(session: &Session, keys: &ZenohKeys, priority: Priority) -> Result<Publisher<'static>, DialError> {
    let publisher = session.declare_publisher(keys.c2s.clone());
    // Express: a request waits for no other message to share a packet with.
    let publisher = publisher.congestion_control(CongestionControl::Block).priority(priority).express(true);
    publisher.allowed_destination(Locality::Remote).wait().map_err(DialError::later)
}

/// What the thread of a link needs.
struct Sending {
    outgoing: Arc<Outgoing>,
    actions: Publisher<'static>,
    others: Publisher<'static>,
    lost: Arc<watch::Sender<Option<Lost>>>,
    /// Undeclared when the session closes.
    _listening: (Subscriber<()>, Option<Subscriber<()>>, MatchingListener<()>),
}

/// Puts a link together. It is lost when nobody listens to it any more.
fn link(session: &Session, robot: Option<RobotId>, search: &Search) -> Result<(Link, Sending), DialError> {
    let keys = keys(robot.as_ref(), &search.client);
    let (lost, lost_too) = watch::channel(None);
    let lost = Arc::new(lost);
    let (inbox, receiver) = inbox(lost_too.clone());
    let memory = if robot.is_some() && search.share { memory() } else { None };
    let incoming = Arc::new(Incoming { inbox, pool: Pool::default(), lost: Arc::clone(&lost), memory });
    let arriving = Arc::clone(&incoming);
    let subscriber = session.declare_subscriber(keys.s2c.clone()).allowed_origin(Locality::Remote);
    let subscriber = subscriber.callback(move |sample: Sample| {
        arriving.came();
        let no_memory = || Lost::Network("no memory for what comes".to_owned());
        arriving.take(contiguous(&arriving.pool, sample.payload()).ok_or_else(no_memory).map(Some));
    });
    let subscriber = subscriber.wait().map_err(DialError::later)?;
    let shared = match &robot {
        Some(robot) => notices(session, robot, search, incoming)?,
        None => None,
    };
    let (notices, offer) = shared.unzip();
    let requests = publisher(session, &keys, Priority::DEFAULT)?;
    let others = publisher(session, &keys, Priority::DEFAULT)?;
    let actions = publisher(session, &keys, Priority::RealTime)?;
    let gone = || Lost::Network("the robot is gone".to_owned());
    let alone = Arc::clone(&lost);
    let listener = others.matching_listener().callback(move |status| {
        if !status.matching() {
            give_up(&alone, gone());
        }
    });
    let listener = listener.wait().map_err(DialError::later)?;
    // A router takes a moment to tell that the robot listens.
    let until = Instant::now() + ASK;
    while !others.matching_status().wait().map_err(DialError::later)?.matching() {
        if Instant::now() > until {
            return Err(DialError::later(gone()));
        }
        thread::sleep(LOOK_EVERY);
    }
    // Before the first frame, which opens the session of this client otherwise.
    if let (Some(robot), Some(offer)) = (&robot, offer) {
        let offer = session.put(offer_key(robot, &search.client), offer.encode().as_slice()).express(true);
        let offer = offer.congestion_control(CongestionControl::Block).allowed_destination(Locality::Remote);
        offer.wait().map_err(DialError::later)?;
    }
    let outgoing = Arc::<Outgoing>::default();
    let sender = Sender::new(requests, Arc::clone(&outgoing), search.room, lost_too);
    let link = Link {
        sender: super::Sender::Zenoh(sender),
        receiver: super::Receiver::Zenoh(receiver),
        hello_every: Some(HELLO_EVERY),
        extensions: robot.is_some(),
        robot,
    };
    Ok((link, Sending { outgoing, actions, others, lost, _listening: (subscriber, notices, listener) }))
}

/// What comes, by whatever way.
struct Incoming {
    inbox: Inbox,
    pool: Pool,
    lost: Arc<watch::Sender<Option<Lost>>>,
    /// That is shared with the robot.
    memory: Option<Memory>,
}

impl Incoming {
    /// Something came; said before it is handed on, as the answer to it may be quick.
    fn came(&self) {
        if let Some(memory) = &self.memory {
            memory.came();
        }
    }

    /// A frame came, or none that counts, or something that ends the link.
    fn take(&self, frame: Result<Option<Bytes>, Lost>) {
        let taken = frame.and_then(|frame| frame.map_or(Ok(()), |frame| self.inbox.take(frame)));
        if let Err(why) = taken {
            give_up(&self.lost, why);
        }
    }
}

/// Memory to share with the robot; `None` if this system has no such memory.
fn memory() -> Option<Memory> {
    Memory::new().inspect_err(|error| tracing::debug!(%error, "no memory to share with robots on this computer")).ok()
}

/// Listens for what comes through the memory, if there is one to be offered.
fn notices(
    session: &Session,
    robot: &RobotId,
    search: &Search,
    incoming: Arc<Incoming>,
) -> Result<Option<(Subscriber<()>, MemoryOffer)>, DialError> {
    let Some(offer) = incoming.memory.as_ref().map(Memory::offer) else { return Ok(None) };
    let limit = search.limit;
    let notices = session.declare_subscriber(notice_key(robot, &search.client)).allowed_origin(Locality::Remote);
    let notices = notices.callback(move |sample: Sample| {
        let Some(memory) = &incoming.memory else { return };
        incoming.came();
        let nonsense = || Lost::Protocol("a frame outside of the shared memory".to_owned());
        let notice = MemoryNotice::decode(&sample.payload().to_bytes()).ok_or_else(nonsense);
        incoming.take(notice.and_then(|notice| {
            memory.take(notice, limit, &incoming.pool).map_err(|error| Lost::Network(error.to_string()))
        }));
    });
    Ok(Some((notices.wait().map_err(DialError::later)?, offer)))
}

fn give_up(lost: &watch::Sender<Option<Lost>>, why: Lost) {
    lost.send_if_modified(|lost| lost.is_none() && lost.replace(why).is_none());
}

/// The bytes in one piece, with the arrays aligned. Zenoh has long ones in the pieces in which they came; this is the only
/// copy. `None` if there is no memory for it.
fn contiguous(pool: &Pool, payload: &ZBytes) -> Option<Bytes> {
    let mut message = pool.take(payload.len())?;
    let mut header = [0; 4];
    if payload.reader().read_exact(&mut header).is_ok() {
        message.align(usize::try_from(u32::from_le_bytes(header)).ok()?.checked_add(header.len())?);
    }
    for piece in payload.slices() {
        message.bytes().extend_from_slice(piece);
    }
    Some(message.freeze())
}
