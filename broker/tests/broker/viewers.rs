//! Who only watches.

use std::time::Duration;

use serde_json::{Value, json};

use crate::client::{ALICE, BOB, OPERATOR_OFFER, until, world, world_with};

#[tokio::test]
async fn viewers_get_a_peer_channels_and_a_picture_and_never_the_slot() {
    watching().await;
}

pub(crate) async fn watching() {
    let world = world_with(|settings| settings.max_viewers = 2).await;
    let (alice, bob) = (world.log_in(ALICE).await, world.log_in(BOB).await);
    world.engine.set(|script| script.video_offer = Some("v=0 picture".to_owned()));
    let id = world.register().await;
    let watch = json!({"role": "viewer", "sdp_offer": OPERATOR_OFFER});
    let path = format!("/sessions/{id}/join");
    let joined = world.operator(&alice, "POST", &path, watch.clone()).await.ok();
    let session = world.status(&alice, &id).await;
    assert_eq!((&session["state"], &session["viewers"]), (&json!("idle"), &json!(1)));
    let viewer = format!("/sessions/{id}/viewers/{}", joined["cf_session_id"].as_str().unwrap());
    let bridged = world.operator(&alice, "POST", &format!("{viewer}/bridge"), Value::Null).await.ok();
    assert_eq!((&bridged["state_back_channel_id"], &bridged["map_channel_id"]), (&json!(100), &json!(101)));
    assert!(bridged.get("cmd_channel_id").is_none(), "{bridged}");
    let answer = json!({"sdp_answer": "v=0"});
    world.operator(&alice, "POST", &format!("{viewer}/answer"), answer.clone()).await.ok();
    assert_eq!(world.operator(&alice, "POST", &format!("{viewer}/answer"), answer).await.status, 409);
    world.operator(&alice, "POST", &format!("{viewer}/heartbeat"), Value::Null).await.ok();
    // A viewer's bridge is not an operator's.
    assert_eq!(world.bridge(&alice, &id).await.status, 403);
    // Others' viewers are nobody's business.
    assert_eq!(world.operator(&bob, "POST", &format!("{viewer}/bridge"), Value::Null).await.status, 404);
    let second = world.operator(&alice, "POST", &path, watch.clone()).await.ok();
    let third = world.operator(&alice, "POST", &path, watch).await;
    assert_eq!((third.status, third.detail().as_str()), (409, "Session has too many viewers"));
    assert_eq!(world.operator(&alice, "DELETE", &viewer, Value::Null).await.status, 204);
    assert_eq!(world.operator(&alice, "DELETE", &viewer, Value::Null).await.status, 404);
    assert!(!world.engine.has(joined["cf_session_id"].as_str().unwrap()));
    assert_eq!(world.status(&alice, &id).await["viewers"], 1);
    // The robot's end is theirs.
    world.robot(crate::client::KEY, "DELETE", &format!("/sessions/{id}"), Value::Null).await;
    assert!(!world.engine.has(second["cf_session_id"].as_str().unwrap()));
}

#[tokio::test]
async fn silent_viewers_go() {
    let world = world_with(|settings| {
        settings.timers.operator = Duration::from_millis(200);
        settings.timers.reap_every = Duration::from_millis(50);
    })
    .await;
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    let watch = json!({"role": "viewer", "sdp_offer": OPERATOR_OFFER});
    let joined = world.operator(&alice, "POST", &format!("/sessions/{id}/join"), watch).await.ok();
    let peer = joined["cf_session_id"].as_str().unwrap().to_owned();
    until("the viewer's peer is gone", || !world.engine.has(&peer)).await;
}

#[tokio::test]
async fn a_stop_through_the_broker_is_for_all_of_the_tenant_and_written_down() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    let reply = world.operator(&alice, "POST", &format!("/sessions/{id}/estop"), Value::Null).await;
    assert_eq!(reply.status, 202);
    let told = world.engine.called("inject");
    assert!(told[0].contains("\"type\":\"estop\"") && told[0].contains("\"nonce\":\"broker-"), "{told:?}");
    let audit = world.operator(&alice, "GET", &format!("/sessions/{id}/audit"), Value::Null).await.ok();
    assert_eq!((&audit[1]["event"], &audit[1]["actor"]), (&json!("e-stop"), &json!(ALICE)));
}
