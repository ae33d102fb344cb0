//! Streams that were encoded elsewhere, such as by a camera or by hardware with its own driver.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use waldo_protocol::time::MonoTime;

use super::annex_b::{Kind, Nal, nals};
use super::encoder::Codec;
use super::feed::{EncodedFrame, Shared};
use super::schedule::Schedule;
use crate::clock;

/// Largest access unit: a keyframe of 3840x2160 at the highest quality is smaller.
const MAX_ACCESS_UNIT: usize = 8 << 20;

/// Largest parameter sets of a kind. Real ones have some ten bytes.
const MAX_PARAMETER_SETS: usize = 4096;

/// The profile that every WebRTC receiver decodes.
const BASELINE: u8 = 66;

/// How long the author has to answer a request for a keyframe before he is asked again.
const PATIENCE: Duration = Duration::from_millis(300);

/// The side of a pre-encoded source that goes into [`super::VideoSource`].
pub struct H264Source {
    pub(super) slot: Arc<Slot>,
}

/// Pushes the access units of an H.264 stream to its viewers.
///
/// Viewers see nothing before the first keyframe, and start at one each; what kind an access unit is, is read from its
/// NAL units. The stream should be constrained baseline, without B pictures, and need no more bits than
/// [`H264Sender::target_bitrate`]. When dropped, viewers keep the last picture.
///
/// ```
/// # fn capture() -> (bytes::Bytes, waldo_protocol::time::MonoTime) {
/// #     (bytes::Bytes::from_static(&[0, 0, 1, 9, 16]), waldo_server::clock::now())
/// # }
/// # fn next(sender: &waldo_server::video::H264Sender) -> Result<(), waldo_server::video::BadAccessUnit> {
/// if sender.watched() {
///     if sender.take_keyframe_request() {
///         // Make the next picture an IDR picture.
///     }
///     let (access_unit, captured) = capture();
///     sender.push(access_unit, captured)?;
/// }
/// # Ok(())
/// # }
/// ```
pub struct H264Sender {
    slot: Arc<Slot>,
}

/// An access unit that is not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadAccessUnit {
    /// Too many bytes.
    #[error("an access unit of {0} bytes; at most {MAX_ACCESS_UNIT} are delivered")]
    TooLarge(usize),
    /// Not a sequence of NAL units with start codes.
    #[error("not H.264 in Annex B form: a start code and a NAL unit must come first")]
    NotAnnexB,
    /// Sequence or picture parameter sets of absurd size.
    #[error("parameter sets above {MAX_PARAMETER_SETS} bytes")]
    ParameterSets,
    /// An IDR picture before any SPS and PPS.
    #[error("a keyframe without SPS and PPS, in it or before it")]
    NoParameterSets,
}

/// What both sides share.
pub(super) struct Slot {
    feed: Mutex<Weak<Shared>>,
    stream: Mutex<Stream>,
}

/// What is known of the stream so far.
struct Stream {
    sps: Bytes,
    pps: Bytes,
    schedule: Schedule,
    asked: Option<MonoTime>,
    warned: bool,
}

impl H264Sender {
    pub(super) fn new() -> (Self, H264Source) {
        let (sps, pps, schedule) = (Bytes::new(), Bytes::new(), Schedule::new(clock::now()));
        let stream = Mutex::new(Stream { sps, pps, schedule, asked: None, warned: false });
        let slot = Arc::new(Slot { feed: Mutex::default(), stream });
        (Self { slot: Arc::clone(&slot) }, H264Source { slot })
    }

    /// Gives one access unit in Annex B form, all NAL units of one picture, to every viewer. `captured` is when the
    /// picture was taken, on [`crate::clock`]. Parameter sets that a keyframe lacks are put before it. Never blocks; a
    /// viewer that does not follow skips to the next keyframe.
    ///
    /// # Errors
    /// [`BadAccessUnit`] if nobody could decode it; the stream goes on with the next one.
    pub fn push(&self, access_unit: Bytes, captured: MonoTime) -> Result<(), BadAccessUnit> {
        let feed = self.slot.feed();
        let name = feed.as_ref().map_or("", |feed| &feed.name);
        let mut stream = self.slot.stream();
        let Some((data, keyframe)) = stream.prepare(access_unit, name)? else { return Ok(()) };
        let Some(feed) = &feed else { return Ok(()) };
        let now = clock::now();
        let media_time = stream.schedule.media_time(now, Some(captured));
        stream.schedule.done(now, keyframe);
        // Under the lock, so that the order of two threads' pictures is that of their media times.
        feed.deliver(Codec::H264, &EncodedFrame { data, keyframe, captured, media_time }, Duration::ZERO);
        Ok(())
    }

