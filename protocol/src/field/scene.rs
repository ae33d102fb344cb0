//! What everybody sees: arms, meshes, points and spheres, and what arms feel.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{Director, Person, Transform};

/// Colour of a sphere that has none.
pub const SPHERE_COLOR: [f64; 3] = [0.95, 0.45, 0.08];

/// Most points of an overlay.
pub const MAX_POINTS: usize = 200_000;

/// Size of an overlay's points that have none, metres.
pub const POINT_SIZE: f64 = 0.008;

/// The whole scene at one moment. Large parts are shared: a clone copies no mesh and no overlay.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SceneState {
    /// Simulated seconds since the start of the server.
    pub timestamp: f64,
    /// By arm id.
    pub arms: BTreeMap<String, ArmState>,
    /// By name; nothing stands here today.
    pub scenery: BTreeMap<String, Transform>,
    /// The arms of each user, in their order.
    pub user_arms: BTreeMap<String, Vec<String>>,
    /// By mesh id.
    pub meshes: BTreeMap<String, Mesh>,
    /// By overlay id.
    pub overlay_points: BTreeMap<String, Overlay>,
    /// By sphere id.
    pub spheres: BTreeMap<String, Sphere>,
    /// What arms feel now; each is repeated in every frame for as long as it lasts.
    pub haptics: Vec<Haptic>,
    /// Every user with a live input, by user id; only for clients that agreed on `people/1`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub people: BTreeMap<String, Person>,
}

/// An arm of N elements.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArmState {
    /// Its key in the scene.
    pub arm_id: String,
    /// Whose it is.
    pub owner_user_id: Option<String>,
    /// Where it stands; not turned.
    pub base: Transform,
    /// Its end, turned as [`director_rotation`](super::director_rotation) of the last director.
    pub tip: Transform,
    /// N + 1 points from base to tip, metres.
    pub centerline: Vec<[f64; 3]>,
    /// N radii, at least 0, metres.
    pub radii: Vec<f64>,
    /// N lengths, at least 0, metres; may be empty.
    pub element_lengths: Vec<f64>,
    /// N frames; may be empty.
    pub directors: Vec<Director>,
    /// Where it touches something, metres.
    pub contact_points: Vec<[f64; 3]>,
    /// Its simulation failed, and this is its last good state; on the wire only if so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub fault: bool,
}

impl ArmState {
    /// An arm that is a point at `base` with no elements, to be filled.
    pub fn new(arm_id: impl Into<String>, base: Transform) -> Self {
        Self {
            arm_id: arm_id.into(),
            owner_user_id: None,
            base,
            tip: base,
            centerline: vec![base.translation],
            radii: Vec::new(),
            element_lengths: Vec::new(),
            directors: Vec::new(),
            contact_points: Vec::new(),
            fault: false,
        }
    }
}

/// A mesh that a publisher or a simulation put there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mesh {
    /// Its key in the scene.
    pub mesh_id: String,
    /// Whose it is.
    pub owner_id: String,
    /// `data:<mime type>;base64,<data>`. In a scene of the server always there; in a message absent for a mesh that
    /// this socket already got.
    #[serde(serialize_with = "shared_text", skip_serializing_if = "Option::is_none")]
    pub asset_uri: Option<Arc<str>>,
    /// Position, metres.
    pub translation: [f64; 3],
    /// Orientation as a quaternion x, y, z, w.
    pub rotation_xyzw: [f64; 4],
    /// Factor along each of its axes.
    pub scale: [f64; 3],
    /// Whether it is drawn.
    pub visible: bool,
    /// Its data is sent once to each socket.
    pub static_asset: bool,
}

impl Mesh {
    /// A visible mesh at the origin, not scaled.
    pub fn new(mesh_id: impl Into<String>, owner_id: impl Into<String>, asset_uri: Arc<str>) -> Self {
        Self {
            mesh_id: mesh_id.into(),
            owner_id: owner_id.into(),
            asset_uri: Some(asset_uri),
            translation: [0.0; 3],
            rotation_xyzw: [0.0, 0.0, 0.0, 1.0],
            scale: [1.0; 3],
            visible: true,
            static_asset: false,
        }
    }
}

fn shared_text<S: Serializer>(text: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(serializer)
}

/// A cloud of points that a publisher put there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Overlay {
    /// Its key in the scene.
    pub overlay_id: String,
    /// Whose it is.
    pub owner_id: String,
    /// Metres.
    #[serde(serialize_with = "shared_points")]
    pub points: Arc<[[f64; 3]]>,
    /// Above 0, metres.
    pub point_size: f64,
    /// Whether it is drawn.
    pub visible: bool,
}

impl Overlay {
    /// Nobody's, without points.
    pub(super) fn empty(overlay_id: String) -> Self {
        Self { overlay_id, owner_id: String::new(), points: Arc::default(), point_size: POINT_SIZE, visible: true }
    }
}

fn shared_points<S: Serializer>(points: &Arc<[[f64; 3]]>, serializer: S) -> Result<S::Ok, S::Error> {
    points.as_ref().serialize(serializer)
}

/// A ball.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sphere {
    /// Its key in the scene.
    pub sphere_id: String,
    /// Whose it is.
    pub owner_id: String,
    /// Its middle, metres.
    pub translation: [f64; 3],
    /// Above 0, metres.
    pub radius: f64,
    /// Red, green and blue, 0 … 1.
    pub color_rgb: [f64; 3],
    /// Whether it is drawn.
    pub visible: bool,
}

impl Sphere {
    /// A visible ball in the usual colour.
    pub fn new(sphere_id: impl Into<String>, owner_id: impl Into<String>, translation: [f64; 3], radius: f64) -> Self {
        Self {
            sphere_id: sphere_id.into(),
            owner_id: owner_id.into(),
            translation,
            radius,
            color_rgb: SPHERE_COLOR,
            visible: true,
        }
    }
}

/// What an arm feels at this moment; no duration, it is told anew with every frame.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Haptic {
    /// The arm that feels it.
    pub arm_id: String,
    /// Whether there is anything to feel; if not, controllers are still.
    pub active: bool,
    /// 0 … 1, at most 0.5 in `noel-c4`.
    pub intensity: f64,
}
