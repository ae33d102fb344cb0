//! Joining, bridging, answering, leaving, taking over.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use waldo_broker::sfu::{EngineError, Leg};

use crate::client::{ADMIN, ALICE, BOB, KEY, OPERATOR_OFFER, ids, until, world, world_with};

const NULLS: [Value; 4] = [Value::Null, Value::Null, Value::Null, Value::Null];

#[tokio::test]
async fn of_operators_who_join_at_once_exactly_one_wins() {
    race().await;
}

pub(crate) async fn race() {
    let world = Arc::new(world().await);
    world.engine.set(|script| script.delay = Duration::from_millis(20));
    let tokens = [world.log_in(ALICE).await, world.log_in(ADMIN).await];
    for round in 0..10 {
        let id = world.register_as(&format!("dog-{round}")).await;
        let joins = (0..8).map(|at| {
            let (world, token, id) = (Arc::clone(&world), tokens[at % 2].clone(), id.clone());
            tokio::spawn(async move { (at % 2, world.join(&token, &id).await) })
        });
        let mut won = [0, 0];
        for join in joins.collect::<Vec<_>>() {
            let (who, reply) = join.await.unwrap();
            match reply.status {
                200 => won[who] += 1,
                409 => {}
                _ => panic!("{reply:?}"),
            }
        }
        // One of both people has it; whoever else joined for them at once may have been faster.
        assert!((won[0] > 0) != (won[1] > 0), "{won:?}");
        let holder = world.status(&tokens[0], &id).await["operator_id"].clone();
        assert_eq!(holder, if won[0] > 0 { ALICE } else { ADMIN });
    }
}

#[tokio::test]
async fn checks_of_a_join_come_in_their_order() {
    let world = world_with(|settings| settings.timers.robot = Duration::from_millis(300)).await;
    let (alice, bob) = (world.log_in(ALICE).await, world.log_in(BOB).await);
    let id = world.register().await;
    let join = format!("/sessions/{id}/join");
    for (token, id) in [(&bob, id.as_str()), (&alice, "00000000-0000-4000-8000-000000000000"), (&alice, "x")] {
        let reply = world.join(token, id).await;
        assert_eq!((reply.status, reply.detail().as_str()), (404, "Session not found"));
    }
    // Without an offer nothing stays claimed.
    let reply = world.operator(&alice, "POST", &join, json!({})).await;
    assert_eq!((reply.status, reply.detail().as_str()), (422, "sdp_offer required for cloudflare transport"));
    assert_eq!(world.status(&alice, &id).await["state"], "idle");
    // Nor if the engine fails.
    for (error, status) in [
        (EngineError::Unavailable("down".into()), 502),
        (EngineError::Refused("full".into()), 502),
        (EngineError::Malformed("no fingerprint".into()), 422),
    ] {
        world.beat(&id).await.ok();
        world.engine.set(|script| script.no_peer = Some(error));
        assert_eq!(world.join(&alice, &id).await.status, status);
        let session = world.status(&alice, &id).await;
        assert_eq!((&session["state"], &session["operator_id"]), (&json!("idle"), &Value::Null));
    }
    let reply = world.operator(&alice, "POST", &join, json!({"role": "pilot", "sdp_offer": "v=0"})).await;
    assert_eq!(reply.status, 422);
    tokio::time::sleep(Duration::from_millis(400)).await;
    let reply = world.join(&alice, &id).await;
    assert_eq!(reply.status, 404, "{reply:?}");
    assert_eq!(reply.detail(), "Robot heartbeat stale — reconnect required");
    assert_eq!(world.operator(&alice, "GET", "/sessions", Value::Null).await.ok(), json!([]), "hidden at once");
}

#[tokio::test]
async fn a_rejoin_that_fails_leaves_the_slot_with_who_has_it() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    world.join(&alice, &id).await.ok();
    world.bridge(&alice, &id).await.ok();
    world.engine.set(|script| script.no_peer = Some(EngineError::Unavailable("down".into())));
    assert_eq!(world.join(&alice, &id).await.status, 502);
    let session = world.status(&alice, &id).await;
    assert_eq!((&session["state"], &session["operator_id"]), (&json!("active"), &json!(ALICE)));
    assert_ne!(ids(&world.beat(&id).await.ok()), NULLS, "the live bridge goes on");
    assert!(world.engine.called("unbridge").is_empty());
}

