//! Whether the robot still answers while it is driven: a dead network leaves the socket open for minutes. Sans-I/O; times are
//! milliseconds of any monotonic clock.

/// Silent for this long the operator is told.
const SILENT_MS: f64 = 500.0;
/// Silent for this long the socket counts as dead.
const DEAD_MS: f64 = 5000.0;

/// What is known of the robot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It answers, or nobody drives and nothing is to be told.
    Heard,
    /// Neither pictures come nor poses leave: what the operator does may move nothing.
    Silent,
    /// Silent for so long that only a new socket can help.
    Dead,
}

/// Measures the silence.
#[derive(Clone, Copy, Debug, Default)]
pub struct AnswerWatch {
    silent_since: Option<f64>,
}

impl AnswerWatch {
    /// To be called a few times a second.
    pub fn look(&mut self, silent: bool, now: f64) -> Answer {
        if !silent {
            self.silent_since = None;
            return Answer::Heard;
        }
        let since = *self.silent_since.get_or_insert(now);
        match now - since {
            passed if passed >= DEAD_MS => Answer::Dead,
            passed if passed >= SILENT_MS => Answer::Silent,
            _ => Answer::Heard,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_told_after_half_a_second_and_is_death_after_five() {
        let mut watch = AnswerWatch::default();
        assert_eq!(watch.look(true, 1000.0), Answer::Heard);
        assert_eq!(watch.look(true, 1500.0), Answer::Silent);
        assert_eq!(watch.look(true, 6000.0), Answer::Dead);
    }

    #[test]
    fn an_answer_ends_the_silence() {
        let mut watch = AnswerWatch::default();
        watch.look(true, 0.0);
        assert_eq!(watch.look(false, 4900.0), Answer::Heard);
        assert_eq!(watch.look(true, 5000.0), Answer::Heard);
    }
}
