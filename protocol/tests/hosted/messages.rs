//! The text of the data channels.

use serde_json::{Value, json};
use waldo_protocol::hosted::{
    CameraSelect, ClockReport, CommandFigures, CommandLoss, MAX_NONCE, MapMessage, MapPicture, Nonce, Odom,
    RefusedCommand, RobotState, RobotTelemetry, SpeedMode, SportCommand, ToOperator, ToRobot, Unreadable, VideoState,
    VideoStats, light_level,
};

use crate::json::assert_same;
use crate::vectors::{entries, name};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn to_robot(message: &Value) -> Result<ToRobot, Unreadable> {
    ToRobot::decode(message.to_string().as_bytes())
}

fn to_operator(message: &Value) -> Result<ToOperator, Unreadable> {
    ToOperator::decode(message.to_string().as_bytes())
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// The frame of an entry.
fn frame(entry: &Value) -> String {
    let message = &entry["message"];
    message["raw_text"].as_str().map_or_else(|| message.to_string(), str::to_owned)
}

/// What the robot does with what it read, as far as that is decided by reading.
fn told(message: &ToRobot, expect: &Value, at: &str) {
    match message {
        ToRobot::Ping { client_ts } => {
            let pong = ToOperator::Pong { client_ts: client_ts.clone(), robot_ts: 1.5 };
            let mut reply = expect["reply"]["json"].clone();
            reply["robot_ts"] = json!(1.5);
            assert_same(&value(&pong.encode()), &reply, at);
            assert_eq!((pong.is_text(), &expect["reply"]["frame"]), (true, &json!("text")), "{at}");
        }
        ToRobot::ClockReport(report) => {
            assert_eq!((*report, &expect["effect"]), (ClockReport { rtt_ms: 35.2, offset_ms: 57.4 }, &json!("log")));
        }
        ToRobot::VideoStats(stats) => {
            let axes: Vec<f64> = stats.to_joy(0.0).axes.into_iter().map(f64::from).collect();
            assert_same(&json!(axes), &expect["carrier_axes"], at);
        }
        ToRobot::Light { brightness, .. } => assert_eq!(json!(light_level(*brightness)), expect["level"], "{at}"),
        ToRobot::NavGoal { x, y, .. } if expect.get("goal").is_some() => {
            assert_eq!(json!([x, y, 0.0]), expect["goal"]["position"], "{at}");
        }
        ToRobot::CameraSelect(select) => {
            let cameras: Vec<&str> =
                expect["cameras"].as_array().unwrap().iter().map(|camera| camera.as_str().unwrap()).collect();
            let seen: Vec<&str> = select.of(&cameras).into_iter().map(|camera| cameras[camera]).collect();
            let selection = expect.get("selection").unwrap_or(&expect["composite_order"]);
            assert_eq!(json!(seen), *selection, "{at}");
        }
        ToRobot::TeleopScale { scale, .. } if expect["config"]["enable_ui_scaling"] == true => {
            assert_eq!(json!(scale), expect["scale"], "{at}");
        }
        ToRobot::Gripper { closed } if !expect["gripper_command"].is_null() => {
            assert_eq!(json!({ "closed": closed }), expect["gripper_command"], "{at}");
        }
        _ => {}
    }
}

#[test]
fn what_an_operator_says_is_read_as_the_vectors_have_it() {
    let up = entries("json_").into_iter().filter(|entry| entry["direction"] == "operator->robot");
    let mut count = 0;
    for entry in up {
        count += 1;
        let (frame, expect, at) = (frame(&entry), &entry["expect"], name(&entry));
        let read = ToRobot::decode(frame.as_bytes());
        match at {
            "json_malformed" => assert!(matches!(read, Err(Unreadable::Malformed(_)))),
            "json_ping_without_ts" => assert_eq!(read, Err(Unreadable::Field("client_ts"))),
            "json_unknown_type" => assert_eq!(read, Ok(ToRobot::Unknown("dance".to_owned()))),
            _ => {
                let message = read.unwrap();
                assert_eq!(message.kind(), entry["message"]["type"], "{at}");
                told(&message, expect, at);
                // Refused by what the message says itself; by configuration and state, a robot's own tests have it.
                let hopeless = [
                    "json_sport_unknown",
                    "json_sport_name_not_text",
                    "json_set_mode_bad",
                    "json_light_text",
                    "json_nav_goal_missing_y",
                ];
                assert_eq!(matches!(message, ToRobot::Refused(_)), hopeless.contains(&at), "{at}");
                let answer = expect.get("reply_json").or(expect["reply"].get("json"));
                if let Some(answer) = answer.filter(|answer| answer["type"] == "cmd_ack") {
                    let ok = answer["ok"].as_bool().unwrap();
                    let ack = ToOperator::CmdAck { nonce: message.nonce().cloned(), ok };
                    assert_eq!(value(&ack.encode()), *answer, "{at}");
                    assert!(!ack.is_text());
                }
                if !matches!(message, ToRobot::Refused(_)) {
                    assert_eq!(ToRobot::decode(message.encode().as_bytes()), Ok(message), "{at}");
                }
            }
        }
    }
    assert_eq!(count, 31);
}

#[test]
fn what_a_robot_says_is_read_as_the_vectors_have_it() {
    let down = entries("json_").into_iter().filter(|entry| entry["direction"] == "robot->operator");
    let mut count = 0;
    for entry in down {
        count += 1;
        let (frame, client, at) = (frame(&entry), &entry["expect"]["client"], name(&entry));
        if at == "json_odom" {
            let MapMessage::Odom(odom) = MapMessage::decode(frame.as_bytes()).unwrap() else { panic!("{at}") };
            assert_same(&value(&MapMessage::Odom(odom).encode()), &entry["message"], at);
            let marker = &client["marker_cell_for_map"];
            let number = |value: &Value| value.as_f64().unwrap();
            let map = MapPicture {
                res: number(&marker["res"]),
                origin: [number(&marker["origin"][0]), number(&marker["origin"][1])],
                ..picture()
            };
            let cell = map.cell([odom.x, odom.y]);
            assert!((0..2).all(|i| (cell[i] - number(&marker["cell"][i])).abs() < 1e-9), "{at}");
            let world = map.world(cell);
            assert!((world[0] - odom.x).abs() < 1e-9 && (world[1] - odom.y).abs() < 1e-9);
            continue;
        }
        let message = ToOperator::decode(frame.as_bytes()).unwrap();
        assert!(!message.is_text(), "{at}");
        let written = value(&message.encode());
        match &message {
            ToOperator::CmdAck { nonce, ok } => {
                assert!(*ok, "{at}");
                assert_eq!(json!(nonce), client["pending_resolved"], "{at}");
            }
            ToOperator::Telemetry(telemetry) => {
                let cmd = telemetry.cmd.and_then(|cmd| cmd.latency_ms);
                assert_eq!(json!(cmd), *client.get("cmd_latency_ms").unwrap_or(&Value::Null), "{at}");
                if let Some(soc) = client.get("soc") {
                    assert_eq!(json!(telemetry.soc), *soc, "{at}");
                }
                if let Some(posture) = client.get("posture") {
                    assert_eq!(json!(telemetry.state.posture), *posture, "{at}");
                }
                if let Some(right) = client.get("engaged_right") {
                    assert_eq!(json!(telemetry.state.engaged.unwrap().right), *right, "{at}");
                }
                if let Some(after) = entry["expect"].get("client_after") {
                    assert_eq!(json!(telemetry.state.estopped), after["estopped"], "{at}");
                }
            }
            other => panic!("{at}: {other:?}"),
        }
        assert_same(&written, &entry["message"], at);
    }
    assert_eq!(count, 5);
}

#[test]
fn a_command_that_means_nothing_is_refused_by_its_nonce() {
    let refused = |message: Value| match to_robot(&message).unwrap() {
        ToRobot::Refused(RefusedCommand { nonce, kind, .. }) => (kind, json!(nonce)),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(json!({ "type": "sport_cmd", "nonce": 1 })), ("sport_cmd", json!(1)));
    assert_eq!(refused(json!({ "type": "set_mode", "mode": "RAGE", "nonce": "a" })), ("set_mode", json!("a")));
    assert_eq!(refused(json!({ "type": "obstacle_avoidance", "enabled": 1 })), ("obstacle_avoidance", Value::Null));
    assert_eq!(refused(json!({ "type": "nav_goal", "x": "1", "y": 0, "nonce": 2 })), ("nav_goal", json!(2)));
    for scale in [json!(0), json!(-1), json!("1"), Value::Null] {
        assert_eq!(refused(json!({ "type": "teleop_scale", "scale": scale, "nonce": 3 })), ("teleop_scale", json!(3)));
    }
    for brightness in [json!("bright"), Value::Null, json!([1])] {
        assert_eq!(refused(json!({ "type": "light", "brightness": brightness, "nonce": 4 })), ("light", json!(4)));
    }
}

#[test]
fn a_stop_is_a_stop_whatever_came_with_it() {
    for nonce in [json!([1]), json!({}), json!(true), json!("x".repeat(MAX_NONCE + 1)), Value::Null] {
        let stop = to_robot(&json!({ "type": "estop", "nonce": nonce, "more": [1, 2] }));
        assert_eq!(stop, Ok(ToRobot::Estop { nonce: None }), "{nonce}");
    }
    assert_eq!(to_robot(&json!({ "type": "estop" })), Ok(ToRobot::Estop { nonce: None }));
    let lost = ToRobot::OperatorLost { reason: None };
    assert_eq!(to_robot(&json!({ "type": "operator_lost", "reason": 7 })), Ok(lost));
    assert_eq!(
        to_robot(&json!({ "type": "operator_lost", "reason": "ice" })),
        Ok(ToRobot::OperatorLost { reason: Some("ice".to_owned()) })
    );
}

#[test]
fn a_nonce_is_a_number_or_a_text_and_comes_back_as_it_was() {
    for nonce in [json!(0), json!(-7), json!(9_007_199_254_740_991_u64), json!(0.5), json!(""), json!("broker-1")] {
        let read = to_robot(&json!({ "type": "nav_cancel", "nonce": nonce })).unwrap();
        assert_eq!(json!(read.nonce()), nonce);
        let ack = ToOperator::CmdAck { nonce: read.nonce().cloned(), ok: true };
        assert_eq!(value(&ack.encode())["nonce"], nonce);
        assert_eq!(ToOperator::decode(ack.encode().as_bytes()), Ok(ack));
    }
    for nonce in [json!([]), json!({}), json!(false), json!("x".repeat(MAX_NONCE + 1))] {
        for kind in ["nav_cancel", "estop_clear", "sport_cmd", "light"] {
            assert_eq!(to_robot(&json!({ "type": kind, "nonce": nonce })), Err(Unreadable::Field("nonce")), "{kind}");
        }
    }
    assert_eq!(Nonce::from(7), Nonce::Number(7.into()));
    assert_ne!(Nonce::from(7), Nonce::from("7".to_owned()));
}

#[test]
fn what_is_no_message_is_an_error_and_what_is_unknown_is_not() {
    for frame in ["", " {}", "[]", "null", "\"{}\"", "\u{feff}{}"] {
        assert_eq!(ToRobot::decode(frame.as_bytes()), Err(Unreadable::NotAnObject), "{frame:?}");
        assert_eq!(ToOperator::decode(frame.as_bytes()), Err(Unreadable::NotAnObject), "{frame:?}");
        assert_eq!(MapMessage::decode(frame.as_bytes()), Err(Unreadable::NotAnObject), "{frame:?}");
    }
    for frame in
        [&b"{"[..], b"{} x", b"{\"type\": NaN}", b"{\"type\":\"ping\",\"client_ts\":1e999}", b"{\"a\":\"\xff\"}"]
    {
        assert!(matches!(ToRobot::decode(frame), Err(Unreadable::Malformed(_))), "{frame:?}");
    }
    let deep = format!("{{\"type\":\"dance\",\"a\":{}", "[".repeat(100_000));
    assert!(matches!(ToRobot::decode(deep.as_bytes()), Err(Unreadable::Malformed(_))));
    for kind in [json!(null), json!(1), json!(["estop"])] {
        assert_eq!(to_robot(&json!({ "type": kind })), Err(Unreadable::Field("type")));
    }
    assert_eq!(to_robot(&json!({ "type": "ESTOP" })), Ok(ToRobot::Unknown("ESTOP".to_owned())));
    let ToOperator::Unknown(kind) = to_operator(&json!({ "type": "x".repeat(1000) })).unwrap() else { panic!() };
    assert_eq!(kind.len(), 64);
}

#[test]
fn commands_are_written_as_robots_know_them() {
    let nonce = || Some(Nonce::from(5));
    let known = [
        (
            ToRobot::Sport { command: SportCommand::Damp, nonce: nonce() },
            r#"{"type":"sport_cmd","name":"Damp","nonce":5}"#,
        ),
        (ToRobot::SetMode { mode: SpeedMode::Rage, nonce: nonce() }, r#"{"type":"set_mode","mode":"rage","nonce":5}"#),
        (ToRobot::Estop { nonce: nonce() }, r#"{"type":"estop","nonce":5}"#),
        (ToRobot::OperatorLost { reason: None }, r#"{"type":"operator_lost"}"#),
        (
            ToRobot::CameraSelect(CameraSelect { cams: vec!["cam2".to_owned()] }),
            r#"{"type":"camera_select","cams":["cam2"]}"#,
        ),
        (
            ToRobot::ClockReport(ClockReport { rtt_ms: 80.0, offset_ms: -60.5 }),
            r#"{"type":"clock_report","rtt_ms":80.0,"offset_ms":-60.5}"#,
        ),
    ];
    for (message, text) in known {
        assert_same(&value(&message.encode()), &value(text), text);
        assert_eq!(ToRobot::decode(text.as_bytes()), Ok(message));
    }
}

#[test]
fn motions_and_modes_have_their_words() {
    for command in SportCommand::ALL {
        assert_eq!(SportCommand::parse(command.as_str()), Some(*command));
    }
    let leave = SportCommand::ALL.iter().filter(|command| command.is_acrobatic()).map(|command| command.as_str());
    assert_eq!(leave.collect::<Vec<_>>(), ["FrontPounce", "FrontJump"]);
    let postures = SportCommand::ALL.iter().filter(|command| command.is_posture()).count();
    assert_eq!(postures, 5);
    assert_eq!(SpeedMode::parse("high"), Some(SpeedMode::High));
    assert_eq!(SpeedMode::parse("turbo"), None);
}

#[test]
fn a_lamp_has_eleven_levels() {
    let levels = [0.0, 0.04, 0.05, 0.15, 0.25, 0.5, 0.95, 1.0, 7.0, -1.0, f64::NAN].map(light_level);
    assert_eq!(levels, [0, 0, 0, 2, 2, 5, 10, 10, 10, 0, 0]);
}

#[test]
fn no_bad_field_of_telemetry_hides_a_stop() {
    let telemetry = json!({
        "type": "robot_telemetry", "cmd": [], "soc": "full", "robot_ts": null,
        "state": { "estopped": true, "light": "on", "engaged": 1, "cams": { "a": 1 }, "posture": 7, "video": [] },
    });
    let ToOperator::Telemetry(read) = to_operator(&telemetry).unwrap() else { panic!() };
    let state = RobotState { estopped: Some(true), ..RobotState::default() };
    assert_eq!(read, RobotTelemetry { state, ..RobotTelemetry::default() });
    // Of robots of the first generation, which say little.
    let old =
        json!({ "type": "robot_telemetry", "cmd": { "latency_ms": 1, "jitter_ms": 2, "rate_hz": 3 }, "robot_ts": 4 });
    let ToOperator::Telemetry(read) = to_operator(&old).unwrap() else { panic!() };
    assert_eq!(read.cmd.unwrap().rate_hz, Some(3.0));
    assert_eq!(read.state, RobotState::default());
}

#[test]
fn what_original_pages_do_not_know_is_left_out_unless_it_is_said() {
    let plain = ToOperator::Telemetry(RobotTelemetry {
        cmd: Some(CommandFigures { latency_ms: Some(42.0), ..CommandFigures::default() }),
        ..RobotTelemetry::default()
    });
    let expected = json!({
        "type": "robot_telemetry", "soc": null, "state": {}, "robot_ts": 0.0,
        "cmd": { "latency_ms": 42.0, "jitter_ms": null, "rate_hz": null, "throughput_bps": null },
    });
    assert_eq!(value(&plain.encode()), expected);

    let loss = CommandLoss { received: 10, lost: 2, jitter_rfc3550_ms: 0.5, ..CommandLoss::default() };
    let video = VideoState { target_kbps: 900.0, width: 640, height: 360, fps: 15.0, reason: "loss".to_owned() };
    let more = ToOperator::Telemetry(RobotTelemetry {
        cmd: Some(CommandFigures { loss: Some(loss), ..CommandFigures::default() }),
        state: RobotState { video: Some(video), hold: Some("no poses".to_owned()), ..RobotState::default() },
        ..RobotTelemetry::default()
    });
    let written = value(&more.encode());
    assert_eq!((&written["cmd"]["lost"], &written["state"]["video"]["target_kbps"]), (&json!(2), &json!(900.0)));
    assert_eq!(ToOperator::decode(more.encode().as_bytes()), Ok(more));
}

#[test]
fn figures_of_video_that_are_no_numbers_are_not_taken() {
    for (field, wrong) in [("fps", json!("15")), ("width", json!([1])), ("codec", json!(7)), ("ts", json!({}))] {
        assert_eq!(to_robot(&json!({ "type": "video_stats", field: wrong })), Err(Unreadable::Field(field)));
    }
    let odd = to_robot(&json!({ "type": "video_stats", "width": 1280.9, "height": -4, "freezes": 1e300, "ts": 0 }));
    let read = VideoStats { width: 1280, freezes: u32::MAX, ..VideoStats::default() };
    assert_eq!(odd, Ok(ToRobot::VideoStats(read)));
}

#[test]
fn the_carrier_of_video_figures_has_ten_axes_and_its_own_time() {
    let stats = VideoStats { fps: 30.0, e2e_latency_ms: 142.0, codec: "H264".to_owned(), ..VideoStats::default() };
    let joy = stats.to_joy(1_700_000_000.5);
    assert_eq!((joy.axes.len(), joy.buttons.len(), joy.header.stamp.sec), (10, 0, 1_700_000_000));
    let back = VideoStats::from_joy(&joy).unwrap();
    assert_eq!(back, VideoStats { codec: String::new(), ts: Some(1_700_000_000.5), ..stats.clone() });
    let stamped = VideoStats { ts: Some(5.0), ..stats };
    assert_eq!(stamped.to_joy(9.0).header.stamp.sec, 5);

    let mut short = joy;
    short.axes.truncate(1);
    assert_eq!(VideoStats::from_joy(&short).map(|stats| (stats.fps, stats.e2e_latency_ms)), Some((30.0, 0.0)));
    short.header.frame_id = "left".to_owned();
    assert_eq!(VideoStats::from_joy(&short), None);
}

fn picture() -> MapPicture {
    MapPicture {
        fmt: "png".to_owned(),
        w: 120,
        h: 80,
        res: 0.1,
        origin: [-6.0, -4.0],
        stamp: 1.5,
        png_b64: "iVBO".to_owned(),
        reduced: false,
    }
}

#[test]
fn maps_are_written_compactly_and_read_strictly() {
    let map = MapMessage::Map(picture());
    assert_eq!(
        map.encode(),
        r#"{"type":"map","fmt":"png","w":120,"h":80,"res":0.1,"origin":[-6.0,-4.0],"stamp":1.5,"png_b64":"iVBO"}"#
    );
    assert_eq!(MapMessage::decode(map.encode().as_bytes()), Ok(map.clone()));
    let reduced = MapMessage::Map(MapPicture { reduced: true, ..picture() });
    assert_eq!(MapMessage::decode(reduced.encode().as_bytes()), Ok(reduced));
    let sound = value(&map.encode());
    for (field, wrong) in [
        ("w", json!(0)),
        ("h", json!(-1)),
        ("w", json!(1u64 << 40)),
        ("res", json!(0)),
        ("res", json!("0.1")),
        ("origin", json!([1])),
        ("origin", json!([null, 1])),
        ("png_b64", Value::Null),
        ("fmt", json!(1)),
    ] {
        let mut message = sound.clone();
        message[field] = wrong;
        assert_eq!(MapMessage::decode(message.to_string().as_bytes()), Err(Unreadable::Field(field)));
    }
    let odom = |message: Value| MapMessage::decode(message.to_string().as_bytes());
    assert_eq!(
        odom(json!({ "type": "odom", "x": 1, "y": 2, "yaw": 3 })),
        Ok(MapMessage::Odom(Odom { x: 1.0, y: 2.0, yaw: 3.0, ts: 0.0 }))
    );
    assert_eq!(odom(json!({ "type": "odom", "x": 1, "y": 2 })), Err(Unreadable::Field("yaw")));
    assert_eq!(odom(json!({ "type": "path" })), Ok(MapMessage::Unknown("path".to_owned())));
}
