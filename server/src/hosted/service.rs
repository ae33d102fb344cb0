//! What the operator's messages cause, and what is told to them: everything between the channels and the arbiter.

mod said;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use waldo_protocol::hosted::{CommandExecutor, Nonce, Now, ToOperator, VideoCap, VideoStats};
use waldo_protocol::lcm::Bool;
use waldo_protocol::time::MonoTime;

use super::body::Body;
use super::commands::Order;
use super::operator::{LeftOut, Operator};
use super::outputs::{Output, Outputs, Stream};
use super::robot::Robot;
use crate::clock;
use crate::config::{HostedKind, HostedSettings};
use crate::control::SourceId;
use crate::metrics::Metrics;
use crate::rtc::{Channel, VideoRate};

/// Messages that wait to be sent to the operator; what comes while all are taken is left out, with a word in the log.
const WAITING: usize = 64;

/// What operators cause is logged at most this often, per kind.
const LOG_EVERY: Duration = Duration::from_secs(1);

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
    /// What is sent of the picture, and the most that the operator's network takes.
    pub(super) video: Arc<VideoRate>,
    /// Counts operators, and losses of them.
    source: AtomicU64,
    /// When the operator was heard last, nanoseconds.
    pub(super) heard: AtomicU64,
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
    /// Whether an operator has channels to the robot.
    pub(super) there: bool,
    /// Nothing was heard of them since they were lost.
    pub(super) silent: bool,
    /// They asked for something in the step before, be it that all shall stand.
    pub(super) asked: bool,
    /// Nobody would tell that they left: nothing of theirs counts but stops.
    pub(super) blind: bool,
    /// How often the stop latch had been set when it was looked at.
    pub(super) stops: u64,
    /// What their page said last of the picture, and what follows from all that it said.
    pub(super) seen: Option<VideoStats>,
    pub(super) cap: VideoCap,
    /// To the operator and back, as they found out.
    pub(super) rtt_ms: Option<f64>,
    back: Option<mpsc::Sender<Frame>>,
}

impl State {
    /// Something is heard of the operator, which counts.
    fn heard(&mut self, now: Now) {
        if std::mem::take(&mut self.silent) {
            self.operator.returned(now.mono);
        }
    }
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
            there: false,
            silent: true,
            asked: false,
            blind: false,
            stops: robot.stop.stops(),
            seen: None,
            cap: VideoCap::default(),
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
            video: Arc::default(),
            source: AtomicU64::new(0),
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

    /// The operator, to the arbiter.
    pub(super) fn source(&self) -> SourceId {
        SourceId::remote(self.source.load(Ordering::Acquire))
    }

    /// From now on it is another one, or the same after a loss; gives the one before.
    pub(super) fn next_source(&self) -> SourceId {
        SourceId::remote(self.source.fetch_add(1, Ordering::AcqRel))
    }

    /// A message came on the lossy channel.
    pub(super) fn command(&self, frame: &[u8]) {
        let now = now();
        self.hear(now);
        let judged = {
            let mut state = self.state();
            match state.blind {
                true => Err(LeftOut::Blind),
                false => {
                    state.heard(now);
                    state.operator.command(frame, now)
                }
            }
        };
        if let Err(left_out) = judged {
            let kind = match left_out {
                LeftOut::Malformed(_) => "malformed",
                LeftOut::Dropped(_) => "dropped",
                LeftOut::Blind => "blind",
            };
            self.metrics.refusal("hosted", kind);
            if self.log_due(kind) {
                tracing::warn!(reason = %left_out, "a command of the operator is left out");
            }
        }
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

    /// One step of the control loop, `dt` seconds after the one before; gives when the next one must come at the latest.
    pub(super) fn step(&self, dt: f64) -> Option<MonoTime> {
        let now = now();
        if self.follow_stop(self.robot.stop.stopped()) {
            self.telemetry_due.notify_one();
        }
        let (wish, source, asks, deadline) = {
            let mut state = self.state();
            let base = self.robot.base.as_ref().filter(|_| state.body.may_drive());
            let mut wish = state.operator.step(dt, now, self.robot.grippers(), base);
            // Of whom nothing is heard any more, the watchdogs shall know it; who is heard again begins at rest.
            let asks = state.there && !state.silent && self.hears();
            if !std::mem::replace(&mut state.asked, asks) {
                wish = state.operator.resting();
            }
            (wish, state.there.then(|| self.source()), asks, state.operator.deadline())
        };
        let (drives, heeded) = source.map_or((false, true), |source| {
            self.robot.arbitrate(|arbiter, now, events| {
                // Unless they were lost meanwhile, which the arbiter knows by now.
                if asks && source == self.source() {
                    match wish.silent {
                        true => arbiter.on_field_silent(now, source, events),
                        false => arbiter.on_remote(now, source, (&wish.hands, wish.base), events),
                    }
                }
                (arbiter.lease().driver == Some(source), arbiter.heeds(source))
            })
        });
        self.drives.store(drives, Ordering::Relaxed);
        self.state().operator.heed(heeded, now);
        deadline
    }

    /// Why nothing moves for the operator, in words, and which arms follow their hands.
    pub(super) fn standing(&self) -> (Option<String>, [bool; 2]) {
        let source = self.source();
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

    pub(super) fn cancel_navigation(&self, now: Now) {
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
