//! What the module puts out by name, for whoever in the robot listens: a recorder, a bus.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::broadcast;
use waldo_protocol::hosted::Hand;

/// Outputs that wait for one listener; of one that lags further behind the oldest are lost, and it is told how many.
const WAITING: usize = 4096;

/// A named stream of outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stream {
    /// Motion of the left hand since it engaged: PoseStamped.
    LeftController,
    /// Motion of the right hand since it engaged: PoseStamped.
    RightController,
    /// What both controllers hold, 50 times a second: UInt32.
    Buttons,
    /// Velocities that the operator asks of the base, as they count: TwistStamped.
    CmdVelStamped,
    /// The same without time and address, with the zeros of the dead-man: Twist.
    CmdVel,
    /// Jogs of the gripper, with their end: TwistStamped.
    EeTwist,
    /// Whether the gripper shall be closed: Bool.
    Gripper,
    /// Where navigation shall go: PoseStamped in `world`.
    Goal,
    /// Navigation shall stop: Bool.
    StopMovement,
    /// How the operator's video fares: Joy with the address `video`.
    VideoStats,
    /// What the operator is told three times a second: JSON.
    Telemetry,
}

impl Stream {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::LeftController,
        Self::RightController,
        Self::Buttons,
        Self::CmdVelStamped,
        Self::CmdVel,
        Self::EeTwist,
        Self::Gripper,
        Self::Goal,
        Self::StopMovement,
        Self::VideoStats,
        Self::Telemetry,
    ];

    /// The stream of a hand's motion.
    pub const fn of_hand(hand: Hand) -> Self {
        match hand {
            Hand::Left => Self::LeftController,
            Hand::Right => Self::RightController,
        }
    }

    /// Its name. Generation B calls the buttons `teleop_buttons`, which is for whoever records or forwards them to say.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeftController => "left_controller_output",
            Self::RightController => "right_controller_output",
            Self::Buttons => "buttons",
            Self::CmdVelStamped => "cmd_vel_stamped",
            Self::CmdVel => "cmd_vel",
            Self::EeTwist => "ee_twist_command",
            Self::Gripper => "gripper_command",
            Self::Goal => "goal_request",
            Self::StopMovement => "stop_movement",
            Self::VideoStats => "video_stats",
            Self::Telemetry => "robot_telemetry",
        }
    }
}

/// One output.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Where it belongs.
    pub stream: Stream,
    /// Its own time, Unix seconds; none for what has no stamp.
    pub stamp: Option<f64>,
    /// When it was put out, Unix seconds.
    pub at: f64,
    /// An LCM message, fingerprint first; JSON for [`Stream::Telemetry`].
    pub data: Bytes,
}

/// Everything that is put out. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Outputs(broadcast::Sender<Arc<Output>>);

impl Default for Outputs {
    fn default() -> Self {
        Self(broadcast::Sender::new(WAITING))
    }
}

impl Outputs {
    /// Everything from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Output>> {
        self.0.subscribe()
    }

    /// Puts something out. Nothing waits for it, and nobody need listen.
    pub fn put(&self, output: Output) {
        // Fails only while nobody listens.
        let _ = self.0.send(Arc::new(output));
    }
}
