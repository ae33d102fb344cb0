//! What the operator sees: the camera they chose, or that it shows nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use waldo_protocol::time::MonoTime;

use super::service::Service;
use crate::clock;
use crate::sensors::{Camera, RgbImage};
use crate::video::{Feed, VideoSource};

/// How often cameras are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// A camera that has shown nothing for so long after it was woken is stood in for: SFUs forget a track without packets.
const DARK_AFTER: Duration = Duration::from_secs(1);

/// A picture older than this is not what the robot sees now.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// The picture in place of a camera that shows nothing, and how often it comes: once a second of what is asked for 30 times.
const STAND_IN: (u32, u32) = (640, 480);
const STAND_IN_EVERY: u32 = 30;

/// Where feeds come from; asked again and again.
pub(crate) type Feeds = Box<dyn Fn() -> Vec<Feed> + Send + Sync>;

/// Shows the chosen camera until the end.
pub(super) async fn show(
    service: Arc<Service>,
    feeds: Feeds,
    shown: watch::Sender<Option<Feed>>,
    ended: CancellationToken,
) {
    let mut chosen = service.chosen.subscribe();
    let stand_in = stand_in();
    let mut watched: Option<Watched> = None;
    loop {
        let at = chosen.borrow_and_update().first().copied().unwrap_or(0);
        let feed = pick(&service, feeds(), at);
        let name = feed.as_ref().map(|feed| feed.name().to_owned());
        if watched.as_ref().map(|watched| &watched.name) != name.as_ref() {
            watched = name.map(|name| Watched::new(service.robot.hub.camera(&name), name));
        }
        let (dark, stalled) = watched.as_ref().map_or((true, true), Watched::look);
        service.stalled.store(stalled, Ordering::Relaxed);
        let wanted = feed.filter(|_| !dark).or_else(|| stand_in.clone());
        shown.send_if_modified(|shown| {
            let same = match (&*shown, &wanted) {
                (Some(shown), Some(wanted)) => Feed::same(std::slice::from_ref(shown), std::slice::from_ref(wanted)),
                (shown, wanted) => shown.is_none() && wanted.is_none(),
            };
            if !same {
                *shown = wanted;
            }
            !same
        });
        tokio::select! {
            () = ended.cancelled() => return,
            _ = timeout(LOOK, chosen.changed()) => {}
        }
    }
}

/// The feed at this place among those that operators may choose from.
fn pick(service: &Service, feeds: Vec<Feed>, at: usize) -> Option<Feed> {
    let named = service.settings.cameras.get(at);
    match named {
        Some(name) => feeds.into_iter().find(|feed| feed.name() == name),
        None => feeds.into_iter().nth(at),
    }
}

/// The camera that is looked at.
struct Watched {
    name: String,
    camera: Option<Camera>,
    since: MonoTime,
    _awake: Option<crate::sensors::Awake>,
}

impl Watched {
    fn new(camera: Option<Camera>, name: String) -> Self {
        let awake = camera.as_ref().map(Camera::keep_awake);
        Self { name, camera, since: clock::now(), _awake: awake }
    }

    /// Whether it shows nothing at all, and whether it shows nothing new. Of what is no camera nobody knows.
    fn look(&self) -> (bool, bool) {
        let Some(camera) = &self.camera else { return (false, false) };
        let now = clock::now();
        let awake = now.since(self.since);
        match camera.latest() {
            None => (awake >= DARK_AFTER, awake >= STALLED_AFTER),
            Some(frame) => (false, awake >= STALLED_AFTER && now.since(frame.captured) >= STALLED_AFTER),
        }
    }
}

/// A dark picture once a second.
fn stand_in() -> Option<Feed> {
    let (width, height) = STAND_IN;
    let bytes = vec![40; width as usize * height as usize * 3];
    let picture = RgbImage::new(width, height, bytes).ok()?;
    let mut asked = 0u32;
    let source = VideoSource::Callable(Box::new(move || {
        let due = asked.is_multiple_of(STAND_IN_EVERY);
        asked = asked.wrapping_add(1);
        due.then(|| picture.clone())
    }));
    Some(Feed::new("no picture", source))
}
