//! Networks that operators meet, as far as a cable can play them.

use std::str::FromStr;
use std::time::Duration;

use anyhow::{Error, anyhow};
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

/// Some profiles as a person names them: one, several with commas between, or `all`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profiles(pub Vec<Profile>);

impl FromStr for Profiles {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "all" {
            return Ok(Self(Profile::value_variants().to_vec()));
        }
        let known = || Profile::value_variants().iter().map(|p| p.name()).collect::<Vec<_>>().join(", ");
        let one = |name| Profile::from_str(name, false).map_err(|_| anyhow!("there are {} and all", known()));
        text.split(',').map(one).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_named_alone_in_lists_or_all_at_once() {
        let read = |text: &str| text.parse::<Profiles>().map(|p| p.0);
        assert_eq!(read("2mbit").unwrap(), [Profile::Rate2]);
        assert_eq!(read("clean,cut-3s").unwrap(), [Profile::Clean, Profile::Cut3]);
        assert_eq!(read("all").unwrap().len(), 7);
        assert!(read("3g").unwrap_err().to_string().contains("loss-1, loss-5"));
    }
}
