//! A broker with a scripted engine, and who calls it.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use waldo_broker::auth::{PlainKey, Role, Strength};
use waldo_broker::{Broker, Settings};

use crate::engine::Scripted;
use crate::postgres::CLUSTER;

pub(crate) const PASSWORD: &str = "correct horse";
pub(crate) const ALICE: &str = "alice@example.org";
pub(crate) const BOB: &str = "bob@example.org";
pub(crate) const ADMIN: &str = "admin@example.org";

/// The key of the vectors, alice's.
pub(crate) const KEY: &str = "dtk_live_abababababababababababababababababababab";

/// Robot offers: video, then channels.
pub(crate) const ROBOT_OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
     m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=sendonly\r\na=msid:stream camera\r\n\
     m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\n";

/// An operator's offer with a microphone.
pub(crate) const OPERATOR_OFFER: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n\
     m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\n\
     m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\na=recvonly\r\n\
     m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:2\r\na=sendonly\r\na=msid:s voice\r\n";

/// A broker in a folder of its own.
pub(crate) struct World {
    pub(crate) broker: Option<Broker>,
    pub(crate) engine: Arc<Scripted>,
    pub(crate) url: String,
    pub(crate) settings: Settings,
    pub(crate) client: Client,
    _dir: TempDir,
}

/// A reply.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) text: String,
    pub(crate) headers: reqwest::header::HeaderMap,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(crate) fn detail(&self) -> String {
        self.json()["detail"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    pub(crate) fn ok(&self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.json()
    }
}

/// Settings for tests: a free port, a folder of their own, weak passwords.
pub(crate) fn settings(dir: &TempDir) -> Settings {
    Settings {
        listen: "127.0.0.1:0".parse().unwrap(),
        data_dir: dir.path().to_owned(),
        password_strength: Strength::Least,
        enforce_rate_limits: false,
        ..Settings::default()
    }
}

/// A broker with accounts of alice, bob and an admin, and alice's key.
pub(crate) async fn world() -> World {
    world_with(|_| {}).await
}

pub(crate) async fn world_with(change: impl FnOnce(&mut Settings)) -> World {
    let dir = tempfile::tempdir().unwrap();
    let mut settings = settings(&dir);
    settings.database_url = CLUSTER.try_with(|cluster| cluster.fresh_database()).ok();
    change(&mut settings);
    let engine = Arc::new(Scripted::default());
    let broker = Broker::start_with(settings.clone(), engine.clone(), false).await.unwrap();
    World { engine, ..world_on(broker, settings, dir).await }
}

/// The same around a broker that runs.
pub(crate) async fn world_on(broker: Broker, settings: Settings, dir: TempDir) -> World {
    for (name, role) in [(ALICE, Role::Operator), (BOB, Role::Operator), (ADMIN, Role::Admin)] {
        broker.add_user_as(name, PASSWORD, role).await.unwrap();
    }
    broker.keep_key(&PlainKey::existing(KEY).unwrap(), ALICE, "lab").await.unwrap();
    let url = broker.url();
    let client = Client::builder().timeout(Duration::from_secs(20)).build().unwrap();
    World { broker: Some(broker), engine: Arc::new(Scripted::default()), url, settings, client, _dir: dir }
}

impl World {
    pub(crate) fn broker(&self) -> &Broker {
        self.broker.as_ref().unwrap()
    }

    /// Ends the broker and starts another one on its data.
    pub(crate) async fn restart(&mut self) {
        self.broker.take().unwrap().stop().await;
        let broker = Broker::start_with(self.settings.clone(), self.engine.clone(), false).await.unwrap();
        self.url = broker.url();
        self.broker = Some(broker);
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.client.request(Method::from_bytes(method.as_bytes()).unwrap(), format!("{}{path}", self.url))
    }

    pub(crate) async fn send(&self, request: RequestBuilder) -> Reply {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Reply { status: status.as_u16(), headers, text: response.text().await.unwrap() }
    }

    pub(crate) async fn log_in(&self, name: &str) -> String {
        let body = json!({"email": name, "password": PASSWORD});
        let reply = self.send(self.request("POST", "/api/v1/auth/login").json(&body)).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        reply.json()["token"].as_str().unwrap().to_owned()
    }

    /// What a robot with this key gets.
    pub(crate) async fn robot(&self, key: &str, method: &str, path: &str, body: Value) -> Reply {
        let request = self.request(method, &format!("/api/v1{path}")).header("X-Robot-API-Key", key);
        self.send(if body.is_null() { request } else { request.json(&body) }).await
    }

    /// What an operator with this token gets.
    pub(crate) async fn operator(&self, token: &str, method: &str, path: &str, body: Value) -> Reply {
        let request = self.request(method, &format!("/api/v1{path}")).bearer_auth(token);
        self.send(if body.is_null() { request } else { request.json(&body) }).await
    }

    /// The same by a certain join.
    pub(crate) async fn with_lease(&self, token: &str, lease: &str, path: &str, body: Value) -> Reply {
        let request =
            self.request("POST", &format!("/api/v1{path}")).bearer_auth(token).header("X-Teleop-Lease", lease);
        self.send(if body.is_null() { request } else { request.json(&body) }).await
    }

    /// A robot of alice's.
    pub(crate) async fn register(&self) -> String {
        self.register_as("dog-1").await
    }

    pub(crate) async fn register_as(&self, robot_id: &str) -> String {
        let body = json!({"robot_name": "Dog", "robot_id": robot_id, "sdp_offer": ROBOT_OFFER});
        let reply = self.robot(KEY, "POST", "/sessions", body).await;
        assert_eq!(reply.status, 201, "{reply:?}");
        reply.json()["session_id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn join(&self, token: &str, id: &str) -> Reply {
        self.operator(token, "POST", &format!("/sessions/{id}/join"), json!({"sdp_offer": OPERATOR_OFFER})).await
    }

    pub(crate) async fn bridge(&self, token: &str, id: &str) -> Reply {
        self.operator(token, "POST", &format!("/sessions/{id}/bridge-datachannel"), Value::Null).await
    }

    pub(crate) async fn beat(&self, id: &str) -> Reply {
        self.robot(KEY, "POST", &format!("/sessions/{id}/heartbeat"), json!({})).await
    }

    pub(crate) async fn leave(&self, token: &str, id: &str) -> Reply {
        self.operator(token, "POST", &format!("/sessions/{id}/leave"), json!({})).await
    }

    pub(crate) async fn status(&self, token: &str, id: &str) -> Value {
        self.operator(token, "GET", &format!("/sessions/{id}/status"), Value::Null).await.ok()
    }

    /// Waits, at most ten seconds, until a session is in a state.
    pub(crate) async fn until_state(&self, token: &str, id: &str, state: &str) -> Value {
        let mut status = Value::Null;
        for _ in 0..500 {
            status = self.status(token, id).await;
            if status["state"] == state {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the session is not {state}: {status}");
    }
}

/// Waits, at most ten seconds, until something holds.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    for _ in 0..500 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

/// The ids of a heartbeat's reply.
pub(crate) fn ids(ack: &Value) -> [Value; 4] {
    [
        "cmd_channel_subscriber_id",
        "state_channel_subscriber_id",
        "state_back_channel_publisher_id",
        "map_channel_publisher_id",
    ]
    .map(|name| ack[name].clone())
}
