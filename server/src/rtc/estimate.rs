//! How much a client's network carries, judged from when the packets sent to it arrived. Sans-I/O.
//!
//! Two things tell of too much. A *standing queue*: of all packets of a moment not one came through as quickly as packets
//! can. Jitter delays some packets, a full queue delays all, so jitter alone takes nothing away. And *loss that follows
//! our rate*: what is lost as well when less is sent is the weather on the radio link, and sending less would not help.

mod loss;

use std::collections::VecDeque;
use std::time::Duration;

use self::loss::Loss;

/// Bounds of every estimate, in bits per second.
const LOWEST: f64 = 50_000.0;
const HIGHEST: f64 = 500_000_000.0;

/// Judgements are this far apart, and rest on this many packets.
const PERIOD: Duration = Duration::from_millis(150);
const PACKETS: u32 = 8;

/// All packets of a period were later than this: there is a queue, and it is ours. Above the second figure it delays the
/// operator noticeably, and more is taken away so that it empties.
const QUEUE: i64 = 40_000;
const LONG_QUEUE: i64 = 150_000;
/// The quickest packet was no later than this: there is room.
const NO_QUEUE: i64 = 15_000;

/// A queue that shrinks by so much from one judgement to the next needs no further cut.
const DRAINING: i64 = 10_000;

/// After a cut the next one waits until its effect can be seen.
const SETTLE: Duration = Duration::from_millis(400);

/// The delay of an empty path is the smallest within one to two of these; clocks drift apart, and paths change.
const BASE_WINDOW: Duration = Duration::from_secs(10);

/// The rate of arrival is measured over this time at most, and over that at least.
const RATE_WINDOW: Duration = Duration::from_millis(500);
const SHORTEST_RATE: Duration = Duration::from_millis(100);

/// Growth per second: near a rate that was too much more than once, or where nothing is sent that would prove it; near one
/// that was so once, and on the way to the other kind; everywhere else.
const CAREFUL_GROWTH: f64 = 1.08;
const GROWTH: f64 = 1.3;
const QUICK_GROWTH: f64 = 2.0;

/// Rates that differ by less than this factor are the same limit.
const SAME_LIMIT: f64 = 1.5;

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// When it left, on our clock.
    pub(super) sent: Duration,
    /// When it came, on the receiver's clock, which has nothing to do with ours.
    pub(super) arrived: Option<Duration>,
    /// It did not come. (It may have come at a time that the receiver does not tell.)
    pub(super) lost: bool,
    pub(super) bytes: usize,
}

/// The estimate for one connection.
#[derive(Debug)]
pub(super) struct Estimate {
    target: f64,
    guess: f64,
    base: BaseDelay,
    arrivals: VecDeque<Arrival>,
    period: Period,
    /// The queue of the period before.
    queue: i64,
    cut: Option<Duration>,
    /// What the path carried when it was too much last.
    limit: Option<Limit>,
    loss: Loss,
}

/// What a path carried when more was sent.
#[derive(Clone, Copy, Debug)]
struct Limit {
    rate: f64,
    /// There was no queue any more since.
    left: bool,
    /// It was met again later. A path that was too slow once may only have stumbled, as radio links do, and busy
    /// receivers, and a network that comes back.
    confirmed: bool,
}

#[derive(Clone, Copy, Debug)]
struct Arrival {
    sent: Duration,
    arrived: Duration,
    bytes: usize,
}

/// Bits per second of the packets that arrived lately: as they were sent, and as they arrived.
struct Rates {
    offered: f64,
    delivered: f64,
}

/// What was seen since the last judgement.
#[derive(Debug)]
struct Period {
    since: Duration,
    packets: u32,
    smallest_queue: i64,
}

impl Period {
    fn starting(now: Duration) -> Self {
        Self { since: now, packets: 0, smallest_queue: i64::MAX }
    }
}

impl Estimate {
    /// An estimate that begins with a guess, in bits per second.
    pub(super) fn new(now: Duration, guess: u32) -> Self {
        let guess = f64::from(guess).clamp(LOWEST, HIGHEST);
        Self {
            target: guess,
            guess,
            base: BaseDelay::default(),
            arrivals: VecDeque::new(),
            period: Period::starting(now),
            queue: 0,
            cut: None,
            limit: None,
            loss: Loss::new(now),
        }
    }

    /// Bits per second that the path is believed to carry, packet headers of RTP included.
    pub(super) fn bits_per_second(&self) -> f64 {
        self.target
    }

    /// Takes what the receiver reported, in the order of sending.
    pub(super) fn on_reports(&mut self, now: Duration, reports: &[Report]) {
        for report in reports {
            self.loss.count(report);
            if let Some(arrived) = report.arrived {
                let Some(queue) = self.base.queue(now, micros(arrived) - micros(report.sent)) else {
                    // The receiver's clock made a leap.
                    self.arrivals.clear();
                    self.period = Period::starting(now);
                    continue;
                };
                self.period.packets += 1;
                self.period.smallest_queue = self.period.smallest_queue.min(queue);
                self.arrivals.push_back(Arrival { sent: report.sent, arrived, bytes: report.bytes });
            }
        }
        self.forget_arrivals();
        let period = now.saturating_sub(self.period.since);
        if period >= PERIOD && self.period.packets >= PACKETS {
            self.judge_queue(now, period);
            self.period = Period::starting(now);
        }
        let rates = self.rates();
        let target = self.loss.judge(now, self.target, rates.as_ref().map(|rates| rates.offered));
        if target < self.target
            && let Some(rates) = rates
        {
            self.met_limit(rates.delivered);
        }
        self.target = target.clamp(LOWEST, HIGHEST);
    }

