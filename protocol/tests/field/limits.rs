//! What is refused with which words, and what no message can exceed.

use serde_json::{Value, json};
use waldo_protocol::field::{
    CharacterMode, ClientMessage, Envelope, Extension, Extensions, Invalid, Join, Layout, MAX_BUTTONS, MAX_CONTROLLERS,
    MAX_ID, MAX_NAME, MAX_POINTS, Role, ServerMessage, Transform, octo_bases,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn message(kind: &str, payload: &Value) -> String {
    json!({"version": 1, "type": kind, "payload": payload}).to_string()
}

#[track_caller]
fn refused(kind: &str, payload: &Value, reason: &str) {
    let refusal = ClientMessage::decode(&message(kind, payload)).unwrap_err();
    assert_eq!(refusal.to_string(), reason);
}

#[track_caller]
fn hello(payload: &Value) -> (Join, Extensions) {
    let Ok(ClientMessage::Hello(hello)) = ClientMessage::decode(&message("hello", payload)) else {
        panic!("{payload}")
    };
    (hello.join, hello.ext)
}

fn sample() -> Value {
    let pose = json!({"translation": [0, 1, 0], "rotation_xyzw": [0, 0, 0, 1]});
    json!({"timestamp": 1, "head_pose": pose, "controllers": {"left": {"pose": pose}}})
}

/// A sample with one value changed.
fn sample_with(path: &str, value: Value) -> Value {
    let mut sample = sample();
    *sample.pointer_mut(path).unwrap() = value;
    sample
}

/// A sample whose left hand has one more field.
fn left_with(field: &str, value: Value) -> Value {
    let mut sample = sample();
    sample["controllers"]["left"][field] = value;
    sample
}

#[test]
fn the_envelope_is_checked_in_the_order_of_the_wire() {
    let reasons = [
        ("", None),
        ("{\"version\":1,", None),
        ("{} {}", None),
        ("null", Some("message must contain version, type, and payload")),
        ("1", Some("message must contain version, type, and payload")),
        ("{\"version\":2,\"type\":3}", Some("message must contain version, type, and payload")),
        ("{\"version\":2,\"type\":3,\"payload\":4}", Some("unsupported protocol version 2")),
        ("{\"version\":1.5,\"type\":3,\"payload\":4}", Some("unsupported protocol version 1.5")),
        ("{\"version\":true,\"type\":3,\"payload\":4}", Some("unsupported protocol version true")),
        ("{\"version\":null,\"type\":3,\"payload\":4}", Some("unsupported protocol version null")),
        ("{\"version\":\"1\",\"type\":3,\"payload\":4}", Some("unsupported protocol version 1")),
        ("{\"version\":1.0,\"type\":3,\"payload\":4}", Some("message type must be a string")),
        ("{\"version\":1,\"type\":null,\"payload\":{}}", Some("message type must be a string")),
        ("{\"version\":1,\"type\":\"x\",\"payload\":null}", Some("message payload must be a dictionary")),
    ];
    for (text, reason) in reasons {
        let refusal = Envelope::read(text).unwrap_err().to_string();
        match reason {
            Some(reason) => assert_eq!(refusal, reason, "{text}"),
            None => assert!(refusal.starts_with("message is not JSON: "), "{text}: {refusal}"),
        }
    }
    let ok = Envelope::read(r#"{"payload":{"a":[1,{"b":2}]},"type":"hel\u006co","version":1,"more":[1e400]}"#).unwrap();
    assert_eq!(ok.kind(), "hello");
}

#[test]
fn nesting_takes_no_stack() {
    let nested = |at: &str| {
        let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
        ClientMessage::decode(&format!(
            "{{\"version\":1,\"type\":\"hello\",\"payload\":{{\"role\":\"spectator\",\"{at}\":{open}{close}}}}}"
        ))
        .map(|message| message.kind().to_owned())
    };
    for ignored in ["more", "requested_arm_count", "client"] {
        assert_eq!(nested(ignored).as_deref(), Ok("hello"), "{ignored}");
    }
    assert!(nested("user_id").is_err_and(|refusal| refusal.to_string() == "user_id must be a text"));
    assert!(nested("deadman_s").is_err());
}

#[test]
fn each_role_may_say_what_it_may_say() {
    let may = |role, kind, extensions| Role::check(role, kind, extensions).map_err(|refusal| refusal.to_string());
    let refusal = |reason: &str| Err(reason.to_owned());
    let none = Extensions::NONE;
    for kind in ["heartbeat", "teleport", "add_mesh", "scene_request"] {
        assert_eq!(may(None, kind, none), refusal("hello required first"));
    }
    for role in [None, Some(Role::VrClient), Some(Role::Spectator), Some(Role::Publisher)] {
        assert_eq!(may(role, "hello", none), Ok(()));
    }
    assert_eq!(may(Some(Role::Spectator), "xr_input", none), refusal("xr_input unsupported for spectator role"));
    assert_eq!(may(Some(Role::VrClient), "add_mesh", none), refusal("unsupported type: add_mesh"));
    assert_eq!(may(Some(Role::Publisher), "reset", none), refusal("unsupported publisher message type: reset"));
    assert_eq!(
        may(Some(Role::Spectator), "scene_request", none),
        refusal("scene_request unsupported for spectator role")
    );
    let delta: Extensions = [Extension::SceneBin].into_iter().collect();
    assert_eq!(may(Some(Role::Spectator), "scene_request", delta), Ok(()));
    // A name of a megabyte does not come back whole.
    assert_eq!(
        may(Some(Role::VrClient), &"ä".repeat(1000), none),
        refusal(&format!("unsupported type: {}", "ä".repeat(64)))
    );
}

#[test]
fn samples_are_refused_by_the_field_that_is_wrong() {
    refused("xr_input", &sample_with("/timestamp", json!("1")), "timestamp must be a number");
    refused("xr_input", &sample_with("/timestamp", Value::Null), "timestamp must be a number");
    refused("xr_input", &sample_with("/head_pose", json!([[0, 0, 0], [0, 0, 0, 1]])), "head_pose must be an object");
    refused("xr_input", &sample_with("/controllers", json!([])), "controllers must be an object");
    refused("xr_input", &sample_with("/controllers/left", json!(7)), "controllers must be an object");
    let translation = "/controllers/left/pose/translation";
    refused("xr_input", &sample_with(translation, json!([0, "1", 0])), "translation must be a number");
    refused("xr_input", &sample_with(translation, json!({})), "translation must be a list of 3");
    let rotation = "/controllers/left/pose/rotation_xyzw";
    refused("xr_input", &sample_with(rotation, json!([0, 0, 0, 1, 0])), "rotation_xyzw must have size 4, got 5");
    for norm in [0.0, 0.49, 2.01, 1e200] {
        refused("xr_input", &sample_with(rotation, json!([0, norm, 0, 0])), "rotation_xyzw must be a unit quaternion");
    }
    for norm in [0.5, 1.0, 2.0] {
        let text = message("xr_input", &sample_with(rotation, json!([0, norm, 0, 0])));
        let Ok(ClientMessage::XrInput(input)) = ClientMessage::decode(&text) else { panic!("{text}") };
        assert_eq!(input.sample.controllers["left"].pose.rotation_xyzw, [0.0, norm, 0.0, 0.0], "passed on as it came");
    }
    refused("xr_input", &left_with("grip", json!("0.5")), "grip must be a number");
    refused("xr_input", &left_with("joystick", json!([0, 0, 0])), "joystick must have size 2, got 3");
    refused("xr_input", &left_with("buttons", json!({"primary": 1})), "buttons must be true or false");
    refused("xr_input", &left_with("velocity", json!({"linear": [0, 0, 0]})), "'angular'");
    refused("xr_input", &left_with("velocity", json!({"angular": [0, 0, 0]})), "'linear'");
    let huge = message("xr_input", &sample_with(translation, json!([0, 1, 0]))).replace("[0,1,0]", "[0,1e999,0]");
    assert_eq!(ClientMessage::decode(&huge).unwrap_err().to_string(), "translation must be finite");
    let mut numbered = sample();
    for (seq, ok) in
        [(json!(0), true), (json!(u32::MAX), true), (json!(1u64 << 32), false), (json!(-1), false), (json!(0.5), false)]
    {
        numbered["seq"] = seq;
        assert_eq!(ClientMessage::decode(&message("xr_input", &numbered)).is_ok(), ok, "{numbered}");
    }
}

#[test]
fn a_sample_without_controllers_is_no_fault_but_with_a_faulty_head_it_is() {
    let empty = sample_with("/controllers", json!({}));
    assert_eq!(ClientMessage::decode(&message("xr_input", &empty)), Err(Invalid::Disconnected));
    let mut faulty = empty;
    faulty["head_pose"]["translation"] = json!([0]);
    refused("xr_input", &faulty, "translation must have size 3, got 1");
}

#[test]
fn samples_hold_no_more_than_hands_can() {
    let pose = json!({"pose": sample()["head_pose"]});
    let many = |count: usize, value: &Value| (0..count).map(|i| (format!("k{i}"), value.clone())).collect::<Value>();
    let ok = |payload: &Value| ClientMessage::decode(&message("xr_input", payload)).unwrap();
    ok(&sample_with("/controllers", many(MAX_CONTROLLERS, &pose)));
    refused(
        "xr_input",
        &sample_with("/controllers", many(MAX_CONTROLLERS + 1, &pose)),
        "controllers must have at most 16 entries",
    );
    ok(&left_with("buttons", many(MAX_BUTTONS, &json!(true))));
    refused(
        "xr_input",
        &left_with("buttons", many(MAX_BUTTONS + 1, &json!(true))),
        "buttons must have at most 64 entries",
    );
    let mut actions = sample();
    actions["actions"] = many(MAX_BUTTONS + 1, &json!(true));
    refused("xr_input", &actions, "actions must have at most 64 entries");
    let mut named = sample();
    named["actions"] = json!({"n".repeat(MAX_NAME): true});
    ok(&named);
    named["actions"] = json!({"n".repeat(MAX_NAME + 1): true});
    refused("xr_input", &named, "actions must have at most 256 bytes");
}

#[test]
fn ids_are_trimmed_and_null_is_none() {
    let user = |payload: Value| match hello(&payload).0 {
        Join::VrClient { user_id, .. } => user_id,
        other => panic!("{other:?}"),
    };
    for (id, expected) in
        [(json!(" bob\n"), Some("bob")), (json!("  "), None), (Value::Null, None), (json!(7), Some("7"))]
    {
        assert_eq!(user(json!({"character_mode": "two-cr", "user_id": id})).as_deref(), expected);
    }
    let long = json!({"character_mode": "two-cr", "user_id": "x".repeat(MAX_ID + 1)});
    refused("hello", &long, "user_id must have at most 128 bytes");
    refused("hello", &json!({"character_mode": "two-cr", "user_id": []}), "user_id must be a text");
    refused(
        "add_mesh",
        &json!({"mesh_id": null, "mesh_data_b64": "AAAA"}),
        "add_mesh requires mesh_id and mesh_data_b64",
    );
    refused("update_mesh_transform", &json!({"mesh_id": " "}), "update_mesh_transform requires mesh_id");
    refused("update_overlay_points", &json!({"overlay_id": null}), "update_overlay_points requires overlay_id");
    let named = |payload| ClientMessage::decode(&message("remove_mesh", &payload)).unwrap();
    assert_eq!(named(json!({"mesh_id": " m "})), ClientMessage::RemoveMesh { mesh_id: "m".to_owned() });
    assert_eq!(named(json!({"mesh_id": null})), ClientMessage::RemoveMesh { mesh_id: String::new() });
}

#[test]
fn an_arm_count_of_any_kind_and_an_unknown_role_are_no_fault() {
    for count in [
        json!(2),
        json!(0),
        json!(-1),
        json!(2.7),
        json!("2"),
        json!("x"),
        json!(null),
        json!([]),
        json!({}),
        json!(1e300),
    ] {
        let (join, _) = hello(&json!({"character_mode": "spirobs", "requested_arm_count": count}));
        assert_eq!(join.role(), Role::VrClient);
    }
    for role in [json!("admin"), json!(3), json!(null), json!(["spectator"])] {
        assert_eq!(hello(&json!({"role": role, "character_mode": "spirobs"})).0.role(), Role::VrClient);
    }
    for mode in [json!("demo-spline"), json!("Spirobs"), json!(3), json!(null), json!("")] {
        let reason = "vr_client requires a backend-supported character_mode";
        refused("hello", &json!({"role": "vr_client", "character_mode": mode}), reason);
    }
}

#[test]
fn extensions_are_those_that_both_know() {
    let ext = |list: Value| hello(&json!({"role": "spectator", "ext": list})).1;
    let both: Extensions = [Extension::SceneDelta, Extension::People].into_iter().collect();
    assert_eq!(ext(json!(["people/1", "scene-delta/1", "scene-delta/2", 7, null, {}])), both);
    assert_eq!(ext(json!(null)), Extensions::NONE);
    assert!(ext(json!(["scene-bin/1"])).has(Extension::SceneDelta), "binary frames are no whole scene");
    assert_eq!(Extensions::all().and(both), both);
    assert!(!both.without(Extension::People).has(Extension::People));
    assert_eq!(serde_json::to_value(both).unwrap(), json!(["scene-delta/1", "people/1"]));
    // However long the list.
    let long: Vec<_> = (0..100_000).map(|_| "x").collect();
    assert_eq!(ext(json!(long)), Extensions::NONE);
    for deadman in [json!(0.05), json!(2.1)] {
        refused("hello", &json!({"role": "spectator", "deadman_s": deadman}), "deadman_s must be within 0.1 and 2");
    }
}

#[test]
fn meshes_are_base64_of_a_media_type() {
    let add = |data: &str| ClientMessage::decode(&message("add_mesh", &json!({"mesh_id": "m", "mesh_data_b64": data})));
    for data in ["AAAA", "AAA=", "AA==", "+/09"] {
        add(data).unwrap();
    }
    for data in ["A", "AA", "AAA", "AA=A", "A===", "====", "AA AA===", "AAA\n", "AAA-", "AAAä"] {
        assert_eq!(add(data).unwrap_err().to_string(), "mesh_data_b64 is not base64", "{data}");
    }
    let typed = |mime: &str| json!({"mesh_id": "m", "mesh_data_b64": "AAAA", "mime_type": mime});
    for mime in ["", "text/html,<script>", "a;b", "a b"] {
        refused("add_mesh", &typed(mime), "mime_type must be a media type");
    }
    let Ok(ClientMessage::AddMesh(mesh)) = ClientMessage::decode(&message("add_mesh", &typed("model/gltf+json")))
    else {
        panic!()
    };
    assert_eq!(mesh.into_mesh("rig").asset_uri.as_deref(), Some("data:model/gltf+json;base64,AAAA"));
    refused(
        "update_mesh_transform",
        &json!({"mesh_id": "m", "rotation_xyzw": [0, 0, 0, 0]}),
        "rotation_xyzw must be a unit quaternion",
    );
    refused("update_mesh_transform", &json!({"mesh_id": "m", "scale": [1, 1]}), "scale must have size 3, got 2");
}

#[test]
fn clouds_of_points_are_bounded() {
    let update = |points: Value| json!({"overlay_id": "o", "points": points});
    refused("update_overlay_points", &update(json!({})), "points must be a list of [x, y, z]");
    refused("update_overlay_points", &update(json!([[0, 0, 0], [1, 2]])), "points[1] must have size 3, got 2");
    refused("update_overlay_points", &update(json!([1, 2])), "points[0] must be a list of 3");
    refused("update_overlay_points", &json!({"overlay_id": "o", "point_size": -1}), "point_size must be > 0");
    let points = |count: usize| update(vec![json!([0, 0, 0]); count].into());
    let Ok(ClientMessage::UpdateOverlayPoints(overlay)) =
        ClientMessage::decode(&message("update_overlay_points", &points(MAX_POINTS)))
    else {
        panic!()
    };
    assert_eq!(overlay.points.len(), MAX_POINTS);
    refused("update_overlay_points", &points(MAX_POINTS + 1), "points must have at most 200000 elements");
}

#[test]
fn directors_are_refused_by_their_place() {
    let arm = |directors: Value| {
        let at = json!({"translation": [0, 0, 0], "rotation_xyzw": [0, 0, 0, 0]});
        let arm = json!({"arm_id": "a", "base": at, "tip": at, "centerline": [], "radii": [], "directors": directors});
        ServerMessage::decode(&message("scene_state", &json!({"timestamp": 0, "arms": {"a": arm}})))
    };
    // What somebody else's server lets its users send blinds nobody.
    arm(json!([])).unwrap();
    let reasons = [
        (json!([[[1, 0, 0], [0, 1, 0]]]), "directors[0] must have size 3, got 2"),
        (json!([[[1, 0, 0], [0, 1, 0], [0, 0]]]), "directors[0][2] must have size 3, got 2"),
        (json!([[[1, 0, 0], [0, 1, 0], [0, 0, "1"]]]), "directors[0][2] must be a number"),
    ];
    for (directors, reason) in reasons {
        assert_eq!(arm(directors).unwrap_err().to_string(), reason);
    }
}

#[test]
fn unknown_messages_of_a_server_are_known_as_such() {
    let unknown = ServerMessage::decode(&message("weather", &json!({"rain": true})));
    assert_eq!(unknown, Ok(ServerMessage::Unknown("weather".to_owned())));
}

#[test]
fn all_modes_have_their_arms_where_they_stand() {
    let modes: Vec<_> = CharacterMode::ALL.iter().map(|mode| (mode.name(), mode.arm_count(), mode.layout())).collect();
    let expected = [
        ("two-cr", 2, Layout::Linear),
        ("two-gcr", 2, Layout::Linear),
        ("spirobs", 2, Layout::Linear),
        ("cathy-throw", 2, Layout::Linear),
        ("coomm-octopus", 2, Layout::Linear),
        ("noel-c4", 2, Layout::Linear),
        ("cathy-foraging", 8, Layout::Octo),
        ("octo-waypoint", 9, Layout::Octo),
    ];
    assert_eq!(modes, expected);
    for mode in CharacterMode::ALL {
        assert_eq!(CharacterMode::from_name(mode.name()), Some(*mode));
        assert_eq!(mode.bases().len(), mode.arm_count());
    }
    // x = bx - 0.05 cos(22.5° + 45° i), z = bz + 0.05 sin(22.5° + 45° i), worked out by hand for i = 0 and 2.
    let bases = octo_bases(8, [0.0, 1.0, -0.15]);
    let near =
        |at: &Transform, expected: [f64; 3]| at.translation.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-9);
    assert!(near(&bases[0], [-0.046_193_976_6, 1.0, -0.130_865_828_4]), "{:?}", bases[0]);
    assert!(near(&bases[2], [0.019_134_171_6, 1.0, -0.103_806_023_4]), "{:?}", bases[2]);
    assert_eq!(CharacterMode::OctoWaypoint.arm_ids("amy")[8], "amy_arm_8");
}
