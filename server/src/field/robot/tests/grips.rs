//! What releases a grip and what does not, and who goes on after it.

use super::*;
use crate::control::HANDED_BACK_AFTER;

#[test]
fn a_stop_is_told_and_after_it_the_grips_must_be_released() {
    let mut stage = Stage::with(&["amy"]);
    assert!(stage.field.heeds_stop());
    stage.grip("amy");
    stage.stop(false);
    stage.both("amy", GRIP);
    assert_eq!((stage.follows(), stage.code("amy")), ([false; 2], Some("stopped")));
    stage.stop(true);
    stage.both("amy", GRIP);
    assert_eq!((stage.follows(), stage.code("amy")), ([false; 2], Some("release_grips")));
    stage.grip("amy");
    assert_eq!(stage.follows(), [true; 2]);
}

#[test]
fn buttons_that_detach_or_rest_release_no_grip() {
    for button in [PRIMARY, SECONDARY] {
        let pressed: &'static [&'static str] = if button == PRIMARY { &[PRIMARY] } else { &[SECONDARY] };
        let ways: [fn(&mut Stage); 4] = [
            |stage| {
                stage.stop(false);
                stage.both("amy", GRIP);
                stage.stop(true);
            },
            |stage| stage.step(&[]),
            |stage| stage.both("amy", Does { ahead: 0.9, ..GRIP }),
            |stage| {
                let hold = |stage: &mut Stage, reason| {
                    let now = stage.now();
                    stage.arbiter.lock().unwrap().set_robot_hold(now, reason, &mut Vec::new());
                };
                hold(stage, Some(HoldReason::Fault));
                stage.both("amy", GRIP);
                hold(stage, None);
            },
        ];
        for (way, lets_go) in ways.into_iter().enumerate() {
            let mut stage = Stage::with(&["amy"]);
            stage.grip("amy");
            assert_eq!(stage.follows(), [true; 2]);
            lets_go(&mut stage);
            for does in [GRIP, Does { pressed, ..GRIP }, GRIP, GRIP] {
                let tapped = !does.pressed.is_empty();
                stage.both("amy", does);
                assert_eq!(stage.follows(), [false; 2], "way {way}, {button}");
                if tapped {
                    stage.arbiter.lock().unwrap().take_reset();
                }
            }
            assert!(stage.code("amy").is_some(), "way {way}, {button}: they are told why");
            stage.grip("amy");
            assert_eq!(stage.follows(), [true; 2], "way {way}, {button}");
        }
    }
}

#[test]
fn no_policy_goes_on_while_a_grip_is_held_whatever_detaches_its_arm() {
    let mut stage = Stage::with(&["amy"]);
    stage.act().unwrap();
    stage.grip("amy");
    for _ in 0..600 {
        stage.both("amy", Does { pressed: &[PRIMARY], ..GRIP });
        assert_eq!((stage.follows(), stage.code("amy")), ([false; 2], None));
        assert_eq!(stage.act(), Err(Refused::Operator));
    }
    stage.both("amy", GRIP);
    assert_eq!(stage.follows(), [true; 2], "attached again");
}

#[test]
fn a_button_for_rest_that_is_held_while_its_hand_is_not_seen_counts_once() {
    let mut stage = Stage::with(&["amy"]);
    let rests = Does { pressed: &[SECONDARY], ..OPEN };
    stage.both("amy", OPEN);
    stage.step(&[("amy", [Some(rests.clone()), Some(OPEN)])]);
    assert!(stage.arbiter.lock().unwrap().take_reset());
    stage.step(&[("amy", [None, Some(OPEN)])]);
    stage.step(&[("amy", [Some(rests), Some(OPEN)])]);
    assert!(!stage.arbiter.lock().unwrap().take_reset());
}

#[test]
fn a_policy_goes_on_after_a_user_who_let_go_and_not_after_one_who_left_with_held_grips() {
    let mut stage = Stage::with(&["amy"]);
    stage.act().unwrap();
    stage.grip("amy");
    assert_eq!(stage.act(), Err(Refused::Operator));
    let let_go = stage.now();
    while stage.act().is_err() {
        stage.both("amy", OPEN);
    }
    assert!(stage.now().since(let_go) >= HANDED_BACK_AFTER);
    stage.grip("amy");
    stage.field.remove_user("amy");
    assert_eq!((stage.drives(), stage.act()), (false, Err(Refused::ResetFirst)));
}
