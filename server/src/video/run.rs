//! The thread of one running encoder.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::sleep;
use waldo_protocol::time::MonoTime;

use super::encoder::{EncodeError, Encoder, H264, default_bitrate};
use super::feed::{EncodedFrame, Shared};
use super::i420::I420;
use super::schedule::Schedule;
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
    encoder: Option<(I420, Box<dyn Encoder>)>,
    last: Option<Picture>,
    logged: Option<MonoTime>,
}

impl<'a> Encoding<'a> {
    fn new(shared: &'a Shared, last: Option<Picture>) -> Self {
        let schedule = Schedule::new(clock::now());
        Self { shared, schedule, encoder: None, last, logged: None }
    }

    /// Encodes a new picture, or the last one again, and gives it to every viewer.
    fn step(&mut self, new: Option<Picture>) {
        let now = clock::now();
        let repeated = new.is_none();
        let picture = new.or_else(|| self.last.take()).unwrap_or_else(|| Picture::black(now));
        let keyframe = self.schedule.keyframe_due(now);
        match self.compress(&picture, keyframe) {
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

    fn compress(&mut self, picture: &Picture, keyframe: bool) -> Result<(Bytes, bool), EncodeError> {
        let (width, height) = picture.size();
        let bps = self.shared.target_bitrate().unwrap_or_else(|| default_bitrate(width, height));
        let (buffer, encoder) = match &mut self.encoder {
            Some((buffer, encoder)) if buffer.size() == (width, height) => {
                encoder.set_bitrate(bps);
                (buffer, encoder)
            }
            outdated => {
                let encoder = Box::new(H264::new(width, height, bps)?);
                let (buffer, encoder) = outdated.insert((I420::new(width, height), encoder));
                (buffer, encoder)
            }
        };
        buffer.fill(picture)?;
        encoder.encode(buffer, keyframe)
    }

    fn log(&mut self, now: MonoTime, error: &EncodeError) {
        if self.logged.is_none_or(|last| now.since(last) >= LOG_SPACING) {
            self.logged = Some(now);
            tracing::warn!(camera = self.shared.name, %error, "a picture could not be encoded; the encoder restarts");
        }
    }
}
