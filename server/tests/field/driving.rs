//! Whose hands move which arms, and what ends that.

use std::time::Duration;

use serde_json::{Value, json};
use waldo_protocol::field::HandlingConfig;
use waldo_server::field::{FieldBackend, FieldConfig, FieldMapping, FieldServer, MultiArmPassThroughBackend, Physics};

use super::harness::*;

/// Nowhere in scenes that do not show the arm yet.
fn tip(scene: &Value, arm: &str) -> f64 {
    scene["arms"][arm]["tip"]["translation"][0].as_f64().unwrap_or(f64::NAN)
}

#[tokio::test]
async fn two_users_drive_their_own_arms_in_the_same_step() {
    let setup = start();
    let (mut amy, mut bob) = (setup.user("amy").await, setup.user("bob").await);
    for _ in 0..10 {
        amy.hand(-0.5).await;
        bob.hand(0.5).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    until("both drive at once", || setup.log.driving().len() == 2).await;
    let scene = amy.scene_where(|scene| tip(scene, "amy_arm_0") == -0.5 && tip(scene, "bob_arm_0") == 0.5).await;
    assert_eq!(scene["user_arms"], json!({"amy": ["amy_arm_0", "amy_arm_1"], "bob": ["bob_arm_0", "bob_arm_1"]}));
    let steps = setup.log.steps();
    let first = steps.iter().position(|step| step.users.contains_key("bob")).unwrap();
    for step in &steps[first..] {
        for (user, command) in &step.users {
            assert!(command.commands.keys().all(|arm| arm.starts_with(user.as_str())), "{step:?}");
        }
        assert_eq!(step.users.len(), 2, "nobody starves");
    }
}

#[tokio::test]
async fn heartbeats_do_not_keep_a_command_alive() {
    let setup = start();
    let mut amy = setup.user_with("amy", json!({"ext": ["deadman/1"]})).await;
    amy.hand(0.1).await;
    until("amy drives", || setup.log.driving().contains("amy")).await;
    let heard = setup.log.steps().iter().find(|step| step.users.contains_key("amy")).unwrap().at;
    for _ in 0..20 {
        amy.send("heartbeat", json!({})).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let last = setup.log.steps().iter().rfind(|step| step.users.contains_key("amy")).unwrap().at;
    let driven = last.duration_since(heard).as_secs_f64();
    assert!((0.2..0.9).contains(&driven), "{driven} s");
    let told = amy.reply().await;
    assert_eq!(told["payload"], json!({"reason": "input timeout", "code": "deadman"}));
    let users = setup.server.users();
    assert!(users[0].connected && !users[0].away, "{users:?}");
    assert!(amy.is_silent().await, "told once");
}

#[tokio::test]
async fn a_client_without_extensions_is_let_go_of_early_only_by_a_strict_server() {
    let drives_on = async |strict_deadman| {
        let setup = start_with(FieldConfig { strict_deadman, ..FieldConfig::default() });
        let mut amy = setup.user("amy").await;
        amy.hand(0.1).await;
        until("amy drives", || setup.log.driving().contains("amy")).await;
        tokio::time::sleep(Duration::from_millis(800)).await;
        let drives = setup.log.driving().contains("amy");
        assert!(amy.is_silent().await, "the plain wire knows no such word");
        drives
    };
    assert!(drives_on(false).await);
    assert!(!drives_on(true).await);
}

#[tokio::test]
async fn hands_that_vanish_end_the_command_at_once() {
    let setup = start();
    let mut amy = setup.user("amy").await;
    amy.hand(0.1).await;
    until("amy drives", || setup.log.driving().contains("amy")).await;
    let mut gone = sample(0.0);
    gone["controllers"] = json!({});
    amy.send("xr_input", gone).await;
    assert_eq!(amy.refusal().await, "");
    until("nobody drives", || setup.log.driving().is_empty()).await;
    assert!(amy.is_silent().await, "that is no silence to be told of");
}

#[tokio::test]
async fn a_bad_sample_is_refused_and_the_last_command_stays() {
    let setup = start();
    let mut amy = setup.user("amy").await;
    amy.hand(0.1).await;
    until("amy drives", || setup.log.driving().contains("amy")).await;
    let mut zero = sample(0.9);
    zero["controllers"]["left"]["pose"]["rotation_xyzw"] = json!([0, 0, 0, 0]);
    amy.send("xr_input", zero).await;
    assert!(amy.refusal().await.contains("unit quaternion"));
    let mut infinite = sample(0.9).to_string().replace("0.9", "1e999");
    infinite = format!(r#"{{"version":1,"type":"xr_input","payload":{infinite}}}"#);
    amy.send_text(infinite).await;
    assert!(!amy.refusal().await.is_empty());
    assert!(setup.log.driving().contains("amy"));
}

#[tokio::test]
async fn a_reset_keeps_the_names_and_forgets_what_the_hands_said() {
    let setup = start();
    let mut amy = setup.user("amy").await;
    amy.hand(0.7).await;
    amy.scene_where(|scene| tip(scene, "amy_arm_0") == 0.7).await;
    amy.send("reset", json!({})).await;
    let expected = json!({"reset": true, "user_id": "amy", "arm_ids": ["amy_arm_0", "amy_arm_1"],
        "controlled_arm_ids": ["amy_arm_0", "amy_arm_1"]});
    assert_eq!(amy.reply().await, json!({"version": 1, "type": "hello_ack", "payload": expected}));
    until("nobody drives", || setup.log.driving().is_empty()).await;
    amy.scene_where(|scene| tip(scene, "amy_arm_0") == -0.15).await;
    assert!(amy.is_silent().await, "no manifest");
    amy.hand(0.2).await;
    amy.scene_where(|scene| tip(scene, "amy_arm_0") == 0.2).await;
}

#[tokio::test]
async fn whoever_leaves_lets_go_of_the_arms_before_they_are_gone() {
    let setup = start();
    let mut bob = setup.user("bob").await;
    bob.hand(0.3).await;
    let mut amy = setup.user("amy").await;
    amy.hand(0.1).await;
    until("amy drives", || setup.log.driving().contains("amy")).await;
    bob.scene_where(|scene| !scene["user_arms"]["amy"].is_null()).await;
    amy.break_off();
    bob.scene_where(|scene| scene["user_arms"]["amy"].is_null()).await;
    let steps = setup.log.steps();
    let last = steps.iter().rfind(|step| step.users.contains_key("amy")).unwrap();
    let command = &last.users["amy"];
    assert_eq!((command.commands.len(), last.dt), (2, 0.0));
    assert!(command.commands.values().all(|arm| !arm.active && arm.buttons.is_empty()), "{command:?}");
    let scene = bob.scene().await;
    assert_eq!(scene["arms"].as_object().unwrap().len(), 2);
}

#[tokio::test]
async fn samples_have_numbers_and_the_scene_tells_the_newest() {
    let setup = start();
    let mut amy = setup.user_with("amy", json!({"ext": ["input-seq/1", "limits/1"]})).await;
    assert_eq!(amy.ack["payload"]["limits"]["max_input_hz"], 120.0);
    assert_eq!(amy.ack["payload"]["limits"]["max_message"], 1 << 20);
    for (n, seq) in [1, 2, 5, 4].into_iter().enumerate() {
        let mut numbered = sample(0.1);
        numbered["seq"] = json!(seq);
        numbered["timestamp"] = json!(n as f64 * 0.01);
        amy.send("xr_input", numbered).await;
    }
    let scene = amy.scene_where(|scene| scene["input_ack"]["seq"] == 5).await;
    assert_eq!(scene["input_ack"]["lost"], 2);
    assert!(scene["input_ack"]["age_ms"].as_f64().unwrap() >= 0.0);
    let mut other = setup.spectator().await;
    assert!(other.scene().await.get("input_ack").is_none());
}

#[tokio::test]
async fn people_see_each_others_hands_if_they_agreed_on_it() {
    let setup = start();
    let mut amy = setup.user("amy").await;
    let mut viewer = setup.hello(json!({"role": "spectator", "ext": ["people/1"]})).await;
    assert_eq!(viewer.ack["payload"]["ext"], json!(["people/1"]));
    amy.hand(0.25).await;
    let scene = viewer.scene_where(|scene| scene["people"]["amy"].is_object()).await;
    let hand = &scene["people"]["amy"]["controllers"]["left"];
    assert_eq!(hand["pose"]["translation"][0], 0.25, "as the hand is, not smoothed");
    assert!(amy.scene().await.get("people").is_none());
}

#[tokio::test]
async fn who_is_silent_or_lost_is_shown_as_away_until_heard_of_again() {
    let setup = start();
    let mut amy = setup.user_with("amy", json!({"ext": ["resume/1"]})).await;
    let mut viewer = setup.hello(json!({"role": "spectator", "ext": ["people/1", "scene-bin/1"]})).await;
    assert!(viewer.scene().await.get("away").is_none());
    viewer.told(|payload| payload["away"] == json!(["amy"])).await;
    assert!(setup.server.users()[0].away);
    amy.send("heartbeat", json!({})).await;
    // The word that nobody is away comes even if nothing else does.
    viewer.told(|payload| payload.get("away").is_none()).await;
    amy.break_off();
    viewer.told(|payload| payload["away"] == json!(["amy"])).await;
    let mut plain = setup.spectator().await;
    assert!(plain.scene().await.get("away").is_none());
}

#[tokio::test]
async fn limits_are_those_of_what_the_arms_are() {
    let limits = async |backend: Box<dyn FieldBackend>| {
        let mapping = FieldMapping { max_translation: 1.5, ..FieldMapping::default() };
        let config = FieldConfig { listen: Some(([127, 0, 0, 1], 0).into()), mapping, ..FieldConfig::default() };
        let server = FieldServer::new(config);
        server.start(backend).unwrap();
        let mut amy = Client::connect(&format!("ws://{}", server.addr().unwrap())).await;
        amy.send("hello", json!({"character_mode": "two-cr", "ext": ["limits/1"]})).await;
        let limits = amy.reply().await["payload"]["limits"].clone();
        assert_eq!(limits["max_translation"], 1.5);
        limits
    };
    let soft = limits(Box::new(MultiArmPassThroughBackend::simulated(Physics::Soft, HandlingConfig::default()))).await;
    assert_eq!((&soft["max_speed"], &soft["workspace"]["min"]), (&json!(2.0), &json!([-2.0, -2.0, -2.0])));
    let passes = limits(Box::new(MultiArmPassThroughBackend::new())).await;
    assert!(passes.get("max_speed").is_none() && passes.get("workspace").is_none(), "{passes}");
}

#[tokio::test]
async fn a_back_end_that_panics_holds_and_says_so() {
    let setup = start();
    let mut amy = setup.user("amy").await;
    amy.hand(0.4).await;
    amy.scene_where(|scene| tip(scene, "amy_arm_0") == 0.4).await;
    setup.log.become_bad(Mischief::Panics);
    assert!(amy.refusal().await.contains("has failed"));
    let scene = amy.scene_where(|scene| scene["arms"]["amy_arm_0"]["fault"] == true).await;
    assert_eq!(tip(&scene, "amy_arm_0"), 0.4);
    assert!(setup.server.has_failed());
    // Sockets live on, and new users are told.
    let mut bob = setup.connect().await;
    bob.send("hello", json!({"character_mode": "two-cr"})).await;
    assert!(bob.refusal().await.contains("has failed"));
}

#[tokio::test]
async fn an_arm_that_diverges_is_shown_as_it_was_last() {
    let setup = start();
    let mut amy = setup.user("amy").await;
    amy.hand(0.4).await;
    amy.scene_where(|scene| tip(scene, "amy_arm_0") == 0.4).await;
    setup.log.become_bad(Mischief::Diverges);
    let scene = amy.scene_where(|scene| scene["arms"]["amy_arm_0"]["fault"] == true).await;
    assert_eq!(tip(&scene, "amy_arm_0"), 0.4);
    setup.log.become_bad(Mischief::None);
    amy.scene_where(|scene| scene["arms"]["amy_arm_0"].get("fault").is_none()).await;
}

#[tokio::test]
async fn simulated_time_is_wall_time() {
    let setup = start();
    let mut viewer = setup.spectator().await;
    let time = |scene: &Value| scene["timestamp"].as_f64().unwrap();
    let (begin, first) = (std::time::Instant::now(), time(&viewer.scene().await));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let steps = setup.log.steps();
    assert!(steps.iter().all(|step| step.dt == 0.005), "publishing never steps");
    // Whatever waited is older.
    let now = begin.elapsed().as_secs_f64();
    let last = viewer.scene_where(|scene| time(scene) - first > 1.9).await;
    let ratio = (time(&last) - first) / now;
    assert!((0.8..1.2).contains(&ratio), "{ratio}");
}

#[tokio::test]
async fn a_field_that_is_paused_stands_still_and_tells_those_who_asked() {
    let setup = start();
    let mut amy = setup.user_with("amy", json!({"ext": ["paused/1"]})).await;
    amy.scene().await;
    setup.server.set_paused(true);
    let first = amy.scene_where(|scene| scene["paused"] == true).await;
    assert_eq!(amy.scene().await["timestamp"], first["timestamp"]);
    for ext in [json!([]), json!(["limits/1", "people/1"])] {
        let mut other = setup.hello(json!({"role": "spectator", "ext": ext})).await;
        assert!(other.scene().await.get("paused").is_none());
    }
    setup.server.set_paused(false);
    amy.scene_where(|scene| scene.get("paused").is_none() && scene["timestamp"] != first["timestamp"]).await;
}
