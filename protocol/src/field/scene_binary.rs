//! Moving arms as a binary frame, `scene-bin/1`.
//!
//! Little endian: `VFS1`, u32 frame, f64 timestamp, u16 number of arms, and per arm: u16 place in the arm table, u8
//! flags, u8 reserved, u16 points n, n × 3 f32 centerline, 7 f32 tip, then as flagged n − 1 f32 radii and n − 1 × 4 i16
//! quaternions of the directors, scaled by 32767.
//!
//! Element lengths do not travel: they are the distances between the points of the centerline.

use bytemuck::cast;

use super::{ArmState, Director, director_rotation, rotation_director};

/// What a binary frame begins with.
pub const MAGIC: [u8; 4] = *b"VFS1";

const RADII: u8 = 1;
const DIRECTORS: u8 = 2;

/// Full scale of a component of a director's quaternion.
const UNIT: f64 = 32767.0;

/// Numbers beyond this are not sent as f32: nothing of a scene is that far away.
const MAX_NUMBER: f64 = 1e6;

/// An element of a director may differ by this much after its way through 16 bits.
const DIRECTOR_ERROR: f64 = 1e-3;

/// An element length may differ by this much from the distance of its points, metres.
const LENGTH_ERROR: f64 = 1e-4;

/// An arm of a binary frame.
#[derive(Clone, Debug, PartialEq)]
pub struct BinaryArm {
    /// Place in the arm table of the last full frame.
    pub index: u16,
    /// At least one point, metres.
    pub centerline: Vec<[f32; 3]>,
    /// Position and quaternion x, y, z, w.
    pub tip: [f32; 7],
    /// One for each element, if they changed.
    pub radii: Option<Vec<f32>>,
    /// A quaternion for each element, if they changed; scaled by 32767.
    pub directors: Option<Vec<[i16; 4]>>,
}

/// A binary frame.
#[derive(Clone, Debug, PartialEq)]
pub struct BinaryScene {
    /// Its number; a [`SceneDelta`](super::SceneDelta) of the same number belongs to it and comes after it.
    pub frame: u32,
    /// Simulated seconds since the start of the server.
    pub timestamp: f64,
    /// Those that moved.
    pub arms: Vec<BinaryArm>,
}

/// A binary frame that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBinary {
    /// It does not begin with [`MAGIC`].
    #[error("a binary frame begins with VFS1")]
    Magic,
    /// It ends too early.
    #[error("the binary frame is cut off")]
    Cut,
    /// It goes on after its end.
    #[error("the binary frame goes on after its end")]
    TooLong,
    /// An arm has no points.
    #[error("an arm of the binary frame has no points")]
    NoPoints,
    /// A number is not finite, a radius negative, a quaternion without direction.
    #[error("the binary frame has a number that cannot be")]
    Number,
}

/// What of an arm a binary frame can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// Place in the arm table; `None`: nothing of it.
    pub(super) index: Option<u16>,
    pub(super) radii: bool,
    pub(super) directors: bool,
    /// Its lengths are the distances.
    pub(super) lengths: bool,
}

impl Fit {
    pub(super) const NOTHING: Self = Self { index: None, radii: false, directors: false, lengths: false };

    pub(super) fn of(arm: &ArmState, index: u16) -> Self {
        let small = |numbers: &[f64]| numbers.iter().all(|number| number.abs() <= MAX_NUMBER);
        let points = arm.centerline.len();
        let all_small =
            small(arm.centerline.as_flattened()) && small(&arm.tip.translation) && small(&arm.tip.rotation_xyzw);
        if points == 0 || points > usize::from(u16::MAX) || !all_small {
            return Self::NOTHING;
        }
        let elements = points - 1;
        let is_distance = |(length, distance): (&f64, f64)| (length - distance).abs() <= LENGTH_ERROR;
        Self {
            index: Some(index),
            radii: arm.radii.len() == elements && small(&arm.radii),
            directors: arm.directors.len() == elements && arm.directors.iter().all(survives),
            lengths: arm.element_lengths.is_empty()
                || arm.element_lengths.len() == elements
                    && arm.element_lengths.iter().zip(distances(&arm.centerline)).all(is_distance),
        }
    }
}

/// The distances between points, one fewer than there are points.
pub(super) fn distances(centerline: &[[f64; 3]]) -> impl Iterator<Item = f64> {
    centerline.windows(2).map(|two| {
        let [a, b] = [two[0], two[1]].map(glam::DVec3::from_array);
        a.distance(b)
    })
}

/// Whether a director is about the same after its way through 16 bits.
fn survives(director: &Director) -> bool {
    let back = unquantized(quantized(director));
    // The comparison is false for what is not finite.
    director.as_flattened().iter().zip(back.as_flattened()).all(|(a, b)| (a - b).abs() <= DIRECTOR_ERROR)
}

fn quantized(director: &Director) -> [i16; 4] {
    let rotation = director_rotation(director);
    let length = rotation.iter().map(|part| part * part).sum::<f64>().sqrt();
    #[expect(clippy::cast_possible_truncation, reason = "a part of a unit quaternion, and a cast saturates")]
    rotation.map(|part| (part / length * UNIT).round() as i16)
}

pub(super) fn unquantized(rotation: [i16; 4]) -> Director {
    rotation_director(rotation.map(|part| f64::from(part) / UNIT))
}

