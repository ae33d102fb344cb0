//! LiveKit as the SFU: the broker only hands out tokens for rooms. Descriptions, channels and pictures are not its business.

use std::fmt;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

/// Seconds that a token lives.
pub const LIFE: u64 = 3600;

/// A token with less than this left is renewed, in seconds.
pub const RENEW_BEFORE: u64 = 600;

/// A LiveKit server and the key that signs for it.
#[derive(Clone)]
pub struct LiveKit {
    url: String,
    key: String,
    secret: String,
}

impl fmt::Debug for LiveKit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveKit").field("url", &self.url).field("key", &self.key).finish_non_exhaustive()
    }
}

/// Who comes into a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Participant<'a> {
    /// The robot, shown by this name. It may publish media.
    Robot {
        /// Its name.
        name: &'a str,
    },
    /// The operator. A second one of the same name removes the first.
    Operator {
        /// His name, an e-mail address.
        user: &'a str,
    },
    /// Somebody who watches; as many of one name as there are.
    Viewer {
        /// His name, an e-mail address.
        user: &'a str,
    },
}

/// What a participant needs to come in.
#[derive(Clone, PartialEq, Eq)]
pub struct Access {
    /// The LiveKit server.
    pub url: String,
    /// The token; good for one identity in one room. Never logged.
    pub token: String,
    /// The room.
    pub room: String,
    /// When the token ends, in Unix seconds.
    pub expires: u64,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access").field("url", &self.url).field("room", &self.room).finish_non_exhaustive()
    }
}

impl Access {
    /// Whether it is time for another one, at `now` in Unix seconds.
    pub fn ends_soon(&self, now: u64) -> bool {
        ends_soon(self.expires, now)
    }
}

/// Whether a token that ends at `expires` is to be renewed at `now`; both in Unix seconds.
pub fn ends_soon(expires: u64, now: u64) -> bool {
    expires < now.saturating_add(RENEW_BEFORE)
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: String,
    name: &'a str,
    nbf: u64,
    exp: u64,
    video: Grants<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Grants<'a> {
    room: &'a str,
    room_join: bool,
    can_publish: bool,
    can_subscribe: bool,
    can_publish_data: bool,
}

impl LiveKit {
    /// A server by its URL (`wss://…`), an API key and its secret.
    pub fn new(url: impl Into<String>, key: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { url: url.into(), key: key.into(), secret: secret.into() }
    }

    /// Lets somebody into the room of a session, from `now` on, in Unix seconds.
    ///
    /// # Errors
    /// If the token cannot be signed.
    pub fn admit(&self, session: &str, participant: Participant<'_>, now: u64) -> jsonwebtoken::errors::Result<Access> {
        let room = format!("sess-{session}");
        let (sub, name, can_publish) = match participant {
            Participant::Robot { name } => (format!("robot-{session}"), name, true),
            Participant::Operator { user } => (format!("op-{user}"), user, false),
            Participant::Viewer { user } => {
                let unique = uuid::Uuid::new_v4().simple().to_string();
                (format!("viewer-{user}-{}", &unique[..8]), user, false)
            }
        };
        let expires = now.saturating_add(LIFE);
        let video = Grants { room: &room, room_join: true, can_publish, can_subscribe: true, can_publish_data: true };
        let claims = Claims { iss: &self.key, sub, name, nbf: now, exp: expires, video };
        let key = EncodingKey::from_secret(self.secret.as_bytes());
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?;
        Ok(Access { url: self.url.clone(), token, room, expires })
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{DecodingKey, Validation};
    use serde_json::Value;

    use super::*;

    fn vector(name: &str) -> Value {
        let text = include_str!("../../../tests/vectors/hosted.json");
        let vectors: Vec<Value> = serde_json::from_str(text).unwrap();
        vectors.into_iter().find(|vector| vector["name"] == name).unwrap()
    }

    /// The claims of a token, after its signature was checked.
    fn claims(token: &str) -> Value {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.set_issuer(&["api-key"]);
        let key = DecodingKey::from_secret(b"secret");
        let header: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap();
        assert_eq!(header["alg"], "HS256");
        jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims
    }

    fn livekit() -> LiveKit {
        LiveKit::new("wss://lk.example.org", "api-key", "secret")
    }

    const NOW: u64 = 1_700_000_000;

    #[test]
    fn a_robot_may_publish_in_the_room_of_its_session() {
        let vector = vector("livekit_robot");
        let session = vector["message"]["session_id"].as_str().unwrap();
        let name = vector["message"]["robot_name"].as_str().unwrap();
        let access = livekit().admit(session, Participant::Robot { name }, NOW).unwrap();
        let (found, wanted) = (claims(&access.token), &vector["expect"]["claims"]);
        assert_eq!(access.room, vector["expect"]["json"]["room"].as_str().unwrap());
        assert_eq!(access.url, vector["expect"]["json"]["url"].as_str().unwrap());
        for claim in ["sub", "name", "video"] {
            assert_eq!(found[claim], wanted[claim], "{claim}");
        }
        let life = found["exp"].as_u64().unwrap() - found["nbf"].as_u64().unwrap();
        assert_eq!(life, wanted["exp_minus_nbf"].as_u64().unwrap());
    }

    #[test]
    fn an_operator_may_only_send_data() {
        let vector = vector("livekit_operator");
        let session = vector["message"]["session_id"].as_str().unwrap();
        let user = vector["message"]["user"].as_str().unwrap();
        let access = livekit().admit(session, Participant::Operator { user }, NOW).unwrap();
        let found = claims(&access.token);
        for claim in ["sub", "name", "video"] {
            assert_eq!(found[claim], vector["expect"]["claims"][claim], "{claim}");
        }
    }

    #[test]
    fn viewers_of_one_name_do_not_remove_one_another() {
        let admit = || livekit().admit("s", Participant::Viewer { user: "eve@example.org" }, NOW).unwrap();
        let subject = |access: &Access| claims(&access.token)["sub"].as_str().unwrap().to_owned();
        let (one, two) = (subject(&admit()), subject(&admit()));
        assert_ne!(one, two);
        let unique = one.strip_prefix("viewer-eve@example.org-").unwrap();
        assert!(unique.len() == 8 && unique.chars().all(|digit| digit.is_ascii_hexdigit()));
    }

    #[test]
    fn a_token_is_renewed_ten_minutes_before_its_end() {
        let access = livekit().admit("s", Participant::Robot { name: "r" }, NOW).unwrap();
        assert!(!access.ends_soon(NOW) && !access.ends_soon(NOW + 3000));
        assert!(access.ends_soon(NOW + 3001));
        assert!(!format!("{access:?} {:?}", livekit()).contains("secret"));
    }
}
