//! Meshes and overlays: whose they are, and how many there may be.

use std::sync::Arc;

use waldo_protocol::field::{Mesh, MeshChange, Overlay};

use super::*;

fn mesh(owner: &str, id: &str, data: &str) -> Mesh {
    Mesh::new(id, owner, data.into())
}

fn overlay(owner: &str, id: &str, points: usize) -> Overlay {
    Overlay {
        overlay_id: id.into(),
        owner_id: owner.into(),
        points: vec![[0.0; 3]; points].into(),
        point_size: 0.008,
        visible: true,
    }
}

fn moved(id: &str, x: f64) -> MeshChange {
    MeshChange { mesh_id: id.into(), translation: Some([x, 0.0, 0.0]), ..MeshChange::default() }
}

#[test]
fn what_somebody_else_owns_is_neither_replaced_nor_changed_nor_removed() {
    let mut backend = MultiArmPassThroughBackend::new();
    assert_eq!(backend.add_mesh(mesh("pub:a", "crate", "data:1")), Ok(true));
    assert_eq!(backend.update_overlay(overlay("pub:a", "cloud", 3)), Ok(true));
    let before = backend.scene().clone();
    let refused = backend.add_mesh(mesh("pub:b", "crate", "data:2")).unwrap_err();
    assert_eq!(refused.to_string(), "mesh_id owned by another publisher");
    let refused = backend.update_overlay(overlay("pub:b", "cloud", 1)).unwrap_err();
    assert_eq!(refused.to_string(), "overlay_id owned by another publisher");
    let refused = backend.update_mesh_transform("pub:b", &moved("crate", 1.0)).unwrap_err();
    assert_eq!(refused.to_string(), "mesh not found or ownership mismatch for update");
    assert!(!backend.remove_mesh("pub:b", "crate") && !backend.remove_mesh("pub:b", "nothing"));
    assert!(!backend.remove_overlay("pub:b", "cloud"));
    assert!(!backend.clear_meshes("pub:b") && !backend.clear_overlays("pub:b"));
    backend.remove_owner("pub:b");
    assert_eq!(backend.scene(), &before);
}

#[test]
fn owners_change_what_is_theirs_and_hear_whether_it_made_a_difference() {
    let mut backend = MultiArmPassThroughBackend::new();
    backend.add_mesh(mesh("pub:a", "crate", "data:1")).unwrap();
    assert_eq!(backend.update_mesh_transform("pub:a", &moved("crate", 1.0)), Ok(true));
    assert_eq!(backend.update_mesh_transform("pub:a", &moved("crate", 1.0)), Ok(false));
    assert_eq!(backend.scene().meshes["crate"].translation, [1.0, 0.0, 0.0]);
    assert_eq!(backend.add_mesh(mesh("pub:a", "crate", "data:2")), Ok(true), "replaced, transform included");
    assert_eq!(backend.scene().meshes["crate"].translation, [0.0; 3]);
    assert_eq!(backend.update_overlay(overlay("pub:a", "cloud", 2)), Ok(true));
    assert_eq!(backend.update_overlay(overlay("pub:a", "cloud", 2)), Ok(false));
    assert!(backend.remove_mesh("pub:a", "crate") && backend.clear_overlays("pub:a"));
    assert_eq!(backend.scene(), &SceneState::default());
}

#[test]
fn the_same_data_again_is_the_same_place_in_memory_and_other_data_is_another() {
    let mut backend = MultiArmPassThroughBackend::new();
    let uri = |backend: &MultiArmPassThroughBackend| backend.scene().meshes["crate"].asset_uri.clone().unwrap();
    backend.add_mesh(mesh("pub:a", "crate", "data:1")).unwrap();
    let first = uri(&backend);
    assert_eq!(backend.add_mesh(mesh("pub:a", "crate", "data:1")), Ok(false));
    assert!(Arc::ptr_eq(&first, &uri(&backend)));
    backend.add_mesh(mesh("pub:a", "crate", "data:2")).unwrap();
    assert!(!Arc::ptr_eq(&first, &uri(&backend)));
}

