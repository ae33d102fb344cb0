//! Properties of the VR wire that hold for every input.

#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use glam::{DQuat, DVec3};
use proptest::prelude::*;
use serde_json::Value;
use waldo_protocol::geometry::{Frame, MAX_COORDINATE, Pose};
use waldo_protocol::vr::{
    ClientMessage, Clutch, Controller, EngageToggle, EpisodeOp, Hand, MotionScale, RobotAddress, ServerMessage,
    VrFrame, VrState, dispatch, dispatch_channel, estimate_elbow,
};

fn point(reach: f64) -> impl Strategy<Value = DVec3> {
    prop::array::uniform3(-reach..=reach).prop_map(DVec3::from_array)
}

fn rotation() -> impl Strategy<Value = DQuat> {
    let component = -1.0..=1.0_f64;
    prop::array::uniform4(component)
        .prop_filter("no direction", |q| q.iter().map(|c| c * c).sum::<f64>() > 1e-6)
        .prop_map(|q| DQuat::from_array(q).normalize())
}

fn pose<F: Frame>(reach: f64) -> impl Strategy<Value = Pose<F>> {
    (point(reach), rotation()).prop_map(|(p, q)| Pose::new(p, q).unwrap())
}

fn controller() -> impl Strategy<Value = Controller> {
    let buttons = (any::<bool>(), any::<bool>(), any::<bool>());
    (pose(MAX_COORDINATE), point(MAX_COORDINATE), 0.0..=1.0, -1.0..=1.0, buttons).prop_map(
        |(pose, elbow, grip, stick_x, (lock, tracked, stick_click))| Controller {
            pose,
            elbow,
            grip,
            lock,
            tracked,
            stick_x,
            stick_click,
        },
    )
}

fn frame() -> impl Strategy<Value = VrFrame> {
    let stamps = (
        prop::option::of(prop::num::f64::NORMAL),
        prop::option::of(-9_007_199_254_740_991..=9_007_199_254_740_991_i64),
        any::<Option<u32>>(),
        prop::option::of((any::<u32>(), prop::sample::select(EpisodeOp::ALL))),
    );
    (controller(), controller(), -1.0..=1.0, any::<(bool, bool)>(), prop::sample::select(VrState::ALL), stamps)
        .prop_map(|(left, right, l_stick_y, (reset, elbow_est), state, (t, seq, reset_n, episode))| VrFrame {
            left,
            right,
            l_stick_y,
            reset,
            state,
            t,
            seq,
            elbow_est,
            reset_n,
            ep_n: episode.map(|(n, _)| n),
            ep_op: episode.map(|(_, op)| op),
        })
}

/// JSON that looks like a message of the wire often enough to reach its depths.
fn json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>().boxed(),
        prop::sample::select(
            &[
                "1",
                "7.0",
                "true",
                "nan",
                "teleop",
                "hud",
                "hello",
                "webrtc-answer",
                "state",
                "hold",
                "lease",
                "stop",
                "pong"
            ][..]
        )
        .prop_map(str::to_owned)
        .boxed(),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let keys = &[
        "type",
        "value",
        "sdp",
        "tracks",
        "iceServers",
        "v",
        "client",
        "stream",
        "role",
        "caps",
        "l_ee",
        "r_ee",
        "position",
        "quaternion",
        "x",
        "y",
        "z",
        "w",
        "l_elbow",
        "r_elbow",
        "l_grip",
        "l_lock",
        "state",
        "t",
        "seq",
        "urls",
    ][..];
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(prop::sample::select(keys).prop_map(str::to_owned), inner, 0..8)
                .prop_map(Value::from_iter),
        ]
    })
}

fn angle(a: DQuat, b: DQuat) -> f64 {
    // Not from acos of the dot product, which has no digits left near zero.
    let d = a.conjugate() * b;
    2.0 * DVec3::new(d.x, d.y, d.z).length().atan2(d.w.abs())
}

proptest! {
    // Some 900 cuts per case.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_frame_cut_anywhere_is_an_error(frame in frame()) {
        let mut text = String::new();
        frame.encode(&mut text);
        for cut in 0..text.len() {
            prop_assert!(dispatch(&text[..cut]).is_err());
        }
    }
}

