//! The estimate over a simulated path, in virtual time.

use super::*;

/// Bytes of a packet.
const PACKET: usize = 1200;
/// A receiver reports this often.
const FEEDBACK: Duration = Duration::from_millis(50);
/// The receiver's clock starts somewhere else.
const CLOCK_OFFSET: Duration = Duration::from_secs(777);

/// A path with a bottleneck, a queue before it, delay, jitter and loss, and a sender that sends what the estimate says.
struct Path {
    now: Duration,
    /// Bits per second.
    capacity: f64,
    /// What does not fit is lost.
    queue_limit: Duration,
    delay: Duration,
    jitter: Duration,
    loss: f64,
    /// No more than this is ever sent.
    encoder: f64,
    /// A camera of 1280x720 instead, that is made smaller where it must.
    camera: Option<Camera>,
    /// Packets that found the queue full.
    overflowed: usize,
    free_at: Duration,
    next_send: Duration,
    feedback: VecDeque<(Duration, Report)>,
    random: u64,
    /// The longest wait in the queue since it was last asked.
    worst_queue: Duration,
}

/// What a camera of 1280x720 sends, in whole or in half size, as the ladder of [`crate::video`] has it.
#[derive(Default)]
struct Camera {
    small: bool,
    changed: Duration,
    /// Packets of a keyframe that are still to be sent.
    keyframe: u32,
}

impl Camera {
    fn sends(&mut self, now: Duration, rate: f64) -> f64 {
        let rested = now.saturating_sub(self.changed);
        let small = match self.small {
            false => rate < 1.1 * MEGABIT && rested > Duration::from_millis(500),
            true => rate < 1.55 * MEGABIT || rested < Duration::from_secs(3),
        };
        if small != self.small {
            *self = Self { small, changed: now, keyframe: 20 };
        }
        if self.keyframe > 0 {
            self.keyframe -= 1;
            return 3.0 * rate;
        }
        rate.min(if small { 0.83 } else { 3.3 } * MEGABIT)
    }
}

impl Path {
    fn new(capacity: f64) -> Self {
        Self {
            now: Duration::ZERO,
            capacity,
            queue_limit: Duration::from_millis(500),
            delay: Duration::from_millis(10),
            jitter: Duration::ZERO,
            loss: 0.0,
            encoder: f64::INFINITY,
            camera: None,
            overflowed: 0,
            free_at: Duration::ZERO,
            next_send: Duration::ZERO,
            feedback: VecDeque::new(),
            random: 0x9e37_79b9_7f4a_7c15,
            worst_queue: Duration::ZERO,
        }
    }

    /// From 0 to 1.
    fn random(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn send(&mut self, at: Duration) {
        let lost = self.random() < self.loss;
        let start = at.max(self.free_at);
        let dropped = start - at > self.queue_limit || self.capacity == 0.0;
        let mut report = Report { sent: at, arrived: None, lost: true, bytes: PACKET };
        let mut back = at + 2 * self.delay;
        self.overflowed += usize::from(dropped);
        if !dropped {
            self.worst_queue = self.worst_queue.max(start - at);
            self.free_at = start + Duration::from_secs_f64(PACKET as f64 * 8.0 / self.capacity);
            let jitter = self.jitter.mul_f64(self.random());
            let arrived = self.free_at + self.delay + jitter;
            back = arrived + self.delay;
            if !lost {
                report = Report { arrived: Some(arrived + CLOCK_OFFSET), lost: false, ..report };
            }
        }
        self.feedback.push_back((back, report));
    }

    /// Nothing passes for so long; what is sent meanwhile comes at once afterwards, as after a radio link's nap.
    fn hold(&mut self, millis: u64) {
        self.free_at = self.now + Duration::from_millis(millis);
    }

    /// Lets the sender follow the estimate for so long.
    fn run(&mut self, estimate: &mut Estimate, seconds: f64) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end {
            self.now += FEEDBACK;
            while self.next_send < self.now {
                self.send(self.next_send);
                // Headroom as the encoder is given it.
                let mut rate = (0.9 * estimate.bits_per_second()).min(self.encoder);
                if let Some(camera) = &mut self.camera {
                    rate = camera.sends(self.next_send, rate);
                }
                self.next_send += Duration::from_secs_f64(PACKET as f64 * 8.0 / rate);
            }
            // Packets are reported in order, once one of them or a later one has arrived.
            let arrived = |(back, report): &(Duration, Report)| *back <= self.now && !report.lost;
            let Some(last) = self.feedback.iter().rposition(arrived) else { continue };
            let reports: Vec<Report> = self.feedback.drain(..=last).map(|(_, report)| report).collect();
            estimate.on_reports(self.now, &reports);
        }
    }
}

