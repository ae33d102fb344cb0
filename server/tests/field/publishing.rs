//! What publishers may do with what belongs to whom.

use serde_json::{Value, json};

use super::harness::*;

fn mesh(id: &str) -> Value {
    json!({"mesh_id": id, "mesh_data_b64": "Z2xURgIAAAA="})
}

#[tokio::test]
async fn meshes_and_points_belong_to_who_brought_them() {
    let setup = start();
    let (mut rig, mut other) = (setup.publisher("rig").await, setup.publisher("other").await);
    rig.send("add_mesh", mesh("crate")).await;
    assert_eq!(rig.reply().await["payload"], json!({"owner_id": "rig", "mesh_id": "crate", "status": "added"}));
    rig.send("update_overlay_points", json!({"overlay_id": "scan", "points": [[0, 1, 2]]})).await;
    assert_eq!(rig.reply().await["payload"]["status"], "updated");

    other.send("add_mesh", mesh("crate")).await;
    assert_eq!(other.refusal().await, "mesh_id owned by another publisher");
    other.send("update_overlay_points", json!({"overlay_id": "scan"})).await;
    assert_eq!(other.refusal().await, "overlay_id owned by another publisher");
    other.send("update_mesh_transform", json!({"mesh_id": "crate", "visible": false})).await;
    assert_eq!(other.refusal().await, "mesh not found or ownership mismatch for update");
    for message in ["remove_mesh", "clear_meshes", "clear_overlay_points"] {
        other.send(message, json!({"mesh_id": "crate"})).await;
        other.reply().await;
    }
    other.send("remove_overlay_points", json!({"overlay_id": "scan"})).await;
    assert_eq!(other.reply().await["payload"]["status"], "removed");
    let scene = other.scene_where(|scene| scene["meshes"]["crate"].is_object()).await;
    assert_eq!(scene["meshes"]["crate"]["visible"], true);
    assert_eq!(scene["overlay_points"]["scan"]["points"], json!([[0.0, 1.0, 2.0]]));
}

#[tokio::test]
async fn with_a_publisher_goes_what_it_published_and_nothing_else() {
    let setup = start();
    let mut viewer = setup.spectator().await;
    let (mut rig, mut other) = (setup.publisher("rig").await, setup.publisher("other").await);
    for (publisher, id) in [(&mut rig, "a"), (&mut other, "b")] {
        publisher.send("add_mesh", mesh(id)).await;
        publisher.send("update_overlay_points", json!({"overlay_id": id})).await;
        publisher.reply().await;
        publisher.reply().await;
    }
    viewer.scene_where(|scene| scene["meshes"]["a"].is_object() && scene["meshes"]["b"].is_object()).await;
    rig.break_off();
    let scene = viewer.scene_where(|scene| scene["meshes"]["a"].is_null()).await;
    assert!(scene["overlay_points"]["a"].is_null());
    assert!(scene["meshes"]["b"].is_object() && scene["overlay_points"]["b"].is_object());
}

#[tokio::test]
async fn a_wrong_change_of_a_mesh_is_refused_and_poisons_nothing() {
    let setup = start();
    let mut rig = setup.publisher("rig").await;
    rig.send("add_mesh", mesh("crate")).await;
    rig.reply().await;
    rig.send("update_mesh_transform", json!({"mesh_id": "crate", "translation": [1, 2]})).await;
    assert_eq!(rig.refusal().await, "translation must have size 3, got 2");
    let scene = rig.scene_where(|scene| scene["meshes"]["crate"].is_object()).await;
    assert_eq!(scene["meshes"]["crate"]["translation"], json!([0.0, 0.0, 0.0]));
}

#[tokio::test]
async fn acks_tell_the_truth_to_those_who_asked_for_it() {
    let setup = start();
    let mut rig = setup.hello(json!({"role": "publisher", "owner_id": "rig", "ext": ["acks/1"]})).await;
    rig.send("remove_mesh", json!({"mesh_id": "nothing"})).await;
    assert_eq!(
        rig.reply().await["payload"],
        json!({"owner_id": "rig", "mesh_id": "nothing", "status": "removed", "changed": false})
    );
    rig.send("add_mesh", mesh("crate")).await;
    assert_eq!(rig.reply().await["payload"]["changed"], true);
    let moved = json!({"mesh_id": "crate", "translation": [1, 0, 0]});
    rig.send("update_mesh_transform", moved.clone()).await;
    assert_eq!(rig.reply().await["payload"]["changed"], true);
    rig.send("update_mesh_transform", moved).await;
    assert_eq!(rig.reply().await["payload"]["changed"], false);
    rig.send("remove_mesh", json!({"mesh_id": "crate"})).await;
    assert_eq!(rig.reply().await["payload"]["changed"], true);
    rig.send("teleport", json!({})).await;
    let refusal = rig.reply().await;
    assert_eq!(refusal["payload"]["request_type"], "teleport");
    assert_eq!(refusal["payload"]["code"], "unsupported");
}

#[tokio::test]
async fn a_large_mesh_that_is_put_there_again_makes_no_difference() {
    let setup = start();
    let mut rig =
        setup.hello(json!({"role": "publisher", "owner_id": "rig", "ext": ["acks/1", "scene-delta/1"]})).await;
    for (letter, changed) in [("A", true), ("A", false), ("B", true), ("B", false)] {
        let data = letter.repeat(4 << 20);
        rig.send("add_mesh", json!({"mesh_id": "crate", "mesh_data_b64": data, "static_asset": true})).await;
        assert_eq!(rig.reply().await["payload"]["changed"], changed, "{letter}");
    }
}

#[tokio::test]
async fn publishers_have_a_name_space_of_their_own_and_no_names_of_users() {
    let setup = start();
    let _amy = setup.user("amy").await;
    let mut rig = setup.publisher("rig").await;
    rig.send("add_mesh", mesh("crate")).await;
    assert_eq!(rig.reply().await["payload"]["owner_id"], "rig");
    let scene = rig.scene_where(|scene| scene["meshes"]["crate"].is_object()).await;
    assert_eq!(scene["meshes"]["crate"]["owner_id"], "rig", "as it calls itself");
    let refused = async |hello: Value, reason: &str| {
        let mut client = setup.connect().await;
        client.send("hello", hello).await;
        assert_eq!(client.refusal().await, reason);
    };
    refused(json!({"role": "publisher", "owner_id": "amy"}), "owner_id already in use").await;
    refused(json!({"character_mode": "two-cr", "user_id": "rig"}), "user_id already in use").await;
    let pretender = json!({"character_mode": "two-cr", "user_id": "pub:rig"});
    refused(pretender, "a user_id does not begin with pub:").await;
}
