//! What becomes of a page that is told this and that, without a socket.

use serde_json::{Value, json};

use super::*;

fn ack(user: &str, arms: usize, ext: &[&str]) -> String {
    let arm_ids: Vec<String> = (0..arms).map(|index| format!("{user}_arm_{index}")).collect();
    envelope(
        "hello_ack",
        json!({
            "protocol": 1, "server_time": 0.0, "role": "vr_client", "character_mode": "two-cr", "user_id": user,
            "arm_ids": arm_ids, "controlled_arm_ids": &arm_ids[..2.min(arms)], "ext": ext, "resume_token": "t",
        }),
    )
}

fn scene(payload: Value) -> String {
    let mut whole = json!({
        "timestamp": 1.0, "arms": {}, "scenery": {}, "user_arms": {}, "meshes": {}, "overlay_points": {},
        "spheres": {}, "haptics": [],
    });
    whole.as_object_mut().unwrap().extend(payload.as_object().unwrap().clone());
    envelope("scene_state", whole)
}

fn envelope(kind: &str, payload: Value) -> String {
    json!({"version": 1, "type": kind, "payload": payload}).to_string()
}

fn error(reason: &str) -> String {
    envelope("error", json!({ "reason": reason }))
}

fn driver() -> Session {
    let mut session = Session::default();
    session.choose(Some(Part::Drive(CharacterMode::TwoCr)));
    session.opened();
    session
}

fn sample() -> XrInputSample {
    XrInputSample {
        timestamp: 0.0,
        head_pose: waldo_protocol::field::Transform::IDENTITY,
        controllers: [].into(),
        actions: [].into(),
    }
}

fn user_of(hello: Option<ClientMessage>) -> Option<String> {
    let Some(ClientMessage::Hello(Hello { join: Join::VrClient { user_id, .. }, .. })) = hello else { panic!() };
    user_id
}

#[test]
fn nobody_says_hello_before_choosing_a_part() {
    assert_eq!(Session::default().opened(), None);
}

#[test]
fn a_driver_knows_its_arms_and_those_of_its_hands() {
    let mut session = driver();
    assert_eq!(session.on_text(&ack("me", 3, &[]), 0.0), Todo::Admitted);
    assert_eq!((session.user(), session.arms()), ("me", Some(3)));
    assert_eq!(session.controlled().unwrap(), &["me_arm_0".to_owned(), "me_arm_1".to_owned()]);
    let mut session = driver();
    session.on_text(&ack("me", 1, &[]), 0.0);
    assert_eq!(session.controlled().unwrap()[1], "me_arm_0", "one arm serves both hands");
}

#[test]
fn after_a_lost_socket_the_same_user_comes_back() {
    let mut session = driver();
    session.on_text(&ack("me", 2, &[]), 0.0);
    session.closed();
    assert_eq!(session.user(), "");
    let hello = session.opened();
    let Some(ClientMessage::Hello(said)) = &hello else { panic!() };
    assert_eq!(said.resume_token.as_deref(), Some("t"));
    assert_eq!(user_of(hello).as_deref(), Some("me"));
}

#[test]
fn whose_old_place_is_taken_gets_a_new_one() {
    let mut session = driver();
    session.on_text(&ack("me", 2, &[]), 0.0);
    session.opened();
    let Todo::Answer(hello) = session.on_text(&error("user_id already in use"), 0.0) else { panic!() };
    assert_eq!(user_of(Some(hello)), None);
    assert_eq!(session.on_text(&error("field is full"), 1.0), Todo::Nothing, "asks only once");
    assert_eq!(session.error(1e9), Some("field is full"));
}

#[test]
fn another_choice_is_another_user() {
    let mut session = driver();
    session.on_text(&ack("me", 2, &[]), 0.0);
    session.choose(Some(Part::Drive(CharacterMode::Spirobs)));
    assert_eq!(user_of(session.opened()), None);
}

#[test]
fn an_error_is_shown_for_a_while_and_an_empty_one_never() {
    let mut session = driver();
    session.on_text(&ack("me", 2, &[]), 0.0);
    session.on_text(&error(""), 0.0);
    assert_eq!(session.error(1.0), None);
    session.on_text(&error("unsupported type: x"), 10.0);
    assert_eq!(session.error(11.0), Some("unsupported type: x"));
    assert_eq!(session.error(10.0 + ERROR_SHOWN_MS), None);
    let silence = envelope("error", json!({"reason": "input timeout", "code": "deadman"}));
    session.on_text(&silence, 10_000.0);
    assert!(session.error(10_100.0).unwrap().contains("your arms held still"));
    assert_eq!(session.error(10_000.0 + PASSING_SHOWN_MS), None);
}

