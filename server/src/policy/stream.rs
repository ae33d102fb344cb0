//! Observations that are sent without being asked for one by one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use tokio::time::{Duration, sleep};
use tokio_util::task::AbortOnDropHandle;
use waldo_protocol::policy::{Credit, ErrorCode, ObservationKind, PushMark, StreamRef, Subscribe};

use super::encode;
use super::pacing::{Next, Pacing};
use super::robot::{Observation, PolicyError};
use super::service::Service;
use super::session::{Client, Terms};
use super::view::Wanted;
use crate::clock;
use crate::sensors::SensorWatch;

/// Streams of one client at a time.
const MAX_STREAMS: usize = 8;

/// Observations that a client may let come before it gives more credit.
const MAX_CREDIT: u64 = 64;

/// Fastest stream, observations per second.
const MAX_HZ: f64 = 1000.0;

/// Between two attempts when the robot has no observation to give, or the client does not read.
const PAUSE: Duration = Duration::from_millis(20);

/// Between two looks whether the picture before is on its way: it usually is at once.
const SOON: Duration = Duration::from_millis(2);

/// The streams of one client by its own numbers. They end when this is dropped.
#[derive(Default)]
pub(super) struct Streams(Mutex<HashMap<u64, Running>>);

struct Running {
    credit: Arc<Credits>,
    _task: AbortOnDropHandle<()>,
}

/// What a client still takes.
#[derive(Default)]
struct Credits {
    left: AtomicU64,
    more: Notify,
}

impl Credits {
    fn add(&self, credit: u64) {
        let add = |left: u64| Some(left.saturating_add(credit).min(MAX_CREDIT));
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
        self.more.notify_one();
    }

    fn take(&self) {
        let _ = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
    }

    fn is_empty(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }
}

impl Streams {
    /// Whether a client may have that stream.
    ///
    /// # Errors
    /// What the client wants is not there, or too much.
    pub(super) fn check(&self, client: &Client, request: &Subscribe) -> Result<(), PolicyError> {
        let refused = |text: String| Err(PolicyError::new(ErrorCode::BadRequest, text));
        if request.hz > MAX_HZ {
            return refused(format!("a stream has at most {MAX_HZ} observations per second"));
        }
        let sensors = client.service().hub.snapshot();
        let cameras: Vec<&str> = sensors.cameras.iter().map(|camera| &*camera.name).collect();
        let proprios: Vec<&str> = sensors.proprios.iter().map(|proprio| &*proprio.name).collect();
        for (kind, wanted, there) in [("camera", &request.cameras, cameras), ("stream", &request.proprios, proprios)] {
            if let Some(name) = wanted.iter().flatten().find(|name| !there.contains(&name.as_str())) {
                return refused(format!("there is no {kind} {name:?}; there are: {}", there.join(", ")));
            }
        }
        let streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if streams.len() >= MAX_STREAMS && !streams.contains_key(&request.stream) {
            return Err(PolicyError::new(ErrorCode::Busy, format!("a client has at most {MAX_STREAMS} streams")));
        }
        Ok(())
    }

    /// Starts a stream, in the place of an earlier one of that number.
    pub(super) fn start(&self, client: &Arc<Client>, request: Subscribe) {
        let (number, credit) = (request.stream, Arc::new(Credits::default()));
        credit.add(request.credit);
        let pushing = push(Arc::clone(client), request, Arc::clone(&credit));
        let task = AbortOnDropHandle::new(client.service().threads.spawn(pushing));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(number, Running { credit, _task: task });
    }

    /// Gives credit to a stream; one that ended in the meantime needs none.
    pub(super) fn credit(&self, Credit { stream, add }: Credit) {
        if let Some(running) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&stream) {
            running.credit.add(add);
        }
    }

    /// Ends a stream.
    pub(super) fn unsubscribe(&self, StreamRef { stream, .. }: StreamRef) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream);
    }

    /// Ends all of them.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Numbers of the newest pictures; without cameras, of the readings.
#[derive(Default)]
struct Last {
    /// That were sent.
    sent: Vec<u64>,
    /// That were sent or left out.
    seen: Vec<u64>,
}

impl Last {
    /// Which are new.
    fn news(&mut self, now: &[u64]) -> Vec<bool> {
        self.seen.resize(now.len(), 0);
        // A camera that was replaced counts from the beginning.
        self.seen.iter().zip(now).map(|(last, now)| *now > 0 && last != now).collect()
    }

