//! Where pictures come from.

use std::future::{Future, pending, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use waldo_protocol::time::MonoTime;

use super::compose::{Composer, Composition};
use super::encoded::{H264Sender, H264Source};
use super::poller::Poller;
use crate::sensors::{Camera, CameraFrame, CameraWatch, CameraWriter, RgbImage, camera};

/// A source of pictures for [`crate::vr::VrServer::set_video_sources`].
///
/// Whatever becomes of a source, viewers keep its last picture, and other sources do not notice. A picture of another
/// size begins anew with a keyframe. Before the first picture, viewers see black 640x480.
pub enum VideoSource {
    /// A camera of the sensor hub.
    Camera(Camera),
    /// Two cameras of one size in one picture, for a track whose name ends in `_sbs`: what the left eye shall see, then
    /// what the right eye shall see. A camera that has no picture, or one of another size, is replaced by the other one.
    SideBySide(Camera, Camera),
    /// Those of several cameras that somebody chooses, in one picture.
    Composed(Composition),
    /// A function asked about 30 times a second for the latest picture, on a thread of its own and only while somebody
    /// watches. `None`, or a panic, repeats the last one; so does a call that does not return, which keeps its thread.
    Callable(Box<dyn FnMut() -> Option<RgbImage> + Send>),
    /// A stream that was encoded elsewhere; see [`VideoSource::encoded`].
    Encoded(H264Source),
}

impl VideoSource {
    /// A source of pictures that somebody pushes; the newest one wins.
    pub fn pushed() -> (PictureSender, Self) {
        let (writer, reader) = camera("pushed");
        (PictureSender(writer), Self::Camera(reader))
    }

    /// A source of H.264 access units that somebody pushes.
    pub fn encoded() -> (H264Sender, Self) {
        let (sender, source) = H264Sender::new();
        (sender, Self::Encoded(source))
    }
}

/// Pushes pictures to a [`VideoSource`]. When dropped, viewers keep the last one.
pub struct PictureSender(CameraWriter);

impl PictureSender {
    /// Replaces the newest picture. `captured` is when it was taken, on [`crate::clock`]. Never blocks.
    pub fn push(&self, image: RgbImage, captured: MonoTime) {
        self.0.publish(CameraFrame { image, depth: None, intrinsics: None, extrinsics: None, captured });
    }

    /// Whether anybody looks; pictures are worth their making only then.
    pub fn watched(&self) -> bool {
        self.0.watched()
    }
}

/// What an encoder needs of a source of pictures, also while nobody watches.
pub(super) struct Source {
    shown: Shown,
    /// Publishes to the camera that is shown.
    poller: Option<Poller>,
    /// What viewers saw last; a source that has gone silent has nothing else for those who come later.
    pub(super) last: Option<Picture>,
}

/// What a source shows.
enum Shown {
    Cameras(Camera, Option<Camera>),
    Composed(Composition),
}

impl Source {
    pub(super) fn camera(left: Camera, right: Option<Camera>) -> Self {
        Self { shown: Shown::Cameras(left, right), poller: None, last: None }
    }

    pub(super) fn composed(composition: Composition) -> Self {
        Self { shown: Shown::Composed(composition), poller: None, last: None }
    }

    pub(super) fn callable(call: Box<dyn FnMut() -> Option<RgbImage> + Send>) -> Self {
        let (poller, left) = Poller::new(call);
        Self { shown: Shown::Cameras(left, None), poller: Some(poller), last: None }
    }

    /// Watches the source for as long as the result lives.
    pub(super) fn watch(&mut self, name: &str) -> Pictures {
        let pictures = match &self.shown {
            Shown::Cameras(left, right) => {
                let (left, right) = (Eye::new(left), right.as_ref().map(Eye::new));
                Pictures::Cameras(Pair { left, right, patience: None, odd_sizes: false })
            }
            Shown::Composed(composition) => Pictures::Composed(Box::new(Mosaic::new(composition.clone()))),
        };
        // Now that somebody watches: a poller that finds nobody goes to sleep again.
        if let Some(poller) = &mut self.poller {
            poller.wake(name);
        }
        pictures
    }
}

/// One picture of a source: one camera, or two side by side, of one size.
#[derive(Clone)]
pub(super) struct Picture {
    pub(super) left: Arc<CameraFrame>,
    pub(super) right: Option<Arc<CameraFrame>>,
}

impl Picture {
    /// What viewers see before a source has delivered anything.
    pub(super) fn black(now: MonoTime) -> Self {
        let image = RgbImage::new(640, 480, vec![0; 640 * 480 * 3]).expect("the byte count is that of the size");
        let frame = CameraFrame { image, depth: None, intrinsics: None, extrinsics: None, captured: now };
        Self { left: Arc::new(frame), right: None }
    }

    /// Width and height in pixels of the whole.
    pub(super) fn size(&self) -> (u32, u32) {
        let image = &self.left.image;
        (image.width() * if self.right.is_some() { 2 } else { 1 }, image.height())
    }

    /// When it was taken; of two, the older one.
    pub(super) fn captured(&self) -> MonoTime {
        self.right.as_ref().map_or(self.left.captured, |right| right.captured.min(self.left.captured))
    }
}

/// How long the picture of one camera waits for that of the other: two thirds of a period at 30 Hz. Cameras that are
/// further apart are shown with the other one's last picture.
const PAIR_PATIENCE: Duration = Duration::from_millis(20);

/// A source while somebody watches.
pub(super) enum Pictures {
    Cameras(Pair),
    Composed(Box<Mosaic>),
}

impl Pictures {
    /// Waits for the next new picture. Safe to cancel.
    pub(super) async fn next(&mut self, name: &str) -> Picture {
        match self {
            Self::Cameras(pair) => pair.next(name).await,
            Self::Composed(mosaic) => mosaic.next(name).await,
        }
    }
}

/// One camera, or two that make one picture.
pub(super) struct Pair {
    left: Eye,
    right: Option<Eye>,
    /// Until when a picture waits for its counterpart.
    patience: Option<Instant>,
    /// Whether it was said that two cameras differ in size.
    odd_sizes: bool,
}

/// One camera of a source.
struct Eye {
    /// Absent when the camera's writer is gone.
    watch: Option<CameraWatch>,
    newest: Option<Arc<CameraFrame>>,
    /// Whether `newest` was not shown yet.
    fresh: bool,
}

impl Eye {
    fn new(camera: &Camera) -> Self {
        Self { watch: Some(camera.watch()), newest: None, fresh: false }
    }

    /// Waits for the next picture. Safe to cancel.
    async fn look(&mut self, name: &str) {
        let Some(watch) = &mut self.watch else { return pending().await };
        match watch.next().await {
            Some(frame) => {
                self.newest = Some(frame);
                self.fresh = true;
            }
            None => {
                tracing::warn!(camera = name, "the camera has ended; viewers keep its last picture");
                self.watch = None;
            }
        }
    }
}

impl Pair {
    async fn next(&mut self, name: &str) -> Picture {
        loop {
            if let Some(picture) = self.take(name) {
                return picture;
            }
            let Some(right) = &mut self.right else {
                self.left.look(name).await;
                continue;
            };
            let patience = self.patience;
            let wait = async move {
                match patience {
                    Some(until) => sleep_until(until).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.left.look(name) => {}
                () = right.look(name) => {}
                () = wait => {}
            }
        }
    }

    /// The picture to show now, if there is one.
    fn take(&mut self, name: &str) -> Option<Picture> {
        let Self { left, right, patience, odd_sizes } = self;
        let Some(right) = right else {
            return left.take().map(|left| Picture { left, right: None });
        };
        if left.fresh != right.fresh {
            let until = *patience.get_or_insert_with(|| Instant::now() + PAIR_PATIENCE);
            if Instant::now() < until {
                return None;
            }
        } else if !left.fresh {
            return None;
        }
        *patience = None;
        (left.fresh, right.fresh) = (false, false);
        match (&left.newest, &right.newest) {
            (Some(left), Some(right)) if same_size(left, right) => {
                Some(Picture { left: Arc::clone(left), right: Some(Arc::clone(right)) })
            }
            (Some(one), None) | (None, Some(one)) => {
                Some(Picture { left: Arc::clone(one), right: Some(Arc::clone(one)) })
            }
            (Some(one), Some(_)) => {
                if !std::mem::replace(odd_sizes, true) {
                    tracing::warn!(camera = name, "the two cameras differ in size; both eyes see the left one");
                }
                Some(Picture { left: Arc::clone(one), right: Some(Arc::clone(one)) })
            }
            (None, None) => None,
        }
    }
}

/// The chosen cameras of a composition.
pub(super) struct Mosaic {
    composition: Composition,
    composer: Composer,
    /// By their places in the composition.
    eyes: Vec<(usize, Eye)>,
    /// Until when a picture waits for those of the other cameras.
    patience: Option<Instant>,
    /// The choice has changed: what there is makes a picture.
    at_once: bool,
    /// No picture before.
    due: Option<Instant>,
    /// Whether it was said that no picture can be made.
    refused: bool,
}

impl Mosaic {
    fn new(composition: Composition) -> Self {
        let composer = Composer::default();
        let mut mosaic =
            Self { composition, composer, eyes: Vec::new(), patience: None, at_once: false, due: None, refused: false };
        mosaic.choose();
        mosaic
    }

    /// Watches the chosen cameras and no others.
    fn choose(&mut self) {
        let mut former = std::mem::take(&mut self.eyes);
        for at in self.composition.chosen() {
            let kept = former.iter().position(|(place, _)| *place == at).map(|place| former.swap_remove(place));
            self.eyes.push(kept.unwrap_or_else(|| (at, Eye::new(&self.composition.cameras[at]))));
        }
    }

    async fn next(&mut self, name: &str) -> Picture {
        let mut choosable = true;
        loop {
            if let Some(picture) = self.take(name) {
                return picture;
            }
            let until = match (self.patience, self.due) {
                (Some(patience), Some(due)) => Some(patience.max(due)),
                (patience, _) => patience,
            };
            let wait = async move {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => pending().await,
                }
            };
            let changed = async {
                match choosable {
                    true => self.composition.selected.changed().await.is_ok(),
                    // Whoever chose is gone.
                    false => pending().await,
                }
            };
            tokio::select! {
                biased;
                changed = changed => match changed {
                    true => {
                        self.choose();
                        self.at_once = true;
                    }
                    false => choosable = false,
                },
                () = look_at_all(&mut self.eyes, name) => {}
                () = wait => {}
            }
        }
    }

    /// The picture to show now, if there is one.
    fn take(&mut self, name: &str) -> Option<Picture> {
        let now = Instant::now();
        if !self.at_once {
            let fresh = self.eyes.iter().filter(|(_, eye)| eye.fresh).count();
            if fresh == 0 {
                return None;
            }
            let until = *self.patience.get_or_insert(now + PAIR_PATIENCE);
            if self.due.is_some_and(|due| now < due) || (fresh < self.eyes.len() && now < until) {
                return None;
            }
        }
        self.patience = None;
        let frames: Vec<_> = self.eyes.iter().filter_map(|(_, eye)| eye.newest.clone()).collect();
        if frames.is_empty() {
            return None;
        }
        self.at_once = false;
        self.eyes.iter_mut().for_each(|(_, eye)| eye.fresh = false);
        match self.composer.compose(&frames, &self.composition.settings) {
            Ok(picture) => {
                self.refused = false;
                self.due = next_due(self.due, now, self.composition.settings.max_fps);
                Some(Picture { left: picture, right: None })
            }
            Err(error) => {
                if !std::mem::replace(&mut self.refused, true) {
                    tracing::warn!(camera = name, %error, "no picture for the operator");
                }
                None
            }
        }
    }
}

/// When the next picture may come. A picture that came late does not put off those after it.
fn next_due(due: Option<Instant>, now: Instant, max_fps: f64) -> Option<Instant> {
    let period = Duration::try_from_secs_f64(1.0 / max_fps).ok().filter(|period| !period.is_zero())?;
    Some(due.filter(|due| *due + period > now).unwrap_or(now) + period)
}

/// Waits for a new picture of any of them. Safe to cancel.
async fn look_at_all(eyes: &mut [(usize, Eye)], name: &str) {
    let mut looks: Vec<_> = eyes.iter_mut().map(|(_, eye)| Box::pin(eye.look(name))).collect();
    poll_fn(|context| {
        // All of them: what came together makes one picture.
        let ready = looks.iter_mut().filter_map(|look| look.as_mut().poll(context).is_ready().then_some(())).count();
        if ready > 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

impl Eye {
    fn take(&mut self) -> Option<Arc<CameraFrame>> {
        std::mem::take(&mut self.fresh).then(|| self.newest.take()).flatten()
    }
}

fn same_size(a: &CameraFrame, b: &CameraFrame) -> bool {
    (a.image.width(), a.image.height()) == (b.image.width(), b.image.height())
}
