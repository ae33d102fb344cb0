//! Settings of `waldo serve`, as values. Where they come from is the command line's business ([`crate::cli`]).

mod bitrate;
mod cameras;
mod field;
mod hosted;
mod policy;
mod port_range;
pub(crate) mod private_file;
mod rising;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use waldo_protocol::vr::{IceServer, Mode, MotionScale, PlayoutConfig, PlayoutProfile};

pub use self::bitrate::{BitrateRange, BitrateRangeError};
pub use self::cameras::{CameraSettings, Stereo};
pub use self::field::{FieldBackendKind, FieldSettings};
pub use self::hosted::{HostedKind, HostedSettings, RobotKey};
pub use self::policy::{PolicySettings, ZenohEndpoint, ZenohEndpointError};
pub use self::port_range::{PortRange, PortRangeError};

/// Everything a user can choose for `waldo serve`, except what belongs to the robot.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Operating mode announced to headsets; `None` lets each headset choose.
    pub mode: Option<Mode>,
    /// Address to listen on.
    pub bind: IpAddr,
    /// TCP port of page and sockets; 0 takes a free one.
    pub port: u16,
    /// Let everybody in, without token and from any origin.
    pub open: bool,
    /// Own certificate chain, PEM; `None` uses the one Waldo makes itself. Only together with `keyfile`.
    pub certfile: Option<PathBuf>,
    /// Private key of `certfile`, PEM.
    pub keyfile: Option<PathBuf>,
    /// Where certificate and token are kept.
    pub data_dir: PathBuf,
    /// Folder of the web app instead of the built-in one.
    pub static_dir: Option<PathBuf>,
    /// Announce the robot over mDNS.
    pub mdns: bool,
    /// UDP and TCP ports of video and pose channels, two per client; `None` takes any free ports.
    pub media_ports: Option<PortRange>,
    /// STUN and TURN servers, for the robot and for its clients. Empty means none, not a public one.
    pub ice_servers: Vec<IceServer>,
    /// Secret that the TURN servers share with the robot, in place of name and password in `ice_servers`: each client
    /// then gets some of its own, which end after 12 hours.
    pub ice_secret: Option<String>,
    /// Pose frames that one socket may send per second; `None` for no limit.
    pub max_pose_rate: Option<u32>,
    /// How pose streams are smoothed before the arms follow them.
    pub playout: PlayoutConfig,
    /// How far the grippers move for a motion of the hands, until an operator sets another scale; each factor from 0.1 to
    /// 2.
    pub motion: MotionScale,
    /// Cameras and video.
    pub cameras: CameraSettings,
    /// How policies reach the robot.
    pub policy: PolicySettings,
    /// The scene of arms that several users share.
    pub field: FieldSettings,
    /// How operators far away reach the robot; `None` for not at all.
    pub hosted: Option<HostedSettings>,
    /// Whether headsets reach the robot on its own network; without them, policies and the field should be off too.
    pub local: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            mode: None,
            bind: Ipv4Addr::UNSPECIFIED.into(),
            port: 8000,
            open: false,
            certfile: None,
            keyfile: None,
            data_dir: default_data_dir(),
            static_dir: None,
            mdns: true,
            media_ports: None,
            ice_servers: Vec::new(),
            ice_secret: None,
            max_pose_rate: Some(250),
            motion: MotionScale::default(),
            playout: PlayoutConfig { profile: PlayoutProfile::LowDelay, ..PlayoutConfig::default() },
            cameras: CameraSettings::default(),
            policy: PolicySettings::default(),
            field: FieldSettings::default(),
            hosted: None,
            local: true,
        }
    }
}

/// `$XDG_DATA_HOME/waldo`, or `~/.local/share/waldo`; without a home, `waldo-data` in the working folder.
pub fn default_data_dir() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map_or_else(|| PathBuf::from("waldo-data"), |data| data.join("waldo"))
}
