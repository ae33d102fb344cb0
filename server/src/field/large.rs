//! What is large in a scene is written once, and not again in every frame.
//!
//! The scene that is encoded has stand-ins in the place of large clouds of points and of large meshes; in the message their
//! text takes that place, without being copied. Frames stay cheap to encode whatever publishers put into the scene. What
//! looks like a stand-in has one itself, however small it is.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use waldo_protocol::field::{Mesh, Overlay, SceneState};

/// Clouds of more points have stand-ins.
const FEW: usize = 64;

/// Points that are written per frame, about 2 ms: larger clouds are shown some frames later.
const POINTS_AT_ONCE: usize = 16 << 10;

/// Texts of meshes from so many bytes on have stand-ins.
const LONG: usize = 16 << 10;

/// First coordinate of the point that stands for a cloud; without an exponent, which not everybody writes alike.
const MARK: f64 = -98_765_432.5;

/// How what stands for a cloud begins as text.
const CLOUD: &str = "\"points\":[[-98765432.5,";

/// How it ends, after the number of the cloud.
const CLOUD_END: &str = ",0.0]]";

/// How what stands for the data of a mesh begins.
const MESH_MARK: &str = "waldo-mesh:";

/// The same as text.
const MESH: &str = "\"asset_uri\":\"waldo-mesh:";

type Points = Arc<[[f64; 3]]>;

/// The texts of what is large in the newest scene.
#[derive(Debug, Default)]
pub(super) struct Large {
    last: u32,
    clouds: BTreeMap<String, Cloud>,
    /// One at a time.
    under_way: Option<Writing>,
    /// The overlay that was written last: the next one is another one's turn.
    written: String,
    meshes: BTreeMap<String, Data>,
    /// By the number of the stand-in.
    texts: HashMap<String, Bytes>,
}

/// A cloud that is written.
#[derive(Debug)]
struct Cloud {
    owner_id: String,
    points: Points,
    stand_in: Points,
    number: u32,
}

/// A cloud of which the beginning is written.
#[derive(Debug)]
struct Writing {
    overlay_id: String,
    owner_id: String,
    points: Points,
    text: Vec<u8>,
    done: usize,
}

#[derive(Debug)]
struct Data {
    uri: Arc<str>,
    stand_in: Arc<str>,
    number: u32,
}

