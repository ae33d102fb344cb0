//! What holds for every message of the hosted wire, and for whatever else may arrive.

use glam::{DQuat, DVec3};
use proptest::prelude::*;
use serde_json::{Map, Value, json};
use waldo_protocol::hosted::{
    CameraSelect, ClockReport, Nonce, OccupancyGrid, SpeedMode, SportCommand, ToRobot, VideoStats,
};
use waldo_protocol::lcm::{
    Bool, CompressedImage, Header, Image, Joy, Message, Pose, PoseStamped, Text, Time, Twist, TwistStamped, UInt32,
};

use crate::encode::{body_survives, lcm_survives, operator_survives, robot_survives, sdp_survives};

fn header() -> impl Strategy<Value = Header> {
    (any::<i32>(), any::<(i32, i32)>(), ".{0,12}").prop_map(|(seq, (sec, nsec), frame_id)| Header {
        seq,
        stamp: Time { sec, nsec },
        frame_id,
    })
}

fn three() -> impl Strategy<Value = DVec3> {
    any::<[f64; 3]>().prop_map(DVec3::from_array)
}

fn message() -> impl Strategy<Value = Message> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..64);
    prop_oneof![
        (header(), three(), any::<[f64; 4]>()).prop_map(|(header, position, q)| {
            Message::PoseStamped(PoseStamped { header, pose: Pose { position, orientation: DQuat::from_array(q) } })
        }),
        (header(), three(), three()).prop_map(|(header, linear, angular)| Message::TwistStamped(TwistStamped {
            header,
            twist: Twist { linear, angular }
        })),
        (three(), three()).prop_map(|(linear, angular)| Message::Twist(Twist { linear, angular })),
        (header(), prop::collection::vec(any::<f32>(), 0..12), prop::collection::vec(any::<i32>(), 0..12))
            .prop_map(|(header, axes, buttons)| Message::Joy(Joy { header, axes, buttons })),
        any::<bool>().prop_map(|data| Message::Bool(Bool { data })),
        any::<i32>().prop_map(|data| Message::UInt32(UInt32 { data })),
        ".{0,40}".prop_map(|data| Message::Text(Text { data })),
        (header(), any::<[i32; 3]>(), ".{0,8}", any::<u8>(), bytes()).prop_map(
            |(header, [height, width, step], encoding, is_bigendian, data)| {
                Message::Image(Image { header, height, width, encoding, is_bigendian, step, data })
            }
        ),
        (header(), ".{0,8}", bytes()).prop_map(|(header, format, data)| Message::CompressedImage(CompressedImage {
            header,
            format,
            data
        })),
    ]
}

fn nonce() -> impl Strategy<Value = Option<Nonce>> {
    prop::option::of(prop_oneof![any::<u64>().prop_map(Nonce::from), "[a-z]{0,128}".prop_map(Nonce::from)])
}

fn number() -> impl Strategy<Value = f64> {
    prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::SUBNORMAL
}

