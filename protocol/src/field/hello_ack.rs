//! The answers to hello and to reset, and the colours that follow the first.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::ser::SerializeStruct;
use serde::{Deserializer, Serialize, Serializer};

use super::hello::AnyText;
use super::object::object;
use super::read::{AnyNamed, At, List, LongText, Wire};
use super::{CharacterMode, Extensions, Invalid, Role, VERSION, Workspace};

/// Most names in a list of an answer.
const MAX_ARMS: usize = 1024;

/// The answer to hello.
#[derive(Clone, Debug, PartialEq)]
pub struct HelloAck {
    /// Unix seconds.
    pub server_time: f64,
    /// What the client is now.
    pub joined: Joined,
    /// What both sides have.
    pub ext: Extensions,
    /// What the server allows (extension).
    pub limits: Option<Bounds>,
    /// Lets the same user come back to the same arms (extension).
    pub resume_token: Option<String>,
}

/// What a client is after hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Joined {
    /// A user with arms.
    VrClient {
        /// The name of the [`CharacterMode`] it is; of somebody else's server perhaps another.
        character_mode: String,
        /// Chosen or assigned.
        user_id: String,
        /// Its arms, in order.
        arm_ids: Vec<String>,
        /// The arms of the left and the right hand; one arm stands twice.
        controlled_arm_ids: Vec<String>,
    },
    /// One who watches.
    Spectator {
        /// Assigned.
        user_id: String,
    },
    /// One who puts meshes and points into the scene.
    Publisher {
        /// Chosen or assigned.
        owner_id: String,
    },
}

impl Joined {
    /// A user of that mode; its first two arms are the controlled ones.
    pub fn vr_client(character_mode: CharacterMode, user_id: impl Into<String>, arm_ids: Vec<String>) -> Self {
        let controlled_arm_ids = match arm_ids.as_slice() {
            [] => Vec::new(),
            [only] => vec![only.clone(), only.clone()],
            [left, right, ..] => vec![left.clone(), right.clone()],
        };
        Self::VrClient {
            character_mode: character_mode.name().to_owned(),
            user_id: user_id.into(),
            arm_ids,
            controlled_arm_ids,
        }
    }

    /// Its role.
    pub const fn role(&self) -> Role {
        match self {
            Self::VrClient { .. } => Role::VrClient,
            Self::Spectator { .. } => Role::Spectator,
            Self::Publisher { .. } => Role::Publisher,
        }
    }
}

/// What a server allows (extension).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bounds {
    /// Farthest a target lies from the origin along each axis, metres.
    pub max_translation: f64,
    /// Metres per second. `None`: no limit of the targets' own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_speed: Option<f64>,
    /// Longest message of this client, bytes.
    pub max_message: u32,
    /// Samples per second; of more the latest count.
    pub max_input_hz: f64,
    /// Where targets may be; those outside are clamped. `None`: anywhere within `max_translation`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspace: Option<Workspace>,
}

object! {
    Bounds {
        max_translation: f64,
        max_speed: Option<f64> = None,
        max_message: u32,
        max_input_hz: f64,
        workspace: Option<Workspace> = None,
    }
}

/// A box as it is written.
#[derive(Serialize)]
struct Corners {
    min: [f64; 3],
    max: [f64; 3],
}

object! {
    Corners {
        min: [f64; 3],
        max: [f64; 3],
    }
}

impl Serialize for Workspace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Corners { min: self.min(), max: self.max() }.serialize(serializer)
    }
}

impl<'de> Wire<'de> for Workspace {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        let Corners { min, max } = Corners::read(at, deserializer)?;
        Self::new(min, max).map_err(D::Error::custom)
    }
}

impl HelloAck {
    /// An answer without extensions; `server_time` in Unix seconds.
    pub const fn new(server_time: f64, joined: Joined) -> Self {
        Self { server_time, joined, ext: Extensions::NONE, limits: None, resume_token: None }
    }

    pub(super) fn to_payload(&self) -> impl Serialize {
        #[derive(Serialize)]
        struct Payload<'a> {
            protocol: u32,
            server_time: f64,
            role: Role,
            #[serde(skip_serializing_if = "Option::is_none")]
            character_mode: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            user_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            owner_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            arm_ids: Option<&'a [String]>,
            #[serde(skip_serializing_if = "Option::is_none")]
            controlled_arm_ids: Option<&'a [String]>,
            #[serde(skip_serializing_if = "Extensions::is_empty")]
            ext: Extensions,
            #[serde(skip_serializing_if = "Option::is_none")]
            limits: Option<Bounds>,
            #[serde(skip_serializing_if = "Option::is_none")]
            resume_token: Option<&'a str>,
        }

