//! What the robot tells of the commands it receives: their age, rate and loss.

use std::collections::VecDeque;

use super::staleness::Dropped;

/// Arrivals that the figures are of.
pub const WINDOW: usize = 120;
/// Streams whose numbering is followed.
pub const MAX_STREAMS: usize = 16;
/// After this long without a twist, in seconds, poses and Joys stand in for it.
const STANDS_IN_AFTER: f64 = 1.0;
/// A longer address is nobody's; its messages are counted only.
const MAX_FRAME_ID: usize = 64;
/// Sequence numbers have 31 bits.
const SEQ_MASK: u32 = i32::MAX.unsigned_abs();

/// The kinds of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CommandKind {
    /// A velocity.
    Twist,
    /// The pose of a hand.
    Pose,
    /// Sticks and buttons of a hand.
    Joy,
}

/// A command as it arrives, before anything is judged.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Its type.
    pub kind: CommandKind,
    /// Its `frame_id`; each numbers its messages on its own.
    pub frame_id: &'a str,
    /// `header.seq`; 0 or less is none.
    pub seq: i32,
    /// When it was sent, Unix seconds of the robot's clock.
    pub stamp: f64,
    /// When it arrived, on the same clock.
    pub at: f64,
    /// Its size as it came.
    pub bytes: usize,
}

/// The figures of the newest arrivals.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// Median of arrival minus stamp, ms.
    pub latency_ms: f64,
    /// Median of the intervals between arrivals, ms. The name is the wire's; it is no deviation.
    pub jitter_ms: f64,
    /// Arrivals per second; `None` if all arrived at once.
    pub rate_hz: Option<f64>,
    /// Bits per second; `None` if all arrived at once.
    pub throughput_bps: Option<f64>,
    /// The deviation of the transit time as RFC 3550 smooths it, ms.
    pub jitter_rfc3550_ms: f64,
}

/// What became of all commands so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Arrived.
    pub received: u64,
    /// Arrived with a number.
    pub numbered: u64,
    /// Numbers that are missing.
    pub lost: u64,
    /// Arrived after a higher number.
    pub reordered: u64,
    /// Left out for their age.
    pub dropped_stale: u64,
    /// Left out because they are from the future.
    pub dropped_future: u64,
    /// Left out because they say nothing sensible.
    pub dropped_invalid: u64,
}

impl Counters {
    /// The part of the numbered commands that did not arrive, percent.
    pub fn loss_pct(&self) -> f64 {
        let sent = self.numbered + self.lost;
        if sent == 0 { 0.0 } else { 100.0 * self.lost as f64 / sent as f64 }
    }
}

#[derive(Debug, Default)]
struct Window {
    arrivals: VecDeque<(f64, f64, usize)>,
    jitter: f64,
}

