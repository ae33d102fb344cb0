//! What one direction of a network does to packets. Pure: time comes in as an argument, chance from a seed.

use std::ops::Range;
use std::time::Duration;

use fastrand::Rng;

/// How far a packet falls behind at most when it is reordered.
const HELD_BACK: Duration = Duration::from_millis(20);

/// A bottleneck: a token bucket, and the queue before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What passes in the long run.
    pub bits_per_second: u64,
    /// Bytes that pass at once after a rest.
    pub burst: u32,
    /// Bytes that may wait; a packet that would wait behind more is dropped.
    pub queue: u32,
}

impl Rate {
    /// How long so many bytes take.
    fn time(self, bytes: u64) -> Duration {
        Duration::from_nanos(bytes * 8 * 1_000_000_000 / self.bits_per_second.max(1))
    }
}

/// The state of one direction. The default is a perfect cable.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// What every packet takes.
    pub delay: Duration,
    /// What a packet takes in addition: uniformly distributed between none and this. No packet overtakes another by it.
    pub jitter: Duration,
    /// Share of the packets that are lost, 0 to 1.
    pub loss: f64,
    /// Share of the packets that are held back by up to 20 ms, so that later ones overtake them, 0 to 1.
    pub reordering: f64,
    /// The bottleneck, if there is one.
    pub rate: Option<Rate>,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It comes out at this time.
    Arrives(Duration),
    /// Bad luck.
    Lost,
    /// The queue before the bottleneck was full.
    Overflowed,
    /// The cable was cut.
    Cut,
}

/// How many packets met which fate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Came through.
    pub arrived: u64,
    /// Were lost by chance.
    pub lost: u64,
    /// Found the queue full.
    pub overflowed: u64,
    /// Met a cut cable.
    pub cut: u64,
}

/// One direction of a cable. Times are since the cable was laid; they never go back.
#[derive(Clone, Debug)]
pub struct Link {
    conditions: Conditions,
    chance: Rng,
    cuts: Vec<Range<Duration>>,
    /// When the bucket will be full again.
    rested: Duration,
    /// When the last packet arrives that was not held back.
    last: Duration,
    counts: Counts,
}

impl Link {
    /// A link in this state. The same seed brings the same packets the same fates.
    pub fn new(conditions: Conditions, seed: u64) -> Self {
        Self {
            conditions,
            chance: Rng::with_seed(seed),
            cuts: Vec::new(),
            rested: Duration::ZERO,
            last: Duration::ZERO,
            counts: Counts::default(),
        }
    }

    /// Changes the state for packets that come from now on.
    pub fn set(&mut self, conditions: Conditions) {
        self.conditions = conditions;
    }

    /// Nothing enters at these times.
    pub fn cut(&mut self, times: Range<Duration>) {
        self.cuts.retain(|cut| cut.end > times.start);
        self.cuts.push(times);
    }

    /// A packet of this many bytes enters now.
    pub fn pass(&mut self, now: Duration, bytes: usize) -> Fate {
        let fate = self.fate(now, bytes as u64);
        *match fate {
            Fate::Arrives(_) => &mut self.counts.arrived,
            Fate::Lost => &mut self.counts.lost,
            Fate::Overflowed => &mut self.counts.overflowed,
            Fate::Cut => &mut self.counts.cut,
        } += 1;
        fate
    }

