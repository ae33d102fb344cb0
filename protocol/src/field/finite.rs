//! Numbers that are not finite never leave: JSON has no words for them, and a page that meets them sees nothing.

use std::sync::Arc;

use super::transform::finite;
use super::{ArmState, Haptic, Mesh, Overlay, Person, PersonHand, SceneState, Sphere};

/// A number of a scene is not finite.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{part} {id:?} has a number that is not finite")]
pub struct NotFinite {
    /// `arm`, `mesh`, `overlay`, `sphere`, `haptic`, `scenery`, `person` or `scene`, which has the time.
    pub part: &'static str,
    /// Whose number it is; empty for the scene's.
    pub id: String,
}

impl NotFinite {
    pub(super) fn check(part: &'static str, id: &str, finite: bool) -> Result<(), Self> {
        if finite { Ok(()) } else { Err(Self { part, id: id.to_owned() }) }
    }
}

impl ArmState {
    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        self.base.is_finite()
            && self.tip.is_finite()
            && finite(self.centerline.as_flattened())
            && finite(&self.radii)
            && finite(&self.element_lengths)
            && finite(self.directors.as_flattened().as_flattened())
            && finite(self.contact_points.as_flattened())
    }
}

impl Mesh {
    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        finite(&self.translation) && finite(&self.rotation_xyzw) && finite(&self.scale)
    }
}

impl Overlay {
    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        self.point_size.is_finite() && finite(self.points.as_flattened())
    }
}

impl Sphere {
    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        finite(&self.translation) && self.radius.is_finite() && finite(&self.color_rgb)
    }
}

impl Haptic {
    /// Whether its intensity is finite.
    pub const fn is_finite(&self) -> bool {
        self.intensity.is_finite()
    }
}

impl Person {
    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        let hand = |hand: &PersonHand| hand.pose.is_finite() && hand.grip.is_finite() && hand.trigger.is_finite();
        self.head_pose.is_finite() && self.controllers.values().all(hand)
    }
}

impl SceneState {
    /// Refuses a scene with a number that is not finite.
    ///
    /// # Errors
    /// Names the first arm, or whatever else, that has one.
    pub fn check(&self) -> Result<(), NotFinite> {
        self.check_since(&Self::default())
    }

    /// As [`Self::check`], for a scene that comes after one that was checked: clouds of points that both share are not
    /// looked at again.
    pub(super) fn check_since(&self, before: &Self) -> Result<(), NotFinite> {
        let checked = |id: &String, cloud: &Overlay| {
            before.overlay_points.get(id).is_some_and(|before| Arc::ptr_eq(&before.points, &cloud.points))
        };
        NotFinite::check("scene", "", self.timestamp.is_finite())?;
        self.arms.iter().try_for_each(|(id, arm)| NotFinite::check("arm", id, arm.is_finite()))?;
        self.scenery.iter().try_for_each(|(id, at)| NotFinite::check("scenery", id, at.is_finite()))?;
        self.meshes.iter().try_for_each(|(id, mesh)| NotFinite::check("mesh", id, mesh.is_finite()))?;
        self.overlay_points.iter().try_for_each(|(id, cloud)| {
            let finite = cloud.point_size.is_finite() && (checked(id, cloud) || cloud.is_finite());
            NotFinite::check("overlay", id, finite)
        })?;
        self.spheres.iter().try_for_each(|(id, ball)| NotFinite::check("sphere", id, ball.is_finite()))?;
        self.haptics.iter().try_for_each(|haptic| NotFinite::check("haptic", &haptic.arm_id, haptic.is_finite()))?;
        self.people.iter().try_for_each(|(id, person)| NotFinite::check("person", id, person.is_finite()))
    }
}
