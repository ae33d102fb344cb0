//! Meshes of the built-in scenery, made in code: binary glTF with one coloured mesh.

use std::f64::consts::TAU;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use glam::{DQuat, DVec3};
use serde_json::json;

use super::solid::Solid;

/// Corners around a rod.
const SIDES: u32 = 10;
/// Rings of each round end.
const RINGS: u32 = 3;

/// A mesh that is being put together.
#[derive(Default)]
pub(super) struct Shape {
    positions: Vec<DVec3>,
    normals: Vec<DVec3>,
    triangles: Vec<[u32; 3]>,
}

impl Shape {
    fn corner(&mut self, position: DVec3, normal: DVec3) -> u32 {
        self.positions.push(position);
        self.normals.push(normal);
        self.positions.len() as u32 - 1
    }

    /// Adds a solid; a floor has no end and is left out.
    pub(super) fn solid(&mut self, solid: &Solid) {
        match *solid {
            Solid::Floor(_) => {}
            Solid::Capsule { ends, radius } => self.rod(ends, radius),
            Solid::Block { centre, half } => self.block(centre, half),
        }
    }

    fn block(&mut self, centre: DVec3, half: DVec3) {
        for normal in [DVec3::X, DVec3::Y, DVec3::Z, DVec3::NEG_X, DVec3::NEG_Y, DVec3::NEG_Z] {
            let across = normal.any_orthonormal_vector();
            let up = normal.cross(across);
            let corner = |a: f64, b: f64| centre + (normal + across * a + up * b) * half;
            let corners = [corner(-1.0, -1.0), corner(1.0, -1.0), corner(1.0, 1.0), corner(-1.0, 1.0)];
            let [a, b, c, d] = corners.map(|position| self.corner(position, normal));
            self.triangles.extend([[a, b, c], [a, c, d]]);
        }
    }

    fn rod(&mut self, [from, to]: [DVec3; 2], radius: f64) {
        let turned = DQuat::from_rotation_arc(DVec3::Y, (to - from).try_normalize().unwrap_or(DVec3::Y));
        let first = self.positions.len() as u32;
        // From pole to pole; the two rings in the middle are the ends of the straight part.
        let rings = 2 * (RINGS + 1);
        for ring in 0..rings {
            let (end, step) = if ring <= RINGS { (from, ring) } else { (to, ring - 1) };
            let latitude = 0.25 * TAU * (f64::from(step) / f64::from(RINGS) - 1.0);
            for side in 0..SIDES {
                let longitude = TAU * f64::from(side) / f64::from(SIDES);
                let flat = latitude.cos();
                let local = DVec3::new(flat * longitude.cos(), latitude.sin(), -flat * longitude.sin());
                let normal = turned * local;
                self.corner(end + normal * radius, normal);
            }
        }
        for ring in 0..rings - 1 {
            for side in 0..SIDES {
                let at = |ring: u32, side: u32| first + ring * SIDES + side % SIDES;
                let [a, b, c, d] = [at(ring, side), at(ring, side + 1), at(ring + 1, side + 1), at(ring + 1, side)];
                self.triangles.extend([[a, b, c], [a, c, d]]);
            }
        }
    }

    /// Adds a level ground between two corners, `[x, z]`, with heights over it.
    pub(super) fn ground(&mut self, min: [f64; 2], max: [f64; 2], cells: u32, height: impl Fn(f64, f64) -> f64) {
        let first = self.positions.len() as u32;
        let place = |index: u32, axis: usize| min[axis] + (max[axis] - min[axis]) * f64::from(index) / f64::from(cells);
        for row in 0..=cells {
            for column in 0..=cells {
                let (x, z) = (place(column, 0), place(row, 1));
                let slope = |dx, dz| (height(x + dx, z + dz) - height(x - dx, z - dz)) / 0.02;
                let normal = DVec3::new(-slope(0.01, 0.0), 1.0, -slope(0.0, 0.01)).normalize();
                self.corner(DVec3::new(x, height(x, z), z), normal);
            }
        }
        for row in 0..cells {
            for column in 0..cells {
                let at = |row: u32, column: u32| first + row * (cells + 1) + column;
                let [a, b, c, d] = [at(row, column), at(row + 1, column), at(row + 1, column + 1), at(row, column + 1)];
                self.triangles.extend([[a, b, c], [a, c, d]]);
            }
        }
    }

    /// A data URI of the whole, in one colour.
    pub(super) fn data_uri(&self, color: [f64; 3]) -> Arc<str> {
        format!("data:model/gltf-binary;base64,{}", STANDARD.encode(self.glb(color))).into()
    }