const MEGABIT: f64 = 1_000_000.0;

fn starting_with(guess: f64) -> Estimate {
    Estimate::new(Duration::ZERO, guess as u32)
}

#[track_caller]
fn assert_between(value: f64, low: f64, high: f64) {
    assert!((low..=high).contains(&value), "{:.2} Mbit/s", value / MEGABIT);
}

#[test]
fn a_wide_path_leaves_the_picture_what_it_began_with() {
    let (mut path, mut estimate) = (Path::new(100.0 * MEGABIT), starting_with(4.0 * MEGABIT));
    path.encoder = 3.3 * MEGABIT;
    for _ in 0..600 {
        path.run(&mut estimate, 0.1);
        assert!(estimate.bits_per_second() >= 4.0 * MEGABIT);
    }
}

#[test]
fn a_guess_that_was_far_too_high_is_corrected_within_a_second() {
    let (mut path, mut estimate) = (Path::new(2.0 * MEGABIT), starting_with(10.0 * MEGABIT));
    path.run(&mut estimate, 1.0);
    assert_between(estimate.bits_per_second(), 1.0 * MEGABIT, 2.1 * MEGABIT);
    path.run(&mut estimate, 3.0);
    path.worst_queue = Duration::ZERO;
    path.run(&mut estimate, 20.0);
    assert_between(estimate.bits_per_second(), 1.3 * MEGABIT, 2.4 * MEGABIT);
    assert!(path.worst_queue < Duration::from_millis(200), "{:?}", path.worst_queue);
}

#[test]
fn what_a_wide_path_carries_is_found_when_more_is_asked_for() {
    let (mut path, mut estimate) = (Path::new(20.0 * MEGABIT), starting_with(3.0 * MEGABIT));
    path.run(&mut estimate, 8.0);
    assert_between(estimate.bits_per_second(), 14.0 * MEGABIT, 24.0 * MEGABIT);
}

#[test]
fn a_narrow_path_that_widens_again_is_used_again() {
    let (mut path, mut estimate) = (Path::new(8.0 * MEGABIT), starting_with(6.0 * MEGABIT));
    path.encoder = 5.0 * MEGABIT;
    path.run(&mut estimate, 5.0);
    path.capacity = 1.5 * MEGABIT;
    path.run(&mut estimate, 5.0);
    assert_between(estimate.bits_per_second(), 0.9 * MEGABIT, 1.8 * MEGABIT);
    path.capacity = 8.0 * MEGABIT;
    path.run(&mut estimate, 20.0);
    assert!(estimate.bits_per_second() > 5.0 * MEGABIT);
}

#[test]
fn a_picture_that_was_made_smaller_gets_large_again() {
    let (mut path, mut estimate) = (Path::new(2.0 * MEGABIT), starting_with(4.0 * MEGABIT));
    path.run(&mut estimate, 5.0);
    // Smaller, it has not enough detail for the bits it may take.
    path.encoder = 0.6 * MEGABIT;
    path.capacity = 1.0 * MEGABIT;
    path.run(&mut estimate, 5.0);
    path.capacity = 2.0 * MEGABIT;
    path.run(&mut estimate, 20.0);
    assert!(estimate.bits_per_second() > 1.6 * MEGABIT, "{}", estimate.bits_per_second());
    path.encoder = f64::INFINITY;
    path.run(&mut estimate, 3.0);
    path.worst_queue = Duration::ZERO;
    path.run(&mut estimate, 20.0);
    assert!(path.worst_queue < Duration::from_millis(200), "{:?}", path.worst_queue);
}

#[test]
fn loss_on_a_radio_link_takes_nothing_away() {
    for loss in [0.01, 0.05] {
        let (mut path, mut estimate) = (Path::new(50.0 * MEGABIT), starting_with(4.0 * MEGABIT));
        (path.encoder, path.loss) = (3.3 * MEGABIT, loss);
        for _ in 0..60 {
            path.run(&mut estimate, 1.0);
            assert!(estimate.bits_per_second() >= 3.6 * MEGABIT, "{loss}: {}", estimate.bits_per_second());
        }
    }
}

