//! The field service, as settings.

use std::path::PathBuf;
use std::time::Duration;

use waldo_protocol::field::ClutchMode;

use crate::control::SourceKind;
use crate::field::FieldMapping;

/// The scene of arms that users of the Virtual Field wire share.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldSettings {
    /// Whether there is one, on `/field` of the page's port.
    pub on: bool,
    /// A port of its own, at the address of the page, for clients that know no path; 0 takes a free one.
    pub port: Option<u16>,
    /// Whether the port of its own speaks `wss`, with the certificate of the page.
    pub tls: bool,
    /// What the users' arms are.
    pub backend: FieldBackendKind,
    /// Silence of a user's controllers after which the arms are let go; 0.1 s to 2 s. The robot's are let go after
    /// [`ROBOT_DEADMAN`](Self::ROBOT_DEADMAN) at the latest.
    pub deadman: Duration,
    /// Whether that limit also holds for clients that did not agree on it, which otherwise have 5 s. With the robot it
    /// always does.
    pub strict_deadman: bool,
    /// Tokens beside that of the page, each with its rights, see [`FieldTokens::read`](crate::field::FieldTokens::read).
    pub tokens: Option<PathBuf>,
    /// Origins of pages that may come in like that of this server; with any, pages of others are refused.
    pub origins: Vec<String>,
    /// How hands become commands. Smoothing is not for the robot, which sees hands as they are.
    pub mapping: FieldMapping,
    /// Whether the grips mean anything to simulated arms; the robot's always follow a held grip only.
    pub clutch: ClutchMode,
}

/// What the arms of a field are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FieldBackendKind {
    /// Simulated soft arms.
    #[default]
    Soft,
    /// Arms whose tip follows, without physics.
    Kinematic,
    /// Arms that are where the hand is.
    PassThrough,
    /// The robot itself.
    Robot,
}

impl Default for FieldSettings {
    fn default() -> Self {
        Self {
            on: true,
            port: None,
            tls: false,
            backend: FieldBackendKind::default(),
            deadman: Duration::from_millis(300),
            tokens: None,
            origins: Vec::new(),
            mapping: FieldMapping::default(),
            clutch: ClutchMode::Off,
            strict_deadman: false,
        }
    }
}

impl FieldSettings {
    /// No silence of a user who drives the robot may be longer.
    pub const ROBOT_DEADMAN: Duration = SourceKind::FieldUser.stale_after();

    /// No field at all.
    pub fn off() -> Self {
        Self { on: false, ..Self::default() }
    }

    /// Whether [`Self::deadman`] holds for every client.
    pub fn is_strict(&self) -> bool {
        self.strict_deadman || self.backend == FieldBackendKind::Robot
    }

    /// The silence that counts.
    pub fn silence(&self) -> Duration {
        match self.backend {
            FieldBackendKind::Robot => self.deadman.min(Self::ROBOT_DEADMAN),
            FieldBackendKind::Soft | FieldBackendKind::Kinematic | FieldBackendKind::PassThrough => self.deadman,
        }
    }
}
