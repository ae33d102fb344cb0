//! The robot of `waldo serve` as policies see it: their actions go to the arbiter, what they are told comes from the
//! control loop and the sensors.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use arc_swap::ArcSwap;
use waldo_protocol::policy::{AppMap, ErrorCode, NotForTheWire, Outcome, Value};
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::HoldReason;

use crate::clock;
use crate::control::{
    Arbiter, ControlLoop, ControlStatus, Event, JointAction, RATE_HZ, Refused, ResetProgress, SourceId,
};
use crate::policy::{ActionData, Observation, PolicyError, PolicyRobot, StepResult};
use crate::priority::{Urgent, become_urgent};
use crate::robot::ActionLayout;
use crate::sensors::SensorHub;

/// The longest a reset may take: clients give up after 60 s.
const RESET_LIMIT: Duration = Duration::from_secs(55);

/// How long the first observation after a reset waits for pictures of the arms at rest.
const FRESH_LIMIT: Duration = Duration::from_millis(300);

/// How often what is waited for is looked at.
const POLL: Duration = Duration::from_millis(4);

thread_local! {
    /// Whether this thread has the priority of those that take the arbiter's lock.
    static URGENT: Cell<bool> = const { Cell::new(false) };
}

/// What becomes of the arbiter's events.
type Report = Box<dyn Fn(Event) + Send + Sync>;

/// The robot behind the policy service.
pub(super) struct Driven {
    arbiter: Arc<Mutex<Arbiter>>,
    status: Arc<ArcSwap<ControlStatus>>,
    layout: ActionLayout,
    hub: SensorHub,
    metadata: AppMap,
    /// Silence after which the arms hold.
    timeout: Option<Duration>,
    /// When the last reset was done, nanoseconds: what came before belongs to the episode before.
    begun: AtomicU64,
    report: Report,
}

impl Driven {
    /// A running robot. Its metadata name the sensors that the hub has by now.
    ///
    /// # Errors
    /// A name of the robot's is too long for the wire.
    pub(super) fn new(
        (control, arbiter, hub): (&ControlLoop, Arc<Mutex<Arbiter>>, SensorHub),
        timeout: Duration,
        report: Report,
    ) -> Result<Self, NotForTheWire> {
        let layout = control.action_layout().clone();
        let metadata = metadata(control.robot(), &layout, &hub)?;
        let timeout = (!timeout.is_zero()).then_some(timeout);
        let (status, begun) = (control.statuses(), AtomicU64::new(0));
        Ok(Self { arbiter, status, layout, hub, metadata, timeout, begun, report })
    }

    /// Does something to the arbiter, and tells what came of it when its lock is free again.
    fn arbitrate<T>(&self, act: impl FnOnce(&mut Arbiter, MonoTime, &mut Vec<Event>) -> T) -> T {
        // Who holds this lock holds up the control loop, and must not be held up by encoders meanwhile.
        URGENT.with(|urgent| {
            if !urgent.replace(true) {
                become_urgent(Urgent::Poses);
            }
        });
        let mut events = Vec::new();
        let result = {
            let mut arbiter = self.arbiter.lock().unwrap_or_else(PoisonError::into_inner);
            act(&mut arbiter, clock::now(), &mut events)
        };
        events.into_iter().for_each(&self.report);
        result
    }

    /// `holds_after`: the silence after which the arms hold, if any.
    fn act(&self, action: &ActionData, holds_after: Option<Duration>) -> Result<(), ActRefused> {
        let arms =
            self.layout.decode(&action.shape, &action.values).map_err(|error| ActRefused::Wrong(error.to_string()))?;
        // What was sent while the arms moved to rest would lead them off again, all at once.
        if action.arrived.as_nanos() <= self.begun.load(Ordering::Relaxed) {
            return Err(ActRefused::NotNow(Refused::Old));
        }
        // An action that waited for its turn counts from its arrival: somebody may have let go of the arms since.
        let observed = Some(action.observed.unwrap_or(action.arrived));
        let action = JointAction { arms: arms.into(), observed, holds_after };
        self.arbitrate(|arbiter, now, events| arbiter.on_action(now, SourceId::POLICY, action, events))
            .map_err(ActRefused::NotNow)
    }

    fn ask_for_reset(&self, limit: MonoTime) -> Result<(), PolicyError> {
        loop {
            let asked = self.arbitrate(|arbiter, now, events| arbiter.request_reset(now, SourceId::POLICY, events));
            match asked {
                // Somebody else sent them to rest; the scene is reset only when they are asked again.
                Err(Refused::Held(HoldReason::Resetting)) if clock::now() < limit => thread::sleep(POLL),
                other => return other.map_err(refusal),
            }
        }
    }

