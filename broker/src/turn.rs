//! ICE servers for peers: STUN always, TURN with short-lived credentials where it is configured.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use serde::Deserialize;
use sha1::Sha1;
use waldo_protocol::hosted::{IceServer, Urls};

use crate::sfu::http;

/// How long credentials live, if nothing else is said.
pub const TTL: Duration = Duration::from_secs(7200);

/// How long Cloudflare may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a service may hand out at most.
const SERVERS: usize = 16;

/// Which servers there are.
#[derive(Clone, Debug)]
pub struct TurnSettings {
    /// `stun:` URLs, for peers that get no relays.
    pub stun: Vec<String>,
    /// Where TURN servers are, and how peers get in.
    pub relays: Relays,
    /// How long credentials live.
    pub ttl: Duration,
}

impl Default for TurnSettings {
    fn default() -> Self {
        Self { stun: vec!["stun:stun.cloudflare.com:3478".to_owned()], relays: Relays::None, ttl: TTL }
    }
}

/// TURN servers.
#[derive(Clone, Debug, Default)]
pub enum Relays {
    /// None.
    #[default]
    None,
    /// Cloudflare's service.
    Cloudflare(Cloudflare),
    /// A server of our own.
    SharedSecret(SharedSecret),
}

/// A key of Cloudflare's TURN service.
#[derive(Clone)]
pub struct Cloudflare {
    /// Where the service is: `https://rtc.live.cloudflare.com/v1` but in tests.
    pub base: String,
    /// The key's id.
    pub key: String,
    /// Its API token.
    pub token: String,
}

impl fmt::Debug for Cloudflare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cloudflare").field("key", &self.key).finish_non_exhaustive()
    }
}

/// Names servers to peers.
#[derive(Clone, Debug)]
pub struct Turn {
    settings: TurnSettings,
    http: reqwest::Client,
}

/// A TURN server that computes credentials from a secret that it shares with us, such as coturn with `use-auth-secret`.
#[derive(Clone)]
pub struct SharedSecret {
    /// The secret.
    pub secret: String,
    /// The server's name. It answers STUN and TURN on port 3478.
    pub host: String,
    /// Where it takes TLS.
    pub tls_port: u16,
}

impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSecret").field("host", &self.host).finish_non_exhaustive()
    }
}

impl Turn {
    /// With these settings.
    pub fn new(settings: TurnSettings) -> Self {
        Self { settings, http: http::client(PATIENCE) }
    }

    /// What a peer shall use. `subject` goes into the user name: a key's prefix or a hash of the operator, never an e-mail address.
    /// Without TURN, or if it fails, it is STUN alone.
    pub async fn ice_servers(&self, subject: &str) -> Vec<IceServer> {
        let TurnSettings { relays, ttl, .. } = &self.settings;
        let relays = match relays {
            Relays::None => Vec::new(),
            Relays::Cloudflare(key) => generate(&self.http, key, *ttl).await.unwrap_or_else(|error| {
                tracing::warn!(error = %error.without_url(), "no TURN credentials; peers get STUN only");
                Vec::new()
            }),
            Relays::SharedSecret(server) => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                shared_secret(server, subject, now.as_secs(), *ttl)
            }
        };
        if relays.is_empty() { self.stun_list() } else { relays }
    }

    /// The STUN servers.
    pub fn stun_list(&self) -> Vec<IceServer> {
        let one = |url: &String| IceServer { urls: Urls::One(url.clone()), username: None, credential: None };
        self.settings.stun.iter().map(one).collect()
    }
}

/// The entries for a server with a shared secret: STUN, and TURN with credentials that end `ttl` after `now`, Unix seconds.
pub fn shared_secret(server: &SharedSecret, subject: &str, now: u64, ttl: Duration) -> Vec<IceServer> {
    let SharedSecret { secret, host, tls_port } = server;
    let username = format!("{}:{subject}", now.saturating_add(ttl.as_secs()));
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(secret.as_bytes()) else { return Vec::new() };
    mac.update(username.as_bytes());
    let credential = STANDARD.encode(mac.finalize().into_bytes());
    let urls = vec![
        format!("turn:{host}:3478?transport=udp"),
        format!("turn:{host}:3478?transport=tcp"),
        format!("turns:{host}:{tls_port}?transport=tcp"),
    ];
    vec![
        IceServer { urls: Urls::Several(vec![format!("stun:{host}:3478")]), username: None, credential: None },
        IceServer { urls: Urls::Several(urls), username: Some(username), credential: Some(credential) },
    ]
}

async fn generate(http: &reqwest::Client, cloudflare: &Cloudflare, ttl: Duration) -> reqwest::Result<Vec<IceServer>> {
    let Cloudflare { base, key, token } = cloudflare;
    let url = format!("{base}/turn/keys/{key}/credentials/generate-ice-servers");
    let request = http.post(url).bearer_auth(token).json(&serde_json::json!({ "ttl": ttl.as_secs() }));
    let reply: Generated = request.send().await?.error_for_status()?.json().await?;
    Ok(reply.usable())
}

