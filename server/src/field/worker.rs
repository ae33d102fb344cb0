//! The thread that owns the back end: 200 steps a second, whatever sockets do.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, oneshot};
use waldo_protocol::field::{ArmCommand, CharacterMode, MultiArmCommand, SessionArmControlMapper};
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::HoldReason;

use super::backend::{BackendError, FieldBackend, FieldHold};
use super::config::{FieldConfig, FieldMapping};
use super::input::Input;
use super::schedule::Schedule;
use super::seat::{Link, Seat};
use super::snapshot::Snapshot;
use crate::clock;
use crate::control::{StopGate, StopView};
use crate::metrics::Metrics;

/// Steps per second.
pub(super) const STEP_RATE: u32 = 200;

/// Steps at once after the thread did not run for a while.
const CATCH_UP: u32 = 5;

/// Length of a step, seconds.
const STEP: f64 = 1.0 / STEP_RATE as f64;

/// Calls that wait for the thread; a socket has one at a time.
const MAX_CALLS: usize = 256;

/// Calls between two steps, so that no crowd of publishers holds up the arms.
const CALLS_PER_STEP: usize = 16;

/// What users are told when the back end has failed.
const BROKEN: &str = "the simulation of this field has failed: it must be started anew";

type Call = Box<dyn FnOnce(&mut World) + Send>;

/// What sockets and the publishing thread see of the worker.
#[derive(Debug)]
pub(super) struct Shared {
    /// As of the last step before it was needed.
    snapshot: ArcSwap<Snapshot>,
    /// When the next snapshot will be looked at, nanoseconds of the monotonic clock.
    wanted_at: AtomicU64,
    paused: AtomicBool,
    broken: AtomicBool,
    steps: AtomicU64,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            snapshot: ArcSwap::default(),
            wanted_at: AtomicU64::new(0),
            paused: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            steps: AtomicU64::new(0),
        }
    }
}

impl Shared {
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Announces when the snapshot is needed next.
    pub(super) fn want_at(&self, at: MonoTime) {
        self.wanted_at.store(at.as_nanos(), Ordering::Relaxed);
    }

    pub(super) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Relaxed);
    }

    pub(super) fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Relaxed)
    }

    /// Whether the back end has panicked.
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Steps so far.
    pub(super) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }
}

/// The way to the thread.
#[derive(Clone, Debug)]
pub(super) struct Calls(mpsc::Sender<Call>);

/// The thread answers no more: the service stops, or its back end has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{BROKEN}")]
pub(super) struct NoAnswer;

impl Calls {
    /// The way to the thread, and its end there.
    pub(super) fn new() -> (Self, mpsc::Receiver<Call>) {
        let (sender, receiver) = mpsc::channel(MAX_CALLS);
        (Self(sender), receiver)
    }

    /// Has the thread do something between two steps.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut World) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let (reply, answer) = oneshot::channel();
        let call: Call = Box::new(move |world| {
            // Whoever asked may be gone.
            let _ = reply.send(call(world));
        });
        self.0.send(call).await.map_err(|_| NoAnswer)?;
        answer.await.map_err(|_| NoAnswer)
    }
}

/// What belongs to the thread.
pub(super) struct World {
    pub(super) backend: Box<dyn FieldBackend>,
    users: BTreeMap<String, Held>,
    mapping: FieldMapping,
    stop: Option<StopView>,
    /// The latch as it was seen last.
    stopped: bool,
    stops: u64,
    metrics: Metrics,
}

/// A user, and what keeps their commands from counting.
struct Held {
    seat: Arc<Seat>,
    gate: StopGate,
    /// What the stop latch means to them.
    waits: Option<HoldReason>,
}

impl World {
    pub(super) fn new(backend: Box<dyn FieldBackend>, config: &FieldConfig) -> Self {
        Self {
            backend,
            users: BTreeMap::new(),
            mapping: config.mapping,
            stop: config.stop.clone(),
            stopped: false,
            stops: config.stop.as_ref().map_or(0, StopView::stops),
            metrics: config.metrics.clone(),
        }
    }

    /// Somebody joins; from now on the user's commands count.
    pub(super) fn join(
        &mut self,
        user: String,
        mode: CharacterMode,
        link: Link,
        deadman: Duration,
    ) -> Result<Arc<Seat>, BackendError> {
        let arms = self.backend.register_user(&user, mode)?;
        let config = self.mapping.mapper(&arms, self.backend.smoothing());
        let mapper = SessionArmControlMapper::new(config).map_err(|error| {
            self.backend.remove_user(&user);
            BackendError::Invalid(error.to_string().into())
        })?;
        let input = Input::new(mapper, deadman);
        let seat = Arc::new(Seat::new(user.clone(), mode, arms, input, link));
        let held = Held { seat: Arc::clone(&seat), gate: StopGate::default(), waits: None };
        self.users.insert(user, held);
        Ok(seat)
    }

    /// The user and everything of theirs goes. Back ends that move something hear of hands that let go first.
    pub(super) fn leave(&mut self, user: &str) {
        if !self.users.contains_key(user) {
            return;
        }
        if let Some(held) = self.users.remove(user) {
            let idle = idle(&held.seat, self.backend.as_ref());
            self.backend.let_go(user, &idle);
        }
        self.backend.remove_user(user);
    }

