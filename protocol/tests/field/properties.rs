//! What holds for every message and every scene, and for whatever else may arrive.

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use waldo_protocol::field::{
    BinaryScene, ClientMessage, Envelope, LostTrack, MeshData, SceneDecoder, SceneEncoder, SceneState, ServerMessage,
};

use crate::encode::{Mirror, client_survives};
use crate::scenes::Client;
use crate::strategies::{client_message, scene, server_message};

/// Values that stand where they do not belong.
fn odd() -> impl Strategy<Value = Value> {
    prop::sample::select(vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(1e308),
        json!(1u64 << 60),
        json!("1"),
        json!("NaN"),
        json!(""),
        json!([]),
        json!({}),
        json!([[]]),
        json!([1, 2]),
        json!([0, 0, 0, 0, 0]),
        json!({"": {}}),
    ])
}

/// What is done to one place of a message.
#[derive(Clone, Debug)]
enum Harm {
    Replace(Value),
    Remove,
    Double,
}

fn harm() -> impl Strategy<Value = Harm> {
    prop_oneof![3 => odd().prop_map(Harm::Replace), 1 => Just(Harm::Remove), 1 => Just(Harm::Double)]
}

/// Number of places in a value.
fn places(value: &Value) -> usize {
    match value {
        Value::Array(list) => list.iter().map(|element| 1 + places(element)).sum(),
        Value::Object(map) => map.values().map(|element| 1 + places(element)).sum(),
        _ => 0,
    }
}

/// Harms the place of that number.
fn harmed(value: &mut Value, place: &mut usize, harm: &Harm) {
    match value {
        Value::Array(list) => {
            for i in 0..list.len() {
                if *place == 0 {
                    *place = usize::MAX;
                    match harm {
                        Harm::Replace(odd) => list[i] = odd.clone(),
                        Harm::Remove => drop(list.remove(i)),
                        Harm::Double => list.insert(i, list[i].clone()),
                    }
                    return;
                }
                *place -= 1;
                harmed(&mut list[i], place, harm);
                if *place == usize::MAX {
                    return;
                }
            }
        }
        Value::Object(map) => {
            for key in map.keys().cloned().collect::<Vec<_>>() {
                if *place == 0 {
                    *place = usize::MAX;
                    match harm {
                        Harm::Replace(odd) => drop(map.insert(key, odd.clone())),
                        Harm::Remove => drop(map.remove(&key)),
                        Harm::Double => drop(map.insert(format!("{key}x"), map[&key].clone())),
                    }
                    return;
                }
                *place -= 1;
                if let Some(element) = map.get_mut(&key) {
                    harmed(element, place, harm);
                }
                if *place == usize::MAX {
                    return;
                }
            }
        }
        _ => {}
    }
}

/// A text with some places harmed.
fn harm_text(text: &str, harms: &[(prop::sample::Index, Harm)]) -> String {
    let mut value: Value = serde_json::from_str(text).unwrap();
    for (index, harm) in harms {
        let count = places(&value);
        if count > 0 {
            harmed(&mut value, &mut index.index(count), harm);
        }
    }
    value.to_string()
}

fn harms() -> impl Strategy<Value = Vec<(prop::sample::Index, Harm)>> {
    prop::collection::vec((any::<prop::sample::Index>(), harm()), 0..4)
}

