//! The interoperability vectors of the hosted wire, and which test has which.

use std::collections::BTreeSet;

use serde_json::Value;

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const TEXT: &str = include_str!("../../../tests/vectors/hosted.json");

/// Prefixes of the entries that the tests of this folder have, with their numbers. Of the `json_` ones what is read and
/// written is here; what a robot does then is in the tests of `server::hosted`.
const HERE: [(&str, usize); 8] = [
    ("lcm_", 26),
    ("fingerprint_", 5),
    ("stamp_from_", 2),
    ("buttons_", 6),
    ("sdp_", 6),
    ("map_", 2),
    ("channel_", 3),
    ("json_", 36),
];

/// Entries with another test, by their prefixes: whose test, and their numbers.
const ELSEWHERE: [(&str, &str, usize); 27] = [
    ("protocol/tests/hosted_operator", "clock_", 3),
    ("protocol/tests/hosted_operator", "keys_", 11),
    ("protocol/tests/hosted_operator", "vr_sticks_", 3),
    ("protocol/tests/hosted_operator", "stall_", 2),
    ("protocol/tests/hosted_operator", "hud_", 5),
    ("protocol/tests/hosted_operator", "stamp_encode", 2),
    ("protocol/tests/hosted_operator", "stamp_decode", 4),
    ("protocol/tests/hosted_operator", "video_stats_", 2),
    ("protocol/tests/hosted_control", "webxr_to_robot_", 6),
    ("protocol/tests/hosted_control", "delta_", 4),
    ("protocol/tests/hosted_control", "guard_", 7),
    ("protocol/tests/hosted_control", "engage_", 3),
    ("protocol/tests/hosted_control", "routing_", 1),
    ("protocol/tests/hosted_control", "twist_gen_a_joy", 1),
    ("protocol/tests/hosted_control", "executor_", 4),
    ("protocol/tests/hosted_control", "cmd_stats_", 3),
    ("server::hosted::channels", "heartbeat_", 4),
    ("server::record", "report_", 4),
    ("server::record", "recorder_", 1),
    ("server::video", "even_dims", 1),
    ("server::video", "mosaic_", 1),
    ("the broker's REST interface", "rest_", 41),
    ("the broker's keys", "api_key_", 2),
    ("broker::turn", "turn_", 3),
    ("broker::sfu", "livekit_", 2),
    ("broker::sfu", "cloudflare_", 9),
    ("broker::sfu", "sfu_", 1),
];

pub(crate) fn name(entry: &Value) -> &str {
    entry["name"].as_str().unwrap()
}

fn all() -> Vec<Value> {
    serde_json::from_str(TEXT).unwrap()
}

/// The entries whose names begin so; as many as the table says.
pub(crate) fn entries(prefix: &str) -> Vec<Value> {
    let entries: Vec<_> = all().into_iter().filter(|entry| name(entry).starts_with(prefix)).collect();
    let (_, count) = HERE.iter().find(|(here, _)| *here == prefix).unwrap();
    assert_eq!(entries.len(), *count, "number of entries {prefix}*");
    entries
}

#[test]
fn every_entry_belongs_to_exactly_one_test() {
    let all = all();
    let names: BTreeSet<&str> = all.iter().map(name).collect();
    assert_eq!(names.len(), all.len(), "two entries of one name");
    let here = HERE.iter().copied();
    let table: Vec<_> = here.chain(ELSEWHERE.iter().map(|(_, prefix, count)| (*prefix, *count))).collect();
    for (prefix, count) in &table {
        let found = names.iter().filter(|name| name.starts_with(prefix)).count();
        assert_eq!(found, *count, "number of entries {prefix}*");
    }
    for name in &names {
        let tests = table.iter().filter(|(prefix, _)| name.starts_with(prefix)).count();
        assert_eq!(tests, 1, "{name}");
    }
}
