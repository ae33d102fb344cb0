//! What is sent of scenes: whole ones, deltas, binary frames, and how many bytes that takes.

use std::sync::Arc;

use serde_json::{Value, json};
use waldo_protocol::field::{
    ArmState, BinaryScene, CharacterMode, FULL_EVERY, InputAck, LostTrack, Mesh, MeshData, MeshMarks, Overlay, Person,
    SceneCursor, SceneDecoder, SceneEncoder, SceneExtras, SceneForm, SceneState, ServerMessage, Sphere, Transform,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use crate::world::{arms, distance, scene};

/// A server and one client of it.
#[derive(Default)]
pub(crate) struct Client {
    cursor: SceneCursor,
    form: SceneForm,
    decoder: SceneDecoder,
    pub(crate) bytes: usize,
    pub(crate) fulls: usize,
}

impl Client {
    pub(crate) fn new(binary: bool, people: bool) -> Self {
        Self { form: SceneForm { binary, people }, ..Self::default() }
    }

    /// Takes the newest frame; gives the text.
    pub(crate) fn take(&mut self, encoder: &SceneEncoder) -> Value {
        let step = encoder.step(self.cursor, self.form);
        let frames = encoder.encode(step).unwrap();
        if let Some(bytes) = &frames.binary {
            self.decoder.binary(bytes).unwrap();
            self.bytes += bytes.len();
        }
        if !frames.quiet {
            self.bytes += frames.text.len();
            match ServerMessage::decode(&frames.text).unwrap() {
                ServerMessage::SceneState(full) => self.decoder.full(*full),
                ServerMessage::SceneDelta(delta) => self.decoder.delta(*delta).unwrap(),
                other => panic!("{other:?}"),
            }
        }
        self.fulls += usize::from(step.is_full());
        self.cursor = step.cursor();
        serde_json::from_str(&frames.text).unwrap()
    }

    pub(crate) fn scene(&self) -> &SceneState {
        self.decoder.scene()
    }
}

fn ids(value: &Value) -> Vec<&str> {
    value.as_object().map(|entries| entries.keys().map(String::as_str).collect()).unwrap_or_default()
}

#[test]
fn eight_moving_arms_take_an_eighth_of_the_bytes() {
    for mode in [CharacterMode::CathyForaging, CharacterMode::Spirobs, CharacterMode::TwoCr] {
        let (mut encoder, mut client) = (SceneEncoder::default(), Client::new(true, false));
        let mut json = 0;
        for number in 0..2 * FULL_EVERY {
            let scene = Arc::new(scene(mode, f64::from(number) / 72.0));
            json += scene.encode(&MeshData::OfStatic(Vec::new()), false).unwrap().len();
            encoder.push(scene.clone()).unwrap();
            client.take(&encoder);
            assert!(distance(&scene, client.scene()) < 2e-4, "frame {number}");
        }
        // With the full frames every two seconds, directors in every frame, radii in none but those.
        let share = client.bytes as f64 / json as f64;
        assert_eq!(client.fulls, 2);
        assert!(share <= 0.125, "{mode:?}: {share}");
        let megabits = client.bytes as f64 * 8.0 / (f64::from(2 * FULL_EVERY) / 72.0) / 1e6;
        let bound = if mode.arm_count() == 8 { 4.0 } else { 1.5 };
        assert!(megabits <= bound, "{mode:?}: {megabits} Mbit/s");
    }
}

#[test]
fn an_octopus_with_all_flags_in_every_frame_still_does() {
    let scene = scene(CharacterMode::CathyForaging, 1.0);
    let json = scene.encode(&MeshData::OfStatic(Vec::new()), false).unwrap().len();
    let mut encoder = SceneEncoder::default();
    encoder.push(Arc::new(scene.clone())).unwrap();
    let cursor = encoder.step(SceneCursor::NEW, SceneForm::default()).cursor();
    let mut next = scene;
    for arm in next.arms.values_mut() {
        arm.centerline.iter_mut().for_each(|point| point[1] += 1e-3);
        arm.directors.iter_mut().for_each(|director| *director = [director[1], director[2], director[0]]);
        arm.radii.iter_mut().for_each(|radius| *radius *= 1.01);
    }
    encoder.push(Arc::new(next)).unwrap();
    let binary =
        encoder.encode(encoder.step(cursor, SceneForm { binary: true, people: false })).unwrap().binary.unwrap();
    let read = BinaryScene::decode(&binary).unwrap();
    assert!(read.arms.iter().all(|arm| arm.radii.is_some() && arm.directors.is_some()));
    assert!(binary.len() as f64 <= 0.125 * json as f64, "{} of {json}", binary.len());
}

#[test]
fn a_binary_frame_is_laid_out_byte_by_byte() {
    let mut scene = SceneState { timestamp: 0.5, ..SceneState::default() };
    let mut arm = ArmState::new("a_arm_0", Transform::at([1.0, 2.0, 3.0]));
    scene.arms.insert("a_arm_0".to_owned(), arm.clone());
    let mut encoder = SceneEncoder::default();
    encoder.push(Arc::new(scene.clone())).unwrap();
    let cursor = encoder.step(SceneCursor::NEW, SceneForm::default()).cursor();

    arm.centerline = vec![[1.0, 2.0, 3.0], [1.0, 2.0, 2.5]];
    arm.radii = vec![0.25];
    arm.directors = vec![[[1.0, 0.0, 0.0], [0.0, -1.0, 0.0], [0.0, 0.0, -1.0]]];
    arm.tip = Transform { translation: [1.0, 2.0, 2.5], rotation_xyzw: [1.0, 0.0, 0.0, 0.0] };
    scene.arms.insert("a_arm_0".to_owned(), arm);
    scene.timestamp = 0.75;
    encoder.push(Arc::new(scene)).unwrap();
    let frames = encoder.encode(encoder.step(cursor, SceneForm { binary: true, people: false })).unwrap();
    assert!(frames.quiet);

    let mut expected = b"VFS1".to_vec();
    expected.extend(2u32.to_le_bytes());
    expected.extend(0.75f64.to_le_bytes());
    expected.extend([1, 0]);
    expected.extend([0, 0, 3, 0, 2, 0]);
    let floats = [1.0f32, 2.0, 3.0, 1.0, 2.0, 2.5, 1.0, 2.0, 2.5, 1.0, 0.0, 0.0, 0.0, 0.25];
    floats.iter().for_each(|number| expected.extend(number.to_le_bytes()));
    [32767i16, 0, 0, 0].iter().for_each(|part| expected.extend(part.to_le_bytes()));
    assert_eq!(frames.binary.unwrap(), expected);
    for cut in 0..expected.len() {
        BinaryScene::decode(&expected[..cut]).unwrap_err();
    }
}

#[test]
fn a_delta_tells_only_what_changed() {
    let mut now = scene(CharacterMode::Spirobs, 0.0);
    let (mut encoder, mut client) = (SceneEncoder::default(), Client::new(false, false));
    encoder.push(Arc::new(now.clone())).unwrap();
    let full = client.take(&encoder);
    assert_eq!(full["type"], "scene_state");
    assert_eq!(full["payload"]["frame"], 1);
    assert_eq!(full["payload"]["arm_table"], json!(["amy_arm_0", "amy_arm_1"]));

    now.timestamp = 0.1;
    now.arms.get_mut("amy_arm_1").unwrap().contact_points.push([0.0, 1.0, 0.0]);
    now.meshes.get_mut("rock").unwrap().visible = false;
    now.spheres.clear();
    encoder.push(Arc::new(now.clone())).unwrap();
    let delta = client.take(&encoder);
    assert_eq!(
        delta,
        json!({"version": 1, "type": "scene_delta", "payload": {
            "base": 1, "frame": 2, "timestamp": 0.1,
            "arms": {"amy_arm_1": {"contact_points": [[0.0, 1.0, 0.0]]}},
            "meshes": {"rock": {"mesh_id": "rock", "owner_id": "rig", "translation": [0.0, 0.0, 0.0],
                "rotation_xyzw": [0.0, 0.0, 0.0, 1.0], "scale": [1.0, 1.0, 1.0], "visible": false, "static_asset": true}},
            "removed": {"spheres": ["ball"]},
        }})
    );
    assert_eq!(client.scene(), &now);
}

#[test]
fn a_client_that_skips_frames_gets_what_it_lacks() {
    let mut now = scene(CharacterMode::Spirobs, 0.0);
    let mut encoder = SceneEncoder::default();
    let (mut slow, mut quick) = (Client::new(false, false), Client::new(false, false));
    encoder.push(Arc::new(now.clone())).unwrap();
    slow.take(&encoder);
    quick.take(&encoder);
    let moved = |now: &mut SceneState, y| now.meshes.get_mut("rock").unwrap().translation[1] = y;

    moved(&mut now, 1.0);
    now.spheres.insert("new".to_owned(), Sphere::new("new", "amy", [0.0; 3], 0.1));
    encoder.push(Arc::new(now.clone())).unwrap();
    quick.take(&encoder);
    now.spheres.remove("new");
    now.spheres.remove("ball");
    encoder.push(Arc::new(now.clone())).unwrap();
    assert!(ids(&quick.take(&encoder)["payload"]["meshes"]).is_empty());
    now.haptics.clear();
    encoder.push(Arc::new(now.clone())).unwrap();
    quick.take(&encoder);
    let caught_up = slow.take(&encoder);
    assert_eq!(ids(&caught_up["payload"]["meshes"]), ["rock"]);
    assert_eq!(slow.scene(), &now);
    assert_eq!(quick.scene(), &now);
}

#[test]
fn large_parts_are_sent_once() {
    let mut now = scene(CharacterMode::Spirobs, 0.0);
    let mut encoder = SceneEncoder::new(10);
    let mut client = Client::new(true, false);
    encoder.push(Arc::new(now.clone())).unwrap();
    assert!(client.take(&encoder)["payload"]["meshes"]["rock"]["asset_uri"].is_string());

    let mut data = 0;
    let mut points = 0;
    for number in 0..25 {
        if number == 3 {
            now.meshes.insert("new".to_owned(), Mesh::new("new", "rig", "data:,new".into()));
        }
        if number == 4 {
            let overlay: &mut Overlay = now.overlay_points.get_mut("scan").unwrap();
            overlay.points = vec![[0.0; 3]; 3].into();
        }
        encoder.push(Arc::new(now.clone())).unwrap();
        let text = client.take(&encoder);
        let meshes = text["payload"]["meshes"].as_object();
        data += meshes.into_iter().flatten().filter(|(_, mesh)| mesh.get("asset_uri").is_some()).count();
        points += usize::from(
            text["type"] == "scene_delta" && text["payload"]["overlay_points"]["scan"]["points"].is_array(),
        );
        assert_eq!(client.scene(), &now, "{number}");
    }
    assert_eq!((client.fulls, data, points), (3, 1, 1));

    // Another file under the same id, and one that a reset made again.
    now.meshes.get_mut("rock").unwrap().asset_uri = Some("data:,other".into());
    encoder.push(Arc::new(now.clone())).unwrap();
    assert_eq!(client.take(&encoder)["payload"]["meshes"]["rock"]["asset_uri"], "data:,other");
    encoder.resend("rig");
    encoder.push(Arc::new(now.clone())).unwrap();
    assert_eq!(client.take(&encoder)["payload"]["meshes"]["rock"]["asset_uri"], "data:,other");
    assert_eq!(client.scene(), &now);
}

#[test]
fn who_appears_brings_a_full_frame_for_everybody() {
    let mut now = scene(CharacterMode::Spirobs, 0.0);
    let mut encoder = SceneEncoder::default();
    let mut client = Client::new(true, false);
    encoder.push(Arc::new(now.clone())).unwrap();
    client.take(&encoder);
    now.arms.extend(arms(CharacterMode::Spirobs, "abe", 0.0));
    encoder.push(Arc::new(now.clone())).unwrap();
    assert_eq!(client.take(&encoder)["payload"]["arm_table"].as_array().unwrap().len(), 4);

    // Who leaves does not, and the places of the others stay.
    now.arms.retain(|id, _| id.starts_with("amy"));
    encoder.push(Arc::new(now.clone())).unwrap();
    let removed = client.take(&encoder);
    assert_eq!(removed["payload"]["removed"]["arms"], json!(["abe_arm_0", "abe_arm_1"]));
    now.arms = arms(CharacterMode::Spirobs, "amy", 0.5);
    encoder.push(Arc::new(now.clone())).unwrap();
    client.take(&encoder);
    assert!(distance(&now, client.scene()) < 2e-4);
    assert_eq!(client.fulls, 2);
}

type Change = fn(&mut ArmState);

#[test]
fn what_a_binary_frame_cannot_carry_comes_as_json() {
    let mut now = scene(CharacterMode::Spirobs, 0.0);
    let mut encoder = SceneEncoder::default();
    let mut client = Client::new(true, false);
    encoder.push(Arc::new(now.clone())).unwrap();
    client.take(&encoder);

    let changes: [(&str, Change); 7] = [
        ("lengths of a rod at rest", |arm| arm.element_lengths.iter_mut().for_each(|length| *length = 0.5)),
        ("no lengths", |arm| arm.element_lengths.clear()),
        ("no directors", |arm| arm.directors.clear()),
        ("directors that are no rotations", |arm| arm.directors = vec![[[2.0, 0.0, 0.0]; 3]; 21]),
        ("fewer radii", |arm| arm.radii.truncate(3)),
        ("far away", |arm| arm.tip.translation[0] = 1e9),
        ("no points", |arm| arm.centerline.clear()),
    ];
    for (what, change) in changes {
        for time in [0.0, 0.1, 0.2] {
            now.arms = arms(CharacterMode::Spirobs, "amy", time);
            now.arms.values_mut().for_each(change);
            encoder.push(Arc::new(now.clone())).unwrap();
            client.take(&encoder);
            assert!(distance(&now, client.scene()) < 2e-4, "{what}");
        }
        now.arms = arms(CharacterMode::Spirobs, "amy", 0.3);
        encoder.push(Arc::new(now.clone())).unwrap();
        client.take(&encoder);
        assert!(distance(&now, client.scene()) < 2e-4, "after {what}");
    }
    assert_eq!(client.fulls, 1);
}

#[test]
fn people_are_seen_by_those_who_agreed() {
    let mut now = scene(CharacterMode::Spirobs, 0.0);
    let mut encoder = SceneEncoder::default();
    let (mut seeing, mut other) = (Client::new(false, true), Client::new(false, false));
    let person = |y: f64| Person { head_pose: Transform::at([0.0, y, 0.0]), controllers: Default::default() };
    for y in [1.6, 1.7, 1.7] {
        now.people.insert("amy".to_owned(), person(y));
        encoder.push(Arc::new(now.clone())).unwrap();
        assert!(other.take(&encoder)["payload"].get("people").is_none());
        seeing.take(&encoder);
        assert_eq!(seeing.scene(), &now);
    }
    now.people.clear();
    encoder.push(Arc::new(now.clone())).unwrap();
    assert_eq!(seeing.take(&encoder)["payload"]["people"], json!({}));
    assert_eq!(seeing.scene(), &now);
}

#[test]
fn a_number_that_is_not_finite_never_leaves() {
    let mut encoder = SceneEncoder::default();
    let good = scene(CharacterMode::Spirobs, 0.0);
    encoder.push(Arc::new(good.clone())).unwrap();
    let mut bad = good.clone();
    bad.arms.get_mut("amy_arm_1").unwrap().centerline[3][1] = f64::NAN;
    let refused = bad.encode(&MeshData::Whole, false).unwrap_err();
    assert_eq!((refused.part, refused.id.as_str()), ("arm", "amy_arm_1"));
    assert_eq!(refused.to_string(), r#"arm "amy_arm_1" has a number that is not finite"#);
    assert_eq!(encoder.push(Arc::new(bad)), Err(refused));
    let mut bad = good.clone();
    bad.overlay_points.get_mut("scan").unwrap().points = vec![[f64::INFINITY, 0.0, 0.0]].into();
    assert_eq!(encoder.push(Arc::new(bad)).unwrap_err().part, "overlay");

    let mut client = Client::new(false, false);
    client.take(&encoder);
    assert_eq!(client.scene(), &good);
}

#[test]
fn a_client_that_lost_track_asks_and_is_served_whole() {
    let now = Arc::new(scene(CharacterMode::Spirobs, 0.0));
    let mut encoder = SceneEncoder::default();
    encoder.push(now.clone()).unwrap();
    let mut client = Client::new(true, false);
    client.take(&encoder);
    let (cursor, form) = (client.cursor, client.form);
    encoder.push(Arc::new(scene(CharacterMode::Spirobs, 0.1))).unwrap();
    let binary = encoder.encode(encoder.step(cursor, form)).unwrap().binary.unwrap();

    let mut decoder = SceneDecoder::default();
    assert_eq!(decoder.binary(&binary), Err(LostTrack::Base));
    client.decoder.binary(&binary).unwrap();
    assert_eq!(client.decoder.binary(&binary), Err(LostTrack::Old));
    assert_eq!(client.decoder.binary(&binary), Err(LostTrack::Base), "only a full frame leads on");
    client.cursor = SceneCursor::NEW;
    assert!(client.take(&encoder)["payload"]["meshes"]["rock"]["asset_uri"].is_string());
    assert_eq!(client.decoder.scene(), &scene(CharacterMode::Spirobs, 0.1));
}

#[test]
fn what_is_for_one_client_joins_what_is_for_all() {
    let text = SceneState::default().encode(&MeshData::Whole, false).unwrap();
    assert_eq!(SceneExtras::default().add_to(&text), text);
    let extras = SceneExtras {
        input_ack: Some(InputAck { seq: 7, recv_ts: 1.5, age_ms: 2.0, lost: 1 }),
        clamped: vec!["amy_arm_0".to_owned()],
        paused: true,
        away: vec!["bob".to_owned()],
    };
    let Ok(ServerMessage::SceneState(read)) = ServerMessage::decode(&extras.add_to(&text)) else { panic!() };
    assert_eq!(read.extras, extras);
    assert_eq!(read.scene, SceneState::default());
}

#[test]
fn a_reader_of_whole_scenes_keeps_the_data_of_static_meshes() {
    let mut marks = MeshMarks::new();
    let mut decoder = SceneDecoder::default();
    let mut now = scene(CharacterMode::Spirobs, 0.0);
    let mut with_data = Vec::new();
    let mut show = |now: &SceneState, marks: &mut MeshMarks| {
        let text = now.encode(&marks.next(&now.meshes), false).unwrap();
        with_data.push(text.contains("asset_uri"));
        let Ok(ServerMessage::SceneState(read)) = ServerMessage::decode(&text) else { panic!() };
        decoder.full(*read);
        assert_eq!(decoder.scene(), now);
    };
    show(&now, &mut marks);
    show(&now, &mut marks);
    // Another file, the same file in another place of memory, and a reset.
    now.meshes.get_mut("rock").unwrap().asset_uri = Some("data:,other".into());
    show(&now, &mut marks);
    now.meshes.get_mut("rock").unwrap().asset_uri = Some("data:,other".into());
    show(&now, &mut marks);
    marks.forget("amy");
    show(&now, &mut marks);
    marks.forget("rig");
    show(&now, &mut marks);
    assert_eq!(with_data, [true, false, true, false, false, true]);
}
