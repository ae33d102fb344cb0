//! What an operator says on `state_reliable`.

use serde::Serialize;
use serde_json::{Map, Number, Value, json};

use super::json::{Fields, encode, object};
use super::{Nonce, Unreadable, VideoStats};

/// Most names of cameras that are read.
const MAX_CAMERAS: usize = 16;

/// A message to the robot.
///
/// A command without a nonce is never acknowledged, but may be refused; the two stops are done whatever their nonce is.
#[derive(Clone, Debug, PartialEq)]
pub enum ToRobot {
    /// Asks for a [`Pong`](super::ToOperator::Pong).
    Ping {
        /// Seconds of the operator's clock, echoed as they came.
        client_ts: Number,
    },
    /// How far the clocks are apart.
    ClockReport(ClockReport),
    /// How the video arrives.
    VideoStats(VideoStats),
    /// Stop now.
    Estop {
        /// For the acknowledgement.
        nonce: Option<Nonce>,
    },
    /// The stop is over; moves nothing.
    EstopClear {
        /// For the acknowledgement.
        nonce: Option<Nonce>,
    },
    /// A whole motion of the robot's own.
    Sport {
        /// Which.
        command: SportCommand,
        /// For the acknowledgement.
        nonce: Option<Nonce>,
    },
    /// How fast it is driven.
    SetMode {
        /// The mode.
        mode: SpeedMode,
        /// For the acknowledgement.
        nonce: Option<Nonce>,
    },
    /// Whether it keeps clear of obstacles by itself.
    ObstacleAvoidance {
        /// Whether.
        enabled: bool,
        /// For the acknowledgement.
        nonce: Option<Nonce>,
    },
    /// Its lamp.
    Light {
        /// 0 to 1.
        brightness: f64,
        /// For the acknowledgement.
        nonce: Option<Nonce>,
    },
    /// Which cameras the operator wants to see.
    CameraSelect(CameraSelect),
    /// Go there by itself.
    NavGoal {
        /// Metres in the world.
        x: f64,
        /// Metres in the world.
        y: f64,
        /// For the acknowledgement.
        nonce: Option<Nonce>,
    },
    /// Do not.
    NavCancel {
        /// For the acknowledgement.
        nonce: Option<Nonce>,
    },
    /// Opens or closes the gripper of an arm.
    Gripper {
        /// Which of both.
        closed: bool,
    },
    /// How far the gripper moves when the hand does.
    TeleopScale {
        /// More than 0.
        scale: f64,
        /// For the acknowledgement.
        nonce: Option<Nonce>,
    },
    /// Nobody operates any more; said by the robot's own side, or by the SFU.
    OperatorLost {
        /// Why, if it was said.
        reason: Option<String>,
    },
    /// A command that can only be refused.
    Refused(RefusedCommand),
    /// Of a type that nobody knows; to be ignored.
    Unknown(String),
}

/// Why a command is refused as soon as it is read. The answer is an acknowledgement with `ok: false`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedCommand {
    /// For the acknowledgement.
    pub nonce: Option<Nonce>,
    /// The command's type.
    pub kind: &'static str,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// What the operator found out about the clocks; the robot only logs it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ClockReport {
    /// There and back, ms.
    pub rtt_ms: f64,
    /// What the robot's clock is ahead of the operator's, ms.
    pub offset_ms: f64,
}

/// Names of cameras; anything but a list of names is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CameraSelect {
    /// As they came.
    pub cams: Vec<String>,
}

impl CameraSelect {
    /// Which of the robot's cameras are to be seen, by their places and in the robot's order: the first if none was named
    /// that it has.
    pub fn of<T: AsRef<str>>(&self, configured: &[T]) -> Vec<usize> {
        let named = |name: &str| self.cams.iter().any(|cam| cam == name);
        let chosen: Vec<_> =
            configured.iter().enumerate().filter(|(_, name)| named(name.as_ref())).map(|(i, _)| i).collect();
        if chosen.is_empty() && !configured.is_empty() { vec![0] } else { chosen }
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$word_doc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The word of the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }

            /// What a word means; nothing if it is none of these.
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word)
            }
        }
    };
}

