//! One streaming pass over a client's text: is it signalling, and if not, which pose frame is it?
//!
//! A valid pose frame costs no allocation. Refusals wait until the text has been read to its end, because a `type` key
//! may still come.

mod hand;

use std::cell::Cell;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess};

use self::hand::{HandKey, HandSlots};
use super::coerce::{Coerce, Slot};
use super::object::{Members, Object, Reading};
use super::{EpisodeOp, Hand, Refusal, RefusalKind, VrFrame, VrState};

/// The pose frame; `None` for an object with a `type` key, which is signalling.
pub(super) fn scan(text: &str) -> Result<Option<VrFrame>, Refusal> {
    let at = Cell::new("message");
    let mut json = serde_json::Deserializer::from_str(text);
    let frame = Object { members: FrameSlots::new(), at: &at }
        .deserialize(&mut json)
        .and_then(|frame| json.end().map(|()| frame))
        .map_err(|error| not_json(&error, at.get()));
    match frame {
        Ok(Slot::Read(frame)) if frame.typed => Ok(None),
        Ok(Slot::Read(frame)) => frame.finish().map(Some),
        Ok(_) => Err(Refusal::of_message(RefusalKind::NotAnObject, "must be an object")),
        // The parser stops at a number too large, before it may have come to a `type` key.
        Err(refusal) if refusal.kind == RefusalKind::NotFinite && is_typed(text) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// The refusal for a parser's error while it read `field`.
#[cold]
pub(super) fn not_json(error: &serde_json::Error, field: &'static str) -> Refusal {
    let text = error.to_string();
    if text.starts_with("number out of range") {
        return Refusal::new(RefusalKind::NotFinite, field, "is not a finite number");
    }
    Refusal::of_message(RefusalKind::NotJson, text)
}

/// Whether the text is an object with a `type` key, whatever its numbers are.
fn is_typed(text: &str) -> bool {
    struct Typed(bool);
    impl Members for Typed {
        type Key = bool;

        fn key(name: &str) -> bool {
            name == "type"
        }
        fn read<'de, A: MapAccess<'de>>(&mut self, key: bool, map: &mut A, _: &Reading) -> Result<(), A::Error> {
            self.0 |= key;
            skip(map)
        }
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let at = Cell::new("message");
    let read = Object { members: Typed(false), at: &at }.deserialize(&mut json);
    matches!(read, Ok(Slot::Read(Typed(true)))) && json.end().is_ok()
}

/// Everything read of a frame so far.
#[derive(Debug)]
struct FrameSlots {
    left: HandSlots,
    right: HandSlots,
    l_stick_y: Slot<f64>,
    reset: Slot<bool>,
    state: Slot<VrState>,
    t: Slot<Option<f64>>,
    seq: Slot<Option<i64>>,
    elbow_est: Slot<bool>,
    reset_n: Slot<Option<i64>>,
    ep_n: Slot<Option<i64>>,
    ep_op: Slot<EpisodeOp>,
    typed: bool,
}

enum FrameKey {
    Hand(Hand, HandKey),
    LeftStickY,
    Reset,
    State,
    T,
    Seq,
    ElbowEst,
    ResetN,
    EpN,
    EpOp,
    Type,
    Unknown,
}

impl Members for FrameSlots {
    type Key = FrameKey;

    fn key(name: &str) -> FrameKey {
        let hand = |hand, suffix| HandKey::from_suffix(suffix).map(|key| FrameKey::Hand(hand, key));
        if let Some(suffix) = name.strip_prefix("l_") {
            let left_only = (suffix == "stick_y").then_some(FrameKey::LeftStickY);
            return hand(Hand::Left, suffix).or(left_only).unwrap_or(FrameKey::Unknown);
        }
        if let Some(suffix) = name.strip_prefix("r_") {
            return hand(Hand::Right, suffix).unwrap_or(FrameKey::Unknown);
        }
        match name {
            "reset" => FrameKey::Reset,
            "state" => FrameKey::State,
            "t" => FrameKey::T,
            "seq" => FrameKey::Seq,
            "elbow_est" => FrameKey::ElbowEst,
            "reset_n" => FrameKey::ResetN,
            "ep_n" => FrameKey::EpN,
            "ep_op" => FrameKey::EpOp,
            "type" => FrameKey::Type,
            _ => FrameKey::Unknown,
        }
    }
    fn read<'de, A: MapAccess<'de>>(&mut self, key: FrameKey, map: &mut A, at: &Reading) -> Result<(), A::Error> {
        match key {
            FrameKey::Hand(Hand::Left, key) => self.left.read(key, map, at)?,
            FrameKey::Hand(Hand::Right, key) => self.right.read(key, map, at)?,
            FrameKey::LeftStickY => self.l_stick_y = scalar("l_stick_y", map, at)?,
            FrameKey::Reset => self.reset = scalar("reset", map, at)?,
            FrameKey::State => self.state = scalar("state", map, at)?,
            FrameKey::T => self.t = scalar("t", map, at)?,
            FrameKey::Seq => self.seq = scalar("seq", map, at)?,
            FrameKey::ElbowEst => self.elbow_est = scalar("elbow_est", map, at)?,
            FrameKey::ResetN => self.reset_n = scalar("reset_n", map, at)?,
            FrameKey::EpN => self.ep_n = scalar("ep_n", map, at)?,
            FrameKey::EpOp => self.ep_op = scalar("ep_op", map, at)?,
            FrameKey::Type => {
                self.typed = true;
                skip(map)?;
            }
            FrameKey::Unknown => skip(map)?,
        }
        Ok(())
    }
}

impl FrameSlots {
    fn new() -> Self {
        Self {
            left: HandSlots::left(),
            right: HandSlots::right(),
            l_stick_y: Slot::Missing,
            reset: Slot::Missing,
            state: Slot::Missing,
            t: Slot::Missing,
            seq: Slot::Missing,
            elbow_est: Slot::Missing,
            reset_n: Slot::Missing,
            ep_n: Slot::Missing,
            ep_op: Slot::Missing,
            typed: false,
        }
    }

    fn finish(self) -> Result<VrFrame, Refusal> {
        Ok(VrFrame {
            left: self.left.finish()?,
            right: self.right.finish()?,
            l_stick_y: self.l_stick_y.or("l_stick_y", 0.0)?.clamp(-1.0, 1.0),
            reset: self.reset.or("reset", false)?,
            state: self.state.or("state", VrState::Teleop)?,
            t: self.t.or("t", None)?,
            seq: self.seq.or("seq", None)?,
            // Keys of ours alone: the frames of others must not fail on them.
            elbow_est: matches!(self.elbow_est, Slot::Read(true)),
            reset_n: count(self.reset_n),
            ep_n: count(self.ep_n),
            ep_op: match self.ep_op {
                Slot::Read(op) => Some(op),
                Slot::Missing | Slot::Bad(_) => None,
            },
        })
    }
}

/// A counter of 32 bits; anything else counts as missing.
fn count(slot: Slot<Option<i64>>) -> Option<u32> {
    match slot {
        Slot::Read(Some(count)) => u32::try_from(count).ok(),
        Slot::Read(None) | Slot::Missing | Slot::Bad(_) => None,
    }
}

fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

fn scalar<'de, T: Coerce, A: MapAccess<'de>>(
    field: &'static str,
    map: &mut A,
    at: &Reading,
) -> Result<Slot<T>, A::Error> {
    at.set(field);
    map.next_value()
}
