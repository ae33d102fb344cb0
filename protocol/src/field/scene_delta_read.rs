//! Reading what changed in a scene.

use std::collections::BTreeMap;

use serde::Deserializer;

use super::object::{object, some};
use super::read::{AnyList, AnyNamed, At, Directors, Lengths, Points, Wire};
use super::scene_read::{SharedPoints, Size};
use super::transform::AnyTransform;
use super::{
    ArmChange, Haptic, InputAck, Mesh, OverlayChange, Person, Removed, SceneDelta, SceneExtras, Sphere, Transform,
};

object! {
    ArmChange {
        owner_user_id: Option<String> = None,
        base: AnyTransform => some = None,
        tip: AnyTransform => some = None,
        centerline: Points => some = None,
        radii: Lengths => some = None,
        element_lengths: Lengths => some = None,
        directors: Directors => some = None,
        contact_points: Points => some = None,
        fault: bool = None,
    }
}

object! {
    OverlayChange {
        owner_id: String = None,
        points: SharedPoints => some = None,
        point_size: Size => some = None,
        visible: bool = None,
    }
}

object! {
    Removed {
        arms: AnyList<String> = Vec::new(),
        scenery: AnyList<String> = Vec::new(),
        user_arms: AnyList<String> = Vec::new(),
        meshes: AnyList<String> = Vec::new(),
        overlay_points: AnyList<String> = Vec::new(),
        spheres: AnyList<String> = Vec::new(),
    }
}

/// A `scene_delta` as it comes.
struct DeltaFields {
    base: u32,
    frame: u32,
    timestamp: f64,
    arms: BTreeMap<String, ArmChange>,
    scenery: BTreeMap<String, Transform>,
    user_arms: BTreeMap<String, Vec<String>>,
    meshes: BTreeMap<String, Mesh>,
    overlay_points: BTreeMap<String, OverlayChange>,
    spheres: BTreeMap<String, Sphere>,
    haptics: Option<Vec<Haptic>>,
    people: Option<BTreeMap<String, Person>>,
    removed: Removed,
    input_ack: Option<InputAck>,
    clamped: Vec<String>,
    paused: bool,
    away: Vec<String>,
}

object! {
    DeltaFields {
        base: u32,
        frame: u32,
        timestamp: f64,
        arms: AnyNamed<ArmChange> = BTreeMap::new(),
        scenery: AnyNamed<AnyTransform> = BTreeMap::new(),
        user_arms: AnyNamed<AnyList<String>> = BTreeMap::new(),
        meshes: AnyNamed<Mesh> = BTreeMap::new(),
        overlay_points: AnyNamed<OverlayChange> = BTreeMap::new(),
        spheres: AnyNamed<Sphere> = BTreeMap::new(),
        haptics: AnyList<Haptic> => some = None,
        people: AnyNamed<Person> => some = None,
        removed: Removed = Removed::default(),
        input_ack: Option<InputAck> = None,
        clamped: AnyList<String> = Vec::new(),
        paused: bool = false,
        away: AnyList<String> = Vec::new(),
    }
}

impl<'de> Wire<'de> for SceneDelta {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        let mut fields = DeltaFields::read(at, deserializer)?;
        // The keys are the ids, whatever the entries say.
        fields.meshes.iter_mut().for_each(|(id, mesh)| mesh.mesh_id.clone_from(id));
        fields.spheres.iter_mut().for_each(|(id, sphere)| sphere.sphere_id.clone_from(id));
        Ok(Self {
            base: fields.base,
            frame: fields.frame,
            timestamp: fields.timestamp,
            arms: fields.arms,
            scenery: fields.scenery,
            user_arms: fields.user_arms,
            meshes: fields.meshes,
            overlay_points: fields.overlay_points,
            spheres: fields.spheres,
            haptics: fields.haptics,
            people: fields.people,
            removed: fields.removed,
            extras: SceneExtras {
                input_ack: fields.input_ack,
                clamped: fields.clamped,
                paused: fields.paused,
                away: fields.away,
            },
        })
    }
}