    /// What became of the packets so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn fate(&mut self, now: Duration, bytes: u64) -> Fate {
        // Three draws for each packet, whatever the conditions, so that a change of one leaves the others' luck alone.
        let [loss, jitter, reordering] = std::array::from_fn(|_| self.chance.f64());
        if self.cuts.iter().any(|cut| cut.contains(&now)) {
            return Fate::Cut;
        }
        if loss < self.conditions.loss {
            return Fate::Lost;
        }
        let Some(leaves) = self.leave(now, bytes) else { return Fate::Overflowed };
        let arrives = leaves + self.conditions.delay + self.conditions.jitter.mul_f64(jitter);
        if reordering < self.conditions.reordering {
            return Fate::Arrives(arrives + HELD_BACK.mul_f64(reordering / self.conditions.reordering));
        }
        self.last = self.last.max(arrives);
        Fate::Arrives(self.last)
    }

    /// When the packet leaves the bottleneck; none if it does not fit into the queue.
    fn leave(&mut self, now: Duration, bytes: u64) -> Option<Duration> {
        let Some(rate) = self.conditions.rate else { return Some(now) };
        let leaves = now.max(self.rested.saturating_sub(rate.time(rate.burst.into())));
        if leaves - now > rate.time(rate.queue.into()) {
            return None;
        }
        self.rested = self.rested.max(now) + rate.time(bytes);
        Some(leaves)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const SLOW: Rate = Rate { bits_per_second: 2_000_000, burst: 3000, queue: 32_000 };

    /// Arrival times of packets that enter at these times.
    fn arrivals(link: &mut Link, times: impl IntoIterator<Item = (Duration, usize)>) -> Vec<Option<Duration>> {
        let arrival = |(now, bytes)| match link.pass(now, bytes) {
            Fate::Arrives(at) => Some(at),
            _ => None,
        };
        times.into_iter().map(arrival).collect()
    }

    #[test]
    fn a_perfect_cable_takes_no_time_and_loses_nothing() {
        let mut link = Link::new(Conditions::default(), 1);
        let times = (0..1000).map(|n| (ms(n), 1500));
        assert!(arrivals(&mut link, times).iter().zip(0..).all(|(at, n)| *at == Some(ms(n))));
        assert_eq!(link.counts(), Counts { arrived: 1000, ..Counts::default() });
    }

    #[test]
    fn the_share_of_losses_is_the_one_asked_for() {
        let mut link = Link::new(Conditions { loss: 0.05, ..Conditions::default() }, 7);
        let lost = (0..100_000).filter(|n| link.pass(ms(*n), 1500) == Fate::Lost).count();
        assert!((4700..5300).contains(&lost), "{lost} of 100000");
        assert_eq!(link.counts().lost, lost as u64);
    }

    #[test]
    fn a_cut_takes_what_enters_meanwhile_and_nothing_else() {
        let mut link = Link::new(Conditions { delay: ms(100), ..Conditions::default() }, 1);
        link.cut(ms(1000)..ms(4000));
        let at = |link: &mut Link, now| link.pass(ms(now), 100);
        assert_eq!(at(&mut link, 999), Fate::Arrives(ms(1099)), "was on its way already");
        assert_eq!([at(&mut link, 1000), at(&mut link, 3999)], [Fate::Cut; 2]);
        assert_eq!(at(&mut link, 4000), Fate::Arrives(ms(4100)));
    }

    #[test]
    fn a_rested_bottleneck_lets_a_burst_through_and_then_its_rate() {
        let mut link = Link::new(Conditions { rate: Some(SLOW), ..Conditions::default() }, 1);
        // A packet of 1000 bytes takes 4 ms at 2 Mbit/s.
        let at = arrivals(&mut link, (0..6).map(|_| (ms(10), 1000)));
        assert_eq!(at, [10, 10, 10, 10, 14, 18].map(|at| Some(ms(at))));
    }

    #[test]
    fn the_queue_before_a_bottleneck_is_bounded() {
        let mut link = Link::new(Conditions { rate: Some(SLOW), ..Conditions::default() }, 1);
        let at = arrivals(&mut link, (0..200).map(|_| (ms(0), 1000)));
        let through = at.iter().flatten().count();
        // The burst, the one that empties the bucket, and what fits into the queue.
        assert!((35..=37).contains(&through), "{through}");
        assert_eq!(link.counts().overflowed, 200 - through as u64);
        assert!(matches!(link.pass(ms(500), 1000), Fate::Arrives(at) if at == ms(500)), "the queue has emptied");
    }

    fn conditions() -> impl Strategy<Value = Conditions> {
        let rate = proptest::option::of((100_000_u64..50_000_000, 0_u32..20_000, 1500_u32..200_000));
        (0_u64..300, 0_u64..100, 0.0..0.5, 0.0..0.5, rate).prop_map(|(delay, jitter, loss, reordering, rate)| {
            let rate = rate.map(|(bits_per_second, burst, queue)| Rate { bits_per_second, burst, queue });
            Conditions { delay: ms(delay), jitter: ms(jitter), loss, reordering, rate }
        })
    }

    /// Packets, in order: when they enter, and their bytes.
    fn packets() -> impl Strategy<Value = Vec<(Duration, usize)>> {
        proptest::collection::vec((0_u64..5000, 20_usize..1500), 1..300).prop_map(|steps| {
            let mut now = Duration::ZERO;
            let step = |(micros, bytes)| {
                now += Duration::from_micros(micros);
                (now, bytes)
            };
            steps.into_iter().map(step).collect()
        })
    }

    proptest! {
        #[test]
        fn the_same_seed_brings_the_same_fates(c in conditions(), packets in packets(), seed: u64) {
            let [a, b] = [(); 2].map(|()| arrivals(&mut Link::new(c, seed), packets.clone()));
            prop_assert_eq!(a, b);
        }

        #[test]
        fn nothing_arrives_too_early_or_later_than_all_its_obstacles_take(c in conditions(), packets in packets()) {
            let waits = c.rate.map_or(Duration::ZERO, |rate| rate.time(rate.queue.into()));
            for ((now, _), at) in packets.iter().zip(arrivals(&mut Link::new(c, 1), packets.clone())) {
                let Some(at) = at else { continue };
                prop_assert!(at >= *now + c.delay);
                prop_assert!(at <= *now + waits + c.delay + c.jitter + HELD_BACK);
            }
        }

        #[test]
        fn only_reordering_reorders(c in conditions(), packets in packets()) {
            let c = Conditions { reordering: 0.0, ..c };
            let at: Vec<_> = arrivals(&mut Link::new(c, 1), packets).into_iter().flatten().collect();
            prop_assert!(at.is_sorted());
        }

        #[test]
        fn a_bottleneck_never_passes_more_than_its_rate(c in conditions(), packets in packets()) {
            let Some(rate) = c.rate else { return Ok(()) };
            let c = Conditions { rate: c.rate, ..Conditions::default() };
            let mut passed = Vec::new();
            for ((_, bytes), at) in packets.iter().zip(arrivals(&mut Link::new(c, 1), packets.clone())) {
                passed.extend(at.map(|at| (at, *bytes as u64)));
            }
            for first in 0..passed.len() {
                let mut bytes = 0;
                for (at, size) in &passed[first..] {
                    // The bucket may be overdrawn by the packet that empties it.
                    let allowed = rate.bits_per_second as f64 / 8.0 * (*at - passed[first].0).as_secs_f64();
                    prop_assert!(bytes as f64 <= allowed + f64::from(rate.burst) + 1.0, "{bytes} bytes");
                    bytes += size;
                }
            }
        }
    }
}
