//! A robot that tells what was done with it, and clients that know the wire only.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use waldo_protocol::policy::{
    ActionHeader, ActionMarks, AppMap, Capabilities, ClientExt, ClientId, MetadataRequest, Outcome, RequestId,
    ServerExt, ServerMessage, SimpleRequest, Value,
};
use waldo_server::policy::{
    ActionData, Observation, Peer, PolicyConfig, PolicyError, PolicyRobot, PolicyServer, StepResult,
};
use waldo_server::sensors::{CameraConfig, ProprioConfig, SensorHub};

/// Much longer than anything takes.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// Long enough for what must not come to have come.
pub(crate) const A_WHILE: Duration = Duration::from_millis(100);

/// What was done with the robot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Event {
    Reset,
    Applied { shape: Vec<usize>, values: Vec<f32> },
    Stepped { values: Vec<f32> },
    Stale,
    Connected,
    Disconnected,
}

/// What the robot does on demand of a test.
#[derive(Default)]
pub(crate) struct Behaviour {
    /// An observation of its own takes so long.
    pub(crate) observation: Option<Duration>,
    /// A reset takes so long.
    pub(crate) reset: Duration,
    /// An action takes so long.
    pub(crate) apply: Duration,
    /// A step of its own has this outcome.
    pub(crate) step: Option<Outcome>,
    pub(crate) outcome: Outcome,
    /// Value of the first element of an action that fails, and of one that panics.
    pub(crate) fails: Option<f32>,
    pub(crate) panics: Option<f32>,
    pub(crate) reset_panics: bool,
    pub(crate) observation_fails: bool,
}

#[derive(Default)]
struct Log {
    events: Mutex<Vec<(Instant, Event, Option<ActionData>)>>,
    more: Condvar,
}

#[derive(Clone)]
pub(crate) struct TestRobot {
    hub: SensorHub,
    behaviour: Arc<Behaviour>,
    log: Arc<Log>,
}

impl TestRobot {
    fn note(&self, event: Event, action: Option<&ActionData>) {
        self.log.events.lock().unwrap().push((Instant::now(), event, action.cloned()));
        self.log.more.notify_all();
    }

    /// What was done so far, connections left out.
    pub(crate) fn done(&self) -> Vec<Event> {
        let events = self.log.events.lock().unwrap();
        let events = events.iter().map(|(_, event, _)| event.clone());
        events.filter(|event| !matches!(event, Event::Connected | Event::Disconnected)).collect()
    }

    /// The actions so far, as they were handed over.
    pub(crate) fn actions(&self) -> Vec<ActionData> {
        self.log.events.lock().unwrap().iter().filter_map(|(_, _, action)| action.clone()).collect()
    }

    /// Waits until something was done so often; says when it was for the last time.
    pub(crate) fn wait_for(&self, times: usize, what: impl Fn(&Event) -> bool) -> Instant {
        let mut events = self.log.events.lock().unwrap();
        let end = Instant::now() + LIMIT;
        loop {
            let found: Vec<_> = events.iter().filter(|(_, event, _)| what(event)).map(|(at, _, _)| *at).collect();
            if found.len() >= times {
                return found[times - 1];
            }
            let left =
                end.checked_duration_since(Instant::now()).unwrap_or_else(|| panic!("it never came: {events:?}"));
            events = self.log.more.wait_timeout(events, left).unwrap().0;
        }
    }

    pub(crate) fn wait_for_action(&self, values: &[f32]) -> Instant {
        self.wait_for(1, |event| matches!(event, Event::Applied { values: applied, .. } if applied == values))
    }

    pub(crate) fn count(&self, what: impl Fn(&Event) -> bool) -> usize {
        self.log.events.lock().unwrap().iter().filter(|(_, event, _)| what(event)).count()
    }
}

impl PolicyRobot for TestRobot {
    fn metadata(&self) -> AppMap {
        let mut metadata = AppMap::default();
        metadata.insert("action_shape", vec![Value::from(1), Value::from(7)]).unwrap();
        metadata
    }

