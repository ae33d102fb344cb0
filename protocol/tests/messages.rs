//! Golden bytes and round trips of every message in both directions.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use glam::{DQuat, DVec3};
use serde_json::json;
use waldo_protocol::geometry::Pose;
use waldo_protocol::vr::{
    Capability, ClientHello, ClientMessage, Controller, EpisodeOp, Hands, Haptic, HapticPattern, Health, Hold,
    HoldReason, IceServer, LeaseNotice, LeaseOp, LeaseReason, LeaseReply, LeaseRequest, LeaseState, Mode, MotionScale,
    Ping, Pong, Role, ServerHello, ServerMessage, Severity, Snapshot, Stop, VideoHealth, VrFrame, VrState, dispatch,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

fn frame() -> VrFrame {
    let hand = |side: f64| {
        let aim = DQuat::from_xyzw(0.6, 0.0, 0.0, 0.8 * side);
        let pose = Pose::new(DVec3::new(0.2 * side, 1.05, -0.32), aim).unwrap();
        Controller::new(pose, DVec3::new(0.3 * side, 0.95, 0.0))
    };
    VrFrame {
        left: Controller { grip: 0.996_078_431_606_292_7, lock: true, ..hand(-1.0) },
        right: Controller { tracked: false, stick_x: -0.25, stick_click: true, ..hand(1.0) },
        l_stick_y: -1.0,
        reset: true,
        state: VrState::DataCollection,
        t: Some(93_211.400_000_095_37),
        seq: Some(4711),
        elbow_est: true,
        reset_n: Some(3),
        ep_n: Some(u32::MAX),
        ep_op: Some(EpisodeOp::Discard),
    }
}

fn hold() -> Hold {
    Hold {
        reason: HoldReason::ReleaseGrips,
        hand: Hands::Both,
        severity: Severity::Hold,
        text: "Release both grips.".into(),
        since_ms: 12.5,
    }
}

fn ice() -> Vec<IceServer> {
    let plain = IceServer { urls: vec!["stun:a".to_owned()], username: None, credential: None };
    let turn = IceServer {
        urls: vec!["turn:b:3478".to_owned(), "turns:b".to_owned()],
        username: Some("u".to_owned()),
        credential: Some("p".to_owned()),
    };
    vec![plain, turn]
}

/// Every message a client sends, with its bytes.
fn client_messages() -> Vec<(ClientMessage, &'static str)> {
    let confirm = json!({"confirm": "save", "countdownRemainingMs": null, "extra": [1]});
    vec![
        (
            ClientMessage::Pose(frame()),
            concat!(
                r#"{"l_ee":{"position":{"x":-0.2,"y":1.05,"z":-0.32},"quaternion":{"x":0.6,"y":0,"z":0,"w":-0.8}},"#,
                r#""r_ee":{"position":{"x":0.2,"y":1.05,"z":-0.32},"quaternion":{"x":0.6,"y":0,"z":0,"w":0.8}},"#,
                r#""l_elbow":{"x":-0.3,"y":0.95,"z":0},"r_elbow":{"x":0.3,"y":0.95,"z":0},"#,
                r#""l_lock":true,"r_lock":false,"l_grip":0.9960784316062927,"r_grip":1,"#,
                r#""l_tracked":true,"r_tracked":false,"reset":true,"state":"data_collection","#,
                r#""l_stick_x":0,"l_stick_y":-1,"r_stick_x":-0.25,"l_stick_click":false,"r_stick_click":true,"#,
                r#""seq":4711,"t":93211.40000009537,"elbow_est":true,"#,
                r#""reset_n":3,"ep_n":4294967295,"ep_op":"discard"}"#
            ),
        ),
        (ClientMessage::WebrtcRequest, r#"{"type":"webrtc-request"}"#),
        (ClientMessage::WebrtcAnswer { sdp: "v=0\r\n".to_owned() }, r#"{"type":"webrtc-answer","sdp":"v=0\r\n"}"#),
        (ClientMessage::ControlRequest, r#"{"type":"control-request"}"#),
        (ClientMessage::ControlAnswer { sdp: "\"ü".to_owned() }, r#"{"type":"control-answer","sdp":"\"ü"}"#),
        (
            ClientMessage::Hud(confirm.as_object().cloned()),
            r#"{"type":"hud","value":{"confirm":"save","countdownRemainingMs":null,"extra":[1]}}"#,
        ),
        (ClientMessage::Hud(None), r#"{"type":"hud","value":null}"#),
        (
            ClientMessage::Hello(ClientHello {
                v: 1,
                client: "waldo-web/0.1.0".to_owned(),
                stream: "b3f0c2d1".to_owned(),
                role: Role::Viewer,
                caps: Capability::ALL.to_vec(),
            }),
            concat!(
                r#"{"type":"hello","v":1,"client":"waldo-web/0.1.0","stream":"b3f0c2d1","role":"viewer","#,
                r#""caps":["snapshot","lease","counters","hold","haptic","ping","health","elbow-est","motion","stop"]}"#
            ),
        ),
        (ClientMessage::Lease(LeaseRequest { op: LeaseOp::Take, n: 5 }), r#"{"type":"lease","op":"take","n":5}"#),
        (ClientMessage::Ping(Ping { n: 2, t: 1234.5 }), r#"{"type":"ping","n":2,"t":1234.5}"#),
        (
            ClientMessage::Motion(MotionScale { pos: 0.5, rot: 2.0 }),
            r#"{"type":"motion","value":{"pos":0.5,"rot":2.0}}"#,
        ),
        (ClientMessage::Stop(Stop { n: Some(9), clear: false }), r#"{"type":"stop","n":9}"#),
        (ClientMessage::Stop(Stop { n: None, clear: false }), r#"{"type":"stop"}"#),
        (ClientMessage::Stop(Stop { n: Some(10), clear: true }), r#"{"type":"stop","n":10,"clear":true}"#),
    ]
}

/// Every message a server sends, with its bytes.
fn server_messages() -> Vec<(ServerMessage, &'static str)> {
    let tracks =
        BTreeMap::from([("0".to_owned(), "overhead_left".to_owned()), ("1".to_owned(), "left_arm".to_owned())]);
    vec![
        (ServerMessage::Mode(Mode::DataCollection), r#"{"type":"mode","value":"data_collection"}"#),
        (ServerMessage::Mode(Mode::Teleop), r#"{"type":"mode","value":"teleop"}"#),
        (ServerMessage::Episode(Some(3)), r#"{"type":"episode","value":3}"#),
        (ServerMessage::Episode(None), r#"{"type":"episode","value":null}"#),
        (ServerMessage::Hud(None), r#"{"type":"hud","value":null}"#),
        (
            ServerMessage::Hud(json!({"confirm": "discard"}).as_object().cloned()),
            r#"{"type":"hud","value":{"confirm":"discard"}}"#,
        ),
        (ServerMessage::State(VrState::Saving), r#"{"type":"state","value":"saving"}"#),
        (ServerMessage::Tracking(true), r#"{"type":"tracking","value":true}"#),
        (
            ServerMessage::WebrtcOffer { sdp: "v=0\r\n".to_owned(), tracks, ice_servers: ice() },
            concat!(
                r#"{"type":"webrtc-offer","sdp":"v=0\r\n","tracks":{"0":"overhead_left","1":"left_arm"},"#,
                r#""iceServers":[{"urls":["stun:a"]},"#,
                r#"{"urls":["turn:b:3478","turns:b"],"username":"u","credential":"p"}]}"#
            ),
        ),
        (ServerMessage::WebrtcPending, r#"{"type":"webrtc-pending"}"#),
        (ServerMessage::WebrtcUnavailable, r#"{"type":"webrtc-unavailable"}"#),
        (
            ServerMessage::ControlOffer { sdp: "v=0".to_owned(), ice_servers: Vec::new() },
            r#"{"type":"control-offer","sdp":"v=0","iceServers":[]}"#,
        ),
        (
            ServerMessage::LeaseReply(LeaseReply {
                n: 5,
                ok: false,
                state: LeaseState::Held,
                reason: Some(LeaseReason::Denied),
                driver: Some("b3f0c2d1".to_owned()),
            }),
            r#"{"type":"lease","n":5,"ok":false,"state":"held","reason":"denied","driver":"b3f0c2d1"}"#,
        ),
        (
            ServerMessage::LeaseNotice(LeaseNotice {
                driver: None,
                requested_by: Some("x".to_owned()),
                deadline_ms: Some(9_000.0),
            }),
            r#"{"type":"lease","value":{"driver":null,"requested_by":"x","deadline_ms":9000.0}}"#,
        ),
        (
            ServerMessage::Haptic(Haptic {
                hand: Hands::Both,
                amplitude: 0.5,
                ms: 40,
                pattern: Some(HapticPattern::Engage),
            }),
            r#"{"type":"haptic","hand":"both","amplitude":0.5,"ms":40,"pattern":"engage"}"#,
        ),
        (
            ServerMessage::Haptic(Haptic { hand: Hands::Left, amplitude: 1.0, ms: 2000, pattern: None }),
            r#"{"type":"haptic","hand":"left","amplitude":1.0,"ms":2000}"#,
        ),
        (
            ServerMessage::Pong(Pong { n: 2, t: 1234.5, rx: 10.25, tx: 10.5 }),
            r#"{"type":"pong","n":2,"t":1234.5,"rx":10.25,"tx":10.5}"#,
        ),
        (
            ServerMessage::Health(Health {
                pose_hz: 90.0,
                pose_age_ms: Some(4.5),
                gap_ms: 12.0,
                jitter_ms: 3.0,
                delay_ms: 3.5,
                lost: 1,
                duplicates: 2,
                ik_hz: 120.0,
                video: BTreeMap::from([(
                    "left_arm".to_owned(),
                    VideoHealth { fps: 30.0, age_ms: None, kbps: 1100.0, encode_ms: 2.5 },
                )]),
            }),
            concat!(
                r#"{"type":"health","value":{"pose_hz":90.0,"pose_age_ms":4.5,"gap_ms":12.0,"jitter_ms":3.0,"#,
                r#""delay_ms":3.5,"lost":1,"duplicates":2,"ik_hz":120.0,"#,
                r#""video":{"left_arm":{"fps":30.0,"age_ms":null,"kbps":1100.0,"encode_ms":2.5}}}}"#
            ),
        ),
        (
            ServerMessage::Motion(MotionScale { pos: 1.0, rot: 0.1 }),
            r#"{"type":"motion","value":{"pos":1.0,"rot":0.1}}"#,
        ),
        (
            ServerMessage::Hello(ServerHello {
                v: 1,
                server: "waldo/0.1.0".to_owned(),
                conn: "7".to_owned(),
                caps: vec![Capability::Hold],
            }),
            r#"{"type":"hello","v":1,"server":"waldo/0.1.0","conn":"7","caps":["hold"]}"#,
        ),
        (
            ServerMessage::Snapshot(Snapshot {
                mode: Some(Mode::Teleop),
                episode: None,
                state: VrState::Teleop,
                tracking: true,
                hold: Some(hold()),
                reset_n: 2,
                driver: Some("b3f0c2d1".to_owned()),
                cameras: vec!["overhead_left".to_owned(), "left_arm".to_owned()],
                motion: Some(MotionScale { pos: 0.5, rot: 1.0 }),
            }),
            concat!(
                r#"{"type":"snapshot","value":{"mode":"teleop","episode":null,"state":"teleop","tracking":true,"#,
                r#""hold":{"reason":"release_grips","hand":"both","severity":"hold","text":"Release both grips.","#,
                r#""since_ms":12.5},"reset_n":2,"driver":"b3f0c2d1","cameras":["overhead_left","left_arm"],"#,
                r#""motion":{"pos":0.5,"rot":1.0}}}"#
            ),
        ),
        (
            ServerMessage::Hold(Some(hold())),
            concat!(
                r#"{"type":"hold","value":{"reason":"release_grips","hand":"both","severity":"hold","#,
                r#""text":"Release both grips.","since_ms":12.5}}"#
            ),
        ),
        (ServerMessage::Hold(None), r#"{"type":"hold","value":null}"#),
    ]
}

#[test]
fn client_messages_have_these_bytes_and_come_back() {
    for (message, bytes) in client_messages() {
        assert_eq!(message.encode(), bytes);
        assert_eq!(dispatch(bytes), Ok(message));
    }
}

#[test]
fn server_messages_have_these_bytes_and_come_back() {
    for (message, bytes) in server_messages() {
        assert_eq!(message.encode(), bytes);
        assert_eq!(ServerMessage::decode(bytes), Some(message));
    }
}

#[test]
fn a_message_cut_anywhere_is_an_error() {
    for (_, bytes) in client_messages() {
        for cut in (0..bytes.len()).filter(|cut| bytes.is_char_boundary(*cut)) {
            assert!(dispatch(&bytes[..cut]).is_err(), "{}", &bytes[..cut]);
        }
    }
    for (_, bytes) in server_messages() {
        for cut in (0..bytes.len()).filter(|cut| bytes.is_char_boundary(*cut)) {
            assert_eq!(ServerMessage::decode(&bytes[..cut]), None, "{}", &bytes[..cut]);
        }
    }
}

#[test]
fn a_frame_without_stamps_sends_no_stamps() {
    let mut text = String::new();
    VrFrame { t: None, seq: None, elbow_est: false, reset_n: None, ep_n: None, ep_op: None, ..frame() }
        .encode(&mut text);
    assert!(text.ends_with(r#""r_stick_click":true}"#), "{text}");
}

#[test]
fn a_frame_that_holds_no_number_is_refused_by_the_name_of_the_field() {
    for broken in [f64::NAN, f64::INFINITY] {
        let mut text = String::new();
        VrFrame { right: Controller { grip: broken, ..frame().right }, ..frame() }.encode(&mut text);
        assert_eq!(dispatch(&text).unwrap_err().field, "r_grip");
    }
}

#[test]
fn hello_agrees_on_what_both_sides_have() {
    let text = concat!(
        r#"{"type":"hello","v":7,"client":"later/2","stream":"s","role":"spectator","#,
        r#""caps":["later","hold",3,"hold","teleport"]}"#
    );
    let Ok(ClientMessage::Hello(hello)) = dispatch(text) else { panic!("no hello") };
    assert_eq!((hello.v, hello.role, &hello.caps[..]), (7, Role::Viewer, &[Capability::Hold][..]));
    let answer = |offered: &[Capability]| ServerHello::answer(&hello, offered, "waldo/0".to_owned(), "1".to_owned());
    assert_eq!(answer(Capability::ALL).v, 1);
    assert_eq!(answer(Capability::ALL).caps, [Capability::Hold]);
    assert!(answer(Capability::ALL).has(Capability::Hold));
    assert_eq!(answer(&[Capability::Snapshot]).caps, []);
}

#[test]
fn a_hello_without_capabilities_has_none() {
    let text = r#"{"type":"hello","v":1,"client":"a/1","stream":"s","role":"driver"}"#;
    assert!(matches!(dispatch(text), Ok(ClientMessage::Hello(hello)) if hello.caps.is_empty()));
}

#[test]
fn a_client_takes_the_truth_value_of_tracking() {
    for truthy in ["true", "1", "-0.5", r#""false""#, "{}", "[]"] {
        let text = format!(r#"{{"type":"tracking","value":{truthy}}}"#);
        assert_eq!(ServerMessage::decode(&text), Some(ServerMessage::Tracking(true)), "{text}");
    }
    for falsy in ["false", "0", "-0.0", r#""""#, "null"] {
        let text = format!(r#"{{"type":"tracking","value":{falsy}}}"#);
        assert_eq!(ServerMessage::decode(&text), Some(ServerMessage::Tracking(false)), "{text}");
    }
    assert_eq!(ServerMessage::decode(r#"{"type":"tracking"}"#), Some(ServerMessage::Tracking(false)));
}

#[test]
fn an_episode_that_is_no_count_hides_the_label() {
    for (value, n) in [("3", Some(3)), ("3.0", Some(3)), ("2.5", None), ("-1", None), (r#""4""#, None), ("true", None)]
    {
        let text = format!(r#"{{"type":"episode","value":{value}}}"#);
        assert_eq!(ServerMessage::decode(&text), Some(ServerMessage::Episode(n)), "{text}");
    }
}

#[test]
fn a_client_ignores_what_it_does_not_know() {
    for text in [
        r#"{"type":"state","value":"dancing"}"#,
        r#"{"type":"state"}"#,
        r#"{"type":"mode","value":"autonomous"}"#,
        r#"{"type":"hold","value":{"reason":"boredom","hand":"both","severity":"hold","text":"","since_ms":0}}"#,
        r#"{"type":"hold","value":{"reason":"limit","hand":"third","severity":"hold","text":"","since_ms":0}}"#,
        r#"{"type":"webrtc-offer","tracks":{}}"#,
        r#"{"type":"control-offer","sdp":3}"#,
        r#"{"type":"snapshot","value":null}"#,
        r#"{"type":"pong","n":1}"#,
        r#"{"type":null}"#,
        r#"{"value":3}"#,
        "[]",
        "",
    ] {
        assert_eq!(ServerMessage::decode(text), None, "{text}");
    }
}

#[test]
fn an_offer_may_lack_tracks_and_servers_and_hold_strange_ones() {
    let bare = ServerMessage::WebrtcOffer { sdp: "s".to_owned(), tracks: BTreeMap::new(), ice_servers: Vec::new() };
    for text in [
        r#"{"type": "webrtc-offer", "sdp": "s"}"#,
        r#"{"type":"webrtc-offer","sdp":"s","tracks":null,"iceServers":{}}"#,
        r#"{"type":"webrtc-offer","sdp":"s","tracks":{"0":7},"iceServers":[3,{},{"urls":null}]}"#,
    ] {
        assert_eq!(ServerMessage::decode(text).as_ref(), Some(&bare), "{text}");
    }
    let text = r#"{"type":"control-offer","sdp":"s","iceServers":[{"urls":"stun:a","username":null}]}"#;
    let stun = IceServer { urls: vec!["stun:a".to_owned()], username: None, credential: None };
    let offer = ServerMessage::ControlOffer { sdp: "s".to_owned(), ice_servers: vec![stun] };
    assert_eq!(ServerMessage::decode(text), Some(offer));
}
