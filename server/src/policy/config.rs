//! Settings of the policy service.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use waldo_protocol::policy::RobotId;

use crate::http::Access;
use crate::metrics::Metrics;

/// Settings of a [`PolicyServer`](super::PolicyServer).
#[derive(Clone)]
pub struct PolicyConfig {
    /// Where to listen for WebSockets; `None` for not at all. Default `0.0.0.0:8765`; port 0 takes a free one.
    pub websocket: Option<SocketAddr>,
    /// Where and how to be on Zenoh; `None`, the default, for not at all.
    #[cfg(feature = "zenoh")]
    pub zenoh: Option<super::ZenohConfig>,
    /// Who may connect. Default: everybody, as clients of the original wire know no token.
    pub access: PolicyAccess,
    /// For `wss://` instead of `ws://`. Default: none.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Name of the robot, for clients with extensions. Default: `waldo`.
    pub robot: RobotId,
    /// Clients at a time. Default 64.
    pub max_clients: usize,
    /// Largest message a client may send, bytes. Default 256 MiB.
    pub max_message: usize,
    /// Requests with ids that one client may have under way. Default 8.
    pub max_inflight: usize,
    /// Silence of a policy that acted after which the robot holds; zero switches that off. Default 0.5 s.
    pub action_timeout: Duration,
    /// Silence after which whoever controls the robot loses it, unless another time was asked for. Default 10 s.
    pub lease: Duration,
    /// Whether actions with NaN or infinite values are applied. Default: no.
    pub apply_non_finite: bool,
    /// Where the service counts. Default: counters of its own.
    pub metrics: Metrics,
}

/// Who may connect to the policy service.
#[derive(Clone, Default)]
pub enum PolicyAccess {
    /// Everybody.
    #[default]
    Open,
    /// Whoever has this token in the query of the address: `ws://robot:8765/?token=…`.
    Token(String),
    /// The rule of the program `waldo`: peers on loopback, and those with the token.
    Rule(Arc<Access>),
}

impl fmt::Debug for PolicyAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "Open",
            Self::Token(_) => "Token",
            Self::Rule(_) => "Rule",
        })
    }
}

impl Default for PolicyConfig {
    fn default() -> Self {
        Self {
            websocket: Some(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8765))),
            #[cfg(feature = "zenoh")]
            zenoh: None,
            access: PolicyAccess::Open,
            tls: None,
            robot: RobotId::parse("waldo").expect("letters only"),
            max_clients: 64,
            max_message: 256 << 20,
            max_inflight: 8,
            action_timeout: Duration::from_millis(500),
            lease: Duration::from_secs(10),
            apply_non_finite: false,
            metrics: Metrics::default(),
        }
    }
}

impl fmt::Debug for PolicyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PolicyConfig")
            .field("websocket", &self.websocket)
            .field("access", &self.access)
            .field("robot", &self.robot)
            .finish_non_exhaustive()
    }
}
