//! What one user's controllers say, from the socket to the step of the simulation.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use waldo_protocol::field::{MultiArmCommand, SessionArmControlMapper, XrInputSample};
use waldo_protocol::time::MonoTime;

use crate::vr::Bucket;

/// Samples per second that count; of more the latest counts.
pub(super) const MAX_RATE: u32 = 120;

/// Samples that may come at once after a pause of the network.
const AT_ONCE: f64 = 12.0;

/// Commands that wait for their step. Only presses of buttons make more than one wait; the newest pose replaces the one
/// before it.
const MAX_PENDING: usize = 8;

/// The commands of one user; the newest wins, and a press of a button in between is not lost.
#[derive(Debug)]
pub(super) struct Input {
    mapper: SessionArmControlMapper,
    limit: Duration,
    rate: Bucket,
    /// Came too soon after the ones before it.
    excess: Option<XrInputSample>,
    pending: VecDeque<Arc<MultiArmCommand>>,
    current: Option<Arc<MultiArmCommand>>,
    sample: Option<Arc<XrInputSample>>,
    heard: Option<MonoTime>,
    /// A command ended that a step may have seen. The next step sees none, whatever came since: what was held before it is
    /// not held on.
    ended: bool,
    /// It ended because nothing was heard for too long.
    expired: bool,
    thinned: u64,
}

/// What a step has of a user.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said {
    /// The command, if there is a live one.
    pub(super) command: Option<Arc<MultiArmCommand>>,
    /// The last command was too old, and is now forgotten.
    pub(super) expired: bool,
}

impl Input {
    /// For the arms of this mapper; silence longer than `limit` lets go of them.
    pub(super) fn new(mapper: SessionArmControlMapper, limit: Duration) -> Self {
        Self {
            mapper,
            limit,
            rate: Bucket::new(f64::from(MAX_RATE), AT_ONCE),
            excess: None,
            pending: VecDeque::new(),
            current: None,
            sample: None,
            heard: None,
            ended: false,
            expired: false,
            thinned: 0,
        }
    }

    /// A valid sample came.
    pub(super) fn on_sample(&mut self, now: MonoTime, sample: XrInputSample) {
        self.look_for_silence(now);
        self.heard = Some(now);
        if self.rate.take(now) {
            self.map(sample);
        } else {
            self.thinned += u64::from(self.excess.replace(sample).is_some());
        }
    }

    fn map(&mut self, sample: XrInputSample) {
        self.excess = None;
        let command = Arc::new(self.mapper.map(&sample));
        self.sample = Some(Arc::new(sample));
        let replaces = self.pending.back().is_some_and(|last| same_presses(last, &command));
        if replaces || self.pending.len() == MAX_PENDING {
            self.pending.pop_back();
        }
        self.pending.push_back(command);
    }

    /// The hands are gone: what they said last does not count any more.
    pub(super) fn end(&mut self) {
        self.ended |= self.current.is_some() || self.excess.is_some() || !self.pending.is_empty();
        (self.excess, self.current, self.sample, self.heard) = (None, None, None, None);
        self.pending.clear();
    }

    /// Somebody else, or the same one again, speaks for the user.
    pub(super) fn begin(&mut self, limit: Duration) {
        self.limit = limit;
        self.reset();
    }

    /// As it was at the start.
    pub(super) fn reset(&mut self) {
        self.end();
        self.mapper.reset();
    }

    fn look_for_silence(&mut self, now: MonoTime) {
        if self.heard.is_some_and(|heard| now.since(heard) >= self.limit) {
            self.end();
            self.expired = true;
        }
    }

    /// What counts in the step at `now`.
    pub(super) fn step(&mut self, now: MonoTime) -> Said {
        self.look_for_silence(now);
        if std::mem::take(&mut self.ended) {
            return Said { command: None, expired: std::mem::take(&mut self.expired) };
        }
        if self.excess.is_some()
            && self.rate.take(now)
            && let Some(sample) = self.excess.take()
        {
            self.map(sample);
        }
        if let Some(next) = self.pending.pop_front() {
            self.current = Some(next);
        }
        Said { command: self.current.clone(), expired: false }
    }

    /// The sample of the newest command, while that counts.
    pub(super) fn sample(&self) -> Option<&Arc<XrInputSample>> {
        self.sample.as_ref()
    }

    /// Samples that were left out since the last call because they came too fast.
    pub(super) fn take_thinned(&mut self) -> u64 {
        std::mem::take(&mut self.thinned)
    }
}

/// Whether the later one can take the place of the earlier one without anybody missing a press.
fn same_presses(earlier: &MultiArmCommand, later: &MultiArmCommand) -> bool {
    earlier.actions == later.actions
        && earlier.commands.len() == later.commands.len()
        && earlier.commands.iter().zip(&later.commands).all(|((arm, earlier), (other, later))| {
            arm == other && earlier.active == later.active && earlier.buttons == later.buttons
        })
}

#[cfg(test)]
mod tests {
    use waldo_protocol::field::{ControllerSample, LEFT, PRIMARY, RIGHT, Transform};

    use super::*;

    const LIMIT: Duration = Duration::from_millis(300);

    fn at(millis: u64) -> MonoTime {
        MonoTime::from_nanos(1_000_000_000 + millis * 1_000_000)
    }

    fn input() -> Input {
        Input::new(SessionArmControlMapper::for_arms("a_arm_0", "a_arm_1"), LIMIT)
    }

