//! The robot's calls to the broker.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, Method, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use waldo_protocol::hosted::{
    API_KEY_HEADER, API_PREFIX, ErrorBody, Heartbeat, HeartbeatAck, IceServer, IceServers, RegisterRobot,
    RegisteredRobot, SdpAnswer,
};

use crate::config::RobotKey;

/// How long a heartbeat may take.
const HEARTBEAT_LIMIT: Duration = Duration::from_secs(2);

/// How long any other call may take, and how long a connection may take to stand.
const CALL_LIMIT: Duration = Duration::from_secs(10);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// Largest answer that is read, bytes.
const LARGEST: usize = 1 << 20;

/// What of an error's words is shown.
const WORDS: usize = 300;

/// A setting with which the broker cannot be called.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The address is none.
    #[error("--hosted-broker: `{0}` is no address such as https://teleop.example.org, without name and password")]
    Address(String),
    /// The certificates cannot be used.
    #[error("--hosted-ca {0}: {1}")]
    Certificates(String, String),
    /// The system has no certificates, or refuses otherwise.
    #[error("the broker cannot be called: {0}")]
    Client(String),
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// The broker's answer is an error.
    #[error("{status}: {detail}")]
    Refused { status: u16, detail: String },
    /// There is no answer.
    #[error("no answer: {0}")]
    Network(String),
    /// The answer is not what it should be.
    #[error("an answer that makes no sense: {0}")]
    Malformed(String),
}

impl CallError {
    /// The status of a refusal.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

/// One robot's way to its broker. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Broker {
    http: Client,
    sessions: Url,
}

