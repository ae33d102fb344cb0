//! LiveKit: rooms and tokens. Robots and operators go there by themselves.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde::Serialize;

use crate::store::now_ms;

/// How long a token holds.
const LIFE: Duration = Duration::from_secs(3600);

/// A LiveKit server and the key to it.
#[derive(Clone, PartialEq, Eq)]
pub struct LivekitSettings {
    /// Where robots and operators find it: `wss://…`.
    pub url: String,
    /// The name of the key.
    pub api_key: String,
    /// The key's secret; never logged: see `Debug`.
    pub api_secret: String,
}

impl fmt::Debug for LivekitSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LivekitSettings")
            .field("url", &self.url)
            .field("api_key", &self.api_key)
            .finish_non_exhaustive()
    }
}

/// Makes tokens.
#[derive(Clone, Debug)]
pub(crate) struct Livekit(LivekitSettings);

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    name: &'a str,
    nbf: i64,
    exp: i64,
    video: Rights<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rights<'a> {
    room: &'a str,
    room_join: bool,
    can_publish: bool,
    can_subscribe: bool,
    can_publish_data: bool,
}

impl Livekit {
    pub(crate) fn new(settings: LivekitSettings) -> Self {
        Self(settings)
    }

    pub(crate) fn url(&self) -> &str {
        &self.0.url
    }

    /// The room of a session.
    pub(crate) fn room(session: &str) -> String {
        format!("sess-{session}")
    }

    pub(crate) fn token_life(&self) -> Duration {
        LIFE
    }

    /// A token for a participant. Only robots publish pictures.
    pub(crate) fn token(&self, identity: &str, name: &str, room: &str, publish: bool) -> String {
        let now = now_ms() / 1000;
        let claims = Claims {
            iss: &self.0.api_key,
            sub: identity,
            name,
            nbf: now,
            exp: now + i64::try_from(LIFE.as_secs()).unwrap_or_default(),
            video: Rights { room, room_join: true, can_publish: publish, can_subscribe: true, can_publish_data: true },
        };
        let key = EncodingKey::from_secret(self.0.api_secret.as_bytes());
        encode(&Header::new(Algorithm::HS256), &claims, &key)
            .expect("claims of numbers and text can be encoded with a secret")
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;

    #[test]
    fn a_token_says_who_may_do_what_in_which_room() {
        let settings = LivekitSettings { url: "wss://lk".into(), api_key: "APIk".into(), api_secret: "s".into() };
        let token = Livekit::new(settings).token("robot-1", "Dog", "sess-1", true);
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&["APIk"]);
        let claims = decode::<serde_json::Value>(&token, &DecodingKey::from_secret(b"s"), &validation).unwrap().claims;
        assert_eq!((&claims["sub"], &claims["name"]), (&"robot-1".into(), &"Dog".into()));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap(), 3600);
        let rights = serde_json::json!({
            "room": "sess-1", "roomJoin": true, "canPublish": true, "canSubscribe": true, "canPublishData": true
        });
        assert_eq!(claims["video"], rights);
    }
}
