//! Routes between a robot in San Francisco and its operators.

use std::time::Duration;

use clap::ValueEnum;

use crate::network::Conditions;

/// Between robot and SFU, which are in the same city: the round trip, and jitter each way, milliseconds.
const ACCESS: (f64, f64) = (4.0, 0.5);

/// Where the operator is. Round trips from there to San Francisco and back are known from the vendor's publication; jitter
/// and loss are not, and are what such routes usually have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Route {
    /// The same city: 15 ms, 2 ms of jitter, 0.1 % lost
    City,
    /// Bangalore: 114 ms, 10 ms of jitter, 0.5 % lost
    Bangalore,
    /// Buenos Aires: 134 ms, 14 ms of jitter, 0.5 % lost
    BuenosAires,
    /// Shanghai: 160 ms, 20 ms of jitter, 1 % lost
    Shanghai,
}

impl Route {
    /// Its name on the command line and in tables.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Round trip between operator and robot, ms.
    pub fn rtt_ms(self) -> f64 {
        self.figures()[0]
    }

    /// At most, each way, ms.
    pub fn jitter_ms(self) -> f64 {
        self.figures()[1]
    }

    /// Round trip, ms; jitter each way, ms: uniformly between none and this, around the mean; share lost each way.
    fn figures(self) -> [f64; 3] {
        match self {
            Self::City => [15.0, 2.0, 0.001],
            Self::Bangalore => [114.0, 10.0, 0.005],
            Self::BuenosAires => [134.0, 14.0, 0.005],
            Self::Shanghai => [160.0, 20.0, 0.01],
        }
    }

    /// All of it, for a report.
    pub fn describe(self) -> String {
        let [rtt, jitter, loss] = self.figures();
        format!("{rtt} ms there and back, up to {jitter} ms of jitter and {} % lost each way", loss * 100.0)
    }

    /// The two legs of the route: between robot and SFU, between operator and SFU.
    pub fn legs(self) -> [Conditions; 2] {
        let [rtt, jitter, loss] = self.figures();
        let leg = |rtt: f64, jitter: f64, loss| Conditions {
            delay: Duration::from_secs_f64((rtt - jitter) / 2000.0),
            jitter: Duration::from_secs_f64(jitter / 1000.0),
            loss,
            ..Conditions::default()
        };
        let (access, shaking) = ACCESS;
        [leg(access, shaking, 0.0), leg(rtt - access, jitter, loss)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_legs_of_a_route_take_its_round_trip_in_the_mean() {
        for route in Route::value_variants() {
            let one_way: f64 = route.legs().iter().map(|leg| (leg.delay + leg.jitter / 2).as_secs_f64() * 1000.0).sum();
            assert!((2.0 * one_way - route.rtt_ms()).abs() < 1e-6, "{}", route.name());
        }
    }
}
