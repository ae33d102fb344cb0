//! What others cause is logged seldom.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use waldo_protocol::time::MonoTime;

/// Least time between two lines of one kind.
const EVERY: Duration = Duration::from_secs(1);

/// Which kinds of lines were logged lately. Kinds are words of the program's own, so there are few.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<BTreeMap<&'static str, MonoTime>>);

impl Seldom {
    /// Whether a line of this kind may be logged now: one per second.
    pub(crate) fn may_log(&self, now: MonoTime, kind: &'static str) -> bool {
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let may = logged.get(kind).is_none_or(|last| now.since(*last) >= EVERY);
        if may {
            logged.insert(kind, now);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_line_per_second_of_its_own() {
        let seldom = Seldom::default();
        let may = |millis: u64, kind| seldom.may_log(MonoTime::from_nanos(1_000_000_000 + millis * 1_000_000), kind);
        assert_eq!(
            [may(0, "a"), may(999, "a"), may(999, "b"), may(1000, "a"), may(1001, "b")],
            [true, false, true, true, false]
        );
    }
}
