//! A scene whose arms move, for the tests of what is sent of scenes.

use std::collections::BTreeMap;
use std::sync::Arc;

use glam::{DMat3, DQuat, DVec3};
use waldo_protocol::field::{
    ArmState, CharacterMode, Haptic, Mesh, Overlay, SceneState, Sphere, Transform, director_rotation,
};

/// An arm that bends and stretches, all of it at every moment; lengths are the distances of its points.
pub(crate) fn arm(id: &str, owner: &str, base: Transform, elements: usize, time: f64) -> ArmState {
    let mut arm = ArmState::new(id, base);
    arm.owner_user_id = Some(owner.to_owned());
    let mut point = DVec3::from_array(base.translation);
    for i in 0..elements {
        let along = i as f64 / elements as f64;
        let bend = DQuat::from_rotation_y((1.3 * time + 2.1 * along).sin() * along)
            * DQuat::from_rotation_x((0.7 * time + 1.7 * along).cos() * along * 0.8);
        let frame = DMat3::from_quat(bend);
        arm.directors.push([frame.x_axis.to_array(), (-frame.y_axis).to_array(), (-frame.z_axis).to_array()]);
        let length = 0.45 / elements as f64 * (1.0 + 0.02 * (time + along).sin());
        point -= frame.z_axis * length;
        arm.centerline.push(point.to_array());
        arm.radii.push(0.015 * (1.0 - 0.6 * along));
    }
    let points: Vec<_> = arm.centerline.iter().map(|point| DVec3::from_array(*point)).collect();
    arm.element_lengths = points.windows(2).map(|two| two[0].distance(two[1])).collect();
    if let (Some(last), Some(point)) = (arm.directors.last(), arm.centerline.last()) {
        arm.tip = Transform { translation: *point, rotation_xyzw: director_rotation(last) };
    }
    arm
}

/// A user's arms of a mode.
pub(crate) fn arms(mode: CharacterMode, user: &str, time: f64) -> BTreeMap<String, ArmState> {
    let ids = mode.arm_ids(user).into_iter().zip(mode.bases());
    ids.enumerate()
        .map(|(i, (id, base))| (id.clone(), arm(&id, user, base, mode.elements(), time + i as f64)))
        .collect()
}

/// Arms of one user, a mesh, a cloud of points, a ball, and something to feel.
pub(crate) fn scene(mode: CharacterMode, time: f64) -> SceneState {
    let arms = arms(mode, "amy", time);
    let mut mesh = Mesh::new("rock", "rig", "data:model/gltf-binary;base64,Z2xURgIAAAA=".into());
    mesh.static_asset = true;
    let points: Arc<[[f64; 3]]> = (0..50).map(|i| [f64::from(i) * 0.01, 1.0, -0.5]).collect();
    let overlay =
        Overlay { overlay_id: "scan".to_owned(), owner_id: "rig".to_owned(), points, point_size: 0.01, visible: true };
    SceneState {
        timestamp: time,
        user_arms: [("amy".to_owned(), arms.keys().cloned().collect())].into(),
        haptics: vec![Haptic { arm_id: "amy_arm_0".to_owned(), active: false, intensity: 0.0 }],
        arms,
        meshes: [("rock".to_owned(), mesh)].into(),
        overlay_points: [("scan".to_owned(), overlay)].into(),
        spheres: [("ball".to_owned(), Sphere::new("ball", "amy", [0.1, 1.0, -0.6], 0.05))].into(),
        ..SceneState::default()
    }
}

/// Largest difference of two numbers of two scenes that are alike otherwise.
pub(crate) fn distance(a: &SceneState, b: &SceneState) -> f64 {
    let mut most = 0.0_f64;
    let mut differ = |a: &[f64], b: &[f64]| {
        assert_eq!(a.len(), b.len());
        a.iter().zip(b).for_each(|(a, b)| most = most.max((a - b).abs()));
    };
    assert!(a.arms.keys().eq(b.arms.keys()));
    let mut rest = a.clone();
    for ((id, a), b) in a.arms.iter().zip(b.arms.values()) {
        differ(&a.tip.translation, &b.tip.translation);
        differ(&a.tip.rotation_xyzw, &b.tip.rotation_xyzw);
        differ(a.centerline.as_flattened(), b.centerline.as_flattened());
        differ(&a.radii, &b.radii);
        differ(&a.element_lengths, &b.element_lengths);
        differ(a.directors.as_flattened().as_flattened(), b.directors.as_flattened().as_flattened());
        let ArmState { tip, centerline, radii, element_lengths, directors, .. } = b.clone();
        let same = ArmState { tip, centerline, radii, element_lengths, directors, ..a.clone() };
        rest.arms.insert(id.clone(), same);
    }
    assert_eq!(&rest, b);
    most
}
