//! Where octopuses go.

use waldo_protocol::field::{PRIMARY, TRIGGER_CLICK};

use super::*;

/// The middle of the ring of arms.
fn centre(stage: &Stage) -> DVec3 {
    (0..8).map(|arm| DVec3::from_array(stage.arm(arm).base.translation)).sum::<DVec3>() / 8.0
}

/// A hand above a point that points straight down at it.
fn over(point: DVec3) -> DVec3 {
    DVec3::new(point.x, 1.0, point.z)
}

#[test]
fn the_right_stick_crawls_relative_to_where_the_head_looks() {
    for physics in BOTH {
        let mut stage = Stage::new(physics, CharacterMode::CathyForaging);
        let start = centre(&stage);
        let quarter_left = DQuat::from_rotation_y(std::f64::consts::FRAC_PI_2);
        stage.command.head_pose = Some(Transform { rotation_xyzw: quarter_left.to_array(), ..Transform::IDENTITY });
        stage.hand(0, [0.0, 1.0, 0.0]).joystick = [1.0, 1.0];
        stage.run(1.0);
        assert!(centre(&stage).distance(start) < 1e-9, "the left stick steers nothing");
        stage.hand(1, [0.0, 1.0, 0.0]).joystick = [0.0, -1.0];
        stage.run(2.0);
        let way = centre(&stage) - start;
        assert!(way.x < -0.2 && way.z.abs() < 1e-6 && way.y.abs() < 1e-9, "{physics:?}: {way}");
        stage.leave(2.0);
        let stopped = centre(&stage);
        stage.leave(1.0);
        assert!(centre(&stage).distance(stopped) < 1e-3, "{physics:?}: whoever goes steers no more");
    }
}

#[test]
fn the_head_comes_along_and_is_in_no_list() {
    let mut stage = Stage::new(Physics::Soft, CharacterMode::CathyForaging);
    stage.command.head_pose = Some(Transform::IDENTITY);
    stage.hand(1, [0.0, 1.0, 0.0]).joystick = [1.0, 0.0];
    stage.run(2.0);
    let head = &stage.scene().arms["u_head"];
    assert!(DVec3::from_array(head.base.translation).distance(centre(&stage)) < 1e-6);
    assert!(head.tip.translation[1] > 0.15);
    assert!(!stage.scene().user_arms["u"].contains(&"u_head".to_owned()));
    stage.backend.remove_user("u");
    assert!(stage.scene().arms.is_empty() && stage.scene().spheres.is_empty(), "it goes with its owner");
}

#[test]
fn tips_stay_under_the_body_while_it_crawls() {
    for physics in BOTH {
        let mut stage = Stage::new(physics, CharacterMode::CathyForaging);
        stage.command.head_pose = Some(Transform::IDENTITY);
        stage.hand(1, [0.0, 1.0, 0.0]).joystick = [0.7, 0.3];
        for _ in 0..40 {
            stage.run(0.1);
            for arm in 0..8 {
                let away = stage.tip(arm).distance(centre(&stage));
                assert!(away < 0.56, "{physics:?}: tip {arm} is {away} m away");
            }
        }
    }
}

#[test]
fn hands_move_no_arm_of_an_octopus() {
    let mut still = Stage::new(Physics::Kinematic, CharacterMode::OctoWaypoint);
    let mut moved = Stage::new(Physics::Kinematic, CharacterMode::OctoWaypoint);
    still.run(1.0);
    moved.hand(0, [0.5, 0.5, 0.5]);
    moved.press(0, PRIMARY, true);
    moved.run(1.0);
    assert_eq!(moved.scene().arms, still.scene().arms);
}