#[test]
fn heavy_loss_that_does_not_follow_our_rate_is_borne() {
    let (mut path, mut estimate) = (Path::new(50.0 * MEGABIT), starting_with(4.0 * MEGABIT));
    (path.encoder, path.loss) = (3.3 * MEGABIT, 0.15);
    path.run(&mut estimate, 60.0);
    assert!(estimate.bits_per_second() > 3.0 * MEGABIT, "{}", estimate.bits_per_second());
}

#[test]
fn loss_at_a_bottleneck_without_a_queue_is_ours() {
    let (mut path, mut estimate) = (Path::new(2.0 * MEGABIT), starting_with(6.0 * MEGABIT));
    path.queue_limit = Duration::from_millis(5);
    path.run(&mut estimate, 20.0);
    assert_between(estimate.bits_per_second(), 0.8 * MEGABIT, 3.2 * MEGABIT);
}

#[test]
fn jitter_is_not_taken_for_a_queue() {
    for (delay, jitter) in [(20, 20), (100, 60), (5, 150)] {
        let (mut path, mut estimate) = (Path::new(50.0 * MEGABIT), starting_with(4.0 * MEGABIT));
        (path.delay, path.jitter) = (Duration::from_millis(delay), Duration::from_millis(jitter));
        path.encoder = 3.3 * MEGABIT;
        path.run(&mut estimate, 60.0);
        assert!(estimate.bits_per_second() >= 4.0 * MEGABIT, "{jitter} ms: {}", estimate.bits_per_second());
    }
}

#[test]
fn an_interruption_says_nothing_about_the_rate() {
    let (mut path, mut estimate) = (Path::new(20.0 * MEGABIT), starting_with(4.0 * MEGABIT));
    path.encoder = 3.3 * MEGABIT;
    path.run(&mut estimate, 5.0);
    let before = estimate.bits_per_second();
    path.capacity = 0.0;
    path.run(&mut estimate, 3.0);
    path.capacity = 20.0 * MEGABIT;
    path.run(&mut estimate, 5.0);
    assert!(estimate.bits_per_second() >= before, "{} after {before}", estimate.bits_per_second());
}

#[test]
fn packets_that_were_held_up_and_come_all_at_once_are_no_queue_of_ours() {
    for (encoder, held) in [(1.1, 150), (1.1, 250), (3.3, 250), (3.3, 400)] {
        let (mut path, mut estimate) = (Path::new(20.0 * MEGABIT), starting_with(4.4 * MEGABIT));
        path.encoder = encoder * MEGABIT;
        for _ in 0..20 {
            path.hold(held);
            path.run(&mut estimate, 1.5);
            assert!(estimate.bits_per_second() > 3.7 * MEGABIT, "{held} ms: {}", estimate.bits_per_second());
        }
    }
}

#[test]
fn a_camera_on_a_narrow_path_fills_no_queue_when_it_gets_large_again() {
    let (mut path, mut estimate) = (Path::new(0.7 * MEGABIT), starting_with(4.4 * MEGABIT));
    path.queue_limit = Duration::from_millis(250);
    path.camera = Some(Camera::default());
    path.run(&mut estimate, 5.0);
    assert!(path.camera.as_ref().is_some_and(|camera| camera.small));
    path.capacity = 2.0 * MEGABIT;
    (path.overflowed, path.worst_queue) = (0, Duration::ZERO);
    path.run(&mut estimate, 60.0);
    assert!(path.camera.as_ref().is_some_and(|camera| !camera.small));
    assert!(path.worst_queue < Duration::from_millis(200), "{:?}", path.worst_queue);
    assert_eq!(path.overflowed, 0);
}

/// Seconds from the end of a 3 s cut until a picture of 1280x720 may have its full size again, and its full bitrate.
fn back_after_a_cut(path: &mut Path, trouble: impl Fn(&mut Path, u32)) -> [f64; 2] {
    let mut estimate = starting_with(4.4 * MEGABIT);
    path.camera = Some(Camera::default());
    path.run(&mut estimate, 5.0);
    let capacity = std::mem::replace(&mut path.capacity, 0.0);
    path.run(&mut estimate, 3.0);
    path.capacity = capacity;
    let mut back = [0.0; 2];
    for tenth in 0..300 {
        trouble(path, tenth);
        path.run(&mut estimate, 0.1);
        for (back, enough) in back.iter_mut().zip([1.55, 3.0]) {
            if 0.9 * estimate.bits_per_second() < enough * MEGABIT {
                *back = f64::from(tenth + 1) / 10.0;
            }
        }
    }
    back
}

