//! The interoperability vectors that concern a server, over real sockets.

use serde_json::{Value, json};

use super::harness::*;

const TEXT: &str = include_str!("../../../tests/vectors/field.json");

fn vectors() -> Vec<Value> {
    serde_json::from_str(TEXT).unwrap()
}

fn text(message: &Value) -> String {
    match &message["raw_text"] {
        Value::String(raw) => raw.clone(),
        _ => message.to_string(),
    }
}

/// Whether an answer is the one expected, where `<…>` stands for any value of a kind.
fn matches(got: &Value, expected: &Value) -> bool {
    match (got, expected) {
        (Value::Number(got), Value::Number(expected)) => got.as_f64() == expected.as_f64(),
        (Value::Number(_), Value::String(any)) if any.starts_with('<') => true,
        (Value::String(got), Value::String(any)) if any.starts_with('<') => !got.is_empty(),
        (Value::Array(got), Value::Array(expected)) => {
            got.len() == expected.len() && got.iter().zip(expected).all(|(got, expected)| matches(got, expected))
        }
        (Value::Object(got), Value::Object(expected)) => {
            got.len() == expected.len()
                && expected.iter().all(|(key, expected)| got.get(key).is_some_and(|got| matches(got, expected)))
        }
        _ => got == expected,
    }
}

async fn expect_replies(name: &str, client: &mut Client, expect: &Value) {
    for expected in expect["replies"].as_array().unwrap() {
        let got = client.reply().await;
        assert!(matches(&got, expected), "{name}: {got} instead of {expected}");
    }
    // What was asked last is answered last: nothing else came before.
    client.send("teleport", json!({})).await;
    let last = client.refusal().await;
    assert!(last.contains("teleport") || last == "hello required first", "{name}: {last}");
}

