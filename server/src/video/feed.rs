//! One encoded camera and its viewers.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use waldo_protocol::time::MonoTime;
use waldo_protocol::vr::VideoHealth;

use super::encoder::{Codec, H264Encoder};
use super::health::Delivered;
use super::queue::{Next, Queue};
use super::rate::{self, Share};
use super::source::Source;
use super::{Composition, VideoSource, run};
use crate::config::BitrateRange;
use crate::sensors::Camera;

/// One compressed picture.
#[derive(Clone, Debug)]
pub struct EncodedFrame {
    /// H.264: the access unit in Annex B form, NAL units with start codes; a keyframe carries SPS and PPS. VP8: the frame.
    pub data: Bytes,
    /// Decodable without earlier frames.
    pub keyframe: bool,
    /// When the picture was taken. A repeated picture has an old capture time.
    pub captured: MonoTime,
    /// The time that places the picture in the video: the capture time, or for a repeated picture the time of the
    /// repetition. Rises from frame to frame.
    pub media_time: MonoTime,
}

/// One camera, encoded once for all viewers. Cheap to clone; the encoder ends with the last clone.
#[derive(Clone)]
pub struct Feed(Arc<Owner>);

/// A feed that may have ended.
pub(crate) struct WeakFeed(Weak<Owner>);

/// One viewer's share of a feed. At most 8 frames wait for it; a viewer that lags further behind loses all of them up
/// to the next keyframe, which it then asks for.
pub struct Subscription {
    shared: Arc<Shared>,
    viewer: Arc<Viewer>,
}

/// One viewer, as the encoder's thread knows it.
struct Viewer {
    codec: Codec,
    queue: Queue,
    /// What its network leaves for this feed, while that is known.
    share: Mutex<Option<Share>>,
}

/// Ends the feed with its last handle; viewers do not keep it alive.
struct Owner(Arc<Shared>);

/// What the handles, the viewers and the encoder's thread have in common.
pub(super) struct Shared {
    pub(super) name: String,
    origin: Origin,
    encoded_elsewhere: bool,
    state: Mutex<State>,
    keyframe_wanted: AtomicBool,
    /// Bits per second; 0 leaves it to the viewers' networks.
    target_bitrate: AtomicU32,
    /// What the encoder would use if every network carried it, in bits per second; 0 while it is not known.
    wanted_bitrate: AtomicU32,
    limits: Mutex<Option<BitrateRange>>,
    h264: Mutex<H264Encoder>,
    delivered: Mutex<Delivered>,
    /// Wakes the encoder's thread: a keyframe is wanted, or nobody watches any more.
    pub(super) wake: Notify,
}

/// What tells one source from another.
enum Origin {
    Cameras(Camera, Option<Camera>),
    Composed(Composition),
    /// A function or a stream; no two are the same.
    Unique,
}

struct State {
    /// Absent while the encoder's thread has it, and for streams that need no encoder.
    source: Option<Source>,
    /// Whether there is a thread, or no need of one.
    running: bool,
    ended: bool,
    viewers: Vec<Arc<Viewer>>,
}

impl Feed {
    /// A feed of this source. Nothing runs before the first subscription.
    pub fn new(name: impl Into<String>, source: VideoSource) -> Self {
        let (mut origin, mut stream) = (Origin::Unique, None);
        let source = match source {
            VideoSource::Camera(camera) => {
                origin = Origin::Cameras(camera.clone(), None);
                Some(Source::camera(camera, None))
            }
            VideoSource::SideBySide(left, right) => {
                origin = Origin::Cameras(left.clone(), Some(right.clone()));
                Some(Source::camera(left, Some(right)))
            }
            VideoSource::Composed(composition) => {
                origin = Origin::Composed(composition.clone());
                Some(Source::composed(composition))
            }
            VideoSource::Callable(call) => Some(Source::callable(call)),
            VideoSource::Encoded(source) => {
                stream = Some(source);
                None
            }
        };
        let state = State { running: source.is_none(), source, ended: false, viewers: Vec::new() };
        let shared = Arc::new(Shared {
            name: name.into(),
            origin,
            encoded_elsewhere: stream.is_some(),
            state: Mutex::new(state),
            keyframe_wanted: AtomicBool::new(false),
            target_bitrate: AtomicU32::new(0),
            wanted_bitrate: AtomicU32::new(0),
            limits: Mutex::default(),
            h264: Mutex::default(),
            delivered: Mutex::default(),
            wake: Notify::new(),
        });
        if let Some(stream) = stream {
            stream.slot.attach(&shared);
        }
        Self(Arc::new(Owner(shared)))
    }

