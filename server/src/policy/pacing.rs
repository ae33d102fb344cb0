//! When a stream of observations sends the next one. Pure, in virtual time.

use std::time::Duration;

use waldo_protocol::time::MonoTime;

/// How long the first of several cameras that came together last time waits for the others.
const PATIENCE: Duration = Duration::from_millis(5);

/// As that, for the very first pictures: cameras may have to wake up.
const WAKING: Duration = Duration::from_secs(1);

/// Decides from when on the newest of all sensors is sent.
///
/// A stream follows its cameras: a new picture is sent as soon as those are there that came together with it the last
/// time. Where a rate is wanted, pictures above it are left out rather than sent late. If it is higher than that of every camera, or no camera
/// is wanted, the newest of all is sent at that rate, new pictures or not; and at a low rate if the cameras fell silent.
#[derive(Debug)]
pub(super) struct Pacing {
    /// Between two observations; `None`: with each new picture.
    period: Option<Duration>,
    due: MonoTime,
    /// Of each camera whether it was new the last time.
    together: Vec<bool>,
    /// When the first picture came that was not sent.
    since: Option<MonoTime>,
    patience: Duration,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Send the newest now.
    Send,
    /// Ask again then, or when something is new.
    At(MonoTime),
    /// Ask again when something is new.
    News,
    /// What is new comes too soon: it is left out.
    LeaveOut,
}

impl Next {
    fn from(now: MonoTime, at: MonoTime) -> Self {
        if at <= now { Self::Send } else { Self::At(at) }
    }
}

impl Pacing {
    /// A stream of so many observations per second; 0: each new picture.
    pub(super) fn new(hz: f64, now: MonoTime) -> Self {
        let period = (hz > 0.0).then(|| Duration::from_secs_f64((1.0 / hz).min(3600.0)));
        Self { period, due: now, together: Vec::new(), since: None, patience: WAKING }
    }

    /// `new` says of each camera whether it has a picture that was neither sent nor left out; `fps` is the rate of the
    /// fastest.
    pub(super) fn next(&mut self, now: MonoTime, new: &[bool], fps: f64) -> Next {
        self.together.resize(new.len(), true);
        let any = new.contains(&true);
        let complete = self.together.iter().zip(new).all(|(together, new)| *new || !*together);
        let patience = if complete { Duration::ZERO } else { self.patience };
        let Some(period) = self.period else {
            let since = any.then(|| *self.since.get_or_insert(now));
            return since.map_or(Next::News, |since| Next::from(now, since + patience));
        };
        let early = self.due - period / 4;
        let faster = new.is_empty() || fps * 1.25 < 1.0 / period.as_secs_f64();
        if any && self.since.is_none() && !faster && now < early {
            return Next::LeaveOut;
        }
        let since = any.then(|| *self.since.get_or_insert(now));
        let waking = self.patience == WAKING && !new.is_empty();
        let idle = match (faster, waking) {
            (_, true) => self.due + WAKING,
            (true, false) => self.due,
            (false, false) => self.due + period + period / 2,
        };
        let ready = since.map(|since| (since + patience).max(early));
        Next::from(now, ready.map_or(idle, |ready| ready.min(idle)))
    }