#[test]
fn a_selected_target_is_reached_for_and_touched() {
    for physics in BOTH {
        let mut stage = Stage::new(physics, CharacterMode::CathyForaging);
        stage.command.head_pose = Some(Transform::IDENTITY);
        let nearest = |stage: &Stage| {
            let middle = centre(stage);
            let distance = |sphere: &Sphere| DVec3::from_array(sphere.translation).distance(middle);
            let nearest = stage.spheres().into_iter().min_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap();
            (nearest.sphere_id.clone(), DVec3::from_array(nearest.translation))
        };
        let (id, place) = nearest(&stage);
        let color = |stage: &Stage| stage.scene().spheres[&id].color_rgb;
        let plain = color(&stage);
        stage.hand(1, over(place));
        stage.click(1, TRIGGER_CLICK);
        assert_ne!(color(&stage), plain, "{physics:?}: selected");
        stage.click(1, TRIGGER_CLICK);
        assert_eq!(color(&stage), plain, "{physics:?}: and deselected");
        stage.run(1.0);
        stage.click(1, TRIGGER_CLICK);
        stage.run(3.0);
        let moved = DVec3::from_array(stage.scene().spheres[&id].translation);
        assert!(moved.distance(place) > 0.1, "{physics:?}: found, and another one lies elsewhere");
        assert_eq!(color(&stage), plain);
    }
}

#[test]
fn a_selection_that_no_arm_reaches_ends_after_six_seconds() {
    let mut stage = Stage::new(Physics::Kinematic, CharacterMode::CathyForaging);
    let middle = centre(&stage);
    let distance = |sphere: &&Sphere| DVec3::from_array(sphere.translation).distance(middle);
    let farthest = stage.spheres().into_iter().max_by(|a, b| distance(a).total_cmp(&distance(b))).unwrap();
    let (id, place, plain) = (farthest.sphere_id.clone(), farthest.translation.into(), farthest.color_rgb);
    stage.hand(0, over(place));
    stage.click(0, TRIGGER_CLICK);
    stage.run(5.9);
    assert_ne!(stage.scene().spheres[&id].color_rgb, plain);
    stage.run(0.2);
    assert_eq!(stage.scene().spheres[&id].color_rgb, plain);
}

#[test]
fn an_octopus_walks_to_its_waypoints_one_after_the_other() {
    for physics in BOTH {
        let mut stage = Stage::new(physics, CharacterMode::OctoWaypoint);
        let waypoints = [DVec3::new(0.3, 0.0, -0.5), DVec3::new(0.3, 0.0, -0.2)];
        for waypoint in waypoints {
            stage.hand(0, over(waypoint));
            stage.click(0, TRIGGER_CLICK);
        }
        let shown = |stage: &Stage| stage.spheres().iter().filter(|sphere| sphere.visible).count();
        assert_eq!(shown(&stage), 2);
        assert_eq!(stage.scene().spheres["u_octo_waypoint_sphere_0"].translation, [0.3, -0.05, -0.5]);
        stage.run(2.0);
        assert_eq!(shown(&stage), 1, "{physics:?}: the first one is reached");
        assert_eq!(stage.scene().spheres["u_octo_waypoint_sphere_0"].translation, [0.3, -0.05, -0.2]);
        stage.run(3.0);
        assert_eq!(shown(&stage), 0, "{physics:?}: hidden while unused");
        let last = DVec3::new(0.3, 0.0, -0.2);
        assert!(centre(&stage).distance(last) < 0.1, "{physics:?}: {}", centre(&stage));
    }
}

#[test]
fn a_held_trigger_sets_one_waypoint_and_no_more_than_eight_wait() {
    let mut stage = Stage::new(Physics::Kinematic, CharacterMode::OctoWaypoint);
    let shown = |stage: &Stage| stage.spheres().iter().filter(|sphere| sphere.visible).count();
    stage.hand(0, over(DVec3::new(1.5, 0.0, 1.0)));
    stage.press(0, TRIGGER_CLICK, true);
    stage.run(0.1);
    assert_eq!(shown(&stage), 1);
    stage.press(0, TRIGGER_CLICK, false);
    stage.run(TICK);
    for _ in 0..10 {
        stage.click(0, TRIGGER_CLICK);
    }
    assert_eq!(shown(&stage), 8);
    stage.hand(0, [0.5, 1.0, -0.5]).target.rotation_xyzw = [1.0, 0.0, 0.0, 0.0];
    stage.click(0, TRIGGER_CLICK);
    assert!(stage.spheres().iter().all(|sphere| sphere.translation == [1.5, -0.05, 1.0]), "upward meets nothing");
}
