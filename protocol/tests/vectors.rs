//! The interoperability vectors of the VR wire: every `c2s` and `c2s-dc` entry and the `calc` entries of the functions
//! that live here, natively and in a browser.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};

use glam::{DQuat, DVec3};
use serde_json::{Map, Value, json};
use waldo_protocol::geometry::{Frame, Pose};
use waldo_protocol::vr::{
    Action, Cameras, Capability, CartCommand, ClientMessage, Clutch, Controller, EngageToggle, Event, MotionScale,
    Peer, RobotAddress, ServerHello, ServerMessage, Signalling, Snapshot, VrFrame, VrState, dispatch, dispatch_channel,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;
#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);

const TEXT: &str = include_str!("../../tests/vectors/vr.json");

/// Entries of a direction and, for `calc`, of a function.
fn entries(direction: &str, function: Option<&str>) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(TEXT).unwrap();
    all.into_iter()
        .filter(|e| e["direction"] == direction && (function.is_none() || e["message"]["fn"].as_str() == function))
        .collect()
}

/// Runs every entry of a kind and fails if their number is not the one this test claims to cover.
fn run(direction: &str, function: Option<&str>, count: usize, check: impl Fn(&Value, &str)) {
    let entries = entries(direction, function);
    assert_eq!(entries.len(), count, "number of {direction} {function:?} entries");
    for entry in &entries {
        check(entry, entry["name"].as_str().unwrap());
    }
}

fn vector<const N: usize>(value: &Value) -> [f64; N] {
    let axes: Vec<f64> = value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    axes.try_into().unwrap()
}

fn pose<F: Frame>(position: &Value, quaternion: &Value) -> Pose<F> {
    Pose::new(DVec3::from_array(vector(position)), DQuat::from_array(vector(quaternion))).unwrap()
}

