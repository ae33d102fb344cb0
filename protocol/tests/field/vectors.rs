//! The interoperability vectors of messages, scenes and values, and which test has which of the others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use waldo_protocol::field::{
    ArmCommand, AssetManifest, CharacterMode, ClientMessage, Director, Envelope, ErrorMessage, Extensions, HelloAck,
    Invalid, Join, Joined, Mesh, MeshAck, MeshData, MeshMarks, MultiArmCommand, OverlayAck, Role, SceneState,
    ServerMessage, Status, Transform, Twist, XrInputSample, director_rotation, linear_bases,
};

use crate::json::assert_same;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const TEXT: &str = include_str!("../../../tests/vectors/field.json");

/// Entries of a back end: the unit tests of the server's back ends have them.
const BACKEND: [&str; 7] = [
    "backend_pass_through_follow",
    "backend_pass_through_inactive",
    "backend_default_arm",
    "backend_timestamp",
    "backend_unknown_arm",
    "backend_inactive_once",
    "backend_register_unknown_mode",
];

/// Entries of a running server: its integration tests have them, and replay the exchanges over sockets.
const SERVER: [&str; 5] =
    ["ours_two_users", "ours_deadman", "ours_slow_consumer", "ours_nan_state", "ours_big_message"];

/// Prefixes of the entries in `control_vectors`, with their numbers.
const CONTROL: [(&str, usize); 5] =
    [("mapper_", 11), ("calibration_", 2), ("handling_", 4), ("mode_", 3), ("client_", 9)];

/// Prefixes of the entries here, with their numbers.
const HERE: [(&str, usize); 8] = [
    ("exchange_", 22),
    ("edge_", 52),
    ("scene_", 8),
    ("tip_rotation_", 3),
    ("static_mesh_", 4),
    ("type_", 8),
    ("manifest_", 2),
    ("backend_linear_bases", 2),
];

fn all() -> Vec<Value> {
    serde_json::from_str(TEXT).unwrap()
}

fn name(entry: &Value) -> &str {
    entry["name"].as_str().unwrap()
}

/// The entries whose name begins so; as many as this test says it covers.
fn entries(prefix: &str) -> Vec<Value> {
    let entries: Vec<_> = all().into_iter().filter(|entry| name(entry).starts_with(prefix)).collect();
    let (_, count) = HERE.iter().find(|(here, _)| *here == prefix).unwrap();
    assert_eq!(entries.len(), *count, "number of entries {prefix}*");
    entries
}

#[test]
fn every_entry_belongs_to_exactly_one_test() {
    let all = all();
    let names: BTreeSet<&str> = all.iter().map(name).collect();
    assert_eq!(names.len(), all.len(), "two entries of one name");
    for name in &names {
        let prefixes = CONTROL.iter().chain(&HERE).filter(|(prefix, _)| name.starts_with(prefix)).count();
        let elsewhere = BACKEND.iter().chain(&SERVER).filter(|known| *known == name).count();
        assert_eq!(prefixes + elsewhere, 1, "{name}");
    }
    let counted: usize = CONTROL.iter().chain(&HERE).map(|(_, count)| count).sum();
    assert_eq!(all.len(), counted + BACKEND.len() + SERVER.len());
}

/// The frame of an entry.
fn sent(entry: &Value) -> String {
    let send = &entry["message"]["send"];
    send["raw_text"].as_str().map_or_else(|| send.to_string(), str::to_owned)
}

/// The role in which an entry's frame comes.
fn role(entry: &Value) -> Option<Role> {
    match entry["message"]["role"].as_str().unwrap() {
        "vr_client" => Some(Role::VrClient),
        "spectator" => Some(Role::Spectator),
        "publisher" | "publisher2" => Some(Role::Publisher),
        // They say hello.
        "(no hello)" | "pub/spec" => None,
        other => panic!("unknown role {other}"),
    }
}

/// What a server makes of a frame, up to where it would ask its back end.
fn read(role: Option<Role>, text: &str) -> Result<ClientMessage, Invalid> {
    let envelope = Envelope::read(text)?;
    Role::check(role, envelope.kind(), Extensions::NONE)?;
    envelope.message()
}

