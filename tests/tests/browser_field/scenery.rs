//! What else is in a field: published meshes, and what arms feel.

use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use waldo_protocol::vr::Hand;
use waldo_tests::headset::{enter_vr, hold};
use waldo_tests::scripted::{Script, ScriptedRobot};

use super::picture::{green, magenta, until_seen};
use super::stage::{Set, envelope, joined, press};

/// A box of 0.4 m in this colour as a binary glTF in base64.
fn crate_of(colour: [f64; 3]) -> String {
    let mut bin: Vec<u8> = Vec::new();
    for corner in 0..8_u8 {
        for axis in 0..3 {
            let side = if corner >> axis & 1 == 1 { 0.2_f32 } else { -0.2 };
            bin.extend(side.to_le_bytes());
        }
    }
    let faces = [[0, 2, 1, 3], [4, 5, 6, 7], [0, 1, 4, 5], [2, 6, 3, 7], [0, 4, 2, 6], [1, 3, 5, 7]];
    for [a, b, c, d] in faces {
        for corner in [a, b, c, c, b, d] {
            bin.extend(u16::to_le_bytes(corner));
        }
    }
    let json = json!({
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [colour[0], colour[1], colour[2], 1.0]}}],
        "buffers": [{"byteLength": bin.len()}],
        "bufferViews": [{"buffer": 0, "byteLength": 96}, {"buffer": 0, "byteOffset": 96, "byteLength": 72}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 8, "type": "VEC3", "min": [-0.2, -0.2, -0.2], "max": [0.2, 0.2, 0.2]},
            {"bufferView": 1, "componentType": 5123, "count": 36, "type": "SCALAR"},
        ],
    });
    let mut text = json.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(4), b' ');
    let word = |number: usize| u32::try_from(number).expect("a small file").to_le_bytes();
    let length = 12 + 8 + text.len() + 8 + bin.len();
    let mut file = b"glTF".to_vec();
    file.extend([word(2), word(length), word(text.len())].concat());
    file.extend([b"JSON".as_slice(), &text, &word(bin.len()), b"BIN\0", &bin].concat());
    STANDARD.encode(file)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_mesh_appears_is_read_once_and_again_when_it_changes() -> Result<()> {
    let set = Set::open(1280, 800, "#field").await?;
    let tab = &set.tab;
    press(tab, "#spectate").await?;
    joined(tab).await?;
    let mut publisher = set.client().await?;
    publisher.send(envelope("hello", &json!({"role": "publisher", "owner_id": "rig"}))).await?;
    publisher.receive_type("hello_ack").await?;
    let mesh = |data: String| json!({"mesh_id": "crate", "mesh_data_b64": data, "translation": [0, 1.2, 0], "static_asset": true});
    publisher.send(envelope("add_mesh", &mesh(crate_of([1.0, 0.0, 1.0])))).await?;
    publisher.receive_type("mesh_ack").await?;
    let points: Vec<_> =
        (0..200).map(|i| [0.5 + f64::from(i % 20) * 0.02, 1.0 + f64::from(i / 20) * 0.02, 0.0]).collect();
    publisher.send(envelope("update_overlay_points", &json!({"overlay_id": "cloud", "points": points}))).await?;
    tab.until("document.body.dataset.meshes === '1'").await?;
    until_seen(tab, "field-mesh", |shot| shot.find(magenta).0 > 2000).await?;

    // Its data came once: whatever else happens in the scene, it is not read again.
    for x in [0.1, 0.2, 0.3] {
        publisher
            .send(envelope("update_mesh_transform", &json!({"mesh_id": "crate", "translation": [x, 1.2, 0]})))
            .await?;
        publisher.receive_type("mesh_ack").await?;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(tab.eval::<String>("document.body.dataset.meshReads").await?, "1");

    publisher.send(envelope("add_mesh", &mesh(crate_of([0.0, 1.0, 0.0])))).await?;
    tab.until("document.body.dataset.meshReads === '2'").await?;
    until_seen(tab, "field-mesh-changed", |shot| shot.find(green).0 > 2000 && shot.find(magenta).0 == 0).await?;

    publisher.send(envelope("add_mesh", &mesh("bm90IGEgbWVzaA==".to_owned()))).await?;
    tab.until("document.body.dataset.fault.startsWith('The mesh crate is not drawn')").await?;
    tab.screenshot("field-mesh-fault").await?;
    drop(publisher);
    tab.until("document.body.dataset.fault === '' && document.body.dataset.meshes === '0'").await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn pulses_last_as_long_as_the_arm_feels_something_and_only_then() -> Result<()> {
    let field = ScriptedRobot::start(Script::default()).await?;
    let address = format!("?ws=wss://localhost:{}/x&mode=spirobs#field", field.addr.port());
    let set = Set::open(1280, 800, &address).await?;
    let tab = &set.tab;
    press(tab, "#join").await?;
    field.until("a hello", |field| !field.messages("hello").is_empty()).await?;
    let hello = &field.messages("hello")[0]["payload"];
    assert_eq!((&hello["role"], &hello["character_mode"]), (&json!("vr_client"), &json!("spirobs")));
    let say = |kind: &str, payload: Value| {
        field.say(&json!({"version": 1, "type": kind, "payload": payload}));
    };
    let arms = json!(["user_1_arm_0", "user_1_arm_1"]);
    say(
        "hello_ack",
        json!({
            "protocol": 1, "server_time": 0.0, "role": "vr_client", "character_mode": "spirobs", "user_id": "user_1",
            "arm_ids": arms, "controlled_arm_ids": arms,
        }),
    );
    joined(tab).await?;
    enter_vr(tab).await?;
    tab.run(
        "window.pulses = []; for (const source of headset.activeSession.inputSources)
            source.gamepad.hapticActuators[0].pulse = (amplitude, ms) => pulses.push([source.handedness, amplitude])",
    )
    .await?;
    let scene = |timestamp: f64, active: bool, intensity: f64| {
        say(
            "scene_state",
            json!({
                "timestamp": timestamp, "arms": {}, "scenery": {}, "user_arms": {}, "meshes": {}, "overlay_points": {},
                "spheres": {}, "haptics": [{"arm_id": "user_1_arm_1", "active": active, "intensity": intensity}],
            }),
        );
    };
    scene(1.0, false, 0.9);
    scene(2.0, true, 0.42);
    scene(3.0, true, 0.42);
    scene(4.0, false, 0.0);
    scene(5.0, false, 0.0);
    tab.until("document.body.dataset.scenes === '5'").await?;
    let pulses: Value = tab.eval("pulses").await?;
    assert_eq!(pulses, json!([["right", 0.42], ["right", 0.42], ["right", 0]]));

    // The controllers of the emulator, as an original server gets them.
    hold(tab, Hand::Left, "trigger", 1).await?;
    field
        .until("a pulled trigger", |field| {
            field.messages("xr_input").last().is_some_and(|input| input["payload"]["actions"]["crawl"] == true)
        })
        .await?;
    let inputs = field.messages("xr_input");
    let input = &inputs.last().context("samples")?["payload"];
    assert_eq!(input["controllers"]["left"]["buttons"]["trigger_click"], true);
    assert_eq!(input["controllers"]["right"]["buttons"]["trigger_click"], false);
    assert!(input.get("seq").is_none(), "nothing is sent that was not agreed on");
    set.close().await
}