    fn reset(&self) -> Result<(Observation, AppMap), PolicyError> {
        std::thread::sleep(self.behaviour.reset);
        assert!(!self.behaviour.reset_panics, "a cable broke");
        self.note(Event::Reset, None);
        let mut info = AppMap::default();
        info.insert("seed", 5).unwrap();
        Ok((self.hub.snapshot().into(), info))
    }

    fn apply_action(&self, action: &ActionData) -> Result<(), PolicyError> {
        std::thread::sleep(self.behaviour.apply);
        let first = action.values.first().copied();
        assert!(first.is_none() || first != self.behaviour.panics, "an encoder broke");
        if first.is_some() && first == self.behaviour.fails {
            return Err("out of reach".into());
        }
        self.note(Event::Applied { shape: action.shape.clone(), values: action.values.clone() }, Some(action));
        Ok(())
    }

    fn step(&self, action: &ActionData) -> Option<Result<StepResult, PolicyError>> {
        let outcome = self.behaviour.step?;
        self.note(Event::Stepped { values: action.values.clone() }, None);
        let observation = self.hub.snapshot().into();
        Some(Ok(StepResult { observation, outcome, info: AppMap::default() }))
    }

    fn observation(&self) -> Option<Result<Observation, PolicyError>> {
        let wait = self.behaviour.observation?;
        std::thread::sleep(wait);
        if self.behaviour.observation_fails {
            return Some(Err("no picture".into()));
        }
        Some(Ok(Observation { timestamp: 12.5, ..self.hub.snapshot().into() }))
    }

    fn outcome(&self) -> Outcome {
        self.behaviour.outcome
    }

    fn on_stale(&self) {
        self.note(Event::Stale, None);
    }

    fn on_connect(&self, _: &Peer) {
        self.note(Event::Connected, None);
    }

    fn on_disconnect(&self, _: &Peer) {
        self.note(Event::Disconnected, None);
    }
}

/// A running server.
pub(crate) struct Setup {
    pub(crate) server: PolicyServer,
    pub(crate) robot: TestRobot,
    pub(crate) hub: SensorHub,
    pub(crate) addr: SocketAddr,
    pub(crate) config: PolicyConfig,
}

pub(crate) fn start() -> Setup {
    start_with(Behaviour::default(), |_| {})
}

pub(crate) fn start_with(behaviour: Behaviour, change: impl FnOnce(&mut PolicyConfig)) -> Setup {
    let hub = SensorHub::default();
    hub.declare_camera(CameraConfig::new("wrist_cam", 4, 6)).unwrap();
    hub.declare_proprio(ProprioConfig::new("joints", 3)).unwrap();
    start_on(hub, behaviour, change)
}

pub(crate) fn start_on(hub: SensorHub, behaviour: Behaviour, change: impl FnOnce(&mut PolicyConfig)) -> Setup {
    let mut config = PolicyConfig { websocket: Some(([127, 0, 0, 1], 0).into()), ..PolicyConfig::default() };
    change(&mut config);
    let robot = TestRobot { hub: hub.clone(), behaviour: Arc::new(behaviour), log: Arc::default() };
    let server = PolicyServer::new(config.clone(), hub.clone(), robot.clone());
    server.start().unwrap();
    let addr = server.addr().unwrap();
    Setup { server, robot, hub, addr, config }
}

impl Setup {
    pub(crate) async fn connect(&self) -> Client {
        Client::connect(&format!("ws://{}", self.addr)).await
    }

    /// A client with these extensions.
    pub(crate) async fn extended(&self, want: Capabilities) -> Client {
        let mut client = self.connect().await;
        client.negotiate(want).await;
        client
    }

    pub(crate) fn dropped(&self, reason: &str) -> u64 {
        self.server.counts().dropped.get(reason).copied().unwrap_or(0)
    }

