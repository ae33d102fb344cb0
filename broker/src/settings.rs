//! What a broker is told.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::auth::{OidcSettings, Strength};
use crate::engine::SfuSettings;
use crate::http::Tls;
use crate::livekit::LivekitSettings;
use crate::sessions::Timers;
use crate::turn::TurnSettings;

/// Where the broker stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Environment {
    /// On the internet.
    #[default]
    Production,
    /// On a developer's machine: a fixed robot key and a fixed token hold.
    Development,
}

/// What a broker is told. The defaults are those of the program.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The port; 0 takes a free one.
    pub listen: SocketAddr,
    /// Whether the listener speaks TLS.
    pub tls: Tls,
    /// For the database, unless there is a URL, and a certificate of the broker's own.
    pub data_dir: PathBuf,
    /// `sqlite:…` or `postgres://…`; a SQLite file in the data folder by default.
    pub database_url: Option<String>,
    /// Production or development.
    pub environment: Environment,
    /// Development on an address that others reach.
    pub development_anywhere: bool,
    /// Where the page is, seen from outside: `https://teleop.example.org`.
    pub public_origin: Option<String>,
    /// Whether anybody may make an account by `POST /auth/register`.
    pub registration: bool,
    /// Who vouches for operators; without, the broker keeps accounts itself.
    pub oidc: Option<OidcSettings>,
    /// How long a token holds.
    pub token_life: Duration,
    /// How much work a password's hash is.
    pub password_strength: Strength,
    /// Whether rate limits refuse, or only count.
    pub enforce_rate_limits: bool,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// When somebody counts as gone.
    pub timers: Timers,
    /// Viewers of one session.
    pub max_viewers: usize,
    /// Robots of one owner at a time.
    pub max_robots: usize,
    /// Connections at a time; from one address an eighth of them, but for this machine and trusted proxies.
    pub max_connections: usize,
    /// A folder with the web app, instead of the one inside.
    pub static_dir: Option<PathBuf>,
    /// Where other brokers of the same database reach this one; `http(s)://<listen>` by default.
    pub node_url: Option<String>,
    /// The engine that forwards.
    pub sfu: SfuSettings,
    /// A LiveKit server for robots that ask for one.
    pub livekit: Option<LivekitSettings>,
    /// STUN and TURN servers.
    pub turn: TurnSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8450)),
            tls: Tls::Off,
            data_dir: default_data_dir(),
            database_url: None,
            environment: Environment::Production,
            development_anywhere: false,
            public_origin: None,
            registration: false,
            oidc: None,
            token_life: Duration::from_secs(8 * 60 * 60),
            password_strength: Strength::Recommended,
            enforce_rate_limits: true,
            trusted_proxies: Vec::new(),
            timers: Timers::default(),
            max_viewers: 8,
            max_robots: 500,
            max_connections: 1024,
            static_dir: None,
            node_url: None,
            sfu: SfuSettings::default(),
            livekit: None,
            turn: TurnSettings::default(),
        }
    }
}

/// `$XDG_DATA_HOME/waldo-broker`.
pub(crate) fn default_data_dir() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_DATA_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".local/share")))
        .unwrap_or_else(|| PathBuf::from("."))
        .join("waldo-broker")
}