words! {
    /// A whole motion of a quadruped.
    SportCommand {
        /// Stand, ready to walk.
        StandReady = "StandReady",
        /// Lie down.
        StandDown = "StandDown",
        /// Stand up from however it lies.
        RecoveryStand = "RecoveryStand",
        /// Sit.
        Sit = "Sit",
        /// Let all joints go soft: the stop.
        Damp = "Damp",
        /// Shake hands.
        Hello = "Hello",
        /// Stretch.
        Stretch = "Stretch",
        /// Pounce.
        FrontPounce = "FrontPounce",
        /// Jump.
        FrontJump = "FrontJump",
    }
}

impl SportCommand {
    /// Whether it needs leave.
    pub const fn is_acrobatic(self) -> bool {
        matches!(self, Self::FrontPounce | Self::FrontJump)
    }

    /// Whether the robot's posture is called by this name afterwards.
    pub const fn is_posture(self) -> bool {
        matches!(self, Self::StandReady | Self::StandDown | Self::RecoveryStand | Self::Sit | Self::Damp)
    }
}

words! {
    /// How fast a robot is driven.
    SpeedMode {
        /// Half of the ordinary.
        Normal = "normal",
        /// The ordinary.
        High = "high",
        /// Beyond it; the only one that the robot itself must be told of.
        Rage = "rage",
    }
}

impl ToRobot {
    /// Reads a text or binary frame.
    ///
    /// # Errors
    /// [`Unreadable`] for what can neither be acted on nor refused.
    pub fn decode(frame: &[u8]) -> Result<Self, Unreadable> {
        let message = object(frame)?;
        let kind = message.text("type").ok_or(Unreadable::Field("type"))?;
        // A stop is a stop, whatever came with it.
        if kind == "estop" {
            return Ok(Self::Estop { nonce: Nonce::read(message.get("nonce")).unwrap_or(None) });
        }
        let nonce = Nonce::read(message.get("nonce")).map_err(|()| Unreadable::Field("nonce"));
        Ok(match kind {
            "ping" => match message.get("client_ts") {
                Some(Value::Number(client_ts)) => Self::Ping { client_ts: client_ts.clone() },
                _ => return Err(Unreadable::Field("client_ts")),
            },
            "clock_report" => Self::ClockReport(ClockReport {
                rtt_ms: message.number("rtt_ms").ok_or(Unreadable::Field("rtt_ms"))?,
                offset_ms: message.number("offset_ms").ok_or(Unreadable::Field("offset_ms"))?,
            }),
            "video_stats" => Self::VideoStats(VideoStats::read(&message)?),
            "operator_lost" => Self::OperatorLost { reason: message.text("reason").map(str::to_owned) },
            "camera_select" => Self::CameraSelect(CameraSelect { cams: names(message.get("cams")) }),
            "gripper" => Self::Gripper { closed: message.flag("closed").ok_or(Unreadable::Field("closed"))? },
            "estop_clear" => Self::EstopClear { nonce: nonce? },
            "nav_cancel" => Self::NavCancel { nonce: nonce? },
            "sport_cmd" => command("sport_cmd", nonce?, "no such motion", |nonce| {
                Some(Self::Sport { command: SportCommand::parse(message.text("name")?)?, nonce })
            }),
            "set_mode" => command("set_mode", nonce?, "no such mode", |nonce| {
                Some(Self::SetMode { mode: SpeedMode::parse(message.text("mode")?)?, nonce })
            }),
            "obstacle_avoidance" => command("obstacle_avoidance", nonce?, "neither true nor false", |nonce| {
                Some(Self::ObstacleAvoidance { enabled: message.flag("enabled")?, nonce })
            }),
            "light" => command("light", nonce?, "not a number", |nonce| {
                Some(Self::Light { brightness: brightness(&message)?, nonce })
            }),
            "nav_goal" => command("nav_goal", nonce?, "not a place", |nonce| {
                Some(Self::NavGoal { x: message.number("x")?, y: message.number("y")?, nonce })
            }),
            "teleop_scale" => command("teleop_scale", nonce?, "not a number above 0", |nonce| {
                let scale = message.number("scale").filter(|scale| *scale > 0.0)?;
                Some(Self::TeleopScale { scale, nonce })
            }),
            unknown => Self::Unknown(unknown.chars().take(64).collect()),
        })
    }

