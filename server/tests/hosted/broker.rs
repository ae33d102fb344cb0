//! A broker that does what the test says, and remembers what it was asked.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio_util::task::AbortOnDropHandle;

use crate::sfu::Sfu;

pub(crate) const KEY: &str = "dtk_dev_0123456789abcdef0123456789abcdef01234567";

/// One call of the robot.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    /// Below `/api/v1/sessions`.
    pub(crate) path: String,
    pub(crate) key: Option<String>,
    pub(crate) json: bool,
    pub(crate) body: Value,
}

#[derive(Default)]
struct Script {
    calls: Vec<Call>,
    /// What heartbeats are answered from now on.
    beat: Option<(StatusCode, Value)>,
    /// The same for the next ones, before that.
    next: VecDeque<(StatusCode, Value)>,
    /// What registrations are refused with.
    refusal: Option<StatusCode>,
    ext: Vec<String>,
    sessions: u32,
    goodbye: Option<Goodbye>,
}

/// A goodbye that the test answers when it likes.
#[derive(Clone, Default)]
pub(crate) struct Goodbye {
    answered: Arc<Notify>,
    given_up: Arc<AtomicBool>,
}

impl Goodbye {
    pub(crate) fn answer(&self) {
        self.answered.notify_one();
    }

    /// The robot waits for the answer no longer.
    pub(crate) fn given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    async fn wait(self) {
        let mut waiting = Waiting { given_up: self.given_up, answered: false };
        self.answered.notified().await;
        waiting.answered = true;
    }
}

/// Notes that it was not waited for to the end.
struct Waiting {
    given_up: Arc<AtomicBool>,
    answered: bool,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.given_up.fetch_or(!self.answered, Ordering::Relaxed);
    }
}

#[derive(Clone)]
struct Shared {
    script: Arc<Mutex<Script>>,
    sfus: mpsc::Sender<Sfu>,
}

pub(crate) struct Broker {
    pub(crate) addr: SocketAddr,
    script: Arc<Mutex<Script>>,
    pub(crate) sfus: mpsc::Receiver<Sfu>,
    _serving: AbortOnDropHandle<()>,
}

/// No channels.
pub(crate) fn nobody() -> Value {
    ids([None; 4])
}

/// Channels for commands, state, the way back and maps.
pub(crate) fn ids([cmd, state, back, map]: [Option<u16>; 4]) -> Value {
    json!({
        "ack": true, "cmd_channel_subscriber_id": cmd, "state_channel_subscriber_id": state,
        "state_back_channel_publisher_id": back, "map_channel_publisher_id": map, "renegotiate_offer": null,
    })
}

impl Broker {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (sfus, received) = mpsc::channel(8);
        let script = Arc::<Mutex<Script>>::default();
        let shared = Shared { script: Arc::clone(&script), sfus };
        let addr = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(shared);
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { addr, script, sfus: received, _serving: AbortOnDropHandle::new(serving) }
    }

    /// The robot's next connection.
    pub(crate) async fn sfu(&mut self) -> Sfu {
        crate::stage::in_time("a registration", self.sfus.recv()).await.unwrap()
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.script.lock().unwrap().calls.clone()
    }

    pub(crate) fn count(&self, wanted: impl Fn(&Call) -> bool) -> usize {
        self.calls().iter().filter(|call| wanted(call)).count()
    }

    /// What heartbeats are answered from now on.
    pub(crate) fn answer_beats(&self, status: StatusCode, body: Value) {
        self.script.lock().unwrap().beat = Some((status, body));
    }

    /// Channels with these numbers are there from now on.
    pub(crate) fn bridge(&self, first: u16) {
        self.answer_beats(StatusCode::OK, ids([0, 1, 2, 3].map(|n| Some(first + n))));
    }

    pub(crate) fn refuse(&self, refusal: Option<StatusCode>) {
        self.script.lock().unwrap().refusal = refusal;
    }

    pub(crate) fn keep_goodbyes_waiting(&self) -> Goodbye {
        self.script.lock().unwrap().goodbye.insert(Goodbye::default()).clone()
    }

    pub(crate) fn announce(&self, extension: &str) {
        self.script.lock().unwrap().ext.push(extension.to_owned());
    }
}

impl Call {
    pub(crate) fn is_beat(&self) -> bool {
        self.path.ends_with("/heartbeat")
    }
}

async fn answer(State(shared): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let path = uri.path().strip_prefix("/api/v1/sessions").unwrap_or("elsewhere").to_owned();
    let call = Call {
        method: method.clone(),
        path: path.clone(),
        key: header("X-Robot-API-Key"),
        json: header("content-type").as_deref() == Some("application/json"),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let offer = call.body["sdp_offer"].as_str().map(str::to_owned);
    let (refusal, ext, number) = {
        let mut script = shared.script.lock().unwrap();
        script.calls.push(call);
        (script.refusal, script.ext.clone(), script.sessions)
    };
    match (method, path.as_str()) {
        (Method::GET, "/turn-credentials") => reply(StatusCode::OK, json!({ "ice_servers": [] })),
        (Method::POST, "" | "/") => {
            if let Some(refusal) = refusal {
                return reply(refusal, json!({ "detail": "refused by the test" }));
            }
            let (sfu, sdp) = Sfu::answer(&offer.unwrap()).await;
            shared.script.lock().unwrap().sessions += 1;
            let _ = shared.sfus.send(sfu).await;
            let answer = json!({
                "session_id": format!("session-{}", number + 1), "cf_session_id": "peer", "sdp_answer": sdp,
                "ice_servers": [], "ext": ext,
            });
            reply(StatusCode::CREATED, answer)
        }
        (Method::POST, path) if path.ends_with("/heartbeat") => {
            let mut script = shared.script.lock().unwrap();
            let usual = script.beat.clone().unwrap_or_else(|| (StatusCode::OK, nobody()));
            let (status, body) = script.next.pop_front().unwrap_or(usual);
            reply(status, body)
        }
        (Method::POST, path) if path.ends_with("/renegotiate-robot") => reply(StatusCode::OK, json!({ "ok": true })),
        (Method::DELETE, _) => {
            let goodbye = shared.script.lock().unwrap().goodbye.clone();
            if let Some(goodbye) = goodbye {
                goodbye.wait().await;
            }
            StatusCode::NO_CONTENT.into_response()
        }
        _ => reply(StatusCode::NOT_FOUND, json!({ "detail": "Not Found" })),
    }
}

fn reply(status: StatusCode, body: Value) -> Response {
    (status, [("content-type", "application/json")], body.to_string()).into_response()
}
