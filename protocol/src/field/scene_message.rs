//! The whole scene as a message.

use std::collections::BTreeMap;

use serde::ser::{SerializeMap, SerializeStruct};
use serde::{Deserializer, Serialize, Serializer};

use super::envelope::message;
use super::object::object;
use super::read::{AnyList, AnyNamed, At, Wire};
use super::transform::AnyTransform;
use super::{ArmState, Haptic, Mesh, MeshData, NotFinite, Overlay, Person, SceneState, Sphere, Transform};

/// A `scene_state` as a client gets it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SceneMessage {
    /// The scene. Meshes that this socket already got have no data.
    pub scene: SceneState,
    /// Its number, which deltas refer to (extension).
    pub frame: Option<u32>,
    /// The arms that binary frames name by their place here (extension).
    pub arm_table: Vec<String>,
    /// What is for this client alone.
    pub extras: SceneExtras,
}

/// What a scene or a delta tells one client alone, all of it extensions.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SceneExtras {
    /// The newest sample that came of this client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_ack: Option<InputAck>,
    /// Arms whose target is not where it was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clamped: Vec<String>,
    /// The simulation stands still.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Users of whom nothing was heard for five seconds, or whose link broke and who may come back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<String>,
}

/// What became of a client's samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct InputAck {
    /// The newest number.
    pub seq: u32,
    /// When it came, seconds of the server's clock.
    pub recv_ts: f64,
    /// How long ago that was when the scene was sent, milliseconds.
    pub age_ms: f64,
    /// Numbers that never came.
    pub lost: u32,
}

object! {
    InputAck {
        seq: u32,
        recv_ts: f64,
        age_ms: f64,
        lost: u32,
    }
}

impl SceneExtras {
    /// A scene or a delta that was encoded for many, with what is for one of them.
    pub fn add_to(&self, message: &str) -> String {
        // Only a map with keys that are not texts could fail.
        let extras = serde_json::to_string(self).unwrap_or_default();
        let fields = extras.strip_prefix('{').and_then(|extras| extras.strip_suffix('}')).unwrap_or_default();
        match message.strip_suffix("}}") {
            Some(open) if !fields.is_empty() => [open, ",", fields, "}}"].concat(),
            _ => message.to_owned(),
        }
    }
}

impl SceneState {
    /// The scene as a `scene_state`; with the people only if the client agreed on them. Ends in `}}`, see
    /// [`SceneExtras::add_to`].
    ///
    /// # Errors
    /// A number is not finite.
    pub fn encode(&self, data: &MeshData, people: bool) -> Result<String, NotFinite> {
        self.check()?;
        Ok(message("scene_state", Outgoing { scene: self, data, people, numbered: None }))
    }
}

impl SceneMessage {
    /// The message as JSON text.
    ///
    /// # Errors
    /// A number is not finite.
    pub fn encode(&self) -> Result<String, NotFinite> {
        let numbered = self.frame.map(|frame| (frame, self.arm_table.as_slice()));
        encode_numbered(&self.scene, &MeshData::Whole, true, numbered).map(|text| self.extras.add_to(&text))
    }
}

/// A scene as a full frame: its number, and the arms that binary frames will name by their place.
pub(super) fn encode_numbered(
    scene: &SceneState,
    data: &MeshData,
    people: bool,
    numbered: Option<(u32, &[String])>,
) -> Result<String, NotFinite> {
    scene.check()?;
    Ok(message("scene_state", Outgoing { scene, data, people, numbered }))
}

/// A scene as it is written for somebody.
struct Outgoing<'a> {
    scene: &'a SceneState,
    data: &'a MeshData,
    people: bool,
    numbered: Option<(u32, &'a [String])>,
}

impl Serialize for Outgoing<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let scene = self.scene;
        let mut fields = serializer.serialize_struct("SceneState", 8)?;
        fields.serialize_field("timestamp", &scene.timestamp)?;
        fields.serialize_field("arms", &scene.arms)?;
        fields.serialize_field("scenery", &scene.scenery)?;
        fields.serialize_field("user_arms", &scene.user_arms)?;
        fields.serialize_field("meshes", &Meshes { meshes: &scene.meshes, data: self.data })?;
        fields.serialize_field("overlay_points", &scene.overlay_points)?;
        fields.serialize_field("spheres", &scene.spheres)?;
        fields.serialize_field("haptics", &scene.haptics)?;
        if self.people {
            fields.serialize_field("people", &scene.people)?;
        }
        if let Some((frame, arm_table)) = self.numbered {
            fields.serialize_field("frame", &frame)?;
            fields.serialize_field("arm_table", arm_table)?;
        }
        fields.end()
    }
}

