//! Users, their arms and steps.

use super::*;

#[test]
fn both_of_two_users_are_applied_in_the_same_step() {
    let (mut backend, calls) = recorded();
    backend.register_user("amy", CharacterMode::TwoCr).unwrap();
    backend.register_user("bob", CharacterMode::TwoCr).unwrap();
    let (amy, bob) = (all_to(&["amy_arm_0"], 1.0), all_to(&["bob_arm_1"], 2.0));
    backend.step(TICK, &[("bob", &bob), ("amy", &amy)]);
    let applied = taken(&calls);
    assert!(applied.contains(&Call::Command { arm: "amy_arm_0".into(), x: 1.0, previous: None }));
    assert!(applied.contains(&Call::Command { arm: "bob_arm_1".into(), x: 2.0, previous: None }));
    assert!(applied.contains(&Call::Frame(1.0)) && applied.contains(&Call::Frame(2.0)));
}

#[test]
fn one_user_who_comes_and_goes_lets_nobody_else_go() {
    let (mut backend, calls) = recorded();
    backend.register_user("amy", CharacterMode::TwoCr).unwrap();
    backend.register_user("bob", CharacterMode::TwoCr).unwrap();
    let amy = all_to(&["amy_arm_0", "amy_arm_1"], 1.0);
    let bob = all_to(&["bob_arm_0"], 2.0);
    backend.step(TICK, &[("amy", &amy)]);
    backend.step(TICK, &[("amy", &amy), ("bob", &bob)]);
    backend.step(TICK, &[("amy", &amy)]);
    assert_eq!(let_go(&calls), ["bob_arm_0"]);
    backend.step(TICK, &[("amy", &amy)]);
    let again = taken(&calls);
    assert!(again.contains(&Call::Command { arm: "amy_arm_0".into(), x: 1.0, previous: Some(1.0) }), "no new edge");
    backend.step(TICK, &[]);
    assert_eq!(let_go(&calls), ["amy_arm_0", "amy_arm_1"]);
    backend.step(TICK, &[]);
    assert_eq!(let_go(&calls), [""; 0], "once per disappearance");
}

#[test]
fn a_command_moves_only_the_arms_of_its_user() {
    let mut backend = MultiArmPassThroughBackend::new();
    backend.register_user("amy", CharacterMode::TwoCr).unwrap();
    backend.register_user("bob", CharacterMode::TwoCr).unwrap();
    let before = backend.scene().arms.clone();
    let amy = all_to(&["amy_arm_0", "bob_arm_0", "ghost"], 0.4);
    backend.step(TICK, &[("amy", &amy), ("nobody", &amy)]);
    assert_eq!(backend.scene().arms["bob_arm_0"], before["bob_arm_0"]);
    assert_eq!(backend.scene().arms["amy_arm_0"].tip.translation, [0.4, 1.2, 0.3]);
}

#[test]
fn after_an_absence_the_command_before_is_forgotten() {
    let (mut backend, calls) = recorded();
    backend.register_user("amy", CharacterMode::TwoCr).unwrap();
    let amy = all_to(&["amy_arm_0"], 1.0);
    backend.step(TICK, &[("amy", &amy)]);
    backend.step(TICK, &[]);
    taken(&calls);
    backend.step(TICK, &[("amy", &amy)]);
    assert!(taken(&calls).contains(&Call::Command { arm: "amy_arm_0".into(), x: 1.0, previous: None }));
}

#[test]
fn a_reset_forgets_the_last_command() {
    let (mut backend, calls) = recorded();
    let ids = backend.register_user("amy", CharacterMode::TwoCr).unwrap();
    backend.step(TICK, &[("amy", &all_to(&["amy_arm_0"], 1.0))]);
    backend.remove_user("amy");
    assert_eq!(backend.register_user("amy", CharacterMode::TwoCr).unwrap(), ids);
    taken(&calls);
    backend.step(TICK, &[]);
    assert_eq!(taken(&calls), [Call::Step(TICK)], "nothing drives the fresh arms");
}

#[test]
fn one_command_for_arms_of_all_reaches_each_owner_once() {
    let (mut backend, calls) = recorded();
    backend.register_user("amy", CharacterMode::TwoCr).unwrap();
    backend.register_user("bob", CharacterMode::TwoCr).unwrap();
    let both = all_to(&["amy_arm_0", "amy_arm_1", "bob_arm_0"], 1.0);
    backend.step_command(TICK, Some(&both));
    assert_eq!(taken(&calls).iter().filter(|call| matches!(call, Call::Frame(_))).count(), 2);
    backend.step_command(TICK, None);
    assert_eq!(let_go(&calls), [""; 0], "without a command nobody lets go");
    backend.step_command(TICK, Some(&all_to(&["amy_arm_0"], 1.0)));
    assert_eq!(let_go(&calls), ["amy_arm_1", "bob_arm_0"]);
}

