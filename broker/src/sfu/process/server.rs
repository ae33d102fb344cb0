//! The process that has the engine.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::{Call, EVENTS, Events, POLL};
use crate::sfu::{Engine, EngineError, EngineEvent};

/// Bytes of one call; an offer has a few thousand.
const BODY: usize = 1 << 20;

/// A running engine that brokers speak to. It stops when this is dropped.
pub struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
    _events: AbortOnDropHandle<()>,
}

struct Service {
    engine: Arc<dyn Engine>,
    secret: [u8; 32],
    process: String,
    kept: Mutex<Kept>,
    last: watch::Sender<u64>,
    stop: CancellationToken,
}

#[derive(Default)]
struct Kept {
    last: u64,
    events: VecDeque<EngineEvent>,
}

impl Server {
    /// Serves this engine to whoever knows the secret.
    ///
    /// # Errors
    /// If the address cannot be bound, or the secret is shorter than 16 characters.
    pub async fn start(address: SocketAddr, secret: &str, engine: Arc<dyn Engine>) -> io::Result<Self> {
        if secret.len() < 16 {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the SFU's secret has less than 16 characters"));
        }
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let events = engine.events();
        let stop = CancellationToken::new();
        let service = Arc::new(Service {
            engine,
            secret: Sha256::digest(secret.as_bytes()).into(),
            process: uuid::Uuid::new_v4().to_string(),
            kept: Mutex::default(),
            last: watch::Sender::new(0),
            stop: stop.clone(),
        });
        let collect = tokio::spawn(Arc::clone(&service).collect(events));
        let router = Router::new()
            .route("/v1/call", post(call))
            .route("/v1/events", get(poll))
            .layer(DefaultBodyLimit::max(BODY))
            .layer(middleware::from_fn_with_state(Arc::clone(&service), admit))
            .with_state(service);
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
                tracing::error!(%error, "the SFU takes no more calls");
            }
        });
        tracing::info!(%address, "the SFU takes calls");
        let (task, collect) = (AbortOnDropHandle::new(task), AbortOnDropHandle::new(collect));
        Ok(Self { address, stop, task, _events: collect })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Takes no more calls, and lets those under way come to their end for a second.
    pub async fn stop(self) {
        self.stop.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(1), self.task).await;
    }
}

/// Lets only those through who know the secret. Both sides are hashed, so that comparing them tells nothing of it.
async fn admit(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let given = given.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let hash: [u8; 32] = Sha256::digest(given.as_bytes()).into();
    if bool::from(hash.ct_eq(&service.secret)) {
        next.run(request).await
    } else {
        (StatusCode::UNAUTHORIZED, Json(json!({ "detail": "wrong secret" }))).into_response()
    }
}

async fn call(State(service): State<Arc<Service>>, Json(call): Json<Call>) -> Response {
    fn reply<T: serde::Serialize>(value: T) -> Result<Value, EngineError> {
        serde_json::to_value(value).map_err(|error| EngineError::Malformed(error.to_string()))
    }
    let engine = &service.engine;
    let done = match call {
        Call::CreatePeer { new } => engine.create_peer(new).await.and_then(reply),
        Call::PeerState { peer } => engine.peer_state(&peer).await.and_then(reply),
        Call::OpenBridge { robot, operator, generation, previous } => {
            engine.open_bridge(&robot, &operator, generation, previous).await.and_then(reply)
        }
        Call::CloseBridge { robot, operator, bridge } => {
            engine.close_bridge(&robot, &operator, &bridge).await.and_then(reply)
        }
        Call::BridgeIsOpen { robot, operator, generation } => {
            engine.bridge_is_open(&robot, &operator, generation).await.and_then(reply)
        }
        Call::AttachVideo { robot, track, receiver } => reply(engine.attach_video(&robot, &track, &receiver).await),
        Call::AttachAudio { operator, track, robot } => reply(engine.attach_audio(&operator, &track, &robot).await),
        Call::AttachViewer { robot, viewer } => engine.attach_viewer(&robot, &viewer).await.and_then(reply),
        Call::SubmitAnswer { peer, sdp } => engine.submit_answer(&peer, &sdp).await.and_then(reply),
        Call::ClosePeer { peer } => engine.close_peer(&peer).await.and_then(reply),
        Call::Inject { robot, text } => engine.inject(&robot, &text).await.and_then(reply),
        Call::IdsTold { robot, generation } => {
            engine.ids_told(&robot, generation).await;
            Ok(Value::Null)
        }
    };
    match done {
        Ok(value) => Json(value).into_response(),
        Err(error) => (StatusCode::CONFLICT, Json(error)).into_response(),
    }
}

#[derive(Deserialize)]
struct After {
    after: Option<u64>,
    /// The process that counted so.
    process: Option<String>,
}

async fn poll(State(service): State<Arc<Service>>, Query(After { after, process }): Query<After>) -> Json<Events> {
    let mut last = service.last.subscribe();
    let now = *last.borrow();
    let other = process.is_some_and(|process| process != service.process) || after.is_some_and(|after| after > now);
    if other {
        // What another process counted says nothing here: all that this one has kept is news.
        return Json(Events { missed: true, ..service.since(0) });
    }
    let after = after.unwrap_or(now);
    // Nothing for so long is an answer as well.
    tokio::select! {
        _ = last.wait_for(|last| *last > after) => {}
        () = tokio::time::sleep(Duration::from_secs(POLL)) => {}
        () = service.stop.cancelled() => {}
    }
    Json(service.since(after))
}

impl Service {
    async fn collect(self: Arc<Self>, mut events: broadcast::Receiver<EngineEvent>) {
        loop {
            let event = match events.recv().await {
                Ok(event) => event,
                Err(broadcast::error::RecvError::Lagged(_)) => EngineEvent::Missed,
                Err(broadcast::error::RecvError::Closed) => return,
            };
            let last = {
                let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.events.len() == EVENTS {
                    kept.events.pop_front();
                }
                kept.events.push_back(event);
                kept.last += 1;
                kept.last
            };
            self.last.send_replace(last);
        }
    }

    fn since(&self, after: u64) -> Events {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let new = usize::try_from(kept.last.saturating_sub(after)).unwrap_or(usize::MAX);
        let skip = kept.events.len().saturating_sub(new);
        let events = kept.events.iter().skip(skip).cloned().collect();
        let missed = new > kept.events.len();
        Events { process: self.process.clone(), last: kept.last, missed, events }
    }
}
