//! How well a link does: the thresholds of the operator's display.

/// How good a figure is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quality {
    /// As it should be.
    #[default]
    Good,
    /// To be watched.
    Warn,
    /// Not to be relied on.
    Bad,
}

/// The way that packets take, by the kind of the browser's own candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPath {
    /// From the browser's own address.
    Direct,
    /// From the address that a server saw.
    Stun,
    /// Over a relay.
    Turn,
}

impl LinkPath {
    /// Of a candidate's type as browsers tell it.
    pub fn of_candidate(kind: &str) -> Option<Self> {
        match kind {
            "host" => Some(Self::Direct),
            "srflx" | "prflx" => Some(Self::Stun),
            "relay" => Some(Self::Turn),
            _ => None,
        }
    }

    /// For a person.
    pub fn label(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Stun => "STUN",
            Self::Turn => "TURN",
        }
    }

    /// A relay is a detour.
    pub fn quality(self) -> Quality {
        if self == Self::Turn { Quality::Warn } else { Quality::Good }
    }
}

fn above(value: f64, warn: f64, bad: f64) -> Quality {
    if value > bad {
        Quality::Bad
    } else if value > warn {
        Quality::Warn
    } else {
        Quality::Good
    }
}

/// Of a round trip, milliseconds.
pub fn rtt_quality(rtt_ms: f64) -> Quality {
    above(rtt_ms, 100.0, 200.0)
}

/// Of pictures per second.
pub fn fps_quality(fps: f64) -> Quality {
    above(-fps, -12.0, -6.0)
}

/// Of lost packets, percent.
pub fn loss_quality(loss_pct: f64) -> Quality {
    above(loss_pct, 1.0, 3.0)
}

/// Of the time from camera to screen, milliseconds.
pub fn end_to_end_quality(latency_ms: f64) -> Quality {
    above(latency_ms, 150.0, 300.0)
}

/// Of freezes since the picture came.
pub fn freezes_quality(freezes: f64) -> Quality {
    above(freezes, 8.0, 20.0)
}

/// Of the time that commands take, milliseconds.
pub fn command_quality(latency_ms: f64) -> Quality {
    above(latency_ms, 100.0, 200.0)
}

/// Of a codec's name.
pub fn codec_quality(codec: &str) -> Quality {
    if codec.is_empty() || codec == "H264" { Quality::Good } else { Quality::Warn }
}

/// Of a battery, percent.
pub fn battery_quality(percent: i32) -> Quality {
    match percent {
        ..=15 => Quality::Bad,
        16..=40 => Quality::Warn,
        _ => Quality::Good,
    }
}

/// What decides about the whole link.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkFigures {
    /// The picture stands still.
    pub stalled: bool,
    /// Pictures per second and lost packets in percent, once there are statistics.
    pub video: Option<(f64, f64)>,
    /// Round trip, milliseconds; unknown is the worst.
    pub rtt_ms: Option<f64>,
    /// Time that commands take, milliseconds, if the robot tells.
    pub command_ms: Option<f64>,
}

impl LinkFigures {
    /// All in all.
    pub fn quality(&self) -> Quality {
        if self.stalled {
            return Quality::Bad;
        }
        let Some((fps, loss_pct)) = self.video else { return Quality::Warn };
        let rtt = rtt_quality(self.rtt_ms.unwrap_or(f64::INFINITY));
        let command = command_quality(self.command_ms.unwrap_or(0.0));
        // Loss alone makes no link bad.
        let loss = if loss_pct > 3.0 { Quality::Warn } else { Quality::Good };
        fps_quality(fps).max(rtt).max(command).max(loss)
    }
}