    /// Binary glTF 2.0.
    fn glb(&self, [red, green, blue]: [f64; 3]) -> Vec<u8> {
        let floats = |vectors: &[DVec3]| -> Vec<u8> {
            vectors.iter().flat_map(|v| v.as_vec3().to_array()).flat_map(f32::to_le_bytes).collect()
        };
        let mut buffer = floats(&self.positions);
        let vectors = buffer.len();
        buffer.extend(floats(&self.normals));
        buffer.extend(self.triangles.iter().flatten().flat_map(|index| index.to_le_bytes()));
        let count = self.positions.len();
        let low = self.positions.iter().copied().reduce(DVec3::min).unwrap_or_default().as_vec3().to_array();
        let high = self.positions.iter().copied().reduce(DVec3::max).unwrap_or_default().as_vec3().to_array();
        let head = json!({
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "meshes": [{"primitives": [{"attributes": {"POSITION": 0, "NORMAL": 1}, "indices": 2, "material": 0}]}],
            "materials": [{"pbrMetallicRoughness": {
                "baseColorFactor": [red, green, blue, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.8}}],
            "accessors": [
                {"bufferView": 0, "componentType": 5126, "count": count, "type": "VEC3", "min": low, "max": high},
                {"bufferView": 1, "componentType": 5126, "count": count, "type": "VEC3"},
                {"bufferView": 2, "componentType": 5125, "count": 3 * self.triangles.len(), "type": "SCALAR"}],
            "bufferViews": [
                {"buffer": 0, "byteOffset": 0, "byteLength": vectors, "target": 34962},
                {"buffer": 0, "byteOffset": vectors, "byteLength": vectors, "target": 34962},
                {"buffer": 0, "byteOffset": 2 * vectors, "byteLength": buffer.len() - 2 * vectors, "target": 34963}],
            "buffers": [{"byteLength": buffer.len()}],
        });
        let mut json = head.to_string().into_bytes();
        json.resize(json.len().next_multiple_of(4), b' ');
        let mut glb = b"glTF".to_vec();
        let length = 12 + 8 + json.len() + 8 + buffer.len();
        for word in [2, length as u32, json.len() as u32] {
            glb.extend(word.to_le_bytes());
        }
        glb.extend(b"JSON");
        glb.extend(json);
        glb.extend((buffer.len() as u32).to_le_bytes());
        glb.extend(b"BIN\0");
        glb.extend(buffer);
        glb
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn word(bytes: &[u8], at: usize) -> usize {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    }

    #[test]
    fn a_mesh_is_binary_gltf_whose_parts_lie_where_its_head_says() {
        let mut shape = Shape::default();
        shape.solid(&Solid::Block { centre: DVec3::ONE, half: DVec3::splat(0.5) });
        shape.solid(&Solid::Capsule { ends: [DVec3::ZERO, DVec3::X], radius: 0.1 });
        shape.ground([-1.0; 2], [1.0; 2], 4, |x, _| 0.1 * x);
        let glb = shape.glb([1.0, 0.5, 0.0]);
        assert_eq!((&glb[..4], word(&glb, 4), word(&glb, 8)), (&b"glTF"[..], 2, glb.len()));
        let json = word(&glb, 12);
        assert_eq!((&glb[16..20], json % 4), (&b"JSON"[..], 0));
        let head: Value = serde_json::from_slice(&glb[20..20 + json]).unwrap();
        let binary = &glb[20 + json..];
        assert_eq!((word(binary, 0), &binary[4..8]), (binary.len() - 8, &b"BIN\0"[..]));
        let buffer = &binary[8..];
        assert_eq!(head["buffers"][0]["byteLength"], buffer.len());
        let corners = shape.positions.len();
        let views = head["bufferViews"].as_array().unwrap();
        let mut end = 0;
        for (view, size) in views.iter().zip([12 * corners, 12 * corners, 12 * shape.triangles.len()]) {
            assert_eq!((&view["byteOffset"], &view["byteLength"]), (&end.into(), &size.into()));
            end += size;
        }
        assert_eq!(end, buffer.len());
        let indices = &buffer[24 * corners..];
        assert!((0..indices.len() / 4).all(|index| word(indices, 4 * index) < corners));
    }

    /// Triangles run counter-clockwise seen from outside, as glTF wants.
    #[test]
    fn faces_look_the_way_their_normals_point() {
        let mut shape = Shape::default();
        shape.solid(&Solid::Block { centre: DVec3::ONE, half: DVec3::new(0.1, 0.2, 0.3) });
        shape.solid(&Solid::Capsule { ends: [DVec3::ZERO, DVec3::new(0.3, 0.4, -0.5)], radius: 0.1 });
        shape.ground([-1.0; 2], [1.0; 2], 4, |x, z| 0.1 * x * z);
        for triangle in &shape.triangles {
            let [a, b, c] = triangle.map(|corner| shape.positions[corner as usize]);
            let face = (b - a).cross(c - a);
            let normal: DVec3 = triangle.iter().map(|corner| shape.normals[*corner as usize]).sum();
            // At the poles of a rod triangles have no area.
            assert!(face.length() < 1e-9 || face.dot(normal) > 0.0, "{triangle:?}");
        }
    }
}