/// The answers of a server whose back end has nothing against it, and which gives out the id `assigned`.
fn answers(message: &ClientMessage, assigned: &str) -> Vec<ServerMessage> {
    let id = |chosen: &Option<String>| chosen.clone().unwrap_or_else(|| assigned.to_owned());
    let mesh = |mesh_id: Option<&String>, status| {
        vec![ServerMessage::MeshAck(MeshAck {
            owner_id: assigned.to_owned(),
            mesh_id: mesh_id.cloned(),
            status,
            changed: None,
        })]
    };
    let overlay = |overlay_id: Option<&String>, status| {
        vec![ServerMessage::OverlayAck(OverlayAck {
            owner_id: assigned.to_owned(),
            overlay_id: overlay_id.cloned(),
            status,
            changed: None,
        })]
    };
    match message {
        ClientMessage::Hello(hello) => match &hello.join {
            Join::VrClient { character_mode, user_id, .. } => {
                let user_id = id(user_id);
                let arms = character_mode.arm_ids(&user_id);
                let manifest = AssetManifest::of_arms(&user_id, *character_mode, &arms);
                let ack = HelloAck::new(1.5, Joined::vr_client(*character_mode, user_id, arms));
                vec![ServerMessage::HelloAck(ack), ServerMessage::AssetManifest(manifest)]
            }
            Join::Spectator => {
                let user_id = assigned.to_owned();
                let manifest = AssetManifest { user_id: user_id.clone(), arms: BTreeMap::new() };
                let ack = HelloAck::new(1.5, Joined::Spectator { user_id });
                vec![ServerMessage::HelloAck(ack), ServerMessage::AssetManifest(manifest)]
            }
            Join::Publisher { owner_id } => {
                vec![ServerMessage::HelloAck(HelloAck::new(1.5, Joined::Publisher { owner_id: id(owner_id) }))]
            }
        },
        ClientMessage::AddMesh(add) => mesh(Some(&add.mesh_id), Status::Added),
        ClientMessage::UpdateMeshTransform(change) => mesh(Some(&change.mesh_id), Status::Updated),
        ClientMessage::RemoveMesh { mesh_id } => mesh(Some(mesh_id), Status::Removed),
        ClientMessage::ClearMeshes => mesh(None, Status::Cleared),
        ClientMessage::UpdateOverlayPoints(update) => overlay(Some(&update.overlay_id), Status::Updated),
        ClientMessage::RemoveOverlayPoints { overlay_id } => overlay(Some(overlay_id), Status::Removed),
        ClientMessage::ClearOverlayPoints => overlay(None, Status::Cleared),
        _ => Vec::new(),
    }
}

/// The id that the answers of an entry have.
fn assigned(replies: &[Value]) -> String {
    let payload = replies.first().map_or(&Value::Null, |reply| &reply["payload"]);
    payload["owner_id"].as_str().or_else(|| payload["user_id"].as_str()).unwrap_or_default().to_owned()
}

fn check_exchange(entry: &Value) {
    let (name, expect) = (name(entry), &entry["expect"]);
    let text = sent(entry);
    // Sockets of these entries said hello in the role before, except for the hello itself.
    let result = read(role(entry), &text);
    let Some(replies) = expect["replies"].as_array() else {
        let Ok(ClientMessage::Hello(hello)) = result else { panic!("{name}: {result:?}") };
        check_hello(name, &hello.join, expect);
        return;
    };
    match result {
        Err(invalid) => {
            let [reply] = replies.as_slice() else { panic!("{name}: {invalid:?}") };
            assert_eq!(reply["type"], "error", "{name}: {invalid:?}");
            let reason = ErrorMessage::from(&invalid).reason;
            match reply["payload"]["reason"].as_str().unwrap() {
                "<any text, not empty>" => assert!(!reason.is_empty(), "{name}"),
                expected => assert_eq!(reason, expected, "{name}"),
            }
            let Ok(ServerMessage::Error(read)) = ServerMessage::decode(&reply.to_string()) else { panic!("{name}") };
            let answer = ServerMessage::Error(read).encode().unwrap();
            assert_same(&serde_json::from_str(&answer).unwrap(), reply, name);
        }
        // Only the back end knows whose mesh it is.
        Ok(ClientMessage::UpdateMeshTransform(_)) if name == "edge_update_foreign" => {}
        Ok(message) => {
            let answers = answers(&message, &assigned(replies));
            assert_eq!(answers.len(), replies.len(), "{name}: {message:?}");
            for (answer, reply) in answers.iter().zip(replies) {
                let mut reply = reply.clone();
                if reply["payload"]["server_time"] == "<unix seconds>" {
                    reply["payload"]["server_time"] = json!(1.5);
                }
                let text = answer.encode().unwrap();
                assert_same(&serde_json::from_str(&text).unwrap(), &reply, name);
                assert_eq!(ServerMessage::decode(&reply.to_string()).as_ref(), Ok(answer), "{name}");
            }
        }
    }
}

