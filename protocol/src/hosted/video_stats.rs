//! How video arrives at the operator.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Unreadable;
use crate::lcm::{Header, Joy, Time};

/// The address of the message that carries these figures on the robot's own bus.
pub const VIDEO_FRAME: &str = "video";

/// Longest name of a codec or decoder that is read, characters.
const MAX_NAME: usize = 128;

/// Said once a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct VideoStats {
    /// Pictures decoded a second.
    pub fps: f64,
    /// kbit/s.
    pub kbps: f64,
    /// Columns, 0 if not known.
    pub width: u32,
    /// Rows, 0 if not known.
    pub height: u32,
    /// Packets lost, percent.
    pub loss_pct: f64,
    /// Of packets, ms.
    pub jitter_ms: f64,
    /// Pictures left out since the beginning.
    pub frames_dropped: u32,
    /// Times it stood still since the beginning.
    pub freezes: u32,
    /// How long a picture waits, mean, ms.
    pub jitter_buffer_ms: f64,
    /// How long decoding takes, mean, ms.
    pub decode_ms: f64,
    /// From the camera to the screen, ms; 0 if the pictures carry no stamp.
    pub e2e_latency_ms: f64,
    /// As `H264`; may be empty.
    pub codec: String,
    /// May be empty.
    pub decoder: String,
    /// When it was so, s; unsaid by older pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ts: Option<f64>,
}

impl VideoStats {
    /// Null counts as missing, and missing as the default.
    pub(super) fn read(message: &Map<String, Value>) -> Result<Self, Unreadable> {
        let number = |key: &'static str| match message.get(key) {
            None | Some(Value::Null) => Ok(0.0),
            Some(value) => value.as_f64().ok_or(Unreadable::Field(key)),
        };
        let text = |key: &'static str| match message.get(key) {
            None | Some(Value::Null) => Ok(String::new()),
            Some(Value::String(text)) => Ok(text.chars().take(MAX_NAME).collect()),
            Some(_) => Err(Unreadable::Field(key)),
        };
        Ok(Self {
            fps: number("fps")?,
            kbps: number("kbps")?,
            width: whole(number("width")?),
            height: whole(number("height")?),
            loss_pct: number("loss_pct")?,
            jitter_ms: number("jitter_ms")?,
            frames_dropped: whole(number("frames_dropped")?),
            freezes: whole(number("freezes")?),
            jitter_buffer_ms: number("jitter_buffer_ms")?,
            decode_ms: number("decode_ms")?,
            e2e_latency_ms: number("e2e_latency_ms")?,
            codec: text("codec")?,
            decoder: text("decoder")?,
            ts: Some(number("ts")?).filter(|ts| *ts > 0.0),
        })
    }

    /// The figures as they go over the robot's own bus, stamped with their own time or else with `now`, s. Jitter, codec
    /// and decoder stay behind.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "what the carrier can hold")]
    pub fn to_joy(&self, now: f64) -> Joy {
        let stamp = Time::from_unix_s(self.ts.unwrap_or(now));
        Joy {
            header: Header { seq: 0, stamp, frame_id: VIDEO_FRAME.to_owned() },
            axes: vec![
                self.fps as f32,
                self.kbps as f32,
                self.width as f32,
                self.height as f32,
                self.loss_pct as f32,
                self.jitter_buffer_ms as f32,
                self.decode_ms as f32,
                self.frames_dropped as f32,
                self.freezes as f32,
                self.e2e_latency_ms as f32,
            ],
            buttons: Vec::new(),
        }
    }

    /// The figures of a message of the robot's own bus, missing ones 0; nothing if it is not addressed as such.
    pub fn from_joy(joy: &Joy) -> Option<Self> {
        if joy.header.frame_id != VIDEO_FRAME {
            return None;
        }
        let axis = |at: usize| joy.axes.get(at).copied().map_or(0.0, f64::from);
        Some(Self {
            fps: axis(0),
            kbps: axis(1),
            width: whole(axis(2)),
            height: whole(axis(3)),
            loss_pct: axis(4),
            jitter_buffer_ms: axis(5),
            decode_ms: axis(6),
            frames_dropped: whole(axis(7)),
            freezes: whole(axis(8)),
            e2e_latency_ms: axis(9),
            ts: Some(joy.header.stamp.unix_s()).filter(|ts| *ts > 0.0),
            ..Self::default()
        })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to a whole number from 0 on")]
fn whole(number: f64) -> u32 {
    number as u32
}