        let mut payload = Payload {
            protocol: VERSION,
            server_time: self.server_time,
            role: self.joined.role(),
            character_mode: None,
            user_id: None,
            owner_id: None,
            arm_ids: None,
            controlled_arm_ids: None,
            ext: self.ext,
            limits: self.limits,
            resume_token: self.resume_token.as_deref(),
        };
        match &self.joined {
            Joined::VrClient { character_mode, user_id, arm_ids, controlled_arm_ids } => {
                payload.character_mode = Some(character_mode);
                payload.user_id = Some(user_id);
                payload.arm_ids = Some(arm_ids);
                payload.controlled_arm_ids = Some(controlled_arm_ids);
            }
            Joined::Spectator { user_id } => {
                payload.user_id = Some(user_id);
                payload.arm_ids = Some(&[]);
                payload.controlled_arm_ids = Some(&[]);
            }
            Joined::Publisher { owner_id } => payload.owner_id = Some(owner_id),
        }
        payload
    }
}

/// The answer to reset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResetAck {
    /// Always true; tells this answer from that to hello.
    reset: bool,
    /// Who began anew.
    pub user_id: String,
    /// The arms, as before.
    pub arm_ids: Vec<String>,
    /// The first two of them, at most.
    pub controlled_arm_ids: Vec<String>,
}

impl ResetAck {
    /// The answer to that user with those arms.
    pub fn new(user_id: impl Into<String>, arm_ids: Vec<String>) -> Self {
        let controlled_arm_ids = arm_ids.iter().take(2).cloned().collect();
        Self { reset: true, user_id: user_id.into(), arm_ids, controlled_arm_ids }
    }
}

/// Either answer as it comes.
pub(super) struct AckPayload {
    reset: bool,
    server_time: f64,
    role: AnyText,
    character_mode: String,
    user_id: Option<String>,
    owner_id: Option<String>,
    arm_ids: Vec<String>,
    controlled_arm_ids: Vec<String>,
    ext: Extensions,
    limits: Option<Bounds>,
    resume_token: Option<LongText>,
}

object! {
    AckPayload {
        reset: bool = false,
        server_time: f64 = 0.0,
        role: AnyText = AnyText(None),
        character_mode: String = String::new(),
        user_id: String = None,
        owner_id: String = None,
        arm_ids: List<String, MAX_ARMS> = Vec::new(),
        controlled_arm_ids: List<String, MAX_ARMS> = Vec::new(),
        ext: Extensions = Extensions::NONE,
        limits: Bounds = None,
        resume_token: LongText = None,
    }
}

/// One of the two answers.
pub(super) enum Ack {
    Hello(HelloAck),
    Reset(ResetAck),
}

impl AckPayload {
    pub(super) fn read(self) -> Result<Ack, Invalid> {
        let id = |name, id: Option<String>| id.ok_or_else(|| Invalid::missing(name));
        if self.reset {
            let user_id = id("user_id", self.user_id)?;
            let (arm_ids, controlled_arm_ids) = (self.arm_ids, self.controlled_arm_ids);
            return Ok(Ack::Reset(ResetAck { reset: true, user_id, arm_ids, controlled_arm_ids }));
        }
        let joined = match self.role.0.as_deref().and_then(Role::from_name).unwrap_or(Role::VrClient) {
            Role::VrClient => Joined::VrClient {
                character_mode: self.character_mode,
                user_id: id("user_id", self.user_id)?,
                arm_ids: self.arm_ids,
                controlled_arm_ids: self.controlled_arm_ids,
            },
            Role::Spectator => Joined::Spectator { user_id: id("user_id", self.user_id)? },
            Role::Publisher => Joined::Publisher { owner_id: id("owner_id", self.owner_id)? },
        };
        let Self { server_time, ext, limits, .. } = self;
        let resume_token = self.resume_token.map(String::from);
        Ok(Ack::Hello(HelloAck { server_time, joined, ext, limits, resume_token }))
    }
}

/// Colours, sent after the answer to hello.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AssetManifest {
    /// Whose arms these are.
    pub user_id: String,
    /// By arm id.
    pub arms: BTreeMap<String, ArmLook>,
}

/// How an arm looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArmLook {
    /// `#rrggbb`
    pub color: String,
}

impl AssetManifest {
    /// The colours of a user's arms, in their order.
    pub fn of_arms(user_id: impl Into<String>, mode: CharacterMode, arm_ids: &[String]) -> Self {
        let look = |(index, id): (usize, &String)| (id.clone(), ArmLook { color: mode.color(index).to_owned() });
        Self { user_id: user_id.into(), arms: arm_ids.iter().enumerate().map(look).collect() }
    }
}

impl Serialize for AssetManifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut payload = serializer.serialize_struct("AssetManifest", 3)?;
        payload.serialize_field("user_id", &self.user_id)?;
        payload.serialize_field("arms", &self.arms)?;
        // Nothing stands here today.
        payload.serialize_field("scenery", &BTreeMap::<String, ()>::new())?;
        payload.end()
    }
}

object! {
    AssetManifest {
        user_id: String,
        arms: AnyNamed<ArmLook> = BTreeMap::new(),
    }
}

object! {
    ArmLook {
        color: String,
    }
}
