//! How the robot is, as the operator is told.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use waldo_protocol::hosted::{
    CommandFigures, CommandLoss, Engaged, Hand, Now, RobotState, RobotTelemetry, SafetyState, VideoState,
};

use super::service::{Service, now};
use crate::config::HostedKind;

/// Why nothing moves for what was held all along.
const RELEASE_FIRST: &str = "let go of what you hold, then press again";

impl Service {
    /// How the robot is.
    pub(super) fn telemetry(&self, now: Now) -> RobotTelemetry {
        let (hold, followed) = self.standing();
        let chosen = self.chosen.borrow().clone();
        let cams = chosen.iter().filter_map(|at| self.cameras.get(*at).cloned()).collect();
        let state = self.state();
        let hold = hold.or_else(|| state.operator.awaits_release().then(|| RELEASE_FIRST.to_owned()));
        let statistics = state.operator.statistics();
        let counters = statistics.counters();
        let cmd = statistics.figures().map(|figures| CommandFigures {
            latency_ms: Some(figures.latency_ms),
            jitter_ms: Some(figures.jitter_ms),
            rate_hz: figures.rate_hz,
            throughput_bps: figures.throughput_bps,
            loss: Some(CommandLoss {
                received: counters.received,
                lost: counters.lost,
                reordered: counters.reordered,
                dropped_stale: counters.dropped_stale,
                dropped_future: counters.dropped_future,
                dropped_invalid: counters.dropped_invalid,
                loss_pct: counters.loss_pct(),
                jitter_rfc3550_ms: figures.jitter_rfc3550_ms,
            }),
        });
        // Its size and rate as the operator has it.
        let video = state.seen.as_ref().map(|seen| VideoState {
            target_kbps: self.video.aim_kbps(),
            width: seen.width,
            height: seen.height,
            fps: seen.fps,
            reason: state.cap.reason().to_owned(),
        });
        let mut told = RobotState {
            video,
            estopped: Some(self.stopped()),
            video_stalled: Some(self.stalled.load(Ordering::Relaxed)),
            cams: Some(cams),
            hold,
            ..RobotState::default()
        };
        match self.settings.kind {
            HostedKind::Arm => {
                // What the arms do, not what the buttons say: they agree, or the reason is told.
                let follows = |hand: Hand| state.operator.engaged(hand) && followed[hand as usize];
                told.engaged = Some(Engaged { left: follows(Hand::Left), right: follows(Hand::Right) });
                told.teleop_scale = state.operator.scale();
            }
            HostedKind::Twist => {
                told.posture = Some(state.body.posture.as_str().to_owned());
                told.rage = Some(state.body.rage);
                told.obstacle_avoidance = Some(state.body.obstacle_avoidance);
                told.light = Some(state.body.light);
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "a battery has 0 to 100 percent")]
        let soc = self.robot.hub.battery().map(|charge| (charge.clamp(0.0, 1.0) * 100.0).round() as i64);
        RobotTelemetry { cmd, soc, state: told, robot_ts: now.unix }
    }

    /// How the robot is, in one word.
    pub(super) fn safety(&self) -> SafetyState {
        match (self.stopped(), self.stalled.load(Ordering::Relaxed)) {
            (true, _) => SafetyState::Estopped,
            (false, true) => SafetyState::Degraded,
            (false, false) => SafetyState::Nominal,
        }
    }
}

/// Tells the operator again and again, and at once what cannot wait.
pub(super) async fn tell(service: Arc<Service>, ended: CancellationToken) {
    let period = Duration::from_secs_f64(1.0 / service.settings.telemetry_hz);
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = ended.cancelled() => return,
            _ = ticks.tick() => {}
            () = service.telemetry_due.notified() => {}
        }
        if service.has_operator() {
            service.tell_state(now());
        }
    }
}
