//! Settings of the field service.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use waldo_protocol::field::{MapperConfig, Smoothing};

use super::rights::FieldTokens;
use crate::control::StopView;
use crate::http::Access;
use crate::metrics::Metrics;

/// Settings of a [`FieldServer`](super::FieldServer).
#[derive(Clone)]
pub struct FieldConfig {
    /// A port of its own; `None` for no other way in than [`FieldServer::routes`](super::FieldServer::routes). Default
    /// `127.0.0.1:8765`; port 0 takes a free one.
    pub listen: Option<SocketAddr>,
    /// For `wss://` instead of `ws://` on the port of its own. Default: none.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Who may come in. Default: everybody, as clients of the original wire know no token.
    pub access: FieldAccess,
    /// Tokens beside that of [`Self::access`], each with its rights, in the address or in `hello`. With [`FieldAccess::Open`]
    /// and any of these, nobody comes in without one. Default: none.
    pub tokens: FieldTokens,
    /// Origins of web pages, such as `https://lab.example:8443`, that are treated like a page of this server; with any
    /// here, pages of all other origins are refused, even with a token. Default: none.
    pub origins: Vec<String>,
    /// Sockets at a time; one more is told so before the upgrade. Default 128.
    pub max_clients: usize,
    /// Users with arms of their own, at a time. Default 32.
    pub max_users: usize,
    /// Publishers at a time. Default 32.
    pub max_publishers: usize,
    /// Largest message of a user or spectator, bytes; a larger one ends the connection with code 1009. Default 1 MiB.
    pub max_message: usize,
    /// The same for publishers, whose meshes come in one message each. Default 64 MiB.
    pub max_publisher_message: usize,
    /// Silence of a user's controllers after which their arms are let go, for clients that agreed on it and may ask for
    /// 0.1 s to 2 s; default 0.3 s.
    pub deadman: Duration,
    /// Whether [`Self::deadman`] holds for the others too, which have 5 s otherwise. Default: no.
    pub strict_deadman: bool,
    /// How hands become commands. Default: as the wire says.
    pub mapping: FieldMapping,
    /// The stop latch that holds every arm of the field. Default: none.
    pub stop: Option<StopView>,
    /// Where the service counts. Default: counters of its own.
    pub metrics: Metrics,
}

/// How the hands of users become commands of their arms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FieldMapping {
    /// Which of a user's arms the left and the right hand drive; the first ones by default. A user with fewer arms drives
    /// the first one instead.
    pub arms: [usize; 2],
    /// The grip value, 0 to 1, from which on a command is active; 0.4 by default.
    pub clutch_threshold: f64,
    /// An axis of a stick below this counts as 0; 0.1 by default.
    pub joystick_deadband: f64,
    /// No coordinate of a target lies farther from the origin than this, metres; 2 by default.
    pub max_translation: f64,
    /// How translations are smoothed. `None`, the default: as the back end has it, which for simulations is a quarter of
    /// the way per message. The robot's arms are never smoothed here.
    pub smoothing: Option<Smoothing>,
}

impl Default for FieldMapping {
    fn default() -> Self {
        let wire = MapperConfig::new("", "");
        Self {
            arms: [0, 1],
            clutch_threshold: wire.clutch_threshold,
            joystick_deadband: wire.joystick_deadband,
            max_translation: wire.max_translation,
            smoothing: None,
        }
    }
}

impl FieldMapping {
    /// The arms of the left and the right hand.
    pub(super) fn controlled(&self, arms: &[String]) -> [String; 2] {
        self.arms.map(|index| arms.get(index).or(arms.first()).cloned().unwrap_or_default())
    }

    /// For a user with these arms; `usual`: how the back end has them smoothed.
    pub(super) fn mapper(&self, arms: &[String], usual: Smoothing) -> MapperConfig {
        MapperConfig {
            controlled_arm_ids: self.controlled(arms),
            clutch_threshold: self.clutch_threshold,
            joystick_deadband: self.joystick_deadband,
            max_translation: self.max_translation,
            smoothing: self.smoothing.unwrap_or(usual),
        }
    }
}

/// Who may come in.
#[derive(Clone, Default)]
pub enum FieldAccess {
    /// Everybody.
    #[default]
    Open,
    /// The rule of the program `waldo`: peers on loopback, and those with the token, be it in the address or in their
    /// `hello`. The others are sent nothing before it.
    Rule(Arc<Access>),
}

impl fmt::Debug for FieldAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Rule(_) => "Rule",
        })
    }
}

impl Default for FieldConfig {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8765))),
            tls: None,
            access: FieldAccess::Open,
            tokens: FieldTokens::default(),
            origins: Vec::new(),
            max_clients: 128,
            max_users: 32,
            max_publishers: 32,
            max_message: 1 << 20,
            max_publisher_message: 64 << 20,
            deadman: Duration::from_millis(300),
            strict_deadman: false,
            mapping: FieldMapping::default(),
            stop: None,
            metrics: Metrics::default(),
        }
    }
}

impl fmt::Debug for FieldConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldConfig")
            .field("listen", &self.listen)
            .field("access", &self.access)
            .field("tokens", &self.tokens)
            .field("strict_deadman", &self.strict_deadman)
            .finish_non_exhaustive()
    }
}