#[tokio::test]
async fn each_bridge_has_ids_of_its_own_and_the_robot_sees_null_or_is_told() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    assert_eq!(ids(&world.beat(&id).await.ok()), NULLS);
    world.join(&alice, &id).await.ok();
    assert_eq!(ids(&world.beat(&id).await.ok()), NULLS, "joined is not bridged");
    let mut seen = Vec::new();
    for _ in 0..3 {
        world.bridge(&alice, &id).await.ok();
        seen.push(ids(&world.beat(&id).await.ok()));
    }
    assert!(seen.iter().all(|ids| ids.iter().all(Value::is_u64)), "{seen:?}");
    assert!(seen[0] != seen[1] && seen[1] != seen[2], "{seen:?}");
    // The engine closes the robot's old publications, and the robot is told between two bridges.
    let bridges = world.engine.called("bridge");
    assert!(bridges[0].ends_with("stale 0") && bridges[1].ends_with("stale 24"), "{bridges:?}");
    assert_eq!(world.engine.called("inject").len(), 2);
    world.leave(&alice, &id).await.ok();
    assert_eq!(ids(&world.beat(&id).await.ok()), NULLS);
    // Also what an earlier operator left behind.
    world.join(&alice, &id).await.ok();
    world.bridge(&alice, &id).await.ok();
    assert!(world.engine.called("bridge")[3].ends_with("stale 40"), "{:?}", world.engine.called("bridge"));
}

#[tokio::test]
async fn a_peer_that_is_gone_is_told_from_other_failures() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let gone = |leg| EngineError::Gone { leg, detail: "410".to_owned() };
    let cases = [
        (gone(Leg::Operator), 409, "Operator CF session expired — rejoin"),
        (gone(Leg::Robot), 409, "Robot CF session expired — waiting for robot to reconnect"),
        (gone(Leg::Unknown), 409, "CF session expired — rejoin (robot may need to reconnect)"),
        (EngineError::NotReady("connecting".into()), 502, "Cloudflare error: not ready: connecting"),
        (EngineError::Malformed("no id".into()), 502, "Cloudflare error: malformed: no id"),
    ];
    for (error, status, text) in cases {
        let id = world.register().await;
        world.join(&alice, &id).await.ok();
        world.engine.set(|script| script.no_bridge = Some(error.clone()));
        let reply = world.bridge(&alice, &id).await;
        assert_eq!((reply.status, reply.detail().as_str()), (status, text));
        assert_eq!(ids(&world.beat(&id).await.ok()), NULLS, "half a bridge is none");
        if let EngineError::Gone { leg: Leg::Operator | Leg::Robot, .. } = error {
            let again = world.bridge(&alice, &id).await;
            assert_eq!((again.status, again.detail().as_str()), (409, "CF sessions not ready"), "it is forgotten");
        } else {
            world.bridge(&alice, &id).await.ok();
        }
        if let EngineError::Gone { leg: Leg::Robot, .. } = error {
            world.leave(&alice, &id).await.ok();
            let join = world.join(&alice, &id).await;
            assert_eq!((join.status, join.detail().as_str()), (409, "Robot CF session not established"));
        }
    }
}

#[tokio::test]
async fn only_the_bound_operator_bridges_and_strangers_learn_nothing() {
    let world = world().await;
    let (alice, bob, admin) = (world.log_in(ALICE).await, world.log_in(BOB).await, world.log_in(ADMIN).await);
    let id = world.register().await;
    world.join(&alice, &id).await.ok();
    let answer = json!({"sdp_answer": "v=0"});
    for (call, body) in
        [("bridge-datachannel", Value::Null), ("renegotiate-answer", answer), ("op-heartbeat", Value::Null)]
    {
        let path = format!("/sessions/{id}/{call}");
        let inside = world.operator(&admin, "POST", &path, body.clone()).await;
        assert_eq!((inside.status, inside.detail().as_str()), (403, "Not the bound operator"), "{call}");
        let outside = world.operator(&bob, "POST", &path, body).await;
        assert_eq!((outside.status, outside.detail().as_str()), (404, "Session not found"), "{call}");
    }
    for call in ["leave", "join", "takeover"] {
        let body = json!({"reason": "x", "sdp_offer": OPERATOR_OFFER});
        assert_eq!(world.operator(&bob, "POST", &format!("/sessions/{id}/{call}"), body).await.status, 404);
    }
    for call in ["status", "audit"] {
        let reply = world.operator(&bob, "GET", &format!("/sessions/{id}/{call}"), Value::Null).await;
        assert_eq!(reply.status, 404);
    }
    assert_eq!(world.operator(&bob, "POST", &format!("/sessions/{id}/estop"), Value::Null).await.status, 404);
    // Leaving a slot that is not one's own changes nothing.
    assert_eq!(world.leave(&admin, &id).await.ok()["state"], "active");
    assert_eq!(world.status(&alice, &id).await["operator_id"], ALICE);
}

#[tokio::test]
async fn who_holds_the_slot_is_named_inside_of_the_tenant_only() {
    let world = world().await;
    let (alice, admin) = (world.log_in(ALICE).await, world.log_in(ADMIN).await);
    let id = world.register().await;
    world.join(&alice, &id).await.ok();
    assert_eq!(world.join(&admin, &id).await.detail(), format!("Session already has operator: {ALICE}"));
    world.leave(&alice, &id).await.ok();
    world.join(&admin, &id).await.ok();
    assert_eq!(world.join(&alice, &id).await.detail(), format!("Session already has operator: {ADMIN}"));
}