impl Window {
    fn push(&mut self, at: f64, stamp: f64, bytes: usize) {
        if let Some((before, sent, _)) = self.arrivals.back() {
            let transit = ((at - before) - (stamp - sent)).abs();
            self.jitter += (transit - self.jitter) / 16.0;
        }
        if self.arrivals.len() == WINDOW {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back((at, stamp, bytes));
    }

    fn last(&self) -> Option<f64> {
        self.arrivals.back().map(|(at, ..)| *at)
    }

    fn figures(&self) -> Option<Figures> {
        let (first, last) = (self.arrivals.front()?.0, self.arrivals.back()?.0);
        let n = self.arrivals.len();
        if n < 2 {
            return None;
        }
        let latencies = self.arrivals.iter().map(|(at, stamp, _)| (at - stamp) * 1000.0).collect();
        let intervals =
            self.arrivals.iter().zip(self.arrivals.iter().skip(1)).map(|(a, b)| (b.0 - a.0) * 1000.0).collect();
        let bytes: usize = self.arrivals.iter().map(|(.., bytes)| bytes).sum();
        let span = last - first;
        let per_second = |amount: f64| (span > 0.0).then(|| amount / span);
        Some(Figures {
            latency_ms: percentile(latencies, 50.0)?,
            jitter_ms: percentile(intervals, 50.0)?,
            rate_hz: per_second((n - 1) as f64),
            throughput_bps: per_second(8.0 * bytes as f64),
            jitter_rfc3550_ms: self.jitter * 1000.0,
        })
    }
}

/// The `p`-th percentile, 0 to 100, with linear interpolation between ranks; `None` of nothing.
pub fn percentile(mut values: Vec<f64>, p: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = p.clamp(0.0, 100.0) / 100.0 * (values.len().checked_sub(1)?) as f64;
    let (below, above) = (values[rank.floor() as usize], values[rank.ceil() as usize]);
    Some(below + (above - below) * rank.fract())
}

#[derive(Debug)]
struct Stream {
    kind: CommandKind,
    frame_id: String,
    highest: Option<u32>,
    window: Window,
}

/// Follows all commands of one robot.
#[derive(Debug, Default)]
pub struct CommandStatistics {
    twists: Window,
    /// The newest last.
    streams: Vec<Stream>,
    counters: Counters,
}

impl CommandStatistics {
    /// A command arrives. A stamp that is not finite counts as received only.
    pub fn arrived(&mut self, arrival: Arrival<'_>) {
        self.counters.received += 1;
        let Arrival { kind, frame_id, seq, stamp, at, bytes } = arrival;
        let timed = stamp.is_finite() && at.is_finite();
        if timed && kind == CommandKind::Twist {
            self.twists.push(at, stamp, bytes);
        }
        if frame_id.len() > MAX_FRAME_ID {
            return;
        }
        let place = match self.streams.iter().position(|s| s.kind == kind && s.frame_id == frame_id) {
            Some(place) => place,
            None => {
                if self.streams.len() == MAX_STREAMS {
                    let silent = self.streams.iter().map(|s| s.window.last().unwrap_or(f64::NEG_INFINITY));
                    let longest = silent.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(place, _)| place);
                    self.streams.swap_remove(longest);
                }
                self.streams.push(Stream {
                    kind,
                    frame_id: frame_id.to_owned(),
                    highest: None,
                    window: Window::default(),
                });
                self.streams.len() - 1
            }
        };
        let stream = &mut self.streams[place];
        if timed {
            stream.window.push(at, stamp, bytes);
        }
        if let Some(seq) = u32::try_from(seq).ok().filter(|seq| *seq != 0) {
            self.counters.numbered += 1;
            follow(&mut stream.highest, seq, &mut self.counters);
        }
    }

    /// A command was left out.
    pub fn dropped(&mut self, why: Dropped) {
        match why {
            Dropped::Stale => self.counters.dropped_stale += 1,
            Dropped::Future => self.counters.dropped_future += 1,
            Dropped::NotFinite | Dropped::InvalidPose | Dropped::JoyContract => self.counters.dropped_invalid += 1,
            Dropped::Latched
            | Dropped::OutOfOrder
            | Dropped::IdleZero
            | Dropped::NotForThisRobot
            | Dropped::NotReleased => {}
        }
    }

    /// A message that could not be decoded.
    pub fn malformed(&mut self) {
        self.counters.dropped_invalid += 1;
    }

    /// The id of a channel changed: whoever numbers from now on may begin anew.
    pub fn restart(&mut self) {
        for stream in &mut self.streams {
            stream.highest = None;
        }
    }

    /// The figures of the twists or, when none has come for a second, of the stream that came last; `None` below two
    /// arrivals.
    pub fn figures(&self) -> Option<Figures> {
        let last = |window: &Window| window.last().unwrap_or(f64::NEG_INFINITY);
        let other = self
            .streams
            .iter()
            .filter(|stream| stream.kind != CommandKind::Twist)
            .max_by(|a, b| last(&a.window).total_cmp(&last(&b.window)))
            .map(|stream| &stream.window);
        match other {
            Some(other) if last(other) > last(&self.twists) + STANDS_IN_AFTER => other.figures(),
            _ => self.twists.figures(),
        }
    }

    /// What became of all commands so far.
    pub const fn counters(&self) -> Counters {
        self.counters
    }
}

/// Takes the number of a message of a stream whose highest number was `highest`.
fn follow(highest: &mut Option<u32>, seq: u32, counters: &mut Counters) {
    let Some(before) = *highest else {
        *highest = Some(seq);
        return;
    };
    let ahead = seq.wrapping_sub(before) & SEQ_MASK;
    match ahead {
        0 => counters.reordered += 1,
        ahead if ahead <= SEQ_MASK / 2 => {
            // 0 is no number, so a wrap leaves one out.
            let skipped = u64::from(ahead) - 1 - u64::from(seq < before);
            counters.lost += skipped;
            *highest = Some(seq);
        }
        _ => {
            counters.reordered += 1;
            counters.lost = counters.lost.saturating_sub(1);
        }
    }
}
