//! Messages of LCM byte by byte, and what is no message.

use serde_json::{Value, json};
use waldo_protocol::hosted::{Buttons, Dropped, Hand, HandJoy, VideoStats, controller_pose, hand_of};
use waldo_protocol::lcm::{
    Bool, CompressedImage, Dimension, Error, Header, Image, Joy, Kind, MAX_COUNT, Message, PoseStamped, Text, Time,
    Twist, TwistStamped, Type, UInt32,
};

use crate::vectors::{entries, name};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

pub(crate) fn hex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0, "{text}");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// What the vectors say of a header.
fn header(header: &Header) -> Value {
    json!({
        "seq": header.seq, "sec": header.stamp.sec, "nsec": header.stamp.nsec, "frame_id": header.frame_id,
    })
}

/// What the vectors say of a message.
fn fields(message: &Message) -> Value {
    let (mut fields, rest) = match message {
        Message::PoseStamped(PoseStamped { header: head, pose }) => (
            header(head),
            json!({ "position": pose.position.to_array(), "orientation_xyzw": pose.orientation.to_array() }),
        ),
        Message::TwistStamped(TwistStamped { header: head, twist }) => {
            (header(head), json!({ "linear": twist.linear.to_array(), "angular": twist.angular.to_array() }))
        }
        Message::Joy(joy) => (header(&joy.header), json!({ "axes": joy.axes, "buttons": joy.buttons })),
        Message::Bool(Bool { data }) => (json!({}), json!({ "data": data })),
        Message::UInt32(UInt32 { data }) => (json!({}), json!({ "data": data })),
        other => panic!("{other:?}"),
    };
    fields.as_object_mut().unwrap().append(&mut rest.as_object().unwrap().clone());
    fields
}

/// Equal, with numbers as close as single precision has them.
fn same(actual: &Value, expected: &Value) -> bool {
    match (actual, expected) {
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= 1e-7 * b.abs()
        }
        _ => actual == expected,
    }
}

