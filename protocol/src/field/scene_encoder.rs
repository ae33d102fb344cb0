//! A scene for many clients, each of which gets only what it has not got yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::changes::{Changes, Turn};
use super::marks::same_data;
use super::scene_binary::Fit;
use super::scene_message::encode_numbered;
use super::{
    ArmChange, ArmState, BinaryArm, BinaryScene, Mesh, MeshData, NotFinite, Overlay, OverlayChange, Removed,
    SceneDelta, SceneState,
};

/// Frames from one full frame to the next: 2 s at 72 frames per second.
pub const FULL_EVERY: u32 = 144;

/// What one client got: the full frame it has, and the newest frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SceneCursor {
    base: u32,
    since: u32,
}

impl SceneCursor {
    /// A client that has nothing: a new one, or one that asks for the scene.
    pub const NEW: Self = Self { base: 0, since: 0 };
}

/// How a client wants its scenes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SceneForm {
    /// Arms as binary frames.
    pub binary: bool,
    /// With the people.
    pub people: bool,
}

/// What a client gets next. Clients with equal steps in one frame get the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SceneStep {
    form: SceneForm,
    /// `None`: a full frame.
    base: Option<u32>,
    since: u32,
    frame: u32,
}

impl SceneStep {
    /// What a client has after it.
    pub const fn cursor(&self) -> SceneCursor {
        let base = match self.base {
            Some(base) => base,
            None => self.frame,
        };
        SceneCursor { base, since: self.frame }
    }

    /// Whether it is a full frame.
    pub const fn is_full(&self) -> bool {
        self.base.is_none()
    }
}

/// What is sent for a step, in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct SceneFrames {
    /// Moving arms.
    pub binary: Option<Vec<u8>>,
    /// A `scene_state` or `scene_delta`; ends in `}}`, see [`SceneExtras::add_to`](super::SceneExtras::add_to).
    pub text: String,
    /// The text tells nothing that the binary frame does not, and may be left out if there are no extras either.
    pub quiet: bool,
}

/// Parts of an arm that change apart.
mod part {
    pub(super) const OWNER: usize = 0;
    pub(super) const BASE: usize = 1;
    pub(super) const TIP: usize = 2;
    pub(super) const CENTERLINE: usize = 3;
    pub(super) const RADII: usize = 4;
    pub(super) const LENGTHS: usize = 5;
    /// Whether it has lengths at all.
    pub(super) const HAS_LENGTHS: usize = 6;
    pub(super) const DIRECTORS: usize = 7;
    pub(super) const CONTACTS: usize = 8;
    pub(super) const FAULT: usize = 9;
    pub(super) const COUNT: usize = 10;
}

/// Part of a mesh that is its data.
const DATA: usize = 1;

/// Knows since when everything in the scene is as it is, and so what each client lacks.
///
/// A client that takes no frame for a while costs nothing and gets what it lacks with its next one. Who appears brings a
/// full frame for everybody, so that arms are in the table.
#[derive(Clone, Debug)]
pub struct SceneEncoder {
    full_every: u32,
    /// Number of the newest frame; 0 before the first.
    frame: u32,
    /// Whoever has no full frame of this number or a later one gets one.
    full: u32,
    scene: Arc<SceneState>,
    table: Vec<String>,
    arms: Changes<{ part::COUNT }>,
    scenery: Changes<1>,
    user_arms: Changes<1>,
    meshes: Changes<2>,
    overlays: Changes<2>,
    spheres: Changes<1>,
    haptics: u32,
    people: u32,
    /// What was removed after the last full frame was due, each with its frame.
    removed: Vec<(u32, Removed)>,
}

impl Default for SceneEncoder {
    fn default() -> Self {
        Self::new(FULL_EVERY)
    }
}

impl SceneEncoder {
    /// With a full frame after so many, at least 1.
    pub fn new(full_every: u32) -> Self {
        Self {
            full_every: full_every.max(1),
            frame: 0,
            full: 1,
            scene: Arc::default(),
            table: Vec::new(),
            arms: Changes::default(),
            scenery: Changes::default(),
            user_arms: Changes::default(),
            meshes: Changes::default(),
            overlays: Changes::default(),
            spheres: Changes::default(),
            haptics: 0,
            people: 0,
            removed: Vec::new(),
        }
    }

