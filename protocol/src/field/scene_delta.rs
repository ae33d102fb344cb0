//! What changed in a scene, as a message.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::envelope::message;
use super::{ArmState, Director, Haptic, Mesh, NotFinite, Overlay, Person, SceneExtras, SceneState, Sphere, Transform};

/// A `scene_delta`: what changed since the frame that this socket got before.
///
/// Whoever applies one to what they have first drops what is removed, then takes over what stands here. An arm or a
/// cloud of points that they know keeps what is not told of it; a mesh without data keeps its data.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SceneDelta {
    /// Number of the last full frame.
    pub base: u32,
    /// Its own number, greater than any before; a binary frame of the same number belongs to it.
    pub frame: u32,
    /// Simulated seconds since the start of the server.
    pub timestamp: f64,
    /// By arm id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub arms: BTreeMap<String, ArmChange>,
    /// By name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub scenery: BTreeMap<String, Transform>,
    /// By user id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user_arms: BTreeMap<String, Vec<String>>,
    /// By mesh id; without data if that did not change.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub meshes: BTreeMap<String, Mesh>,
    /// By overlay id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub overlay_points: BTreeMap<String, OverlayChange>,
    /// By sphere id.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub spheres: BTreeMap<String, Sphere>,
    /// All of them, if anything about them changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub haptics: Option<Vec<Haptic>>,
    /// All of them, if anything about them changed (extension `people/1`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub people: Option<BTreeMap<String, Person>>,
    /// Ids of what is no longer there.
    #[serde(skip_serializing_if = "Removed::is_empty")]
    pub removed: Removed,
    /// What is for this client alone.
    #[serde(flatten)]
    pub extras: SceneExtras,
}

/// What changed of an arm.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ArmChange {
    /// The new owner, or nobody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_user_id: Option<Option<String>>,
    /// See [`ArmState::base`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<Transform>,
    /// See [`ArmState::tip`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tip: Option<Transform>,
    /// See [`ArmState::centerline`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub centerline: Option<Vec<[f64; 3]>>,
    /// See [`ArmState::radii`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub radii: Option<Vec<f64>>,
    /// See [`ArmState::element_lengths`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub element_lengths: Option<Vec<f64>>,
    /// See [`ArmState::directors`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directors: Option<Vec<Director>>,
    /// See [`ArmState::contact_points`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_points: Option<Vec<[f64; 3]>>,
    /// See [`ArmState::fault`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<bool>,
}

/// What changed of a cloud of points.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct OverlayChange {
    /// See [`Overlay::owner_id`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner_id: Option<String>,
    /// See [`Overlay::points`].
    #[serde(serialize_with = "points", skip_serializing_if = "Option::is_none")]
    pub points: Option<Arc<[[f64; 3]]>>,
    /// See [`Overlay::point_size`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub point_size: Option<f64>,
    /// See [`Overlay::visible`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub visible: Option<bool>,
}

fn points<S: serde::Serializer>(points: &Option<Arc<[[f64; 3]]>>, serializer: S) -> Result<S::Ok, S::Error> {
    points.as_deref().serialize(serializer)
}

/// Ids of what is no longer there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Removed {
    /// Of arms.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arms: Vec<String>,
    /// Names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scenery: Vec<String>,
    /// Of users.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub user_arms: Vec<String>,
    /// Of meshes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub meshes: Vec<String>,
    /// Of clouds of points.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub overlay_points: Vec<String>,
    /// Of spheres.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spheres: Vec<String>,
}

impl Removed {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.arms.extend_from_slice(&more.arms);
        self.scenery.extend_from_slice(&more.scenery);
        self.user_arms.extend_from_slice(&more.user_arms);
        self.meshes.extend_from_slice(&more.meshes);
        self.overlay_points.extend_from_slice(&more.overlay_points);
        self.spheres.extend_from_slice(&more.spheres);
    }
}

impl SceneDelta {
    /// The message as JSON text.
    ///
    /// # Errors
    /// A number is not finite.
    pub fn encode(&self) -> Result<String, NotFinite> {
        self.check()?;
        Ok(message("scene_delta", self))
    }

    /// Refuses numbers that are not finite.
    fn check(&self) -> Result<(), NotFinite> {
        NotFinite::check("scene", "", self.timestamp.is_finite())?;
        self.arms.iter().try_for_each(|(id, arm)| NotFinite::check("arm", id, arm.is_finite()))?;
        self.scenery.iter().try_for_each(|(id, at)| NotFinite::check("scenery", id, at.is_finite()))?;
        self.meshes.iter().try_for_each(|(id, mesh)| NotFinite::check("mesh", id, mesh.is_finite()))?;
        self.overlay_points.iter().try_for_each(|(id, cloud)| NotFinite::check("overlay", id, cloud.is_finite()))?;
        self.spheres.iter().try_for_each(|(id, ball)| NotFinite::check("sphere", id, ball.is_finite()))?;
        let mut haptics = self.haptics.iter().flatten();
        haptics.try_for_each(|haptic| NotFinite::check("haptic", &haptic.arm_id, haptic.is_finite()))?;
        let mut people = self.people.iter().flatten();
        people.try_for_each(|(id, person)| NotFinite::check("person", id, person.is_finite()))
    }

