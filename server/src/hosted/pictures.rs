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
use crate::video::{CameraChoice, ComposeSettings, Composition, Feed, VideoSource};

/// How often cameras are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// A camera that has shown nothing for so long after it was woken is stood in for: SFUs forget a track without packets.
const DARK_AFTER: Duration = Duration::from_secs(1);

/// A picture older than this is not what the robot sees now.
const STALLED_AFTER: Duration = Duration::from_secs(2);

/// The picture in place of a camera that shows nothing, and how often it comes: once a second of what is asked for 30 times.
const STAND_IN: (u32, u32) = (640, 480);
const STAND_IN_EVERY: u32 = 30;

/// The robot's cameras, as operators see them.
pub(crate) struct Pictures {
    /// The feeds that others see too, asked for again and again.
    pub(crate) feeds: Box<dyn Fn() -> Vec<Feed> + Send + Sync>,
    /// Makes another one, encoded as those.
    pub(crate) feed: Box<dyn Fn(String, VideoSource) -> Feed + Send + Sync>,
}

/// Shows the chosen cameras until the end.
pub(super) async fn show(
    service: Arc<Service>,
    pictures: Pictures,
    shown: watch::Sender<Option<Feed>>,
    ended: CancellationToken,
) {
    let mut chosen = service.chosen.subscribe();
    let mut show = Show { stand_in: stand_in(), composed: None, watched: Vec::new() };
    loop {
        let places = chosen.borrow_and_update().clone();
        let (wanted, stalled) = show.look(&service, &pictures, &places);
        service.stalled.store(stalled, Ordering::Relaxed);
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

/// What is shown.
struct Show {
    stand_in: Option<Feed>,
    /// Several cameras in one picture, once that was asked for.
    composed: Option<(Vec<String>, CameraChoice, Feed)>,
    watched: Vec<Watched>,
}

impl Show {
    /// What to show now, and whether it shows nothing new.
    fn look(&mut self, service: &Service, pictures: &Pictures, places: &[usize]) -> (Option<Feed>, bool) {
        let feeds = (pictures.feeds)();
        let named = &service.settings.cameras;
        let names: Vec<String> = match named.is_empty() {
            true => feeds.iter().take(service.cameras.len()).map(|feed| feed.name().to_owned()).collect(),
            false => named.clone(),
        };
        let chosen: Vec<&String> = places.iter().filter_map(|at| names.get(*at)).collect();
        if self.watched.iter().map(|watched| &watched.name).ne(chosen.iter().copied()) {
            let watched = |name: &&String| Watched::new(service.robot.hub.camera(name), (*name).clone());
            self.watched = chosen.iter().map(watched).collect();
        }
        let (dark, stalled) = self
            .watched
            .iter()
            .map(Watched::look)
            .fold((true, false), |(dark, stalled), one| (dark && one.0, stalled || one.1));
        let feed = match chosen.as_slice() {
            [one] if service.settings.pictures == ComposeSettings::default() => {
                feeds.into_iter().find(|feed| feed.name() == *one)
            }
            [] => None,
            _ => self.composed(service, pictures, &names, places),
        };
        (feed.filter(|_| !dark).or_else(|| self.stand_in.clone()), stalled || chosen.is_empty())
    }

    /// The chosen ones of these cameras in one picture.
    fn composed(&mut self, service: &Service, pictures: &Pictures, names: &[String], places: &[usize]) -> Option<Feed> {
        if self.composed.as_ref().is_none_or(|(of, ..)| of != names) {
            let cameras: Vec<Camera> = names.iter().filter_map(|name| service.robot.hub.camera(name)).collect();
            if cameras.len() != names.len() {
                return None;
            }
            let (choice, composition) = Composition::new(cameras, service.settings.pictures);
            let feed = (pictures.feed)("operator".into(), VideoSource::Composed(composition));
            self.composed = Some((names.to_vec(), choice, feed));
        }
        let (_, choice, feed) = self.composed.as_ref()?;
        choice.select(places.iter().copied());
        Some(feed.clone())
    }
}

/// One of the cameras that are looked at.
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