impl Broker {
    /// A broker at this address, with `ca` (PEM) trusted beside the system's certificates.
    pub(super) fn new(address: &str, key: &RobotKey, ca: Option<&Path>) -> Result<Self, BrokerError> {
        // Without what may be a password.
        let shown = address.rsplit_once('@').map_or(address, |(_, rest)| rest);
        let wrong = || BrokerError::Address(shown.to_owned());
        let mut sessions = Url::parse(address).map_err(|_| wrong())?;
        let host = sessions.host_str().ok_or_else(wrong)?.to_owned();
        match sessions.scheme() {
            "https" => {}
            "http" if is_loopback(&host) => {}
            "http" => tracing::warn!(
                "the broker's address begins with http: everybody on the way sees this robot's key; use https"
            ),
            _ => return Err(wrong()),
        }
        if address.contains('@')
            || sessions.cannot_be_a_base()
            || sessions.query().is_some()
            || sessions.fragment().is_some()
        {
            return Err(wrong());
        }
        let path = format!("{}{API_PREFIX}/sessions/", sessions.path().trim_end_matches('/'));
        sessions.set_path(&path);
        // The one cryptography of this program; fails only if it was chosen before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut headers = HeaderMap::new();
        let mut value =
            HeaderValue::from_str(key.expose()).map_err(|_| BrokerError::Client("the key is none".into()))?;
        value.set_sensitive(true);
        headers.insert(API_KEY_HEADER, value);
        // On every call, also on those without a body.
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let mut builder = Client::builder()
            .user_agent(concat!("waldo/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .connect_timeout(CONNECT_LIMIT)
            .timeout(CALL_LIMIT)
            // A redirect would take the key elsewhere.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&host) {
            builder = builder.no_proxy();
        }
        if let Some(path) = ca {
            let named = |error: String| BrokerError::Certificates(path.display().to_string(), error);
            let pem = std::fs::read(path).map_err(|error| named(error.to_string()))?;
            let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| named(error.to_string()))?;
            if certificates.is_empty() {
                return Err(named("there is no certificate in it".into()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder.build().map_err(|error| BrokerError::Client(told(&error)))?;
        Ok(Self { http, sessions })
    }

    /// STUN and TURN servers.
    pub(super) async fn ice_servers(&self) -> Result<Vec<IceServer>, CallError> {
        let answer: IceServers = read(&self.send(Call::get("turn-credentials"), None::<&()>).await?)?;
        Ok(answer.ice_servers)
    }

    /// Registers the robot.
    pub(super) async fn register(&self, robot: &RegisterRobot) -> Result<RegisteredRobot, CallError> {
        read(&self.send(Call::post(""), Some(robot)).await?)
    }

    /// Says that the robot is there.
    pub(super) async fn heartbeat(&self, session: &str, beat: &Heartbeat) -> Result<HeartbeatAck, CallError> {
        let path = format!("{session}/heartbeat");
        read(&self.send(Call { limit: HEARTBEAT_LIMIT, ..Call::post(&path) }, Some(beat)).await?)
    }

    /// Answers an offer that came with a heartbeat.
    pub(super) async fn renegotiate(&self, session: &str, sdp_answer: String) -> Result<(), CallError> {
        let path = format!("{session}/renegotiate-robot");
        self.send(Call::post(&path), Some(&SdpAnswer { sdp_answer })).await.map(drop)
    }

    /// Says that the robot is there no longer.
    pub(super) async fn leave(&self, session: &str) -> Result<(), CallError> {
        let call = Call { method: Method::DELETE, limit: HEARTBEAT_LIMIT, ..Call::get(session) };
        self.send(call, None::<&()>).await.map(drop)
    }

    async fn send(&self, call: Call<'_>, body: Option<&(impl Serialize + Sync)>) -> Result<Bytes, CallError> {
        let Call { method, path, limit } = call;
        // The identity of a session is the broker's own text.
        let mut url = self.sessions.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
            segments.extend(path.split('/').filter(|segment| !segment.is_empty()));
        }
        let mut request = self.http.request(method, url).timeout(limit);
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut answer = request.send().await.map_err(|error| CallError::Network(told(&error)))?;
        let (status, mut data) = (answer.status(), Vec::new());
        while let Some(part) = answer.chunk().await.map_err(|error| CallError::Network(told(&error)))? {
            if data.len() + part.len() > LARGEST {
                return Err(CallError::Malformed(format!("more than {LARGEST} bytes")));
            }
            data.extend_from_slice(&part);
        }
        if matches!(status, StatusCode::OK | StatusCode::CREATED | StatusCode::NO_CONTENT) {
            return Ok(data.into());
        }
        let words = serde_json::from_slice::<ErrorBody>(&data).map_or_else(
            |_| status.canonical_reason().unwrap_or("an unknown status").to_owned(),
            |body| body.to_string().chars().filter(|c| !c.is_control()).take(WORDS).collect(),
        );
        Err(CallError::Refused { status: status.as_u16(), detail: words })
    }
}

/// One call below the sessions of the interface.
struct Call<'a> {
    method: Method,
    path: &'a str,
    limit: Duration,
}

impl<'a> Call<'a> {
    fn get(path: &'a str) -> Self {
        Self { method: Method::GET, path, limit: CALL_LIMIT }
    }

    fn post(path: &'a str) -> Self {
        Self { method: Method::POST, ..Self::get(path) }
    }
}

fn read<T: DeserializeOwned>(answer: &[u8]) -> Result<T, CallError> {
    serde_json::from_slice(answer).map_err(|error| CallError::Malformed(error.to_string()))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

/// An error with its causes, and without the address, which may hold a name and a password.
fn told(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "it took too long".to_owned() } else { String::new() };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        cause = error.source();
    }
    if text.is_empty() { "the call failed".to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker(address: &str) -> Result<Broker, BrokerError> {
        Broker::new(address, &RobotKey::parse("key").unwrap(), None)
    }

    #[test]
    fn the_interface_lies_below_the_brokers_address() {
        for (address, sessions) in [
            ("https://a.example", "https://a.example/api/v1/sessions/"),
            ("https://a.example/", "https://a.example/api/v1/sessions/"),
            ("http://127.0.0.1:8450", "http://127.0.0.1:8450/api/v1/sessions/"),
            ("https://a.example/robots/", "https://a.example/robots/api/v1/sessions/"),
        ] {
            assert_eq!(broker(address).unwrap().sessions.as_str(), sessions);
        }
        let named = broker("https://name:secret@a.example").unwrap_err();
        assert!(!named.to_string().contains("secret") && named.to_string().contains("a.example"), "{named}");
        for wrong in ["", "a.example", "ftp://a", "https://", "mailto:a", "https://a/?b=c"] {
            assert!(matches!(broker(wrong), Err(BrokerError::Address(_))), "{wrong:?}");
        }
    }

    #[test]
    fn certificates_that_are_none_are_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let key = RobotKey::parse("key").unwrap();
        let error = Broker::new("https://a", &key, Some(file.path())).unwrap_err().to_string();
        assert!(error.contains("--hosted-ca") && error.contains("no certificate"), "{error}");
        let error = Broker::new("https://a", &key, Some(Path::new("/nowhere.pem"))).unwrap_err().to_string();
        assert!(error.contains("/nowhere.pem"), "{error}");
    }
}