    pub(crate) async fn until(&self, what: &str, mut done: impl FnMut(&Self) -> bool) {
        let end = Instant::now() + LIMIT;
        while !done(self) {
            assert!(Instant::now() < end, "never: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A client that knows frames, and what it negotiated.
pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) caps: Capabilities,
    /// Messages for others that came while a certain one was waited for.
    early: HashMap<u64, (Bytes, ServerMessage)>,
}

impl Client {
    pub(crate) async fn connect(uri: &str) -> Self {
        let (socket, _) = timeout(LIMIT, connect_async(uri)).await.unwrap().unwrap();
        Self { socket, caps: Capabilities::NONE, early: HashMap::new() }
    }

    pub(crate) async fn negotiate(&mut self, want: Capabilities) -> ServerExt {
        let bits = u64::from_be_bytes(*b"a client");
        let ext = ClientExt { v: 1, impl_name: "test/1".to_owned(), want, client: Some(ClientId::from_bits(bits)) };
        let request = MetadataRequest { ext: Some(ext), id: None };
        self.send(|out| request.encode(out)).await;
        let ServerMessage::Metadata(response) = self.message().await else { panic!("no metadata") };
        self.caps = response.agreed(want);
        response.ext.unwrap()
    }

    pub(crate) async fn send_bytes(&mut self, frame: impl Into<Bytes>) {
        self.socket.send(Message::Binary(frame.into())).await.unwrap();
    }

    pub(crate) async fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut frame = Vec::new();
        write(&mut frame);
        self.send_bytes(frame).await;
    }

    pub(crate) async fn act(&mut self, values: &[f32]) {
        self.act_marked(values, ActionMarks::default(), None).await;
    }

    pub(crate) async fn act_marked(&mut self, values: &[f32], marks: ActionMarks, id: Option<RequestId>) {
        let header = ActionHeader { shape: &[values.len()], marks, id, ..ActionHeader::default() };
        self.send(|out| header.encode(values, out).unwrap()).await;
    }

    pub(crate) async fn step(&mut self, values: &[f32]) {
        let header = ActionHeader { shape: &[1, values.len()], ..ActionHeader::default() };
        self.send(|out| header.encode_coupled(values, out).unwrap()).await;
    }

    pub(crate) async fn reset(&mut self) {
        self.send(|out| SimpleRequest::default().encode_reset(out)).await;
    }

    pub(crate) async fn ask(&mut self) {
        self.send(|out| waldo_protocol::policy::ObsRequest::default().encode(out)).await;
    }

    /// The next message, pongs left out.
    pub(crate) async fn raw(&mut self) -> Message {
        loop {
            let message = timeout(LIMIT, self.socket.next()).await.expect("in time").expect("still open").unwrap();
            if !matches!(message, Message::Ping(_) | Message::Pong(_)) {
                return message;
            }
        }
    }

    pub(crate) async fn frame(&mut self) -> Bytes {
        match self.raw().await {
            Message::Binary(frame) => frame,
            other => panic!("no frame but {other:?}"),
        }
    }

    pub(crate) async fn message(&mut self) -> ServerMessage {
        let frame = self.frame().await;
        ServerMessage::decode(&frame, self.caps).unwrap()
    }

    /// The reply to a request, whatever comes before it.
    pub(crate) async fn reply(&mut self, id: RequestId) -> ServerMessage {
        loop {
            if let Some((_, message)) = self.early.remove(&id.get()) {
                return message;
            }
            let frame = self.frame().await;
            let message = ServerMessage::decode(&frame, self.caps).unwrap();
            if let Some(id) = message.id() {
                self.early.insert(id.get(), (frame, message));
            }
        }
    }

    /// The code and the reason with which the server hangs up next.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        match self.raw().await {
            Message::Close(Some(close)) => (close.code.into(), close.reason.to_string()),
            other => panic!("no farewell but {other:?}"),
        }
    }

    /// Nothing comes for a while.
    pub(crate) async fn hears_nothing(&mut self) {
        if let Ok(message) = timeout(A_WHILE, self.socket.next()).await {
            panic!("this came: {message:?}");
        }
    }

    pub(crate) async fn close(mut self) {
        // The server may have said goodbye already.
        let _ = self.socket.close(None).await;
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    pub(crate) async fn say_goodbye(&mut self, code: CloseCode) {
        let frame = CloseFrame { code, reason: "".into() };
        self.socket.close(Some(frame)).await.unwrap();
    }
}

pub(crate) fn id(n: u64) -> RequestId {
    RequestId::new(n).unwrap()
}

pub(crate) fn caps(list: &[waldo_protocol::policy::Capability]) -> Capabilities {
    list.iter().copied().collect()
}