/// Meshes, some of them without their data.
struct Meshes<'a> {
    meshes: &'a BTreeMap<String, Mesh>,
    data: &'a MeshData,
}

impl Serialize for Meshes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut meshes = serializer.serialize_map(Some(self.meshes.len()))?;
        for (id, mesh) in self.meshes {
            if self.data.has(id, mesh) {
                meshes.serialize_entry(id, mesh)?;
            } else {
                meshes.serialize_entry(id, &Mesh { asset_uri: None, ..mesh.clone() })?;
            }
        }
        meshes.end()
    }
}

/// A `scene_state` as it comes. Only the time must be there: what is missing is empty.
struct SceneFields {
    timestamp: f64,
    arms: BTreeMap<String, ArmState>,
    scenery: BTreeMap<String, Transform>,
    user_arms: BTreeMap<String, Vec<String>>,
    meshes: BTreeMap<String, Mesh>,
    overlay_points: BTreeMap<String, Overlay>,
    spheres: BTreeMap<String, Sphere>,
    haptics: Vec<Haptic>,
    people: BTreeMap<String, Person>,
    frame: Option<u32>,
    arm_table: Vec<String>,
    input_ack: Option<InputAck>,
    clamped: Vec<String>,
    paused: bool,
    away: Vec<String>,
}

object! {
    SceneFields {
        timestamp: f64,
        arms: AnyNamed<ArmState> = BTreeMap::new(),
        scenery: AnyNamed<AnyTransform> = BTreeMap::new(),
        user_arms: AnyNamed<AnyList<String>> = BTreeMap::new(),
        meshes: AnyNamed<Mesh> = BTreeMap::new(),
        overlay_points: AnyNamed<Overlay> = BTreeMap::new(),
        spheres: AnyNamed<Sphere> = BTreeMap::new(),
        haptics: AnyList<Haptic> = Vec::new(),
        people: AnyNamed<Person> = BTreeMap::new(),
        frame: Option<u32> = None,
        arm_table: AnyList<String> = Vec::new(),
        input_ack: Option<InputAck> = None,
        clamped: AnyList<String> = Vec::new(),
        paused: bool = false,
        away: AnyList<String> = Vec::new(),
    }
}

impl From<SceneFields> for SceneMessage {
    fn from(fields: SceneFields) -> Self {
        let SceneFields { timestamp, mut arms, mut meshes, mut overlay_points, mut spheres, frame, .. } = fields;
        // The keys are the ids, whatever the entries say.
        arms.iter_mut().for_each(|(id, arm)| arm.arm_id.clone_from(id));
        meshes.iter_mut().for_each(|(id, mesh)| mesh.mesh_id.clone_from(id));
        overlay_points.iter_mut().for_each(|(id, overlay)| overlay.overlay_id.clone_from(id));
        spheres.iter_mut().for_each(|(id, sphere)| sphere.sphere_id.clone_from(id));
        let scene = SceneState {
            timestamp,
            arms,
            scenery: fields.scenery,
            user_arms: fields.user_arms,
            meshes,
            overlay_points,
            spheres,
            haptics: fields.haptics,
            people: fields.people,
        };
        let extras = SceneExtras {
            input_ack: fields.input_ack,
            clamped: fields.clamped,
            paused: fields.paused,
            away: fields.away,
        };
        // Only a numbered frame has a table.
        let arm_table = if frame.is_some() { fields.arm_table } else { Vec::new() };
        Self { scene, frame, arm_table, extras }
    }
}

impl<'de> Wire<'de> for SceneMessage {
    fn read<D: Deserializer<'de>>(at: At, deserializer: D) -> Result<Self, D::Error> {
        SceneFields::read(at, deserializer).map(Self::from)
    }
}
