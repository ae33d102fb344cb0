//! Clients and servers of the policy wire that are nothing but Zenoh and frames: as the original's are, and as another
//! implementation of the keys per robot would be. And a robot for the service's side.

mod robots;

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use waldo_protocol::policy::{
    ActionHeader, Capabilities, ClientExt, ClientId, EVERY_LIVE, MetadataRequest, ObsRequest, RequestId, RobotId,
    ServerMessage, SimpleRequest, ZenohKeys, robot_of,
};
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::{CongestionControl, Priority};
use zenoh::{Config, Session, Wait};

pub use robots::{Obedient, OriginalServer};

/// How long anything may take: ten times and more of what it takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often the original asks for the metadata until something comes.
const HELLO_EVERY: Duration = Duration::from_millis(500);

/// Time for what must not happen.
pub const A_WHILE: Duration = Duration::from_millis(300);

/// Waits for something to become true.
///
/// # Errors
/// It does not within [`PATIENCE`].
pub fn until(what: &str, mut is: impl FnMut() -> bool) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    while !is() {
        ensure!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// A locator on loopback that nobody listens on.
///
/// # Errors
/// There is no free port.
pub fn free_locator() -> Result<String> {
    let addr = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    Ok(format!("tcp/{addr}"))
}

/// Opens a session with the network.
///
/// # Errors
/// Zenoh refuses.
pub fn open(listen: &[&str], connect: &[&str], scouting: bool) -> Result<Session> {
    let mut config = Config::default();
    let settings = [
        ("listen/endpoints", serde_json::json!(listen).to_string()),
        ("connect/endpoints", serde_json::json!(connect).to_string()),
        ("connect/retry", "{ period_init_ms: 100, period_max_ms: 200 }".to_owned()),
        ("scouting/multicast/enabled", scouting.to_string()),
        ("scouting/gossip/enabled", scouting.to_string()),
    ];
    for (key, value) in settings {
        config.insert_json5(key, &value).map_err(|error| anyhow!("{key}: {error}"))?;
    }
    zenoh::open(config).wait().map_err(|error| anyhow!(error))
}

/// A router of Zenoh, which passes on between those that connect to it and those it connects to.
///
/// # Errors
/// Zenoh refuses.
pub fn router(listen: &str, connect: &[&str]) -> Result<Session> {
    let mut config = Config::default();
    let settings = [
        ("mode", "\"router\"".to_owned()),
        ("listen/endpoints", serde_json::json!([listen]).to_string()),
        ("connect/endpoints", serde_json::json!(connect).to_string()),
        ("scouting/multicast/enabled", "false".to_owned()),
    ];
    for (key, value) in settings {
        config.insert_json5(key, &value).map_err(|error| anyhow!("{key}: {error}"))?;
    }
    zenoh::open(config).wait().map_err(|error| anyhow!(error))
}

/// The robots that show that they live.
///
/// # Errors
/// Zenoh refuses.
pub fn living(session: &Session) -> Result<Vec<RobotId>> {
    let replies = session.liveliness().get(EVERY_LIVE).wait().map_err(|error| anyhow!(error))?;
    let mut robots: Vec<_> =
        replies.into_iter().filter_map(|reply| robot_of(reply.result().ok()?.key_expr())).collect();
    robots.sort();
    Ok(robots)
}

/// A client of the policy wire.
pub struct PlainClient {
    /// Its session with the network.
    pub session: Session,
    /// Reliable, and waits rather than drop: what is lost shall have been lost by the robot.
    requests: Publisher<'static>,
    actions: Publisher<'static>,
    replies: Receiver<Vec<u8>>,
    _subscriber: Subscriber<()>,
    ext: Option<ClientExt>,
    caps: Capabilities,
}

impl PlainClient {
    /// As the clients of the original: on the keys that everybody shares.
    ///
    /// # Errors
    /// Zenoh refuses.
    pub fn old(session: Session) -> Result<Self> {
        Self::on(session, &ZenohKeys::legacy(), None)
    }

    /// On the keys between a robot and this client.
    ///
    /// # Errors
    /// Zenoh refuses.
    pub fn new(session: Session, robot: &RobotId, client: &ClientId, want: Capabilities) -> Result<Self> {
        let ext = ClientExt { v: 1, impl_name: "test".to_owned(), want, client: Some(client.clone()) };
        Self::on(session, &ZenohKeys::prefixed(robot, client), Some(ext))
    }

    fn on(session: Session, keys: &ZenohKeys, ext: Option<ClientExt>) -> Result<Self> {
        let (came, replies) = sync_channel(4096);
        let subscriber = session.declare_subscriber(keys.s2c.clone()).callback(move |sample| {
            came.try_send(sample.payload().to_bytes().into_owned()).expect("fewer replies than there is room for");
        });
        let subscriber = subscriber.wait().map_err(|error| anyhow!(error))?;
        let publisher = |priority| {
            let publisher = session.declare_publisher(keys.c2s.clone()).priority(priority);
            publisher.congestion_control(CongestionControl::Block).wait().map_err(|error| anyhow!(error))
        };
        let (requests, actions) = (publisher(Priority::DEFAULT)?, publisher(Priority::DEFAULT)?);
        Ok(Self { session, requests, actions, replies, _subscriber: subscriber, ext, caps: Capabilities::NONE })
    }

    /// Sends bytes, whatever they mean.
    ///
    /// # Errors
    /// Zenoh refuses.
    pub fn send(&self, frame: Vec<u8>) -> Result<()> {
        self.requests.put(frame).wait().map_err(|error| anyhow!(error))
    }

    /// Asks for the metadata and waits for nothing.
    ///
    /// # Errors
    /// Zenoh refuses.
    pub fn ask_metadata(&self) -> Result<()> {
        let mut frame = Vec::new();
        MetadataRequest { ext: self.ext.clone(), id: None }.encode(&mut frame);
        self.send(frame)
    }

    /// Asks for the metadata every half second until something comes, and negotiates.
    ///
    /// # Errors
    /// Nothing comes in time, or something else.
    pub fn connect(&mut self) -> Result<()> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            while self.replies.try_recv().is_ok() {}
            self.ask_metadata()?;
            match self.replies.recv_timeout(HELLO_EVERY) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(error) => return Err(error.into()),
                Ok(frame) => match ServerMessage::decode(&frame, Capabilities::NONE)? {
                    ServerMessage::Metadata(metadata) => {
                        ensure!(metadata.ext.is_some() == self.ext.is_some(), "extensions: {:?}", metadata.ext);
                        self.caps = metadata.agreed(self.ext.as_ref().map_or(Capabilities::NONE, |ext| ext.want));
                        return Ok(());
                    }
                    other => bail!("{other:?} instead of metadata"),
                },
            }
        }
        bail!("nobody answers within {PATIENCE:?}")
    }

    /// The next frame that comes, and what it says.
    ///
    /// # Errors
    /// Nothing comes in time, or nonsense.
    pub fn reply(&self) -> Result<(Vec<u8>, ServerMessage)> {
        let frame = self.replies.recv_timeout(PATIENCE).context("no reply")?;
        let message = ServerMessage::decode(&frame, self.caps)?;
        Ok((frame, message))
    }

    /// What came within [`A_WHILE`].
    pub fn overhear(&self) -> usize {
        thread::sleep(A_WHILE);
        self.replies.try_iter().count()
    }

    /// Asks for a reset and waits for nothing.
    ///
    /// # Errors
    /// Zenoh refuses.
    pub fn ask_reset(&self, id: Option<RequestId>) -> Result<()> {
        let mut frame = Vec::new();
        SimpleRequest { id }.encode_reset(&mut frame);
        self.send(frame)
    }

    /// Asks for an observation and waits for nothing.
    ///
    /// # Errors
    /// Zenoh refuses.
    pub fn ask_observation(&self, id: Option<RequestId>) -> Result<()> {
        let mut frame = Vec::new();
        ObsRequest { fresh: None, id }.encode(&mut frame);
        self.send(frame)
    }

    /// Sends an action.
    ///
    /// # Errors
    /// Zenoh refuses.
    pub fn act(&self, values: &[f32]) -> Result<()> {
        let mut frame = Vec::new();
        ActionHeader { shape: &[values.len()], ..Default::default() }.encode(values, &mut frame)?;
        self.actions.put(frame).wait().map_err(|error| anyhow!(error))
    }
}