/// For [`Bytes`] that share the text.
struct Shared(Arc<str>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Large {
    /// The scene with stand-ins. A large cloud that is not written yet is as it was before, or is missing.
    pub(super) fn replace(&mut self, scene: &Arc<SceneState>) -> Arc<SceneState> {
        let has_long = |mesh: &Mesh| mesh.asset_uri.as_ref().is_some_and(is_long);
        if !scene.overlay_points.values().any(is_large) && !scene.meshes.values().any(has_long) {
            *self = Self { last: self.last, ..Self::default() };
            return Arc::clone(scene);
        }
        self.write(scene);
        let mut replaced = SceneState::clone(scene);
        replaced.overlay_points.retain(|id, overlay| {
            if !is_large(overlay) {
                return true;
            }
            // Somebody else's is not shown as theirs.
            let cloud = self.clouds.get(id).filter(|cloud| cloud.owner_id == overlay.owner_id);
            cloud.is_some_and(|cloud| {
                overlay.points = Arc::clone(&cloud.stand_in);
                true
            })
        });
        for (id, mesh) in &mut replaced.meshes {
            if let Some(uri) = mesh.asset_uri.as_mut().filter(|uri| is_long(uri))
                && let Some(stand_in) = self.mesh(id, uri)
            {
                *uri = stand_in;
            }
        }
        self.forget(scene);
        Arc::new(replaced)
    }

    fn number(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    /// Goes on writing what is not written.
    fn write(&mut self, scene: &SceneState) {
        let mut left = POINTS_AT_ONCE;
        while left > 0 {
            let Some(mut writing) = self.under_way.take().or_else(|| self.next(scene)) else { return };
            let end = writing.points.len().min(writing.done + left);
            left -= end - writing.done;
            for point in &writing.points[writing.done..end] {
                writing.text.push(if writing.text.is_empty() { b'[' } else { b',' });
                // Numbers are never refused.
                let _ = serde_json::to_writer(&mut writing.text, point);
            }
            writing.done = end;
            if end < writing.points.len() {
                self.under_way = Some(writing);
                return;
            }
            writing.text.push(b']');
            let number = self.number();
            let Writing { overlay_id, owner_id, points, text, .. } = writing;
            self.texts.insert(cloud_number(number), text.into());
            let stand_in = [[MARK, f64::from(number), 0.0]].into();
            self.written.clone_from(&overlay_id);
            let before = self.clouds.insert(overlay_id, Cloud { owner_id, points, stand_in, number });
            if let Some(before) = before {
                self.texts.remove(&cloud_number(before.number));
            }
        }
    }

    /// The cloud to be written next: everybody's turn comes.
    fn next(&self, scene: &SceneState) -> Option<Writing> {
        let is_due = |(id, overlay): &(&String, &Overlay)| {
            let written = self.clouds.get(*id);
            is_large(overlay)
                && written.is_none_or(|cloud| {
                    cloud.owner_id != overlay.owner_id || !Arc::ptr_eq(&cloud.points, &overlay.points)
                })
        };
        let overlays = || scene.overlay_points.iter();
        let later = overlays().filter(|(id, _)| **id > self.written).find(is_due);
        let (id, overlay) = later.or_else(|| overlays().find(is_due))?;
        Some(Writing {
            overlay_id: id.clone(),
            owner_id: overlay.owner_id.clone(),
            points: Arc::clone(&overlay.points),
            text: Vec::new(),
            done: 0,
        })
    }

    /// What stands for the data of a mesh, if its text is the same in a message.
    fn mesh(&mut self, id: &str, uri: &Arc<str>) -> Option<Arc<str>> {
        if let Some(data) = self.meshes.get(id).filter(|data| Arc::ptr_eq(&data.uri, uri)) {
            return Some(Arc::clone(&data.stand_in));
        }
        let plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\';
        // In pieces without a branch for each byte.
        if !uri.as_bytes().chunks(4096).all(|piece| piece.iter().fold(true, |all, byte| all & plain(byte))) {
            return None;
        }
        let number = self.number();
        let stand_in: Arc<str> = format!("{MESH_MARK}{number}").into();
        self.texts.insert(mesh_number(number), Bytes::from_owner(Shared(Arc::clone(uri))));
        let data = Data { uri: Arc::clone(uri), stand_in: Arc::clone(&stand_in), number };
        if let Some(before) = self.meshes.insert(id.to_owned(), data) {
            self.texts.remove(&mesh_number(before.number));
        }
        Some(stand_in)
    }

    fn forget(&mut self, scene: &SceneState) {
        let texts = &mut self.texts;
        self.clouds.retain(|id, cloud| {
            let stays = scene.overlay_points.contains_key(id);
            if !stays {
                texts.remove(&cloud_number(cloud.number));
            }
            stays
        });
        self.meshes.retain(|id, data| {
            let stays = scene.meshes.get(id).and_then(|mesh| mesh.asset_uri.as_ref());
            let stays = stays.is_some_and(|uri| Arc::ptr_eq(uri, &data.uri));
            if !stays {
                texts.remove(&mesh_number(data.number));
            }
            stays
        });
    }

    /// Length of the data of a mesh, bytes, whether or not something stands for it.
    pub(super) fn len(&self, uri: &str) -> usize {
        let text = uri.strip_prefix(MESH_MARK).and_then(|number| self.texts.get(&format!("m{number}")));
        text.map_or(uri.len(), Bytes::len)
    }

    /// A message of a scene with stand-ins, in parts that are the message of the scene.
    pub(super) fn fill(&self, message: String) -> Vec<Bytes> {
        let mut places = Vec::new();
        if !self.clouds.is_empty() {
            for (at, _) in message.match_indices(CLOUD) {
                let begin = at + CLOUD.len();
                let Some(len) = message[begin..].find(CLOUD_END) else { continue };
                if let Some(text) = self.texts.get(&message[begin..begin + len]) {
                    places.push((at + "\"points\":".len(), begin + len + CLOUD_END.len(), text));
                }
            }
        }
        if !self.meshes.is_empty() {
            for (at, _) in message.match_indices(MESH) {
                let begin = at + MESH.len();
                let Some(len) = message[begin..].find('"') else { continue };
                if let Some(text) = self.texts.get(&format!("m{}", &message[begin..begin + len])) {
                    places.push((at + "\"asset_uri\":\"".len(), begin + len, text));
                }
            }
        }
        places.sort_unstable_by_key(|(from, _, _)| *from);
        let message = Bytes::from(message);
        let (mut parts, mut copied) = (Vec::with_capacity(2 * places.len() + 1), 0);
        for (from, to, text) in places {
            parts.push(message.slice(copied..from));
            parts.push(text.clone());
            copied = to;
        }
        parts.push(message.slice(copied..));
        parts
    }
}

fn is_large(overlay: &Overlay) -> bool {
    let mut first = overlay.points.iter().take(1).flatten();
    overlay.points.len() > FEW || first.next().is_some_and(|x| x.to_bits() == MARK.to_bits())
}

fn is_long(uri: &Arc<str>) -> bool {
    uri.len() >= LONG || uri.starts_with(MESH_MARK)
}

/// As it stands in a message.
fn cloud_number(number: u32) -> String {
    format!("{:?}", f64::from(number))
}

fn mesh_number(number: u32) -> String {
    format!("m{number}")
}

#[cfg(test)]
mod tests {
    use waldo_protocol::field::MeshData;

    use super::*;

    fn overlay(id: &str, points: usize) -> Overlay {
        let points: Vec<_> = (0..points).map(|n| [n as f64 * 0.25, -1.5e-7, 3.0]).collect();
        Overlay {
            overlay_id: id.to_owned(),
            owner_id: "rig".to_owned(),
            points: points.into(),
            point_size: 0.01,
            visible: true,
        }
    }

    fn scene(overlays: impl IntoIterator<Item = Overlay>) -> SceneState {
        let overlay_points = overlays.into_iter().map(|overlay| (overlay.overlay_id.clone(), overlay)).collect();
        SceneState { overlay_points, ..SceneState::default() }
    }

    fn shown(large: &mut Large, scene: &SceneState) -> (Arc<SceneState>, String) {
        let replaced = large.replace(&Arc::new(scene.clone()));
        let parts = large.fill(replaced.encode(&MeshData::Whole, true).unwrap());
        (replaced, String::from_utf8(parts.concat::<u8>()).unwrap())
    }

    #[test]
    fn a_message_with_stand_ins_filled_is_the_message() {
        let mut scene = scene([overlay("a", 1000), overlay("b", 3), overlay("points", 65)]);
        scene.user_arms.insert("points".to_owned(), vec!["\"points\":[[-98765432.5,1.0,0.0]]".to_owned()]);
        let data = |letter: &str| format!("data:model/gltf-binary;base64,{}", letter.repeat(LONG));
        for (id, letter) in [("m", "A"), ("n", "B"), ("strange \"name\"", "\\")] {
            scene.meshes.insert(id.to_owned(), Mesh::new(id, "rig", data(letter).into()));
        }
        let mut large = Large::default();
        for _ in 0..2 {
            let (replaced, text) = shown(&mut large, &scene);
            assert_eq!(text, scene.encode(&MeshData::Whole, true).unwrap());
            assert_eq!(replaced.overlay_points["a"].points.len(), 1, "little is left to encode");
            let uri = replaced.meshes["m"].asset_uri.clone().unwrap();
            assert!(uri.len() < 32 && large.len(&uri) > LONG, "{uri}");
            scene.overlay_points.get_mut("a").unwrap().visible = false;
        }
        let texts = large.texts.len();
        scene.overlay_points.insert("a".to_owned(), overlay("a", 2000));
        scene.meshes.get_mut("m").unwrap().asset_uri = Some(data("C").into());
        assert_eq!(shown(&mut large, &scene).1, scene.encode(&MeshData::Whole, true).unwrap());
        assert_eq!(large.texts.len(), texts, "what is not shown any more is forgotten");
        scene.meshes.clear();
        scene.overlay_points.clear();
        assert_eq!(shown(&mut large, &scene).1, scene.encode(&MeshData::Whole, true).unwrap());
        assert!(large.texts.is_empty() && large.clouds.is_empty() && large.meshes.is_empty());
    }

    #[test]
    fn what_looks_like_a_stand_in_is_what_it_is() {
        let mut scene = scene([overlay("a", 1000), overlay("b", 1)]);
        scene.meshes.insert("m".to_owned(), Mesh::new("m", "rig", "A".repeat(LONG).into()));
        let mut large = Large::default();
        for number in 0..8 {
            let point = [MARK, f64::from(number), 0.0];
            scene.overlay_points.get_mut("b").unwrap().points = [point].into();
            let uri = format!("{MESH_MARK}{number}");
            scene.meshes.insert("n".to_owned(), Mesh::new("n", "rig", uri.into()));
            assert_eq!(shown(&mut large, &scene).1, scene.encode(&MeshData::Whole, true).unwrap());
        }
    }

    #[test]
    fn the_largest_clouds_come_frames_later_and_no_frame_waits_for_them() {
        let mut large = Large::default();
        let mut scene = scene([overlay("a", 200_000), overlay("b", 200_000), overlay("few", 2)]);
        let whole = scene.encode(&MeshData::Whole, true).unwrap();
        let frames = (0..100).find(|frame| {
            // One of them changes in every frame, and the other one gets its turn all the same.
            let (replaced, text) = shown(&mut large, &scene);
            assert!(replaced.overlay_points.contains_key("few"));
            scene.overlay_points.insert("a".to_owned(), overlay("a", 200_000));
            assert!(large.under_way.as_ref().is_none_or(|writing| writing.done <= (frame + 1) * POINTS_AT_ONCE));
            text == whole
        });
        assert_eq!(frames, Some(400_000 / POINTS_AT_ONCE));
        // A newer version takes the place of the older one when it is written.
        scene.overlay_points.insert("b".to_owned(), overlay("b", 100_000));
        assert!(shown(&mut large, &scene).0.overlay_points.contains_key("b"));
        // What somebody else publishes under that name is nobody's until it is written.
        let theirs = Overlay { owner_id: "other".to_owned(), ..overlay("b", 150_000) };
        scene.overlay_points.insert("b".to_owned(), theirs);
        assert!(!shown(&mut large, &scene).0.overlay_points.contains_key("b"));
    }
}