#[tokio::test]
async fn an_older_lease_of_the_same_person_holds_nothing() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    let first = world.join(&alice, &id).await.ok();
    world.bridge(&alice, &id).await.ok();
    let second = world.join(&alice, &id).await.ok();
    let (old, new) = (first["lease_id"].as_str().unwrap(), second["lease_id"].as_str().unwrap());
    assert_ne!(old, new);
    let path = |call: &str| format!("/sessions/{id}/{call}");
    for call in ["op-heartbeat", "bridge-datachannel"] {
        assert_eq!(world.with_lease(&alice, old, &path(call), Value::Null).await.status, 403, "{call}");
        assert_eq!(world.with_lease(&alice, new, &path(call), Value::Null).await.status, 200, "{call}");
    }
    // The first tab's peer is gone, and its good-bye frees nothing.
    let peer = first["cf_session_id"].as_str().unwrap();
    assert!(!world.engine.has(peer), "{:?}", world.engine.called("close"));
    let reply = world.with_lease(&alice, old, &path("leave"), json!({"reason": "pagehide"})).await;
    assert_eq!(reply.ok()["state"], "active");
    assert_eq!(world.with_lease(&alice, new, &path("leave"), json!({})).await.ok()["state"], "idle");
    // Clients that know no leases go on as ever.
    world.join(&alice, &id).await.ok();
    world.bridge(&alice, &id).await.ok();
    assert_eq!(world.leave(&alice, &id).await.ok()["state"], "idle");
}

#[tokio::test]
async fn a_takeover_ends_the_lease_tells_the_robot_and_is_written_down() {
    takeover().await;
}

