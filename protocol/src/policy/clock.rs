//! Relating the client's clock to the server's.

use super::ids::RequestId;
use super::writer::frame;
use super::{Frame, WireError};
use crate::exchange::{Exchange, Exchanges};

/// Exchanges that are remembered; the one with the smallest round trip counts.
pub const CLOCK_REMEMBERED: usize = 8;

/// Time between two exchanges, seconds.
pub const CLOCK_EVERY: f64 = 5.0;

/// Asks what time it is on the server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockRequest {
    /// Id of the request.
    pub id: RequestId,
    /// When it was sent, seconds of the client's clock.
    pub t0: f64,
}

impl ClockRequest {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, "clock", |header| {
            header.id(self.id);
            header.float("t0", self.t0);
        });
    }

    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, WireError> {
        let [id, t0] = frame.members(["id", "t0"]);
        Ok(Self { id: id.id()?, t0: t0.finite()? })
    }
}

/// Answer to [`ClockRequest`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockResponse {
    /// Id of the request.
    pub id: RequestId,
    /// When the request was sent, seconds of the client's clock, as it said.
    pub t0: f64,
    /// When the request came, seconds of the clock of the camera stamps.
    pub t1: f64,
    /// When the response was sent, seconds of the clock of the camera stamps.
    pub t2: f64,
}

impl ClockResponse {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        frame(out, "clock_response", |header| {
            header.id(self.id);
            header.float("t0", self.t0);
            header.float("t1", self.t1);
            header.float("t2", self.t2);
        });
    }

    pub(super) fn read(frame: &Frame<'_>) -> Result<Self, WireError> {
        let [id, t0, t1, t2] = frame.members(["id", "t0", "t1", "t2"]);
        Ok(Self { id: id.id()?, t0: t0.finite()?, t1: t1.finite()?, t2: t2.finite()? })
    }

    /// What the exchange tells if the response came at `t3`, seconds of the client's clock.
    pub fn mapping(&self, t3: f64) -> ClockMapping {
        self.exchange(t3).into()
    }

    fn exchange(&self, t3: f64) -> Exchange {
        Exchange::new(self.t0, self.t1, self.t2, t3)
    }
}

/// What one exchange told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockMapping {
    /// What the server's clock is ahead of the client's, seconds. Wrong by half the round trip at most.
    pub offset: f64,
    /// Time on the way, both ways together, seconds.
    pub round_trip: f64,
}

impl From<Exchange> for ClockMapping {
    fn from(Exchange { offset, round_trip }: Exchange) -> Self {
        Self { offset, round_trip }
    }
}

impl ClockMapping {
    /// A time of the client's clock on the server's, seconds.
    pub fn to_server(self, client: f64) -> f64 {
        client + self.offset
    }

    /// A time of the server's clock on the client's, seconds.
    pub fn to_client(self, server: f64) -> f64 {
        server - self.offset
    }
}

/// The last exchanges of a connection, at most [`CLOCK_REMEMBERED`].
#[derive(Clone, Debug, Default)]
pub struct ClockMap {
    exchanges: Exchanges<CLOCK_REMEMBERED>,
}

impl ClockMap {
    /// A response came at `t3`, seconds of the client's clock. One that tells nothing, because a clock ran backwards in
    /// between, changes nothing.
    pub fn add(&mut self, response: &ClockResponse, t3: f64) {
        self.exchanges.add(response.exchange(t3));
    }

    /// The exchange with the smallest round trip; `None` before the first.
    pub fn best(&self) -> Option<ClockMapping> {
        self.exchanges.best().map(Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An exchange with a server 100 s ahead, the request `there` and the response `back` seconds on the way.
    fn exchange(map: &mut ClockMap, there: f64, back: f64) {
        let response = ClockResponse { id: RequestId::FIRST, t0: 0.0, t1: 100.0 + there, t2: 101.0 + there };
        map.add(&response, there + 1.0 + back);
    }

    #[test]
    fn the_shortest_of_the_last_eight_exchanges_counts() {
        let mut map = ClockMap::default();
        assert_eq!(map.best(), None);
        exchange(&mut map, 0.25, 0.25);
        assert_eq!(map.best(), Some(ClockMapping { offset: 100.0, round_trip: 0.5 }));
        for _ in 0..7 {
            exchange(&mut map, 1.0, 0.5);
        }
        assert_eq!(map.best(), Some(ClockMapping { offset: 100.0, round_trip: 0.5 }));
        exchange(&mut map, 1.0, 0.5);
        assert_eq!(map.best(), Some(ClockMapping { offset: 100.25, round_trip: 1.5 }));
    }

    #[test]
    fn an_exchange_in_which_a_clock_ran_backwards_tells_nothing() {
        let mut map = ClockMap::default();
        exchange(&mut map, 0.5, -2.0);
        let overflowing = ClockResponse { id: RequestId::FIRST, t0: -f64::MAX, t1: f64::MAX, t2: f64::MAX };
        map.add(&overflowing, f64::MAX);
        assert_eq!(map.best(), None);
    }

    #[test]
    fn times_go_to_the_other_clock_and_back() {
        let mapping = ClockMapping { offset: 4900.5, round_trip: 0.0 };
        assert_eq!((mapping.to_server(100.0), mapping.to_client(5000.5)), (5000.5, 100.0));
    }
}
