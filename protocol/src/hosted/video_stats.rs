//! How video arrives at the operator.

use serde::Serialize;
use serde_json::{Map, Value};

use super::Unreadable;

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
        })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "cut to a whole number from 0 on")]
fn whole(number: f64) -> u32 {
    number as u32
}
