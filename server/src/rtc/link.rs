//! What is known of one client's network, and what that means for what is sent to it.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rtc::interceptor::{BandwidthEstimator, PacketReport};
use waldo_protocol::time::MonoTime;

use super::estimate::{Estimate, Report};
use super::pace::Pace;

/// What a camera wants until it has said so, in bits per second: a good picture of 1280x720. Connections begin with what
/// their cameras want, so that the picture is sharp from the start.
const USUAL: u32 = 4_000_000;

/// Pictures take this part of what the network carries; headers, retransmissions and the encoder's excesses the rest.
const PICTURES: f64 = 0.9;

/// A viewer that falls behind asks for a keyframe no sooner than after this time, because that costs everybody else. The
/// driver asks as soon as its network is free.
const VIEWER_REST: Duration = Duration::from_secs(2);

/// How much video is sent over a connection, and the most that somebody else than its own network allows.
#[derive(Debug)]
pub struct VideoRate {
    most: AtomicU32,
    aim: AtomicU32,
}

impl Default for VideoRate {
    fn default() -> Self {
        Self { most: AtomicU32::new(u32::MAX), aim: AtomicU32::new(0) }
    }
}

impl VideoRate {
    /// The most from now on, kbit/s; none for no such bound.
    pub fn allow(&self, kbps: Option<f64>) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a cast of this kind saturates")]
        let most = kbps.map_or(u32::MAX, |kbps| (kbps * 1000.0) as u32);
        self.most.store(most, Ordering::Relaxed);
    }

    /// What the encoder was last told to aim at, kbit/s; 0 before that.
    pub fn aim_kbps(&self) -> f64 {
        f64::from(self.aim.load(Ordering::Relaxed)) / 1000.0
    }
}

/// The network of one client, for all tracks of its connection.
pub(super) struct Link {
    /// Bits per second.
    carries: AtomicU32,
    drives: Arc<AtomicBool>,
    video: Arc<VideoRate>,
    sending: Mutex<Sending>,
}

struct Sending {
    pace: Pace,
    /// What each camera wants, in bits per second.
    wanted: Vec<u32>,
}

impl Link {
    /// The network of a client that watches so many cameras, and drives while `drives` says so.
    pub(super) fn new(now: MonoTime, cameras: usize, drives: Arc<AtomicBool>) -> Arc<Self> {
        Self::bounded(now, cameras, drives, Arc::default())
    }

    /// The same, with each camera no richer than somebody else allows.
    pub(super) fn bounded(now: MonoTime, cameras: usize, drives: Arc<AtomicBool>, video: Arc<VideoRate>) -> Arc<Self> {
        let wanted = vec![USUAL; cameras];
        let all: f64 = wanted.iter().copied().map(f64::from).sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "beyond 900 cameras, the most")]
        let carries = AtomicU32::new((all / PICTURES) as u32);
        Arc::new(Self { carries, drives, video, sending: Mutex::new(Sending { pace: Pace::new(now), wanted }) })
    }

    /// The stage that learns from the client's reports.
    pub(super) fn judge(self: &Arc<Self>) -> Judge {
        let guess = self.carries.load(Ordering::Relaxed);
        Judge { link: Arc::clone(self), started: None, guess, estimate: Estimate::new(Duration::ZERO, guess) }
    }

    /// Whether the robot follows this client's hands.
    pub(super) fn drives(&self) -> bool {
        self.drives.load(Ordering::Relaxed)
    }

    /// What the network leaves for one of the cameras, which wants so much, in bits per second.
    pub(super) fn share(&self, camera: usize, wanted: Option<u32>) -> u32 {
        let mut sending = self.sending();
        if let (Some(known), Some(wanted)) = (sending.wanted.get_mut(camera), wanted) {
            *known = wanted;
        }
        let all: f64 = sending.wanted.iter().copied().map(f64::from).sum();
        let own = sending.wanted.get(camera).copied().map_or(0.0, f64::from);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "less than the whole, a u32")]
        let share = (PICTURES * self.rate() * own / all.max(1.0)) as u32;
        let share = share.min(self.video.most.load(Ordering::Relaxed));
        self.video.aim.store(share.min(sending.wanted.get(camera).copied().unwrap_or(0)), Ordering::Relaxed);
        share
    }

    /// When a packet of so many bytes may leave; it is taken to do so.
    pub(super) fn reserve(&self, now: MonoTime, bytes: usize) -> MonoTime {
        self.sending().pace.reserve(now, self.rate(), bytes)
    }

    /// Whether a packet of so many bytes may be sent again; it is taken to be, then.
    pub(super) fn may_resend(&self, now: MonoTime, bytes: usize) -> bool {
        self.sending().pace.may_resend(now, self.rate(), bytes)
    }

    /// For how long pictures have to be left out; none if they need not.
    pub(super) fn rest(&self, now: MonoTime) -> Option<Duration> {
        let (mut sending, rate) = (self.sending(), self.rate());
        let behind = sending.pace.is_behind(now, rate);
        let least = if self.drives() { Duration::ZERO } else { VIEWER_REST };
        behind.then(|| sending.pace.arrival(now, rate).max(least))
    }

    fn rate(&self) -> f64 {
        f64::from(self.carries.load(Ordering::Relaxed).max(1))
    }

    fn sending(&self) -> MutexGuard<'_, Sending> {
        self.sending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hands the client's reports to the estimate.