proptest! {
    #[test]
    fn a_frame_comes_back_as_it_was_sent(frame in frame()) {
        let mut text = String::new();
        frame.encode(&mut text);
        prop_assert_eq!(dispatch(&text), Ok(ClientMessage::Pose(frame)));
        prop_assert_eq!(dispatch_channel(&text), Ok(ClientMessage::Pose(frame)));
    }

    #[test]
    fn no_json_makes_a_decoder_panic(message in json()) {
        let text = message.to_string();
        let typed = message.get("type").is_some();
        let on_socket = dispatch(&text);
        prop_assert_eq!(matches!(on_socket, Ok(ClientMessage::Pose(_))), !typed && on_socket.is_ok());
        prop_assert_eq!(typed, matches!(dispatch_channel(&text), Ok(ClientMessage::Ignored | ClientMessage::Stop(_))));
        if let Some(message) = ServerMessage::decode(&text) {
            prop_assert_eq!(ServerMessage::decode(&message.encode()), Some(message));
        }
    }

    #[test]
    fn no_text_makes_a_decoder_panic(text: String) {
        let _ = (dispatch(&text), dispatch_channel(&text), ServerMessage::decode(&text));
        if let Ok(address) = RobotAddress::parse(&text) {
            prop_assert_eq!(RobotAddress::parse(&address.socket_url()), Ok(address));
        }
    }

    #[test]
    fn an_accepted_frame_holds_only_valid_values(keys in prop::collection::hash_map("[lr]_(grip|stick_x|lock|tracked)|l_stick_y|seq|t|state|reset", json(), 0..4), frame in frame()) {
        let mut text = String::new();
        frame.encode(&mut text);
        text.pop();
        for (key, value) in &keys {
            text.push_str(&format!(",\"{key}\":{value}"));
        }
        text.push('}');
        if let Ok(ClientMessage::Pose(frame)) = dispatch_channel(&text) {
            for hand in [Hand::Left, Hand::Right] {
                let c = frame.controller(hand);
                prop_assert!((0.0..=1.0).contains(&c.grip) && (-1.0..=1.0).contains(&c.stick_x));
            }
            prop_assert!((-1.0..=1.0).contains(&frame.l_stick_y));
            prop_assert!(frame.t.is_none_or(f64::is_finite));
            prop_assert!(frame.seq.is_none_or(|n| n.abs() < 1 << 53));
        }
    }

    #[test]
    fn the_first_engaged_frame_moves_nothing(
        controller in pose(10.0), gripper in pose(2.0), position in 0.1..4.0, rotation in 0.1..4.0,
    ) {
        let target = Clutch::engage(controller, gripper, MotionScale { pos: position, rot: rotation }).target(controller);
        prop_assert!((target.position() - gripper.position()).length() < 1e-12);
        prop_assert!(angle(target.orientation(), gripper.orientation()) < 1e-12);
    }

    #[test]
    fn it_does_not_matter_where_the_operator_faces_and_stands(
        engaged in pose(2.0), now in pose(2.0), gripper in pose(2.0),
        heading in rotation(), place in point(10.0), position in 0.1..4.0,
    ) {
        let moved = |p: Pose<_>| Pose::new(heading * p.position() + place, heading * p.orientation()).unwrap();
        let scale = MotionScale { pos: position, rot: 1.0 };
        let here = Clutch::engage(engaged, gripper, scale).target(now);
        let there = Clutch::engage(moved(engaged), gripper, scale).target(moved(now));
        prop_assert!((here.position() - there.position()).length() < 1e-12 * 1e3);
        prop_assert!(angle(here.orientation(), there.orientation()) < 1e-12);
    }

    #[test]
    fn targets_are_unit_rotations_whatever_the_scale(
        engaged in pose(2.0), now in pose(2.0), gripper in pose(2.0), rotation in -20.0..20.0,
    ) {
        let target = Clutch::engage(engaged, gripper, MotionScale { pos: 1.0, rot: rotation }).target(now);
        prop_assert!((target.orientation().length() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn the_angle_is_scaled_and_the_length_of_the_way_too(
        engaged in pose(2.0), now in pose(2.0), gripper in pose(2.0), scale in 0.0..1.0,
    ) {
        let clutch = Clutch::engage(engaged, gripper, MotionScale { pos: scale, rot: scale });
        let target = clutch.target(now);
        let way = (now.position() - engaged.position()).length();
        prop_assert!(((target.position() - gripper.position()).length() - scale * way).abs() < 1e-12);
        let turned = angle(engaged.orientation(), now.orientation());
        prop_assert!((angle(gripper.orientation(), target.orientation()) - scale * turned).abs() < 1e-12);
    }

    #[test]
    fn near_a_half_turn_targets_stay_close_to_each_other(
        axis in rotation(), beside in 1e-9..1e-3, step in 1e-12..1e-9, gripper in pose(2.0), rotation in 0.1..2.0,
    ) {
        let axis = axis * DVec3::X;
        let at = |angle| Pose::new(DVec3::ZERO, DQuat::from_axis_angle(axis, angle)).unwrap();
        let clutch = Clutch::engage(Pose::IDENTITY, gripper, MotionScale { pos: 1.0, rot: rotation });
        let near = std::f64::consts::PI - beside - step;
        let (a, b) = (clutch.target(at(near)), clutch.target(at(near - step)));
        prop_assert!(angle(a.orientation(), b.orientation()) < 2.0 * step * rotation + 1e-12);
    }

    #[test]
    fn nothing_engages_that_was_not_released_before(
        events in prop::collection::vec((any::<(bool, bool)>(), prop::bool::weighted(0.8), prop::bool::weighted(0.1)), 1..80),
    ) {
        let mut toggle = EngageToggle::default();
        let mut released = false;
        let mut before = (false, false);
        for ((left, right), may_engage, from_outside) in events {
            if from_outside {
                let was = toggle.engaged();
                prop_assert_eq!(toggle.disengage(), was);
                released = false;
            }
            released &= may_engage || toggle.engaged();
            let was = toggle.engaged();
            let change = toggle.update(left, right, may_engage);
            prop_assert_eq!(change.is_some(), toggle.engaged() != was);
            match change {
                Some(true) => {
                    prop_assert!(released && may_engage && left && right && before != (true, true));
                    released = false;
                }
                Some(false) => {
                    prop_assert!((left || right) && before == (false, false));
                    released = false;
                }
                None if !toggle.engaged() && may_engage && !left && !right => released = true,
                None => {}
            }
            prop_assert_eq!(toggle.released(), released && !toggle.engaged());
            before = (left, right);
        }
    }

    #[test]
    fn an_estimated_elbow_fits_the_wire(head in pose(MAX_COORDINATE), hand in pose(MAX_COORDINATE)) {
        for side in [Hand::Left, Hand::Right] {
            let elbow = estimate_elbow(side, head, hand);
            prop_assert!(elbow.is_finite() && elbow.abs().max_element() <= MAX_COORDINATE, "{elbow}");
        }
    }
}
