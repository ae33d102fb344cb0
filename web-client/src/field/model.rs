//! Meshes that publishers show: from a data URI with glTF to triangles. Positions, normals and base colours, no pictures.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use glam::{Mat3, Mat4, Vec3};
use gltf::accessor::{DataType, Dimensions};
use gltf::buffer::Source;
use gltf::mesh::{Mode, Primitive, Semantic};
use gltf::{Accessor, Gltf, Node};

pub use super::tube::CORNER;

/// More triangles than this would stop the headset's picture.
const MAX_CORNERS: usize = 1_500_000;
/// Nodes inside of nodes.
const MAX_DEPTH: usize = 64;
/// Nodes of a file; one that contains itself has no end.
const MAX_NODES: usize = 20_000;

/// All triangles of a mesh, in its own frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// [`CORNER`] numbers per corner: position, normal, colour.
    pub corners: Vec<f32>,
    /// Three corners per triangle.
    pub triangles: Vec<u32>,
}

/// Reads a mesh of the wire.
///
/// # Errors
/// Why it cannot be drawn, for a person.
pub fn read(asset_uri: &str) -> Result<Model, String> {
    let data = asset_uri.strip_prefix("data:").and_then(|rest| rest.split_once(','));
    let Some((kind, text)) = data.filter(|(kind, _)| kind.ends_with(";base64")) else {
        return Err("its data is no base64 data URI".to_owned());
    };
    let bytes = STANDARD.decode(text).map_err(|_| "its data is not base64".to_owned())?;
    model(&bytes).map_err(|fault| match kind.split(';').next() {
        Some(mime) if !mime.contains("gltf") && !mime.is_empty() => format!("{fault} (it is called {mime})"),
        _ => fault,
    })
}

fn model(bytes: &[u8]) -> Result<Model, String> {
    // The length of a file in front of which its own header says more than there is, is not checked by the reader.
    if bytes.starts_with(b"glTF") && le_u32(bytes, 8).is_none_or(|length| length < 12) {
        return Err("its file is cut off".to_owned());
    }
    let Gltf { document, blob } = Gltf::from_slice(bytes).map_err(|error| format!("it is no glTF: {error}"))?;
    let mut reader = Reader { blob: blob.unwrap_or_default(), model: Model::default(), nodes: 0 };
    let scene = document.default_scene().or_else(|| document.scenes().next()).ok_or("it holds no scene")?;
    for node in scene.nodes() {
        reader.node(&node, Mat4::IDENTITY, 0)?;
    }
    if reader.model.triangles.is_empty() {
        return Err("it holds no triangles".to_owned());
    }
    Ok(reader.model)
}

fn le_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

struct Reader {
    blob: Vec<u8>,
    model: Model,
    nodes: usize,
}

