//! Reading the parts of a scene.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserializer;
use serde::de::Error;

use super::object::object;
use super::read::{At, Directors, Lengths, List, Named, Points, Wire};
use super::transform::AnyTransform;
use super::{
    ArmState, Haptic, MAX_CONTROLLERS, MAX_POINTS, Mesh, Overlay, POINT_SIZE, Person, PersonHand, SPHERE_COLOR, Sphere,
};

object! {
    ArmState {
        arm_id: String,
        owner_user_id: Option<String> = None,
        base: AnyTransform,
        tip: AnyTransform,
        centerline: Points,
        radii: Lengths,
        element_lengths: Lengths = Vec::new(),
        directors: Directors = Vec::new(),
        contact_points: Points = Vec::new(),
        fault: bool = false,
    }
}

object! {
    Mesh {
        mesh_id: String,
        owner_id: String,
        asset_uri: Option<Arc<str>> = None,
        translation: [f64; 3] = [0.0; 3],
        rotation_xyzw: [f64; 4] = [0.0, 0.0, 0.0, 1.0],
        scale: [f64; 3] = [1.0; 3],
        visible: bool = true,
        static_asset: bool = false,
    }
}

object! {
    Overlay {
        overlay_id: String,
        owner_id: String,
        points: SharedPoints = Arc::default(),
        point_size: Size = POINT_SIZE,
        visible: bool = true,
    }
}

object! {
    Sphere {
        sphere_id: String,
        owner_id: String,
        translation: [f64; 3],
        radius: Size,
        color_rgb: [f64; 3] = SPHERE_COLOR,
        visible: bool = true,
    }
}

object! {
    Haptic {
        arm_id: String,
        active: bool,
        intensity: Intensity,
    }
}

object! {
    Person {
        head_pose: AnyTransform,
        controllers: Named<PersonHand, MAX_CONTROLLERS> = BTreeMap::new(),
    }
}

object! {
    PersonHand {
        pose: AnyTransform,
        grip: f64 = 0.0,
        trigger: f64 = 0.0,
    }
}

/// The points of an overlay, at most [`MAX_POINTS`].
pub(super) struct SharedPoints(Arc<[[f64; 3]]>);

impl From<SharedPoints> for Arc<[[f64; 3]]> {
    fn from(points: SharedPoints) -> Self {
        points.0
    }
}

impl<'de> Wire<'de> for SharedPoints {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        List::<_, MAX_POINTS>::read(at, deserializer).map(|points| Self(points.0.into()))
    }
}

/// A length above 0.
pub(super) struct Size(f64);

impl From<Size> for f64 {
    fn from(size: Size) -> Self {
        size.0
    }
}

impl<'de> Wire<'de> for Size {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        let size = f64::read(at, deserializer)?;
        if size > 0.0 { Ok(Self(size)) } else { Err(D::Error::custom(format_args!("{at} must be > 0"))) }
    }
}

/// A strength of at least 0.
struct Intensity(f64);

impl From<Intensity> for f64 {
    fn from(intensity: Intensity) -> Self {
        intensity.0
    }
}

impl<'de> Wire<'de> for Intensity {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        let intensity = f64::read(at, deserializer)?;
        if intensity >= 0.0 { Ok(Self(intensity)) } else { Err(D::Error::custom(format_args!("{at} must be >= 0"))) }
    }
}
