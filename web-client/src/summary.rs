//! What the engine tells the page about itself, at most ten times a second.

use waldo_protocol::vr::{ClockEstimate, Confirmation, Mode, VrState};

use crate::link::Status;
use crate::robot::RobotView;

/// Whether this browser can present in a headset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Support {
    /// The browser has not answered yet.
    #[default]
    Checking,
    /// The page was not loaded over HTTPS, so the browser hides WebXR.
    Insecure,
    /// The browser has no WebXR.
    NoWebXr,
    /// The browser cannot draw with WebGL2.
    NoWebGl2,
    /// WebXR is there, a headset is not.
    NoHeadset,
    /// Passthrough, with the pictures floating in the room.
    Ar,
    /// No passthrough; a dark room.
    Vr,
}

impl Support {
    /// A presentation can be asked for.
    pub fn can_present(self) -> bool {
        matches!(self, Self::Ar | Self::Vr)
    }
}

/// The presentation in the headset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// Not presenting.
    #[default]
    Out,
    /// The browser was asked for a presentation.
    Entering,
    /// Presenting, and the operator sees it.
    Visible,
    /// Presenting, but the headset shows something else: no poses are sent.
    Hidden,
}

/// Camera signalling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VideoStatus {
    /// No socket.
    #[default]
    Off,
    /// Asked, or the robot's cameras are still starting, or their pictures stand still.
    Connecting,
    /// The robot has no video to offer, for now.
    Unavailable,
    /// Pictures come.
    Live,
}

/// The way that poses take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// The lossy data channel.
    Channel,
    /// The socket over the network.
    Socket,
}

/// The second socket, over the USB cable, as a person sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CableStatus {
    /// Not wanted.
    #[default]
    Off,
    /// Wanted, but not open.
    Waiting,
    /// Frames go over it.
    Open,
}

/// What the headset sends besides poses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordingSummary {
    /// The mode that the robot announced.
    pub mode: Option<Mode>,
    /// The state.
    pub state: VrState,
    /// The question that is open.
    pub confirmation: Option<Confirmation>,
    /// Whole seconds until a recording starts.
    pub countdown: Option<u32>,
}

/// One camera as the page shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CameraSummary {
    /// Its name on the wire.
    pub name: String,
    /// Size of its picture in pixels; zero before the first one.
    pub size: (u32, u32),
    /// A picture came within the last second.
    pub live: bool,
}

/// The whole of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// Address of the robot, `host:port` as a person reads it.
    pub address: String,
    /// The robot is not the one that served the page, so its certificate may be unknown to the browser.
    pub foreign: bool,
    /// The link.
    pub link: Status,
    /// This page only watches.
    pub viewer: bool,
    /// The way that poses take, while there is one.
    pub transport: Option<Transport>,
    /// The second socket.
    pub cable: CableStatus,
    /// What the robot told.
    pub robot: RobotView,
    /// Whole seconds until a takeover is granted.
    pub takeover_in: Option<u32>,
    /// Recording states of the headset.
    pub recording: RecordingSummary,
    /// The operator has stopped everything.
    pub stopped: bool,
    /// The robot's clock and the round trip to it.
    pub clock: Option<ClockEstimate>,
    /// Camera signalling.
    pub video: VideoStatus,
    /// The cameras on offer.
    pub cameras: Vec<CameraSummary>,
    /// Whether a presentation is possible.
    pub support: Support,
    /// The presentation.
    pub presence: Presence,
    /// Which controllers have a pose, left and right.
    pub controllers: [bool; 2],
    /// Pose frames sent since the page was loaded.
    pub frames_sent: i64,
    /// Why the last presentation did not start or ended, for a person.
    pub trouble: Option<String>,
}