    /// Its type.
    pub fn kind(&self) -> &str {
        match self {
            Self::Ping { .. } => "ping",
            Self::ClockReport(_) => "clock_report",
            Self::VideoStats(_) => "video_stats",
            Self::Estop { .. } => "estop",
            Self::EstopClear { .. } => "estop_clear",
            Self::Sport { .. } => "sport_cmd",
            Self::SetMode { .. } => "set_mode",
            Self::ObstacleAvoidance { .. } => "obstacle_avoidance",
            Self::Light { .. } => "light",
            Self::CameraSelect(_) => "camera_select",
            Self::NavGoal { .. } => "nav_goal",
            Self::NavCancel { .. } => "nav_cancel",
            Self::Gripper { .. } => "gripper",
            Self::TeleopScale { .. } => "teleop_scale",
            Self::OperatorLost { .. } => "operator_lost",
            Self::Refused(refused) => refused.kind,
            Self::Unknown(kind) => kind,
        }
    }

    /// What its acknowledgement names.
    pub const fn nonce(&self) -> Option<&Nonce> {
        match self {
            Self::Estop { nonce }
            | Self::EstopClear { nonce }
            | Self::Sport { nonce, .. }
            | Self::SetMode { nonce, .. }
            | Self::ObstacleAvoidance { nonce, .. }
            | Self::Light { nonce, .. }
            | Self::NavGoal { nonce, .. }
            | Self::NavCancel { nonce }
            | Self::TeleopScale { nonce, .. }
            | Self::Refused(RefusedCommand { nonce, .. }) => nonce.as_ref(),
            Self::Ping { .. }
            | Self::ClockReport(_)
            | Self::VideoStats(_)
            | Self::CameraSelect(_)
            | Self::Gripper { .. }
            | Self::OperatorLost { .. }
            | Self::Unknown(_) => None,
        }
    }

    /// The message as JSON text. Numbers that are not finite come out as null, which every robot refuses.
    pub fn encode(&self) -> String {
        let kind = self.kind();
        let fields = match self {
            Self::Ping { client_ts } => json!({ "client_ts": client_ts }),
            Self::ClockReport(report) => json!(report),
            Self::VideoStats(stats) => json!(stats),
            Self::Sport { command, .. } => json!({ "name": command.as_str() }),
            Self::SetMode { mode, .. } => json!({ "mode": mode.as_str() }),
            Self::ObstacleAvoidance { enabled, .. } => json!({ "enabled": enabled }),
            Self::Light { brightness, .. } => json!({ "brightness": brightness }),
            Self::CameraSelect(CameraSelect { cams }) => json!({ "cams": cams }),
            Self::NavGoal { x, y, .. } => json!({ "x": x, "y": y }),
            Self::Gripper { closed } => json!({ "closed": closed }),
            Self::TeleopScale { scale, .. } => json!({ "scale": scale }),
            Self::OperatorLost { reason: Some(reason) } => json!({ "reason": reason }),
            Self::OperatorLost { reason: None }
            | Self::Estop { .. }
            | Self::EstopClear { .. }
            | Self::NavCancel { .. }
            | Self::Refused(_)
            | Self::Unknown(_) => json!({}),
        };
        let mut message = Map::from_iter([("type".to_owned(), kind.into())]);
        if let Value::Object(fields) = fields {
            message.extend(fields);
        }
        if let Some(nonce) = self.nonce() {
            message.insert("nonce".to_owned(), json!(nonce));
        }
        encode(&message)
    }
}

/// A command, or its refusal.
fn command(
    kind: &'static str,
    nonce: Option<Nonce>,
    problem: &'static str,
    read: impl FnOnce(Option<Nonce>) -> Option<ToRobot>,
) -> ToRobot {
    read(nonce.clone()).unwrap_or(ToRobot::Refused(RefusedCommand { nonce, kind, problem }))
}

/// The lamp's level, 0 to 10, for a brightness of 0 to 1.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10")]
pub fn light_level(brightness: f64) -> u8 {
    (brightness.clamp(0.0, 1.0) * 10.0).round_ties_even() as u8
}

/// Of `brightness`, or of what pages said before that.
fn brightness(message: &Map<String, Value>) -> Option<f64> {
    match message.get("brightness") {
        Some(brightness) => brightness.as_f64().map(|brightness| brightness.clamp(0.0, 1.0)),
        None => message.flag("enabled").map(|on| f64::from(u8::from(on))),
    }
}

fn names(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).take(MAX_CAMERAS).map(str::to_owned).collect()
}