impl BinaryArm {
    /// What a binary frame tells of an arm. Only for what fits, see [`Fit`].
    #[expect(clippy::cast_possible_truncation, reason = "the wire has f32")]
    pub(super) fn of(arm: &ArmState, index: u16, radii: bool, directors: bool) -> Self {
        let [x, y, z] = arm.tip.translation;
        let [qx, qy, qz, qw] = arm.tip.rotation_xyzw;
        Self {
            index,
            centerline: arm.centerline.iter().map(|point| point.map(|c| c as f32)).collect(),
            tip: [x, y, z, qx, qy, qz, qw].map(|number| number as f32),
            radii: radii.then(|| arm.radii.iter().map(|radius| *radius as f32).collect()),
            directors: directors.then(|| arm.directors.iter().map(quantized).collect()),
        }
    }

    /// Takes it over into an arm.
    pub(super) fn apply(self, arm: &mut ArmState) {
        let [x, y, z, qx, qy, qz, qw] = self.tip.map(f64::from);
        arm.tip.translation = [x, y, z];
        arm.tip.rotation_xyzw = [qx, qy, qz, qw];
        arm.centerline.clear();
        arm.centerline.extend(self.centerline.iter().map(|point| point.map(f64::from)));
        if !arm.element_lengths.is_empty() {
            arm.element_lengths.clear();
            arm.element_lengths.extend(distances(&arm.centerline));
        }
        if let Some(radii) = self.radii {
            arm.radii.clear();
            arm.radii.extend(radii.into_iter().map(f64::from));
        }
        if let Some(directors) = self.directors {
            arm.directors.clear();
            arm.directors.extend(directors.into_iter().map(unquantized));
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let flags = if self.radii.is_some() { RADII } else { 0 } | if self.directors.is_some() { DIRECTORS } else { 0 };
        // No more are built or read.
        let points = u16::try_from(self.centerline.len()).unwrap_or(u16::MAX);
        out.extend(self.index.to_le_bytes());
        out.extend([flags, 0]);
        out.extend(points.to_le_bytes());
        let floats = self.centerline.as_flattened().iter().chain(&self.tip).chain(self.radii.iter().flatten());
        floats.for_each(|number| out.extend(number.to_le_bytes()));
        self.directors.iter().flatten().flatten().for_each(|part| out.extend(part.to_le_bytes()));
    }

    fn read(bytes: &mut Bytes<'_>) -> Result<Self, InvalidBinary> {
        let index = bytes.u16()?;
        let [flags, _] = bytes.array()?;
        let points = usize::from(bytes.u16()?);
        let elements = points.checked_sub(1).ok_or(InvalidBinary::NoPoints)?;
        let centerline = bytes.many(points, |point: [u8; 12]| {
            let [x, y, z] = cast::<_, [[u8; 4]; 3]>(point).map(f32::from_le_bytes);
            finite([x, y, z])
        })?;
        let tip = finite(cast::<[u8; 28], [[u8; 4]; 7]>(bytes.array()?).map(f32::from_le_bytes))?;
        let radius = |bytes| match finite([f32::from_le_bytes(bytes)])? {
            [radius] if radius < 0.0 => Err(InvalidBinary::Number),
            [radius] => Ok(radius),
        };
        let radii = if flags & RADII == 0 { None } else { Some(bytes.many(elements, radius)?) };
        let directors = if flags & DIRECTORS == 0 {
            None
        } else {
            Some(bytes.many(elements, |rotation: [u8; 8]| {
                let rotation = cast::<_, [[u8; 2]; 4]>(rotation).map(i16::from_le_bytes);
                if rotation == [0; 4] { Err(InvalidBinary::Number) } else { Ok(rotation) }
            })?)
        };
        Ok(Self { index, centerline, tip, radii, directors })
    }
}

impl BinaryScene {
    /// The frame as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(MAGIC);
        out.extend(self.frame.to_le_bytes());
        out.extend(self.timestamp.to_le_bytes());
        // The arm table has no more places.
        let arms = u16::try_from(self.arms.len()).unwrap_or(u16::MAX);
        out.extend(arms.to_le_bytes());
        self.arms.iter().take(usize::from(arms)).for_each(|arm| arm.write(&mut out));
        out
    }

    /// Reads a frame. What it takes is bounded by the length of the bytes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(bytes: &[u8]) -> Result<Self, InvalidBinary> {
        let mut bytes = Bytes(bytes);
        if bytes.array()? != MAGIC {
            return Err(InvalidBinary::Magic);
        }
        let frame = u32::from_le_bytes(bytes.array()?);
        let timestamp = f64::from_le_bytes(bytes.array()?);
        if !timestamp.is_finite() {
            return Err(InvalidBinary::Number);
        }
        let arms = (0..bytes.u16()?).map(|_| BinaryArm::read(&mut bytes)).collect::<Result<_, _>>()?;
        if bytes.0.is_empty() { Ok(Self { frame, timestamp, arms }) } else { Err(InvalidBinary::TooLong) }
    }
}

fn finite<const N: usize>(numbers: [f32; N]) -> Result<[f32; N], InvalidBinary> {
    if numbers.iter().all(|number| number.is_finite()) { Ok(numbers) } else { Err(InvalidBinary::Number) }
}

/// What is left to read.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], InvalidBinary> {
        let (array, rest) = self.0.split_first_chunk().ok_or(InvalidBinary::Cut)?;
        self.0 = rest;
        Ok(*array)
    }

    fn u16(&mut self) -> Result<u16, InvalidBinary> {
        self.array().map(u16::from_le_bytes)
    }

    /// So many values of `N` bytes; looks whether they are there before it makes room for them.
    fn many<const N: usize, T>(
        &mut self,
        count: usize,
        read: impl Fn([u8; N]) -> Result<T, InvalidBinary>,
    ) -> Result<Vec<T>, InvalidBinary> {
        let (chunks, _) = self.0.as_chunks::<N>();
        let values = chunks.get(..count).ok_or(InvalidBinary::Cut)?.iter().map(|chunk| read(*chunk)).collect();
        self.0 = &self.0[count * N..];
        values
    }
}
