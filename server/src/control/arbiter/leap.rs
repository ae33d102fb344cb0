//! A hand that is suddenly somewhere else: a new origin of the headset's space, or another controller.

use glam::DVec3;
use waldo_protocol::time::MonoTime;

/// No hand gets farther than this, metres, faster than [`LEAP_SPEED`].
///
/// A shorter step may be a glitch, which the playout erases, so it does not disengage. One that lasts is where the hand
/// is: it is followed, and what never jumps then is the arm. The low-delay playout lets the step fade in, the compatible
/// one shows it as its mean moves over, and the limits of the joints bound velocity and acceleration of the command
/// whatever is wanted. To hold the arm where it was would be no safer: the operator sees the arm lag, and lets go.
const LEAP: f64 = 0.7;

/// Metres per second; the fastest punch has ten.
const LEAP_SPEED: f64 = 12.0;

/// Where a hand was seen last, and when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place(Option<(MonoTime, DVec3)>);

impl Place {
    /// The hand is here now; true if none gets here from where it was.
    pub(super) fn leaps(&mut self, now: MonoTime, to: DVec3) -> bool {
        self.0.replace((now, to)).is_some_and(|(then, from)| {
            let way = from.distance(to);
            way > LEAP && way > LEAP_SPEED * now.since(then).as_secs_f64()
        })
    }
}
