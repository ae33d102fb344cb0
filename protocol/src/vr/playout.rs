//! Playout of a pose stream: what the hands do now, from frames that come late, in bursts, with glitches and gaps.

mod buffer;
mod clock;
mod gaussian;
mod glide;
mod low_delay;
mod track;

use std::time::Duration;

use crate::time::MonoTime;

use super::frame::{Controller, Hand, VrFrame};
use buffer::{Buffer, HandSample, Sample};
use clock::ClockWindow;
use low_delay::{Follower, Moment};

/// A capture time beyond this, in milliseconds, has no use for the milliseconds in a double; the frame counts as
/// unstamped.
const MAX_CAPTURE_MS: f64 = 1e15;

/// The part of the difference by which the delay falls towards a smaller jitter with each frame.
const DELAY_FALL: f64 = 0.05;

/// What lag is paid for an even motion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlayoutProfile {
    /// A Gaussian mean of the frames around a playout time that is half a window ago: 60 ms of lag by default. Outliers
    /// are told from the frames on both of their sides.
    #[default]
    Compatible,
    /// 15 ms of lag. A jump that no person makes is held for as long as a glitch lasts, nine frames of 90 Hz, and then
    /// followed; whatever changes late fades in. What is rendered never steps.
    LowDelay,
}

/// How a stream is played out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlayoutConfig {
    /// Off: the latest frame is rendered as it came.
    pub enabled: bool,
    /// What lag is paid for an even motion.
    pub profile: PlayoutProfile,
    /// The least delay against jitter.
    pub min_delay: Duration,
    /// The largest delay against jitter; a smaller one than `min_delay` counts as equal to it.
    pub max_delay: Duration,
    /// The span of the Gaussian mean; half of it is lag. Zero: straight lines between frames, without smoothing. Of the
    /// compatible profile only.
    pub smooth_window: Duration,
    /// Frames farther than this many standard deviations (estimated from the median of the distances) from the median are
    /// left out. Zero or less: none are; then the low-delay profile follows every jump, too.
    pub outlier_k: f64,
}

impl Default for PlayoutConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            profile: PlayoutProfile::Compatible,
            min_delay: Duration::ZERO,
            max_delay: Duration::from_millis(150),
            smooth_window: Duration::from_millis(120),
            outlier_k: 4.0,
        }
    }
}

/// One rendering of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rendered {
    /// Poses, elbows and grips at the playout time, which is its `t`; everything else is of the latest frame received.
    ///
    /// A hand's `tracked` belongs to its rendered pose: false while that is held or was never tracked. When it turns
    /// true again the pose may lie anywhere, so that a consumer takes a new clutch snapshot in that very rendering.
    pub frame: VrFrame,
    held: [Option<Duration>; 2],
}

impl Rendered {
    /// For how long, at the playout time, this hand has been held at the pose where it was tracked last; none while it
    /// is tracked, and for a hand that never was.
    pub fn held(&self, hand: Hand) -> Option<Duration> {
        self.held[side(hand)]
    }
}

/// The playout buffer of one stream.
///
/// Frames go in as they arrive, already without duplicates; [`Playout::render`] answers at any time and any rate. At
/// most 512 frames are kept, the oldest make room.
#[derive(Clone, Debug)]
pub struct Playout {
    config: PlayoutConfig,
    /// Arrival of the first frame. Times are seconds since then: since the host's start they had too few digits.
    origin: MonoTime,
    clock: ClockWindow,
    buffer: Buffer,
    /// Delay against jitter, in seconds.
    delay: f64,
    latest: Option<VrFrame>,
    /// Both hands, in the low-delay profile.
    followers: [Follower; 2],
}

impl Playout {
    /// An empty buffer.
    pub fn new(config: PlayoutConfig) -> Self {
        Self {
            config,
            origin: MonoTime::default(),
            clock: ClockWindow::default(),
            buffer: Buffer::default(),
            delay: 0.0,
            latest: None,
            followers: Default::default(),
        }
    }

    /// Takes a frame. True if playout began anew with it: the stream's clock jumped by more than 0.25 s against the
    /// frames' arrival, nothing came for two seconds, or its frames began or ceased to carry a capture time. The
    /// rendered poses then jump, so a consumer must disengage.
    #[must_use = "a consumer must disengage when playout began anew"]
    pub fn push(&mut self, arrived: MonoTime, frame: &VrFrame) -> bool {
        if self.latest.is_none() {
            self.origin = arrived;
        }
        let stamp = capture_ms(frame);
        let arrival = self.seconds(arrived);
        let captured = stamp.map_or(arrival, |ms| ms * 1e-3);
        let anew = match self.latest {
            None => false,
            Some(_) if self.stamped() != stamp.is_some() => true,
            Some(_) => stamp.is_some() && !self.clock.fits(arrived, arrival - captured),
        };
        if anew {
            *self = Self { origin: self.origin, ..Self::new(self.config) };
        }
        let before = self.moment(arrived);
        self.latest = Some(*frame);
        self.clock.add(arrived, arrival - captured);
        self.update_delay();
        let after = self.moment(arrived);

        let hands = [&frame.left, &frame.right].map(HandSample::new);
        self.buffer.insert(Sample { captured, hands });
        self.buffer.forget_before(after.playout);
        if self.config.profile == PlayoutProfile::LowDelay {
            for (follower, sample) in self.followers.iter_mut().zip(&hands) {
                follower.push(captured, sample, self.config.outlier_k > 0.0, before, after);
            }
        }
        anew
    }

