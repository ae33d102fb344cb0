//! Meshes that publishers show: from a data URI with a binary glTF to triangles. Positions, normals and base colours; no
//! pictures, no bones.
//!
//! Read here, because every type of a whole glTF library costs a headset a part of its download. Nothing in a file is
//! trusted: every number that is a place is checked before it is used.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use glam::{Mat3, Mat4, Quat, Vec3};
use serde_json::Value;

pub use super::tube::CORNER;

/// More corners than this would stop the headset's picture.
const MAX_CORNERS: usize = 1_500_000;
/// Nodes inside of nodes.
const MAX_DEPTH: usize = 64;
/// Nodes of a file; one that contains itself has no end.
const MAX_NODES: usize = 20_000;
/// What a file may require although it is not drawn: looks only.
const LOOKS: [&str; 3] = ["KHR_materials_", "KHR_texture_", "EXT_texture_"];

/// Numbers of a file: 8, 16 and 32 bits without sign, and floating-point.
const U8: u64 = 5121;
const U16: u64 = 5123;
const U32: u64 = 5125;
const F32: u64 = 5126;

/// Three indices make a triangle.
const TRIANGLES: usize = 4;

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
    let bytes = STANDARD.decode(text).map_err(|_| "its data is not base64")?;
    model(&bytes).map_err(|fault| match kind.split(';').next() {
        Some(mime) if !mime.contains("gltf") && !mime.is_empty() => format!("{fault} (it is called {mime})"),
        _ => fault.to_owned(),
    })
}

/// What is wrong with a file, for a person.
type Fault = &'static str;

const CUT_OFF: Fault = "its file is cut off";
const BROKEN: Fault = "its file is broken";

fn model(bytes: &[u8]) -> Result<Model, Fault> {
    let (json, bin) = chunks(bytes)?;
    let json: Value = serde_json::from_slice(json).map_err(|_| BROKEN)?;
    let required = list(&json, "extensionsRequired").iter().filter_map(Value::as_str);
    if required.into_iter().any(|name| !LOOKS.iter().any(|look| name.starts_with(look))) {
        return Err("it needs an extension that this page does not read");
    }
    let mut reader = Reader { json: &json, bin, model: Model::default(), nodes: 0 };
    let scene = entry(&json, "scenes", json.get("scene").unwrap_or(&Value::from(0)))?;
    for node in list(scene, "nodes") {
        reader.node(node, Mat4::IDENTITY, 0)?;
    }
    if reader.model.triangles.is_empty() {
        return Err("it holds no triangles");
    }
    Ok(reader.model)
}

/// The two parts of a file: what there is, and its numbers.
fn chunks(bytes: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    if !bytes.starts_with(b"glTF") || word(bytes, 4) != Some(2) {
        return Err("it is no binary glTF 2.0");
    }
    let whole = word(bytes, 8).and_then(|length| bytes.get(12..length)).ok_or(CUT_OFF)?;
    let (kind, json, rest) = chunk(whole).ok_or(CUT_OFF)?;
    if kind != b"JSON" {
        return Err(BROKEN);
    }
    let bin = if rest.is_empty() { rest } else { chunk(rest).ok_or(CUT_OFF)?.1 };
    Ok((json, bin))
}

/// The kind of the first part, the part, and what comes after it.
fn chunk(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(8)?;
    let (part, rest) = rest.split_at_checked(word(head, 0)?)?;
    Some((&head[4..], part, rest))
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}

/// A list that may be missing.
fn list<'a>(parent: &'a Value, name: &str) -> &'a [Value] {
    parent.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// What an index refers to.
fn entry<'a>(json: &'a Value, name: &str, index: &Value) -> Result<&'a Value, Fault> {
    let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
    index.and_then(|index| list(json, name).get(index)).ok_or(BROKEN)
}

/// A whole number that may be missing.
fn number(parent: &Value, name: &str, missing: usize) -> Result<usize, Fault> {
    match parent.get(name) {
        None => Ok(missing),
        Some(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()).ok_or(BROKEN),
    }
}

/// Numbers that may be missing.
fn floats<const N: usize>(parent: &Value, name: &str) -> Result<Option<[f32; N]>, Fault> {
    let Some(numbers) = parent.get(name) else { return Ok(None) };
    let numbers = numbers.as_array().filter(|numbers| numbers.len() == N).ok_or(BROKEN)?;
    let mut read = [0.0; N];
    for (number, value) in read.iter_mut().zip(numbers) {
        *number = value.as_f64().ok_or(BROKEN)? as f32;
    }
    Ok(Some(read))
}

struct Reader<'a> {
    json: &'a Value,
    bin: &'a [u8],
    model: Model,
    nodes: usize,
}

/// Elements of equal size at equal distances; all of them are there.
struct Elements<'a> {
    bytes: &'a [u8],
    stride: usize,
    count: usize,
    kind: u64,
}

impl<'a> Reader<'a> {
    fn node(&mut self, index: &Value, parent: Mat4, depth: usize) -> Result<(), Fault> {
        self.nodes += 1;
        if depth > MAX_DEPTH || self.nodes > MAX_NODES {
            return Err("its nodes are nested without end");
        }
        let node = entry(self.json, "nodes", index)?;
        let place = match floats(node, "matrix")? {
            Some(matrix) => Mat4::from_cols_array(&matrix),
            None => Mat4::from_scale_rotation_translation(
                floats(node, "scale")?.map_or(Vec3::ONE, Vec3::from_array),
                floats(node, "rotation")?.map_or(Quat::IDENTITY, Quat::from_array).normalize(),
                floats(node, "translation")?.map_or(Vec3::ZERO, Vec3::from_array),
            ),
        };
        let model = parent * place;
        if let Some(mesh) = node.get("mesh") {
            for primitive in list(entry(self.json, "meshes", mesh)?, "primitives") {
                if number(primitive, "mode", TRIANGLES)? == TRIANGLES {
                    self.primitive(primitive, model)?;
                }
            }
        }
        list(node, "children").iter().try_for_each(|child| self.node(child, model, depth + 1))
    }

