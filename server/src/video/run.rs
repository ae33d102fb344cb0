//! The thread of one running encoder.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use waldo_protocol::time::MonoTime;
use yuv::YuvError;

use super::encoder::{Codec, EncodeError, Encoder, FPS, H264Encoder, default_bitrate};
use super::feed::{EncodedFrame, Shared};
use super::i420::I420;
use super::ladder::{Ladder, Rung};
use super::schedule::{Pace, Schedule};
use super::source::{Picture, Pictures};
use crate::clock;
use crate::priority::become_preferred;

/// Failures of one encoder are logged at most this often.
const LOG_SPACING: Duration = Duration::from_secs(10);

/// Encodes until nobody watches.
pub(super) fn run(shared: &Shared) {
    become_preferred();
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
    h264: H264Encoder,
    scaled: Option<Scaled>,
    last: Option<Picture>,
    logged: Option<MonoTime>,
}

impl<'a> Encoding<'a> {
    fn new(shared: &'a Shared, last: Option<Picture>) -> Self {
        let (schedule, ladder, pace) = (Schedule::new(clock::now()), Ladder::new(), Pace::new(FPS.into()));
        Self {
            shared,
            schedule,
            ladder,
            pace,
            pictures: 0,
            h264: shared.h264_encoder(),
            scaled: None,
            last,
            logged: None,
        }
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
        let bps = self.shared.bitrate(default_bitrate(size.0, size.1));
        let rung = self.ladder.choose(now, size, fps, bps);
        let keyframe = self.schedule.keyframe_due(now);
        if !repeated && !keyframe && !self.pictures.is_multiple_of(rung.stride) {
            self.last = Some(picture);
            return;
        }
        let frames = self.compress(&picture, rung, bps, keyframe);
        self.schedule.done(now, frames.iter().any(|(_, _, keyframe)| *keyframe));
        if !frames.is_empty() {
            let captured = picture.captured();
            let media_time = self.schedule.media_time(now, (!repeated).then_some(captured));
            let took = clock::now().since(now);
            for (codec, data, keyframe) in frames {
                let bytes = data.len();
                tracing::trace!(camera = self.shared.name, ?codec, bytes, keyframe, repeated, ?took, "encoded");
                self.shared.deliver(codec, &EncodedFrame { data, keyframe, captured, media_time }, took);
            }
        }
        self.last = Some(picture);
    }

    /// What came of a picture, in each codec that is watched.
    fn compress(&mut self, picture: &Picture, rung: Rung, bps: u32, keyframe: bool) -> Vec<(Codec, Bytes, bool)> {
        let size = picture.size();
        let mut scaled = match self.scaled.take() {
            Some(scaled) if scaled.fits(size, rung) => scaled,
            _ => {
                tracing::debug!(camera = self.shared.name, ?size, ?rung, bps, "a new size");
                Scaled::new(size, rung)
            }
        };
        let mut frames = Vec::new();
        if let Err(error) = scaled.fill(picture) {
            self.log(&error.into());
            return frames;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 120")]
        let fps = (self.pace.fps() / f64::from(rung.stride)) as f32;
        scaled.encoders.retain(|(codec, _)| self.shared.watched_in(*codec));
        for &codec in Codec::ALL.iter().filter(|codec| self.shared.watched_in(**codec)) {
            match scaled.encode(codec, &self.h264, bps, fps, keyframe) {
                Ok((data, keyframe)) => frames.push((codec, data, keyframe)),
                Err(error) => {
                    // A new encoder starts with a keyframe, which every viewer needs after the gap.
                    scaled.encoders.retain(|(other, _)| *other != codec);
                    if codec == Codec::H264 && self.h264 != H264Encoder::BuiltIn {
                        let camera = &self.shared.name;
                        tracing::error!(camera, "{:?} failed: {error}; openh264 goes on in its place", self.h264);
                        self.h264 = H264Encoder::BuiltIn;
                    } else {
                        self.log(&error);
                    }
                }
            }
        }
        self.scaled = Some(scaled);
        frames
    }

    fn log(&mut self, error: &EncodeError) {
        let now = clock::now();
        if self.logged.is_none_or(|last| now.since(last) >= LOG_SPACING) {
            self.logged = Some(now);
            tracing::warn!(camera = self.shared.name, %error, "a picture could not be encoded; the encoder restarts");
        }
    }
}

/// Encoders of one size with the buffers that lead to it.
struct Scaled {
    /// The source's size, then half of it, and so on to that of the encoders.
    sizes: Vec<I420>,
    encoders: Vec<(Codec, Box<dyn Encoder>)>,
}

impl Scaled {
    fn new((width, height): (u32, u32), rung: Rung) -> Self {
        let sizes = (0..=rung.halvings).map(|halvings| I420::new(width >> halvings, height >> halvings)).collect();
        Self { sizes, encoders: Vec::new() }
    }

    /// Whether it takes pictures of this size and sends them so.
    fn fits(&self, size: (u32, u32), rung: Rung) -> bool {
        self.sizes[0].size() == size && self.sizes.len() == rung.halvings as usize + 1
    }

    /// Takes a picture.
    fn fill(&mut self, picture: &Picture) -> Result<(), YuvError> {
        self.sizes[0].fill(picture)?;
        for at in 1..self.sizes.len() {
            let (larger, smaller) = self.sizes.split_at_mut(at);
            larger[at - 1].halve(&mut smaller[0]);
        }
        Ok(())
    }

    /// Encodes the picture taken last.
    fn encode(
        &mut self,
        codec: Codec,
        h264: &H264Encoder,
        bps: u32,
        fps: f32,
        keyframe: bool,
    ) -> Result<(Bytes, bool), EncodeError> {
        let picture = &self.sizes[self.sizes.len() - 1];
        let at = match self.encoders.iter().position(|(known, _)| *known == codec) {
            Some(at) => at,
            None => {
                self.encoders.push((codec, codec.encoder(h264, picture.size(), bps)?));
                self.encoders.len() - 1
            }
        };
        let (_, encoder) = &mut self.encoders[at];
        encoder.set_bitrate(bps);
        encoder.set_frame_rate(fps);
        encoder.encode(picture, keyframe)
    }
}
