//! Meshes that can be drawn, and what is wrong with those that cannot.

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
    let model = read(&uri(|json| _ = json["meshes"][0]["primitives"][0].as_object_mut().unwrap().remove("indices")));
    assert_eq!(model.unwrap().triangles, [0, 1, 2]);
}

#[test]
fn what_cannot_be_drawn_is_refused_with_a_reason() {
    let spoilt = |change: fn(&mut Value)| read(&uri(change)).unwrap_err();
    assert_eq!(spoilt(|json| json["accessors"][0]["count"] = json!(4)), "its file is cut off");
    assert_eq!(spoilt(|json| json["bufferViews"][0]["byteLength"] = json!(35)), "its file is cut off");
    assert_eq!(spoilt(|json| json["bufferViews"][1]["byteOffset"] = json!(400)), "its file is cut off");
    assert_eq!(spoilt(|json| json["accessors"][0]["count"] = json!(u64::MAX)), "its file is cut off");
    assert_eq!(spoilt(|json| json["bufferViews"][0]["byteStride"] = json!(4)), "its file is cut off");
    assert_eq!(
        spoilt(|json| json["bufferViews"][1]["byteOffset"] = json!(30)),
        "a triangle has a corner that does not exist"
    );
    assert_eq!(spoilt(|json| json["nodes"][0]["children"] = json!([0])), "its nodes are nested without end");
    assert_eq!(spoilt(|json| json["nodes"][0] = json!({})), "it holds no triangles");
    assert_eq!(spoilt(|json| json["scenes"] = json!([])), BROKEN);
    assert_eq!(spoilt(|json| json["accessors"][1]["bufferView"] = json!(-1)), BROKEN);
    assert_eq!(spoilt(|json| json["accessors"][1]["bufferView"] = json!(9)), BROKEN);
    assert_eq!(spoilt(|json| json["nodes"][0]["translation"] = json!([1, 2])), BROKEN);
    assert_eq!(
        spoilt(|json| json["extensionsRequired"] = json!(["KHR_draco_mesh_compression"])),
        "it needs an extension that this page does not read"
    );
    assert_eq!(spoilt(|json| json["buffers"][0]["uri"] = json!("a.bin")), "it needs data outside of its file");
    for data in ["model.glb", "data:model/gltf-binary,abc", "data:;base64,???", "data:image/png;base64,aGFsbG8="] {
        assert!(read(data).is_err(), "{data}");
    }
}

#[test]
fn what_a_file_requires_for_its_looks_is_left_out() {
    assert!(read(&uri(|json| json["extensionsRequired"] = json!(["KHR_materials_unlit"]))).is_ok());
}

#[test]
fn nodes_are_placed_by_a_matrix_or_by_parts() {
    let node = json!({"mesh": 0, "matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 5, 6, 7, 1]});
    let moved = read(&uri(|json| json["nodes"][0] = node)).unwrap();
    assert_eq!(moved.corners[..3], [5.0, 6.0, 7.0]);
    let half = std::f32::consts::FRAC_1_SQRT_2;
    let node = json!({"mesh": 0, "scale": [2, 2, 2], "rotation": [0, 0, half, half], "translation": [1, 0, 0]});
    let turned = read(&uri(|json| json["nodes"][0] = node)).unwrap();
    assert!((turned.corners[CORNER] - 1.0).abs() < 1e-6 && (turned.corners[CORNER + 1] - 2.0).abs() < 1e-6);
}

#[test]
fn a_file_cut_anywhere_is_refused_and_never_panics() {
    let whole = uri(|_| ());
    let file = STANDARD.decode(whole.split_once(',').unwrap().1).unwrap();
    for end in 0..file.len() - 2 {
        assert!(read(&encoded(&file[..end])).is_err(), "{end} bytes");
    }
}
