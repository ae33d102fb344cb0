//! What the operator's messages cause, and what is told to them: everything between the channels and the arbiter.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use waldo_protocol::geometry::{Base, Pose};
use waldo_protocol::hosted::{
    CommandExecutor, HANDS, Nonce, Now, RefusedCommand, SportCommand, Submitted, ToOperator, ToRobot,
};
use waldo_protocol::lcm::Bool;
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::{Hand, Role, Stop};

use super::body::Body;
use super::commands::{Command, Order};
use super::operator::{LeftOut, Operator};
use super::outputs::{Output, Outputs, Stream};
use crate::clock;
use crate::config::{HostedKind, HostedSettings};
use crate::control::{Arbiter, ControlLoop, ControlStatus, Event, SourceId, StopView};
use crate::metrics::Metrics;
use crate::priority::{Urgent, while_urgent};
use crate::robot::MobileBase;
use crate::rtc::Channel;
use crate::sensors::SensorHub;

/// Messages that wait to be sent to the operator; the newest telemetry gives way, never an acknowledgement.
const WAITING: usize = 64;

/// What operators cause is logged at most this often, per kind.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// What becomes of the arbiter's events.
pub(crate) type Report = Box<dyn Fn(Event) + Send + Sync>;

/// The robot that operators move.
pub(crate) struct Robot {
    arbiter: Arc<Mutex<Arbiter>>,
    stop: StopView,
    status: Arc<ArcSwap<ControlStatus>>,
    /// Which arm of the status each hand moves.
    arms: [Option<usize>; 2],
    pub(super) base: Option<MobileBase>,
    pub(super) hub: SensorHub,
    report: Report,
}

impl Robot {
    pub(crate) fn new(control: &ControlLoop, arbiter: Arc<Mutex<Arbiter>>, hub: SensorHub, report: Report) -> Self {
        let stop = lock(&arbiter).stop_view();
        let arm = |hand: Hand| control.arms().iter().position(|arm| arm.hand == hand);
        let (arms, base) = (HANDS.map(arm), control.base().cloned());
        Self { arbiter, stop, status: control.statuses(), arms, base, hub, report }
    }

    /// Does something to the arbiter, and tells what came of it when its lock is free again.
    fn arbitrate<T>(&self, act: impl FnOnce(&mut Arbiter, MonoTime, &mut Vec<Event>) -> T) -> T {
        let mut events = Vec::new();
        // Who holds this lock holds up the control loop.
        let result = while_urgent(Urgent::Poses, || act(&mut lock(&self.arbiter), clock::now(), &mut events));
        events.into_iter().for_each(&self.report);
        result
    }

    fn grippers(&self) -> [Option<Pose<Base>>; 2] {
        let status = self.status.load();
        self.arms.map(|arm| status.grippers.get(arm?).copied())
    }
}

/// A message for the operator.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) text: bool,
    pub(super) data: Bytes,
}

/// Everything that the tasks and threads of a hosted robot share.
pub(super) struct Service {
    pub(super) settings: HostedSettings,
    pub(super) outputs: Outputs,
    pub(super) robot: Robot,
    pub(super) metrics: Metrics,
    state: Mutex<State>,
    orders: mpsc::Sender<Order>,
    /// Which cameras the operator wants to see, by their places.
    pub(super) chosen: watch::Sender<Vec<usize>>,
    /// Names of the cameras that can be chosen.
    pub(super) cameras: Vec<String>,
    /// Whether the robot follows the operator at present.
    pub(super) drives: Arc<AtomicBool>,
    /// When the operator was heard last, nanoseconds.
    heard: AtomicU64,
    /// The camera shows nothing new.
    pub(super) stalled: AtomicBool,
    pub(super) telemetry_due: tokio::sync::Notify,
    /// The way of maps to the operator.
    map: Mutex<Option<Channel>>,
    logged: Mutex<BTreeMap<&'static str, MonoTime>>,
}

