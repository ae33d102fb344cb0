//! Whatever arrives: scenes stay finite, time goes on, and nobody leaves anything behind.

use std::collections::BTreeMap;

use proptest::prelude::*;
use waldo_protocol::field::{GRIP_CLICK, Mesh, MeshChange, PRIMARY, SECONDARY, TRIGGER_CLICK, Twist};

use super::*;

const USERS: [&str; 3] = ["amy", "bob", "amy_arm_0"];

#[derive(Clone, Debug)]
enum Event {
    Join(usize, CharacterMode),
    Leave(usize),
    Stop(bool),
    Mesh(usize, MeshChange),
    Step(f64, Vec<Option<MultiArmCommand>>, usize),
}

fn any_number() -> impl Strategy<Value = f64> {
    prop_oneof![
        8 => -3.0..3.0f64,
        1 => prop::num::f64::ANY,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 1e308, -1e308]),
    ]
}

fn any_transform() -> impl Strategy<Value = Transform> {
    (prop::array::uniform3(any_number()), prop::array::uniform4(any_number()))
        .prop_map(|(translation, rotation_xyzw)| Transform { translation, rotation_xyzw })
}

fn any_buttons() -> impl Strategy<Value = BTreeMap<String, bool>> {
    let names = prop::sample::select(vec![PRIMARY, SECONDARY, GRIP_CLICK, TRIGGER_CLICK, "odd"]);
    prop::collection::btree_map(names.prop_map(str::to_owned), any::<bool>(), 0..5)
}

prop_compose! {
    fn any_arm_command()(
        arm_id in prop::sample::select(vec!["amy_arm_0", "amy_arm_1", "amy_arm_8", "bob_arm_0", "bob_arm_1", "amy_arm_0_arm_1", "amy_head", "ghost"]),
        active in any::<bool>(),
        target in any_transform(),
        joystick in prop::array::uniform2(any_number()),
        buttons in any_buttons(),
    ) -> ArmCommand {
        ArmCommand { arm_id: arm_id.into(), active, target, velocity: Twist::default(), joystick, buttons }
    }
}

fn any_command() -> impl Strategy<Value = MultiArmCommand> {
    (prop::collection::vec(any_arm_command(), 0..4), prop::option::of(any_transform()))
        .prop_map(|(commands, head_pose)| MultiArmCommand { head_pose, ..MultiArmCommand::new(0.0, commands) })
}

fn any_event() -> impl Strategy<Value = Event> {
    let user = 0..USERS.len();
    let dt = prop_oneof![6 => 0.0..0.02f64, 1 => any_number()];
    let change = (any::<bool>(), prop::array::uniform3(any_number()), prop::array::uniform4(any_number()));
    prop_oneof![
        3 => (user.clone(), prop::sample::select(CharacterMode::ALL)).prop_map(|(user, mode)| Event::Join(user, mode)),
        1 => user.clone().prop_map(Event::Leave),
        1 => any::<bool>().prop_map(Event::Stop),
        1 => (user, change).prop_map(|(user, (small, translation, rotation))| Event::Mesh(user, MeshChange {
            mesh_id: "amy_octo_waypoint_terrain".into(),
            translation: Some(translation),
            rotation_xyzw: (!small).then_some(rotation),
            ..MeshChange::default()
        })),
        8 => (dt, prop::collection::vec(prop::option::weighted(0.8, any_command()), USERS.len()), 1..6usize)
            .prop_map(|(dt, commands, times)| Event::Step(dt, commands, times)),
    ]
}

