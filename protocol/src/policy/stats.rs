//! Statistics of a server.

use super::app_map::AppMap;
use super::ids::RequestId;
use super::writer::frame;
use super::{Frame, WireError};

/// Answer to `stats`.
#[derive(Clone, Debug, PartialEq)]
pub struct StatsResponse {
    /// Id of the request.
    pub id: RequestId,
    /// Counters, latencies, rates and ages.
    pub data: AppMap,
}

impl StatsResponse {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, "stats_response", |header| {
            header.id(self.id);
            header.app_map("data", &self.data);
        });
    }

    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, WireError> {
        let [id, data] = frame.members(["id", "data"]);
        Ok(Self { id: id.id()?, data: AppMap::from_field(&data)? })
    }
}
