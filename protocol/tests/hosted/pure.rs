//! The buttons word, session descriptions, maps and labels.

use serde_json::{Value, json};
use waldo_protocol::hosted::{
    BridgedSession, Buttons, ChannelLabel, Direction, Hand, HandJoy, InvalidGrid, MIN_CELL, MediaKind, OccupancyGrid,
    cell_colour, published_track, repair_candidates,
};
use waldo_protocol::lcm::UInt32;

use crate::lcm::hex;
use crate::vectors::{entries, name};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn controller(value: &Value) -> Option<HandJoy> {
    let value = value.as_object()?;
    let axes: Vec<f32> = value["axes"].as_array().unwrap().iter().map(|axis| axis.as_f64().unwrap() as f32).collect();
    let buttons: Vec<i32> =
        value["buttons"].as_array().unwrap().iter().map(|button| button.as_i64().unwrap() as i32).collect();
    Some(HandJoy::read(&axes, &buttons).unwrap())
}

#[test]
fn both_controllers_become_one_word() {
    for entry in entries("buttons_") {
        let (message, expect) = (&entry["message"], &entry["expect"]);
        let controllers = [controller(&message["left"]), controller(&message["right"])];
        let buttons = Buttons::pack(&controllers, message["pack_analog"] == true);
        assert_eq!(buttons.word(), u32::try_from(expect["value"].as_u64().unwrap()).unwrap(), "{}", name(&entry));
        let bytes = UInt32::from(buttons).encode();
        assert_eq!(bytes, hex(expect["hex"].as_str().unwrap()), "{}", name(&entry));
        assert_eq!(Buttons::from(UInt32::decode(&bytes).unwrap()), buttons);
    }
}

#[test]
fn a_word_says_what_each_hand_holds() {
    let mut left = HandJoy { trigger: 1.0, ..HandJoy::default() };
    left.buttons[HandJoy::PRIMARY] = true;
    let right = HandJoy { grip: 0.6, trigger: 0.25, ..HandJoy::default() };
    let buttons = Buttons::pack(&[Some(left), Some(right)], true);
    assert_eq!(buttons.held(Hand::Left), [true, false, false, false, true, false, false]);
    assert_eq!(buttons.held(Hand::Right), [false, true, false, false, false, false, false]);
    assert_eq!((buttons.trigger(Hand::Left), buttons.trigger(Hand::Right)), (1.0, 32.0 / 127.0));
    assert!(buttons.primary(Hand::Left) && !buttons.primary(Hand::Right));
}

#[test]
fn halves_of_the_trigger_go_to_the_even_number_and_what_is_no_number_is_open() {
    let packed = |trigger| {
        let joy = HandJoy { trigger, ..HandJoy::default() };
        (Buttons::pack(&[Some(joy), None], true).trigger(Hand::Left) * 127.0).round()
    };
    let at = [63.5 / 127.0, 2.5 / 127.0, 3.5 / 127.0, f64::NAN, f64::INFINITY, -1.0].map(packed);
    assert_eq!(at, [64.0, 2.0, 4.0, 0.0, 127.0, 0.0]);
}

#[test]
fn a_word_is_never_negative() {
    let everything = HandJoy { stick: [1.0; 2], trigger: 9.0, grip: 9.0, buttons: [true; 7] };
    let word = UInt32::from(Buttons::pack(&[Some(everything); 2], true));
    assert_eq!(word.data, 0x3fff_7f7f);
    assert_eq!(Buttons::from_word(u32::MAX).word(), 0x3fff_7f7f);
}

#[test]
fn descriptions_are_repaired_and_told_what_they_publish() {
    for entry in entries("sdp_") {
        let (message, expect) = (&entry["message"], &entry["expect"]);
        let sdp = message["sdp"].as_str().unwrap();
        match message["media"].as_str() {
            None => assert_eq!(repair_candidates(sdp), expect["sdp"].as_str().unwrap(), "{}", name(&entry)),
            Some(media) => {
                let kind = if media == "video" { MediaKind::Video } else { MediaKind::Audio };
                let track = published_track(sdp, kind)
                    .map(|track| json!({ "mid": track.mid, "track_name": track.name }))
                    .unwrap_or_default();
                assert_eq!(track, expect["track"], "{}", name(&entry));
            }
        }
    }
}

#[test]
fn only_sections_without_a_candidate_are_repaired() {
    let sdp = "v=0\nm=audio 9 X 0\na=mid:0\nm=video 9 X 0\na=candidate:1\na=end-of-candidates\nm=x\na=candidate:2\nm=y\n\r\n\n";
    let repaired = repair_candidates(sdp);
    assert_eq!(
        repaired,
        "v=0\nm=audio 9 X 0\na=mid:0\r\na=candidate:1\r\na=end-of-candidates\r\nm=video 9 X 0\na=candidate:1\n\
         a=end-of-candidates\nm=x\na=candidate:2\nm=y\r\na=candidate:1\r\na=end-of-candidates\r\n"
    );
    assert_eq!(repair_candidates(&repaired), repaired);
    // Candidates before the first section, and words that only begin alike, are none.
    for sdp in ["a=candidate:1\r\nm=video\r\n", "v=0\r\nm=video\r\na=candidates\r\na=end-of-candidates2\r\n", ""] {
        assert_eq!(repair_candidates(sdp), sdp);
    }
}

#[test]
fn a_description_does_not_grow_without_bound() {
    let sdp = format!("v=0\n{}m=video\n{}", "m=\n".repeat(1000), "a=candidate:1\n".repeat(1000));
    assert_eq!(repair_candidates(&sdp).len(), sdp.len());
}