pub(super) struct Judge {
    link: Arc<Link>,
    /// The beginning of our clock's count.
    started: Option<Instant>,
    guess: u32,
    estimate: Estimate,
}

impl BandwidthEstimator for Judge {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        let Some(first) = reports.first() else { return };
        let started = *self.started.get_or_insert_with(|| first.departure.min(now));
        let reports: Vec<Report> = reports
            .iter()
            .map(|report| Report {
                sent: report.departure.saturating_duration_since(started),
                arrived: report.arrival,
                lost: !report.arrived,
                bytes: report.size,
            })
            .collect();
        self.estimate.on_reports(now.saturating_duration_since(started), &reports);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 500 Mbit/s")]
        let carries = self.estimate.bits_per_second() as u32;
        let before = self.link.carries.swap(carries, Ordering::Relaxed);
        if carries < before {
            tracing::debug!(carries, before, guess = self.guess, "a client's network carries less");
        }
    }

    fn target_bitrate(&self) -> f64 {
        self.estimate.bits_per_second()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(cameras: usize) -> (Arc<Link>, Arc<AtomicBool>) {
        let drives = Arc::new(AtomicBool::new(false));
        (Link::new(MonoTime::from_nanos(0), cameras, Arc::clone(&drives)), drives)
    }

    #[test]
    fn every_camera_gets_what_it_wants_while_there_is_enough() {
        let (link, _) = link(3);
        for camera in 0..3 {
            assert!(link.share(camera, Some(3_300_000)) >= 3_300_000, "{camera}");
        }
    }

    #[test]
    fn what_is_too_little_is_divided_as_it_is_wanted() {
        let (link, _) = link(2);
        link.carries.store(1_000_000, Ordering::Relaxed);
        link.share(0, Some(4_000_000));
        assert_eq!(link.share(1, Some(1_000_000)), 180_000);
        assert_eq!(link.share(0, None), 720_000);
        assert_eq!(link.share(2, Some(1)), 0, "no such camera");
    }

    #[test]
    fn somebody_else_may_allow_less_than_the_network_carries() {
        let video = Arc::<VideoRate>::default();
        let link = Link::bounded(MonoTime::from_nanos(0), 1, Arc::default(), Arc::clone(&video));
        assert!(link.share(0, Some(3_000_000)) >= 3_000_000);
        assert_eq!(video.aim_kbps(), 3000.0);
        video.allow(Some(800.0));
        assert_eq!((link.share(0, None), video.aim_kbps()), (800_000, 800.0));
        video.allow(None);
        assert!(link.share(0, None) >= 3_000_000);
    }

    #[test]
    fn a_viewer_rests_for_longer_than_the_driver() {
        let (link, drives) = link(1);
        let now = MonoTime::from_nanos(0);
        link.carries.store(4_000_000, Ordering::Relaxed);
        assert_eq!(link.rest(now), None);
        link.reserve(now, 400_000);
        assert_eq!(link.rest(now), Some(VIEWER_REST));
        drives.store(true, Ordering::Relaxed);
        assert_eq!(link.rest(now), Some(Duration::from_millis(800)));
    }

    #[test]
    fn reports_of_the_client_change_what_its_network_carries() {
        let (link, _) = link(1);
        let (mut judge, start) = (link.judge(), Instant::now());
        let report = |number: u64| PacketReport {
            ssrc: 1,
            id: number,
            rtp_sequence_number: 0,
            is_twcc: true,
            twcc_sequence_number: 0,
            size: 1200,
            arrived: true,
            departure: start + Duration::from_millis(3 * number),
            // Three times slower than they were sent.
            arrival: Some(Duration::from_millis(9 * number)),
            ecn: rtc::rtcp::transport_feedbacks::cc_feedback_report::Ecn::NotEct,
        };
        for batch in 0..20 {
            let reports: Vec<_> = (batch * 10..batch * 10 + 10).map(report).collect();
            judge.on_reports(start + Duration::from_millis(90 * (batch + 1)), &reports);
        }
        let carries = link.carries.load(Ordering::Relaxed);
        assert!((500_000..1_100_000).contains(&carries), "{carries}");
    }
}