#[test]
fn every_entry_is_covered_or_named_as_left_out() {
    let all: Vec<Value> = serde_json::from_str(TEXT).unwrap();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for entry in &all {
        let direction = entry["direction"].as_str().unwrap();
        let kind = match entry["message"]["fn"].as_str() {
            Some(function) if direction == "calc" => format!("calc {function}"),
            _ => direction.to_owned(),
        };
        *kinds.entry(kind).or_default() += 1;
    }
    // Covered by the tests of this file, with the same counts.
    let covered = [
        ("c2s", 37),
        ("c2s-dc", 2),
        ("s2c", 17),
        ("calc engage", 5),
        ("calc clutch", 11),
        ("calc cart", 2),
        ("calc ws_url", 2),
    ];
    // Tested in `playout`; in `scenarios`, but for those of a running server; of a running server.
    let left_out = [("calc playout", 9), ("scenario", 23), ("connect", 3), ("http", 5)];
    let named: BTreeMap<String, usize> =
        covered.into_iter().chain(left_out).map(|(kind, n)| (kind.to_owned(), n)).collect();
    assert_eq!(kinds, named);
    let names: BTreeSet<&str> = all.iter().map(|e| e["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), all.len(), "two entries of one name");
}

#[test]
fn client_messages_are_dispatched_and_answered() {
    run("c2s", None, 37, |entry, name| {
        let message = incoming(entry);
        let expect = &entry["expect"];
        assert_eq!(expect["socket"], "open", "{name}");
        let dispatched = message.as_deref().map(dispatch);
        let verdict = match &dispatched {
            Some(Ok(ClientMessage::Pose(_))) => "accepted",
            Some(Err(_)) => "rejected",
            Some(Ok(_)) | None => "ignored",
        };
        assert_eq!(verdict, expect["pose"].as_str().unwrap_or("ignored"), "{name}: {dispatched:?}");
        if let Some(Ok(ClientMessage::Pose(frame))) = &dispatched {
            assert_frame(frame, &expect["frame"], name);
            let mut again = String::new();
            frame.encode(&mut again);
            assert_eq!(dispatch(&again), Ok(ClientMessage::Pose(*frame)), "{name}");
        } else {
            assert!(expect.get("frame").is_none(), "{name}");
        }

        let replies = match dispatched {
            Some(Ok(message)) => answers(&entry["given"], message),
            _ => Vec::new(),
        };
        let replies: Vec<Value> = replies.iter().map(|r| serde_json::from_str(&r.encode()).unwrap()).collect();
        if let Some(types) = expect.get("replies_types") {
            assert_eq!(&replies.iter().map(|r| r["type"].clone()).collect::<Value>(), types, "{name}");
        } else {
            let expected = expect["replies"].as_array().unwrap();
            assert_eq!(replies.len(), expected.len(), "{name}: {replies:?}");
            for (reply, expected) in replies.iter().zip(expected) {
                assert_matches(reply, expected, name);
            }
        }
    });
}

#[test]
fn the_pose_channel_takes_poses_only() {
    run("c2s-dc", None, 2, |entry, name| {
        let expect = &entry["expect"];
        assert_eq!((&expect["pose"], &expect["channel"]), (&json!("ignored"), &json!("open")), "{name}");
        if let Some(text) = incoming(entry) {
            assert_eq!(dispatch_channel(&text), Ok(ClientMessage::Ignored), "{name}");
        }
    });
}

/// The text of a message; `None` for a binary one, which no decoder gets to see.
fn incoming(entry: &Value) -> Option<String> {
    match entry.get("message") {
        Some(Value::String(text)) => Some(text.clone()),
        Some(message) => Some(message.to_string()),
        None => {
            assert!(entry["hex"].is_string(), "{entry}");
            None
        }
    }
}

/// What a server of these cameras, whose offers are built at once, sends back.
fn answers(given: &Value, message: ClientMessage) -> Vec<ServerMessage> {
    let names: Vec<&str> = given["video"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let cameras = match given["video"].as_str() {
        Some("expected") => Cameras::Expected,
        Some("none") => Cameras::Absent,
        _ if names.is_empty() => Cameras::Absent,
        _ => Cameras::Ready,
    };
    let event = match message {
        ClientMessage::WebrtcRequest => Event::Request(Peer::Video),
        ClientMessage::ControlRequest => Event::Request(Peer::Control),
        ClientMessage::WebrtcAnswer { sdp } => Event::Answer { peer: Peer::Video, sdp },
        ClientMessage::ControlAnswer { sdp } => Event::Answer { peer: Peer::Control, sdp },
        ClientMessage::Hello(hello) => {
            let answer = ServerHello::answer(&hello, Capability::ALL, "waldo/0".to_owned(), "1".to_owned());
            let snapshot = answer.has(Capability::Snapshot).then(|| ServerMessage::Snapshot(empty_snapshot()));
            return [ServerMessage::Hello(answer)].into_iter().chain(snapshot).collect();
        }
        ClientMessage::Ignored => return Vec::new(),
        ClientMessage::Pose(_) => return Vec::new(),
        other => panic!("no vector has a lone message like this: {other:?}"),
    };
    let mut signalling = Signalling::new(cameras);
    let mut actions = signalling.on_event(event);
    let mut sent = Vec::new();
    while !actions.is_empty() {
        let mut next = Vec::new();
        for action in actions {
            match action {
                Action::Send(message) => sent.push(message),
                Action::Build(peer) => {
                    let offer = offer(peer, &names);
                    next.append(&mut signalling.on_event(Event::Built { peer, offer }));
                }
                Action::StrayAnswer(_) => {}
                other => panic!("{other:?}"),
            }
        }
        actions = next;
    }
    sent
}

fn offer(peer: Peer, names: &[&str]) -> ServerMessage {
    let sdp = "v=0\r\n".to_owned();
    match peer {
        Peer::Video => {
            let tracks = names.iter().enumerate().map(|(mid, name)| (mid.to_string(), (*name).to_owned())).collect();
            ServerMessage::WebrtcOffer { sdp, tracks, ice_servers: Vec::new() }
        }
        Peer::Control => ServerMessage::ControlOffer { sdp, ice_servers: Vec::new() },
    }
}

fn empty_snapshot() -> Snapshot {
    Snapshot {
        mode: None,
        episode: None,
        state: VrState::Teleop,
        tracking: false,
        hold: None,
        reset_n: 0,
        driver: None,
        cameras: Vec::new(),
        motion: None,
    }
}

/// Equal but for `<any>`, which matches any text.
fn assert_matches(actual: &Value, expected: &Value, name: &str) {
    match (actual, expected) {
        (Value::String(_), Value::String(any)) if any == "<any>" => {}
        (Value::Object(actual), Value::Object(expected)) => {
            assert!(actual.keys().eq(expected.keys()), "{name}: {actual:?}");
            for (key, expected) in expected {
                assert_matches(&actual[key], expected, name);
            }
        }
        _ => assert_eq!(actual, expected, "{name}"),
    }
}

fn assert_frame(frame: &VrFrame, expected: &Value, name: &str) {
    let expected = expected.as_object().unwrap();
    let actual = frame_fields(frame);
    assert!(expected.keys().all(|key| actual.contains_key(key)), "{name}: an expected key is not compared");
    for (key, actual) in &actual {
        assert_close(actual, expected.get(key).unwrap_or(&Value::Null), &format!("{name}: {key}"));
    }
}

/// The frame under the wire's own names, from its fields, not by the encoder under test.
fn frame_fields(frame: &VrFrame) -> Map<String, Value> {
    let point = |p: DVec3| json!({"x": p.x, "y": p.y, "z": p.z});
    let ee = |hand: &Controller| {
        let q = hand.pose.orientation();
        json!({"position": point(hand.pose.position()), "quaternion": {"x": q.x, "y": q.y, "z": q.z, "w": q.w}})
    };
    let (l, r) = (&frame.left, &frame.right);
    let fields = json!({
        "l_ee": ee(l), "r_ee": ee(r), "l_elbow": point(l.elbow), "r_elbow": point(r.elbow),
        "l_grip": l.grip, "r_grip": r.grip, "l_lock": l.lock, "r_lock": r.lock,
        "reset": frame.reset, "state": frame.state.name(), "t": frame.t, "seq": frame.seq,
        "l_tracked": l.tracked, "r_tracked": r.tracked,
        "l_stick_x": l.stick_x, "l_stick_y": frame.l_stick_y, "r_stick_x": r.stick_x,
        "l_stick_click": l.stick_click, "r_stick_click": r.stick_click,
    });
    match fields {
        Value::Object(fields) => fields,
        _ => unreachable!(),
    }
}

/// Numbers within 1e-6: the vectors hold quaternions as they were sent, ours are normalised.
fn assert_close(actual: &Value, expected: &Value, at: &str) {
    match (actual, expected) {
        (Value::Number(a), Value::Number(b)) => {
            assert!((a.as_f64().unwrap() - b.as_f64().unwrap()).abs() < 1e-6, "{at}: {a} instead of {b}");
        }
        (Value::Object(a), Value::Object(b)) => {
            assert!(a.keys().eq(b.keys()), "{at}");
            for (key, a) in a {
                assert_close(a, &b[key], at);
            }
        }
        _ => assert_eq!(actual, expected, "{at}"),
    }
}

#[test]
fn the_toggle_follows_the_edges_of_the_grips() {
    run("calc", Some("engage"), 5, |entry, name| {
        let mut toggle = EngageToggle::default();
        let mut engaged = Vec::new();
        let mut pushes = Vec::new();
        for locks in entry["message"]["locks"].as_array().unwrap() {
            pushes.extend(toggle.update(locks[0] == 1, locks[1] == 1, true));
            engaged.push(toggle.engaged());
        }
        assert_eq!(json!(engaged), entry["expect"]["engaged"], "{name}");
        assert_eq!(json!(pushes), entry["expect"]["tracking_pushes"], "{name}");
    });
}

#[test]
fn the_clutch_maps_controllers_to_grippers() {
    run("calc", Some("clutch"), 11, |entry, name| {
        let m = &entry["message"];
        let scale = MotionScale { pos: m["m_pos"].as_f64().unwrap(), rot: m["m_rot"].as_f64().unwrap() };
        let clutch = Clutch::engage(pose(&m["p_c0"], &m["q_c0"]), pose(&m["p_fk0"], &m["q_fk0"]), scale);
        let target = clutch.target(pose(&m["p_c"], &m["q_c"]));
        let expect = &entry["expect"];
        let tolerance = expect["tolerance"].as_f64().unwrap();
        let p = DVec3::from_array(vector(&expect["p"]));
        let q = DQuat::from_array(vector(&expect["q"]));
        assert!((target.position() - p).abs().max_element() <= tolerance, "{name}: {target:?}");
        let off =
            [q, -q].map(|q| (target.orientation() - q).to_array().into_iter().fold(0.0, |m: f64, c| m.max(c.abs())));
        assert!(off[0].min(off[1]) <= tolerance, "{name}: {target:?}");
    });
}

#[test]
fn the_sticks_drive_the_cart() {
    run("calc", Some("cart"), 2, |entry, name| {
        let m = &entry["message"];
        let mut text = minimal_frame();
        let fields = m.as_object().unwrap().iter().filter(|(key, _)| *key != "fn");
        text.as_object_mut().unwrap().extend(fields.map(|(key, value)| (key.clone(), value.clone())));
        let Ok(ClientMessage::Pose(frame)) = dispatch(&text.to_string()) else { panic!("{name}: not a frame") };
        let command = CartCommand::asked(&frame);
        let expect = &entry["expect"];
        for (key, actual) in [("vx", command.vx), ("vy", command.vy), ("wz", command.wz)] {
            let expected = expect[key].as_f64().unwrap();
            assert!((actual - expected).abs() <= expect["tolerance"].as_f64().unwrap(), "{name}: {key} {actual}");
        }
        assert_eq!(format!("{:?}", command.lift).to_lowercase(), expect["lift"], "{name}");
    });
}

/// The least that is a pose frame.
fn minimal_frame() -> Value {
    let elbow = json!({"x": 0, "y": 1, "z": 0});
    let ee = json!({"position": elbow, "quaternion": {"x": 0, "y": 0, "z": 0, "w": 1}});
    json!({"l_ee": ee, "r_ee": ee, "l_elbow": elbow, "r_elbow": elbow})
}

#[test]
fn typed_addresses_become_socket_urls() {
    run("calc", Some("ws_url"), 2, |entry, name| {
        let address = RobotAddress::parse(entry["message"]["input"].as_str().unwrap()).unwrap();
        assert_eq!(address.socket_url(), entry["expect"]["url"].as_str().unwrap(), "{name}");
    });
}

#[test]
fn server_messages_are_read_as_a_client_must() {
    run("s2c", None, 17, |entry, name| {
        let text = incoming(entry).unwrap();
        let read = ServerMessage::decode(&text);
        let expect = &entry["expect"];
        let sent = &entry["message"];
        match read {
            Some(ServerMessage::Mode(mode)) => assert_eq!(json!(mode), expect["state"], "{name}"),
            Some(ServerMessage::State(state)) => assert_eq!(state.name(), expect["state"], "{name}"),
            Some(ServerMessage::Episode(n)) => {
                assert_eq!(json!(n.map(|n| format!("Episode {n}"))), expect["episode_label"], "{name}");
            }
            Some(ServerMessage::Tracking(engaged)) => assert_eq!(engaged, expect["engaged"], "{name}"),
            Some(ServerMessage::WebrtcOffer { tracks, ice_servers, .. }) => {
                assert_eq!(expect["reply"], "webrtc-answer", "{name}");
                assert_eq!(json!(tracks), sent["tracks"], "{name}");
                assert_eq!(ice_servers.is_empty(), expect["peer_connection_config"] == "none", "{name}");
                assert_eq!(json!(ice_servers), sent["iceServers"], "{name}");
            }
            Some(ServerMessage::ControlOffer { sdp, ice_servers }) => {
                assert_eq!(
                    (json!(sdp), json!(ice_servers)),
                    (sent["sdp"].clone(), sent["iceServers"].clone()),
                    "{name}"
                );
            }
            Some(ServerMessage::WebrtcPending) => assert_eq!(expect["video"], "connecting", "{name}"),
            Some(ServerMessage::WebrtcUnavailable) => assert_eq!(expect["video"], "none", "{name}"),
            Some(ServerMessage::Hud(value)) => assert_eq!(json!(value), expect["dashboard_popup"], "{name}"),
            None => assert_eq!(expect["state"], "unchanged", "{name}"),
            Some(other) => panic!("{name}: {other:?}"),
        }
    });
}
