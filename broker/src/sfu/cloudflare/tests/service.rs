//! The service: what it was asked is kept, and what it is not meant to be asked is refused.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::sfu::cloudflare::Cloudflare;

/// What the service has been asked, and what it says next instead of what it would say.
#[derive(Default)]
pub(super) struct Service {
    requests: Vec<(String, String, Value)>,
    scripted: Vec<(String, u16, Value)>,
    pub(super) sessions: HashMap<String, Session>,
    next: u16,
}

#[derive(Default)]
pub(super) struct Session {
    pub(super) published: HashMap<String, u16>,
    tracks: HashSet<String>,
}

pub(super) struct Fake {
    pub(super) service: Arc<Mutex<Service>>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    pub(super) async fn start() -> Self {
        let service = Arc::new(Mutex::new(Service::default()));
        for name in ["op-sess", "rb-sess"] {
            service.lock().unwrap().sessions.insert(name.to_owned(), Session::default());
        }
        let router = Router::new().fallback(answer).with_state(Arc::clone(&service));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { service, address, task }
    }

    pub(super) fn engine(&self) -> Cloudflare {
        Cloudflare::new(&format!("http://{}/v1", self.address), "app", "app-secret".to_owned())
    }

    /// The next request whose path ends so gets this reply.
    pub(super) fn script(&self, path: &str, status: u16, body: Value) {
        self.service.lock().unwrap().scripted.push((path.to_owned(), status, body));
    }

    pub(super) fn requests(&self) -> Vec<(String, String, Value)> {
        std::mem::take(&mut self.service.lock().unwrap().requests)
    }

    pub(super) fn published(&self, session: &str) -> usize {
        self.service.lock().unwrap().sessions[session].published.len()
    }
}

async fn answer(
    State(service): State<Arc<Mutex<Service>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, axum::Json<Value>) {
    let refuse = |status: u16, code: &str| {
        let body = json!({ "errorCode": code, "errorDescription": "refused by the test" });
        (StatusCode::from_u16(status).unwrap(), axum::Json(body))
    };
    if headers.get("authorization").is_none_or(|value| value != "Bearer app-secret") {
        return refuse(401, "unauthorized");
    }
    let Some(path) = uri.path().strip_prefix("/v1/apps/app") else { return refuse(404, "not_found") };
    let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap_or(Value::Null) };
    let mut service = service.lock().unwrap();
    service.requests.push((method.to_string(), path.to_owned(), body.clone()));
    if let Some(index) = service.scripted.iter().position(|(end, ..)| path.ends_with(end.as_str())) {
        let (_, status, body) = service.scripted.remove(index);
        return (StatusCode::from_u16(status).unwrap(), axum::Json(body));
    }
    match service.answer(method.as_str(), path, &body) {
        Ok((status, body)) => (StatusCode::from_u16(status).unwrap(), axum::Json(body)),
        Err((status, code)) => refuse(status, code),
    }
}

type Answer = Result<(u16, Value), (u16, &'static str)>;

/// The members of an object, if there are no others.
fn only<'a>(value: &'a Value, members: &[&str]) -> Result<&'a Value, (u16, &'static str)> {
    let object = value.as_object().ok_or((400, "decoding_error"))?;
    if object.keys().all(|key| members.contains(&key.as_str())) { Ok(value) } else { Err((400, "invalid_params")) }
}

fn text<'a>(value: &'a Value, member: &str) -> Result<&'a str, (u16, &'static str)> {
    value[member].as_str().ok_or((400, "invalid_params"))
}

impl Service {
    fn answer(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        if (method, path) == ("POST", "/sessions/new") {
            let description = only(&only(body, &["sessionDescription"])?["sessionDescription"], &["type", "sdp"])?;
            if text(description, "type")? != "offer" {
                return Err((400, "invalid_session_description"));
            }
            self.next += 1;
            let id = format!("sess-{}", self.next);
            self.sessions.insert(id.clone(), Session::default());
            let answer = json!({ "type": "answer", "sdp": "<answer>" });
            return Ok((201, json!({ "sessionId": id, "sessionDescription": answer })));
        }
        let mut parts = path.trim_start_matches("/sessions/").splitn(2, '/');
        let (session, what) = (parts.next().unwrap_or_default().to_owned(), parts.next().unwrap_or_default());
        if !self.sessions.contains_key(&session) {
            return Err((410, "session_error"));
        }
        match (method, what) {
            ("GET", "") => Ok((200, json!({ "tracks": [], "dataChannels": [] }))),
            ("POST", "datachannels/new") => self.new_channels(&session, body),
            ("PUT", "datachannels/close") => self.close_channels(&session, body),
            ("POST", "tracks/new") => self.new_tracks(&session, body),
            ("PUT", "tracks/close") => only(body, &["tracks", "force"]).map(|_| (200, json!({ "tracks": [] }))),
            ("PUT", "renegotiate") => {
                let description = only(&only(body, &["sessionDescription"])?["sessionDescription"], &["type", "sdp"])?;
                if text(description, "type")? == "answer" { Ok((200, json!({}))) } else { Err((400, "invalid_params")) }
            }
            _ => Err((404, "not_found")),
        }
    }