    /// Whether both lists have the same feeds in the same order.
    pub(crate) fn same(some: &[Self], others: &[Self]) -> bool {
        some.len() == others.len() && some.iter().zip(others).all(|(a, b)| Arc::ptr_eq(&a.0, &b.0))
    }

    /// Whether this feed has that name and shows that source. A function or a stream is shown by no feed but its own.
    pub(crate) fn shows(&self, name: &str, source: &VideoSource) -> bool {
        let (left, right) = match source {
            VideoSource::Camera(left) => (left, None),
            VideoSource::SideBySide(left, right) => (left, Some(right)),
            VideoSource::Composed(composition) => {
                let own = matches!(&self.0.0.origin, Origin::Composed(own) if own.same(composition));
                return own && self.name() == name;
            }
            VideoSource::Callable(_) | VideoSource::Encoded(_) => return false,
        };
        match &self.0.0.origin {
            Origin::Cameras(own_left, own_right) => {
                let same_right = match (own_right, right) {
                    (Some(own), Some(right)) => own.same(right),
                    (own, right) => own.is_none() && right.is_none(),
                };
                self.name() == name && own_left.same(left) && same_right
            }
            Origin::Composed(_) | Origin::Unique => false,
        }
    }

    /// The camera's name.
    pub fn name(&self) -> &str {
        &self.0.0.name
    }

    /// How its pictures fare since the last call; none while nobody watches.
    pub(crate) fn take_health(&self, now: MonoTime) -> Option<VideoHealth> {
        let watched = !self.0.0.lock().viewers.is_empty();
        watched.then(|| lock(&self.0.0.delivered).report(now))
    }

    /// Starts to watch in H.264; the first frame is a keyframe.
    pub fn subscribe(&self) -> Subscription {
        self.subscribe_in(Codec::H264)
    }

    /// The codecs in which this feed can be watched, the better ones first. A stream that was encoded elsewhere stays
    /// what it is.
    pub fn codecs(&self) -> &'static [Codec] {
        if self.0.0.encoded_elsewhere { &[Codec::H264] } else { Codec::ALL }
    }

    /// Starts to watch in one of [`Feed::codecs`]; in another one nothing comes. The first frame is a keyframe. Each
    /// codec is encoded once for all its viewers, and only while it has some.
    pub fn subscribe_in(&self, codec: Codec) -> Subscription {
        let shared = Arc::clone(&self.0.0);
        let viewer = Arc::new(Viewer { codec, queue: Queue::new(), share: Mutex::default() });
        let mut state = shared.lock();
        state.viewers.push(Arc::clone(&viewer));
        if !state.running {
            state.running = true;
            let encoder = Arc::clone(&shared);
            // Linux shows the first 15 bytes of a thread's name; a zero byte in it is refused.
            let thread = thread::Builder::new().name(shared.name.replace('\0', ""));
            if let Err(error) = thread.spawn(move || run::run(&encoder)) {
                tracing::error!(camera = shared.name, %error, "no thread for the video encoder");
                state.running = false;
            }
        }
        drop(state);
        shared.request_keyframe();
        Subscription { shared, viewer }
    }

    /// Asks for a keyframe soon; requests within 300 ms are merged.
    pub fn request_keyframe(&self) {
        self.0.0.request_keyframe();
    }

    /// How many bits per second the encoder shall aim at, from its next picture on and until told otherwise; it goes on
    /// without a keyframe. `None`, as at the beginning, follows the viewers' networks within the limits: the driver's,
    /// or without a driver the median viewer's. Encoders follow within about half a second. When it is too little for
    /// the picture (below 0.04 bit per pixel), the feed makes it smaller, then rarer, by itself.
    pub fn set_target_bitrate(&self, bps: Option<NonZeroU32>) {
        self.0.0.target_bitrate.store(bps.map_or(0, NonZeroU32::get), Ordering::Relaxed);
    }

    /// Within what the bitrate follows the viewers' networks. `None`, as at the beginning, goes by the size of the
    /// picture: at most 0.12 bit per pixel at 30 Hz, at least a tenth of that.
    pub fn set_bitrate_limits(&self, limits: Option<BitrateRange>) {
        *lock(&self.0.0.limits) = limits;
    }

    /// What encodes H.264 from the next time on that somebody begins to watch; at first the built-in encoder.
    pub fn set_h264_encoder(&self, encoder: H264Encoder) {
        *lock(&self.0.0.h264) = encoder;
    }

    pub(crate) fn downgrade(&self) -> WeakFeed {
        WeakFeed(Arc::downgrade(&self.0))
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Feed").field(&self.name()).finish()
    }
}