    fn primitive(&mut self, primitive: &Value, model: Mat4) -> Result<(), Fault> {
        let attribute = |name| primitive.get("attributes").and_then(|attributes| attributes.get(name));
        let positions = self.elements(attribute("POSITION").ok_or(BROKEN)?, "VEC3", &[F32])?;
        let normals = attribute("NORMAL").map(|normals| self.elements(normals, "VEC3", &[F32])).transpose()?;
        let indices = primitive.get("indices").map(|indices| self.elements(indices, "SCALAR", &[U8, U16, U32]));
        let indices = indices.transpose()?;
        let most = indices.as_ref().map_or(positions.count, |indices| indices.count.max(positions.count));
        if most > MAX_CORNERS
            || (self.model.corners.len() / CORNER).max(self.model.triangles.len()) + most > MAX_CORNERS
        {
            return Err("it holds too many triangles");
        }
        let positions: Vec<Vec3> = positions.vectors().map(|at| model.transform_point3(at)).collect();
        let mut triangles: Vec<u32> = match indices {
            Some(indices) => indices.indices().collect(),
            None => (0..).take(positions.len()).collect(),
        };
        triangles.truncate(triangles.len() / 3 * 3);
        if triangles.iter().any(|corner| *corner as usize >= positions.len()) {
            return Err("a triangle has a corner that does not exist");
        }
        if !positions.iter().all(|at| at.is_finite()) {
            return Err("a corner is at no finite place");
        }
        let turned = Mat3::from_mat4(model).inverse().transpose();
        let normals = match normals {
            Some(normals) if normals.count == positions.len() => {
                normals.vectors().map(|normal| turned * normal).collect()
            }
            _ => smooth(&positions, &triangles),
        };
        let colour = self.colour(primitive)?;
        let first = (self.model.corners.len() / CORNER) as u32;
        for (at, normal) in positions.iter().zip(&normals) {
            self.model.corners.extend(at.to_array());
            self.model.corners.extend(normal.normalize_or_zero().to_array());
            self.model.corners.extend(colour);
        }
        self.model.triangles.extend(triangles.iter().map(|corner| first + corner));
        Ok(())
    }

    fn colour(&self, primitive: &Value) -> Result<[f32; 3], Fault> {
        let Some(material) = primitive.get("material") else { return Ok([1.0; 3]) };
        let material = entry(self.json, "materials", material)?;
        let metal = material.get("pbrMetallicRoughness");
        let colour = metal.map(|metal| floats(metal, "baseColorFactor")).transpose()?.flatten();
        let [red, green, blue, _] = colour.unwrap_or([1.0; 4]);
        Ok([red, green, blue].map(display))
    }

    fn elements(&self, accessor: &Value, shape: &str, kinds: &[u64]) -> Result<Elements<'a>, Fault> {
        let accessor = entry(self.json, "accessors", accessor)?;
        let kind = accessor.get("componentType").and_then(Value::as_u64).unwrap_or_default();
        if accessor.get("type").and_then(Value::as_str) != Some(shape) || !kinds.contains(&kind) {
            return Err("its numbers are of a kind that this page does not draw");
        }
        let Some(view) = accessor.get("bufferView").filter(|_| accessor.get("sparse").is_none()) else {
            return Err("it is packed in a way that this page does not read");
        };
        let view = entry(self.json, "bufferViews", view)?;
        let buffer = entry(self.json, "buffers", view.get("buffer").unwrap_or(&Value::Null))?;
        if buffer.get("uri").is_some() || number(view, "buffer", 0)? != 0 {
            return Err("it needs data outside of its file");
        }
        let (from, length) = (number(view, "byteOffset", 0)?, number(view, "byteLength", 0)?);
        let bytes = self.bin.get(from..).and_then(|bytes| bytes.get(..length)).ok_or(CUT_OFF)?;
        let bytes = bytes.get(number(accessor, "byteOffset", 0)?..).ok_or(CUT_OFF)?;
        let one = match kind {
            U8 => 1,
            U16 => 2,
            _ => 4,
        };
        let size = if shape == "VEC3" { 3 * one } else { one };
        let (stride, count) = (number(view, "byteStride", size)?, number(accessor, "count", 0)?);
        let end = count.checked_sub(1).and_then(|last| last.checked_mul(stride)?.checked_add(size));
        if stride < size || end.is_none_or(|end| end > bytes.len()) {
            return Err(CUT_OFF);
        }
        Ok(Elements { bytes, stride, count, kind })
    }
}

impl Elements<'_> {
    fn each(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.count).map(|index| &self.bytes[index * self.stride..])
    }

    fn vectors(&self) -> impl Iterator<Item = Vec3> {
        let float =
            |bytes: &[u8], at: usize| f32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        self.each().map(move |bytes| Vec3::new(float(bytes, 0), float(bytes, 4), float(bytes, 8)))
    }

    fn indices(&self) -> impl Iterator<Item = u32> {
        self.each().map(|bytes| match self.kind {
            U8 => u32::from(bytes[0]),
            U16 => u32::from(u16::from_le_bytes([bytes[0], bytes[1]])),
            _ => u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
        })
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
mod tests;