    /// New arms for a user, under the same names; not during a stop, which the way to rest would break.
    pub(super) fn reset(&mut self, seat: &Seat) -> Result<Vec<String>, BackendError> {
        if self.stop.as_ref().is_some_and(StopView::stopped) {
            return Err(BackendError::Stopped);
        }
        seat.input().reset();
        self.backend.remove_user(&seat.user);
        let arms = self.backend.register_user(&seat.user, seat.mode)?;
        if self.users.get(&seat.user).is_some_and(|held| held.waits.is_some()) {
            self.backend.wait(&seat.user, true);
        }
        Ok(arms)
    }

    /// One step of `dt` seconds.
    pub(super) fn step(&mut self, now: MonoTime, dt: f64) {
        // A stop that came and went since the last step is one of this step.
        let stops = self.stop.as_ref().map_or(0, StopView::stops);
        let passed = std::mem::replace(&mut self.stops, stops) != stops;
        let stopped = passed || self.stop.as_ref().is_some_and(StopView::stopped);
        if std::mem::replace(&mut self.stopped, stopped) != stopped {
            self.backend.stop(stopped);
        }
        let heeds_stop = self.backend.heeds_stop();
        let mut commands = Vec::with_capacity(self.users.len());
        for (user, held) in &mut self.users {
            let (said, thinned) = {
                let mut input = held.seat.input();
                (input.step(now), input.take_thinned())
            };
            self.metrics.field_dropped("rate", thinned);
            if said.expired {
                held.seat.tell_silence();
                self.metrics.field_dropped("deadman", 1);
            }
            let command = said.command;
            if !heeds_stop {
                let waited = held.waits.is_some();
                held.look(stopped, command.as_deref());
                if waited != held.waits.is_some() {
                    self.backend.wait(user, !waited);
                }
            }
            // While they wait the back end holds the arms, and sees what is pressed.
            commands.extend(command.map(|command| (user.clone(), command)));
        }
        let commands: Vec<_> = commands.iter().map(|(user, command)| (user.as_str(), command.as_ref())).collect();
        self.backend.step(dt, &commands);
        for (user, held) in &self.users {
            held.seat.note(now, self.backend.hold(user).or_else(|| held.waits.map(in_words)));
        }
    }

    fn seats(&self) -> impl Iterator<Item = &Seat> {
        self.users.values().map(|held| held.seat.as_ref())
    }
}

impl Held {
    /// Sees whether the user has to wait, during a stop and after it until their grips were seen released.
    fn look(&mut self, stopped: bool, command: Option<&MultiArmCommand>) {
        let gripped = command.map(|command| command.commands.values().any(|arm| arm.active));
        self.waits = match gripped {
            Some(gripped) => self.gate.hold(stopped, gripped),
            None if stopped => self.gate.hold(stopped, false),
            // Who says nothing has released nothing.
            None => self.waits.map(|_| HoldReason::ReleaseGrips),
        };
    }
}

/// The same for people and for programs.
fn in_words(reason: HoldReason) -> FieldHold {
    let (code, text) = match reason {
        HoldReason::Stopped => ("stopped", "stopped: nothing moves until the stop is cleared"),
        _ => ("release_grips", "release both grips to go on after the stop"),
    };
    FieldHold { code, text: text.into() }
}

/// Hands that let go of all arms of a user.
fn idle(seat: &Seat, backend: &dyn FieldBackend) -> MultiArmCommand {
    let scene = backend.scene();
    let arm = |id: &String| Some(ArmCommand::inactive(id.clone(), scene.arms.get(id)?.tip));
    MultiArmCommand::new(scene.timestamp, seat.arms.iter().filter_map(arm))
}

/// Steps until told to stop, or until the back end panics; then everything holds where it was.
pub(super) fn run(mut world: World, mut calls: mpsc::Receiver<Call>, shared: &Shared, stopping: &AtomicBool) {
    let ran = catch_unwind(AssertUnwindSafe(|| steps(&mut world, &mut calls, shared, stopping)));
    if ran.is_ok() {
        return;
    }
    shared.broken.store(true, Ordering::Relaxed);
    tracing::error!("the field's back end panicked: its arms hold; restart the program");
    for seat in world.seats() {
        seat.tell(BROKEN, "fault");
    }
    shared.snapshot.store(Arc::new(shared.snapshot().broken()));
    // Its author's code may panic again in its end; and whoever calls learns that nobody answers.
    let _ = catch_unwind(AssertUnwindSafe(move || drop(world)));
}

fn steps(world: &mut World, calls: &mut mpsc::Receiver<Call>, shared: &Shared, stopping: &AtomicBool) {
    let mut schedule = Schedule::new(clock::now(), STEP_RATE, CATCH_UP);
    while !stopping.load(Ordering::Relaxed) {
        let next = schedule.next();
        std::thread::sleep(next.since(clock::now()));
        for call in (0..CALLS_PER_STEP).map_while(|_| calls.try_recv().ok()) {
            call(world);
        }
        let due = schedule.due(clock::now());
        world.metrics.field_dropped("late_steps", due.left_out);
        if !shared.is_paused() {
            for _ in 0..due.turns {
                world.step(clock::now(), STEP);
            }
            shared.steps.fetch_add(due.turns.into(), Ordering::Relaxed);
        }
        // The last step before it is needed.
        let wanted = MonoTime::from_nanos(shared.wanted_at.load(Ordering::Relaxed));
        if schedule.next() + Duration::from_millis(1) >= wanted {
            let before = shared.snapshot.load();
            shared.snapshot.store(Arc::new(Snapshot::take(world.backend.as_ref(), world.seats(), &before)));
        }
    }
}

#[cfg(test)]
mod tests;
