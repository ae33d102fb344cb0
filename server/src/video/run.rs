//! The thread of one running encoder.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use waldo_protocol::time::MonoTime;

use super::encoder::{EncodeError, Encoder, FPS, H264, default_bitrate};
use super::feed::{EncodedFrame, Shared};
use super::i420::I420;
use super::ladder::{Ladder, Rung};
use super::schedule::{Pace, Schedule};
use super::source::{Picture, Pictures};
use crate::clock;

/// Failures of one encoder are logged at most this often.
const LOG_SPACING: Duration = Duration::from_secs(10);

/// Encodes until nobody watches.
pub(super) fn run(shared: &Shared) {
    // A runtime of this thread alone, for its timers: it waits for a picture, a request and a deadline at once.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(camera = shared.name, %error, "no timer for the video encoder");
            shared.failed_to_run();
            return;
        }
    };
    let Some(mut source) = shared.take_source() else {
        return;
    };
    tracing::debug!(camera = shared.name, "video encoder started");
    loop {
        let last = runtime.block_on(encode(shared, source.watch(&shared.name), source.last.take()));
        source.last = last;
        match shared.rest(source) {
            Ok(()) => break,
            Err(taken_back) => source = taken_back,
        }
    }
    tracing::debug!(camera = shared.name, "video encoder rests");
}

/// Encodes until nobody watches; takes and gives what viewers saw last.
async fn encode(shared: &Shared, mut pictures: Pictures, last: Option<Picture>) -> Option<Picture> {
    let mut encoding = Encoding::new(shared, last);
    while shared.watched() {
        if shared.take_keyframe_request() {
            encoding.schedule.want_keyframe();
        }
        let wait = encoding.schedule.repeat_at().since(clock::now());
        let new = tokio::select! {
            biased;
            new = pictures.next(&shared.name) => Some(new),
            () = sleep(wait) => None,
            () = shared.wake.notified() => None,
        };
        if new.is_some() || clock::now() >= encoding.schedule.repeat_at() {
            encoding.step(new);
        }
    }
    encoding.last
}

/// The state of one run of the encoder.
struct Encoding<'a> {
    shared: &'a Shared,
    schedule: Schedule,
    ladder: Ladder,
    pace: Pace,
    /// New pictures so far.
    pictures: u32,
    encoder: Option<Scaled>,
    last: Option<Picture>,
    logged: Option<MonoTime>,
}

impl<'a> Encoding<'a> {
    fn new(shared: &'a Shared, last: Option<Picture>) -> Self {
        let (schedule, ladder, pace) = (Schedule::new(clock::now()), Ladder::new(), Pace::new(FPS.into()));
        Self { shared, schedule, ladder, pace, pictures: 0, encoder: None, last, logged: None }
    }

    /// Encodes a new picture, or the last one again, and gives it to every viewer.
    fn step(&mut self, new: Option<Picture>) {
        let now = clock::now();
        let repeated = new.is_none();
        if new.is_some() {
            self.pace.note(now);
            self.pictures = self.pictures.wrapping_add(1);
        }
        let picture = new.or_else(|| self.last.take()).unwrap_or_else(|| Picture::black(now));
        let (size, fps) = (picture.size(), self.pace.fps());
        let bps = self.shared.target_bitrate().unwrap_or_else(|| default_bitrate(size.0, size.1));
        let rung = self.ladder.choose(now, size, fps, bps);
        let keyframe = self.schedule.keyframe_due(now);
        if !repeated && !keyframe && !self.pictures.is_multiple_of(rung.stride) {
            self.last = Some(picture);
            return;
        }
        match self.compress(&picture, rung, bps, keyframe) {
            Ok((data, keyframe)) => {
                self.schedule.done(now, keyframe);
                let captured = picture.captured();
                let media_time = self.schedule.media_time(now, (!repeated).then_some(captured));
                let took = clock::now().since(now);
                tracing::trace!(camera = self.shared.name, bytes = data.len(), keyframe, repeated, ?took, "encoded");
                self.shared.deliver(&EncodedFrame { data, keyframe, captured, media_time });
            }
            Err(error) => {
                self.schedule.done(now, false);
                // A new encoder starts with a keyframe, which every viewer needs after the gap.
                self.encoder = None;
                self.log(now, &error);
            }
        }
        self.last = Some(picture);
    }

    fn compress(
        &mut self,
        picture: &Picture,
        rung: Rung,
        bps: u32,
        keyframe: bool,
    ) -> Result<(Bytes, bool), EncodeError> {
        let size = picture.size();
        let scaled = match self.encoder.take() {
            Some(scaled) if scaled.fits(size, rung) => scaled,
            _ => {
                tracing::debug!(camera = self.shared.name, ?size, ?rung, bps, "a new encoder");
                Scaled::new(size, rung, bps)?
            }
        };
        let scaled = self.encoder.insert(scaled);
        #[expect(clippy::cast_possible_truncation, reason = "at most 120")]
        let fps = (self.pace.fps() / f64::from(rung.stride)) as f32;
        scaled.encoder.set_bitrate(bps);
        scaled.encoder.set_frame_rate(fps);
        let whole = &mut scaled.sizes[0];
        whole.fill(picture)?;
        for at in 1..scaled.sizes.len() {
            let (larger, smaller) = scaled.sizes.split_at_mut(at);
            larger[at - 1].halve(&mut smaller[0]);
        }
        scaled.encoder.encode(&scaled.sizes[scaled.sizes.len() - 1], keyframe)
    }

    fn log(&mut self, now: MonoTime, error: &EncodeError) {
        if self.logged.is_none_or(|last| now.since(last) >= LOG_SPACING) {
            self.logged = Some(now);
            tracing::warn!(camera = self.shared.name, %error, "a picture could not be encoded; the encoder restarts");
        }
    }
}

/// An encoder with the buffers that lead to its size.
struct Scaled {
    /// The source's size, then half of it, and so on to that of the encoder.
    sizes: Vec<I420>,
    encoder: Box<dyn Encoder>,
}

impl Scaled {
    fn new((width, height): (u32, u32), rung: Rung, bps: u32) -> Result<Self, EncodeError> {
        let encoder = Box::new(H264::new(width >> rung.halvings, height >> rung.halvings, bps)?);
        let sizes = (0..=rung.halvings).map(|halvings| I420::new(width >> halvings, height >> halvings)).collect();
        Ok(Self { sizes, encoder })
    }

    /// Whether it takes pictures of this size and sends them so.
    fn fits(&self, size: (u32, u32), rung: Rung) -> bool {
        self.sizes[0].size() == size && self.sizes.len() == rung.halvings as usize + 1
    }
}
