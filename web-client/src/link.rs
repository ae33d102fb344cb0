//! When to dial the robot: connect limit, retries, giving up. Sans-I/O; times are milliseconds of any monotonic clock.
//!
//! A robot that never said hello gets three retries, as the clients of its kind do, and then a person has to decide. One
//! that did is worth waiting for: the link dials it for ever.

/// An attempt that has not opened after this long is abandoned.
pub const CONNECT_LIMIT_MS: f64 = 5000.0;
/// Pause before each retry of a robot that never said hello.
pub const RETRY_PAUSE_MS: f64 = 1000.0;
/// Retries of such a robot before the connection counts as failed.
pub const RETRIES: u32 = 3;
/// Pause before the first retry of a robot that said hello; each further one is twice as long, up to the other.
pub const KNOWN_PAUSE_MS: [f64; 2] = [250.0, 500.0];
/// Connect limit of the first attempts to reach a robot that said hello: one that comes back in the middle of an attempt,
/// whose packets were lost, is reached sooner by a new one.
pub const KNOWN_LIMIT_MS: f64 = 2500.0;
/// After this many of them the limit is [`CONNECT_LIMIT_MS`] again, for networks as slow as that.
const HASTY_ATTEMPTS: u32 = 4;
/// After this many failed attempts it is cheaper to ask first whether the robot is back.
const FUTILE_ATTEMPTS: u32 = 8;
/// After this many failed attempts a person may be needed.
const LONG_LOST: u32 = 24;

/// What the owner of the socket must do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Open a socket.
    Dial,
    /// Close the socket, or abandon the attempt to open it.
    HangUp,
}

/// The link as a person sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Nobody asked for a connection.
    #[default]
    NotConnected,
    /// First attempts under way.
    Connecting,
    /// The socket is open.
    Connected,
    /// Was open; retries are under way.
    Reconnecting,
    /// As before, for so long that a person may have to look; the retries go on.
    Lost,
    /// Given up; waits for a person.
    Failed,
}

impl Status {
    /// The connection will not come back by itself, so that a presentation in the headset makes no sense.
    pub fn given_up(self) -> bool {
        self == Self::Failed
    }

