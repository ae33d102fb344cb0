//! The state of the service as told once after hello.

use serde::Serialize;
use serde_json::Value;

use super::server::{episode, truth};
use super::{Hold, Mode, MotionScale, VrState};

/// State of the service, sent once after hello.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// Operating mode, if one is set.
    pub mode: Option<Mode>,
    /// Number of the current episode, if any.
    pub episode: Option<u64>,
    /// Recording state as the server sees it. Information: a headset must not take it over.
    pub state: VrState,
    /// The engage toggle.
    pub tracking: bool,
    /// Why motion is held, if it is.
    pub hold: Option<Hold>,
    /// Resets counted on this stream.
    pub reset_n: u32,
    /// Stream of the driver, if somebody drives.
    pub driver: Option<String>,
    /// Camera names in the order of their tracks.
    pub cameras: Vec<String>,
    /// The scale of motion in force; only for clients that may set it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub motion: Option<MotionScale>,
}

impl Snapshot {
    /// What can be read of it; `None` without a known state.
    pub(super) fn from_value(value: &Value) -> Option<Self> {
        let texts =
            |v: &Value| v.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        Some(Self {
            mode: value["mode"].as_str().and_then(Mode::from_name),
            episode: episode(&value["episode"]),
            state: value["state"].as_str().and_then(VrState::from_name)?,
            tracking: truth(&value["tracking"]),
            hold: Hold::from_value(&value["hold"]),
            reset_n: value["reset_n"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or(0),
            driver: value["driver"].as_str().map(str::to_owned),
            cameras: texts(&value["cameras"]),
            motion: MotionScale::from_value(&value["motion"]),
        })
    }
}