pub(crate) async fn takeover() {
    let world = world().await;
    let (alice, admin) = (world.log_in(ALICE).await, world.log_in(ADMIN).await);
    let id = world.register().await;
    let held = world.join(&alice, &id).await.ok();
    world.bridge(&alice, &id).await.ok();
    let empty = world.operator(&admin, "POST", &format!("/sessions/{id}/takeover"), json!({"reason": "x"})).await;
    assert_eq!(empty.status, 422);
    assert_eq!(world.status(&alice, &id).await["operator_id"], ALICE, "nobody is sent away for nothing");
    let body = json!({"reason": "she fell asleep", "sdp_offer": OPERATOR_OFFER});
    let taken = world.operator(&admin, "POST", &format!("/sessions/{id}/takeover"), body).await.ok();
    assert!(taken["lease_id"].is_string() && taken["cf_session_id"].is_string(), "{taken}");
    assert_eq!(world.status(&alice, &id).await["operator_id"], ADMIN);
    assert!(!world.engine.has(held["cf_session_id"].as_str().unwrap()));
    let told = world.engine.called("inject");
    assert!(told.len() == 1 && told[0].contains("operator_lost") && told[0].contains("takeover"), "{told:?}");
    let beat = world.operator(&alice, "POST", &format!("/sessions/{id}/op-heartbeat"), Value::Null).await;
    assert_eq!((beat.status, beat.detail().as_str()), (403, "Not the bound operator"));
    assert_eq!(ids(&world.beat(&id).await.ok()), NULLS);
    world.bridge(&admin, &id).await.ok();
    world.leave(&admin, &id).await.ok();
    let audit = world.operator(&alice, "GET", &format!("/sessions/{id}/audit"), Value::Null).await.ok();
    let events: Vec<_> = audit.as_array().unwrap().iter().map(|entry| entry["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["register", "join", "bridge", "takeover", "bridge", "leave"], "{audit}");
    assert_eq!(audit[3]["actor"], ADMIN);
    assert!(audit[3]["detail"].as_str().unwrap().contains("she fell asleep"), "{audit}");
    assert!(audit[0]["ts"].as_str().unwrap().ends_with('Z'), "{audit}");
}

#[tokio::test]
async fn offers_wait_for_their_answer_and_one_failure_is_forgiven() {
    offers().await;
}

pub(crate) async fn offers() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    world.engine.set(|script| {
        script.video_offer = Some("v=0 picture".to_owned());
        script.robot_offer = Some("v=0 voice".to_owned());
    });
    let id = world.register().await;
    world.join(&alice, &id).await.ok();
    assert_eq!(world.bridge(&alice, &id).await.ok()["video_offer"], "v=0 picture");
    let video = format!("/sessions/{id}/renegotiate-answer");
    let voice = format!("/sessions/{id}/renegotiate-robot");
    let answer = json!({"sdp_answer": "v=0 answer"});
    let broken = || Some(EngineError::Unavailable("down".into()));

    world.engine.set(|script| script.no_answer = broken());
    assert_eq!(world.operator(&alice, "POST", &video, answer.clone()).await.status, 502);
    world.operator(&alice, "POST", &video, answer.clone()).await.ok();
    assert_eq!(world.operator(&alice, "POST", &video, answer.clone()).await.status, 409);

    // The robot's is repeated in each heartbeat until it is answered.
    let mut offered = Vec::new();
    while offered.len() < 2 {
        let offer = world.beat(&id).await.ok()["renegotiate_offer"].clone();
        if !offer.is_null() {
            offered.push(offer);
        }
    }
    assert_eq!(offered, ["v=0 voice", "v=0 voice"]);
    world.engine.set(|script| script.no_answer = broken());
    assert_eq!(world.robot(KEY, "POST", &voice, answer.clone()).await.status, 502);
    assert_eq!(world.beat(&id).await.ok()["renegotiate_offer"], "v=0 voice");
    world.robot(KEY, "POST", &voice, answer.clone()).await.ok();
    assert_eq!(world.beat(&id).await.ok()["renegotiate_offer"], Value::Null);
    let again = world.robot(KEY, "POST", &voice, answer.clone()).await;
    assert_eq!((again.status, again.detail().as_str()), (409, "No pending robot renegotiation"));

    // Two failures are too many.
    world.bridge(&alice, &id).await.ok();
    for _ in 0..2 {
        world.engine.set(|script| script.no_answer = broken());
        assert_eq!(world.operator(&alice, "POST", &video, answer.clone()).await.status, 502);
    }
    assert_eq!(world.operator(&alice, "POST", &video, answer).await.status, 409);
}

#[tokio::test]
async fn a_robots_offer_that_gets_old_is_not_repeated() {
    let world = world_with(|settings| settings.timers.robot_offer = Duration::from_millis(200)).await;
    let alice = world.log_in(ALICE).await;
    world.engine.set(|script| script.robot_offer = Some("v=0 voice".to_owned()));
    let id = world.register().await;
    world.join(&alice, &id).await.ok();
    world.bridge(&alice, &id).await.ok();
    until("the engine is asked for the voice", || !world.engine.called("audio").is_empty()).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(world.beat(&id).await.ok()["renegotiate_offer"], Value::Null);
}

#[tokio::test]
async fn tracks_are_taken_from_the_offers() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    world.join(&alice, &id).await.ok();
    world.bridge(&alice, &id).await.ok();
    until("the voice is attached", || !world.engine.called("audio").is_empty()).await;
    let (video, audio) = (world.engine.called("video"), world.engine.called("audio"));
    assert_eq!((video.len(), audio.len()), (1, 1));
    assert!(video[0].contains(" 0 camera ") && audio[0].contains(" 2 voice "), "{video:?} {audio:?}");
    // Without a picture the bridge stands all the same.
    let body = json!({"robot_name": "blind", "sdp_offer": "v=0\r\nm=application 9 x y\r\na=mid:0\r\n"});
    let id = world.robot(KEY, "POST", "/sessions", body).await.ok()["session_id"].as_str().unwrap().to_owned();
    world.join(&alice, &id).await.ok();
    let bridged = world.bridge(&alice, &id).await.ok();
    assert_eq!((&bridged["video_status"], &bridged["video_offer"]), (&json!("no_published_track"), &Value::Null));
}

#[tokio::test]
async fn an_operation_goes_on_if_its_caller_hangs_up() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    world.engine.set(|script| script.delay = Duration::from_millis(300));
    let join = world
        .request("POST", &format!("/api/v1/sessions/{id}/join"))
        .bearer_auth(&alice)
        .timeout(Duration::from_millis(100))
        .json(&json!({"sdp_offer": OPERATOR_OFFER}))
        .send()
        .await;
    assert!(join.is_err());
    // The slot is held and the peer is in it: nothing half done.
    until("the peer is made", || world.engine.called("create operator").len() == 1).await;
    for _ in 0..500 {
        if world.bridge(&alice, &id).await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the join was left half done");
}

#[tokio::test]
async fn stops_of_the_robot_itself_are_written_down_too() {
    let world = world().await;
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    for state in ["nominal", "estopped", "estopped", "degraded", "nominal"] {
        let beat = json!({ "safety_state": state });
        world.robot(KEY, "POST", &format!("/sessions/{id}/heartbeat"), beat).await.ok();
    }
    let audit = world.operator(&alice, "GET", &format!("/sessions/{id}/audit"), Value::Null).await.ok();
    let told: Vec<_> = audit.as_array().unwrap().iter().map(|entry| entry["event"].as_str().unwrap()).collect();
    assert_eq!(told, ["register", "e-stop", "e-stop clear"], "{audit}");
    assert_eq!(audit[1]["actor"], "robot");
}
