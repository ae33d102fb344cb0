//! Media from one peer to another: whose, by which payload type, and with which numbers.

use std::time::{Duration, Instant};

use str0m::Rtc;
use str0m::format::{Codec, CodecSpec};
use str0m::media::{KeyframeRequestKind, MediaKind, Mid, Pt};
use str0m::rtp::{RtpPacket, RtpWrite, SeqNo, Ssrc};

/// Requests for key frames that follow one another more quickly are one.
const KEY_FRAME_EVERY: Duration = Duration::from_millis(300);

/// More packets in a row that a receiver did not get were not lost: it was not subscribed to them, and must not ask for them.
const PAUSE: u64 = 256;

/// A track that somebody receives.
pub(super) struct Subscription {
    /// The m-section it comes from.
    pub(super) source: Mid,
    /// Who receives it.
    pub(super) receiver: u64,
    /// In which m-section.
    pub(super) sink: Mid,
    /// The payload type at the source, and the one for the same at the receiver.
    payload: Option<(Pt, Option<Pt>)>,
}

/// What feeds an m-section in which a peer receives; true only while the publisher has the subscription too.
pub(super) struct Feed {
    pub(super) sink: Mid,
    pub(super) publisher: u64,
    pub(super) source: Mid,
}

/// An m-section that a peer receives in. Its numbers go on, whoever sends.
pub(super) struct Sink {
    pub(super) mid: Mid,
    pub(super) kind: MediaKind,
    /// Packets were left out that the receiver cannot know of: only a key frame mends its picture.
    pub(super) needs_key_frame: bool,
    numbers: Option<Numbers>,
}

impl Sink {
    pub(super) fn new(mid: Mid, kind: MediaKind) -> Self {
        Self { mid, kind, needs_key_frame: false, numbers: None }
    }

    /// The packet as the receiver shall get it, without its payload type. None for what is older than its first.
    fn renumber(&mut self, packet: &RtpPacket, clock: u32, now: Instant) -> Option<(SeqNo, u32)> {
        let source = packet.header.ssrc;
        let (sequence, stamp) = (*packet.seq_no, packet.header.timestamp);
        let numbers = match &mut self.numbers {
            Some(numbers) if numbers.source == source && !numbers.leaves_out(sequence) => numbers,
            Some(numbers) => {
                self.needs_key_frame = true;
                let passed = now.saturating_duration_since(numbers.last_at).as_secs_f64();
                let next = numbers.last + 1;
                let next_stamp = numbers.last_stamp.wrapping_add(((passed * f64::from(clock)) as u32).max(1));
                *numbers = Numbers {
                    source,
                    sequence: next.wrapping_sub(sequence),
                    stamp: next_stamp.wrapping_sub(stamp),
                    first: next,
                    ..*numbers
                };
                numbers
            }
            none => {
                let first = *SeqNo::default();
                none.insert(Numbers {
                    source,
                    sequence: first.wrapping_sub(sequence),
                    stamp: 0,
                    first,
                    last: first,
                    last_stamp: stamp,
                    last_at: now,
                })
            }
        };
        let (sequence, stamp) = (sequence.wrapping_add(numbers.sequence), stamp.wrapping_add(numbers.stamp));
        // Older than the first wraps around to something huge.
        if sequence < numbers.first || sequence > numbers.last + PAUSE {
            return None;
        }
        if sequence >= numbers.last {
            numbers.last = sequence;
            numbers.last_stamp = stamp;
            numbers.last_at = now;
        }
        Some((sequence.into(), stamp))
    }
}

/// How sequence numbers and time stamps become the receiver's, without a break when the source changes.
struct Numbers {
    source: Ssrc,
    /// What is added to a sequence number, modulo 2^64.
    sequence: u64,
    /// What is added to a time stamp, modulo 2^32.
    stamp: u32,
    /// The first and the highest number given out.
    first: u64,
    last: u64,
    last_stamp: u32,
    last_at: Instant,
}

