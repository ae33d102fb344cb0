//! What a robot says on `state_reliable_back`.

use serde_json::{Map, Number, Value, json};

use super::json::{Fields, encode, object};
use super::{Nonce, RobotTelemetry, Unreadable};

/// A message to the operator.
#[derive(Clone, Debug, PartialEq)]
pub enum ToOperator {
    /// Answers a [`Ping`](super::ToRobot::Ping). The only one that goes as a text frame.
    Pong {
        /// As it came.
        client_ts: Number,
        /// The robot's clock, s.
        robot_ts: f64,
    },
    /// Answers a command.
    CmdAck {
        /// Which; null of a refused command without one.
        nonce: Option<Nonce>,
        /// Whether it was done.
        ok: bool,
    },
    /// How the robot is.
    Telemetry(RobotTelemetry),
    /// Of a type that nobody knows; to be ignored.
    Unknown(String),
}

impl ToOperator {
    /// Reads a text or binary frame.
    ///
    /// # Errors
    /// [`Unreadable`] for what means nothing.
    pub fn decode(frame: &[u8]) -> Result<Self, Unreadable> {
        let message = object(frame)?;
        Ok(match message.text("type").ok_or(Unreadable::Field("type"))? {
            "pong" => Self::Pong {
                client_ts: match message.get("client_ts") {
                    Some(Value::Number(client_ts)) => client_ts.clone(),
                    _ => return Err(Unreadable::Field("client_ts")),
                },
                robot_ts: message.number("robot_ts").ok_or(Unreadable::Field("robot_ts"))?,
            },
            "cmd_ack" => Self::CmdAck {
                nonce: Nonce::read(message.get("nonce")).map_err(|()| Unreadable::Field("nonce"))?,
                ok: message.flag("ok").ok_or(Unreadable::Field("ok"))?,
            },
            "robot_telemetry" => Self::Telemetry(RobotTelemetry::read(&message)),
            unknown => Self::Unknown(unknown.chars().take(64).collect()),
        })
    }

    /// Whether it goes as a text frame; the others go as binary ones.
    pub const fn is_text(&self) -> bool {
        matches!(self, Self::Pong { .. })
    }

    /// The message as JSON text. Numbers that are not finite come out as null.
    pub fn encode(&self) -> String {
        let message = match self {
            Self::Pong { client_ts, robot_ts } => {
                json!({ "type": "pong", "client_ts": client_ts, "robot_ts": robot_ts })
            }
            Self::CmdAck { nonce, ok } => json!({ "type": "cmd_ack", "nonce": nonce, "ok": ok }),
            Self::Telemetry(telemetry) => {
                let mut message = Map::from_iter([("type".to_owned(), "robot_telemetry".into())]);
                if let Value::Object(fields) = json!(telemetry) {
                    message.extend(fields);
                }
                Value::Object(message)
            }
            Self::Unknown(kind) => json!({ "type": kind }),
        };
        encode(&message)
    }
}