    fn wait_for_rest(&self, limit: MonoTime) -> Result<(), PolicyError> {
        loop {
            let progress = self.arbiter.lock().unwrap_or_else(PoisonError::into_inner).reset_progress();
            match progress {
                ResetProgress::Done => return Ok(()),
                ResetProgress::Failed(reason) => return Err(refusal(Refused::Held(reason))),
                _ if clock::now() >= limit => {
                    return Err(PolicyError::app(format!(
                        "the arms are not at rest after {} s",
                        RESET_LIMIT.as_secs()
                    )));
                }
                _ => thread::sleep(POLL),
            }
        }
    }

    /// Waits until each camera that shows anything shows something newer, but not for ever.
    fn fresh_observation(&self, than: MonoTime) -> Observation {
        loop {
            let sensors = self.hub.snapshot();
            let old = sensors.cameras.iter().any(|camera| camera.stamp.is_some_and(|stamp| stamp <= than));
            if !old || clock::now().since(than) >= FRESH_LIMIT {
                return sensors.into();
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until the control loop has followed what was asked by now.
    fn wait_for_tick(&self) {
        // The tick that is under way may have asked before the action came.
        let after = self.status.load().ticks + 2;
        let limit = clock::now() + Duration::from_millis(100);
        while self.status.load().ticks < after && clock::now() < limit {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Why an action is not followed.
enum ActRefused {
    /// It makes no sense for this robot.
    Wrong(String),
    /// It would at another time.
    NotNow(Refused),
}

impl PolicyRobot for Driven {
    fn metadata(&self) -> AppMap {
        self.metadata.clone()
    }

    fn reset(&self) -> Result<(Observation, AppMap), PolicyError> {
        // What it shows afterwards shall be of afterwards, also from cameras that nobody else watches.
        let _awake = self.hub.watch(None);
        let limit = clock::now() + RESET_LIMIT;
        self.ask_for_reset(limit)?;
        self.wait_for_rest(limit)?;
        let observation = self.fresh_observation(clock::now());
        self.begun.store(clock::now().as_nanos(), Ordering::Relaxed);
        Ok((observation, AppMap::default()))
    }

    fn apply_action(&self, action: &ActionData) -> Result<(), PolicyError> {
        // The service knows when the next row of a chunk is due, and tells when that does not come.
        let of_chunk = action.array().is_none();
        self.act(action, self.timeout.filter(|_| !of_chunk)).map_err(|refused| match refused {
            ActRefused::Wrong(why) => PolicyError::new(ErrorCode::BadRequest, why),
            ActRefused::NotNow(refused) => refusal(refused),
        })
    }

    /// Follows the action for one tick of control. An action that does not count now is no error: the client can see what
    /// the robot does meanwhile only by stepping on.
    fn step(&self, action: &ActionData) -> Option<Result<StepResult, PolicyError>> {
        let mut info = AppMap::default();
        let acted = match self.act(action, None) {
            Ok(()) => Ok(()),
            Err(ActRefused::NotNow(refused)) => {
                info.insert("ignored", refused.to_string()).map_err(|error| PolicyError::app(error.to_string()))
            }
            Err(ActRefused::Wrong(why)) => Err(PolicyError::new(ErrorCode::BadRequest, why)),
        };
        Some(acted.map(|()| {
            self.wait_for_tick();
            StepResult { observation: self.hub.snapshot().into(), outcome: self.outcome(), info }
        }))
    }

    fn outcome(&self) -> Outcome {
        self.status.load().outcome
    }

    fn on_stale(&self) {
        self.arbitrate(|arbiter, now, events| arbiter.on_program_silent(now, SourceId::POLICY, events));
    }
}

fn refusal(refused: Refused) -> PolicyError {
    let code = match refused {
        Refused::Operator | Refused::Program | Refused::ResetFirst | Refused::Held(HoldReason::NotDriver) => {
            ErrorCode::NotHolder
        }
        Refused::Old => ErrorCode::Stale,
        Refused::Held(_) => ErrorCode::Busy,
    };
    PolicyError::new(code, refused.to_string())
}

fn metadata(robot: &str, layout: &ActionLayout, hub: &SensorHub) -> Result<AppMap, NotForTheWire> {
    let sensors = hub.snapshot();
    let names = |names: Vec<&str>| Value::Array(names.into_iter().map(Value::from).collect());
    let mut map = AppMap::default();
    map.insert("robot", robot)?;
    map.insert("action_type", layout.kind())?;
    map.insert("action_shape", vec![Value::from(layout.size())])?;
    map.insert("action_layout", layout.words())?;
    map.insert("control_hz", RATE_HZ)?;
    map.insert("cameras", names(sensors.cameras.iter().map(|camera| &*camera.name).collect()))?;
    map.insert("proprio_names", names(sensors.proprios.iter().map(|stream| &*stream.name).collect()))?;
    Ok(map)
}
