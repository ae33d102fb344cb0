//! One streaming pass over a client's text: is it signalling, and if not, which pose frame is it?
//!
//! A valid pose frame costs no allocation. Refusals wait until the text has been read to its end, because a `type` key
//! may still come.

use std::cell::Cell;

use glam::{DQuat, DVec3};
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess};

use super::coerce::{Coerce, Slot};
use super::object::{Members, Object, Reading};
use super::{Controller, Hand, Refusal, RefusalKind, VrFrame, VrState};
use crate::geometry::{MAX_COORDINATE, Pose};

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
            map.next_value::<IgnoredAny>().map(|_| ())
        }
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let at = Cell::new("message");
    let read = Object { members: Typed(false), at: &at }.deserialize(&mut json);
    matches!(read, Ok(Slot::Read(Typed(true)))) && json.end().is_ok()
}

/// Paths of an object whose members are single letters.
#[derive(Debug)]
struct AxisFields<const N: usize> {
    whole: &'static str,
    axes: [&'static str; N],
}

macro_rules! axis_fields {
    ($whole:expr; $($axis:literal)*) => {
        AxisFields { whole: $whole, axes: [$(concat!($whole, ".", $axis)),*] }
    };
}

/// Paths of everything that belongs to one hand.
#[derive(Debug)]
struct HandFields {
    ee: &'static str,
    position: AxisFields<3>,
    quaternion: AxisFields<4>,
    elbow: AxisFields<3>,
    grip: &'static str,
    lock: &'static str,
    tracked: &'static str,
    stick_x: &'static str,
    stick_click: &'static str,
}

macro_rules! hand_fields {
    ($hand:literal) => {
        HandFields {
            ee: concat!($hand, "_ee"),
            position: axis_fields!(concat!($hand, "_ee.position"); "x" "y" "z"),
            quaternion: axis_fields!(concat!($hand, "_ee.quaternion"); "x" "y" "z" "w"),
            elbow: axis_fields!(concat!($hand, "_elbow"); "x" "y" "z"),
            grip: concat!($hand, "_grip"),
            lock: concat!($hand, "_lock"),
            tracked: concat!($hand, "_tracked"),
            stick_x: concat!($hand, "_stick_x"),
            stick_click: concat!($hand, "_stick_click"),
        }
    };
}

static LEFT: HandFields = hand_fields!("l");
static RIGHT: HandFields = hand_fields!("r");

/// The first `N` of x, y, z, w.
#[derive(Clone, Copy, Debug)]
struct Axes<const N: usize> {
    fields: &'static AxisFields<N>,
    values: [Slot<f64>; N],
}

impl<const N: usize> Axes<N> {
    fn new(fields: &'static AxisFields<N>) -> Self {
        Self { fields, values: [Slot::Missing; N] }
    }

    fn finish(self) -> Result<[f64; N], Refusal> {
        let mut read = [0.0; N];
        for ((read, slot), field) in read.iter_mut().zip(self.values).zip(self.fields.axes) {
            *read = slot.required(field)?;
        }
        Ok(read)
    }
}

impl<const N: usize> Coerce for Axes<N> {
    const EXPECTED: &'static str = "must be an object";
}

impl<const N: usize> Members for Axes<N> {
    type Key = usize;