    /// The next frame; gives its number.
    ///
    /// # Errors
    /// A number is not finite; everything stays as it was.
    pub fn push(&mut self, scene: Arc<SceneState>) -> Result<u32, NotFinite> {
        scene.check_since(&self.scene)?;
        let frame = self.frame.checked_add(1).unwrap_or_else(|| {
            // Numbers begin anew: then nobody has a full frame of them.
            *self = Self { scene: self.scene.clone(), ..Self::new(self.full_every) };
            1
        });
        self.frame = frame;
        let before = std::mem::replace(&mut self.scene, scene);
        let now = &self.scene;
        let Turn { appeared, removed: arms } = self.arms.note(frame, &before.arms, &now.arms, same_arm);
        let removed = Removed {
            arms,
            scenery: self.scenery.note(frame, &before.scenery, &now.scenery, |a, b| [a == b]).removed,
            user_arms: self.user_arms.note(frame, &before.user_arms, &now.user_arms, |a, b| [a == b]).removed,
            meshes: self.meshes.note(frame, &before.meshes, &now.meshes, same_mesh).removed,
            overlay_points: self
                .overlays
                .note(frame, &before.overlay_points, &now.overlay_points, same_overlay)
                .removed,
            spheres: self.spheres.note(frame, &before.spheres, &now.spheres, |a, b| [a == b]).removed,
        };
        if before.haptics != now.haptics {
            self.haptics = frame;
        }
        if before.people != now.people {
            self.people = frame;
        }
        if appeared || frame - self.full >= self.full_every {
            self.full = frame;
            self.table = now.arms.keys().take(usize::from(u16::MAX)).cloned().collect();
            self.removed.clear();
        } else if !removed.is_empty() {
            self.removed.push((frame, removed));
        }
        Ok(frame)
    }

    /// Sends the data of an owner's meshes anew: a reset makes them again within one message, when no frame misses
    /// them.
    pub fn resend(&mut self, owner_id: &str) {
        let scene = self.scene.clone();
        for (id, _) in scene.meshes.iter().filter(|(_, mesh)| mesh.owner_id == owner_id) {
            self.meshes.mark(self.frame.saturating_add(1), id, DATA);
        }
    }

    /// What a client lacks of the newest frame.
    pub const fn step(&self, client: SceneCursor, form: SceneForm) -> SceneStep {
        let known = client.base >= self.full && client.since <= self.frame;
        let base = if known { Some(client.base) } else { None };
        SceneStep { form, base, since: client.since, frame: self.frame }
    }

    /// The messages of a step of the newest frame.
    ///
    /// # Errors
    /// A number is not finite, which [`Self::push`] refuses.
    pub fn encode(&self, step: SceneStep) -> Result<SceneFrames, NotFinite> {
        let Some(base) = step.base else {
            // Numbers that began anew tell nothing of what a client has.
            let since = if step.since > self.frame { 0 } else { step.since };
            let data = MeshData::Of(self.new_data(since));
            let numbered = Some((self.frame, self.table.as_slice()));
            let text = encode_numbered(&self.scene, &data, step.form.people, numbered)?;
            return Ok(SceneFrames { binary: None, text, quiet: false });
        };
        let mut delta = self.delta(base, step.since, step.form.people);
        let binary = step.form.binary.then(|| self.arms(&mut delta, step.since, true).encode());
        if binary.is_none() {
            self.arms(&mut delta, step.since, false);
        }
        Ok(SceneFrames { quiet: binary.is_some() && delta.is_quiet(), binary, text: delta.encode()? })
    }

    /// Ids of the meshes whose data is newer.
    fn new_data(&self, since: u32) -> Vec<String> {
        let new = self.meshes.changed(since, &self.scene.meshes).filter(|(_, _, parts)| parts[DATA]);
        new.map(|(id, _, _)| id.clone()).collect()
    }

    /// Everything of a delta but the arms.
    fn delta(&self, base: u32, since: u32, people: bool) -> SceneDelta {
        let scene = &self.scene;
        let mesh = |(id, mesh, parts): (&String, &Mesh, [bool; 2])| {
            let asset_uri = mesh.asset_uri.clone().filter(|_| parts[DATA]);
            (id.clone(), Mesh { asset_uri, ..mesh.clone() })
        };
        let mut removed = Removed::default();
        for (_, more) in self.removed.iter().filter(|(frame, _)| *frame > since) {
            removed.add(more);
        }
        SceneDelta {
            base,
            frame: self.frame,
            timestamp: scene.timestamp,
            arms: BTreeMap::new(),
            scenery: owned(self.scenery.changed(since, &scene.scenery)),
            user_arms: owned(self.user_arms.changed(since, &scene.user_arms)),
            meshes: self.meshes.changed(since, &scene.meshes).map(mesh).collect(),
            overlay_points: self.overlays.changed(since, &scene.overlay_points).map(overlay_change).collect(),
            spheres: owned(self.spheres.changed(since, &scene.spheres)),
            haptics: (self.haptics > since).then(|| scene.haptics.clone()),
            people: (people && self.people > since).then(|| scene.people.clone()),
            removed,
            extras: super::SceneExtras::default(),
        }
    }