/// Expectations of a hello that are no replies.
fn check_hello(name: &str, join: &Join, expect: &Value) {
    match (name, join) {
        ("edge_hello_user_blank", Join::VrClient { user_id: None, .. })
        | ("edge_hello_owner_blank", Join::Publisher { owner_id: None })
        | ("edge_hello_spectator_with_mode", Join::Spectator) => {}
        ("edge_hello_no_role", Join::VrClient { character_mode, .. }) => {
            assert_eq!(expect["role"], join.role().name());
            assert_eq!(expect["character_mode"], character_mode.name());
            assert_eq!(expect["arm_count"], character_mode.arm_count());
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn frames_of_clients_are_read_and_answered_as_recorded() {
    entries("exchange_").iter().for_each(check_exchange);
    entries("edge_").iter().for_each(check_exchange);
}

#[test]
fn clients_write_the_recorded_frames_again() {
    for entry in entries("exchange_").iter().filter(|entry| entry["message"]["send"]["raw_text"].is_null()) {
        let send = &entry["message"]["send"];
        let Ok(message) = ClientMessage::decode(&send.to_string()) else { continue };
        let again = ClientMessage::decode(&message.encode()).unwrap();
        if matches!(message, ClientMessage::Unknown(_)) {
            assert_eq!(again.kind(), message.kind());
        } else {
            assert_eq!(again, message, "{}", name(entry));
        }
    }
}

#[test]
fn scenes_are_read_and_written_with_the_same_keys() {
    for entry in entries("scene_") {
        let (name, expect) = (name(&entry), &entry["expect"]);
        let result = ServerMessage::decode(&entry["message"].to_string());
        if expect["valid"] == false {
            let invalid = result.unwrap_err();
            if let Some(reason) = expect["reason"].as_str() {
                assert_eq!(invalid.to_string(), reason, "{name}");
            }
            continue;
        }
        let Ok(ServerMessage::SceneState(message)) = result else { panic!("{name}: {result:?}") };
        let scene = &message.scene;
        let written: Value = serde_json::from_str(&scene.encode(&MeshData::Whole, false).unwrap()).unwrap();
        let keys: BTreeSet<&str> = written["payload"].as_object().unwrap().keys().map(String::as_str).collect();
        let eight = ["timestamp", "arms", "scenery", "user_arms", "meshes", "overlay_points", "spheres", "haptics"];
        assert_eq!(keys, eight.into(), "{name}");
        if let Some(defaults) = expect["arm_defaults"].as_object() {
            let arm = &written["payload"]["arms"]["u_arm_0"];
            defaults.iter().for_each(|(key, value)| assert_same(&arm[key], value, name));
        }
        if let Some(color) = expect["color_rgb"].as_array() {
            let sphere = &written["payload"]["spheres"]["s"];
            assert_same(&sphere["color_rgb"], &json!(color), name);
            assert_same(&sphere["visible"], &expect["visible"], name);
        }
        if expect["keys"].is_array() {
            assert_eq!(expect["keys"].as_array().unwrap().len(), eight.len());
            assert_same(&written, &entry["message"], name);
        }
    }
}

#[test]
fn a_tip_is_turned_as_the_transposed_last_director() {
    for entry in entries("tip_rotation_") {
        let director: Director = serde_json::from_value(entry["message"]["last_director"].clone()).unwrap();
        let expected: [f64; 4] = serde_json::from_value(entry["expect"]["rotation_xyzw_up_to_sign"].clone()).unwrap();
        let rotation = director_rotation(&director);
        let dot: f64 = rotation.iter().zip(expected).map(|(a, b)| a * b).sum();
        assert!((dot.abs() - 1.0).abs() < 1e-9, "{}: {rotation:?}", name(&entry));
    }
}

/// The meshes of a frame of the vectors.
fn meshes(frame: &Value) -> BTreeMap<String, Mesh> {
    let mesh = |(id, flags): (&String, &Value)| {
        let mut mesh = Mesh::new(id.clone(), "rig", format!("data:,{id}").into());
        mesh.static_asset = flags["static_asset"].as_bool().unwrap();
        (id.clone(), mesh)
    };
    frame.as_object().unwrap().iter().map(mesh).collect()
}

/// Whether each mesh of a frame is written with its data.
fn with_data(meshes: BTreeMap<String, Mesh>, data: &MeshData) -> Value {
    let scene = SceneState { meshes, ..SceneState::default() };
    let written: Value = serde_json::from_str(&scene.encode(data, false).unwrap()).unwrap();
    let meshes = written["payload"]["meshes"].as_object().unwrap();
    meshes.iter().map(|(id, mesh)| (id.clone(), json!(mesh.get("asset_uri").is_some()))).collect()
}

#[test]
fn a_socket_gets_the_data_of_a_static_mesh_once() {
    for entry in entries("static_mesh_") {
        let (name, expect) = (name(&entry), &entry["expect"]);
        if name == "static_mesh_per_socket" {
            let frame = meshes(&json!({"a": {"static_asset": true}}));
            let mut sockets = [MeshMarks::new(), MeshMarks::new()];
            let mut got = [Vec::new(), Vec::new()];
            for number in 1..=3 {
                for (socket, (marks, got)) in sockets.iter_mut().zip(&mut got).enumerate() {
                    let there =
                        socket == 0 || number >= entry["message"]["socket_2_joins_before_frame"].as_i64().unwrap();
                    let data = there.then(|| with_data(frame.clone(), &marks.next(&frame)));
                    got.push(data.map_or(Value::Null, |data| data["a"].clone()));
                }
            }
            assert_eq!([&json!(got[0]), &json!(got[1])], [&expect["socket_1"], &expect["socket_2"]]);
            continue;
        }
        let mut marks = MeshMarks::new();
        let frames = entry["message"]["frames"].as_array().unwrap().iter().map(meshes);
        let present: Vec<_> = frames.map(|frame| with_data(frame.clone(), &marks.next(&frame))).collect();
        assert_eq!(json!(present), expect["asset_uri_present"], "{name}");
    }
}

/// Reads a value of a type and writes it again.
fn again(kind: &str, text: &str) -> Result<Value, Invalid> {
    fn json<T: serde::Serialize>(value: T) -> Value {
        serde_json::to_value(value).unwrap()
    }
    match kind {
        "ArmCommand" => ArmCommand::from_json(text).map(json),
        "MultiArmCommand" => MultiArmCommand::from_json(text).map(json),
        "Transform" => Transform::from_json(text).map(json),
        "Twist" => Twist::from_json(text).map(json),
        "XRInputSample" => XrInputSample::from_json(text).map(json),
        other => panic!("unknown type {other}"),
    }
}

#[test]
fn values_are_checked_and_written_with_their_defaults() {
    for entry in entries("type_") {
        let (name, expect) = (name(&entry), &entry["expect"]);
        let result = again(entry["message"]["type"].as_str().unwrap(), &entry["message"]["data"].to_string());
        match expect["error"].as_str() {
            None => assert_same(&result.unwrap(), &expect["json"], name),
            Some("controller disconnected") => {
                assert_eq!(result, Err(Invalid::Disconnected), "{name}");
                assert_eq!(Invalid::Disconnected.to_string(), expect["wire_reason"], "{name}");
            }
            Some(error) => assert_eq!(result.unwrap_err().to_string(), error, "{name}"),
        }
    }
}

#[test]
fn the_manifest_has_the_colours_of_the_mode() {
    for entry in entries("manifest_") {
        let mode = CharacterMode::from_name(entry["message"]["mode"].as_str().unwrap()).unwrap();
        assert_eq!(mode.arm_count(), entry["message"]["arms"].as_u64().unwrap() as usize);
        let arms = mode.arm_ids("u");
        let manifest = AssetManifest::of_arms("u", mode, &arms);
        let colors: Vec<_> = arms.iter().map(|id| json!(manifest.arms[id].color)).collect();
        assert_eq!(json!(colors), entry["expect"]["colors"], "{}", name(&entry));
    }
}

#[test]
fn linear_arms_stand_where_the_formula_says() {
    for entry in entries("backend_linear_bases") {
        let bases = linear_bases(entry["message"]["arm_count"].as_u64().unwrap() as usize);
        let expected: Vec<[f64; 3]> = serde_json::from_value(entry["expect"]["bases"].clone()).unwrap();
        assert_eq!(bases.len(), expected.len());
        for (base, expected) in bases.iter().zip(expected) {
            let off = base.translation.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(off < 1e-9, "{base:?} instead of {expected:?}");
            assert_eq!(base.rotation_xyzw, Transform::IDENTITY.rotation_xyzw);
        }
    }
}