    /// The stream at `now`; none before the first frame.
    pub fn render(&self, now: MonoTime) -> Option<Rendered> {
        let latest = self.latest?;
        if !self.config.enabled {
            return Some(Rendered { frame: latest, held: [None; 2] });
        }
        let moment = self.moment(now);
        let smooth = self.stamped() && (self.buffer.len() >= 2 || self.config.profile == PlayoutProfile::LowDelay);
        let hands = [Hand::Left, Hand::Right].map(|hand| {
            let latest = HandSample::new(latest.controller(hand));
            if smooth {
                self.render_hand(side(hand), moment, latest)
            } else {
                self.buffer.latest_of(side(hand), moment.playout, latest)
            }
        });
        let [left, right] = &hands;
        let mut frame = latest;
        left.write(&mut frame.left);
        right.write(&mut frame.right);
        if smooth {
            frame.t = Some(moment.playout * 1e3);
        }
        Some(Rendered { frame, held: hands.map(|h| h.held) })
    }

    /// Difference between the slowest and the fastest way of a frame in the last two seconds; zero without capture times.
    pub fn jitter(&self) -> Duration {
        duration(self.clock.jitter())
    }

    /// The delay that playout adds against jitter.
    pub fn delay(&self) -> Duration {
        duration(self.delay)
    }

    fn render_hand(&self, side: usize, moment: Moment, latest: HandSample) -> RenderedHand {
        let PlayoutConfig { smooth_window, outlier_k, .. } = self.config;
        match self.config.profile {
            PlayoutProfile::Compatible => {
                gaussian::render(&self.buffer, side, moment.playout, smooth_window, outlier_k)
                    .unwrap_or_else(|| RenderedHand::new(latest))
            }
            PlayoutProfile::LowDelay => {
                // A trigger needs no tracking: every frame counts.
                let grip = match self.buffer.neighbours(moment.playout) {
                    (Some(a), Some(b)) => {
                        let (from, to) = (a.hands[side].grip, b.hands[side].grip);
                        from + (to - from) * a.part(b, moment.playout)
                    }
                    (only, other) => only.or(other).map_or(latest.grip, |s| s.hands[side].grip),
                };
                self.followers[side].render(moment, HandSample { grip, ..latest })
            }
        }
    }

    fn seconds(&self, time: MonoTime) -> f64 {
        time.since(self.origin).as_secs_f64() - self.origin.since(time).as_secs_f64()
    }

    fn stamped(&self) -> bool {
        self.latest.is_some_and(|latest| capture_ms(&latest).is_some())
    }

    fn update_delay(&mut self) {
        if !self.stamped() {
            return;
        }
        let least = self.config.min_delay.as_secs_f64();
        let most = self.config.max_delay.as_secs_f64().max(least);
        let target = self.clock.jitter().clamp(least, most);
        self.delay = if target < self.delay { self.delay + (target - self.delay) * DELAY_FALL } else { target };
    }

    /// The capture time that is shown at `now`, in seconds of the stream's clock.
    fn moment(&self, now: MonoTime) -> Moment {
        let now = self.seconds(now);
        if !self.stamped() {
            return Moment { now, playout: now };
        }
        let lag = match self.config.profile {
            PlayoutProfile::Compatible => self.config.smooth_window.as_secs_f64() / 2.0,
            PlayoutProfile::LowDelay => low_delay::LAG,
        };
        Moment { now, playout: now - self.clock.offset() - self.delay - lag }
    }
}

/// One hand as it is rendered.
#[derive(Clone, Copy, Debug)]
struct RenderedHand {
    sample: HandSample,
    held: Option<Duration>,
}

impl RenderedHand {
    fn new(sample: HandSample) -> Self {
        Self { sample, held: None }
    }

    fn write(&self, to: &mut Controller) {
        to.pose = self.sample.pose;
        to.elbow = self.sample.elbow;
        to.grip = self.sample.grip;
        to.tracked = self.sample.tracked;
    }
}

const fn side(hand: Hand) -> usize {
    match hand {
        Hand::Left => 0,
        Hand::Right => 1,
    }
}

fn capture_ms(frame: &VrFrame) -> Option<f64> {
    frame.t.filter(|t| t.abs() < MAX_CAPTURE_MS)
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