    /// A person may know what is wrong.
    pub fn wants_help(self) -> bool {
        matches!(self, Self::Lost | Self::Failed)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Phase {
    #[default]
    Idle,
    Dialling {
        until: f64,
    },
    Pausing {
        until: f64,
    },
    Open,
    Failed,
}

/// The state machine of one link.
#[derive(Clone, Copy, Debug, Default)]
pub struct Link {
    phase: Phase,
    /// Attempts that failed since the last open or the last request to connect.
    failures: u32,
    was_open: bool,
    /// The robot said hello since a person asked for the connection.
    known: bool,
}

impl Link {
    /// A person, or the page itself on loading, wants a connection.
    pub fn connect(&mut self, now: f64) -> Step {
        *self = Self::default();
        self.dial(now)
    }

    /// A person wants no connection.
    pub fn disconnect(&mut self) -> Step {
        *self = Self::default();
        Step::HangUp
    }

    /// The socket opened.
    pub fn opened(&mut self) {
        *self = Self { phase: Phase::Open, failures: 0, was_open: true, ..*self };
    }

    /// The robot said hello.
    pub fn greeted(&mut self) {
        self.known = true;
    }

    /// The socket closed, or could not be opened.
    pub fn closed(&mut self, now: f64) {
        match self.phase {
            Phase::Open => self.pause(now),
            Phase::Dialling { .. } => self.attempt_failed(now),
            Phase::Idle | Phase::Pausing { .. } | Phase::Failed => {}
        }
    }

    /// To be called a few times a second.
    pub fn poll(&mut self, now: f64) -> Option<Step> {
        match self.phase {
            Phase::Dialling { until } if now >= until => {
                self.attempt_failed(now);
                Some(Step::HangUp)
            }
            Phase::Pausing { until } if now >= until => Some(self.dial(now)),
            _ => None,
        }
    }

    /// The link as a person sees it.
    pub fn status(&self) -> Status {
        match self.phase {
            Phase::Idle => Status::NotConnected,
            Phase::Open => Status::Connected,
            Phase::Failed => Status::Failed,
            Phase::Dialling { .. } | Phase::Pausing { .. } if !self.was_open => Status::Connecting,
            Phase::Dialling { .. } | Phase::Pausing { .. } if self.failures >= LONG_LOST => Status::Lost,
            Phase::Dialling { .. } | Phase::Pausing { .. } => Status::Reconnecting,
        }
    }

    /// So many attempts have failed that a socket should only be tried once the robot answers something cheaper: browsers
    /// delay the sockets of pages whose attempts keep failing, by seconds after some minutes.
    pub fn should_ask_first(&self) -> bool {
        self.known && self.failures >= FUTILE_ATTEMPTS
    }

    fn dial(&mut self, now: f64) -> Step {
        let hasty = self.known && self.failures < HASTY_ATTEMPTS;
        let limit = if hasty { KNOWN_LIMIT_MS } else { CONNECT_LIMIT_MS };
        self.phase = Phase::Dialling { until: now + limit };
        Step::Dial
    }

    fn attempt_failed(&mut self, now: f64) {
        self.failures = self.failures.saturating_add(1);
        // The attempt that follows a closed socket is itself a retry; the first one of a new link is not.
        let allowed = if self.was_open { RETRIES } else { RETRIES + 1 };
        if self.known || self.failures < allowed {
            self.pause(now);
        } else {
            self.phase = Phase::Failed;
        }
    }

    fn pause(&mut self, now: f64) {
        let [first, longest] = KNOWN_PAUSE_MS;
        let pause = match i32::try_from(self.failures) {
            _ if !self.known => RETRY_PAUSE_MS,
            Ok(failures) => (first * 2_f64.powi(failures)).min(longest),
            Err(_) => longest,
        };
        self.phase = Phase::Pausing { until: now + pause };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets every attempt fail at once for this long; returns when it was dialled.
    fn dials(link: &mut Link, from: f64, ms: f64) -> Vec<f64> {
        let mut dials = Vec::new();
        let mut now = from;
        while now < from + ms {
            now += 50.0;
            if link.poll(now) == Some(Step::Dial) {
                dials.push(now - from);
                link.closed(now);
            }
        }
        dials
    }

    #[test]
    fn a_new_link_fails_after_three_retries_a_second_apart() {
        let mut link = Link::default();
        assert_eq!(link.connect(0.0), Step::Dial);
        link.closed(0.0);
        assert_eq!(link.status(), Status::Connecting);
        assert_eq!(dials(&mut link, 0.0, 20_000.0), [1000.0, 2000.0, 3000.0]);
        assert!(link.status().given_up());
        assert_eq!(link.poll(1e9), None, "a failed link waits for a person");
    }

    #[test]
    fn an_attempt_is_abandoned_after_five_seconds_and_repeated_one_second_later() {
        let mut link = Link::default();
        link.connect(0.0);
        assert_eq!(link.poll(4999.0), None);
        assert_eq!(link.poll(5000.0), Some(Step::HangUp));
        assert_eq!(link.poll(5999.0), None);
        assert_eq!(link.poll(6000.0), Some(Step::Dial));
    }

    #[test]
    fn a_robot_that_never_said_hello_is_given_up_after_three_retries() {
        let mut link = Link::default();
        link.connect(0.0);
        link.opened();
        link.closed(0.0);
        assert_eq!(link.status(), Status::Reconnecting);
        assert_eq!(dials(&mut link, 0.0, 20_000.0), [1000.0, 2000.0, 3000.0]);
        assert!(link.status().given_up());
    }

    #[test]
    fn a_robot_that_said_hello_is_dialled_for_ever() {
        let mut link = Link::default();
        link.connect(0.0);
        link.opened();
        link.greeted();
        link.closed(0.0);
        let dialled = dials(&mut link, 0.0, 60_000.0);
        assert_eq!(dialled[..4], [250.0, 750.0, 1250.0, 1750.0]);
        assert!(dialled.windows(2).all(|pair| (250.0..=2000.0).contains(&(pair[1] - pair[0]))));
        assert!(dialled.len() > 50);
        assert!(link.status().wants_help() && !link.status().given_up());
        assert!(link.should_ask_first());
        link.opened();
        link.closed(1e9);
        assert_eq!((link.status(), link.should_ask_first()), (Status::Reconnecting, false), "the count starts again");
        assert_eq!(link.poll(1e9 + 250.0), Some(Step::Dial));
    }

    #[test]
    fn an_attempt_that_hangs_is_soon_replaced_where_the_robot_is_known() {
        let mut link = Link::default();
        link.connect(0.0);
        link.opened();
        link.greeted();
        link.closed(0.0);
        assert_eq!(link.poll(250.0), Some(Step::Dial));
        assert_eq!(link.poll(2750.0), Some(Step::HangUp));
        assert_eq!(link.poll(3250.0), Some(Step::Dial));
    }

    #[test]
    fn another_robot_has_to_say_hello_itself() {
        let mut link = Link::default();
        link.connect(0.0);
        link.opened();
        link.greeted();
        link.connect(1000.0);
        link.closed(1000.0);
        assert_eq!(dials(&mut link, 1000.0, 20_000.0).len(), 3);
    }

    #[test]
    fn a_late_close_after_disconnecting_changes_nothing() {
        let mut link = Link::default();
        link.connect(0.0);
        assert_eq!(link.disconnect(), Step::HangUp);
        link.closed(10.0);
        assert_eq!(link.status(), Status::NotConnected);
        assert_eq!(link.poll(1e9), None);
    }
}