#[test]
fn size_and_rate_are_back_soon_after_a_cut_however_the_network_returns() {
    let wide = || Path::new(20.0 * MEGABIT);
    let at_once = back_after_a_cut(&mut wide(), |_, _| {});
    let stumbling = back_after_a_cut(&mut wide(), |path, tenth| {
        if tenth % 4 == 0 && tenth < 10 {
            path.hold(300);
        }
    });
    let lossy = back_after_a_cut(&mut wide(), |path, tenth| path.loss = if tenth < 10 { 0.2 } else { 0.0 });
    let crawling = back_after_a_cut(&mut wide(), |path, tenth| {
        path.capacity = if tenth < 10 { 0.5 } else { 20.0 } * MEGABIT;
    });
    assert_eq!([at_once, stumbling], [[0.0; 2]; 2]);
    assert!(lossy[0] == 0.0 && lossy[1] < 5.0, "{lossy:?}");
    // For the first second after the cut it carries half a megabit.
    assert!(crawling[0] < 7.0 && crawling[1] < 8.0, "{crawling:?}");
}

#[test]
fn a_cut_of_a_narrow_or_a_lossy_path_changes_nothing_in_the_long_run() {
    let mut narrow = Path::new(2.0 * MEGABIT);
    back_after_a_cut(&mut narrow, |path, tenth| {
        if tenth == 100 {
            path.worst_queue = Duration::ZERO;
        }
    });
    assert!(narrow.worst_queue < Duration::from_millis(200), "{:?}", narrow.worst_queue);
    let mut lossy = Path::new(20.0 * MEGABIT);
    lossy.loss = 0.05;
    let [size, rate] = back_after_a_cut(&mut lossy, |_, _| {});
    assert!(size < 1.0 && rate < 5.0, "{size} s, {rate} s");
}

#[test]
fn losses_at_the_end_of_an_interruption_cost_no_more_than_their_share() {
    let (mut path, mut estimate) = (Path::new(20.0 * MEGABIT), starting_with(4.0 * MEGABIT));
    path.encoder = 1.1 * MEGABIT;
    path.capacity = 0.0;
    path.run(&mut estimate, 3.0);
    (path.capacity, path.loss) = (20.0 * MEGABIT, 0.15);
    path.run(&mut estimate, 1.5);
    path.loss = 0.0;
    path.run(&mut estimate, 1.0);
    assert!(estimate.bits_per_second() > 0.9 * MEGABIT, "{}", estimate.bits_per_second());
}

#[test]
fn a_leap_of_the_receivers_clock_changes_nothing() {
    let mut estimate = starting_with(4.0 * MEGABIT);
    let mut now = Duration::ZERO;
    for leap in [0, 1_000_000, 0, 500_000] {
        for _ in 0..400 {
            now += Duration::from_millis(3);
            let arrived = Some(now + Duration::from_secs(leap) + Duration::from_millis(10));
            estimate.on_reports(
                now + Duration::from_millis(20),
                &[Report { sent: now, arrived, lost: false, bytes: PACKET }],
            );
        }
        assert!(estimate.bits_per_second() >= 4.0 * MEGABIT);
    }
}

#[test]
fn a_longer_way_is_not_a_queue_for_ever() {
    let (mut path, mut estimate) = (Path::new(50.0 * MEGABIT), starting_with(4.0 * MEGABIT));
    path.encoder = 3.3 * MEGABIT;
    path.run(&mut estimate, 15.0);
    path.delay = Duration::from_millis(120);
    path.run(&mut estimate, 45.0);
    assert!(estimate.bits_per_second() >= 3.3 * MEGABIT, "{}", estimate.bits_per_second());
}

#[test]
fn whatever_is_reported_the_estimate_stays_within_its_bounds() {
    let mut estimate = starting_with(0.0);
    let mut path = Path::new(1.0);
    for round in 0..2000_u64 {
        let time = |value: f64| Duration::from_secs_f64(value * 100.0);
        let reports: Vec<Report> = (0..round % 40)
            .map(|_| Report {
                sent: time(path.random()),
                arrived: (path.random() < 0.7).then(|| time(path.random() * 1e9)),
                lost: path.random() < 0.3,
                bytes: (path.random() * 70_000.0) as usize,
            })
            .collect();
        estimate.on_reports(time(path.random()), &reports);
        assert!((LOWEST..=HIGHEST).contains(&estimate.bits_per_second()));
    }
    estimate.on_reports(Duration::MAX, &[]);
}