    fn judge_queue(&mut self, now: Duration, period: Duration) {
        let queue = self.period.smallest_queue;
        let before = std::mem::replace(&mut self.queue, queue);
        if queue <= NO_QUEUE
            && let Some(limit) = &mut self.limit
        {
            limit.left = true;
        }
        let Some(Rates { offered, delivered }) = self.rates() else { return };
        if queue > QUEUE {
            let settled = self.cut.is_none_or(|cut| now.saturating_sub(cut) >= SETTLE);
            if settled && queue > before - DRAINING {
                let share = if queue > LONG_QUEUE { 0.7 } else { 0.85 };
                if offered > 1.05 * delivered {
                    // Not all of it came through: what did is what the path carries.
                    self.met_limit(delivered);
                    self.target = self.target.min(delivered * share);
                } else {
                    self.target *= share;
                }
                self.cut = Some(now);
                self.loss.begin_anew(now);
            }
            return;
        }
        let proven = self.target < 1.5 * delivered;
        if queue <= NO_QUEUE && !self.loss.is_excessive() && (proven || self.target < self.guess) {
            // Beyond the guess no further than what is really sent proves. Up to it the proof is missing where a picture
            // that was made smaller needs less than it may take, and would stay small for ever.
            self.target *= self.growth(proven).powf(period.min(Duration::from_secs(1)).as_secs_f64());
        }
    }

    fn met_limit(&mut self, rate: f64) {
        let same = |limit: &Limit| rate < SAME_LIMIT * limit.rate && limit.rate < SAME_LIMIT * rate;
        let confirmed = self.limit.is_some_and(|limit| same(&limit) && (limit.left || limit.confirmed));
        self.limit = Some(Limit { rate, left: false, confirmed });
    }

    /// `proven`: what is really sent is not far below the target, so that too much of it would show.
    fn growth(&mut self, proven: bool) -> f64 {
        let limit = self.limit.filter(|limit| self.target <= 1.3 * limit.rate);
        self.limit = limit;
        let near = limit.is_some_and(|limit| self.target > 0.8 * limit.rate);
        let confirmed = limit.is_some_and(|limit| limit.confirmed);
        match (near, confirmed, proven) {
            (true, true, _) | (true, _, false) => CAREFUL_GROWTH,
            (true, false, true) | (false, true, _) | (false, _, false) => GROWTH,
            (false, false, true) => QUICK_GROWTH,
        }
    }

    /// None if too few packets arrived lately.
    fn rates(&self) -> Option<Rates> {
        let (first, last) = (self.arrivals.front()?, self.arrivals.back()?);
        let (sending, arriving) = (last.sent.saturating_sub(first.sent), last.arrived.saturating_sub(first.arrived));
        // The first packet took its time before.
        let bytes: usize = self.arrivals.iter().skip(1).map(|arrival| arrival.bytes).sum();
        #[expect(clippy::cast_precision_loss, reason = "bytes of half a second")]
        let rate = |time: Duration| bytes as f64 * 8.0 / time.as_secs_f64();
        let enough = sending >= SHORTEST_RATE && arriving >= SHORTEST_RATE;
        enough.then(|| Rates { offered: rate(sending), delivered: rate(arriving) })
    }

    fn forget_arrivals(&mut self) {
        let Some(newest) = self.arrivals.back().map(|arrival| arrival.arrived) else { return };
        let old = |arrival: &Arrival| arrival.arrived + RATE_WINDOW < newest || arrival.arrived > newest + RATE_WINDOW;
        while self.arrivals.front().is_some_and(old) {
            self.arrivals.pop_front();
        }
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

/// The time a packet needs on an empty path, in microseconds and plus what the clocks differ.
#[derive(Debug, Default)]
struct BaseDelay {
    since: Duration,
    current: Option<i64>,
    before: Option<i64>,
}

impl BaseDelay {
    /// How much longer than that a packet took; none if that cannot be.
    fn queue(&mut self, now: Duration, delay: i64) -> Option<i64> {
        const ABSURD: i64 = 60_000_000;
        if self.base().is_some_and(|base| (delay - base).abs() > ABSURD) {
            *self = Self { since: now, current: Some(delay), before: None };
            return None;
        }
        if now.saturating_sub(self.since) >= BASE_WINDOW {
            *self = Self { since: now, current: None, before: self.current };
        }
        self.current = Some(self.current.map_or(delay, |current| current.min(delay)));
        self.base().map(|base| delay - base)
    }

    fn base(&self) -> Option<i64> {
        self.current.into_iter().chain(self.before).min()
    }
}

#[cfg(test)]
mod tests;
