//! The calls of Cloudflare Realtime that we use.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use waldo_protocol::hosted::ChannelLabel;

use crate::sfu::{EngineError, Leg, PeerId, Track, http};

/// How long making or closing may take, and how long everything else.
const SHORT: Duration = Duration::from_secs(10);
const LONG: Duration = Duration::from_secs(30);

/// Sessions that are known to be in use at a time; idle ones are forgotten when there are more.
const LOCKS: usize = 1024;

/// Tracks that one call may name.
const TRACKS: usize = 64;

pub(super) struct Api {
    short: reqwest::Client,
    long: reqwest::Client,
    base: String,
    secret: String,
    /// Changes of one session come one after another.
    locks: Mutex<HashMap<PeerId, Arc<tokio::sync::Mutex<()>>>>,
    #[cfg(test)]
    pub(super) waited: Mutex<Vec<Duration>>,
}

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Too early, or a passing trouble of the service.
    Transient(String),
    /// The session does not exist any more.
    Gone(String),
    /// One track or channel of the call failed.
    Item { name: String, code: String, description: String },
    /// The service refused.
    Refused(String),
    /// No answer, or none that makes sense.
    Unavailable(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transient(detail) | Self::Gone(detail) | Self::Refused(detail) | Self::Unavailable(detail) => {
                f.write_str(detail)
            }
            Self::Item { name, code, description } => write!(f, "{name}: {code} {description}"),
        }
    }
}

impl Failure {
    pub(super) fn into_error(self, leg: Leg) -> EngineError {
        let text = self.to_string();
        match self {
            Self::Transient(_) => EngineError::NotReady(text),
            Self::Gone(_) => EngineError::Gone { leg, detail: text },
            Self::Refused(_) | Self::Item { .. } => EngineError::Refused(text),
            Self::Unavailable(_) => EngineError::Unavailable(text),
        }
    }
}

/// The parts of any reply that we read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Reply {
    error_code: Option<String>,
    error_description: Option<String>,
    session_id: Option<String>,
    session_description: Option<Description>,
    tracks: Vec<Item>,
    data_channels: Vec<Item>,
}

#[derive(Deserialize)]
struct Description {
    sdp: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Item {
    mid: Option<String>,
    track_name: Option<String>,
    data_channel_name: Option<String>,
    id: Option<u16>,
    error_code: Option<String>,
    error_description: Option<String>,
}

impl Item {
    fn failure(&self) -> Option<Failure> {
        let code = self.error_code.clone()?;
        let description = self.error_description.clone().unwrap_or_default();
        let name = self.data_channel_name.clone().or_else(|| self.track_name.clone()).or_else(|| self.mid.clone());
        Some(classified(&code, &description).unwrap_or_else(|| Failure::Item {
            name: name.or_else(|| self.id.map(|id| id.to_string())).unwrap_or_default(),
            code,
            description,
        }))
    }
}

/// Whether there was nothing to close.
fn is_gone(failure: &Failure) -> bool {
    matches!(failure, Failure::Item { code, .. } if code == "close_track_error")
}

/// What an error code says, if it is one that can pass or that ends the session.
fn classified(code: &str, description: &str) -> Option<Failure> {
    let text = || format!("{code}: {description}");
    match code {
        "session_error" if description.contains("not ready") => Some(Failure::Transient(text())),
        "session_error" if description.contains("disconnected") => Some(Failure::Gone(text())),
        "retryable_transient_error" | "temporarily_unavailable_error" | "transport_unavailable_error" => {
            Some(Failure::Transient(text()))
        }
        _ => None,
    }
}

impl Api {
    pub(super) fn new(base: &str, app: &str, secret: String) -> Self {
        Self {
            short: http::client(SHORT),
            long: http::client(LONG),
            base: format!("{base}/apps/{app}"),
            secret,
            locks: Mutex::default(),
            #[cfg(test)]
            waited: Mutex::default(),
        }
    }

    /// Lets time pass before another attempt.
    pub(super) async fn wait(&self, time: Duration) {
        #[cfg(test)]
        {
            self.waited.lock().unwrap().push(time);
        }
        #[cfg(not(test))]
        tokio::time::sleep(time).await;
    }

    pub(super) async fn new_session(&self, offer: &str) -> Result<(PeerId, String), Failure> {
        let body = json!({ "sessionDescription": { "type": "offer", "sdp": offer } });
        let reply = self.call(&self.short, Method::POST, "/sessions/new", Some(body)).await?;
        let id = reply.session_id.filter(|id| !id.is_empty());
        match (id, reply.session_description) {
            (Some(id), Some(answer)) => Ok((PeerId::new(id), answer.sdp)),
            _ => Err(Failure::Unavailable("a session without id or answer".to_owned())),
        }
    }

    pub(super) async fn session(&self, peer: &PeerId) -> Result<(), Failure> {
        self.call(&self.short, Method::GET, &format!("/sessions/{peer}"), None).await.map(drop)
    }

    /// Makes channels on a session, and gives their ids in the order of the labels.
    pub(super) async fn new_channels(
        &self,
        peer: &PeerId,
        labels: &[ChannelLabel],
        from: Option<&PeerId>,
    ) -> Result<Vec<u16>, Failure> {
        let channels: Vec<Value> = labels.iter().map(|label| channel(*label, from)).collect();
        let reply = self.change(peer, Method::POST, "datachannels/new", json!({ "dataChannels": channels })).await?;
        let ids: Result<Vec<u16>, Failure> = labels
            .iter()
            .map(|label| {
                let item =
                    reply.data_channels.iter().find(|item| item.data_channel_name.as_deref() == Some(label.as_str()));
                let missing = || Failure::Unavailable(format!("{label} is missing in the reply"));
                let item = item.ok_or_else(missing)?;
                item.failure().map_or_else(|| item.id.ok_or_else(missing), Err)
            })
            .collect();
        if ids.is_err() && from.is_none() {
            // Those of the call that did succeed are closed again.
            let made: Vec<u16> = reply
                .data_channels
                .iter()
                .filter(|item| item.error_code.is_none())
                .filter_map(|item| item.id)
                .collect();
            if !made.is_empty()
                && let Err(failure) = self.close_channels(peer, &made).await
            {
                tracing::warn!(%peer, %failure, "publications may still be there");
            }
        }
        ids
    }