/// What Cloudflare replies: a list, or in its older form one entry.
#[derive(Deserialize)]
struct Generated {
    #[serde(rename = "iceServers")]
    ice_servers: Entries,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Entries {
    List(Vec<IceServer>),
    One(IceServer),
}

impl Generated {
    /// The entries without the URLs on port 53, which browsers block: waiting for them only costs time.
    fn usable(self) -> Vec<IceServer> {
        let entries = match self.ice_servers {
            Entries::List(entries) => entries,
            Entries::One(entry) => vec![entry],
        };
        entries.into_iter().take(SERVERS).filter_map(without_port_53).collect()
    }
}

fn without_port_53(server: IceServer) -> Option<IceServer> {
    let usable = |url: &String| {
        let address = url.split('?').next().unwrap_or_default();
        !address.ends_with(":53")
    };
    let urls = match server.urls {
        Urls::One(url) => Urls::One(Some(url).filter(usable)?),
        Urls::Several(urls) => {
            let urls: Vec<String> = urls.into_iter().filter(usable).collect();
            if urls.is_empty() {
                return None;
            }
            Urls::Several(urls)
        }
    };
    Some(IceServer { urls, ..server })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn vector(name: &str) -> Value {
        let text = include_str!("../../tests/vectors/hosted.json");
        let vectors: Vec<Value> = serde_json::from_str(text).unwrap();
        vectors.into_iter().find(|vector| vector["name"] == name).unwrap()
    }

    #[test]
    fn credentials_of_a_shared_secret_are_those_of_the_vector() {
        let vector = vector("turn_coturn_robot");
        let given = |name: &str| vector["message"][name].as_str().unwrap().to_owned();
        let server = SharedSecret { secret: given("secret"), host: given("host"), tls_port: 5349 };
        let ttl = Duration::from_secs(vector["message"]["ttl_s"].as_u64().unwrap());
        let servers = shared_secret(&server, &given("subject"), vector["message"]["now"].as_u64().unwrap(), ttl);
        assert_eq!(serde_json::to_value(servers).unwrap(), vector["expect"]["ice_servers"]);
        assert!(!format!("{server:?}").contains("north-sea"));
    }

    #[test]
    fn cloudflares_list_loses_what_stands_on_port_53() {
        let vector = vector("turn_cloudflare_list");
        let reply: Generated = serde_json::from_value(vector["message"]["body"].clone()).unwrap();
        assert_eq!(serde_json::to_value(reply.usable()).unwrap(), vector["expect"]["ice_servers"]);
    }

    #[test]
    fn cloudflares_older_form_is_one_entry() {
        let body =
            json!({ "iceServers": { "urls": ["turn:turn.cloudflare.com:3478"], "username": "u", "credential": "c" } });
        let reply: Generated = serde_json::from_value(body).unwrap();
        assert_eq!(reply.usable().len(), 1);
    }

    fn cloudflare(base: &str) -> Turn {
        let key = Cloudflare { base: base.to_owned(), key: "key".to_owned(), token: "token".to_owned() };
        Turn::new(TurnSettings { relays: Relays::Cloudflare(key), ..TurnSettings::default() })
    }

    async fn service(status: u16, body: Value) -> (String, tokio::task::JoinHandle<()>) {
        let answer = move |headers: axum::http::HeaderMap, axum::Json(asked): axum::Json<Value>| async move {
            assert_eq!(asked, json!({ "ttl": 7200 }));
            assert_eq!(headers["authorization"], "Bearer token");
            (axum::http::StatusCode::from_u16(status).unwrap(), axum::Json(body))
        };
        let router = axum::Router::new()
            .route("/v1/turn/keys/key/credentials/generate-ice-servers", axum::routing::post(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/v1", listener.local_addr().unwrap());
        (base, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
    }

    #[tokio::test]
    async fn whatever_cloudflare_replies_there_are_ice_servers() {
        for name in ["turn_cloudflare_list", "turn_cloudflare_empty"] {
            let vector = vector(name);
            let status = u16::try_from(vector["message"]["status"].as_u64().unwrap()).unwrap();
            let (base, task) = service(status, vector["message"]["body"].clone()).await;
            let turn = cloudflare(&base);
            let servers = turn.ice_servers("dtk_live_ababa").await;
            assert_eq!(serde_json::to_value(servers).unwrap(), vector["expect"]["ice_servers"], "{name}");
            task.abort();
        }
        let only_stun = json!([{ "urls": "stun:stun.cloudflare.com:3478" }]);
        let (base, task) = service(500, json!({})).await;
        let failing = cloudflare(&base);
        assert_eq!(serde_json::to_value(failing.ice_servers("x").await).unwrap(), only_stun);
        task.abort();
        let unreachable = cloudflare("http://127.0.0.1:1/v1");
        assert_eq!(serde_json::to_value(unreachable.ice_servers("x").await).unwrap(), only_stun);
    }
}