    /// Whether anybody watches; access units are worth their making only then.
    pub fn watched(&self) -> bool {
        self.slot.feed().is_some_and(|feed| feed.watched())
    }

    /// Whether a keyframe is wanted, by a new viewer or by one that lost a picture. Each request is told once, and again
    /// if no keyframe has come within 300 ms; requests within 300 ms are one.
    pub fn take_keyframe_request(&self) -> bool {
        let Some(feed) = self.slot.feed() else { return false };
        let now = clock::now();
        let mut stream = self.slot.stream();
        if feed.take_keyframe_request() {
            stream.schedule.want_keyframe();
        }
        let due = stream.schedule.keyframe_due(now) && stream.asked.is_none_or(|asked| now.since(asked) >= PATIENCE);
        if due {
            stream.asked = Some(now);
        }
        due
    }

    /// The bits per second that viewers can take at present, if known.
    pub fn target_bitrate(&self) -> Option<u32> {
        self.slot.feed().and_then(|feed| feed.bitrate_of_stream())
    }
}

impl Drop for H264Sender {
    fn drop(&mut self) {
        if let Some(feed) = self.slot.feed() {
            tracing::warn!(camera = feed.name, "the stream has ended; viewers keep its last picture");
        }
    }
}

impl Slot {
    fn stream(&self) -> MutexGuard<'_, Stream> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn feed(&self) -> Option<Arc<Shared>> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner).upgrade()
    }

    /// From now on the stream goes to this feed.
    pub(super) fn attach(&self, feed: &Arc<Shared>) {
        *self.feed.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(feed);
    }
}

impl Stream {
    /// What to deliver and whether it is a keyframe; nothing if there is no picture in it.
    fn prepare(&mut self, data: Bytes, name: &str) -> Result<Option<(Bytes, bool)>, BadAccessUnit> {
        if data.len() > MAX_ACCESS_UNIT {
            return Err(BadAccessUnit::TooLarge(data.len()));
        }
        let nals = nals(&data).ok_or(BadAccessUnit::NotAnnexB)?;
        let has = |kind| nals.iter().any(|nal| nal.kind == kind);
        if let Some(sps) = collect(&nals, Kind::Sps)? {
            self.sps = sps;
        }
        if let Some(pps) = collect(&nals, Kind::Pps)? {
            self.pps = pps;
        }
        if let Some(sps) = nals.iter().find(|nal| nal.kind == Kind::Sps && nal.second != BASELINE)
            && !std::mem::replace(&mut self.warned, true)
        {
            tracing::warn!(
                camera = name,
                profile = sps.second,
                "not baseline H.264 (66); some headsets may not show it"
            );
        }
        // A picture with slices of both kinds refers to earlier ones.
        let keyframe = has(Kind::Idr) && !has(Kind::Slice);
        if !keyframe {
            return Ok((has(Kind::Idr) || has(Kind::Slice)).then_some((data, false)));
        }
        if self.sps.is_empty() || self.pps.is_empty() {
            return Err(BadAccessUnit::NoParameterSets);
        }
        if has(Kind::Sps) && has(Kind::Pps) {
            return Ok(Some((data, true)));
        }
        // An access unit delimiter, if there is one, must stay the first NAL unit.
        let first = nals.iter().position(|nal| nal.kind != Kind::Other).unwrap_or(0);
        let mut whole = BytesMut::with_capacity(self.sps.len() + self.pps.len() + data.len());
        nals[..first].iter().for_each(|nal| whole.extend_from_slice(nal.bytes));
        whole.extend_from_slice(&self.sps);
        whole.extend_from_slice(&self.pps);
        let rest = nals[first..].iter().filter(|nal| !matches!(nal.kind, Kind::Sps | Kind::Pps));
        rest.for_each(|nal| whole.extend_from_slice(nal.bytes));
        Ok(Some((whole.freeze(), true)))
    }
}

