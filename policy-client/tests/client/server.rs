//! A policy server written for these tests, which behaves as any generation does and misbehaves on request.

mod observations;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use waldo_protocol::policy::{
    AppMap, Capabilities, ChunkResponse, ClientMessage, ClockResponse, Configure, LeaseResponse, Limits,
    MetadataResponse, ObservationKind, Outcome, PushMark, RequestId, RobotId, ServerExt, StatsResponse, StreamRef,
};

pub(crate) use self::observations::{DEPTH, PIXELS, camera_observation, observation_of};
use crate::vectors::vector;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As the current Python original.
    Decoupled,
    /// As the C++ original.
    Cpp,
    /// As the first Python original.
    First,
    /// As Waldo's.
    Extended,
}

/// What to do with a message.
pub(crate) enum Answer {
    Usual,
    Nothing,
    Frames(Vec<Vec<u8>>),
    Messages(Vec<Message>),
    Close(u16, &'static str),
    /// Nothing ever again, not even to pings; the socket stays open.
    Freeze,
}

type Script = Box<dyn FnMut(&ClientMessage) -> Answer + Send>;

pub(crate) struct State {
    pub(crate) kind: Kind,
    pub(crate) metadata: AppMap,
    pub(crate) caps: Capabilities,
    pub(crate) robot: &'static str,
    /// How long it thinks about an observation; everything behind it waits, as in the originals.
    pub(crate) obs_takes: Duration,
    /// The same of a reset.
    pub(crate) reset_takes: Duration,
    /// Status of the answer to an upgrade, if it is refused.
    pub(crate) refuse: Option<u16>,
    script: Option<Script>,
    pub(crate) seen: Vec<(ClientMessage, Vec<u8>, Instant)>,
    pub(crate) pongs: usize,
    pub(crate) closes: Vec<u16>,
    /// Target and headers of upgrades.
    pub(crate) upgrades: Vec<(String, Vec<String>)>,
    /// Counter of observations, and timestamp of the last.
    pub(crate) n: u32,
}

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(kind: Kind) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), kind, None).await
    }

    pub(crate) async fn start_at(addr: SocketAddr, kind: Kind, tls: Option<TlsAcceptor>) -> Self {
        let mut metadata = AppMap::default();
        metadata.insert("robot", "test").unwrap();
        let state = Arc::new(Mutex::new(State {
            kind,
            metadata,
            caps: Capabilities::all(),
            robot: "arm-1",
            obs_takes: Duration::ZERO,
            reset_takes: Duration::ZERO,
            refuse: None,
            script: None,
            seen: Vec::new(),
            pongs: 0,
            closes: Vec::new(),
            upgrades: Vec::new(),
            n: 0,
        }));
        let listener = loop {
            match TcpListener::bind(addr).await {
                Ok(listener) => break listener,
                // The last one's sockets are still closing.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let addr = listener.local_addr().unwrap();
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { return };
                stream.set_nodelay(true).unwrap();
                let (state, tls) = (Arc::clone(&shared), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, state).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, state).await;
                            }
                        }
                    }
                });
            }
        });
        Self { addr, state, task }
    }

    pub(crate) fn uri(&self) -> String {
        format!("ws://{}", self.addr)
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    pub(crate) fn get<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.state.lock().unwrap())
    }

    /// What to do with messages from now on.
    pub(crate) fn on(&self, script: impl FnMut(&ClientMessage) -> Answer + Send + 'static) {
        self.set(|state| state.script = Some(Box::new(script)));
    }

    /// The messages so far, by their type on the wire.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        self.get(|state| state.seen.iter().map(|(message, ..)| message.kind()).collect())
    }

    pub(crate) fn count(&self, kind: &str) -> usize {
        self.kinds().into_iter().filter(|known| *known == kind).count()
    }

    /// Ends it as `kill` does a process: the sockets are gone at once.
    pub(crate) async fn kill(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        self.addr
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, state: Arc<Mutex<State>>) {
    let upgrade = |request: &Request, response: Response| {
        let mut state = state.lock().unwrap();
        let headers = request.headers().keys().map(|name| name.as_str().to_owned()).collect();
        state.upgrades.push((request.uri().to_string(), headers));
        match state.refuse {
            None => Ok(response),
            Some(status) => {
                let mut refusal = ErrorResponse::new(None);
                *refusal.status_mut() = status.try_into().unwrap();
                Err(refusal)
            }
        }
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, upgrade).await else { return };
    let mut caps = Capabilities::NONE;
    let mut push: Option<(u64, u64, u64)> = None;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    loop {
        let replies = tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Binary(frame))) => {
                    let message = ClientMessage::decode(&frame, caps).unwrap();
                    on_message(&state, message, &frame, &mut caps, &mut push).await
                }
                Some(Ok(Message::Pong(_))) => {
                    state.lock().unwrap().pongs += 1;
                    continue;
                }
                Some(Ok(Message::Close(close))) => {
                    state.lock().unwrap().closes.push(close.map_or(1005, |close| close.code.into()));
                    continue;
                }
                Some(Ok(_)) => continue,
                _ => return,
            },
            _ = ticks.tick(), if push.is_some_and(|(_, credit, _)| credit > 0) => {
                let Some((stream, credit, n)) = &mut push else { continue };
                *credit -= 1;
                *n += 1;
                let mark = PushMark { stream: *stream, n: *n, skipped: 0, t_send: 0.0 };
                vec![Message::binary(observation(&state, ObservationKind::Push(mark), None))]
            }
        };
        for reply in replies {
            let close = matches!(reply, Message::Close(_));
            if socket.send(reply).await.is_err() || close {
                return;
            }
        }
    }
}