/// What the control of a robot makes of a message that was read.
fn refused(message: &Message) -> Option<&'static str> {
    match message {
        Message::PoseStamped(PoseStamped { pose, .. }) => {
            controller_pose(pose.position, pose.orientation).err().map(|_| "not_finite")
        }
        Message::Joy(joy) => match HandJoy::read(&joy.axes, &joy.buttons) {
            Err(Dropped::JoyContract) => Some("joy_contract"),
            Err(other) => panic!("{other:?}"),
            Ok(_) => hand_of(&joy.header.frame_id).is_none().then_some("unknown_frame"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn messages_are_read_and_written_byte_by_byte() {
    for entry in entries("lcm_") {
        let (bytes, expect, at) = (hex(entry["hex"].as_str().unwrap()), &entry["expect"], name(&entry));
        match expect["decode"].as_str().unwrap() {
            "skip" => assert!(matches!(Message::decode(&bytes), Err(Error::Unknown(0x0123_4567_89ab_cdef))), "{at}"),
            "error" => {
                assert_eq!(expect["reason"], "too_short", "{at}");
                assert!(matches!(Message::decode(&bytes), Err(Error::TooShort { .. })), "{at}");
            }
            "ok" => {
                let (message, used) = Message::decode_prefix(&bytes).unwrap();
                assert_eq!(message.type_name(), expect["type"], "{at}");
                let length =
                    expect.get("len").or(expect.get("used")).map_or(bytes.len(), |len| len.as_u64().unwrap() as usize);
                assert_eq!(used, length, "{at}");
                assert_eq!(message.encode(), bytes[..used], "{at}");
                if let Some(expected) = expect["fields"].as_object() {
                    let read = fields(&message);
                    for (key, expected) in expected {
                        // Words on how the message was made, not in it.
                        if !["axes_order", "data_hex", "spec"].contains(&key.as_str()) {
                            assert!(same(&read[key], expected), "{at}: {key} is {} instead of {expected}", read[key]);
                        }
                    }
                }
                if let Some(reason) = expect["reason"].as_str() {
                    assert_eq!(expect["control"], "drop", "{at}");
                    assert_eq!(refused(&message), Some(reason), "{at}");
                }
                if let Some(controller) = expect["controller"].as_object() {
                    let Message::Joy(joy) = &message else { panic!("{at}") };
                    let hand = hand_of(&joy.header.frame_id).unwrap();
                    let read = HandJoy::read(&joy.axes, &joy.buttons).unwrap();
                    let [_, _, touchpad, thumbstick, primary, secondary, menu] = read.buttons;
                    let read = json!({
                        "hand": if hand == Hand::Left { "left" } else { "right" }, "stick": read.stick,
                        "trigger": read.trigger, "grip": read.grip, "touchpad": touchpad, "thumbstick": thumbstick,
                        "primary": primary, "secondary": secondary, "menu": menu,
                    });
                    assert_eq!(read.as_object().unwrap(), controller, "{at}");
                }
            }
            other => panic!("{at}: {other}"),
        }
    }
}

#[test]
fn the_vectors_of_the_buttons_word_and_of_the_video_carrier_say_what_they_hold() {
    let entry = |wanted: &str| entries("lcm_").into_iter().find(|entry| name(entry) == wanted).unwrap();
    let word = entry("lcm_buttons_right_engaged_trigger_half");
    let message = UInt32::decode(&hex(word["hex"].as_str().unwrap())).unwrap();
    let buttons = Buttons::from(message);
    assert!(buttons.primary(Hand::Right) && !buttons.primary(Hand::Left));
    assert_eq!((buttons.trigger(Hand::Right) * 127.0).round(), 64.0);

    let carrier = Joy::decode(&hex(entry("lcm_video_stats_joy_carrier")["hex"].as_str().unwrap())).unwrap();
    let stats = VideoStats::from_joy(&carrier).unwrap();
    assert_eq!((stats.width, stats.height, stats.frames_dropped, stats.freezes), (1280, 720, 3, 1));
    assert_eq!((stats.loss_pct, stats.jitter_buffer_ms, stats.ts), (0.25, 32.5, Some(1.7e9)));
    assert_eq!(stats.to_joy(0.0), carrier);
}

/// Our description of a type that a declaration names.
fn described(name: &str) -> Type {
    match name {
        "Time" => Time::TYPE,
        "Header" => Header::TYPE,
        "PoseStamped" => PoseStamped::TYPE,
        "Joy" => Joy::TYPE,
        "Image" => Image::TYPE,
        other => panic!("{other}"),
    }
}

/// Fails unless our description is that declaration, nested types included.
fn assert_declared(ours: &Type, declared: &str, declarations: &Value) {
    let members = declarations[declared].as_array().unwrap();
    assert_eq!(ours.members.len(), members.len(), "{declared}");
    for (ours, member) in ours.members.iter().zip(members) {
        assert_eq!(ours.name, member["name"]);
        match ours.kind {
            Kind::Primitive(kind) => assert_eq!(kind, member["type"]),
            Kind::Nested(nested) => assert_declared(nested, member["type"].as_str().unwrap(), declarations),
        }
        let dimensions: Vec<_> = ours
            .dimensions
            .iter()
            .map(|dimension| match dimension {
                Dimension::Constant(size) => json!({ "mode": "constant", "size": size }),
                Dimension::Variable(size) => json!({ "mode": "variable", "size": size }),
            })
            .collect();
        assert_eq!(json!(dimensions), member["dims"]);
    }
}

#[test]
fn fingerprints_are_computed_from_the_declarations() {
    for entry in entries("fingerprint_") {
        let (message, expect) = (&entry["message"], &entry["expect"]);
        let declared = message["type"].as_str().unwrap();
        let ours = described(declared);
        assert_declared(&ours, declared, &message["declarations"]);
        assert_eq!(format!("{:016x}", ours.base()), expect["base"]);
        assert_eq!(format!("{:016x}", ours.fingerprint()), expect["fingerprint"]);
    }
}

#[test]
fn fingerprints_of_all_types_are_those_of_other_implementations() {
    let known = [
        (Twist::FINGERPRINT, 0x2e7c_07d7_cdf7_e027_u64),
        (TwistStamped::FINGERPRINT, 0x9cd2_bcbe_6cb2_a7c0),
        (Bool::FINGERPRINT, 0x1ebe_f06a_5095_0e3e),
        (UInt32::FINGERPRINT, 0x2cbc_f9f7_ea91_023e),
        (Text::FINGERPRINT, 0x21bf_3709_9b9d_5e15),
        (CompressedImage::FINGERPRINT, 0xb8d0_11c1_0412_b9a1),
    ];
    for (ours, theirs) in known {
        assert_eq!(format!("{ours:016x}"), format!("{theirs:016x}"));
    }
    // Of an array whose length is part of the declaration.
    const FIXED: Type = Type {
        name: "",
        members: &[waldo_protocol::lcm::Member {
            name: "a",
            kind: Kind::Primitive("double"),
            dimensions: &[Dimension::Constant("3")],
        }],
    };
    assert_ne!(FIXED.base(), Type { name: "", members: &[] }.base());
}

#[test]
fn times_are_cut_to_nanoseconds_as_each_kind_of_clock_has_it() {
    for entry in entries("stamp_from_") {
        let (message, expect) = (&entry["message"], &entry["expect"]);
        let time = match message["unix_ms"].as_f64() {
            Some(unix_ms) => Time::from_unix_ms(unix_ms),
            None => Time::from_unix_s(message["unix_s"].as_f64().unwrap()),
        };
        assert_eq!(json!({ "sec": time.sec, "nsec": time.nsec }), *expect, "{}", name(&entry));
    }
    assert_eq!(Time { sec: 1_700_000_000, nsec: 250_000_000 }.unix_s(), 1_700_000_000.25);
    for odd in [f64::NAN, f64::INFINITY, -1e300] {
        assert!(Time::from_unix_ms(odd).nsec >= 0 && Time::from_unix_s(odd).nsec == 0, "{odd}");
    }
}

#[test]
fn texts_are_read_strictly_and_what_is_no_utf_8_matches_no_name() {
    let text = |length: [u8; 4], bytes: &[u8]| {
        let message = [&Text::FINGERPRINT.to_be_bytes(), &length[..], bytes].concat();
        Text::decode(&message).map(|text| text.data)
    };
    assert_eq!(text([0, 0, 0, 3], b"hi\0").as_deref(), Ok("hi"));
    assert_eq!(text([0, 0, 0, 0], b"hi\0"), Err(Error::EmptyText));
    assert_eq!(text([0, 0, 0, 2], b"hi\0"), Err(Error::Unterminated));
    assert!(matches!(text([0, 0, 0, 4], b"hi\0"), Err(Error::TooShort { needed: 1, .. })));
    assert_eq!(text([0, 0, 0, 5], b"left\0").as_deref(), Ok("left"));
    assert_eq!(text([0, 0, 0, 5], b"lef\xff\0").as_deref(), Ok("lef\u{fffd}"));
    assert_eq!(text([0, 0, 0, 4], b"a\0b\0").as_deref(), Ok("a\0b"));
}

#[test]
fn arrays_of_numbers_are_bounded() {
    let joy = |axes: i32, buttons: i32| {
        let mut message = Joy::FINGERPRINT.to_be_bytes().to_vec();
        message.extend([axes.to_be_bytes(), buttons.to_be_bytes()].concat());
        message.resize(1 << 16, 0);
        message[31] = 1; // The length of an empty text.
        Joy::decode(&message)
    };
    let most = i32::try_from(MAX_COUNT).unwrap();
    assert_eq!(joy(most, most).map(|joy| (joy.axes.len(), joy.buttons.len())), Ok((MAX_COUNT, MAX_COUNT)));
    assert_eq!(joy(most + 1, 0), Err(Error::Count(most + 1)));
    assert_eq!(joy(0, -1), Err(Error::Count(-1)));
    assert_eq!(joy(i32::MIN, 0), Err(Error::Count(i32::MIN)));
}

#[test]
fn a_message_of_another_type_is_told_from_a_broken_one() {
    let twist = TwistStamped::default().encode();
    assert_eq!(PoseStamped::decode(&twist), Err(Error::Unknown(TwistStamped::FINGERPRINT)));
    assert!(TwistStamped::decode(&twist).is_ok());
    assert!(matches!(Message::decode(&twist[..7]), Err(Error::TooShort { .. })));
}

#[test]
fn pictures_come_back_whole() {
    let header = Header { seq: 3, stamp: Time::from_unix_s(1.7e9), frame_id: "camera".to_owned() };
    let image = Image {
        header: header.clone(),
        height: 2,
        width: 1,
        encoding: "rgb8".to_owned(),
        is_bigendian: 0,
        step: 3,
        data: vec![1, 2, 3, 4, 5, 6],
    };
    assert_eq!(Message::decode(&image.encode()), Ok(Message::Image(image)));
    let compressed = CompressedImage { header, format: "jpeg".to_owned(), data: vec![0xff, 0xd8] };
    let bytes = compressed.encode();
    assert_eq!(Message::decode(&bytes), Ok(Message::CompressedImage(compressed)));
    assert!(matches!(Message::decode(&bytes[..bytes.len() - 1]), Err(Error::TooShort { needed: 1, .. })));
}
