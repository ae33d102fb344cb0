//! Bodies of the broker's REST interface. Unknown fields are ignored; extensions are left out where they are not used.

mod access;
mod error;
mod ice;
mod key;
mod number;
mod operator;
mod robot;
mod session;

pub use access::{AuthConfig, AuthMode, Credentials, LoggedIn, Me, UserRole};
pub use error::{ErrorBody, ErrorDetail, detail};
pub use ice::{IceServer, IceServers, Urls};
pub use key::{CreateKey, CreatedKey, KeyInfo, KeyList, RevokedKey};
pub use operator::{
    Ack, AuditEntry, BridgedSession, BridgedViewer, JoinSession, JoinedSession, LeaveSession, LeftSession,
    LiveKitAccess, Role, TakeOver, VideoStatus,
};
pub use robot::{
    BridgeUpdate, Done, Heartbeat, HeartbeatAck, LiveKitAck, RegisterRobot, RegisteredRobot, RobotChannelIds,
    SafetyState, SdpAnswer, Transport,
};
pub use session::{BrokerHealth, Extension, SessionInfo, SessionList, SessionState};

/// What every path of the interface begins with.
pub const API_PREFIX: &str = "/api/v1";

/// The header of a robot's key.
pub const API_KEY_HEADER: &str = "X-Robot-API-Key";

/// The header of an operator's lease (extension [`Extension::Lease`]).
pub const LEASE_HEADER: &str = "X-Teleop-Lease";