#[test]
fn what_holds_the_arms_is_shown_until_it_ends() {
    let mut session = driver();
    session.on_text(&ack("me", 2, &[]), 0.0);
    session.on_text(&envelope("error", json!({"reason": "stopped: nothing moves", "code": "stopped"})), 0.0);
    assert_eq!(session.error(1e9), Some("stopped: nothing moves"));
    session.on_text(&envelope("error", json!({"reason": "", "code": "disconnected"})), 1e9);
    assert!(session.error(1e9).is_some(), "hands that are gone end no hold");
    session.on_text(&envelope("error", json!({"reason": "", "code": "released"})), 1e9);
    assert_eq!(session.error(1e9), None);
}

#[test]
fn only_an_admitted_driver_sends_samples_and_numbers_them_if_agreed() {
    let mut session = driver();
    assert!(session.input(sample(), 0.0).is_none());
    session.on_text(&ack("me", 2, &[]), 0.0);
    let Some(ClientMessage::XrInput(plain)) = session.input(sample(), 0.0) else { panic!() };
    assert_eq!(plain.seq, None);
    session.on_text(&ack("me", 2, &["input-seq/1"]), 0.0);
    let Some(ClientMessage::XrInput(numbered)) = session.input(sample(), 0.0) else { panic!() };
    assert!(numbered.seq.is_some());
    session.choose(Some(Part::Watch));
    assert!(session.input(sample(), 0.0).is_none());
}

#[test]
fn the_round_trip_of_an_input_is_measured() {
    let mut session = driver();
    session.on_text(&ack("me", 2, &["input-seq/1"]), 0.0);
    let Some(ClientMessage::XrInput(input)) = session.input(sample(), 100.0) else { panic!() };
    let ack = json!({"seq": input.seq, "recv_ts": 0.0, "age_ms": 3.0, "lost": 0});
    assert_eq!(session.on_text(&scene(json!({ "input_ack": ack })), 112.0), Todo::Show);
    assert_eq!(session.latency_ms(), Some(12.0));
}

#[test]
fn a_scene_is_taken_also_before_the_answer_to_hello() {
    let mut session = driver();
    session.refresh();
    let before = session.shown().0;
    assert_eq!(session.on_text(&scene(json!({})), 0.0), Todo::Show);
    session.refresh();
    assert!(session.shown().0 > before);
    assert!(!session.admitted());
}

#[test]
fn who_lost_track_of_the_scene_asks_for_a_whole_one_once() {
    let mut session = driver();
    session.on_text(&ack("me", 2, &["scene-delta/1"]), 0.0);
    let delta = envelope("scene_delta", json!({"base": 7, "frame": 8, "timestamp": 1.0}));
    assert_eq!(session.on_text(&delta, 0.0), Todo::Answer(ClientMessage::SceneRequest));
    assert_eq!(session.on_text(&delta, 0.0), Todo::Nothing);
    assert_eq!(session.on_bytes(b"VFS1"), Todo::Nothing);
    assert_eq!(session.on_text(&scene(json!({"frame": 7, "arm_table": []})), 0.0), Todo::Show);
    assert_eq!(session.on_text(&delta, 0.0), Todo::Show);
}

#[test]
fn nothing_is_felt_over_a_closed_socket() {
    let mut session = driver();
    session.on_text(&scene(json!({"haptics": [{"arm_id": "a", "active": true, "intensity": 0.4}]})), 0.0);
    assert_eq!(session.haptics().len(), 1);
    session.closed();
    assert!(session.haptics().is_empty());
}

#[test]
fn what_cannot_be_read_changes_nothing() {
    let mut session = driver();
    for text in ["", "{}", "[1]", &envelope("weather", json!({})), &scene(json!({"timestamp": "late"}))] {
        assert_eq!(session.on_text(text, 0.0), Todo::Nothing, "{text}");
    }
}

#[test]
fn a_camera_sits_on_arms_that_are_drawn_and_on_no_head() {
    let mut session = driver();
    let arm = |id: &str, points: Value| {
        json!({
            "arm_id": id, "base": {"translation": [0, 1, 0], "rotation_xyzw": [0, 0, 0, 1]},
            "tip": {"translation": [0, 1, 0], "rotation_xyzw": [0, 0, 0, 1]}, "centerline": points, "radii": [0.1],
        })
    };
    session.on_text(
        &scene(json!({
            "user_arms": {"a": ["a_arm_0", "a_head"], "b": ["b_arm_0"]},
            "arms": {
                "a_arm_0": arm("a_arm_0", json!([[0, 1, 0], [0, 2, 0]])),
                "a_head": arm("a_head", json!([[0, 1, 0], [0, 2, 0]])),
                "b_arm_0": arm("b_arm_0", json!([[0, 1, 0]])),
            },
        })),
        0.0,
    );
    assert_eq!(session.seats(), [("a".to_owned(), "a_arm_0".to_owned())]);
    assert_eq!(session.others(), 2);
}