impl WeakFeed {
    /// The feed, unless it has ended.
    pub(crate) fn upgrade(&self) -> Option<Feed> {
        self.0.upgrade().map(Feed)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.ended = true;
        state.viewers.drain(..).for_each(|viewer| viewer.queue.end());
        let source = state.source.take();
        drop(state);
        // Outside the lock: dropping a callable runs its author's code.
        drop(source);
        self.0.wake.notify_one();
    }
}

impl Subscription {
    /// The next frame, or none when the feed has ended. Safe to cancel.
    pub async fn next(&mut self) -> Option<EncodedFrame> {
        loop {
            match self.viewer.queue.take() {
                Next::Frame(frame) => return Some(frame),
                Next::Ended => return None,
                Next::NeedsKeyframe => self.shared.request_keyframe(),
                Next::Empty => {}
            }
            self.viewer.queue.changed().await;
        }
    }

    /// Asks for a keyframe soon; requests within 300 ms are merged.
    pub fn request_keyframe(&self) {
        self.shared.request_keyframe();
    }

    /// Leaves out everything up to the next keyframe, which is asked for when the next frame is.
    pub(crate) fn skip(&mut self) {
        self.viewer.queue.skip();
    }

    /// What the encoder would use if every network carried it, in bits per second, once that is known.
    pub(crate) fn wanted_bitrate(&self) -> Option<u32> {
        Some(self.shared.wanted_bitrate.load(Ordering::Relaxed)).filter(|bps| *bps > 0)
    }

    /// How many bits per second this viewer's network leaves for the feed, and whether the robot follows its hands.
    pub(crate) fn set_share(&self, bps: u32, drives: bool) {
        *lock(&self.viewer.share) = Some(Share { bps, drives });
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.lock().viewers.retain(|viewer| !Arc::ptr_eq(viewer, &self.viewer));
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn request_keyframe(&self) {
        self.keyframe_wanted.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// Whether a keyframe was asked for since the last call.
    pub(super) fn take_keyframe_request(&self) -> bool {
        self.keyframe_wanted.swap(false, Ordering::Relaxed)
    }

    /// What the encoder shall aim at, in bits per second, where a good picture takes `usual`.
    pub(super) fn bitrate(&self, usual: u32) -> u32 {
        let limits = lock(&self.limits).map_or(usual / 10..=usual, BitrateRange::bits_per_second);
        self.wanted_bitrate.store(*limits.end(), Ordering::Relaxed);
        self.told_bitrate().unwrap_or_else(|| rate::target(self.shares().into_iter(), limits))
    }

    /// The same where nobody knows what a good picture takes, if there is anything to go by.
    pub(super) fn bitrate_of_stream(&self) -> Option<u32> {
        let limits = lock(&self.limits).map(BitrateRange::bits_per_second);
        let shares = self.shares().into_iter();
        self.told_bitrate().or_else(|| {
            limits.map_or_else(|| rate::judged(shares.clone()), |limits| Some(rate::target(shares.clone(), limits)))
        })
    }

    fn told_bitrate(&self) -> Option<u32> {
        Some(self.target_bitrate.load(Ordering::Relaxed)).filter(|bps| *bps > 0)
    }

    fn shares(&self) -> Vec<Share> {
        self.lock().viewers.iter().filter_map(|viewer| *lock(&viewer.share)).collect()
    }

    pub(super) fn h264_encoder(&self) -> H264Encoder {
        lock(&self.h264).clone()
    }

    /// The source, for the encoder's thread.
    pub(super) fn take_source(&self) -> Option<Source> {
        self.lock().source.take()
    }

    /// Whether anybody still watches.
    pub(super) fn watched(&self) -> bool {
        !self.lock().viewers.is_empty()
    }

    /// Hands the source back and rests, unless a viewer has come meanwhile.
    pub(super) fn rest(&self, source: Source) -> Result<(), Source> {
        let mut state = self.lock();
        if !state.viewers.is_empty() {
            return Err(source);
        }
        state.running = false;
        if !state.ended {
            state.source = Some(source);
        }
        Ok(())
    }

    /// The thread could not start; the next viewer tries again.
    pub(super) fn failed_to_run(&self) {
        self.lock().running = false;
    }

    /// Whether anybody still watches in this codec.
    pub(super) fn watched_in(&self, codec: Codec) -> bool {
        self.lock().viewers.iter().any(|viewer| viewer.codec == codec)
    }

    /// Gives a frame, which took so long to encode, to every viewer of its codec.
    pub(super) fn deliver(&self, codec: Codec, frame: &EncodedFrame, took: Duration) {
        lock(&self.delivered).count(frame.data.len(), frame.captured, took);
        let state = self.lock();
        state.viewers.iter().filter(|viewer| viewer.codec == codec).for_each(|viewer| viewer.queue.push(frame));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
