//! The first message of a client: what it is, and what it understands.

use std::fmt;
use std::ops::RangeInclusive;

use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::object::object;
use super::read::{At, LongText, Wire};
use super::{CharacterMode, Extensions, Invalid, MAX_NAME, Role};

/// What a client may choose as the time after which its silence ends its command, seconds.
pub const DEADMAN_S: RangeInclusive<f64> = 0.1..=2.0;

/// Longest id that a client may choose, bytes. The ids of what belongs to it are longer, and must be names too.
pub const MAX_ID: usize = 128;

/// Longest token, bytes.
const MAX_TOKEN: usize = 4096;

/// A client's `hello`.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    /// The program, for logs; nothing depends on it.
    pub client: Option<String>,
    /// What it wants to be.
    pub join: Join,
    /// What it understands; unknown ones are left out.
    pub ext: Extensions,
    /// Proves that it may.
    pub token: Option<String>,
    /// Of an earlier [`HelloAck::resume_token`](super::HelloAck::resume_token).
    pub resume_token: Option<String>,
    /// Silence after which its command ends, within [`DEADMAN_S`], seconds.
    pub deadman_s: Option<f64>,
}

/// What a client wants to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Join {
    /// A user with arms.
    VrClient {
        /// Of the arms.
        character_mode: CharacterMode,
        /// Not empty; `None`: the server finds one.
        user_id: Option<String>,
        /// At least 1; has no effect.
        requested_arm_count: Option<u32>,
    },
    /// One who watches.
    Spectator,
    /// One who puts meshes and points into the scene.
    Publisher {
        /// Not empty; `None`: the server finds one.
        owner_id: Option<String>,
    },
}

impl Join {
    /// The role that is.
    pub const fn role(&self) -> Role {
        match self {
            Self::VrClient { .. } => Role::VrClient,
            Self::Spectator => Role::Spectator,
            Self::Publisher { .. } => Role::Publisher,
        }
    }
}

impl Hello {
    /// A hello without extensions.
    pub const fn new(join: Join) -> Self {
        Self { client: None, join, ext: Extensions::NONE, token: None, resume_token: None, deadman_s: None }
    }

    /// The payload.
    pub(super) fn to_payload(&self) -> impl Serialize {
        #[derive(Serialize)]
        struct Payload<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            client: Option<&'a str>,
            role: Role,
            #[serde(skip_serializing_if = "Option::is_none")]
            character_mode: Option<CharacterMode>,
            #[serde(skip_serializing_if = "Option::is_none")]
            requested_arm_count: Option<u32>,
            #[serde(skip_serializing_if = "Option::is_none")]
            user_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            owner_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Extensions::is_empty")]
            ext: Extensions,
            #[serde(skip_serializing_if = "Option::is_none")]
            token: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            resume_token: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            deadman_s: Option<f64>,
        }

        let (mut character_mode, mut user_id, mut owner_id, mut requested_arm_count) = (None, None, None, None);
        match &self.join {
            Join::VrClient { character_mode: mode, user_id: user, requested_arm_count: count } => {
                (character_mode, user_id, requested_arm_count) = (Some(*mode), user.as_deref(), *count);
            }
            Join::Spectator => {}
            Join::Publisher { owner_id: owner } => owner_id = owner.as_deref(),
        }
        Payload {
            client: self.client.as_deref(),
            role: self.join.role(),
            character_mode,
            requested_arm_count,
            user_id,
            owner_id,
            ext: self.ext,
            token: self.token.as_deref(),
            resume_token: self.resume_token.as_deref(),
            deadman_s: self.deadman_s,
        }
    }

    pub(super) fn from_payload(payload: HelloPayload) -> Result<Self, Invalid> {
        let role = payload.role.0.as_deref().and_then(Role::from_name).unwrap_or(Role::VrClient);
        let join = match role {
            Role::VrClient => Join::VrClient {
                character_mode: payload
                    .character_mode
                    .0
                    .as_deref()
                    .and_then(CharacterMode::from_name)
                    .ok_or_else(|| Invalid::reason("vr_client requires a backend-supported character_mode"))?,
                user_id: chosen_id("user_id", payload.user_id)?,
                requested_arm_count: payload.requested_arm_count.0,
            },
            Role::Spectator => Join::Spectator,
            Role::Publisher => Join::Publisher { owner_id: chosen_id("owner_id", payload.owner_id)? },
        };
        let token = |field: &str, token: Option<String>| match token {
            Some(token) if token.len() > MAX_TOKEN => {
                Err(Invalid::reason(format!("{field} must have at most {MAX_TOKEN} bytes")))
            }
            token => Ok(token),
        };
        if payload.deadman_s.is_some_and(|seconds| !DEADMAN_S.contains(&seconds)) {
            return Err(Invalid::reason("deadman_s must be within 0.1 and 2"));
        }
        let mut client = payload.client.0;
        if let Some(client) = &mut client {
            client.truncate(client.floor_char_boundary(MAX_NAME));
        }
        Ok(Self {
            client,
            join,
            ext: payload.ext,
            token: token("token", payload.token.map(String::from))?,
            resume_token: token("resume_token", payload.resume_token.map(String::from))?,
            deadman_s: payload.deadman_s,
        })
    }
}

