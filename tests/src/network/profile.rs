//! Networks that operators meet, as far as a cable can play them.

use std::time::Duration;

use clap::ValueEnum;

use super::link::{Conditions, Rate};

/// What lies between headset and robot. Both directions are alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// A perfect cable
    Clean,
    /// 1 % of the packets are lost
    #[value(name = "loss-1")]
    Loss1,
    /// 5 % of the packets are lost
    #[value(name = "loss-5")]
    Loss5,
    /// 20 ms, and up to 10 ms more, each way
    #[value(name = "delay-20")]
    Delay20,
    /// 100 ms, and up to 40 ms more, each way; a packet in a hundred arrives out of order
    #[value(name = "delay-100")]
    Delay100,
    /// 2 Mbit/s, with a queue of a quarter of a second before it
    #[value(name = "2mbit")]
    Rate2,
    /// A perfect cable that is cut for 3 s
    #[value(name = "cut-3s")]
    Cut3,
}

impl Profile {
    /// Its name on the command line and in tables.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The state of the cable, but for cuts.
    pub fn conditions(self) -> Conditions {
        let delay = |delay, jitter| Conditions {
            delay: Duration::from_millis(delay),
            jitter: Duration::from_millis(jitter),
            ..Conditions::default()
        };
        match self {
            Self::Clean | Self::Cut3 => Conditions::default(),
            Self::Loss1 => Conditions { loss: 0.01, ..Conditions::default() },
            Self::Loss5 => Conditions { loss: 0.05, ..Conditions::default() },
            Self::Delay20 => delay(20, 10),
            Self::Delay100 => Conditions { reordering: 0.01, ..delay(100, 40) },
            Self::Rate2 => {
                let rate = Rate { bits_per_second: 2_000_000, burst: 6_000, queue: 62_500 };
                Conditions { rate: Some(rate), ..Conditions::default() }
            }
        }
    }

    /// How long the cable is cut in the middle of the measurement.
    pub fn cut(self) -> Option<Duration> {
        (self == Self::Cut3).then_some(Duration::from_secs(3))
    }
}
