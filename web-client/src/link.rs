//! When to dial the robot: connect limit, retries, giving up. Sans-I/O; times are milliseconds of any monotonic clock.

/// An attempt that has not opened after this long is abandoned.
pub const CONNECT_LIMIT_MS: f64 = 5000.0;
/// Pause before each of the first retries.
pub const RETRY_PAUSE_MS: f64 = 1000.0;
/// Retries before a connection counts as failed.
pub const RETRIES: u32 = 3;
/// Pause between attempts of a page that had been connected, once the first retries have failed.
pub const LOST_PAUSE_MS: f64 = 3000.0;

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
    /// Was open a moment ago; the quick retries are under way.
    Reconnecting,
    /// Was open, the quick retries failed; trying on for ever, slowly.
    Lost,
    /// Never opened; waits for a person.
    Failed,
}

impl Status {
    /// The connection is gone for longer than a hiccup, so that a presentation in the headset makes no sense.
    pub fn given_up(self) -> bool {
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
}

impl Link {
    /// A person, or the page itself on loading, wants a connection.
    pub fn connect(&mut self, now: f64) -> Step {
        *self = Self { phase: Phase::Dialling { until: now + CONNECT_LIMIT_MS }, ..Self::default() };
        Step::Dial
    }

    /// A person wants no connection.
    pub fn disconnect(&mut self) -> Step {
        *self = Self::default();
        Step::HangUp
    }

    /// The socket opened.
    pub fn opened(&mut self) {
        *self = Self { phase: Phase::Open, failures: 0, was_open: true };
    }

    /// The socket closed, or could not be opened.
    pub fn closed(&mut self, now: f64) {
        match self.phase {
            Phase::Open => self.phase = Phase::Pausing { until: now + RETRY_PAUSE_MS },
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
            Phase::Pausing { until } if now >= until => {
                self.phase = Phase::Dialling { until: now + CONNECT_LIMIT_MS };
                Some(Step::Dial)
            }
            _ => None,
        }
    }

    /// The link as a person sees it.
    pub fn status(&self) -> Status {
        match self.phase {
            Phase::Idle => Status::NotConnected,
            Phase::Open => Status::Connected,
            Phase::Failed => Status::Failed,
            Phase::Dialling { .. } | Phase::Pausing { .. } => match (self.was_open, self.failures >= RETRIES) {
                (false, _) => Status::Connecting,
                (true, false) => Status::Reconnecting,
                (true, true) => Status::Lost,
            },
        }
    }

    fn attempt_failed(&mut self, now: f64) {
        self.failures = self.failures.saturating_add(1);
        // The attempt that follows a closed socket is itself a retry; the first one of a new link is not.
        let allowed = if self.was_open { RETRIES } else { RETRIES + 1 };
        self.phase = if self.failures < allowed {
            Phase::Pausing { until: now + RETRY_PAUSE_MS }
        } else if self.was_open {
            Phase::Pausing { until: now + LOST_PAUSE_MS }
        } else {
            Phase::Failed
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets every attempt fail at once and counts the dials until the link pauses for longer than `limit` or stops.
    fn dials_until(link: &mut Link, status: Status) -> u32 {
        let mut dials = 0;
        let mut now = 0.0;
        while link.status() != status {
            now += 100.0;
            assert!(now < 60_000.0, "never reached {status:?}");
            if link.poll(now) == Some(Step::Dial) {
                dials += 1;
                link.closed(now);
            }
        }
        dials
    }

    #[test]
    fn a_new_link_fails_after_three_retries() {
        let mut link = Link::default();
        assert_eq!(link.connect(0.0), Step::Dial);
        link.closed(0.0);
        assert_eq!(link.status(), Status::Connecting);
        assert_eq!(dials_until(&mut link, Status::Failed), 3);
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
    fn a_lost_link_is_given_up_after_three_retries_but_tried_for_ever() {
        let mut link = Link::default();
        link.connect(0.0);
        link.opened();
        link.closed(0.0);
        assert_eq!(link.status(), Status::Reconnecting);
        assert!(!link.status().given_up());
        assert_eq!(dials_until(&mut link, Status::Lost), 3);
        assert!(link.status().given_up());
        assert_eq!(link.poll(1e9), Some(Step::Dial));
        link.opened();
        assert_eq!(link.status(), Status::Connected);
        link.closed(2e9);
        assert_eq!(link.status(), Status::Reconnecting, "the count starts again");
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
