//! The slots of one hand: both hands have the same keys but for their prefix.

use glam::{DQuat, DVec3};
use serde::de::MapAccess;

use super::{scalar, skip};
use crate::geometry::{MAX_COORDINATE, Pose};
use crate::vr::coerce::{Coerce, Slot};
use crate::vr::object::{Members, Object, Reading};
use crate::vr::{Controller, Refusal, RefusalKind};

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

/// What was read of one hand so far.
#[derive(Debug)]
pub(super) struct HandSlots {
    fields: &'static HandFields,
    ee: Slot<EeSlots>,
    elbow: Slot<Axes<3>>,
    grip: Slot<f64>,
    lock: Slot<bool>,
    tracked: Slot<bool>,
    stick_x: Slot<f64>,
    stick_click: Slot<bool>,
}

/// A key of one hand, its prefix cut.
#[derive(Clone, Copy)]
pub(super) enum HandKey {
    Ee,
    Elbow,
    Grip,
    Lock,
    Tracked,
    StickX,
    StickClick,
}

impl HandKey {
    pub(super) fn from_suffix(suffix: &str) -> Option<Self> {
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
    pub(super) fn left() -> Self {
        Self::new(&LEFT)
    }

    pub(super) fn right() -> Self {
        Self::new(&RIGHT)
    }

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

    pub(super) fn read<'de, A: MapAccess<'de>>(
        &mut self,
        key: HandKey,
        map: &mut A,
        at: &Reading,
    ) -> Result<(), A::Error> {
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

    pub(super) fn finish(self) -> Result<Controller, Refusal> {
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