proptest! {
    #[test]
    fn what_a_client_writes_a_server_reads(message in client_message()) {
        prop_assert_eq!(ClientMessage::decode(&message.encode()), Ok(message));
    }

    #[test]
    fn what_a_server_writes_a_client_reads(message in server_message()) {
        prop_assert_eq!(ServerMessage::decode(&message.encode().unwrap()), Ok(message));
    }

    #[test]
    fn harmed_frames_of_clients_are_refused_or_survive(message in client_message(), harms in harms()) {
        client_survives(&harm_text(&message.encode(), &harms));
    }

    #[test]
    fn harmed_frames_of_servers_are_refused_or_survive(message in server_message(), harms in harms()) {
        Mirror::default().survives(harm_text(&message.encode().unwrap(), &harms).as_bytes());
    }

    #[test]
    fn harmed_deltas_are_refused_or_survive(before in scene(), after in scene(), harms in harms()) {
        let mut after = after;
        // Else the second frame would be a full one.
        after.arms.retain(|id, _| before.arms.contains_key(id));
        let mut encoder = SceneEncoder::default();
        let mut client = Client::new(false, true);
        let mut mirror = Mirror::default();
        encoder.push(Arc::new(before)).unwrap();
        mirror.survives(client.take(&encoder).to_string().as_bytes());
        encoder.push(Arc::new(after)).unwrap();
        mirror.survives(harm_text(&client.take(&encoder).to_string(), &harms).as_bytes());
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        client_survives(&text);
        Mirror::default().survives(text.as_bytes());
    }

    #[test]
    fn cut_frames_are_refused(message in client_message(), at in any::<prop::sample::Index>()) {
        let text = message.encode();
        let cut = text.floor_char_boundary(at.index(text.len()));
        prop_assert!(Envelope::read(&text[..cut]).is_err());
    }

    #[test]
    fn any_bytes_are_a_binary_frame_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let with_head = [b"VFS1".as_slice(), &bytes].concat();
        for bytes in [&bytes, &with_head] {
            if let Ok(scene) = BinaryScene::decode(bytes) {
                prop_assert_eq!(BinaryScene::decode(&scene.encode()), Ok(scene));
            }
        }
    }

    #[test]
    fn deltas_lead_from_any_scene_to_any_other(
        scenes in prop::collection::vec((scene(), any::<[bool; 3]>()), 1..8),
        full_every in 1u32..6,
    ) {
        let mut encoder = SceneEncoder::new(full_every);
        let mut clients = [Client::new(false, true), Client::new(false, false), Client::new(true, true)];
        for (scene, taken) in scenes {
            let scene = Arc::new(scene);
            encoder.push(scene.clone()).unwrap();
            for (client, taken) in clients.iter_mut().zip(taken) {
                if taken {
                    client.take(&encoder);
                }
            }
            if taken[0] {
                prop_assert_eq!(clients[0].scene(), scene.as_ref());
            }
            if taken[1] {
                let without = SceneState { people: Default::default(), ..scene.as_ref().clone() };
                prop_assert_eq!(clients[1].scene(), &without);
            }
            if taken[2] {
                let seen = clients[2].scene();
                prop_assert!(seen.arms.keys().eq(scene.arms.keys()));
                // Everything but what binary frames round is the same.
                let mut rounded = seen.clone();
                for (arm, exact) in rounded.arms.values_mut().zip(scene.arms.values()) {
                    for (point, exact) in arm.centerline.iter().flatten().zip(exact.centerline.iter().flatten()) {
                        prop_assert!((point - exact).abs() <= 1e-6 * exact.abs().max(1e-30), "{} {}", point, exact);
                    }
                    for (element, exact) in arm.directors.as_flattened().as_flattened().iter().zip(exact.directors.as_flattened().as_flattened()) {
                        prop_assert!((element - exact).abs() <= 2e-3, "{} {}", element, exact);
                    }
                    for (length, exact) in arm.element_lengths.iter().zip(&exact.element_lengths) {
                        prop_assert!((length - exact).abs() <= 2e-4, "{} {}", length, exact);
                    }
                    prop_assert_eq!(arm.element_lengths.len(), exact.element_lengths.len());
                    prop_assert_eq!(arm.directors.len(), exact.directors.len());
                    prop_assert_eq!(arm.radii.len(), exact.radii.len());
                    arm.tip = exact.tip;
                    arm.centerline.clone_from(&exact.centerline);
                    arm.radii.clone_from(&exact.radii);
                    arm.element_lengths.clone_from(&exact.element_lengths);
                    arm.directors.clone_from(&exact.directors);
                }
                prop_assert_eq!(&rounded, scene.as_ref());
            }
        }
    }

    #[test]
    fn whole_scenes_reach_readers_of_the_original_wire(scene in scene()) {
        let text = scene.encode(&MeshData::Whole, false).unwrap();
        let Ok(ServerMessage::SceneState(message)) = ServerMessage::decode(&text) else { panic!() };
        prop_assert_eq!(message.scene, SceneState { people: Default::default(), ..scene });
    }

    #[test]
    fn a_delta_without_its_full_frame_leads_nowhere(scene in scene()) {
        let mut encoder = SceneEncoder::default();
        let mut client = Client::new(false, false);
        encoder.push(Arc::new(scene.clone())).unwrap();
        client.take(&encoder);
        encoder.push(Arc::new(scene)).unwrap();
        let Ok(ServerMessage::SceneDelta(delta)) = ServerMessage::decode(&client.take(&encoder).to_string()) else { panic!() };
        prop_assert_eq!(SceneDecoder::default().delta(*delta), Err(LostTrack::Base));
    }
}
