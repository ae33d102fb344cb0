use std::path::{Path, PathBuf};
use std::process::Command;

use glam::DVec3;
use rusqlite::Connection;
use serde_json::{Value, json};
use waldo_protocol::lcm::{Header, Joy, Pose, PoseStamped, Time, Twist, TwistStamped, UInt32};

use super::report::{self, Distribution, StreamReport};
use super::{Place, Record, RecordError, Recording, Stream, pickle};

const T0: f64 = 1_700_000_000.0;

fn vectors(prefix: &str) -> Vec<Value> {
    let all: Vec<Value> = serde_json::from_str(include_str!("../../../tests/vectors/hosted.json")).unwrap();
    all.into_iter().filter(|entry| entry["name"].as_str().unwrap().starts_with(prefix)).collect()
}

fn streams() -> Vec<Stream> {
    vec![
        Stream::lcm("right_controller_output", "dimos.msgs.geometry_msgs.PoseStamped.PoseStamped"),
        Stream::lcm("teleop_buttons", "dimos.teleop.quest.quest_types.Buttons"),
        Stream::lcm("cmd_vel_stamped", "dimos.msgs.geometry_msgs.TwistStamped.TwistStamped"),
        Stream::lcm("video_stats", "dimos.teleop.utils.video_stats.VideoStats"),
        Stream::bytes("robot_telemetry"),
    ]
}

fn header(stamp: f64, frame_id: &str) -> Header {
    Header { seq: 0, stamp: Time::from_unix_s(stamp), frame_id: frame_id.to_owned() }
}

fn pose(stamp: f64) -> Record {
    let message = PoseStamped { header: header(stamp, "right"), pose: Pose::default() };
    Record::new(stamp + 0.001, message.encode()).stamped(stamp)
}

fn video(stamp: f64, axes: [f32; 10]) -> Record {
    let message = Joy { header: header(stamp, "video"), axes: axes.to_vec(), buttons: Vec::new() };
    Record::new(stamp, message.encode()).stamped(stamp)
}

/// A recording with something in most streams.
fn recorded(folder: &Path) -> PathBuf {
    let recording = Recording::start(folder, Place::Teleop, &streams()).unwrap();
    let sink = recording.sink();
    for i in 0..100 {
        let t = T0 + f64::from(i) * 0.02;
        assert!(sink.push("right_controller_output", pose(t)));
        assert!(sink.push("teleop_buttons", Record::new(t, UInt32 { data: i }.encode())));
    }
    for (i, e2e) in [0.0, 80.0, 120.0].into_iter().enumerate() {
        let (dropped, freezes) = (i as f32, 2.0 - i as f32);
        let axes = [30.0, 900.0, 640.0, 480.0, 0.5, 12.0, 3.0, dropped, freezes, e2e];
        sink.push("video_stats", video(T0 + i as f64, axes));
    }
    for (latency, soc) in [(json!(null), json!(null)), (json!(40.0), json!(81)), (json!(60.0), json!(80))] {
        let cmd = if latency.is_null() { json!(null) } else { json!({ "latency_ms": latency, "rate_hz": 80.0 }) };
        let telemetry = json!({ "type": "robot_telemetry", "cmd": cmd, "soc": soc, "state": {} });
        sink.push("robot_telemetry", Record::new(T0, telemetry.to_string()));
    }
    recording.stop().unwrap()
}

