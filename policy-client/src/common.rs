//! What the parts of a client share, across its connections.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::broadcast;
use waldo_protocol::policy::{
    Align, AppMap, CameraSettings, Capability, ClientId, MetadataResponse, RequestId, RobotId,
};

use crate::latest::Slot;
use crate::queue::Queue;
use crate::requests::Overdue;
use crate::stats::Counters;
use crate::{Event, Lost, Options};

/// Events that wait for a reader; a slower one misses the oldest.
const EVENTS: usize = 64;

pub(crate) struct Common {
    pub(crate) options: Options,
    pub(crate) client: ClientId,
    pub(crate) latest: Slot,
    pub(crate) queue: Queue,
    pub(crate) counters: Counters,
    pub(crate) events: broadcast::Sender<Event>,
    /// Where its tasks run.
    pub(crate) runtime: Handle,
    /// Zero of the client's clock.
    epoch: Instant,
    next_id: Mutex<RequestId>,
    next_number: AtomicU64,
    action_shape: Mutex<Option<Vec<usize>>>,
    /// The robot that was met first.
    robot: OnceLock<RobotId>,
    pub(crate) configured: Mutex<Configured>,
    /// Replies to earlier connections that may still come to the next one.
    pub(crate) overdue: Mutex<Overdue>,
}

/// What was asked of cameras, to be asked again on every new connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Configured {
    pub(crate) cameras: Vec<(String, CameraSettings)>,
    pub(crate) align: Option<Align>,
}

impl Common {
    pub(crate) fn new(mut options: Options, client: ClientId) -> Self {
        // Without ids nobody could tell which request an error answers.
        if !options.extensions.has(Capability::Id) {
            options.extensions = options.extensions.without(Capability::Err);
        }
        Self {
            queue: Queue::new(options.queue_capacity),
            options,
            client,
            latest: Slot::default(),
            counters: Counters::default(),
            events: broadcast::Sender::new(EVENTS),
            runtime: Handle::current(),
            epoch: Instant::now(),
            next_id: Mutex::new(RequestId::FIRST),
            next_number: AtomicU64::new(1),
            action_shape: Mutex::new(None),
            robot: OnceLock::new(),
            configured: Mutex::default(),
            overdue: Mutex::default(),
        }
    }

    /// An id that no request had before, of this connection or an earlier one: a late reply must find nobody.
    pub(crate) fn next_id(&self) -> RequestId {
        let mut next = self.next_id.lock().unwrap_or_else(PoisonError::into_inner);
        let id = *next;
        *next = id.next();
        id
    }

    /// A number that no stream, chunk or action of this client had before; they rise.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number.fetch_add(1, Ordering::Relaxed)
    }

    /// A time on the client's clock, seconds.
    pub(crate) fn seconds(&self, at: Instant) -> f64 {
        match at.checked_duration_since(self.epoch) {
            Some(after) => after.as_secs_f64(),
            None => -self.epoch.duration_since(at).as_secs_f64(),
        }
    }

    /// The only robot to be spoken to, as far as it is known.
    pub(crate) fn robot(&self) -> Option<&RobotId> {
        self.robot.get()
    }

    pub(crate) fn overdue(&self) -> MutexGuard<'_, Overdue> {
        self.overdue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A robot answers. What a policy computes for the first one must not move another.
    pub(crate) fn meet(&self, found: RobotId) -> Result<(), Lost> {
        let first = self.robot.get_or_init(|| found.clone());
        if *first == found { Ok(()) } else { Err(Lost::OtherRobot { first: first.clone(), found }) }
    }

    pub(crate) fn on_metadata(&self, metadata: &MetadataResponse) {
        let shape = metadata.data.get("action_shape").and_then(|shape| {
            shape.as_array()?.iter().map(|n| usize::try_from(n.as_u64()?).ok()).collect::<Option<Vec<_>>>()
        });
        *self.action_shape.lock().unwrap_or_else(PoisonError::into_inner) = shape;
    }

    /// The shape that actions must have, if they are to be checked and the robot told it.
    pub(crate) fn action_shape(&self) -> Option<Vec<usize>> {
        let shape = self.action_shape.lock().unwrap_or_else(PoisonError::into_inner);
        shape.clone().filter(|_| self.options.check_action_shape)
    }

    pub(crate) fn tell(&self, event: Event) {
        // Nobody may be listening.
        let _ = self.events.send(event);
    }
}

impl Configured {
    /// Adds what is asked for now to what was asked for before.
    pub(crate) fn add(&mut self, cameras: &[(String, CameraSettings)], align: Option<Align>) {
        for (name, settings) in cameras {
            let known = self.cameras.iter_mut().find(|(known, _)| known == name);
            let Some((_, kept)) = known else {
                self.cameras.push((name.clone(), *settings));
                continue;
            };
            let CameraSettings { on, size, roi, encoding, quality, depth } = *settings;
            *kept = CameraSettings {
                on: on.or(kept.on),
                size: size.or(kept.size),
                roi: roi.or(kept.roi),
                encoding: encoding.or(kept.encoding),
                quality: quality.or(kept.quality),
                depth: depth.or(kept.depth),
            };
        }
        self.align = align.or(self.align);
    }
}

/// The facts of a robot, as its metadata tell them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metadata {
    /// The application's own facts; customary are `action_shape` (such as [1, 7]) and `cameras`.
    pub data: AppMap,
    /// What the server says about itself; `None` without extensions.
    pub server: Option<waldo_protocol::policy::ServerExt>,
}