    pub(super) async fn close_channels(&self, peer: &PeerId, ids: &[u16]) -> Result<(), Failure> {
        let channels: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
        let reply = self.change(peer, Method::PUT, "datachannels/close", json!({ "dataChannels": channels })).await?;
        reply.data_channels.iter().filter_map(Item::failure).find(|failure| !is_gone(failure)).map_or(Ok(()), Err)
    }

    /// Makes a track that was negotiated visible to other sessions.
    pub(super) async fn publish(&self, peer: &PeerId, track: &Track) -> Result<(), Failure> {
        let body = json!({ "tracks": [{ "location": "local", "mid": track.mid, "trackName": track.name }] });
        let reply = self.change(peer, Method::POST, "tracks/new", body).await?;
        reply.tracks.iter().find_map(Item::failure).map_or(Ok(()), Err)
    }

    /// Pulls a track, and gives the offer that the receiver has to answer, and its m-section.
    pub(super) async fn pull(
        &self,
        from: &PeerId,
        track: &Track,
        to: &PeerId,
    ) -> Result<(Option<String>, Option<String>), Failure> {
        let body = json!({ "tracks": [{ "location": "remote", "sessionId": from.as_str(), "trackName": track.name }] });
        let reply = self.change(to, Method::POST, "tracks/new", body).await?;
        if let Some(failure) = reply.tracks.iter().find_map(Item::failure) {
            return Err(failure);
        }
        let mid = reply.tracks.into_iter().find_map(|item| item.mid);
        Ok((reply.session_description.map(|description| description.sdp), mid))
    }

    /// Ends tracks by their m-sections; what is gone already is no error.
    pub(super) async fn close_tracks(&self, peer: &PeerId, mids: &[String]) -> Result<(), Failure> {
        let tracks: Vec<Value> = mids.iter().map(|mid| json!({ "mid": mid })).collect();
        let reply = self.change(peer, Method::PUT, "tracks/close", json!({ "tracks": tracks, "force": true })).await?;
        reply.tracks.iter().filter_map(Item::failure).find(|failure| !is_gone(failure)).map_or(Ok(()), Err)
    }

    /// The m-sections of all tracks of a session, published and pulled.
    pub(super) async fn tracks(&self, peer: &PeerId) -> Result<Vec<String>, Failure> {
        let reply = self.call(&self.short, Method::GET, &format!("/sessions/{peer}"), None).await?;
        Ok(reply.tracks.into_iter().filter_map(|item| item.mid).take(TRACKS).collect())
    }

    pub(super) async fn renegotiate(&self, peer: &PeerId, answer: &str) -> Result<(), Failure> {
        let body = json!({ "sessionDescription": { "type": "answer", "sdp": answer } });
        self.change(peer, Method::PUT, "renegotiate", body).await.map(drop)
    }

    /// A change of a session; the next one waits for it.
    async fn change(&self, peer: &PeerId, method: Method, what: &str, body: Value) -> Result<Reply, Failure> {
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            if locks.len() >= LOCKS {
                locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            }
            Arc::clone(locks.entry(peer.clone()).or_default())
        };
        let _turn = lock.lock().await;
        let http = if what.ends_with("close") { &self.short } else { &self.long };
        self.call(http, method, &format!("/sessions/{peer}/{what}"), Some(body)).await
    }

    async fn call(
        &self,
        http: &reqwest::Client,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Reply, Failure> {
        let request = http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.secret);
        let request = match &body {
            Some(body) => request.json(body),
            None => request,
        };
        let failed = |error: reqwest::Error| Failure::Unavailable(format!("no answer: {}", error.without_url()));
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let text = answer.text().await.map_err(failed)?;
        let reply = serde_json::from_str::<Reply>(&text);
        let (code, description) = match &reply {
            Ok(reply) => (reply.error_code.clone(), reply.error_description.clone().unwrap_or_default()),
            Err(_) => (None, String::new()),
        };
        let detail = || format!("{status} {} {description}", code.as_deref().unwrap_or_default()).trim_end().to_owned();
        if status == StatusCode::GONE {
            return Err(Failure::Gone(detail()));
        }
        if status == StatusCode::TOO_EARLY {
            return Err(Failure::Transient(detail()));
        }
        if let Some(code) = &code {
            return Err(classified(code, &description).unwrap_or_else(|| Failure::Refused(detail())));
        }
        if status.is_server_error() {
            return Err(Failure::Unavailable(detail()));
        }
        if !status.is_success() {
            return Err(Failure::Refused(detail()));
        }
        reply.map_err(|error| Failure::Unavailable(format!("a reply that makes no sense: {error}")))
    }
}

/// One channel of a call.
fn channel(label: ChannelLabel, from: Option<&PeerId>) -> Value {
    let mut channel = match from {
        None => json!({ "location": "local" }),
        Some(from) => json!({ "location": "remote", "sessionId": from.as_str() }),
    };
    channel["dataChannelName"] = label.as_str().into();
    if label.lossy() {
        channel["ordered"] = false.into();
        channel["maxRetransmits"] = 0.into();
    }
    channel
}