impl Reader {
    fn node(&mut self, node: &Node<'_>, parent: Mat4, depth: usize) -> Result<(), String> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err("its nodes are nested without end".to_owned());
        }
        let model = parent * Mat4::from_cols_array_2d(&node.transform().matrix());
        if let Some(mesh) = node.mesh() {
            for primitive in mesh.primitives().filter(|primitive| primitive.mode() == Mode::Triangles) {
                self.primitive(&primitive, model)?;
            }
        }
        node.children().try_for_each(|child| self.node(&child, model, depth + 1))
    }

    fn primitive(&mut self, primitive: &Primitive<'_>, model: Mat4) -> Result<(), String> {
        let positions = primitive.get(&Semantic::Positions).ok_or("a part has no positions")?;
        let count = self.check(&positions, Dimensions::Vec3, &[DataType::F32])?;
        let normals = primitive.get(&Semantic::Normals);
        if let Some(normals) = &normals {
            self.check(normals, Dimensions::Vec3, &[DataType::F32])?;
        }
        let indices = primitive.indices();
        let corners = match &indices {
            Some(indices) => self.check(indices, Dimensions::Scalar, &[DataType::U8, DataType::U16, DataType::U32])?,
            None => count,
        };
        if self.model.corners.len() / CORNER + count.max(corners) > MAX_CORNERS {
            return Err("it holds too many triangles".to_owned());
        }
        let blob = &self.blob;
        let reader = primitive.reader(|buffer| matches!(buffer.source(), Source::Bin).then_some(blob.as_slice()));
        let positions: Vec<Vec3> =
            reader.read_positions().into_iter().flatten().map(|at| model.transform_point3(Vec3::from(at))).collect();
        let mut triangles: Vec<u32> = match reader.read_indices() {
            Some(indices) => indices.into_u32().collect(),
            None => (0..).take(positions.len()).collect(),
        };
        triangles.truncate(triangles.len() / 3 * 3);
        if triangles.iter().any(|corner| *corner as usize >= positions.len()) {
            return Err("a triangle has a corner that does not exist".to_owned());
        }
        if !positions.iter().all(|at| at.is_finite()) {
            return Err("a corner is at no finite place".to_owned());
        }
        let turned = Mat3::from_mat4(model).inverse().transpose();
        let normals: Vec<Vec3> =
            reader.read_normals().into_iter().flatten().map(|normal| turned * Vec3::from(normal)).collect();
        let normals = if normals.len() == positions.len() { normals } else { smooth(&positions, &triangles) };
        let [red, green, blue, _] = primitive.material().pbr_metallic_roughness().base_color_factor();
        let colour = [red, green, blue].map(display);
        let first = (self.model.corners.len() / CORNER) as u32;
        for (at, normal) in positions.iter().zip(&normals) {
            self.model.corners.extend(at.to_array());
            self.model.corners.extend(normal.normalize_or_zero().to_array());
            self.model.corners.extend(colour);
        }
        self.model.triangles.extend(triangles.iter().map(|corner| first + corner));
        Ok(())
    }

    /// Whether the reader can read it all without ever looking beyond the data; returns how many there are.
    fn check(&self, accessor: &Accessor<'_>, shape: Dimensions, types: &[DataType]) -> Result<usize, String> {
        if accessor.dimensions() != shape || !types.contains(&accessor.data_type()) {
            return Err("its numbers are of a kind that this page does not draw".to_owned());
        }
        let Some(view) = accessor.view().filter(|_| accessor.sparse().is_none()) else {
            return Err("it is packed in a way that this page does not read".to_owned());
        };
        if !matches!(view.buffer().source(), Source::Bin) {
            return Err("it needs data outside of its file".to_owned());
        }
        let (size, count) = (accessor.size() as u64, accessor.count() as u64);
        let stride = view.stride().map_or(size, |stride| stride as u64);
        let end = (count > 0 && stride >= size).then(|| accessor.offset() as u64 + stride * (count - 1) + size);
        let fits = end.is_some_and(|end| end <= view.length() as u64)
            && view.offset() as u64 + view.length() as u64 <= self.blob.len() as u64;
        if fits { Ok(accessor.count()) } else { Err("its file is cut off".to_owned()) }
    }
}

/// Normals for corners that have none: the mean of the triangles around.
fn smooth(positions: &[Vec3], triangles: &[u32]) -> Vec<Vec3> {
    let mut normals = vec![Vec3::ZERO; positions.len()];
    for triangle in triangles.chunks_exact(3) {
        let [a, b, c] = [triangle[0], triangle[1], triangle[2]].map(|corner| positions[corner as usize]);
        for corner in triangle {
            normals[*corner as usize] += (b - a).cross(c - a);
        }
    }
    normals
}

