//! How a robot is, as it tells its operator.

use serde::Serialize;
use serde_json::{Map, Value};

use super::json::Fields;

/// Most names of cameras that are read.
const MAX_CAMERAS: usize = 16;

/// Sent three times a second. Whatever is missing or does not fit is unsaid, so that no bad field hides a stop.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RobotTelemetry {
    /// How commands arrive; unsaid until there are two of them.
    pub cmd: Option<CommandFigures>,
    /// Battery, percent; unsaid leaves what was said before.
    pub soc: Option<i64>,
    /// How the robot is; empty before its first report.
    pub state: RobotState,
    /// The robot's clock, s.
    pub robot_ts: f64,
}

/// How commands arrive at the robot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CommandFigures {
    /// From the operator's stamp to their arrival, median, ms.
    pub latency_ms: Option<f64>,
    /// Median of the time between two arrivals, ms: not what jitter otherwise means.
    pub jitter_ms: Option<f64>,
    /// Arrivals a second.
    pub rate_hz: Option<f64>,
    /// Bits a second.
    pub throughput_bps: Option<f64>,
    /// Counters and true jitter (extension).
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub loss: Option<CommandLoss>,
}

/// What became of numbered commands (extension).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CommandLoss {
    /// That arrived.
    pub received: u64,
    /// That did not.
    pub lost: u64,
    /// That arrived after later ones.
    pub reordered: u64,
    /// That were too old.
    pub dropped_stale: u64,
    /// That were from the future.
    pub dropped_future: u64,
    /// That meant nothing.
    pub dropped_invalid: u64,
    /// Lost ones of all, percent.
    pub loss_pct: f64,
    /// As RFC 3550 defines it, ms.
    pub jitter_rfc3550_ms: f64,
}

/// How a robot is. Robots that drive and arms each say their own half of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RobotState {
    /// The stop latch is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estopped: Option<bool>,
    /// Name of the last posture it took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub posture: Option<String>,
    /// Whether it runs beyond the ordinary speed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rage: Option<bool>,
    /// Whether it keeps clear of obstacles by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub obstacle_avoidance: Option<bool>,
    /// Its lamp, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub light: Option<f64>,
    /// Its camera gives no new pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video_stalled: Option<bool>,
    /// Cameras that are seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cams: Option<Vec<String>>,
    /// Which hands an arm follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engaged: Option<Engaged>,
    /// How far the gripper moves when the hand does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teleop_scale: Option<f64>,
    /// What is sent, and why no more (extension).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoState>,
    /// Why it holds still, in words (extension).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
}

/// Which hands an arm follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Engaged {
    /// The left one.
    pub left: bool,
    /// The right one.
    pub right: bool,
}

/// What a robot sends as video (extension).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VideoState {
    /// The rate it aims at, kbit/s.
    pub target_kbps: f64,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Pictures a second.
    pub fps: f64,
    /// What it is owed to.
    pub reason: String,
}

impl RobotTelemetry {
    pub(super) fn read(message: &Map<String, Value>) -> Self {
        Self {
            cmd: message.object("cmd").map(CommandFigures::read),
            soc: message.number("soc").map(whole),
            state: message.object("state").map(RobotState::read).unwrap_or_default(),
            robot_ts: message.number("robot_ts").unwrap_or_default(),
        }
    }
}

impl CommandFigures {
    fn read(cmd: &Map<String, Value>) -> Self {
        Self {
            latency_ms: cmd.number("latency_ms"),
            jitter_ms: cmd.number("jitter_ms"),
            rate_hz: cmd.number("rate_hz"),
            throughput_bps: cmd.number("throughput_bps"),
            loss: cmd.contains_key("received").then(|| CommandLoss::read(cmd)),
        }
    }
}

impl CommandLoss {
    fn read(cmd: &Map<String, Value>) -> Self {
        let count = |key| cmd.get(key).and_then(Value::as_u64).unwrap_or_default();
        Self {
            received: count("received"),
            lost: count("lost"),
            reordered: count("reordered"),
            dropped_stale: count("dropped_stale"),
            dropped_future: count("dropped_future"),
            dropped_invalid: count("dropped_invalid"),
            loss_pct: cmd.number("loss_pct").unwrap_or_default(),
            jitter_rfc3550_ms: cmd.number("jitter_rfc3550_ms").unwrap_or_default(),
        }
    }
}

impl RobotState {
    fn read(state: &Map<String, Value>) -> Self {
        let text = |key| state.text(key).map(|text| text.chars().take(128).collect());
        Self {
            estopped: state.flag("estopped"),
            posture: text("posture"),
            rage: state.flag("rage"),
            obstacle_avoidance: state.flag("obstacle_avoidance"),
            light: state.number("light"),
            video_stalled: state.flag("video_stalled"),
            cams: state
                .get("cams")
                .and_then(Value::as_array)
                .map(|cams| cams.iter().filter_map(Value::as_str).take(MAX_CAMERAS).map(str::to_owned).collect()),
            engaged: state.object("engaged").map(|engaged| Engaged {
                left: engaged.flag("left").unwrap_or_default(),
                right: engaged.flag("right").unwrap_or_default(),
            }),
            teleop_scale: state.number("teleop_scale"),
            video: state.object("video").map(VideoState::read),
            hold: text("hold"),
        }
    }
}

impl VideoState {
    fn read(video: &Map<String, Value>) -> Self {
        let size = |key| video.get(key).and_then(Value::as_u64).and_then(|n| n.try_into().ok()).unwrap_or_default();
        Self {
            target_kbps: video.number("target_kbps").unwrap_or_default(),
            width: size("width"),
            height: size("height"),
            fps: video.number("fps").unwrap_or_default(),
            reason: video.text("reason").unwrap_or_default().chars().take(128).collect(),
        }
    }
}

/// Some robots measure their battery in fractions of a percent.
#[expect(clippy::cast_possible_truncation, reason = "a battery has 0 to 100")]
fn whole(number: f64) -> i64 {
    number.round() as i64
}