    fn sample(x: f64, primary: bool) -> XrInputSample {
        let mut hand = ControllerSample::at(Transform::at([x, 1.0, -0.4]));
        hand.buttons.insert(PRIMARY.to_owned(), primary);
        XrInputSample {
            timestamp: 1.0,
            head_pose: Transform::at([0.0, 1.6, 0.0]),
            controllers: [(LEFT.to_owned(), hand)].into(),
            actions: Default::default(),
        }
    }

    fn x(said: &Said) -> Option<f64> {
        Some(said.command.as_ref()?.commands["a_arm_0"].target.translation[0])
    }

    #[test]
    fn the_newest_command_counts_until_the_next_one() {
        let mut input = input();
        assert_eq!(input.step(at(0)), Said::default());
        input.on_sample(at(1), sample(0.1, false));
        input.on_sample(at(2), sample(0.5, false));
        let said = input.step(at(5));
        assert!((x(&said).unwrap() - 0.2).abs() < 1e-12, "every message was smoothed: {said:?}");
        assert_eq!(x(&input.step(at(10))), x(&said));
        assert!(input.sample().is_some_and(|sample| !sample.controllers.contains_key(RIGHT)));
    }

    #[test]
    fn silence_ends_the_command_once_and_only_samples_are_heard() {
        let mut input = input();
        input.on_sample(at(0), sample(0.1, false));
        assert!(input.step(at(299)).command.is_some());
        assert_eq!(input.step(at(300)), Said { command: None, expired: true });
        assert_eq!(input.step(at(305)), Said::default(), "told once");
        assert!(input.sample().is_none());
        input.on_sample(at(400), sample(0.2, false));
        assert!(input.step(at(405)).command.is_some());
    }

    #[test]
    fn hands_that_vanish_end_the_command_at_once() {
        let mut input = input();
        input.on_sample(at(0), sample(0.1, false));
        input.step(at(5));
        input.end();
        assert_eq!(input.step(at(10)), Said::default());
        assert_eq!(input.step(at(1000)), Said::default(), "and nobody is told of a silence");
    }

    #[test]
    fn hands_that_come_again_before_the_next_step_were_gone_for_one() {
        let ends: [fn(&mut Input); 3] = [Input::end, |input| input.begin(LIMIT), Input::reset];
        for end in ends {
            for seen in [true, false] {
                let mut input = input();
                input.on_sample(at(0), sample(0.1, true));
                if seen {
                    input.step(at(5));
                }
                end(&mut input);
                input.on_sample(at(6), sample(0.2, true));
                assert_eq!(input.step(at(10)), Said::default(), "what was held is not held on");
                assert!(input.step(at(15)).command.is_some(), "the new sample counts after that");
            }
        }
        let mut fresh = input();
        fresh.begin(LIMIT);
        fresh.on_sample(at(1), sample(0.1, false));
        assert!(fresh.step(at(5)).command.is_some(), "nothing had ended");
    }

    #[test]
    fn a_silence_that_no_step_saw_was_one_all_the_same() {
        let mut input = input();
        input.on_sample(at(0), sample(0.1, true));
        input.step(at(5));
        // The steps come late, or time is held.
        input.on_sample(at(301), sample(0.2, true));
        assert_eq!(input.step(at(302)), Said { command: None, expired: true });
        assert!(input.step(at(307)).command.is_some());
    }

    #[test]
    fn a_press_between_two_steps_is_not_lost() {
        let mut input = input();
        for (n, pressed) in [false, false, true, true, false].into_iter().enumerate() {
            input.on_sample(at(n as u64), sample(0.1, pressed));
        }
        let pressed = |said: Said| said.command.unwrap().commands["a_arm_0"].pressed(PRIMARY);
        let seen: Vec<_> = (1..=5).map(|n| pressed(input.step(at(n * 5)))).collect();
        assert_eq!(seen, [false, true, false, false, false]);
    }

    #[test]
    fn a_flood_of_presses_waits_in_bounded_number() {
        let mut input = input();
        for n in 0..1000 {
            input.on_sample(at(n), sample(0.1, n % 2 == 0));
            assert!(input.pending.len() <= MAX_PENDING);
        }
    }

    #[test]
    fn of_more_samples_than_may_be_the_latest_counts() {
        let mut input = input();
        let mut steps = 0.0;
        for n in 0..10_000u64 {
            input.on_sample(MonoTime::from_nanos(1_000_000_000 + n * 200_000), sample(n as f64 * 1e-4, false));
            if n % 25 == 0 {
                input.step(MonoTime::from_nanos(1_000_000_000 + n * 200_000));
                steps += 1.0;
            }
        }
        assert_eq!(steps, 400.0);
        assert!(input.take_thinned() > 9_000);
        // The latest one counts although nothing follows it.
        let last = sample(1.5, false);
        input.on_sample(at(2000), last.clone());
        (0..10).for_each(|n| drop(input.step(at(2005 + n * 5))));
        assert_eq!(**input.sample().unwrap(), last);
    }

    #[test]
    fn a_reset_forgets_filters_and_the_last_command() {
        let mut input = input();
        input.on_sample(at(0), sample(1.0, false));
        input.step(at(5));
        input.reset();
        assert_eq!(input.step(at(10)), Said::default());
        input.on_sample(at(11), sample(0.2, false));
        assert_eq!(x(&input.step(at(15))), Some(0.2), "the first sample is not smoothed");
    }
}
