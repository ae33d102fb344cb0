//! What to do next about a way that broke. Sans-I/O; times are milliseconds of any monotonic clock.

/// If the broker answers but the SFU is not heard for this long, that connection is of no use.
pub const BACK_WITHIN_MS: f64 = 1000.0;
/// A robot that does not come back in this time is likely to come back as another session.
pub const LIMIT_MS: f64 = 20_000.0;

/// The connection to the SFU, as the browser sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// It stands.
    Stands,
    /// Nothing comes, and it may come back.
    Interrupted,
    /// The browser has given it up.
    Over,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask whether the broker is there.
    Ask,
    /// Ask for a bridge over the connection of before.
    Bridge,
    /// Make everything anew.
    MakeAnew,
}

/// Why there is no bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoBridge {
    /// The broker does not answer.
    Unreachable,
    /// The SFU has no way to the robot at present.
    NotReady,
    /// Anything else.
    Refused,
}

/// One attempt to use the connection of before.
#[derive(Clone, Copy, Debug)]
pub struct Mending {
    began: f64,
    /// Since when the broker answers.
    answers: Option<f64>,
    hopeless: bool,
}

impl Mending {
    /// The way broke now.
    pub fn begin(now: f64) -> Self {
        Self { began: now, answers: None, hopeless: false }
    }

    /// What to do now.
    pub fn next(&self, connection: Connection, now: f64) -> Step {
        let answers_long = self.answers.is_some_and(|since| now - since > BACK_WITHIN_MS);
        match connection {
            _ if self.hopeless => Step::MakeAnew,
            Connection::Over => Step::MakeAnew,
            Connection::Interrupted if answers_long => Step::MakeAnew,
            Connection::Stands if self.answers.is_some() => Step::Bridge,
            Connection::Stands | Connection::Interrupted => Step::Ask,
        }
    }

    /// The broker answered, or did not.
    pub fn asked(&mut self, answers: bool, now: f64) {
        self.answers = answers.then(|| self.answers.unwrap_or(now));
    }

    /// The broker made no bridge.
    pub fn failed(&mut self, why: NoBridge, now: f64) {
        match why {
            NoBridge::Unreachable => self.answers = None,
            NoBridge::NotReady => self.hopeless = now - self.began >= LIMIT_MS,
            NoBridge::Refused => self.hopeless = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_comes_back_is_bridged_once_the_broker_answers() {
        let mut mending = Mending::begin(0.0);
        assert_eq!(mending.next(Connection::Stands, 0.0), Step::Ask);
        mending.asked(false, 1000.0);
        assert_eq!(mending.next(Connection::Stands, 60_000.0), Step::Ask);
        mending.asked(true, 60_100.0);
        assert_eq!(mending.next(Connection::Stands, 60_100.0), Step::Bridge);
        mending.failed(NoBridge::Unreachable, 70_000.0);
        assert_eq!(mending.next(Connection::Stands, 70_000.0), Step::Ask);
    }

    #[test]
    fn a_connection_that_stays_away_while_the_broker_answers_is_made_anew() {
        let mut mending = Mending::begin(0.0);
        mending.asked(true, 100.0);
        assert_eq!(mending.next(Connection::Interrupted, 100.0 + BACK_WITHIN_MS), Step::Ask);
        assert_eq!(mending.next(Connection::Interrupted, 101.0 + BACK_WITHIN_MS), Step::MakeAnew);
        // One answer that slipped through a network that is down says little.
        mending.asked(false, 1200.0);
        assert_eq!(mending.next(Connection::Interrupted, 1200.0), Step::Ask);
        assert_eq!(mending.next(Connection::Over, 1200.0), Step::MakeAnew);
    }

    #[test]
    fn a_robot_that_is_away_is_waited_for_and_a_refusal_is_final() {
        let mut mending = Mending::begin(0.0);
        mending.asked(true, 0.0);
        mending.failed(NoBridge::NotReady, LIMIT_MS - 1.0);
        assert_eq!(mending.next(Connection::Stands, LIMIT_MS - 1.0), Step::Bridge);
        mending.failed(NoBridge::NotReady, LIMIT_MS);
        assert_eq!(mending.next(Connection::Stands, LIMIT_MS), Step::MakeAnew);
        let mut mending = Mending::begin(0.0);
        mending.failed(NoBridge::Refused, 1.0);
        assert_eq!(mending.next(Connection::Stands, 1.0), Step::MakeAnew);
    }
}
