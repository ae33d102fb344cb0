//! Poses that carry their frame of reference as a type. Metres, radians, unit quaternions.

use std::fmt;
use std::marker::PhantomData;

use glam::{DQuat, DVec3};

/// No coordinate of a valid pose lies farther from its origin than this, in metres.
pub const MAX_COORDINATE: f64 = 1000.0;

/// A quaternion shorter than this has no direction and is refused.
pub const MIN_QUATERNION_NORM: f64 = 1e-6;

/// A frame of reference.
pub trait Frame: Copy + fmt::Debug + Send + Sync + 'static {
    /// The frame's name in messages and logs.
    const NAME: &'static str;
}

macro_rules! frames {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {}
        impl Frame for $name {
            const NAME: &'static str = $text;
        }
    )*};
}

frames! {
    /// WebXR reference space `local-floor`: x right, y up, z towards the viewer, origin on the floor.
    LocalFloor = "local-floor";
    /// The robot's base: x forward, y left, z up (REP 103), origin on the floor below the robot; a lift raises it
    /// together with the arms.
    Base = "base";
    /// The room: x forward, y left, z up (REP 103). Equals [`Base`] until a mobile base or its lift moves.
    World = "world";
    /// Whatever the thing is mounted on: the joint before it, the last link, the base.
    Parent = "parent";
}

/// Why a pose was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPose {
    /// A component is not-a-number or infinite.
    #[error("not a finite number")]
    NotFinite,
    /// A coordinate lies more than [`MAX_COORDINATE`] from the origin.
    #[error("farther than 1000 m from the origin")]
    OutOfRange,
    /// The quaternion is shorter than [`MIN_QUATERNION_NORM`].
    #[error("quaternion of zero length")]
    ZeroQuaternion,
}

/// A position in metres and an orientation as a unit quaternion, both in the frame `F`.
///
/// Invalid values cannot exist: [`Pose::new`] refuses them and normalises the quaternion.
#[derive(Clone, Copy, PartialEq)]
pub struct Pose<F: Frame> {
    position: DVec3,
    orientation: DQuat,
    frame: PhantomData<F>,
}

impl<F: Frame> Pose<F> {
    /// The frame's own origin.
    pub const IDENTITY: Self = Self { position: DVec3::ZERO, orientation: DQuat::IDENTITY, frame: PhantomData };

    /// A pose from a position in metres and a quaternion of any length but zero.
    ///
    /// # Errors
    /// [`InvalidPose`] names what is wrong with it.
    pub fn new(position: DVec3, orientation: DQuat) -> Result<Self, InvalidPose> {
        let position = valid_position(position)?;
        let orientation = valid_orientation(orientation)?;
        Ok(Self { position, orientation, frame: PhantomData })
    }

    /// The position in metres.
    pub const fn position(&self) -> DVec3 {
        self.position
    }

    /// The orientation, a unit quaternion.
    pub const fn orientation(&self) -> DQuat {
        self.orientation
    }
}

impl<F: Frame> fmt::Debug for Pose<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p, q) = (self.position, self.orientation);
        write!(f, "Pose<{}>({} {} {}; {} {} {} {})", F::NAME, p.x, p.y, p.z, q.x, q.y, q.z, q.w)
    }
}

/// The position itself if every coordinate is finite and within [`MAX_COORDINATE`].
///
/// # Errors
/// [`InvalidPose::NotFinite`] or [`InvalidPose::OutOfRange`].
pub fn valid_position(position: DVec3) -> Result<DVec3, InvalidPose> {
    if !position.is_finite() {
        return Err(InvalidPose::NotFinite);
    }
    if position.abs().max_element() > MAX_COORDINATE {
        return Err(InvalidPose::OutOfRange);
    }
    Ok(position)
}

/// The quaternion scaled to unit length; one that already has it stays as it is.
///
/// # Errors
/// [`InvalidPose::NotFinite`] or [`InvalidPose::ZeroQuaternion`].
pub fn valid_orientation(orientation: DQuat) -> Result<DQuat, InvalidPose> {
    if !orientation.is_finite() {
        return Err(InvalidPose::NotFinite);
    }
    // Scaling a unit quaternion again would only change its last digit with every hop.
    if (orientation.length_squared() - 1.0).abs() <= 4.0 * f64::EPSILON {
        return Ok(orientation);
    }
    // Scale first, so that the squares of huge components do not overflow.
    let largest = orientation.to_array().into_iter().fold(0.0, |m: f64, c| m.max(c.abs()));
    if largest < MIN_QUATERNION_NORM / 2.0 {
        return Err(InvalidPose::ZeroQuaternion);
    }
    let scaled = orientation * (1.0 / largest);
    if scaled.length() * largest < MIN_QUATERNION_NORM {
        return Err(InvalidPose::ZeroQuaternion);
    }
    Ok(scaled.normalize())
}

/// The axis of a turn times its angle, radians, by the shorter way: at most π long.
///
/// The quaternion has unit length. Exact where angles are small, which glam's own conversion drops.
pub fn rotation_vector(turn: DQuat) -> DVec3 {
    let turn = if turn.w < 0.0 { -turn } else { turn };
    let axis = turn.xyz();
    let sine = axis.length();
    if sine < 1e-9 { axis * 2.0 } else { axis * (2.0 * sine.atan2(turn.w) / sine) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quaternion_of_any_length_becomes_a_unit() {
        for length in [2e-6, 0.5, 3.0, 1e300] {
            let q = valid_orientation(DQuat::from_xyzw(0.6, 0.0, -0.8, 0.0) * length).unwrap();
            assert!((q - DQuat::from_xyzw(0.6, 0.0, -0.8, 0.0)).length() < 1e-15, "{length}: {q}");
            assert_eq!(valid_orientation(q), Ok(q));
        }
    }

    #[test]
    fn a_rotation_vector_is_the_shorter_way_however_small_the_turn() {
        let axis = DVec3::new(0.6, 0.0, -0.8);
        for angle in [1e-200, 1e-12, 1e-9, 0.4, 3.1] {
            let half = axis * (0.5_f64 * angle).sin();
            let q = DQuat::from_xyzw(half.x, half.y, half.z, (0.5_f64 * angle).cos());
            for q in [q, -q] {
                assert!(rotation_vector(q).distance(axis * angle) <= 1e-12 * angle, "{angle}: {q}");
            }
        }
        assert_eq!(rotation_vector(DQuat::IDENTITY), DVec3::ZERO);
    }

    #[test]
    fn what_is_no_pose_is_refused() {
        let (p, q) = (DVec3::ZERO, DQuat::IDENTITY);
        let refused = |p, q| Pose::<Base>::new(p, q).err();
        assert_eq!(refused(DVec3::new(0.0, f64::NAN, 0.0), q), Some(InvalidPose::NotFinite));
        assert_eq!(refused(DVec3::new(0.0, 0.0, -1000.1), q), Some(InvalidPose::OutOfRange));
        assert_eq!(refused(p, DQuat::from_xyzw(0.0, f64::INFINITY, 0.0, 1.0)), Some(InvalidPose::NotFinite));
        assert_eq!(refused(p, DQuat::from_xyzw(0.0, 5e-7, 5e-7, 0.0)), Some(InvalidPose::ZeroQuaternion));
        assert_eq!(refused(p, DQuat::from_xyzw(0.0, 0.0, 0.0, 0.0)), Some(InvalidPose::ZeroQuaternion));
        assert_eq!(refused(DVec3::splat(1000.0), q), None);
    }
}