#[test]
fn a_track_has_a_name_and_is_sent() {
    let track = |attributes: &str| {
        let sdp =
            format!("v=0\r\nm=video 9 X 0\r\na=inactive\r\na=mid:a\r\na=msid:s t\r\nm=video 9 X 0\r\n{attributes}");
        published_track(&sdp, MediaKind::Video).map(|track| (track.mid, track.name))
    };
    assert_eq!(track("a=mid:b\r\na=msid:s camera more\r\n"), Some(("b".to_owned(), "camera".to_owned())));
    assert_eq!(track("a=mid:b\r\na=msid:s\r\n"), None);
    assert_eq!(track("a=msid:s camera\r\n"), None);
    assert_eq!(track("a=mid:b\r\na=msid:s camera\r\na=recvonly\r\n"), None);
}

#[test]
fn maps_are_put_together_and_coloured_as_the_vectors_say() {
    let [blocks, colours] = <[Value; 2]>::try_from(entries("map_")).unwrap();
    let message = &blocks["message"];
    let rows = message["grid"].as_array().unwrap();
    let cells: Vec<i8> =
        rows.iter().flat_map(|row| row.as_array().unwrap()).map(|cell| cell.as_i64().unwrap() as i8).collect();
    let width = cells.len() / rows.len();
    let grid = OccupancyGrid::new(width, rows.len(), message["res"].as_f64().unwrap(), [1.0, 2.0], cells).unwrap();
    let coarse = grid.no_finer_than(message["min_res"].as_f64().unwrap()).unwrap();
    let rows: Vec<&[i8]> = coarse.cells().chunks(coarse.width()).collect();
    assert_eq!(json!({ "grid": rows, "res": coarse.cell() }), blocks["expect"]);
    assert_eq!((coarse.height(), coarse.origin()), (2, [1.0, 2.0]));

    for value in colours["message"]["values"].as_array().unwrap() {
        let value = value.as_i64().unwrap() as i8;
        assert_eq!(json!(cell_colour(value)), colours["expect"][value.to_string()], "{value}");
    }
    let colour: [u8; 4] = coarse.pixels()[..4].try_into().unwrap();
    assert_eq!(colour, cell_colour(100));
}

#[test]
fn maps_that_are_coarse_enough_or_too_small_to_put_together_are_told_apart() {
    let grid = |width: usize, height: usize, cell| {
        OccupancyGrid::new(width, height, cell, [0.0; 2], vec![1; width * height]).unwrap()
    };
    assert_eq!(grid(3, 2, 0.1).no_finer_than(MIN_CELL), Some(grid(3, 2, 0.1)));
    // The factor is 1.43, so 1.
    assert_eq!(grid(3, 2, 0.07).no_finer_than(MIN_CELL), Some(grid(3, 2, 0.07)));
    // 2.5 goes to the even number.
    assert_eq!(grid(5, 5, 0.04).no_finer_than(MIN_CELL).map(|grid| grid.width()), Some(2));
    assert_eq!(grid(3, 2, 0.01).no_finer_than(MIN_CELL), None);
    assert_eq!(grid(3, 2, 1e-300).no_finer_than(MIN_CELL), None);
}

#[test]
fn what_is_no_grid_is_refused() {
    let refused =
        |width, height, cell, origin, count| OccupancyGrid::new(width, height, cell, origin, vec![0; count]).err();
    assert_eq!(refused(2, 2, 0.1, [0.0; 2], 3), Some(InvalidGrid::Cells));
    assert_eq!(refused(0, 2, 0.1, [0.0; 2], 0), Some(InvalidGrid::Cells));
    assert_eq!(refused(usize::MAX, 2, 0.1, [0.0; 2], 0), Some(InvalidGrid::Cells));
    for cell in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert_eq!(refused(1, 1, cell, [0.0; 2], 1), Some(InvalidGrid::NotFinite), "{cell}");
    }
    assert_eq!(refused(1, 1, 0.1, [0.0, f64::NAN], 1), Some(InvalidGrid::NotFinite));
    assert_eq!(refused(1, 1, 0.1, [0.0; 2], 1), None);
}

#[test]
fn the_channels_of_a_bridge_are_opened_as_the_vectors_say() {
    for entry in entries("channel_") {
        let (message, expect, at) = (&entry["message"], &entry["expect"], name(&entry));
        let bridged: Result<BridgedSession, _> = serde_json::from_value(message.clone());
        if expect["client"] == "error" {
            assert!(bridged.is_err(), "{at}");
            continue;
        }
        let channels: Vec<_> = bridged.unwrap().channels().collect();
        for ((label, id), expect) in channels.iter().zip(expect["channels"].as_array().unwrap()) {
            if expect.is_string() {
                assert_eq!(label.as_str(), expect, "{at}");
                continue;
            }
            let mut opened =
                json!({ "label": label.as_str(), "id": id, "negotiated": true, "ordered": !label.lossy() });
            if label.lossy() {
                opened["maxRetransmits"] = json!(0);
            }
            assert_eq!(opened, *expect, "{at}");
        }
        assert_eq!(channels.len(), expect["channels"].as_array().unwrap().len(), "{at}");
    }
}

#[test]
fn labels_are_exact_and_go_one_way() {
    for label in ChannelLabel::ALL {
        assert_eq!(ChannelLabel::parse(label.as_str()), Some(label));
        assert_eq!(label.to_string(), label.as_str());
    }
    for other in ["", "cmd", "Cmd_unreliable", "_sctp_init", "cmd_unreliable "] {
        assert_eq!(ChannelLabel::parse(other), None);
    }
    let up = ChannelLabel::ALL.into_iter().filter(|label| label.direction() == Direction::ToRobot);
    assert_eq!(up.collect::<Vec<_>>(), [ChannelLabel::CmdUnreliable, ChannelLabel::StateReliable]);
}