fn check(backend: &MultiArmPassThroughBackend, joined: &BTreeMap<&str, CharacterMode>, simulated: bool) {
    let scene = backend.scene();
    scene.check().expect("finite");
    assert_eq!(
        scene.user_arms.keys().map(String::as_str).collect::<Vec<_>>(),
        joined.keys().copied().collect::<Vec<_>>()
    );
    for (user, arms) in &scene.user_arms {
        assert_eq!(arms, &joined[user.as_str()].arm_ids(user));
        assert!(arms.iter().all(|arm| scene.arms[arm].owner_user_id.as_ref() == Some(user)));
    }
    let has_head = |mode: &&CharacterMode| simulated && **mode == CharacterMode::CathyForaging;
    let heads = joined.values().filter(has_head).count();
    let arms: usize = joined.values().map(|mode| mode.arm_count()).sum();
    assert_eq!(scene.arms.len(), arms + heads);
    assert!(scene.arms.iter().all(|(id, arm)| *id == arm.arm_id && arm.contact_points.len() <= 64));
    let there = |owner: &str| joined.contains_key(owner);
    assert!(scene.arms.values().all(|arm| arm.owner_user_id.as_deref().is_some_and(there)));
    assert!(scene.spheres.iter().all(|(id, sphere)| *id == sphere.sphere_id && there(&sphere.owner_id)));
    assert!(
        scene
            .meshes
            .iter()
            .all(|(id, mesh)| *id == mesh.mesh_id && (there(&mesh.owner_id) || mesh.owner_id == "pub:x"))
    );
    assert!(scene.haptics.iter().all(|haptic| scene.arms.contains_key(&haptic.arm_id)));
    assert!(scene.haptics.iter().all(|haptic| (0.0..=1.0).contains(&haptic.intensity)));
    assert!(backend.clamped().iter().all(|arm| scene.arms.contains_key(arm)));
    assert!(!scene.arms.values().any(|arm| arm.fault), "nothing that arrives makes an arm diverge");
}

fn live(commands: &[Option<MultiArmCommand>]) -> Vec<(&str, &MultiArmCommand)> {
    USERS.iter().zip(commands).filter_map(|(user, command)| Some((*user, command.as_ref()?))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_arrives_the_scene_stays_whole_and_finite(
        physics in prop::sample::select(vec![None, Some(Physics::Kinematic), Some(Physics::Soft)]),
        events in prop::collection::vec(any_event(), 1..40),
    ) {
        let mut backend = match physics {
            Some(physics) => simulated(physics),
            None => MultiArmPassThroughBackend::new(),
        };
        backend.add_mesh(Mesh::new("crate", "pub:x", "data:1".into())).unwrap();
        let mut joined = BTreeMap::new();
        let mut stopped = false;
        for event in events {
            match event {
                Event::Join(user, mode) => {
                    let ids = backend.register_user(USERS[user], mode).unwrap();
                    let mode = *joined.entry(USERS[user]).or_insert(mode);
                    assert_eq!(ids, mode.arm_ids(USERS[user]));
                }
                Event::Leave(user) => {
                    backend.remove_user(USERS[user]);
                    joined.remove(USERS[user]);
                }
                Event::Stop(stop) => {
                    backend.stop(stop);
                    stopped = stop;
                }
                Event::Mesh(user, change) => {
                    // Finite or refused.
                    let _ = backend.update_mesh_transform(USERS[user], &change);
                }
                Event::Step(dt, commands, times) => {
                    for _ in 0..times {
                        let before = backend.scene().clone();
                        backend.step(dt, &live(&commands));
                        let passed = if dt.is_finite() { dt.max(0.0) } else { 0.0 };
                        assert_eq!(backend.scene().timestamp, (before.timestamp + passed).min(f64::MAX));
                        if stopped && physics.is_some() {
                            let moved = |id: &String| before.arms.contains_key(id) && before.arms[id] != backend.scene().arms[id];
                            assert!(!backend.scene().arms.keys().any(moved));
                        }
                    }
                }
            }
            check(&backend, &joined, physics.is_some());
        }
        for user in USERS {
            backend.remove_user(user);
        }
        let scene = backend.scene();
        assert!(scene.arms.is_empty() && scene.user_arms.is_empty() && scene.spheres.is_empty() && scene.haptics.is_empty());
        assert_eq!(scene.meshes.keys().collect::<Vec<_>>(), ["crate"]);
    }

    #[test]
    fn what_one_user_does_never_reaches_the_arms_of_another(
        mode in prop::sample::select(CharacterMode::ALL),
        commands in prop::collection::vec(prop::option::of(any_command()), 1..30),
    ) {
        let physics = Physics::Kinematic;
        let [mut alone, mut beside] = [(); 2].map(|()| simulated(physics));
        for backend in [&mut alone, &mut beside] {
            backend.register_user("bob", CharacterMode::CathyThrow).unwrap();
        }
        beside.register_user("amy", mode).unwrap();
        let bob = all_to(&["bob_arm_0", "bob_arm_1"], 0.4);
        for command in &commands {
            alone.step(TICK, &[("bob", &bob)]);
            let mut live = vec![("bob", &bob)];
            live.extend(command.as_ref().map(|command| ("amy", command)));
            beside.step(TICK, &live);
            for arm in ["bob_arm_0", "bob_arm_1"] {
                assert_eq!(alone.scene().arms[arm], beside.scene().arms[arm]);
            }
        }
    }
}
