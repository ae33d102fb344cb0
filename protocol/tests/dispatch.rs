//! What is a pose, what is signalling, what is refused and under which name.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use waldo_protocol::vr::{
    ClientMessage, MAX_SIGNALLING, MotionScale, RefusalKind, Stop, VrFrame, VrState, dispatch, dispatch_channel,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

/// A minimal valid frame; the last `}` is left off so that more keys can follow.
const OPEN: &str = concat!(
    r#"{"l_ee":{"position":{"x":-0.2,"y":1.1,"z":-0.3},"quaternion":{"x":0,"y":0,"z":0,"w":1}},"#,
    r#""r_ee":{"position":{"x":0.2,"y":1.1,"z":-0.3},"quaternion":{"x":0,"y":0,"z":0,"w":1}},"#,
    r#""l_elbow":{"x":-0.3,"y":0.95,"z":0},"r_elbow":{"x":0.3,"y":0.95,"z":0}"#
);

/// The minimal frame with more keys as JSON text.
fn with(keys: &str) -> String {
    format!("{OPEN},{keys}}}")
}

fn frame(keys: &str) -> VrFrame {
    match dispatch(&with(keys)) {
        Ok(ClientMessage::Pose(frame)) => frame,
        other => panic!("{keys}: {other:?}"),
    }
}

fn refusal(text: &str) -> (RefusalKind, &'static str) {
    match dispatch(text) {
        Err(refusal) => (refusal.kind, refusal.field),
        other => panic!("{text}: {other:?}"),
    }
}

/// The minimal frame with one value replaced, or removed if `None`.
fn changed(path: &[&str], value: Option<Value>) -> String {
    let mut message: Value = serde_json::from_str(&format!("{OPEN}}}")).unwrap();
    let (last, parents) = path.split_last().unwrap();
    let parent = parents.iter().fold(&mut message, |m, key| &mut m[*key]);
    match value {
        Some(value) => parent[*last] = value,
        None => drop(parent.as_object_mut().unwrap().remove(*last)),
    }
    message.to_string()
}

#[test]
fn missing_keys_take_their_defaults() {
    let frame = match dispatch(&format!("{OPEN}}}")) {
        Ok(ClientMessage::Pose(frame)) => frame,
        other => panic!("{other:?}"),
    };
    for hand in [&frame.left, &frame.right] {
        assert_eq!((hand.grip, hand.lock, hand.tracked), (1.0, false, true));
        assert_eq!((hand.stick_x, hand.stick_click), (0.0, false));
    }
    assert_eq!((frame.l_stick_y, frame.reset, frame.state), (0.0, false, VrState::Teleop));
    assert_eq!((frame.t, frame.seq, frame.elbow_est), (None, None, false));
}

