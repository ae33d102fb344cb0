//! When to encode what: repeats, keyframes, media time.

use std::time::Duration;

use waldo_protocol::time::MonoTime;

/// With no new picture for this long the last one is encoded again, for late viewers and lossy links.
const REPEAT: Duration = Duration::from_millis(500);

/// A keyframe that is asked for waits this long for a new picture before the last one is encoded again.
const KEYFRAME_PATIENCE: Duration = Duration::from_millis(100);

/// Keyframe requests within this time are answered by one keyframe.
const KEYFRAME_SPACING: Duration = Duration::from_millis(300);

/// A capture time further in the past than this says nothing about when to show the picture.
const STALE: Duration = Duration::from_secs(1);

/// Media times of successive pictures differ at least by this, well above a tick of the 90 kHz clock.
const MIN_STEP: Duration = Duration::from_millis(1);

/// The timing state of one running encoder. Makes no calls and reads no clock.
pub(super) struct Schedule {
    started: MonoTime,
    encoded: Option<MonoTime>,
    keyframe: Option<MonoTime>,
    keyframe_wanted: bool,
    media_time: Option<MonoTime>,
}

impl Schedule {
    pub(super) fn new(now: MonoTime) -> Self {
        Self { started: now, encoded: None, keyframe: None, keyframe_wanted: false, media_time: None }
    }

    /// Somebody needs a keyframe.
    pub(super) fn want_keyframe(&mut self) {
        self.keyframe_wanted = true;
    }

    /// When to encode the last picture again, unless a new one comes before.
    pub(super) fn repeat_at(&self) -> MonoTime {
        match self.encoded {
            None => self.started + REPEAT,
            Some(encoded) if self.keyframe_wanted => {
                let soon = encoded + KEYFRAME_PATIENCE;
                self.keyframe.map_or(soon, |last| soon.max(last + KEYFRAME_SPACING))
            }
            Some(encoded) => encoded + REPEAT,
        }
    }

    /// Whether a picture encoded now has to be a keyframe.
    pub(super) fn keyframe_due(&self, now: MonoTime) -> bool {
        self.keyframe_wanted && self.keyframe.is_none_or(|last| now >= last + KEYFRAME_SPACING)
    }

    /// Notes that a picture was encoded, or could not be.
    pub(super) fn done(&mut self, now: MonoTime, keyframe: bool) {
        self.encoded = Some(now);
        if keyframe {
            self.keyframe = Some(now);
            self.keyframe_wanted = false;
        }
    }

    /// The time that orders this picture among the others: its capture time, or now for a repeated picture and for
    /// capture times that cannot be right. Always later than that of the picture before.
    pub(super) fn media_time(&mut self, now: MonoTime, captured: Option<MonoTime>) -> MonoTime {
        let plausible = captured.filter(|&c| c <= now && now.since(c) <= STALE).unwrap_or(now);
        let time = self.media_time.map_or(plausible, |last| plausible.max(last + MIN_STEP));
        self.media_time = Some(time);
        time
    }
}

/// How many pictures a source gives in a second.
pub(super) struct Pace {
    last: Option<MonoTime>,
    /// Seconds between pictures, averaged over about ten of them.
    period: f64,
}

impl Pace {
    /// Assumes this rate until there are pictures.
    pub(super) fn new(fps: f64) -> Self {
        Self { last: None, period: 1.0 / fps }
    }

    /// A new picture came; repeated ones do not count.
    pub(super) fn note(&mut self, now: MonoTime) {
        if let Some(last) = self.last.replace(now) {
            // A source that paused says nothing about its rate.
            let gap = now.since(last).as_secs_f64().min(REPEAT.as_secs_f64());
            self.period += (gap - self.period) / 10.0;
        }
    }

    /// Pictures per second.
    pub(super) fn fps(&self) -> f64 {
        (1.0 / self.period).clamp(1.0, 120.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> MonoTime {
        MonoTime::from_nanos(10_000_000_000) + Duration::from_millis(ms)
    }

    #[test]
    fn the_last_picture_is_repeated_after_half_a_second_of_silence() {
        let mut schedule = Schedule::new(ms(0));
        assert_eq!(schedule.repeat_at(), ms(500));
        schedule.done(ms(40), true);
        assert_eq!(schedule.repeat_at(), ms(540));
        schedule.done(ms(540), false);
        assert_eq!(schedule.repeat_at(), ms(1040));
    }

    #[test]
    fn a_keyframe_is_not_delayed_by_a_silent_source() {
        let mut schedule = Schedule::new(ms(0));
        schedule.done(ms(0), true);
        schedule.done(ms(400), false);
        schedule.want_keyframe();
        assert_eq!(schedule.repeat_at(), ms(500));
        assert!(schedule.keyframe_due(ms(500)));
    }

    #[test]
    fn keyframe_requests_are_merged_to_one_in_300_ms() {
        let mut schedule = Schedule::new(ms(0));
        schedule.want_keyframe();
        assert!(schedule.keyframe_due(ms(0)));
        schedule.done(ms(0), true);
        assert!(!schedule.keyframe_due(ms(1000)), "answered");
        schedule.want_keyframe();
        schedule.want_keyframe();
        assert!(!schedule.keyframe_due(ms(299)));
        assert_eq!(schedule.repeat_at(), ms(300));
        assert!(schedule.keyframe_due(ms(300)));
        schedule.done(ms(300), true);
        assert!(!schedule.keyframe_due(ms(900)));
    }

    #[test]
    fn a_keyframe_the_encoder_made_by_itself_answers_a_request() {
        let mut schedule = Schedule::new(ms(0));
        schedule.want_keyframe();
        schedule.done(ms(10), true);
        assert!(!schedule.keyframe_due(ms(1000)));
    }

    #[test]
    fn media_time_follows_the_capture_and_always_rises() {
        let mut schedule = Schedule::new(ms(0));
        assert_eq!(schedule.media_time(ms(15), Some(ms(10))), ms(10));
        assert_eq!(schedule.media_time(ms(515), None), ms(515), "a repeated picture");
        assert_eq!(schedule.media_time(ms(520), Some(ms(514))), ms(516), "captured before the repeat");
        assert_eq!(schedule.media_time(ms(550), Some(ms(9000))), ms(550), "from the future");
        assert_eq!(schedule.media_time(ms(9000), Some(ms(560))), ms(9000), "stale");
    }

    #[test]
    fn the_pace_follows_the_source() {
        let mut pace = Pace::new(30.0);
        let mut now = 0;
        let mut after = |gap: u64, pictures: u64| {
            for _ in 0..pictures {
                now += gap;
                pace.note(ms(now));
            }
            pace.fps().round()
        };
        assert_eq!(after(33, 5), 30.0);
        assert_eq!(after(100, 60), 10.0);
        assert_eq!(after(16, 60), 62.0);
        assert!(after(60_000, 1) > 10.0, "a pause");
        assert_eq!(after(0, 200), 120.0);
    }
}
