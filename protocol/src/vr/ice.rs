//! STUN and TURN servers inside offers.

use serde::Serialize;
use serde_json::Value;

/// One STUN or TURN entry of a WebRTC configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IceServer {
    /// `stun:`, `turn:` or `turns:` URLs.
    pub urls: Vec<String>,
    /// TURN user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// TURN password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

impl IceServer {
    /// The readable entries of an `iceServers` list; none if it is missing. `urls` may be a single text, as in a
    /// browser's own configuration.
    pub(super) fn list(value: &Value) -> Vec<Self> {
        value.as_array().map_or_else(Vec::new, |list| list.iter().filter_map(Self::from_value).collect())
    }

    fn from_value(value: &Value) -> Option<Self> {
        let text = |v: &Value| v.as_str().map(str::to_owned);
        let urls = match &value["urls"] {
            Value::Array(urls) => urls.iter().filter_map(text).collect(),
            url => vec![text(url)?],
        };
        Some(Self { urls, username: text(&value["username"]), credential: text(&value["credential"]) })
    }
}