    fn key(name: &str) -> usize {
        match name {
            "x" => 0,
            "y" => 1,
            "z" => 2,
            "w" => 3,
            _ => usize::MAX,
        }
    }
    fn read<'de, A: MapAccess<'de>>(&mut self, key: usize, map: &mut A, at: &Reading) -> Result<(), A::Error> {
        match self.values.get_mut(key) {
            Some(slot) => {
                at.set(self.fields.axes[key]);
                *slot = map.next_value()?;
            }
            None => skip(map)?,
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
struct EeSlots {
    fields: &'static HandFields,
    position: Slot<Axes<3>>,
    quaternion: Slot<Axes<4>>,
}

enum EeKey {
    Position,
    Quaternion,
    Unknown,
}

impl Coerce for EeSlots {
    const EXPECTED: &'static str = "must be an object";
}

impl Members for EeSlots {
    type Key = EeKey;

    fn key(name: &str) -> EeKey {
        match name {
            "position" => EeKey::Position,
            "quaternion" => EeKey::Quaternion,
            _ => EeKey::Unknown,
        }
    }
    fn read<'de, A: MapAccess<'de>>(&mut self, key: EeKey, map: &mut A, at: &Reading) -> Result<(), A::Error> {
        match key {
            EeKey::Position => self.position = axes(&self.fields.position, map, at)?,
            EeKey::Quaternion => self.quaternion = axes(&self.fields.quaternion, map, at)?,
            EeKey::Unknown => skip(map)?,
        }
        Ok(())
    }
}

/// A JSON number at the place of an object may be too large as well, so the object's own path is set first.
fn axes<'de, const N: usize, A: MapAccess<'de>>(
    fields: &'static AxisFields<N>,
    map: &mut A,
    at: &Reading,
) -> Result<Slot<Axes<N>>, A::Error> {
    at.set(fields.whole);
    map.next_value_seed(Object { members: Axes::new(fields), at })
}

fn skip<'de, A: MapAccess<'de>>(map: &mut A) -> Result<(), A::Error> {
    map.next_value::<IgnoredAny>().map(|_| ())
}

#[derive(Debug)]
struct HandSlots {
    fields: &'static HandFields,
    ee: Slot<EeSlots>,
    elbow: Slot<Axes<3>>,
    grip: Slot<f64>,
    lock: Slot<bool>,
    tracked: Slot<bool>,
    stick_x: Slot<f64>,
    stick_click: Slot<bool>,
}

#[derive(Clone, Copy)]
enum HandKey {
    Ee,
    Elbow,
    Grip,
    Lock,
    Tracked,
    StickX,
    StickClick,
}

impl HandKey {
    fn from_suffix(suffix: &str) -> Option<Self> {
        Some(match suffix {
            "ee" => Self::Ee,
            "elbow" => Self::Elbow,
            "grip" => Self::Grip,
            "lock" => Self::Lock,
            "tracked" => Self::Tracked,
            "stick_x" => Self::StickX,
            "stick_click" => Self::StickClick,
            _ => return None,
        })
    }
}

impl HandSlots {
    fn new(fields: &'static HandFields) -> Self {
        Self {
            fields,
            ee: Slot::Missing,
            elbow: Slot::Missing,
            grip: Slot::Missing,
            lock: Slot::Missing,
            tracked: Slot::Missing,
            stick_x: Slot::Missing,
            stick_click: Slot::Missing,
        }
    }

    fn read<'de, A: MapAccess<'de>>(&mut self, key: HandKey, map: &mut A, at: &Reading) -> Result<(), A::Error> {
        let fields = self.fields;
        match key {
            HandKey::Ee => {
                at.set(fields.ee);
                let members = EeSlots { fields, position: Slot::Missing, quaternion: Slot::Missing };
                self.ee = map.next_value_seed(Object { members, at })?;
            }
            HandKey::Elbow => self.elbow = axes(&fields.elbow, map, at)?,
            HandKey::Grip => self.grip = scalar(fields.grip, map, at)?,
            HandKey::Lock => self.lock = scalar(fields.lock, map, at)?,
            HandKey::Tracked => self.tracked = scalar(fields.tracked, map, at)?,
            HandKey::StickX => self.stick_x = scalar(fields.stick_x, map, at)?,
            HandKey::StickClick => self.stick_click = scalar(fields.stick_click, map, at)?,
        }
        Ok(())
    }

    fn finish(self) -> Result<Controller, Refusal> {
        let fields = self.fields;
        let ee = self.ee.required(fields.ee)?;
        let position = point(ee.position, &fields.position)?;
        let quaternion = ee.quaternion.required(fields.quaternion.whole)?.finish()?;
        let pose = Pose::new(position, DQuat::from_array(quaternion))
            .map_err(|invalid| Refusal::new(invalid.into(), fields.quaternion.whole, invalid.to_string()))?;
        Ok(Controller {
            pose,
            elbow: point(self.elbow, &fields.elbow)?,
            grip: self.grip.or(fields.grip, 1.0)?.clamp(0.0, 1.0),
            lock: self.lock.or(fields.lock, false)?,
            tracked: self.tracked.or(fields.tracked, true)?,
            stick_x: self.stick_x.or(fields.stick_x, 0.0)?.clamp(-1.0, 1.0),
            stick_click: self.stick_click.or(fields.stick_click, false)?,
        })
    }
}

fn scalar<'de, T: Coerce, A: MapAccess<'de>>(
    field: &'static str,
    map: &mut A,
    at: &Reading,
) -> Result<Slot<T>, A::Error> {
    at.set(field);
    map.next_value()
}

/// A position in metres within [`MAX_COORDINATE`].
fn point(slot: Slot<Axes<3>>, fields: &'static AxisFields<3>) -> Result<DVec3, Refusal> {
    let axes = slot.required(fields.whole)?.finish()?;
    match axes.iter().position(|c| c.abs() > MAX_COORDINATE) {
        None => Ok(DVec3::from_array(axes)),
        Some(axis) => {
            Err(Refusal::new(RefusalKind::OutOfRange, fields.axes[axis], "is farther than 1000 m from the origin"))
        }
    }
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
            left: HandSlots::new(&LEFT),
            right: HandSlots::new(&RIGHT),
            l_stick_y: Slot::Missing,
            reset: Slot::Missing,
            state: Slot::Missing,
            t: Slot::Missing,
            seq: Slot::Missing,
            elbow_est: Slot::Missing,
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
            // A key of ours alone: the frames of others must not fail on it.
            elbow_est: matches!(self.elbow_est, Slot::Read(true)),
        })
    }
}