/// What belongs to the present operator.
pub(super) struct State {
    pub(super) operator: Operator,
    pub(super) executor: CommandExecutor<Nonce>,
    pub(super) body: Body,
    /// Counts operators, and losses of them.
    source: u64,
    /// Whether an operator has channels to the robot.
    there: bool,
    /// Nothing was heard of them since they were lost.
    silent: bool,
    /// To the operator and back, as they found out.
    rtt_ms: Option<f64>,
    back: Option<mpsc::Sender<Frame>>,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Both clocks.
pub(super) fn now() -> Now {
    let mono = clock::now();
    Now { mono, unix: clock::unix_time(mono).as_secs_f64() }
}

impl Service {
    /// The service of a robot with these cameras; orders of the operator come out of the other end.
    pub(super) fn new(
        settings: HostedSettings,
        outputs: Outputs,
        robot: Robot,
        metrics: Metrics,
        cameras: Vec<String>,
    ) -> (Arc<Self>, mpsc::Receiver<Order>) {
        // The executor lets no more be under way.
        let (orders, received) = mpsc::channel(waldo_protocol::hosted::MAX_PENDING);
        let state = State {
            operator: Operator::new(&settings, outputs.clone()),
            executor: CommandExecutor::default(),
            body: Body::default(),
            source: 0,
            there: false,
            silent: true,
            rtt_ms: None,
            back: None,
        };
        let service = Self {
            settings,
            outputs,
            robot,
            metrics,
            state: Mutex::new(state),
            orders,
            chosen: watch::Sender::new(vec![0]),
            cameras,
            drives: Arc::default(),
            heard: AtomicU64::new(0),
            stalled: AtomicBool::new(false),
            telemetry_due: tokio::sync::Notify::new(),
            map: Mutex::default(),
            logged: Mutex::default(),
        };
        (Arc::new(service), received)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether a line of this kind may be logged now.
    pub(super) fn log_due(&self, kind: &'static str) -> bool {
        let now = clock::now();
        let mut logged = lock(&self.logged);
        let due = logged.get(kind).is_none_or(|at| now.since(*at) >= LOG_EVERY);
        if due {
            logged.insert(kind, now);
        }
        due
    }

    /// Whether the operator was heard of within this time.
    pub(super) fn heard_within(&self, limit: Duration) -> bool {
        let heard = self.heard.load(Ordering::Relaxed);
        heard > 0 && clock::now().since(MonoTime::from_nanos(heard)) <= limit
    }

    fn hear(&self, now: Now) {
        self.heard.store(now.mono.as_nanos().max(1), Ordering::Relaxed);
    }

    /// A message came on the lossy channel.
    pub(super) fn command(&self, frame: &[u8]) {
        let now = now();
        self.hear(now);
        let judged = {
            let mut state = self.state();
            state.silent = false;
            state.operator.command(frame, now)
        };
        if let Err(left_out) = judged {
            let kind = match left_out {
                LeftOut::Malformed(_) => "malformed",
                LeftOut::Dropped(_) => "dropped",
            };
            self.metrics.refusal("hosted", kind);
            if self.log_due(kind) {
                tracing::warn!(reason = %left_out, "a command of the operator is left out");
            }
        }
    }

    /// A message came on the reliable channel. Gives what to answer at once on this very thread.
    pub(super) fn said(&self, frame: &[u8]) -> Option<ToOperator> {
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
        if !matches!(message, ToRobot::OperatorLost { .. }) {
            self.state().silent = false;
        }
        match message {
            ToRobot::Ping { client_ts } => return Some(ToOperator::Pong { client_ts, robot_ts: now.unix }),
            ToRobot::ClockReport(report) => {
                tracing::debug!(?report, "the operator's clock");
                self.state().rtt_ms = Some(report.rtt_ms).filter(|rtt| rtt.is_finite() && *rtt >= 0.0);
            }
            ToRobot::VideoStats(stats) => {
                let data = stats.to_joy(now.unix).encode();
                self.put(Stream::VideoStats, Some(now.unix), now, data);
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
                self.state().operator.gripper(closed, now);
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

    /// Where the operator's messages go from now on.
    pub(super) fn set_back(&self, back: Option<mpsc::Sender<Frame>>) {
        self.state().back = back;
    }

    /// Where maps go from now on.
    pub(super) fn set_map(&self, map: Option<Channel>) {
        *lock(&self.map) = map;
    }

    /// Where maps go.
    pub(super) fn map(&self) -> Option<Channel> {
        lock(&self.map).clone()
    }

    /// Whether the operator can be told anything.
    pub(super) fn has_operator(&self) -> bool {
        self.state().back.is_some()
    }

    /// To the operator and back, ms, as they found out.
    pub(super) fn operator_rtt_ms(&self) -> Option<f64> {
        let state = self.state();
        state.rtt_ms.filter(|_| state.there)
    }

    /// Commands of the operator per second.
    pub(super) fn command_rate_hz(&self) -> Option<f64> {
        let state = self.state();
        state.operator.statistics().figures().filter(|_| state.there)?.rate_hz
    }

    /// Room for messages to the operator.
    pub(super) fn outbox() -> (mpsc::Sender<Frame>, mpsc::Receiver<Frame>) {
        mpsc::channel(WAITING)
    }

    /// Tells the operator something, if they can be told.
    pub(super) fn tell(&self, message: &ToOperator) {
        let frame = Frame { text: message.is_text(), data: message.encode().into() };
        let sent = self.state().back.as_ref().map(|back| back.try_send(frame).is_ok());
        if sent != Some(true) && self.log_due("untold") {
            tracing::warn!("the operator cannot be told what became of their commands: their way back is not open");
        }
    }

    /// Tells what became of a command that has a nonce.
    pub(super) fn acknowledge(&self, nonce: Option<Nonce>, ok: bool) {
        if nonce.is_some() {
            self.tell(&ToOperator::CmdAck { nonce, ok });
        }
    }

    /// Tells that a command does not run, nonce or not.
    pub(super) fn refuse(&self, nonce: Option<Nonce>) {
        self.tell(&ToOperator::CmdAck { nonce, ok: false });
    }

    /// An operator has channels to the robot, or another one than before.
    pub(super) fn arrived(&self) {
        let before = {
            let mut state = self.state();
            let before = state.there.then_some(SourceId::remote(state.source));
            (state.there, state.silent, state.rtt_ms) = (true, false, None);
            state.source += 1;
            state.operator.lost();
            state.executor.forget_nonces();
            before
        };
        if let Some(before) = before {
            self.robot.arbitrate(|arbiter, now, events| arbiter.on_remote_lost(now, before, events));
        }
        self.chosen.send_replace(vec![0]);
        tracing::info!("an operator is there");
    }

    /// The id of a channel changed: whoever counts from now on may begin anew.
    pub(super) fn channel_changed(&self) {
        let mut state = self.state();
        state.executor.forget_nonces();
        state.operator.restart();
    }

    /// The operator has no channels any more.
    pub(super) fn left(&self) {
        self.lost("they left");
        self.state().there = false;
    }

    /// The operator is lost: nothing moves on, and whoever comes next engages deliberately.
    pub(super) fn lost(&self, why: &str) {
        let now = now();
        let source = {
            let mut state = self.state();
            if !state.there || std::mem::replace(&mut state.silent, true) {
                return;
            }
            let source = SourceId::remote(state.source);
            state.source += 1;
            state.operator.lost();
            state.executor.operator_lost();
            if self.settings.damp_on_operator_lost && self.settings.kind == HostedKind::Twist {
                state.body.take(SportCommand::Damp);
            }
            source
        };
        self.robot.arbitrate(|arbiter, now, events| arbiter.on_remote_lost(now, source, events));
        self.cancel_navigation(now);
        tracing::info!("the operator is lost: {why}");
    }

    fn estop(&self, nonce: Option<Nonce>) {
        let source = SourceId::remote(self.state().source);
        // Before anything else.
        let stopped = self.robot.arbitrate(|arbiter, now, events| {
            arbiter.on_stop(now, (source, Role::Driver), Stop { n: None, clear: false }, events);
            arbiter.stopped()
        });
        let now = now();
        self.follow_stop(stopped);
        self.cancel_navigation(now);
        self.tell_state(now);
        if self.settings.kind == HostedKind::Twist {
            self.state().body.take(SportCommand::Damp);
        }
        tracing::warn!("the operator stopped the robot");
        self.acknowledge(nonce, stopped);
    }

    fn clear_estop(&self, nonce: Option<Nonce>) {
        let source = SourceId::remote(self.state().source);
        let now = now();
        self.cancel_navigation(now);
        let stopped = self.robot.arbitrate(|arbiter, now, events| {
            arbiter.on_stop(now, (source, Role::Driver), Stop { n: None, clear: true }, events);
            arbiter.stopped()
        });
        self.follow_stop(stopped);
        self.tell_state(now);
        if stopped {
            tracing::info!("the stop stays: somebody else drives the robot, and may clear it");
        } else {
            tracing::info!("the operator cleared the stop");
        }
        self.acknowledge(nonce, !stopped);
    }

    /// The robot lies down, urgently.
    fn damp(&self, nonce: Option<Nonce>) {
        let drives = self.settings.kind == HostedKind::Twist;
        if drives {
            let mut state = self.state();
            state.body.take(SportCommand::Damp);
            // It drives no longer, whatever was asked for.
            state.operator.rest();
        }
        self.acknowledge(nonce, drives);
    }

    /// The one stop latch, wherever it was set, holds for everything here too.
    fn follow_stop(&self, stopped: bool) -> bool {
        let mut state = self.state();
        let news = state.operator.latch(stopped);
        match (news, stopped) {
            (true, true) => state.executor.latch(),
            (true, false) => state.executor.clear(),
            (false, _) => {}
        }
        news
    }

    fn submit(&self, command: Command, nonce: Option<Nonce>) {
        let submitted = self.state().executor.submit(nonce.clone(), clock::now());
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

    /// One step of the control loop, `dt` seconds after the one before; gives when the next one must come at the latest.
    pub(super) fn step(&self, dt: f64) -> Option<MonoTime> {
        let now = now();
        if self.follow_stop(self.robot.stop.stopped()) {
            self.telemetry_due.notify_one();
        }
        let (wish, source, deadline) = {
            let mut state = self.state();
            let base = self.robot.base.as_ref().filter(|_| state.body.may_drive());
            let wish = state.operator.step(dt, now, self.robot.grippers(), base);
            (wish, state.there.then_some(SourceId::remote(state.source)), state.operator.deadline())
        };
        let drives = source.is_some_and(|source| {
            self.robot.arbitrate(|arbiter, now, events| {
                match wish.silent {
                    true => arbiter.on_field_silent(now, source, events),
                    false => arbiter.on_remote(now, source, (&wish.hands, wish.base), events),
                }
                arbiter.lease().driver == Some(source)
            })
        });
        self.drives.store(drives, Ordering::Relaxed);
        deadline
    }

    /// Why nothing moves for the operator, in words, and which arms follow their hands.
    pub(super) fn standing(&self) -> (Option<String>, [bool; 2]) {
        let source = SourceId::remote(self.state().source);
        self.robot.arbitrate(|arbiter, now, _| {
            let hold = arbiter.hold_for(now, source).map(|hold| hold.text.into_owned());
            let drives = arbiter.lease().driver == Some(source);
            let followed = arbiter.field_targets().filter(|_| drives);
            (hold, followed.map_or([false; 2], |targets| targets.hands.map(|hand| hand.is_some())))
        })
    }

    /// Whether the robot is stopped.
    pub(super) fn stopped(&self) -> bool {
        self.robot.stop.stopped()
    }

    /// Navigation, if there is any, shall go there.
    pub(super) fn navigate(&self, data: Vec<u8>, now: Now) {
        self.put(Stream::Goal, Some(now.unix), now, data);
    }

    fn cancel_navigation(&self, now: Now) {
        if self.settings.kind == HostedKind::Twist {
            self.put(Stream::StopMovement, None, now, Bool { data: true }.encode());
        }
    }

    /// Tells the operator at once how the robot is.
    pub(super) fn tell_state(&self, now: Now) {
        let telemetry = ToOperator::Telemetry(self.telemetry(now));
        self.put(Stream::Telemetry, None, now, telemetry.encode().into());
        if self.state().back.is_some() {
            self.tell(&telemetry);
        }
    }

    fn put(&self, stream: Stream, stamp: Option<f64>, now: Now, data: Vec<u8>) {
        self.outputs.put(Output { stream, stamp, at: now.unix, data: data.into() });
    }
}
