//! Hands that a headset has not seen for long: the playout shows them where they were.

use std::time::Duration;

use waldo_protocol::vr::{Hand, Rendered};

/// A person looks away for a moment all the time.
const LOST_AFTER: Duration = Duration::from_secs(1);

/// Which hands are known to be lost.
#[derive(Debug, Default)]
pub(super) struct LostHands([bool; 2]);

impl LostHands {
    /// The hands that are lost now and were not before, with how long they have been held.
    pub(super) fn news(&mut self, rendered: Option<&Rendered>) -> Vec<(Hand, Duration)> {
        let mut news = Vec::new();
        for (known, hand) in self.0.iter_mut().zip([Hand::Left, Hand::Right]) {
            let lost = rendered.and_then(|rendered| rendered.held(hand)).filter(|held| *held >= LOST_AFTER);
            let was = std::mem::replace(known, lost.is_some());
            news.extend(lost.filter(|_| !was).map(|held| (hand, held)));
        }
        news
    }
}