fn command() -> impl Strategy<Value = ToRobot> {
    prop_oneof![
        number().prop_map(|ts| ToRobot::Ping { client_ts: serde_json::Number::from_f64(ts).unwrap() }),
        (number(), number()).prop_map(|(rtt_ms, offset_ms)| ToRobot::ClockReport(ClockReport { rtt_ms, offset_ms })),
        (number(), any::<[u32; 4]>(), "[a-zA-Z0-9]{0,128}").prop_map(
            |(n, [width, height, dropped, freezes], codec)| {
                ToRobot::VideoStats(VideoStats {
                    fps: n,
                    width,
                    height,
                    frames_dropped: dropped,
                    freezes,
                    codec,
                    ..VideoStats::default()
                })
            }
        ),
        nonce().prop_map(|nonce| ToRobot::Estop { nonce }),
        nonce().prop_map(|nonce| ToRobot::EstopClear { nonce }),
        nonce().prop_map(|nonce| ToRobot::NavCancel { nonce }),
        (prop::sample::select(SportCommand::ALL), nonce())
            .prop_map(|(command, nonce)| ToRobot::Sport { command, nonce }),
        (prop::sample::select(SpeedMode::ALL), nonce()).prop_map(|(mode, nonce)| ToRobot::SetMode { mode, nonce }),
        (any::<bool>(), nonce()).prop_map(|(enabled, nonce)| ToRobot::ObstacleAvoidance { enabled, nonce }),
        (0.0..=1.0, nonce()).prop_map(|(brightness, nonce)| ToRobot::Light { brightness, nonce }),
        prop::collection::vec(".{0,8}", 0..16).prop_map(|cams| ToRobot::CameraSelect(CameraSelect { cams })),
        (number(), number(), nonce()).prop_map(|(x, y, nonce)| ToRobot::NavGoal { x, y, nonce }),
        any::<bool>().prop_map(|closed| ToRobot::Gripper { closed }),
        (1e-9..1e9, nonce()).prop_map(|(scale, nonce)| ToRobot::TeleopScale { scale, nonce }),
        prop::option::of(".{0,20}").prop_map(|reason| ToRobot::OperatorLost { reason }),
    ]
}

/// Types and fields of all messages, and of all bodies.
const KINDS: &[&str] = &[
    "ping",
    "clock_report",
    "video_stats",
    "estop",
    "estop_clear",
    "sport_cmd",
    "set_mode",
    "obstacle_avoidance",
    "light",
    "camera_select",
    "nav_goal",
    "nav_cancel",
    "gripper",
    "teleop_scale",
    "operator_lost",
    "pong",
    "cmd_ack",
    "robot_telemetry",
    "map",
    "odom",
    "bridge_update",
    "dance",
];
const FIELDS: &[&str] = &[
    "client_ts",
    "nonce",
    "rtt_ms",
    "offset_ms",
    "fps",
    "width",
    "codec",
    "ts",
    "name",
    "mode",
    "enabled",
    "brightness",
    "cams",
    "x",
    "y",
    "yaw",
    "closed",
    "scale",
    "reason",
    "robot_ts",
    "ok",
    "cmd",
    "soc",
    "state",
    "fmt",
    "w",
    "h",
    "res",
    "origin",
    "png_b64",
    "latency_ms",
    "received",
    "lost",
    "estopped",
    "posture",
    "engaged",
    "left",
    "video",
    "light",
    "robot_name",
    "robot_id",
    "transport",
    "sdp_offer",
    "sdp_answer",
    "session_id",
    "cf_session_id",
    "robot_cf_session_id",
    "ice_servers",
    "urls",
    "role",
    "ack",
    "cmd_channel_subscriber_id",
    "cmd_channel_id",
    "state_back_channel_id",
    "map_channel_id",
    "video_status",
    "sessions",
    "detail",
    "keys",
    "id",
    "generation",
    "ids",
    "video_bitrate_kbps",
    "safety_state",
    "email",
    "password",
    "region",
    "user_pool_id",
    "client_id",
    "sub",
    "cognito_sub",
    "url",
    "token",
    "room",
    "key_prefix",
    "api_key",
    "created_at",
    "last_used_at",
];
const WORDS: &[&str] = &[
    "Damp",
    "rage",
    "cam1",
    "png",
    "cloudflare",
    "livekit",
    "operator",
    "viewer",
    "admin",
    "ok",
    "no_offer",
    "idle",
    "active",
    "nominal",
    "si",
    "",
];

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u16..300).prop_map(Value::from),
        number().prop_map(Value::from),
        prop::sample::select(WORDS).prop_map(Value::from),
        ".{0,5}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(FIELDS), inner), 0..6).prop_map(|fields| Value::from(
                fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect::<Map<_, _>>()
            )),
        ]
    })
}