#[test]
fn a_user_who_is_there_keeps_mode_and_arms() {
    let mut backend = MultiArmPassThroughBackend::new();
    let ids = backend.register_user("amy", CharacterMode::TwoCr).unwrap();
    backend.step(TICK, &[("amy", &all_to(&["amy_arm_0"], 0.4))]);
    let before = backend.scene().clone();
    assert_eq!(backend.register_user("amy", CharacterMode::OctoWaypoint).unwrap(), ids);
    assert_eq!((backend.scene(), backend.user_mode("amy")), (&before, Some(CharacterMode::TwoCr)));
}

#[test]
fn there_is_room_for_64_users() {
    let mut backend = MultiArmPassThroughBackend::new();
    for user in 0..64 {
        backend.register_user(&format!("user_{user}"), CharacterMode::TwoCr).unwrap();
    }
    let full = backend.register_user("one_more", CharacterMode::TwoCr).unwrap_err();
    assert_eq!(full.to_string(), "there is room for 64 users only");
    assert_eq!(backend.scene().arms.len(), 128);
    backend.remove_user("user_7");
    backend.register_user("one_more", CharacterMode::TwoCr).unwrap();
}

#[test]
fn who_leaves_takes_everything_along_and_nothing_of_anybody_else() {
    for mode in CharacterMode::ALL {
        let mut backend = simulated(Physics::Kinematic);
        backend.register_user("bob", CharacterMode::CathyThrow).unwrap();
        backend.step(TICK, &[]);
        let before = backend.scene().clone();
        backend.register_user("amy", *mode).unwrap();
        backend.step(0.0, &[]);
        backend.remove_user("amy");
        assert_eq!(backend.scene(), &SceneState { arms: backend.scene().arms.clone(), ..before.clone() }, "{mode:?}");
        assert_eq!(backend.scene().arms.keys().collect::<Vec<_>>(), before.arms.keys().collect::<Vec<_>>(), "{mode:?}");
    }
}

#[test]
fn a_simulation_that_diverges_leaves_its_last_finite_state_marked_and_costs_nobody_else() {
    let (mut backend, _) = recorded();
    backend.register_user("amy", CharacterMode::TwoCr).unwrap();
    backend.register_user("bob", CharacterMode::TwoCr).unwrap();
    let good = all_to(&["amy_arm_0"], 0.25);
    backend.step(TICK, &[("amy", &good)]);
    let bad = all_to(&["amy_arm_0"], f64::NAN);
    backend.step(TICK, &[("amy", &bad), ("bob", &all_to(&["bob_arm_0"], 0.5))]);
    let scene = backend.scene();
    assert!(scene.arms["amy_arm_0"].fault && !scene.arms["amy_arm_1"].fault && !scene.arms["bob_arm_0"].fault);
    assert_eq!(scene.arms["amy_arm_0"].tip.translation[0], 0.25);
    assert_eq!(scene.arms["bob_arm_0"].tip.translation[0], 0.5);
    assert_eq!(scene.spheres["amy_ball"].translation[0], 0.25);
    scene.check().unwrap();
    backend.step(TICK, &[("amy", &good)]);
    assert!(!backend.scene().arms["amy_arm_0"].fault, "finite again");
}

#[test]
fn a_stop_freezes_once_applies_nothing_and_lets_edges_pass_by() {
    let (mut backend, calls) = recorded();
    backend.register_user("amy", CharacterMode::TwoCr).unwrap();
    let command = |x| all_to(&["amy_arm_0"], x);
    backend.step(TICK, &[("amy", &command(1.0))]);
    taken(&calls);
    backend.stop(true);
    backend.stop(true);
    backend.step(TICK, &[("amy", &command(2.0))]);
    assert_eq!(taken(&calls), [Call::Freeze]);
    assert!((backend.scene().timestamp - 2.0 * TICK).abs() < 1e-12, "the scene's time goes on");
    backend.stop(false);
    backend.step(TICK, &[("amy", &command(3.0))]);
    assert_eq!(taken(&calls)[0], Call::Command { arm: "amy_arm_0".into(), x: 3.0, previous: Some(2.0) });
}

#[test]
fn who_joins_while_everything_is_stopped_stands_still_too() {
    let physics = Physics::Soft;
    let mut backend = simulated(physics);
    backend.stop(true);
    backend.register_user("amy", CharacterMode::TwoCr).unwrap();
    let before = backend.scene().arms.clone();
    for _ in 0..20 {
        backend.step(TICK, &[("amy", &all_to(&["amy_arm_0"], 0.4))]);
    }
    assert_eq!(backend.scene().arms, before);
}