#[test]
fn numbers_are_taken_from_what_means_a_number() {
    for (json, value) in [
        ("0.25", 0.25),
        ("1", 1.0),
        ("0", 0.0),
        ("-0.0", 0.0),
        ("1e-1", 0.1),
        ("true", 1.0),
        ("false", 0.0),
        (r#""0.5""#, 0.5),
        (r#"" \t0.5 ""#, 0.5),
        (r#""+.5""#, 0.5),
        (r#""5e-1""#, 0.5),
    ] {
        assert_eq!(frame(&format!(r#""r_grip":{json}"#)).right.grip, value, "{json}");
    }
    for json in ["null", r#""""#, r#""half""#, r#""0x1""#, r#""1,5""#, "{}", r#"{"x":1}"#, "[]", "[0.5]"] {
        assert_eq!(refusal(&with(&format!(r#""r_grip":{json}"#))), (RefusalKind::WrongType, "r_grip"), "{json}");
    }
}

#[test]
fn integers_are_taken_from_what_means_an_integer() {
    for (json, value) in [
        ("7", 7),
        ("-7", -7),
        ("7.0", 7),
        ("1e3", 1000),
        ("true", 1),
        ("false", 0),
        (r#""7""#, 7),
        (r#"" -7.00 ""#, -7),
        (r#""+7""#, 7),
        ("9007199254740991", 9_007_199_254_740_991),
        ("-9007199254740991", -9_007_199_254_740_991),
        (r#""9007199254740991""#, 9_007_199_254_740_991),
    ] {
        assert_eq!(frame(&format!(r#""seq":{json}"#)).seq, Some(value), "{json}");
    }
    assert_eq!(frame(r#""seq":null"#).seq, None);
    for json in ["7.5", r#""7.5""#, r#""1e3""#, r#""""#, r#""-""#, r#"".0""#, r#""7 0""#, "[7]", "{}"] {
        assert_eq!(refusal(&with(&format!(r#""seq":{json}"#))), (RefusalKind::WrongType, "seq"), "{json}");
    }
    let digits = format!(r#""{}""#, "9".repeat(400));
    for json in
        ["9007199254740992", "-9007199254740992", "18446744073709551616", "1e300", r#""9007199254740992""#, &digits]
    {
        assert_eq!(refusal(&with(&format!(r#""seq":{json}"#))), (RefusalKind::OutOfRange, "seq"), "{json}");
    }
}

#[test]
fn bools_are_taken_from_what_means_a_bool() {
    let yes = ["true", "1", "1.0", r#""true""#, r#""TRUE""#, r#""1""#, r#""Yes""#, r#""on""#, r#""t""#, r#""Y""#];
    let no = ["false", "0", "0.0", "-0", r#""False""#, r#""0""#, r#""no""#, r#""OFF""#, r#""f""#, r#""n""#];
    for (values, expected) in [(yes, true), (no, false)] {
        for json in values {
            assert_eq!(frame(&format!(r#""l_lock":{json}"#)).left.lock, expected, "{json}");
        }
    }
    for json in ["2", "0.5", "-1", "null", r#""""#, r#"" true""#, r#""1.0""#, r#""ja""#, "[]", "{}"] {
        assert_eq!(refusal(&with(&format!(r#""l_lock":{json}"#))), (RefusalKind::WrongType, "l_lock"), "{json}");
    }
}

#[test]
fn states_are_taken_by_their_exact_names() {
    for (name, state) in [
        ("teleop", VrState::Teleop),
        ("data_collection", VrState::DataCollection),
        ("recording", VrState::Recording),
        ("saving", VrState::Saving),
        ("error", VrState::Error),
        // An escape is the same letter.
        (r"\u0065rror", VrState::Error),
    ] {
        assert_eq!(frame(&format!(r#""state":"{name}""#)).state, state);
    }
    for json in [r#""Teleop""#, r#"" teleop""#, r#""""#, "null", "0", "true", "[]", "{}"] {
        assert_eq!(refusal(&with(&format!(r#""state":{json}"#))), (RefusalKind::WrongType, "state"), "{json}");
    }
}

#[test]
fn only_objects_are_objects() {
    for path in [&["l_ee"][..], &["r_ee", "position"], &["l_ee", "quaternion"], &["r_elbow"]] {
        for value in
            [json!(null), json!([0.0, 1.0, 2.0, 3.0]), json!(1), json!("x"), json!(true), json!(0.5), json!(-1)]
        {
            let (kind, field) = refusal(&changed(path, Some(value)));
            assert_eq!((kind, field), (RefusalKind::WrongType, path.join(".").as_str()));
        }
    }
}

#[test]
fn a_refusal_names_the_field_that_is_missing() {
    for path in [
        &["l_ee"][..],
        &["r_ee"],
        &["l_elbow"],
        &["r_elbow"],
        &["l_ee", "position"],
        &["r_ee", "quaternion"],
        &["l_ee", "position", "x"],
        &["r_ee", "quaternion", "w"],
        &["l_elbow", "z"],
    ] {
        assert_eq!(refusal(&changed(path, None)), (RefusalKind::MissingField, path.join(".").as_str()));
    }
}

#[test]
fn what_is_not_finite_is_refused_wherever_it_stands() {
    for json in ["1e999", "-1e999", r#""inf""#, r#""-Infinity""#, r#""nan""#, r#""1e999""#] {
        for key in ["l_grip", "r_stick_x", "t"] {
            assert_eq!(refusal(&with(&format!(r#""{key}":{json}"#))), (RefusalKind::NotFinite, key), "{json}");
        }
    }
    for json in ["\"inf\"", "\"nan\""] {
        let value: Value = serde_json::from_str(json).unwrap();
        let text = changed(&["r_ee", "quaternion", "z"], Some(value));
        assert_eq!(refusal(&text), (RefusalKind::NotFinite, "r_ee.quaternion.z"));
    }
    let too_large = with("\"t\":1").replacen("\"y\":1.1", "\"y\":1e999", 1);
    assert_eq!(refusal(&too_large), (RefusalKind::NotFinite, "l_ee.position.y"));
    for token in ["NaN", "Infinity", "-Infinity"] {
        assert_eq!(refusal(&with(&format!(r#""l_grip":{token}"#))), (RefusalKind::NotJson, "message"));
    }
}

#[test]
fn a_number_too_large_beside_a_type_key_is_still_signalling() {
    assert_eq!(dispatch_channel(r#"{"l_grip":1e999,"type":"x"}"#), Ok(ClientMessage::Ignored));
    assert_eq!(dispatch_channel(r#"{"type":"x","l_grip":1e999}"#), Ok(ClientMessage::Ignored));
    assert_eq!(refusal(r#"{"l_grip":1e999,"type":"x""#).0, RefusalKind::NotFinite);
    assert_eq!(refusal(r#"{"l_grip":1e999,"typ":"x"}"#), (RefusalKind::NotFinite, "l_grip"));
    // In keys that nobody reads it does not matter.
    assert_eq!(frame(r#""foo":1e999,"seq":3"#).seq, Some(3));
}

#[test]
fn far_coordinates_are_refused_and_the_last_metre_is_not() {
    for (path, field) in [
        (&["l_ee", "position", "x"][..], "l_ee.position.x"),
        (&["r_ee", "position", "z"], "r_ee.position.z"),
        (&["r_elbow", "y"], "r_elbow.y"),
    ] {
        for far in [1000.01, -1e6] {
            assert_eq!(refusal(&changed(path, Some(json!(far)))), (RefusalKind::OutOfRange, field));
        }
        assert!(dispatch(&changed(path, Some(json!(-1000)))).is_ok());
    }
}

#[test]
fn quaternions_are_normalised_and_short_ones_refused() {
    let text = changed(&["l_ee", "quaternion"], Some(json!({"x": 0, "y": 0, "z": 30, "w": 40})));
    let Ok(ClientMessage::Pose(frame)) = dispatch(&text) else { panic!("refused") };
    let q = frame.left.pose.orientation();
    assert!((q.z - 0.6).abs() < 1e-15 && (q.w - 0.8).abs() < 1e-15, "{q}");
    let short = changed(&["r_ee", "quaternion"], Some(json!({"x": 0, "y": 1e-7, "z": 0, "w": 0})));
    assert_eq!(refusal(&short), (RefusalKind::ZeroQuaternion, "r_ee.quaternion"));
}

#[test]
fn grips_and_sticks_are_clamped() {
    let frame = frame(r#""l_grip":7.5,"r_grip":-0.2,"l_stick_x":1.01,"l_stick_y":-3,"r_stick_x":-1e9"#);
    assert_eq!((frame.left.grip, frame.right.grip), (1.0, 0.0));
    assert_eq!((frame.left.stick_x, frame.l_stick_y, frame.right.stick_x), (1.0, -1.0, -1.0));
}

#[test]
fn the_last_of_duplicate_keys_counts() {
    assert_eq!(frame(r#""seq":1,"seq":2"#).seq, Some(2));
    assert_eq!(frame(r#""seq":"x","seq":2"#).seq, Some(2));
    assert_eq!(refusal(&with(r#""seq":2,"seq":"x""#)), (RefusalKind::WrongType, "seq"));
    assert!(dispatch(&with(r#""l_elbow":{"x":1,"y":1,"z":1,"x":2}"#)).is_ok());
    // The whole object is replaced, not merged.
    assert_eq!(refusal(&with(r#""l_elbow":{"x":1,"y":1}"#)), (RefusalKind::MissingField, "l_elbow.z"));
    assert_eq!(dispatch(r#"{"type":3,"type":"webrtc-request"}"#), Ok(ClientMessage::WebrtcRequest));
    assert_eq!(dispatch(r#"{"type":"webrtc-request","type":null}"#), Ok(ClientMessage::Ignored));
}

#[test]
fn a_type_key_at_the_top_level_makes_it_signalling_whatever_else_is_wrong() {
    for keys in [r#""type":null"#, r#""type":{"a":[1]}"#, r#""type":"pose""#, r#""\u0074ype":1"#] {
        assert_eq!(dispatch(&with(keys)), Ok(ClientMessage::Ignored), "{keys}");
        assert_eq!(dispatch_channel(&with(keys)), Ok(ClientMessage::Ignored), "{keys}");
    }
    assert_eq!(dispatch(r#"{"l_ee":[],"seq":{},"type":"control-request"}"#), Ok(ClientMessage::ControlRequest));
}

#[test]
fn only_the_exact_top_level_key_counts() {
    assert!(matches!(dispatch(&with(r#""Type":"hud","types":1,"x":{"type":"hud"}"#)), Ok(ClientMessage::Pose(_))));
    assert_eq!(refusal(r#"{"Type":"webrtc-request"}"#), (RefusalKind::MissingField, "l_ee"));
    assert_eq!(refusal(r#"{"value":{"type":"webrtc-request"}}"#), (RefusalKind::MissingField, "l_ee"));
}

#[test]
fn keys_of_nobody_are_skipped_at_every_level() {
    assert_eq!(
        frame(r#""r_stick_y":"x","l_":1,"":2,"l_stick":[],"elbow_est":7,"reset_n":-3,"ep_op":"x""#),
        frame(r#""seq":null"#)
    );
    assert!(frame(r#""elbow_est":true"#).elbow_est);
    let deep = format!(r#""deep":{}{}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(frame(&deep), frame(r#""seq":null"#));
}

#[test]
fn what_is_no_object_is_refused_as_a_whole() {
    for text in ["[1,2]", "null", "3", "-3", "0.5", "true", "\"teleop\"", "[{\"type\":\"hud\"}]"] {
        assert_eq!(refusal(text), (RefusalKind::NotAnObject, "message"), "{text}");
    }
}

#[test]
fn what_is_no_json_is_refused_as_a_whole() {
    let bom = format!("\u{feff}{OPEN}}}");
    for text in ["", " ", "hello", "{", "{oops}", "{\"a\":1,}", "[1", "{} {}", "{\"type\":\"hud\"}x", &bom] {
        assert_eq!(refusal(text), (RefusalKind::NotJson, "message"), "{text}");
    }
}

#[test]
fn signalling_whose_fields_do_not_fit_is_refused_by_name() {
    for (text, kind, field) in [
        (r#"{"type":"webrtc-answer"}"#, RefusalKind::WrongType, "sdp"),
        (r#"{"type":"control-answer","sdp":3}"#, RefusalKind::WrongType, "sdp"),
        (r#"{"type":"hud","value":{"a":1e999}}"#, RefusalKind::NotFinite, "message"),
        (r#"{"type":"hello","v":0,"client":"a/1","stream":"s","role":"driver"}"#, RefusalKind::OutOfRange, "v"),
        (r#"{"type":"hello","v":1,"client":3,"stream":"s","role":"driver"}"#, RefusalKind::WrongType, "client"),
        (r#"{"type":"hello","v":1,"client":"a\n","stream":"s","role":"driver"}"#, RefusalKind::OutOfRange, "client"),
        (r#"{"type":"hello","v":1,"client":"a/1","stream":"","role":"driver"}"#, RefusalKind::OutOfRange, "stream"),
        (r#"{"type":"hello","v":1,"client":"a/1","stream":"s"}"#, RefusalKind::WrongType, "role"),
        (
            r#"{"type":"hello","v":1,"client":"a","stream":"s","role":"driver","caps":"hold"}"#,
            RefusalKind::WrongType,
            "caps",
        ),
    ] {
        assert_eq!(refusal(text), (kind, field), "{text}");
    }
    let long = format!(r#"{{"type":"hello","v":1,"client":"a/1","stream":"{}","role":"viewer"}}"#, "s".repeat(65));
    assert_eq!(refusal(&long), (RefusalKind::OutOfRange, "stream"));
    let huge = format!(r#"{{"type":"hud","value":{{"a":"{}"}}}}"#, "x".repeat(MAX_SIGNALLING));
    assert_eq!(refusal(&huge), (RefusalKind::OutOfRange, "message"));
}

#[test]
fn a_stop_is_heard_on_every_path_even_without_a_number() {
    for (text, stop) in [
        (r#"{"type":"stop","n":4}"#, Stop { n: Some(4), clear: false }),
        (r#"{"type":"stop","n":"four","clear":1}"#, Stop { n: None, clear: false }),
        (r#"{"type":"stop","n":5,"clear":true}"#, Stop { n: Some(5), clear: true }),
    ] {
        assert_eq!(dispatch(text), Ok(ClientMessage::Stop(stop)));
        assert_eq!(dispatch_channel(text), Ok(ClientMessage::Stop(stop)));
    }
}

#[test]
fn the_scale_of_the_clutch_is_clamped() {
    let scale = MotionScale { pos: 0.1, rot: 2.0 };
    assert_eq!(dispatch(r#"{"type":"motion","value":{"pos":0,"rot":7}}"#), Ok(ClientMessage::Motion(scale)));
    assert_eq!(refusal(r#"{"type":"motion","value":{"pos":1}}"#), (RefusalKind::WrongType, "rot"));
}

#[test]
fn a_lease_request_of_an_unknown_kind_is_refused() {
    assert_eq!(refusal(r#"{"type":"lease","op":"steal","n":1}"#), (RefusalKind::WrongType, "op"));
    assert_eq!(refusal(r#"{"type":"lease","op":"take","n":1.5}"#), (RefusalKind::WrongType, "n"));
    assert_eq!(refusal(r#"{"type":"lease","op":"take","n":9007199254740992}"#), (RefusalKind::OutOfRange, "n"));
}
