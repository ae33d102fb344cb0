//! The engine against a service that knows the calls of the specification and no others.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::*;
use crate::sfu::PeerKind;

/// What the service has been asked, and what it says next instead of what it would say.
#[derive(Default)]
struct Service {
    requests: Vec<(String, String, Value)>,
    scripted: Vec<(String, u16, Value)>,
    sessions: HashMap<String, Session>,
    next: u16,
}

#[derive(Default)]
struct Session {
    published: HashMap<String, u16>,
    tracks: HashSet<String>,
}

struct Fake {
    service: Arc<Mutex<Service>>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Fake {
    async fn start() -> Self {
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

    fn engine(&self) -> Cloudflare {
        Cloudflare::new(&format!("http://{}/v1", self.address), "app", "app-secret".to_owned())
    }

    /// The next request whose path ends so gets this reply.
    fn script(&self, path: &str, status: u16, body: Value) {
        self.service.lock().unwrap().scripted.push((path.to_owned(), status, body));
    }

    fn requests(&self) -> Vec<(String, String, Value)> {
        std::mem::take(&mut self.service.lock().unwrap().requests)
    }

    fn published(&self, session: &str) -> usize {
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

fn vector(name: &str) -> Value {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../../../../tests/vectors/hosted.json")).unwrap();
    vectors.into_iter().find(|vector| vector["name"] == name).unwrap()
}

fn peers() -> (PeerId, PeerId) {
    (PeerId::new("rb-sess"), PeerId::new("op-sess"))
}

fn camera() -> Track {
    Track { mid: "0".to_owned(), name: "cam-track-1".to_owned() }
}

/// The requests of a vector, all of them made.
fn expect_requests(made: &[(String, String, Value)], vector: &Value) {
    let wanted = vector["expect"]["requests"].as_array().unwrap();
    let form = |(method, path, body): &(String, String, Value)| json!({ "method": method, "path": path, "body": body });
    let made: Vec<Value> = made.iter().map(form).collect();
    assert_eq!(made.len(), wanted.len(), "{made:?}");
    for one in wanted {
        assert!(made.contains(one), "{one} is not among {made:?}");
    }
}

#[tokio::test]
async fn a_session_is_made_from_an_offer() {
    let fake = Fake::start().await;
    let new = NewPeer { kind: PeerKind::Robot, tenant: "a".to_owned(), offer: "<offer>".to_owned(), push: false };
    let (id, answer) = fake.engine().create_peer(new).await.unwrap();
    assert_eq!((id.as_str(), answer.as_str()), ("sess-1", "<answer>"));
    let vector = vector("cloudflare_session_new");
    let (method, path, body) = fake.requests().remove(0);
    assert_eq!(json!({ "method": method, "path": path, "body": body }), vector["message"]);
}

#[tokio::test]
async fn a_bridge_is_five_calls_with_the_bodies_of_the_vector() {
    let fake = Fake::start().await;
    let (robot, operator) = peers();
    let stale = LegIds { cmd: 7, state: 9, state_back: 3, map: 5 };
    let bridge = fake.engine().open_bridge(&robot, &operator, 1, Some(stale)).await.unwrap();
    let requests = fake.requests();
    expect_requests(&requests, &vector("cloudflare_bridge_requests"));
    assert!(requests[0].1.ends_with("close"));
    let place = |session: &str, location: &str| {
        let of = |(_, path, body): &(String, String, Value)| {
            path.contains(session) && body["dataChannels"][0]["location"] == location
        };
        requests.iter().position(of).unwrap()
    };
    assert!(place("op-sess", "local") < place("rb-sess", "remote"));
    assert!(place("rb-sess", "local") < place("op-sess", "remote"));
    // Replies come in the reverse order of the request, and ids go by name.
    let service = fake.service.lock().unwrap();
    assert_eq!(service.sessions["op-sess"].published["cmd_unreliable"], bridge.operator.cmd);
    assert_eq!(service.sessions["op-sess"].published["state_reliable"], bridge.operator.state);
    assert_eq!(service.sessions["rb-sess"].published["state_reliable_back"], bridge.robot.state_back);
    assert_eq!(service.sessions["rb-sess"].published["map_unreliable"], bridge.robot.map);
}

#[tokio::test]
async fn bridges_can_follow_one_another_and_leave_nothing_behind() {
    let fake = Fake::start().await;
    let (robot, operator) = peers();
    let engine = fake.engine();
    let mut previous = None;
    for generation in 1..4 {
        let bridge = engine.open_bridge(&robot, &operator, generation, previous).await.unwrap();
        previous = Some(bridge.robot);
        if generation == 3 {
            engine.close_bridge(&robot, &operator, &bridge).await;
        }
    }
    assert_eq!((fake.published("op-sess"), fake.published("rb-sess")), (0, 0));
}

#[tokio::test]
async fn what_comes_too_early_is_tried_again() {
    for (status, body) in [
        (200, json!({ "errorCode": "session_error", "errorDescription": "Session is not ready yet" })),
        (425, json!({ "errorCode": "too_early", "errorDescription": "" })),
        (503, json!({ "errorCode": "temporarily_unavailable_error", "errorDescription": "" })),
    ] {
        let fake = Fake::start().await;
        let (robot, operator) = peers();
        for _ in 0..2 {
            fake.script("op-sess/datachannels/new", status, body.clone());
        }
        let engine = fake.engine();
        engine.open_bridge(&robot, &operator, 1, None).await.unwrap();
        let waits: Vec<f64> = engine.api.waited.lock().unwrap().iter().map(Duration::as_secs_f64).collect();
        assert_eq!(json!(waits), vector("cloudflare_reply_not_ready_body")["expect"]["waits_s"]);
    }
}

#[tokio::test]
async fn what_stays_too_early_is_not_ready_and_rolled_back() {
    let fake = Fake::start().await;
    let (robot, operator) = peers();
    for _ in 0..5 {
        fake.script("rb-sess/datachannels/new", 425, json!({}));
    }
    let failed = fake.engine().open_bridge(&robot, &operator, 1, None).await;
    assert!(matches!(failed, Err(EngineError::NotReady(_))), "{failed:?}");
    assert_eq!((fake.published("op-sess"), fake.published("rb-sess")), (0, 0));
}

#[tokio::test]
async fn a_session_that_is_gone_is_said_to_be_whose() {
    for (status, body) in [
        (410, json!({})),
        (200, json!({ "errorCode": "session_error", "errorDescription": "Session is disconnected" })),
    ] {
        for (session, leg) in [("rb-sess", Leg::Robot), ("op-sess", Leg::Operator)] {
            let fake = Fake::start().await;
            let (robot, operator) = peers();
            fake.script(&format!("{session}/datachannels/new"), status, body.clone());
            let engine = fake.engine();
            let failed = engine.open_bridge(&robot, &operator, 1, None).await;
            assert!(matches!(&failed, Err(EngineError::Gone { leg: whose, .. }) if *whose == leg), "{failed:?}");
            assert!(engine.api.waited.lock().unwrap().is_empty());
            assert_eq!((fake.published("op-sess"), fake.published("rb-sess")), (0, 0));
        }
    }
}

#[tokio::test]
async fn one_failing_channel_of_a_call_fails_the_bridge_and_is_named() {
    let fake = Fake::start().await;
    let (robot, operator) = peers();
    let items = json!([
        { "location": "remote", "dataChannelName": "cmd_unreliable", "id": 4 },
        { "location": "remote", "dataChannelName": "state_reliable", "errorCode": "backend_error", "errorDescription": "x" },
    ]);
    let engine = fake.engine();
    // The robot's own come first.
    fake.script("op-sess/datachannels/new", 200, json!({ "dataChannels": items }));
    let failed = engine.open_bridge(&robot, &operator, 1, None).await;
    assert!(matches!(&failed, Err(EngineError::Refused(detail)) if detail.contains("state_reliable")), "{failed:?}");
    assert_eq!(fake.published("rb-sess"), 0);
    assert!(fake.requests().iter().any(|(_, path, body)| path.ends_with("op-sess/datachannels/close")
        && *body == json!({ "dataChannels": [{ "id": 4 }] })));
    let incomplete = json!({ "dataChannels": [{ "location": "local", "dataChannelName": "cmd_unreliable", "id": 4 }] });
    fake.script("op-sess/datachannels/new", 200, incomplete);
    assert!(matches!(engine.open_bridge(&robot, &operator, 2, None).await, Err(EngineError::Unavailable(_))));
}

#[tokio::test]
async fn every_other_error_of_the_service_is_told_and_not_retried() {
    for code in
        ["unauthorized", "invalid_params", "payload_too_large", "backend_error", "internal_error", "decoding_error"]
    {
        let fake = Fake::start().await;
        let (robot, operator) = peers();
        fake.script("rb-sess/datachannels/new", 200, json!({ "errorCode": code, "errorDescription": "no" }));
        let engine = fake.engine();
        let failed = engine.open_bridge(&robot, &operator, 1, None).await;
        assert!(matches!(&failed, Err(EngineError::Refused(detail)) if detail.contains(code)), "{failed:?}");
        assert!(engine.api.waited.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_picture_is_published_and_pulled_with_the_bodies_of_the_vector() {
    let fake = Fake::start().await;
    let (robot, operator) = peers();
    let engine = fake.engine();
    let attached = engine.attach_video(&robot, &camera(), &operator).await;
    assert_eq!(attached, Attached { status: VideoStatus::Ok, offer: Some("<offer>".to_owned()) });
    expect_requests(&fake.requests(), &vector("cloudflare_video_requests"));
    // Published already, it is pulled all the same.
    assert_eq!(engine.attach_video(&robot, &camera(), &operator).await.status, VideoStatus::Ok);
    fake.requests();
    engine.close_peer(&operator).await;
    let (_, path, body) = fake.requests().remove(0);
    assert_eq!(
        (path.as_str(), body),
        ("/sessions/op-sess/tracks/close", json!({ "tracks": [{ "mid": "3" }], "force": true }))
    );
}

#[tokio::test]
async fn a_picture_that_has_not_come_yet_is_waited_for_and_a_dead_one_is_not() {
    for name in ["cloudflare_pull_retry", "cloudflare_pull_empty_track", "cloudflare_publish_fails"] {
        let vector = vector(name);
        let fake = Fake::start().await;
        let (robot, operator) = peers();
        let end = if name == "cloudflare_publish_fails" { "rb-sess/tracks/new" } else { "op-sess/tracks/new" };
        for reply in vector["message"]["replies"].as_array().unwrap() {
            fake.script(end, u16::try_from(reply["status"].as_u64().unwrap()).unwrap(), reply["body"].clone());
        }
        let engine = fake.engine();
        let attached = engine.attach_video(&robot, &camera(), &operator).await;
        assert_eq!(attached.status.as_str(), vector["expect"]["video_status"], "{name}");
        assert_eq!(json!(attached.offer), vector["expect"]["video_offer"], "{name}");
        let waits: Vec<f64> = engine.api.waited.lock().unwrap().iter().map(Duration::as_secs_f64).collect();
        if let Some(wanted) = vector["expect"].get("waits_s") {
            assert_eq!(waits.len(), wanted.as_array().unwrap().len(), "{name}");
            assert!(waits.iter().zip(wanted.as_array().unwrap()).all(|(wait, wanted)| Some(*wait) == wanted.as_f64()));
        }
    }
}

#[tokio::test]
async fn the_voice_is_pulled_to_the_robot_and_its_answer_handed_in() {
    let fake = Fake::start().await;
    let (robot, operator) = peers();
    let engine = fake.engine();
    let voice = Track { mid: "1".to_owned(), name: "mic".to_owned() };
    assert_eq!(engine.attach_audio(&operator, &voice, &robot).await.as_deref(), Some("<offer>"));
    fake.requests();
    engine.submit_answer(&operator, "<answer>").await.unwrap();
    expect_requests(&fake.requests(), &vector("cloudflare_renegotiate"));
    fake.script("renegotiate", 200, json!({ "errorCode": "invalid_session_description", "errorDescription": "no" }));
    assert!(matches!(engine.submit_answer(&operator, "<answer>").await, Err(EngineError::Refused(_))));
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_unavailable() {
    let engine = Cloudflare::new("http://127.0.0.1:1/v1", "app", "app-secret".to_owned());
    let (robot, operator) = peers();
    let failed = engine.open_bridge(&robot, &operator, 1, None).await;
    assert!(matches!(&failed, Err(EngineError::Unavailable(detail)) if !detail.contains("secret")), "{failed:?}");
    assert_eq!(engine.attach_video(&robot, &camera(), &operator).await.status, VideoStatus::PublishError);
}