    fn new_channels(&mut self, session: &str, body: &Value) -> Answer {
        let channels = only(body, &["dataChannels"])?["dataChannels"].as_array().ok_or((400, "decoding_error"))?;
        let remote = channels.first().is_some_and(|channel| channel["location"] == "remote");
        let mut items = Vec::new();
        for channel in channels {
            only(channel, &["location", "sessionId", "dataChannelName", "ordered", "maxRetransmits"])?;
            if (channel["location"] == "remote") != remote {
                return Err((400, "invalid_params"));
            }
            let name = text(channel, "dataChannelName")?;
            self.next += 1;
            let id = self.next;
            let of = if remote { text(channel, "sessionId")? } else { session };
            let published = &mut self.sessions.get_mut(of).ok_or((410, "session_error"))?.published;
            let failure = match (remote, published.contains_key(name)) {
                (true, false) => Some("not_found_track_error"),
                (false, true) => Some("repeated_local_track_error"),
                _ => None,
            };
            if !remote && failure.is_none() {
                published.insert(name.to_owned(), id);
            }
            items.push(match failure {
                Some(code) => json!({ "location": channel["location"], "dataChannelName": name, "errorCode": code }),
                None => json!({ "location": channel["location"], "dataChannelName": name, "id": id }),
            });
        }
        items.reverse();
        Ok((200, json!({ "dataChannels": items })))
    }

    fn close_channels(&mut self, session: &str, body: &Value) -> Answer {
        let channels = only(body, &["dataChannels"])?["dataChannels"].as_array().ok_or((400, "decoding_error"))?;
        let published = &mut self.sessions.get_mut(session).ok_or((410, "session_error"))?.published;
        let mut items = Vec::new();
        for channel in channels {
            let id = only(channel, &["id"])?["id"].as_u64().ok_or((400, "invalid_params"))?;
            let before = published.len();
            published.retain(|_, published| u64::from(*published) != id);
            let gone = published.len() == before;
            items.push(if gone { json!({ "id": id, "errorCode": "close_track_error" }) } else { json!({ "id": id }) });
        }
        Ok((200, json!({ "dataChannels": items })))
    }

    fn new_tracks(&mut self, session: &str, body: &Value) -> Answer {
        let tracks = only(body, &["tracks"])?["tracks"].as_array().ok_or((400, "decoding_error"))?;
        let track = tracks.first().ok_or((400, "invalid_params"))?;
        let name = text(track, "trackName")?.to_owned();
        if track["location"] == "local" {
            let mid = text(only(track, &["location", "mid", "trackName"])?, "mid")?;
            let new = self.sessions.get_mut(session).ok_or((410, "session_error"))?.tracks.insert(name.clone());
            let mut item = json!({ "mid": mid, "trackName": name });
            if !new {
                item["errorCode"] = "repeated_local_track_error".into();
            }
            return Ok((200, json!({ "requiresImmediateRenegotiation": false, "tracks": [item] })));
        }
        let of = text(only(track, &["location", "sessionId", "trackName"])?, "sessionId")?;
        if !self.sessions.get(of).is_some_and(|session| session.tracks.contains(&name)) {
            return Ok((200, json!({ "tracks": [{ "trackName": name, "errorCode": "not_found_track_error" }] })));
        }
        let offer = json!({ "type": "offer", "sdp": "<offer>" });
        let item = json!({ "mid": "3", "trackName": name });
        Ok((200, json!({ "requiresImmediateRenegotiation": true, "tracks": [item], "sessionDescription": offer })))
    }
}