/// An id that a client may choose: trimmed, and none if nothing is left.
fn chosen_id(field: &str, id: Id) -> Result<Option<String>, Invalid> {
    let Id(id) = id;
    if id.len() > MAX_ID {
        return Err(Invalid::reason(format!("{field} must have at most {MAX_ID} bytes")));
    }
    Ok((!id.is_empty()).then_some(id))
}

/// A hello as it comes.
pub(super) struct HelloPayload {
    client: AnyText,
    role: AnyText,
    character_mode: AnyText,
    requested_arm_count: AnyCount,
    user_id: Id,
    owner_id: Id,
    ext: Extensions,
    token: Option<LongText>,
    resume_token: Option<LongText>,
    deadman_s: Option<f64>,
}

object! {
    HelloPayload {
        client: AnyText = AnyText(None),
        role: AnyText = AnyText(None),
        character_mode: AnyText = AnyText(None),
        requested_arm_count: AnyCount = AnyCount(None),
        user_id: Id = Id::default(),
        owner_id: Id = Id::default(),
        ext: Extensions = Extensions::NONE,
        token: Option<LongText> = None,
        resume_token: Option<LongText> = None,
        deadman_s: Option<f64> = None,
    }
}

/// A JSON value of any kind, of which only texts and numbers count.
enum Any {
    Text(String),
    Number(f64),
    Null,
    Other,
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Anything;

        impl<'de> Visitor<'de> for Anything {
            type Value = Any;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any JSON value")
            }
            fn visit_unit<E>(self) -> Result<Any, E> {
                Ok(Any::Null)
            }
            fn visit_bool<E>(self, _: bool) -> Result<Any, E> {
                Ok(Any::Other)
            }
            #[expect(clippy::cast_precision_loss, reason = "small numbers count")]
            fn visit_i64<E>(self, number: i64) -> Result<Any, E> {
                Ok(Any::Number(number as f64))
            }
            #[expect(clippy::cast_precision_loss, reason = "small numbers count")]
            fn visit_u64<E>(self, number: u64) -> Result<Any, E> {
                Ok(Any::Number(number as f64))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Any, E> {
                Ok(Any::Number(number))
            }
            fn visit_str<E>(self, text: &str) -> Result<Any, E> {
                Ok(Any::Text(text.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Any, A::Error> {
                IgnoredAny.visit_seq(seq)?;
                Ok(Any::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Any, A::Error> {
                IgnoredAny.visit_map(map)?;
                Ok(Any::Other)
            }
        }

        deserializer.deserialize_any(Anything)
    }
}

/// A text; anything else counts as missing.
pub(super) struct AnyText(pub(super) Option<String>);

impl<'de> Wire<'de> for AnyText {
    fn read<D: Deserializer<'de>>(_: At, deserializer: D) -> Result<Self, D::Error> {
        Ok(match Any::deserialize(deserializer)? {
            Any::Text(text) => Self(Some(text)),
            _ => Self(None),
        })
    }
}

/// A number of at least 1, also as a text; anything else counts as missing.
struct AnyCount(Option<u32>);

impl<'de> Wire<'de> for AnyCount {
    fn read<D: Deserializer<'de>>(_: At, deserializer: D) -> Result<Self, D::Error> {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within its range")]
        let count = |number: f64| (1.0..=f64::from(u32::MAX)).contains(&number).then_some(number as u32);
        Ok(match Any::deserialize(deserializer)? {
            Any::Number(number) => Self(count(number)),
            Any::Text(text) => Self(text.trim().parse().ok().and_then(count)),
            Any::Null | Any::Other => Self(None),
        })
    }
}

/// An id, trimmed; a number is its text, null is the empty id.
#[derive(Default)]
pub(super) struct Id(String);

impl From<Id> for String {
    fn from(id: Id) -> Self {
        id.0
    }
}

impl<'de> Wire<'de> for Id {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        let id = match Any::deserialize(deserializer)? {
            Any::Text(text) => text.trim().to_owned(),
            Any::Number(number) => number.to_string(),
            Any::Null => String::new(),
            Any::Other => return Err(D::Error::custom(format_args!("{at} must be a text"))),
        };
        if id.len() > MAX_NAME {
            return Err(D::Error::custom(format_args!("{at} must have at most {MAX_NAME} bytes")));
        }
        Ok(Self(id))
    }
}