    /// The arms that changed: what a binary frame can carry goes there, the rest into the delta.
    fn arms(&self, delta: &mut SceneDelta, since: u32, binary: bool) -> BinaryScene {
        let mut frame = BinaryScene { frame: self.frame, timestamp: self.scene.timestamp, arms: Vec::new() };
        for (id, arm, parts) in self.arms.changed(since, &self.scene.arms) {
            let place = self.table.binary_search(id).ok().filter(|_| binary).and_then(|at| u16::try_from(at).ok());
            let fit = place.map_or(Fit::NOTHING, |index| Fit::of(arm, index));
            let change = arm_change(arm, parts, fit);
            if change != ArmChange::default() {
                delta.arms.insert(id.clone(), change);
            }
            if let Some(index) = fit.index
                && moves(parts)
            {
                let (radii, directors) = (fit.radii && parts[part::RADII], fit.directors && parts[part::DIRECTORS]);
                frame.arms.push(BinaryArm::of(arm, index, radii, directors));
            }
        }
        frame
    }
}

/// Whether an arm stands in a binary frame.
const fn moves(parts: [bool; part::COUNT]) -> bool {
    parts[part::TIP] || parts[part::CENTERLINE] || parts[part::RADII] || parts[part::DIRECTORS]
}

/// What a delta tells of an arm beside what a binary frame carries.
fn arm_change(arm: &ArmState, parts: [bool; part::COUNT], fit: Fit) -> ArmChange {
    let in_binary = fit.index.is_some();
    // A reader of the binary frame makes lengths of the distances, which must be put right where they are not.
    let made = in_binary && moves(parts);
    let lengths = parts[part::HAS_LENGTHS] || if made { !fit.lengths } else { parts[part::LENGTHS] };
    ArmChange {
        owner_user_id: parts[part::OWNER].then(|| arm.owner_user_id.clone()),
        base: parts[part::BASE].then_some(arm.base),
        tip: (parts[part::TIP] && !in_binary).then_some(arm.tip),
        centerline: (parts[part::CENTERLINE] && !in_binary).then(|| arm.centerline.clone()),
        radii: (parts[part::RADII] && !fit.radii).then(|| arm.radii.clone()),
        element_lengths: lengths.then(|| arm.element_lengths.clone()),
        directors: (parts[part::DIRECTORS] && !fit.directors).then(|| arm.directors.clone()),
        contact_points: parts[part::CONTACTS].then(|| arm.contact_points.clone()),
        fault: parts[part::FAULT].then_some(arm.fault),
    }
}

fn overlay_change((id, overlay, [look, points]): (&String, &Overlay, [bool; 2])) -> (String, OverlayChange) {
    let change = OverlayChange {
        owner_id: look.then(|| overlay.owner_id.clone()),
        points: points.then(|| overlay.points.clone()),
        point_size: look.then_some(overlay.point_size),
        visible: look.then_some(overlay.visible),
    };
    (id.clone(), change)
}

fn owned<'a, T: Clone + 'a>(changed: impl Iterator<Item = (&'a String, &'a T, [bool; 1])>) -> BTreeMap<String, T> {
    changed.map(|(id, thing, _)| (id.clone(), thing.clone())).collect()
}

fn same_arm(a: &ArmState, b: &ArmState) -> [bool; part::COUNT] {
    let mut same = [true; part::COUNT];
    same[part::OWNER] = a.owner_user_id == b.owner_user_id;
    same[part::BASE] = a.base == b.base;
    same[part::TIP] = a.tip == b.tip;
    same[part::CENTERLINE] = a.centerline == b.centerline;
    same[part::RADII] = a.radii == b.radii;
    same[part::LENGTHS] = a.element_lengths == b.element_lengths;
    same[part::HAS_LENGTHS] = a.element_lengths.is_empty() == b.element_lengths.is_empty();
    same[part::DIRECTORS] = a.directors == b.directors;
    same[part::CONTACTS] = a.contact_points == b.contact_points;
    same[part::FAULT] = a.fault == b.fault;
    same
}

fn same_mesh(a: &Mesh, b: &Mesh) -> [bool; 2] {
    let look = (&a.owner_id, a.translation, a.rotation_xyzw, a.scale, a.visible, a.static_asset)
        == (&b.owner_id, b.translation, b.rotation_xyzw, b.scale, b.visible, b.static_asset);
    let data = match (&a.asset_uri, &b.asset_uri) {
        (Some(a), Some(b)) => same_data(a, b),
        (a, b) => a.is_none() && b.is_none(),
    };
    [look, data]
}

fn same_overlay(a: &Overlay, b: &Overlay) -> [bool; 2] {
    let look = (&a.owner_id, a.point_size, a.visible) == (&b.owner_id, b.point_size, b.visible);
    [look, Arc::ptr_eq(&a.points, &b.points) || a.points == b.points]
}