    /// Whether it tells nothing but the time.
    pub fn is_quiet(&self) -> bool {
        let Self { base, frame, timestamp, .. } = *self;
        *self == Self { base, frame, timestamp, ..Self::default() }
    }

    /// Applies it to a scene.
    ///
    /// # Errors
    /// The id of something new of which too little is told; nothing is applied then.
    pub fn apply(self, scene: &mut SceneState) -> Result<(), String> {
        let removed = self.removed;
        for (id, change) in &self.arms {
            if (removed.arms.contains(id) || !scene.arms.contains_key(id)) && change.clone().into_arm(id).is_none() {
                return Err(id.clone());
            }
        }
        for (id, change) in &self.overlay_points {
            let new = removed.overlay_points.contains(id) || !scene.overlay_points.contains_key(id);
            if new && change.owner_id.is_none() {
                return Err(id.clone());
            }
        }
        remove(&mut scene.arms, &removed.arms);
        remove(&mut scene.scenery, &removed.scenery);
        remove(&mut scene.user_arms, &removed.user_arms);
        remove(&mut scene.meshes, &removed.meshes);
        remove(&mut scene.overlay_points, &removed.overlay_points);
        remove(&mut scene.spheres, &removed.spheres);

        scene.timestamp = self.timestamp;
        for (id, change) in self.arms {
            match scene.arms.get_mut(&id) {
                Some(arm) => change.apply(arm),
                None => scene.arms.extend(change.into_arm(&id).map(|arm| (id, arm))),
            }
        }
        scene.scenery.extend(self.scenery);
        scene.user_arms.extend(self.user_arms);
        for (id, mut mesh) in self.meshes {
            keep_data(&mut mesh, scene.meshes.get(&id));
            scene.meshes.insert(id, mesh);
        }
        for (id, change) in self.overlay_points {
            let overlay = scene.overlay_points.entry(id.clone()).or_insert_with(|| Overlay::empty(id));
            change.apply(overlay);
        }
        scene.spheres.extend(self.spheres);
        if let Some(haptics) = self.haptics {
            scene.haptics = haptics;
        }
        if let Some(people) = self.people {
            scene.people = people;
        }
        Ok(())
    }
}

fn remove<T>(entries: &mut BTreeMap<String, T>, ids: &[String]) {
    for id in ids {
        entries.remove(id);
    }
}

/// A mesh that comes without data has what it had before.
pub(super) fn keep_data(mesh: &mut Mesh, before: Option<&Mesh>) {
    if mesh.asset_uri.is_none() {
        mesh.asset_uri = before.and_then(|before| before.asset_uri.clone());
    }
}

impl ArmChange {
    fn is_finite(&self) -> bool {
        let Self { base, tip, centerline, radii, element_lengths, directors, contact_points, .. } = self;
        base.iter().chain(tip).all(Transform::is_finite)
            && centerline.iter().chain(contact_points).flatten().flatten().all(|number| number.is_finite())
            && radii.iter().chain(element_lengths).flatten().all(|number| number.is_finite())
            && directors.iter().flatten().flatten().flatten().all(|number| number.is_finite())
    }

    fn apply(self, arm: &mut ArmState) {
        fn set<T>(value: &mut T, new: Option<T>) {
            if let Some(new) = new {
                *value = new;
            }
        }
        set(&mut arm.owner_user_id, self.owner_user_id);
        set(&mut arm.base, self.base);
        set(&mut arm.tip, self.tip);
        set(&mut arm.centerline, self.centerline);
        set(&mut arm.radii, self.radii);
        set(&mut arm.element_lengths, self.element_lengths);
        set(&mut arm.directors, self.directors);
        set(&mut arm.contact_points, self.contact_points);
        set(&mut arm.fault, self.fault);
    }

    /// A new arm, if enough is told of it.
    fn into_arm(self, id: &str) -> Option<ArmState> {
        Some(ArmState {
            arm_id: id.to_owned(),
            owner_user_id: self.owner_user_id.flatten(),
            base: self.base?,
            tip: self.tip?,
            centerline: self.centerline?,
            radii: self.radii?,
            element_lengths: self.element_lengths.unwrap_or_default(),
            directors: self.directors.unwrap_or_default(),
            contact_points: self.contact_points.unwrap_or_default(),
            fault: self.fault.unwrap_or_default(),
        })
    }
}

impl OverlayChange {
    fn is_finite(&self) -> bool {
        let numbers = self.points.iter().flat_map(|points| points.as_flattened()).chain(&self.point_size);
        numbers.into_iter().all(|number| number.is_finite())
    }

    fn apply(self, overlay: &mut Overlay) {
        overlay.owner_id = self.owner_id.unwrap_or_else(|| std::mem::take(&mut overlay.owner_id));
        overlay.points = self.points.unwrap_or_else(|| overlay.points.clone());
        overlay.point_size = self.point_size.unwrap_or(overlay.point_size);
        overlay.visible = self.visible.unwrap_or(overlay.visible);
    }
}