/// An object with fields that some message has, of values that may or may not fit.
fn object() -> impl Strategy<Value = Value> {
    let fields = prop::collection::vec((prop::sample::select(FIELDS), json_value()), 0..16);
    (prop::option::of(prop::sample::select(KINDS)), fields).prop_map(|(kind, fields)| {
        let mut object: Map<String, Value> = fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        if let Some(kind) = kind {
            object.insert("type".to_owned(), json!(kind));
        }
        Value::Object(object)
    })
}

fn sdp() -> impl Strategy<Value = String> {
    let line = prop::sample::select(vec![
        "v=0",
        "m=video 9 X 0",
        "m=audio",
        "m=",
        "a=candidate:1 x",
        "a=candidate:",
        "a=end-of-candidates",
        "a=mid:0",
        "a=msid:s t",
        "a=msid:s",
        "a=recvonly",
        "",
        "am=video",
    ]);
    let end = prop::sample::select(vec!["\r\n", "\n", "\r", ""]);
    prop::collection::vec((line, end), 0..30)
        .prop_map(|lines| lines.into_iter().flat_map(|(line, end)| [line, end]).collect())
}

proptest! {
    #[test]
    fn every_message_of_lcm_survives_and_cut_anywhere_is_an_error(message in message()) {
        let bytes = message.encode();
        lcm_survives(&bytes);
        prop_assert_eq!(Message::decode(&bytes).unwrap().encode(), bytes.clone());
        for length in 0..bytes.len() {
            prop_assert!(Message::decode(&bytes[..length]).is_err(), "{} of {}", length, bytes.len());
        }
        let longer = [bytes.clone(), vec![7; 9]].concat();
        prop_assert_eq!(Message::decode_prefix(&longer).unwrap().1, bytes.len());
    }

    #[test]
    fn a_harmed_message_of_lcm_is_an_error_or_another_message(message in message(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = message.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        lcm_survives(&bytes);
    }

    #[test]
    fn every_command_survives(command in command()) {
        let text = command.encode();
        prop_assert_eq!(ToRobot::decode(text.as_bytes()).unwrap(), command);
        for length in 0..text.len() {
            prop_assert!(ToRobot::decode(&text.as_bytes()[..length]).is_err());
        }
    }

    #[test]
    fn whatever_an_object_says_no_side_fails_over_it(object in object()) {
        let text = object.to_string();
        robot_survives(text.as_bytes());
        operator_survives(text.as_bytes());
        body_survives(text.as_bytes());
    }

    #[test]
    fn a_stop_is_read_from_whatever_calls_itself_one(object in object()) {
        let mut object = object;
        object["type"] = json!("estop");
        let stop = ToRobot::decode(object.to_string().as_bytes());
        let stopped = matches!(stop, Ok(ToRobot::Estop { .. }));
        prop_assert!(stopped);
    }

    #[test]
    fn bytes_that_are_nothing_are_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        lcm_survives(&bytes);
        robot_survives(&bytes);
        operator_survives(&bytes);
        body_survives(&bytes);
        sdp_survives(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn descriptions_are_repaired_once(sdp in sdp()) {
        sdp_survives(&sdp);
    }

    #[test]
    fn a_coarse_map_shows_every_obstacle_of_its_blocks(width in 1usize..20, height in 1usize..20, factor in 1usize..6, cells in prop::collection::vec(-1i8..=100, 400)) {
        let cells = cells[..width * height].to_vec();
        let grid = OccupancyGrid::new(width, height, 0.05, [0.0; 2], cells).unwrap();
        match grid.coarsened(factor) {
            None => prop_assert!(width < factor || height < factor),
            Some(coarse) => {
                prop_assert_eq!((coarse.width(), coarse.height()), (width / factor, height / factor));
                for row in 0..coarse.height() * factor {
                    for column in 0..coarse.width() * factor {
                        let seen = coarse.cells()[row / factor * coarse.width() + column / factor];
                        prop_assert!(grid.cells()[row * width + column] <= seen);
                    }
                }
                prop_assert_eq!(coarse.pixels().len(), 4 * coarse.cells().len());
            }
        }
    }
}