/// The socket that a vector speaks of.
async fn role(setup: &Setup, role: &str, message: &Value) -> Client {
    let is_hello = message["type"] == "hello";
    match role {
        _ if is_hello => setup.connect().await,
        "(no hello)" => setup.connect().await,
        "vr_client" => setup.user("u").await,
        "spectator" => setup.spectator().await,
        "publisher" | "pub/spec" => setup.publisher("rig").await,
        "publisher2" => setup.publisher("rig2").await,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_recorded_exchanges_of_the_original_go_as_they_went() {
    let all = vectors();
    let exchanges = all.iter().filter(|vector| vector["name"].as_str().unwrap().starts_with("exchange_"));
    // Each begins with a hello, or goes on with the socket before it.
    let mut setup = start();
    let mut client = setup.connect().await;
    let mut speaker = "(no hello)".to_owned();
    let mut first = None;
    let mut played = 0;
    for vector in exchanges {
        let (name, role) = (vector["name"].as_str().unwrap(), vector["message"]["role"].as_str().unwrap());
        let message = &vector["message"]["send"];
        if speaker != role || (message["type"] == "hello" && role != "(no hello)") {
            if role == "vr_client" {
                setup = start();
            } else if role == "spectator" {
                // One with an assigned id joined before.
                first = Some(client);
            }
            client = setup.connect().await;
            role.clone_into(&mut speaker);
        }
        client.send_text(text(message)).await;
        expect_replies(name, &mut client, &vector["expect"]).await;
        played += 1;
    }
    drop(first);
    assert_eq!(played, 22);
}

#[tokio::test]
async fn the_edges_of_the_wire_are_where_they_were() {
    let mut played = 0;
    for vector in vectors() {
        let name = vector["name"].as_str().unwrap();
        if !name.starts_with("edge_") {
            continue;
        }
        played += 1;
        let (message, expect) = (&vector["message"]["send"], &vector["expect"]);
        let setup = start();
        let speaker = vector["message"]["role"].as_str().unwrap();
        // What somebody did before.
        let given = vector["given"].as_str().or(vector["message"]["given"].as_str()).unwrap_or_default();
        let mut before = None;
        let mut client = role(&setup, speaker, message).await;
        if given.contains("'m'") {
            let mesh = json!({"mesh_id": "m", "mesh_data_b64": "Z2xURgIAAAA="});
            let mut other = None;
            let owner = if speaker == "publisher2" { other.insert(setup.publisher("rig").await) } else { &mut client };
            owner.send("add_mesh", mesh).await;
            assert_eq!(owner.reply().await["type"], "mesh_ack");
            until("the mesh is in the scene", || setup.server.scene().meshes.contains_key("m")).await;
            before = other;
        }
        client.send_text(text(message)).await;
        if expect["replies"].is_array() {
            expect_replies(name, &mut client, expect).await;
        } else {
            let ack = client.reply().await;
            let payload = &ack["payload"];
            assert_eq!(ack["type"], "hello_ack", "{name}: {ack}");
            for (key, expected) in expect.as_object().unwrap() {
                match key.as_str() {
                    "user_id_pattern" | "owner_id_pattern" => {
                        let prefix = expected.as_str().unwrap().trim_start_matches('^').trim_end_matches("[0-9]+$");
                        let id = payload[key.trim_end_matches("_pattern")].as_str().unwrap();
                        let number = id.strip_prefix(prefix).unwrap_or_else(|| panic!("{name}: {id}"));
                        assert!(number.bytes().all(|digit| digit.is_ascii_digit()) && !number.is_empty(), "{id}");
                    }
                    "arm_count" => assert_eq!(payload["arm_ids"].as_array().unwrap().len(), 2, "{name}"),
                    "manifest_arms" => assert_eq!(client.reply().await["payload"]["arms"], *expected, "{name}"),
                    key => assert_eq!(payload[key], *expected, "{name}"),
                }
            }
        }
        if speaker == "publisher2" {
            assert!(setup.server.scene().meshes.contains_key("m"), "{name}");
        }
        drop(before);
    }
    assert_eq!(played, 52);
}

#[tokio::test]
async fn a_hello_without_arms_of_its_own_is_told_what_it_is() {
    let setup = start();
    let all = vectors();
    let named = |name: &str| all.iter().find(|vector| vector["name"] == name).unwrap();
    let colours = |ack: &Value, manifest: &Value| -> Vec<Value> {
        let arms = ack["payload"]["arm_ids"].as_array().unwrap();
        arms.iter().map(|arm| manifest["payload"]["arms"][arm.as_str().unwrap()]["color"].clone()).collect()
    };
    for vector in ["manifest_palette", "manifest_foraging"].map(named) {
        let mut client = setup.connect().await;
        client.send("hello", json!({"character_mode": vector["message"]["mode"]})).await;
        let (ack, manifest) = (client.reply().await, client.reply().await);
        assert_eq!(json!(colours(&ack, &manifest)), vector["expect"]["colors"]);
        assert_eq!(ack["payload"]["controlled_arm_ids"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn static_meshes_are_sent_as_often_as_they_must() {
    // Frames cannot be told apart from outside; the rule itself is tested beside it.
    let setup = start();
    let mut rig = setup.publisher("rig").await;
    let mut early = setup.spectator().await;
    let mut strange = setup.connect().await;
    let mesh =
        |id: &str, is_static: bool| json!({"mesh_id": id, "mesh_data_b64": "Z2xURgIAAAA=", "static_asset": is_static});
    rig.send("add_mesh", mesh("a", true)).await;
    rig.send("add_mesh", mesh("b", false)).await;
    let has = |scene: &Value, id: &str| scene["meshes"][id].is_object();
    let with_data = |scene: &Value, id: &str| scene["meshes"][id]["asset_uri"].is_string();
    // First whole, then without; others are always whole.
    let first = early.scene_where(|scene| has(scene, "a")).await;
    assert!(with_data(&first, "a"));
    let second = early.scene_where(|scene| has(scene, "b")).await;
    assert!(!with_data(&early.scene().await, "a"));
    assert!(with_data(&second, "b") && with_data(&early.scene().await, "b"));
    // A socket of its own has marks of its own, and one without hello has none.
    let mut late = setup.spectator().await;
    assert!(with_data(&late.scene_where(|scene| has(scene, "a")).await, "a"));
    assert!(!with_data(&late.scene().await, "a"));
    strange.scene_where(|scene| has(scene, "a")).await;
    assert!(with_data(&strange.scene().await, "a"));
    // Who says hello anew begins anew.
    early.send("hello", json!({"role": "spectator"})).await;
    early.reply().await;
    assert!(with_data(&early.scene().await, "a"));
    assert!(!with_data(&early.scene().await, "a"));
    // What was missing for a frame is sent again.
    rig.send("remove_mesh", json!({"mesh_id": "a"})).await;
    early.scene_where(|scene| !has(scene, "a")).await;
    rig.send("add_mesh", mesh("a", true)).await;
    assert!(with_data(&early.scene_where(|scene| has(scene, "a")).await, "a"));
    // Another mesh under the same name is sent, too.
    rig.send("add_mesh", json!({"mesh_id": "a", "mesh_data_b64": "AAAA", "static_asset": true})).await;
    let changed = early.scene_where(|scene| with_data(scene, "a")).await;
    assert_eq!(changed["meshes"]["a"]["asset_uri"], "data:model/gltf-binary;base64,AAAA");
}