    /// They are sent. How many pictures were left out since, of the camera that lost most.
    fn send(&mut self, now: Vec<u64>) -> u64 {
        let left_out = self.sent.iter().zip(&now).filter(|(last, _)| **last > 0);
        let left_out = left_out.map(|(last, now)| now.saturating_sub(last + 1)).max();
        self.seen.clone_from(&now);
        self.sent = now;
        left_out.unwrap_or(0)
    }
}

/// Sends observations until it is aborted.
async fn push(client: Arc<Client>, request: Subscribe, credit: Arc<Credits>) {
    let service = Arc::clone(client.service());
    let names: Option<Vec<&str>> = request.cameras.as_ref().map(|names| names.iter().map(String::as_str).collect());
    let mut watch = service.hub.watch(names.as_deref());
    let mut pacing = Pacing::new(request.hz, clock::now());
    let (mut last, mut n) = (Last::default(), 0);
    loop {
        // Whoever does not read keeps one picture from its camera, not one per credit.
        let behind = client.outbox().is_behind();
        let blocked = credit.is_empty() || behind || !client.outbox().has_room();
        // Whatever comes while this is looked at wakes the waits below.
        watch.seen();
        let (numbers, fps) = numbers(&watch, &request, &service);
        let new = last.news(&numbers);
        let only_readings = watch.is_empty() && request.hz == 0.0;
        let next = match pacing.next(clock::now(), if watch.is_empty() && !only_readings { &[] } else { &new }, fps) {
            Next::Send if !blocked => {
                match service.newest().await {
                    Ok(observation) => {
                        let skipped = last.send(numbers);
                        n += 1;
                        credit.take();
                        pacing.sent(clock::now(), &new);
                        send(&client, &request, observation, n, skipped).await;
                    }
                    Err(error) => {
                        service.dropped("push", &client.peer(), &error.message);
                        client.refuse(None, error.code, &error.message, None);
                        sleep(PAUSE).await;
                    }
                }
                continue;
            }
            Next::LeaveOut => {
                last.seen = numbers;
                continue;
            }
            next => next,
        };
        let news = async { if only_readings { watch.read().await } else { watch.changed().await } };
        let timer = async {
            match next {
                // Room in the outbox is not announced to streams; credit is.
                Next::Send if !credit.is_empty() => sleep(if behind { SOON } else { PAUSE }).await,
                Next::At(at) if !blocked => sleep(at.since(clock::now())).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = news => {}
            () = credit.more.notified() => {}
            () = timer => {}
        }
    }
}

/// The numbers of the newest of what the stream follows, and the rate of the fastest camera.
fn numbers(watch: &SensorWatch, request: &Subscribe, service: &Service) -> (Vec<u64>, f64) {
    if !watch.is_empty() {
        return watch.numbers();
    }
    let proprios = service.hub.snapshot().proprios.into_iter();
    let wanted = proprios.filter(|one| is_wanted(&request.proprios, &one.name));
    (vec![wanted.map(|one| one.n).sum()], 0.0)
}

fn is_wanted(names: &Option<Vec<String>>, name: &str) -> bool {
    names.as_ref().is_none_or(|names| names.iter().any(|one| one == name))
}

async fn send(client: &Arc<Client>, request: &Subscribe, mut observation: Observation, n: u64, skipped: u64) {
    observation.sensors.proprios.retain(|one| is_wanted(&request.proprios, &one.name));
    let terms = client.terms();
    let frame = if terms.views.takes_time() {
        let (client, request) = (Arc::clone(client), request.clone());
        let made = client.service().threads.spawn_blocking({
            let client = Arc::clone(&client);
            move || made(&client, &terms, &request, observation, n, skipped)
        });
        // Cancelled only when the server ends.
        made.await.unwrap_or_else(|error| Err(PolicyError::app(error)))
    } else {
        made(client, &terms, request, observation, n, skipped)
    };
    match frame {
        Ok(frame) => client.send(frame),
        Err(error) => client.refuse(None, error.code, &error.message, None),
    }
}

fn made(
    client: &Client,
    terms: &Terms,
    request: &Subscribe,
    observation: Observation,
    n: u64,
    skipped: u64,
) -> Result<crate::websocket::Frame, PolicyError> {
    let wanted = Wanted { only: request.cameras.as_deref(), depth: request.depth, newer_than: &[], align: true };
    client.compose(terms, observation, wanted, |parts, episode| {
        let t_send = clock::now().as_secs_f64();
        let mark = PushMark { stream: request.stream, n, skipped, t_send };
        encode::observation(parts, ObservationKind::Push(mark), episode, None)
    })
}