#[test]
fn a_recording_has_the_tables_that_the_originals_tools_look_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = recorded(folder.path());
    assert!(!file.with_extension("db-wal").exists(), "one file, once it is over");
    let name = file.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("recording_teleop_20") && file.starts_with(folder.path().join("teleop_recordings")));
    let db = Connection::open(&file).unwrap();
    let text = |query: &str| db.query_row::<String, _, _>(query, [], |row| row.get(0)).unwrap();
    assert_eq!(text("PRAGMA journal_mode"), "wal");
    let config: Value =
        serde_json::from_str(&text("SELECT config FROM _streams WHERE name = 'robot_telemetry'")).unwrap();
    let expected = json!({
        "payload_module": "builtins.bytes", "codec_id": "pickle", "eager_blobs": false, "page_size": 256
    });
    assert_eq!(config, expected);
    let number = |query: &str| db.query_row::<f64, _, _>(query, [], |row| row.get(0)).unwrap();
    assert_eq!(number("SELECT count(*) FROM _streams"), 5.0);
    assert_eq!(number("SELECT count(*) FROM cmd_vel_stamped"), 0.0, "unwired streams exist");
    assert_eq!(number("SELECT count(*) FROM right_controller_output_blob"), 100.0);
    assert_eq!(number("SELECT ts FROM right_controller_output WHERE id = 2"), T0 + 0.02);
    assert_eq!(number("SELECT tags ->> 'reception_ts' FROM right_controller_output WHERE id = 2"), T0 + 0.021);
    assert_eq!(number("SELECT count(*) FROM right_controller_output WHERE value IS NULL AND pose_x IS NULL"), 100.0);
    assert_eq!(number("SELECT count(*) FROM right_controller_output_rtree"), 0.0);
    assert_eq!(number("SELECT ts FROM teleop_buttons WHERE id = 1"), T0, "the arrival, for want of a stamp");
    let blob: Vec<u8> =
        db.query_row("SELECT data FROM teleop_buttons_blob WHERE id = 8", [], |row| row.get(0)).unwrap();
    assert_eq!(blob, UInt32 { data: 7 }.encode());
}

#[test]
fn a_record_with_a_place_is_found_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording::start(folder.path(), Place::Hosted, &streams()).unwrap();
    let placed = Record { pose: Some([1.0, 2.0, 3.0, 0.0, 0.0, 0.0, 1.0]), ..pose(T0) };
    let nowhere = Record { pose: Some([f64::NAN; 7]), ..pose(T0) };
    let sink = recording.sink();
    sink.push("right_controller_output", placed);
    sink.push("right_controller_output", nowhere);
    let file = recording.stop().unwrap();
    assert!(file.starts_with(folder.path().join("hosted_teleop/recordings")));
    assert!(file.file_name().unwrap().to_str().unwrap().starts_with("recording_hosted_"));
    let db = Connection::open(&file).unwrap();
    let query = "SELECT id FROM right_controller_output_rtree WHERE x_min > 0.5 AND z_max < 4";
    assert_eq!(db.query_row::<i64, _, _>(query, [], |row| row.get(0)).unwrap(), 1);
    let query = "SELECT pose_qw FROM right_controller_output WHERE id = 1";
    assert_eq!(db.query_row::<f64, _, _>(query, [], |row| row.get(0)).unwrap(), 1.0);
}

#[test]
fn two_recordings_of_one_second_are_two_files() {
    let folder = tempfile::tempdir().unwrap();
    let start = || Recording::start(folder.path(), Place::Teleop, &streams()).unwrap();
    let (one, two, three) = (start(), start(), start());
    assert_ne!(one.file(), two.file());
    assert_ne!(two.file(), three.file());
}

