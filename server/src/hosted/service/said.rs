//! What the operator says on the reliable channel, and what comes of it.

use waldo_protocol::hosted::{Nonce, RefusedCommand, SportCommand, Submitted, ToOperator, ToRobot};

use super::super::commands::{Command, Order};
use super::super::outputs::Stream;
use super::{Service, now};
use crate::clock;

impl Service {
    /// A message came on the reliable channel. Gives what to answer at once on this very thread.
    pub(in crate::hosted) fn said(&self, frame: &[u8]) -> Option<ToOperator> {
        let now = now();
        self.hear(now);
        let message = match ToRobot::decode(frame) {
            Ok(message) => message,
            Err(waldo_protocol::hosted::Unreadable::NotAnObject) => return None,
            Err(error) => {
                self.metrics.refusal("hosted", "message");
                if self.log_due("message") {
                    tracing::warn!(%error, "a message of the operator is left out");
                }
                return None;
            }
        };
        let blind = {
            let mut state = self.state();
            if !state.blind && !matches!(message, ToRobot::OperatorLost { .. }) {
                state.heard(now);
            }
            state.blind
        };
        match message {
            ToRobot::Ping { client_ts } => return Some(ToOperator::Pong { client_ts, robot_ts: now.unix }),
            ToRobot::ClockReport(report) => {
                tracing::debug!(?report, "the operator's clock");
                self.state().rtt_ms = Some(report.rtt_ms).filter(|rtt| rtt.is_finite() && *rtt >= 0.0);
            }
            ToRobot::VideoStats(stats) => {
                let data = stats.to_joy(now.unix).encode();
                self.put(Stream::VideoStats, Some(now.unix), now, data);
                let mut state = self.state();
                state.cap.observe(now.mono, &stats);
                self.video.allow(state.cap.kbps());
                state.seen = Some(stats);
            }
            ToRobot::Estop { nonce } => self.estop(nonce),
            ToRobot::EstopClear { nonce } => self.clear_estop(nonce),
            ToRobot::Sport { command: SportCommand::Damp, nonce } => self.damp(nonce),
            ToRobot::Sport { command, nonce } => self.submit(Command::Sport(command), nonce),
            ToRobot::SetMode { mode, nonce } => self.submit(Command::Mode(mode), nonce),
            ToRobot::ObstacleAvoidance { enabled, nonce } => self.submit(Command::Avoid(enabled), nonce),
            ToRobot::Light { brightness, nonce } => self.submit(Command::Light(brightness), nonce),
            ToRobot::NavGoal { x, y, nonce } => self.submit(Command::Go { x, y }, nonce),
            ToRobot::TeleopScale { scale, nonce } => self.submit(Command::Scale(scale), nonce),
            ToRobot::NavCancel { nonce } => {
                self.cancel_navigation(now);
                self.acknowledge(nonce, true);
            }
            ToRobot::CameraSelect(select) => {
                self.chosen.send_replace(select.of(&self.cameras));
                self.telemetry_due.notify_one();
            }
            ToRobot::Gripper { closed } => {
                if !blind {
                    self.state().operator.gripper(closed, now);
                }
            }
            ToRobot::OperatorLost { reason } => self.lost(reason.as_deref().unwrap_or("the SFU says so")),
            ToRobot::Refused(RefusedCommand { nonce, kind, problem }) => {
                tracing::debug!(kind, problem, "a command of the operator is refused");
                self.refuse(nonce);
            }
            ToRobot::Unknown(kind) => tracing::debug!(kind, "a message of an unknown type"),
        }
        None
    }

    fn submit(&self, command: Command, nonce: Option<Nonce>) {
        let submitted = {
            let mut state = self.state();
            (!state.blind).then(|| state.executor.submit(nonce.clone(), clock::now()))
        };
        let Some(submitted) = submitted else { return self.refuse(nonce) };
        match submitted {
            Submitted::Queued(ticket) => {
                let order = Order { ticket, nonce, command };
                if let Err(refused) = self.orders.try_send(order) {
                    // The robot shuts down.
                    let order = refused.into_inner();
                    self.state().executor.finished(order.ticket, false, clock::now());
                    self.refuse(order.nonce);
                }
            }
            Submitted::Repeated { ok } => self.acknowledge(nonce, ok),
            Submitted::UnderWay => {}
            Submitted::Refused(why) => {
                tracing::debug!(%why, "a command of the operator is refused");
                self.refuse(nonce);
            }
        }
    }
}