impl Numbers {
    /// Whether there are so many packets between the last one and this that the numbers are to go on as if there were none.
    fn leaves_out(&self, sequence: u64) -> bool {
        let ahead = sequence.wrapping_add(self.sequence).wrapping_sub(self.last);
        ahead > PAUSE && ahead < 1 << 63
    }
}

impl Subscription {
    pub(super) fn new(source: Mid, receiver: u64, sink: Mid) -> Self {
        Self { source, receiver, sink, payload: None }
    }

    /// The receiver's payload type for what the source sends with this one.
    pub(super) fn payload_type(&mut self, at_source: Pt, spec: CodecSpec, receiver: &Rtc) -> Option<Pt> {
        if let Some((pt, found)) = self.payload
            && pt == at_source
        {
            return found;
        }
        // A receiver that has not answered yet takes nothing; that may change.
        receiver.media(self.sink)?;
        let found = matching(receiver, self.sink, spec);
        self.payload = Some((at_source, found));
        found
    }
}

/// Hands a packet to a receiver. Tells whether there is anything to send now.
pub(super) fn write(
    receiver: &mut Rtc,
    sink: &mut Sink,
    pt: Pt,
    packet: &RtpPacket,
    spec: CodecSpec,
    now: Instant,
) -> bool {
    let mut direct = receiver.direct_api();
    let Some(stream) = direct.stream_tx_by_mid(sink.mid, None) else { return false };
    let Some((sequence, stamp)) = sink.renumber(packet, spec.clock_rate.get(), now) else { return false };
    stream.write_rtp(
        RtpWrite::new(pt, sequence, stamp, packet.timestamp, packet.payload.clone())
            .marker(packet.header.marker)
            .nackable(spec.codec.is_video()),
    );
    true
}

/// The payload type under which a peer takes this codec: with the same profile if it can be, else any of its kind.
fn matching(receiver: &Rtc, sink: Mid, spec: CodecSpec) -> Option<Pt> {
    let media = receiver.media(sink)?;
    let alike = |theirs: CodecSpec| {
        let profile = theirs.format.profile_level_id.map(|level| level >> 8);
        theirs.codec == spec.codec
            && theirs.format.packetization_mode.unwrap_or(0) == spec.format.packetization_mode.unwrap_or(0)
            && (spec.codec != Codec::H264 || profile == spec.format.profile_level_id.map(|level| level >> 8))
    };
    let params = || receiver.codec_config().params().iter().filter(|param| media.remote_pts().contains(&param.pt()));
    params()
        .find(|param| alike(param.spec()))
        .or_else(|| {
            params().find(|param| {
                let theirs = param.spec();
                theirs.codec == spec.codec
                    && theirs.format.packetization_mode.unwrap_or(0) == spec.format.packetization_mode.unwrap_or(0)
            })
        })
        .map(|param| param.pt())
}

/// A track that a peer sends.
pub(super) struct Source {
    pub(super) mid: Mid,
    pub(super) ssrc: Option<Ssrc>,
    pub(super) heard: Option<Instant>,
    pub(super) active: bool,
    asked: Option<Instant>,
    /// A request for a key frame that is to be made.
    wanted: Option<KeyframeRequestKind>,
}

impl Source {
    pub(super) fn new(mid: Mid) -> Self {
        Self { mid, ssrc: None, heard: None, active: false, asked: None, wanted: None }
    }

    /// Notes that somebody needs a key frame.
    pub(super) fn want_key_frame(&mut self, kind: KeyframeRequestKind) {
        self.wanted = Some(kind);
    }

    /// Asks for a key frame, if one is wanted, the last request is long enough ago, and the peer sends. Tells whether it did.
    pub(super) fn ask(&mut self, rtc: &mut Rtc, now: Instant) -> bool {
        let Some(kind) = self.wanted else { return false };
        if self.asked.is_some_and(|asked| now.saturating_duration_since(asked) < KEY_FRAME_EVERY) {
            return false;
        }
        let mut direct = rtc.direct_api();
        let Some(stream) = direct.stream_rx_by_mid(self.mid, None) else { return false };
        stream.request_keyframe(kind);
        self.wanted = None;
        self.asked = Some(now);
        true
    }
}
