//! Settings of a client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use waldo_protocol::policy::Capabilities;

/// Settings of a client. The defaults do for a robot on the local network.
///
/// ```
/// use std::time::Duration;
/// use waldo_policy_client::Options;
///
/// let options = Options { connect_timeout: Some(Duration::from_secs(10)), ..Options::default() };
/// assert_eq!(options.request_timeout, Duration::from_secs(5));
/// ```
#[derive(Clone)]
pub struct Options {
    /// How long [`connect`](crate::PolicyClient::connect) waits for the server; `None`, the default: until it is there.
    pub connect_timeout: Option<Duration>,
    /// How long a call waits for its reply; 5 s. Reset has its own.
    pub request_timeout: Duration,
    /// How long a reset may take; 60 s.
    pub reset_timeout: Duration,
    /// Longest message that is taken, bytes; 256 MiB.
    pub max_message: usize,
    /// Most actions that may wait to be dispatched; 1024.
    pub queue_capacity: usize,
    /// Whether a reset empties the queue of actions; true. Otherwise they are executed after it.
    pub reset_clears_actions: bool,
    /// Whether actions that wait survive a lost connection; false.
    pub keep_actions_when_lost: bool,
    /// Age at which an action is no longer sent, nor taken by a server that knows ages; `None`, the default: never.
    pub action_ttl: Option<Duration>,
    /// Whether an action must have the shape that the metadata name (`action_shape`); true. Leading dimensions of 1 make
    /// no difference. Without that key every shape goes.
    pub check_action_shape: bool,
    /// Extensions to use if the server has them; all. `Capabilities::NONE` speaks the original wire.
    pub extensions: Capabilities,
    /// Certificates for `wss://`; `None`: no such address can be used.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// `host:port` of an HTTP proxy through which WebSockets are opened; `None`, the default: none, whatever the
    /// environment says.
    pub proxy: Option<String>,
    /// Certificates that are trusted at `tls/` addresses of Zenoh, PEM: the robot's own, or that of the authority that signed
    /// it. `None`: those that [`zenoh_config`](Self::zenoh_config) names.
    pub zenoh_ca: Option<String>,
    /// Text of a Zenoh configuration (JSON5) to start from; `None`: no discovery, one connection to the given locator.
    pub zenoh_config: Option<String>,
    /// Whether a robot on this computer that is reached over Zenoh may put long messages into memory that this process
    /// shares, which takes half the time; true. On Linux only, and only if the robot may open the files of this process:
    /// it runs as the same user or as root, and in the same container.
    pub shared_memory: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connect_timeout: None,
            request_timeout: Duration::from_secs(5),
            reset_timeout: Duration::from_secs(60),
            max_message: 256 << 20,
            queue_capacity: 1024,
            reset_clears_actions: true,
            keep_actions_when_lost: false,
            action_ttl: None,
            check_action_shape: true,
            extensions: Capabilities::all(),
            tls: None,
            proxy: None,
            zenoh_ca: None,
            zenoh_config: None,
            shared_memory: true,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("connect_timeout", &self.connect_timeout)
            .field("request_timeout", &self.request_timeout)
            .field("reset_timeout", &self.reset_timeout)
            .field("max_message", &self.max_message)
            .field("queue_capacity", &self.queue_capacity)
            .field("extensions", &self.extensions)
            .field("tls", &self.tls.is_some())
            .field("proxy", &self.proxy)
            .finish_non_exhaustive()
    }
}