async fn on_message(
    state: &Mutex<State>,
    message: ClientMessage,
    frame: &[u8],
    caps: &mut Capabilities,
    push: &mut Option<(u64, u64, u64)>,
) -> Vec<Message> {
    let (answer, takes) = {
        let mut state = state.lock().unwrap();
        state.seen.push((message.clone(), frame.to_vec(), Instant::now()));
        let answer = state.script.as_mut().map_or(Answer::Usual, |script| script(&message));
        let takes = match &message {
            ClientMessage::ObsRequest(_) => state.obs_takes,
            ClientMessage::Reset(_) => state.reset_takes,
            _ => Duration::ZERO,
        };
        (answer, takes)
    };
    tokio::time::sleep(takes).await;
    match answer {
        Answer::Usual => usual(state, message, caps, push).into_iter().map(Message::binary).collect(),
        Answer::Nothing => Vec::new(),
        Answer::Freeze => std::future::pending().await,
        Answer::Frames(frames) => frames.into_iter().map(Message::binary).collect(),
        Answer::Messages(messages) => messages,
        Answer::Close(code, reason) => {
            vec![Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))]
        }
    }
}

fn usual(
    state: &Mutex<State>,
    message: ClientMessage,
    caps: &mut Capabilities,
    push: &mut Option<(u64, u64, u64)>,
) -> Option<Vec<u8>> {
    let kind = state.lock().unwrap().kind;
    let coupled = matches!(kind, Kind::Cpp | Kind::First);
    let mut out = Vec::new();
    match message {
        ClientMessage::Metadata(request) => {
            let state = state.lock().unwrap();
            let ext = (kind == Kind::Extended && request.ext.is_some()).then(|| ServerExt {
                v: 1,
                impl_name: "test/1".to_owned(),
                caps: state.caps,
                robot: RobotId::parse(state.robot).ok(),
                limits: Limits { max_inflight: 8, max_chunk: 16, action_timeout_ms: None },
                cameras: None,
            });
            if ext.is_some() {
                *caps = request.agreed(state.caps);
            }
            MetadataResponse { data: state.metadata.clone(), ext, id: request.id }.encode(&mut out);
        }
        ClientMessage::Reset(_) if kind == Kind::Cpp => return Some(vector("cpp_reset_response")),
        ClientMessage::Reset(request) => {
            let mut info = AppMap::default();
            info.insert("scene", 42).unwrap();
            return Some(observation(state, ObservationKind::Reset { info: &info }, request.id));
        }
        ClientMessage::ObsRequest(_) | ClientMessage::ApplyAction(_) if coupled => return None,
        ClientMessage::ObsRequest(request) => {
            return Some(observation(state, ObservationKind::Requested, request.id));
        }
        ClientMessage::Action(_) if kind == Kind::Cpp => return Some(vector("cpp_legacy_step_response")),
        ClientMessage::Action(action) if kind != Kind::Decoupled => {
            let outcome = Outcome { reward: 1.5, terminated: true, truncated: false };
            let step = ObservationKind::Step { outcome, info: &AppMap::default() };
            return Some(observation(state, step, action.id));
        }
        ClientMessage::Subscribe(subscribe) => {
            *push = Some((subscribe.stream, subscribe.credit, 0));
            StreamRef { id: subscribe.id, stream: subscribe.stream }.encode_subscribed(&mut out);
        }
        ClientMessage::Unsubscribe(stream) => {
            push.take_if(|(running, ..)| *running == stream.stream);
            stream.encode_unsubscribed(&mut out);
        }
        ClientMessage::Credit(credit) => {
            if let Some((_, known, _)) = push.as_mut().filter(|(stream, ..)| *stream == credit.stream) {
                *known += credit.add;
            }
            return None;
        }
        ClientMessage::Configure(configure) => {
            Configure { id: configure.id, cameras: configure.cameras, align: configure.align }
                .encode_response(&mut out);
        }
        ClientMessage::Chunk(chunk) => {
            let queued = chunk.rows().0 as u64;
            ChunkResponse { id: chunk.id, chunk: chunk.chunk, dropped_late: 0, queued }.encode(&mut out);
        }
        ClientMessage::Lease(lease) => {
            let holder = Some("somebody".to_owned());
            LeaseResponse { id: lease.id, granted: true, holder, ttl_ms: lease.ttl_ms }.encode(&mut out);
        }
        // A clock that is a thousand seconds ahead.
        ClientMessage::Clock(clock) => {
            let t = clock.t0 + 1000.0;
            ClockResponse { id: clock.id, t0: clock.t0, t1: t, t2: t }.encode(&mut out);
        }
        ClientMessage::Stats { id } => {
            let mut data = AppMap::default();
            data.insert("n", 7).unwrap();
            StatsResponse { id, data }.encode(&mut out);
        }
        _ => return None,
    }
    Some(out)
}

/// The next observation: camera `cam`, 2×2 with depth, whose stamp is the observation's number, and a proprioception
/// stream of two values.
fn observation(state: &Mutex<State>, kind: ObservationKind<'_>, id: Option<RequestId>) -> Vec<u8> {
    let mut state = state.lock().unwrap();
    state.n += 1;
    let n = state.n;
    drop(state);
    observation_of(f64::from(n), kind, id)
}

/// Waits for what must come, far longer than it may take.
pub(crate) async fn eventually(what: &str, mut come: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !come() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what} did not come");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