    /// The newest was sent; `new` as before.
    pub(super) fn sent(&mut self, now: MonoTime, new: &[bool]) {
        if new.contains(&true) {
            self.together = new.to_vec();
        }
        self.since = None;
        self.patience = PATIENCE;
        if let Some(period) = self.period {
            // A picture may come early by a quarter of a period.
            self.due = self.due.max(now - period / 4) + period;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000_000;

    fn at(micros: u64) -> MonoTime {
        MonoTime::from_nanos(micros * 1000)
    }

    /// Runs cameras with these periods and phases (microseconds) for some seconds; gives when observations were sent, and
    /// which cameras were new in each.
    fn run(hz: f64, cameras: &[(u64, u64)], seconds: u64) -> Vec<(u64, Vec<bool>)> {
        let mut pacing = Pacing::new(hz, at(START));
        let fastest = cameras.iter().map(|(period, _)| 1e6 / *period as f64).fold(0.0, f64::max);
        let (mut new, mut sent) = (vec![false; cameras.len()], Vec::new());
        // A clock of a quarter of a millisecond, which is finer than that of the service.
        for now in (START..START + seconds * 1_000_000).step_by(250) {
            for (new, (period, phase)) in new.iter_mut().zip(cameras) {
                let elapsed = (now - START).checked_sub(*phase);
                *new |= elapsed.is_some_and(|elapsed| elapsed % period < 250);
            }
            match pacing.next(at(now), &new, fastest) {
                Next::Send => {
                    pacing.sent(at(now), &new);
                    sent.push((now, std::mem::replace(&mut new, vec![false; cameras.len()])));
                }
                Next::LeaveOut => new.fill(false),
                Next::At(_) | Next::News => {}
            }
        }
        sent
    }

    #[test]
    fn every_picture_is_sent_at_once_at_the_rate_of_the_camera() {
        for hz in [0.0, 30.0, 31.0] {
            let sent = run(hz, &[(33_333, 7_000)], 20);
            assert!(sent.len() >= 598, "{hz}: {}", sent.len());
            assert!(sent.iter().all(|(at, new)| new[0] && (at - START - 7_000) % 33_333 < 250), "{hz}");
        }
        // A camera that is a little slower than the rate is followed all the same.
        let slow = run(30.0, &[(33_400, 0)], 20);
        assert!(slow.len() >= 597 && slow.iter().all(|(at, new)| new[0] && (at - START) % 33_400 < 250));
    }

    #[test]
    fn pictures_above_the_rate_are_left_out() {
        for (hz, period, expected) in
            [(30.0, 16_667, 600), (20.0, 33_333, 400), (10.0, 33_333, 200), (30.0, 22_222, 600)]
        {
            let sent = run(hz, &[(period, 0)], 20);
            assert!(sent.len().abs_diff(expected) <= 4, "{hz} of {period}: {}", sent.len());
            assert!(sent.iter().all(|(at, _)| (at - START) % period < 250), "new ones are sent: {hz} of {period}");
        }
    }

    #[test]
    fn a_higher_rate_than_the_cameras_repeats_pictures_for_the_sake_of_the_rest() {
        let sent = run(100.0, &[(33_333, 0)], 10);
        assert!(sent.len().abs_diff(1000) <= 2, "{}", sent.len());
        assert!(run(100.0, &[], 10).len().abs_diff(1000) <= 2, "nor are cameras needed");
    }

    #[test]
    fn cameras_that_come_together_are_sent_together_and_a_dead_one_is_not_waited_for() {
        let sent = run(30.0, &[(33_333, 0), (33_333, 1_500), (33_333, 3_000)], 10);
        assert!(sent.len() >= 298 && sent.iter().all(|(_, new)| *new == [true; 3]), "{}", sent.len());
        let late = |(at, _): &(u64, Vec<bool>)| (at - START) % 33_333;
        assert!(sent.iter().all(|one| (3_000..3_500).contains(&late(one))));

        let sent = run(30.0, &[(33_333, 0), (1 << 40, 1 << 40)], 10);
        assert!(sent.len() >= 265, "{}", sent.len());
        assert!(sent[1..].iter().all(|one| late(one) < 500), "{:?}", &sent[..3]);
    }

    #[test]
    fn a_stream_of_silent_cameras_goes_on_at_a_low_rate_and_finds_them_again() {
        let mut pacing = Pacing::new(30.0, at(START));
        assert_eq!(pacing.next(at(START), &[true], 30.0), Next::Send);
        pacing.sent(at(START), &[true]);
        let Next::At(idle) = pacing.next(at(START + 1000), &[false], 30.0) else { panic!() };
        assert!(idle.since(at(START)) >= Duration::from_millis(66), "{idle:?}");
        assert_eq!(pacing.next(idle, &[false], 30.0), Next::Send);
        pacing.sent(idle, &[false]);
        let back = idle + Duration::from_millis(40);
        assert_eq!(pacing.next(back, &[true], 30.0), Next::Send);
        // With each new picture, silence is silence.
        let mut each = Pacing::new(0.0, at(START));
        assert_eq!(each.next(at(START), &[false], 0.0), Next::News);
    }
}