/// A linear part of a colour as screens take it.
fn display(linear: f32) -> f32 {
    linear.clamp(0.0, 1.0).powf(1.0 / 2.2)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// One triangle of a red material, moved up by a node; `change` spoils it.
    fn uri(change: impl FnOnce(&mut Value)) -> String {
        let mut bin: Vec<u8> = Vec::new();
        for number in [0.0_f32, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0] {
            bin.extend(number.to_le_bytes());
        }
        for index in [0_u16, 1, 2, 0] {
            bin.extend(index.to_le_bytes());
        }
        let mut json = json!({
            "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}],
            "nodes": [{"translation": [0, 2, 0], "mesh": 0}],
            "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]}],
            "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [1, 0, 0, 1]}}],
            "buffers": [{"byteLength": bin.len()}],
            "bufferViews": [
                {"buffer": 0, "byteOffset": 0, "byteLength": 36},
                {"buffer": 0, "byteOffset": 36, "byteLength": 6},
            ],
            "accessors": [
                {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3", "min": [0, 0, 0], "max": [1, 1, 0]},
                {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
            ],
        });
        change(&mut json);
        encoded(&glb(&json, &bin))
    }

    fn glb(json: &Value, bin: &[u8]) -> Vec<u8> {
        let mut text = json.to_string().into_bytes();
        text.resize(text.len().next_multiple_of(4), b' ');
        let length = 12 + 8 + text.len() + 8 + bin.len();
        let mut file = b"glTF".to_vec();
        let word = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
        file.extend([word(2), word(length), word(text.len())].concat());
        file.extend([b"JSON".as_slice(), &text, &word(bin.len()), b"BIN\0", bin].concat());
        file
    }

    fn encoded(file: &[u8]) -> String {
        format!("data:model/gltf-binary;base64,{}", STANDARD.encode(file))
    }

    #[test]
    fn a_triangle_comes_with_its_place_its_normal_and_its_colour() {
        let model = read(&uri(|_| ())).unwrap();
        assert_eq!(model.triangles, [0, 1, 2]);
        assert_eq!(model.corners[..CORNER], [0.0, 2.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    }

    #[test]
    fn corners_without_indices_are_triangles_in_their_order() {
        let model =
            read(&uri(|json| _ = json["meshes"][0]["primitives"][0].as_object_mut().unwrap().remove("indices")));
        assert_eq!(model.unwrap().triangles, [0, 1, 2]);
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_with_a_reason() {
        let spoilt = |change: fn(&mut Value)| read(&uri(change)).unwrap_err();
        assert_eq!(spoilt(|json| json["accessors"][0]["count"] = json!(4)), "its file is cut off");
        assert_eq!(spoilt(|json| json["bufferViews"][0]["byteLength"] = json!(35)), "its file is cut off");
        assert_eq!(spoilt(|json| json["bufferViews"][1]["byteOffset"] = json!(400)), "its file is cut off");
        assert_eq!(spoilt(|json| json["accessors"][0]["count"] = json!(u32::MAX)), "its file is cut off");
        assert_eq!(spoilt(|json| json["bufferViews"][0]["byteStride"] = json!(4)), "its file is cut off");
        assert_eq!(
            spoilt(|json| json["bufferViews"][1]["byteOffset"] = json!(30)),
            "a triangle has a corner that does not exist"
        );
        assert_eq!(spoilt(|json| json["nodes"][0]["children"] = json!([0])), "its nodes are nested without end");
        assert_eq!(spoilt(|json| json["nodes"][0] = json!({})), "it holds no triangles");
        assert_eq!(spoilt(|json| json["scenes"] = json!([])).split(':').next(), Some("it is no glTF"));
        assert_eq!(spoilt(|json| json["buffers"][0]["uri"] = json!("a.bin")), "it needs data outside of its file");
        for data in ["model.glb", "data:model/gltf-binary,abc", "data:;base64,???", "data:image/png;base64,aGFsbG8="] {
            assert!(read(data).is_err(), "{data}");
        }
    }

    #[test]
    fn a_file_cut_anywhere_is_refused_and_never_panics() {
        let whole = uri(|_| ());
        let file = STANDARD.decode(whole.split_once(',').unwrap().1).unwrap();
        for end in 0..file.len() - 2 {
            assert!(read(&encoded(&file[..end])).is_err(), "{end} bytes");
        }
    }
}
