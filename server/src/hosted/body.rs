//! The posture of a robot that drives, its lamp and its modes.
//!
//! Robots of this program stand on wheels, so a posture moves nothing; but as on the legs that the wire was made for, it
//! decides whether the robot may be driven.

use std::time::Duration;

use waldo_protocol::hosted::SportCommand;

/// What a robot that drives says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Body {
    /// The last posture that it took.
    pub(super) posture: SportCommand,
    pub(super) rage: bool,
    pub(super) obstacle_avoidance: bool,
    /// 0 to 1, in tenths.
    pub(super) light: f64,
    /// A motion of its own plays.
    pub(super) busy: bool,
}

impl Default for Body {
    fn default() -> Self {
        Self { posture: SportCommand::StandReady, rage: false, obstacle_avoidance: true, light: 0.0, busy: false }
    }
}

/// How long the steps of standing up take, one after the other.
pub(super) const STANDING_UP: [Duration; 3] =
    [Duration::from_secs(3), Duration::from_millis(300), Duration::from_millis(300)];

/// How long a change to and from the fastest mode takes.
pub(super) const RAGE_TAKES: Duration = Duration::from_millis(2300);

impl Body {
    /// Whether wheels may turn.
    pub(super) fn may_drive(&self) -> bool {
        self.posture == SportCommand::StandReady && !self.busy
    }

    /// It is in this posture now.
    pub(super) fn take(&mut self, posture: SportCommand) {
        self.posture = posture;
    }

    /// The lamp shines, as far as there are steps of it: tenths, of which halves are rounded to the even one.
    pub(super) fn shine(&mut self, brightness: f64) {
        self.light = (brightness.clamp(0.0, 1.0) * 10.0).round_ties_even() / 10.0;
    }
}

/// How long a motion takes that has no steps.
pub(super) fn duration(of: SportCommand) -> Duration {
    match of {
        SportCommand::Damp => Duration::ZERO,
        SportCommand::Hello | SportCommand::Stretch => Duration::from_secs(2),
        _ => Duration::from_secs(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lamp_has_ten_steps() {
        let shine = |brightness| {
            let mut body = Body::default();
            body.shine(brightness);
            body.light
        };
        for (brightness, light) in [(0.5, 0.5), (1.7, 1.0), (-1.0, 0.0), (0.25, 0.2), (0.35, 0.4), (0.45, 0.4)] {
            assert_eq!(shine(brightness), light, "{brightness}");
        }
    }

    #[test]
    fn only_who_stands_ready_drives() {
        let mut body = Body::default();
        assert!(body.may_drive());
        for posture in SportCommand::ALL.iter().filter(|command| command.is_posture()) {
            body.take(*posture);
            assert_eq!(body.may_drive(), *posture == SportCommand::StandReady);
        }
    }
}