#[test]
fn a_recording_that_was_cut_off_keeps_what_was_committed() {
    let folder = tempfile::tempdir().unwrap();
    let recording = Recording::start(folder.path(), Place::Teleop, &streams()).unwrap();
    let sink = recording.sink();
    let count = || report::read(recording.file()).unwrap().streams.get("teleop_buttons").map_or(0, |s| s.count);
    for i in 0..10 {
        sink.push("teleop_buttons", Record::new(T0, UInt32 { data: i }.encode()));
    }
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while count() < 10 {
        assert!(std::time::Instant::now() < deadline, "a reader sees what was committed while it goes on");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn plain_python_reads_a_recording() {
    let folder = tempfile::tempdir().unwrap();
    let file = recorded(folder.path());
    let script = r#"
import json, pickle, sqlite3, struct, sys
db = sqlite3.connect(sys.argv[1])
streams = {name: json.loads(config) for name, config in db.execute('SELECT name, config FROM _streams')}
out = {'codecs': sorted({config['codec_id'] for config in streams.values()})}
out['rows'] = {name: db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in streams}
query = 'SELECT s.ts, b.data FROM "{0}" s JOIN "{0}_blob" b ON b.id = s.id ORDER BY s.id'
poses = list(db.execute(query.format('right_controller_output')))
out['fingerprint'] = poses[0][1][:8].hex()
out['stamps'] = [struct.unpack('>ii', data[12:20])[0] for _, data in poses[:2]] + [poses[1][0]]
telemetry = [json.loads(pickle.loads(data)) for _, data in db.execute(query.format('robot_telemetry'))]
out['soc'] = [message['soc'] for message in telemetry]
print(json.dumps(out))
"#;
    let python = Command::new("python3").args(["-c", script]).arg(&file).output();
    let Ok(output) = python else {
        eprintln!("left out: there is no python3 here");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let out: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(out["codecs"], json!(["lcm", "pickle"]));
    assert_eq!(out["rows"]["right_controller_output"], 100);
    assert_eq!(out["rows"]["cmd_vel_stamped"], 0);
    assert_eq!(out["fingerprint"], "6a82696458c279a0");
    assert_eq!(out["stamps"], json!([1_700_000_000, 1_700_000_000, T0 + 0.02]));
    assert_eq!(out["soc"], json!([null, 81, 80]));
}

#[test]
fn a_report_tells_of_every_stream() {
    let folder = tempfile::tempdir().unwrap();
    let file = recorded(folder.path());
    let path = report::write(&file).unwrap();
    assert_eq!(path.parent(), file.parent());
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        text.starts_with("{\n  \"duration_s\": 2.0,\n  \"streams\": {\n    \"right_controller_output\": {\n"),
        "{text}"
    );
    let report: Value = serde_json::from_str(&text).unwrap();
    let right = &report["streams"]["right_controller_output"];
    assert_eq!((right["count"].as_u64(), right["stall_count"].as_u64()), (Some(100), Some(0)));
    assert!((right["rate_hz"].as_f64().unwrap() - 50.0).abs() < 1e-5, "{right}");
    let buttons = json!({
        "count": 100, "jitter_ms": null, "rate_hz": null, "stall_count": 0, "stall_total_s": 0.0
    });
    assert_eq!(report["streams"]["teleop_buttons"], buttons);
    assert_eq!(report["streams"].get("cmd_vel_stamped"), None, "nothing came");
    assert_eq!(report["streams"].get("video_stats"), None);
    let video = &report["video"];
    assert_eq!((video["count"].as_u64(), video["resolution"].as_str()), (Some(3), Some("640x480")));
    assert_eq!(video["e2e_latency_ms"]["p50"], 100.0, "those that were measured");
    assert_eq!((video["frames_dropped"].as_u64(), video["freezes"].as_u64()), (Some(2), Some(2)));
    let telemetry = &report["telemetry"];
    assert_eq!(
        (telemetry["latency_ms"]["p50"].as_f64(), telemetry["latency_ms"]["max"].as_f64()),
        (Some(50.0), Some(60.0))
    );
    assert_eq!(
        (&telemetry["soc_min"], &telemetry["soc_last"], &telemetry["count"]),
        (&json!(80), &json!(80), &json!(3))
    );
    assert_eq!(telemetry["jitter_ms"], Value::Null);
}

#[test]
fn a_recording_of_the_original_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording_hosted_20260714_101500.db");
    let db = Connection::open(&file).unwrap();
    // Made as the description of the format says, with more than we write, less than we write, and garbage.
    db.execute_batch(
        r#"CREATE TABLE _streams (name TEXT PRIMARY KEY, config TEXT NOT NULL);
        CREATE TABLE "cmd_vel_stamped" (id INTEGER PRIMARY KEY AUTOINCREMENT, ts REAL NOT NULL, value NUMERIC,
            pose_x REAL, pose_y REAL, pose_z REAL, pose_qx REAL, pose_qy REAL, pose_qz REAL, pose_qw REAL,
            tags BLOB DEFAULT (jsonb('{}')));
        CREATE TABLE "cmd_vel_stamped_blob" (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
        CREATE TABLE "robot_telemetry" (id INTEGER PRIMARY KEY AUTOINCREMENT, ts REAL NOT NULL);
        CREATE TABLE "robot_telemetry_blob" (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
        INSERT INTO _streams VALUES ('cmd_vel_stamped', '{"codec_id": "lcm", "extra": 1}');
        INSERT INTO _streams VALUES ('robot_telemetry', '{"codec_id": "pickle"}');
        INSERT INTO _streams VALUES ('tf', '{"codec_id": "lcm"}');
        INSERT INTO _streams VALUES ('strange "name"', 'no JSON');
        INSERT INTO robot_telemetry VALUES (1, 0.0), (2, 0.0);
        INSERT INTO robot_telemetry_blob VALUES (2, x'80036370736f');"#,
    )
    .unwrap();
    let python = b"\x80\x04\x95!\0\0\0\0\0\0\0C\x1d{\"cmd\": {\"latency_ms\": 41.5}}\x94.";
    assert!(pickle::load(python).is_some());
    db.execute("INSERT INTO robot_telemetry_blob VALUES (1, ?1)", [&python[..]]).unwrap();
    for (i, stamp) in [100.0, 100.02, 100.04, 100.06, 100.46, 100.48].into_iter().enumerate() {
        let twist = Twist { linear: DVec3::X, angular: DVec3::ZERO };
        let message = TwistStamped { header: header(stamp, "keyboard"), twist };
        db.execute("INSERT INTO cmd_vel_stamped (ts) VALUES (?1)", [stamp]).unwrap();
        let data = message.encode();
        db.execute("INSERT INTO cmd_vel_stamped_blob VALUES (?1, ?2)", rusqlite::params![i as i64 + 1, data]).unwrap();
    }
    drop(db);
    let report = report::read(&file).unwrap();
    let stream = &report.streams["cmd_vel_stamped"];
    assert_eq!((stream.count, stream.stall_count), (6, 1));
    assert!((report.duration_s - 0.48).abs() < 1e-6);
    let telemetry = report.telemetry.unwrap();
    assert_eq!((telemetry.count, telemetry.latency_ms.unwrap().p50), (2, 41.5));
    assert_eq!(report.streams.len(), 2, "{:?}", report.streams);
    assert_eq!(report::write(&file).unwrap().file_name().unwrap(), "report_hosted_20260714_101500.json");
}

#[test]
fn what_is_no_recording_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.db");
    assert!(matches!(report::read(&file), Err(RecordError::File { .. })));
    std::fs::write(&file, "This is a text of some length, and not a database at all. ".repeat(50)).unwrap();
    assert!(matches!(report::read(&file), Err(RecordError::Database { .. })));
    std::fs::write(&file, "").unwrap();
    let error = report::read(&file).unwrap_err();
    assert!(matches!(error, RecordError::NoRecording { .. }) && error.to_string().contains("a.db"), "{error}");
}

#[test]
fn distributions_of_the_vectors() {
    let entries = vectors("report_");
    assert_eq!(entries.len(), 4);
    for entry in entries {
        let (message, expect) = (&entry["message"], &entry["expect"]);
        if let Some(files) = message["files"].as_array() {
            let names: Vec<_> = files.iter().map(|file| report::file_name(Path::new(file.as_str().unwrap()))).collect();
            assert_eq!(json!(names), expect["names"]);
            continue;
        }
        let stamps: Vec<f64> =
            message["stamps"].as_array().into_iter().flatten().map(|stamp| stamp.as_f64().unwrap()).collect();
        let count = message["messages"].as_u64().map_or(stamps.len(), |count| count as usize);
        let StreamReport { count, rate_hz, jitter_ms, stall_count, stall_total_s } = StreamReport::of(count, &stamps);
        assert_eq!(
            (count as u64, stall_count as u64),
            (expect["count"].as_u64().unwrap(), expect["stall_count"].as_u64().unwrap())
        );
        let close = |value: Option<f64>, expect: &Value| match (value, expect.as_f64()) {
            (Some(value), Some(expect)) => (value - expect).abs() < 1e-6,
            (None, None) => true,
            _ => false,
        };
        assert!(close(rate_hz, &expect["rate_hz"]), "{entry}: {rate_hz:?}");
        assert!(close(Some(stall_total_s), &expect["stall_total_s"]), "{entry}");
        let part = |of: fn(Distribution) -> f64| jitter_ms.map(of);
        let jitter = &expect["jitter_ms"];
        assert!(close(part(|d| d.p50), &jitter["p50"]) && close(part(|d| d.p95), &jitter["p95"]), "{entry}");
        assert!(close(part(|d| d.p99), &jitter["p99"]) && close(part(|d| d.max), &jitter["max"]), "{entry}");
    }
}