#[test]
fn who_leaves_takes_meshes_and_overlays_along() {
    let mut backend = MultiArmPassThroughBackend::new();
    for owner in ["pub:a", "pub:b"] {
        backend.add_mesh(mesh(owner, &format!("{owner} crate"), "data:1")).unwrap();
        backend.update_overlay(overlay(owner, &format!("{owner} cloud"), 3)).unwrap();
    }
    backend.remove_owner("pub:a");
    let scene = backend.scene();
    assert_eq!(scene.meshes.keys().collect::<Vec<_>>(), ["pub:b crate"]);
    assert_eq!(scene.overlay_points.keys().collect::<Vec<_>>(), ["pub:b cloud"]);
}

#[test]
fn what_is_no_number_or_no_rotation_is_refused_by_name() {
    let mut backend = MultiArmPassThroughBackend::new();
    backend.add_mesh(mesh("pub:a", "crate", "data:1")).unwrap();
    let change = |change: MeshChange| MeshChange { mesh_id: "crate".into(), ..change };
    for (wrong, expected) in [
        (MeshChange { translation: Some([f64::NAN; 3]), ..MeshChange::default() }, "translation must be finite"),
        (MeshChange { scale: Some([f64::INFINITY; 3]), ..MeshChange::default() }, "scale must be finite"),
        (MeshChange { rotation_xyzw: Some([f64::NAN; 4]), ..MeshChange::default() }, "rotation_xyzw must be finite"),
        (
            MeshChange { rotation_xyzw: Some([0.0; 4]), ..MeshChange::default() },
            "rotation_xyzw must be a unit quaternion",
        ),
    ] {
        let refused = backend.update_mesh_transform("pub:a", &change(wrong)).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }
    let odd = Mesh { scale: [f64::NAN; 3], ..mesh("pub:a", "other", "data:1") };
    assert_eq!(backend.add_mesh(odd).unwrap_err().to_string(), "scale must be finite");
    let odd = Overlay { points: vec![[f64::NAN; 3]].into(), ..overlay("pub:a", "cloud", 0) };
    assert_eq!(backend.update_overlay(odd).unwrap_err().to_string(), "points must be finite");
    let odd = Overlay { point_size: 0.0, ..overlay("pub:a", "cloud", 0) };
    assert_eq!(backend.update_overlay(odd).unwrap_err().to_string(), "point_size must be > 0");
    backend.scene().check().unwrap();
    assert_eq!((backend.scene().meshes.len(), backend.scene().overlay_points.len()), (1, 0));
}

#[test]
fn there_is_room_for_so_much_and_not_more() {
    let mut backend = MultiArmPassThroughBackend::new();
    for number in 0..64 {
        backend.add_mesh(mesh("pub:a", &number.to_string(), "data:1")).unwrap();
    }
    let full = backend.add_mesh(mesh("pub:a", "more", "data:1")).unwrap_err();
    assert_eq!(full.to_string(), "there is room for 64 meshes of one owner only");
    backend.add_mesh(mesh("pub:a", "7", "data:2")).expect("replacing needs no room");
    backend.add_mesh(mesh("pub:b", "more", "data:1")).expect("others have room of their own");

    for number in 0..32 {
        backend.update_overlay(overlay("pub:a", &number.to_string(), 1)).unwrap();
    }
    let full = backend.update_overlay(overlay("pub:a", "more", 1)).unwrap_err();
    assert_eq!(full.to_string(), "there is room for 32 overlays of one owner only");
    let full = backend.update_overlay(overlay("pub:b", "large", 200_001)).unwrap_err();
    assert_eq!(full.to_string(), "there is room for 200000 points in an overlay only");
    for number in 0..19 {
        backend.update_overlay(overlay("pub:b", &format!("b{number}"), 200_000)).unwrap();
    }
    backend.update_overlay(overlay("pub:b", "b19", 199_968)).unwrap();
    let full = backend.update_overlay(overlay("pub:b", "b20", 1)).unwrap_err();
    assert_eq!(full.to_string(), "there is room for 4000000 points in overlays only");
}

#[test]
fn a_publisher_cannot_keep_a_user_from_what_the_user_brings() {
    let mut backend = simulated(Physics::Kinematic);
    let id = "amy_octo_waypoint_terrain";
    backend.add_mesh(mesh("pub:a", id, "data:1")).unwrap();
    backend.register_user("amy", CharacterMode::OctoWaypoint).unwrap();
    assert_eq!(backend.scene().meshes[id].owner_id, "amy");
    assert!(backend.add_mesh(mesh("pub:a", id, "data:1")).is_err());
}