/// All NAL units of a kind, if there are any.
fn collect(nals: &[Nal<'_>], kind: Kind) -> Result<Option<Bytes>, BadAccessUnit> {
    let mut all = BytesMut::new();
    for nal in nals.iter().filter(|nal| nal.kind == kind) {
        if all.len() + nal.bytes.len() > MAX_PARAMETER_SETS {
            return Err(BadAccessUnit::ParameterSets);
        }
        all.extend_from_slice(nal.bytes);
    }
    Ok((!all.is_empty()).then(|| all.freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: &[u8] = &[0, 0, 0, 1, 0x67, 66, 0xc0, 30];
    const PPS: &[u8] = &[0, 0, 0, 1, 0x68, 0xce];
    const IDR: &[u8] = &[0, 0, 1, 0x65, 0x88];
    const SLICE: &[u8] = &[0, 0, 1, 0x41, 0x9a];
    const DELIMITER: &[u8] = &[0, 0, 1, 9, 0x10];

    fn stream() -> Stream {
        let schedule = Schedule::new(MonoTime::from_nanos(0));
        Stream { sps: Bytes::new(), pps: Bytes::new(), schedule, asked: None, warned: false }
    }

    fn prepare(stream: &mut Stream, nals: &[&[u8]]) -> Result<Option<(Vec<u8>, bool)>, BadAccessUnit> {
        let prepared = stream.prepare(nals.concat().into(), "c")?;
        Ok(prepared.map(|(data, keyframe)| (data.to_vec(), keyframe)))
    }

    #[test]
    fn a_keyframe_gets_the_parameter_sets_it_lacks() {
        let mut stream = stream();
        let whole = [SPS, PPS, IDR].concat();
        assert_eq!(prepare(&mut stream, &[SPS, PPS, IDR]), Ok(Some((whole.clone(), true))));
        assert_eq!(prepare(&mut stream, &[IDR]), Ok(Some((whole.clone(), true))));
        assert_eq!(prepare(&mut stream, &[PPS, IDR]), Ok(Some((whole, true))));
        let delimited = [DELIMITER, SPS, PPS, IDR].concat();
        assert_eq!(prepare(&mut stream, &[DELIMITER, IDR]), Ok(Some((delimited, true))));
    }

    #[test]
    fn parameter_sets_may_come_alone_and_the_newest_count() {
        let mut stream = stream();
        assert_eq!(prepare(&mut stream, &[SPS, PPS]), Ok(None), "no picture");
        let newer: &[u8] = &[0, 0, 1, 0x68, 0xff];
        assert_eq!(prepare(&mut stream, &[newer]), Ok(None));
        assert_eq!(prepare(&mut stream, &[IDR]), Ok(Some(([SPS, newer, IDR].concat(), true))));
    }

    #[test]
    fn what_is_a_keyframe_is_read_from_the_slices() {
        let mut stream = stream();
        assert_eq!(prepare(&mut stream, &[SLICE]), Ok(Some((SLICE.to_vec(), false))));
        let mixed = [SPS, PPS, IDR, SLICE].concat();
        assert_eq!(prepare(&mut stream, &[SPS, PPS, IDR, SLICE]), Ok(Some((mixed, false))));
        assert_eq!(prepare(&mut stream, &[DELIMITER]), Ok(None));
    }

    #[test]
    fn what_cannot_be_decoded_is_refused_and_the_stream_goes_on() {
        let mut stream = stream();
        assert_eq!(prepare(&mut stream, &[IDR]), Err(BadAccessUnit::NoParameterSets));
        assert_eq!(prepare(&mut stream, &[b"JFIF"]), Err(BadAccessUnit::NotAnnexB));
        let huge = [SLICE, &[1; MAX_ACCESS_UNIT]].concat();
        assert_eq!(prepare(&mut stream, &[&huge]), Err(BadAccessUnit::TooLarge(huge.len())));
        let absurd = [SPS, &[1; MAX_PARAMETER_SETS]].concat();
        assert_eq!(prepare(&mut stream, &[&absurd, PPS, IDR]), Err(BadAccessUnit::ParameterSets));
        assert!(prepare(&mut stream, &[SPS, PPS, IDR]).is_ok());
    }
}
