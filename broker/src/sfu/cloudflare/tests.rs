//! The engine against a service that knows the calls of the specification and no others.

#[path = "../../../tests/sfu/list.rs"]
mod list;
mod service;

use serde_json::{Value, json};

use self::service::Fake;
use super::*;
use crate::sfu::PeerKind;

fn vector(name: &str) -> Value {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("../../../../tests/vectors/hosted.json")).unwrap();
    vectors.into_iter().find(|vector| vector["name"] == name).unwrap()
}

fn peers() -> (PeerId, PeerId) {
    (PeerId::new("rb-sess"), PeerId::new("op-sess"))
}

fn camera() -> Track {
    Track { mid: "0".to_owned(), name: "cam-track-1".to_owned() }
}

/// The requests of a vector, all of them made.
fn expect_requests(made: &[(String, String, Value)], vector: &Value) {
    let wanted = vector["expect"]["requests"].as_array().unwrap();
    let form = |(method, path, body): &(String, String, Value)| json!({ "method": method, "path": path, "body": body });
    let made: Vec<Value> = made.iter().map(form).collect();
    assert_eq!(made.len(), wanted.len(), "{made:?}");
    for one in wanted {
        assert!(made.contains(one), "{one} is not among {made:?}");
    }
}

#[tokio::test]
async fn a_session_is_made_from_an_offer() {
    let fake = Fake::start().await;
    let new = NewPeer { kind: PeerKind::Robot, tenant: "a".to_owned(), offer: "<offer>".to_owned(), push: false };
    let (id, answer) = fake.engine().create_peer(new).await.unwrap();
    assert_eq!((id.as_str(), answer.as_str()), ("sess-1", "<answer>"));
    let vector = vector("cloudflare_session_new");
    let (method, path, body) = fake.requests().remove(0);
    assert_eq!(json!({ "method": method, "path": path, "body": body }), vector["message"]);
}

#[tokio::test]
async fn a_bridge_is_five_calls_with_the_bodies_of_the_vector() {
    let fake = Fake::start().await;
    let (robot, operator) = peers();
    let stale = LegIds { cmd: 7, state: 9, state_back: 3, map: 5 };
    let bridge = fake.engine().open_bridge(&robot, &operator, 1, Some(stale)).await.unwrap();
    let requests = fake.requests();
    expect_requests(&requests, &vector("cloudflare_bridge_requests"));
    assert!(requests[0].1.ends_with("close"));
    let place = |session: &str, location: &str| {
        let of = |(_, path, body): &(String, String, Value)| {
            path.contains(session) && body["dataChannels"][0]["location"] == location
        };
        requests.iter().position(of).unwrap()
    };
    assert!(place("op-sess", "local") < place("rb-sess", "remote"));
    assert!(place("rb-sess", "local") < place("op-sess", "remote"));
    // Replies come in the reverse order of the request, and ids go by name.
    let service = fake.service.lock().unwrap();
    assert_eq!(service.sessions["op-sess"].published["cmd_unreliable"], bridge.operator.cmd);
    assert_eq!(service.sessions["op-sess"].published["state_reliable"], bridge.operator.state);
    assert_eq!(service.sessions["rb-sess"].published["state_reliable_back"], bridge.robot.state_back);
    assert_eq!(service.sessions["rb-sess"].published["map_unreliable"], bridge.robot.map);
}

#[tokio::test]
async fn bridges_can_follow_one_another_and_leave_nothing_behind() {
    let fake = Fake::start().await;
    let (robot, operator) = peers();
    let engine = fake.engine();
    let mut previous = None;
    for generation in 1..4 {
        let bridge = engine.open_bridge(&robot, &operator, generation, previous).await.unwrap();
        previous = Some(bridge.robot);
        if generation == 3 {
            engine.close_bridge(&robot, &operator, &bridge).await.unwrap();
        }
    }
    assert_eq!((fake.published("op-sess"), fake.published("rb-sess")), (0, 0));
}

#[tokio::test]
async fn what_comes_too_early_is_tried_again() {
    for (status, body) in [
        (200, json!({ "errorCode": "session_error", "errorDescription": "Session is not ready yet" })),
        (425, json!({ "errorCode": "too_early", "errorDescription": "" })),
        (503, json!({ "errorCode": "temporarily_unavailable_error", "errorDescription": "" })),
    ] {
        let fake = Fake::start().await;
        let (robot, operator) = peers();
        for _ in 0..2 {
            fake.script("op-sess/datachannels/new", status, body.clone());
        }
        let engine = fake.engine();
        engine.open_bridge(&robot, &operator, 1, None).await.unwrap();
        let waits: Vec<f64> = engine.api.waited.lock().unwrap().iter().map(Duration::as_secs_f64).collect();
        assert_eq!(json!(waits), vector("cloudflare_reply_not_ready_body")["expect"]["waits_s"]);
    }
}

#[tokio::test]
async fn what_stays_too_early_is_not_ready_and_rolled_back() {
    let fake = Fake::start().await;
    let (robot, operator) = peers();
    for _ in 0..5 {
        fake.script("rb-sess/datachannels/new", 425, json!({}));
    }
    let failed = fake.engine().open_bridge(&robot, &operator, 1, None).await;
    assert!(matches!(failed, Err(EngineError::NotReady(_))), "{failed:?}");
    assert_eq!((fake.published("op-sess"), fake.published("rb-sess")), (0, 0));
}

#[tokio::test]
async fn a_session_that_is_gone_is_said_to_be_whose() {
    for (status, body) in [
        (410, json!({})),
        (200, json!({ "errorCode": "session_error", "errorDescription": "Session is disconnected" })),
    ] {
        for (session, leg) in [("rb-sess", Leg::Robot), ("op-sess", Leg::Operator)] {
            let fake = Fake::start().await;
            let (robot, operator) = peers();
            fake.script(&format!("{session}/datachannels/new"), status, body.clone());
            let engine = fake.engine();
            let failed = engine.open_bridge(&robot, &operator, 1, None).await;
            assert!(matches!(&failed, Err(EngineError::Gone { leg: whose, .. }) if *whose == leg), "{failed:?}");
            assert!(engine.api.waited.lock().unwrap().is_empty());
            assert_eq!((fake.published("op-sess"), fake.published("rb-sess")), (0, 0));
        }
    }
}

#[tokio::test]
async fn one_failing_channel_of_a_call_fails_the_bridge_and_is_named() {
    let fake = Fake::start().await;
    let (robot, operator) = peers();
    let items = json!([
        { "location": "remote", "dataChannelName": "cmd_unreliable", "id": 4 },
        { "location": "remote", "dataChannelName": "state_reliable", "errorCode": "backend_error", "errorDescription": "x" },
    ]);
    let engine = fake.engine();
    // The robot's own come first.
    fake.script("op-sess/datachannels/new", 200, json!({ "dataChannels": items }));
    let failed = engine.open_bridge(&robot, &operator, 1, None).await;
    assert!(matches!(&failed, Err(EngineError::Refused(detail)) if detail.contains("state_reliable")), "{failed:?}");
    assert_eq!(fake.published("rb-sess"), 0);
    assert!(fake.requests().iter().any(|(_, path, body)| path.ends_with("op-sess/datachannels/close")
        && *body == json!({ "dataChannels": [{ "id": 4 }] })));
    let incomplete = json!({ "dataChannels": [{ "location": "local", "dataChannelName": "cmd_unreliable", "id": 4 }] });
    fake.script("op-sess/datachannels/new", 200, incomplete);
    assert!(matches!(engine.open_bridge(&robot, &operator, 2, None).await, Err(EngineError::Unavailable(_))));
}

#[tokio::test]
async fn every_other_error_of_the_service_is_told_and_not_retried() {
    for code in
        ["unauthorized", "invalid_params", "payload_too_large", "backend_error", "internal_error", "decoding_error"]
    {
        let fake = Fake::start().await;
        let (robot, operator) = peers();
        fake.script("rb-sess/datachannels/new", 200, json!({ "errorCode": code, "errorDescription": "no" }));
        let engine = fake.engine();
        let failed = engine.open_bridge(&robot, &operator, 1, None).await;
        assert!(matches!(&failed, Err(EngineError::Refused(detail)) if detail.contains(code)), "{failed:?}");
        assert!(engine.api.waited.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn the_picture_is_published_and_pulled_with_the_bodies_of_the_vector() {
    let fake = Fake::start().await;
    let (robot, operator) = peers();
    let engine = fake.engine();
    let attached = engine.attach_video(&robot, &camera(), &operator).await;
    assert_eq!(attached, Attached { status: VideoStatus::Ok, offer: Some("<offer>".to_owned()) });
    expect_requests(&fake.requests(), &vector("cloudflare_video_requests"));
    // Published already, it is pulled all the same.
    assert_eq!(engine.attach_video(&robot, &camera(), &operator).await.status, VideoStatus::Ok);
    fake.requests();
    engine.close_peer(&operator).await.unwrap();
    let (_, path, body) = fake.requests().remove(0);
    assert_eq!(
        (path.as_str(), body),
        ("/sessions/op-sess/tracks/close", json!({ "tracks": [{ "mid": "3" }, { "mid": "3" }], "force": true }))
    );
}

#[tokio::test]
async fn picture_and_voice_end_with_the_bridge_also_if_another_process_opened_them() {
    let fake = Fake::start().await;
    let (robot, operator) = peers();
    let engine = fake.engine();
    let bridge = engine.open_bridge(&robot, &operator, 1, None).await.unwrap();
    let voice = Track { mid: "1".to_owned(), name: "mic".to_owned() };
    engine.attach_video(&robot, &camera(), &operator).await;
    engine.attach_audio(&operator, &voice, &robot).await.unwrap();
    fake.requests();
    let closed = |fake: &Fake| -> Vec<(String, Value)> {
        let requests = fake.requests().into_iter();
        requests.filter(|(_, path, _)| path.ends_with("tracks/close")).map(|(_, path, body)| (path, body)).collect()
    };
    engine.close_bridge(&robot, &operator, &bridge).await.unwrap();
    let mids = |mids: &[&str]| {
        let tracks: Vec<Value> = mids.iter().map(|mid| json!({ "mid": mid })).collect();
        json!({ "tracks": tracks, "force": true })
    };
    assert_eq!(
        closed(&fake),
        [
            ("/sessions/op-sess/tracks/close".to_owned(), mids(&["3", "1"])),
            ("/sessions/rb-sess/tracks/close".to_owned(), mids(&["3"])),
        ]
    );
    // A process that knows of nothing asks the service.
    let listed = json!({ "tracks": [{ "mid": "4", "status": "active" }, { "mid": "5", "status": "active" }] });
    fake.script("/sessions/op-sess", 200, listed);
    fake.engine().close_bridge(&robot, &operator, &bridge).await.unwrap();
    assert_eq!(closed(&fake), [("/sessions/op-sess/tracks/close".to_owned(), mids(&["4", "5"]))]);
}

#[tokio::test]
async fn a_picture_that_comes_after_the_end_is_closed_at_once() {
    let fake = Fake::start().await;
    let (robot, operator) = peers();
    let engine = fake.engine();
    let bridge = engine.open_bridge(&robot, &operator, 1, None).await.unwrap();
    let number = engine.number(&operator);
    engine.close_bridge(&robot, &operator, &bridge).await.unwrap();
    fake.requests();
    let late = Opened { tracks: vec!["3".to_owned()], ..Opened::default() };
    assert!(!engine.keep(&operator, number, late).await);
    let (_, path, body) = fake.requests().remove(0);
    assert_eq!((path.as_str(), &body["tracks"][0]["mid"]), ("/sessions/op-sess/tracks/close", &json!("3")));
}

#[tokio::test]
async fn what_cannot_be_closed_is_tried_again_and_told() {
    let fake = Fake::start().await;
    let (robot, operator) = peers();
    let engine = fake.engine();
    let bridge = engine.open_bridge(&robot, &operator, 1, None).await.unwrap();
    for _ in 0..2 {
        fake.script("op-sess/datachannels/close", 425, json!({}));
    }
    assert_eq!(engine.close_bridge(&robot, &operator, &bridge).await, Ok(true));
    assert_eq!(engine.api.waited.lock().unwrap().len(), 2);
    let bridge = engine.open_bridge(&robot, &operator, 2, None).await.unwrap();
    fake.script("op-sess/datachannels/close", 503, json!({}));
    let failed = engine.close_bridge(&robot, &operator, &bridge).await;
    assert!(matches!(failed, Err(EngineError::Unavailable(_))), "{failed:?}");
    // Somebody who is gone has nothing open.
    fake.script("/sessions/op-sess", 410, json!({}));
    assert_eq!(engine.close_peer(&operator).await, Ok(()));
}

#[tokio::test]
async fn a_picture_that_has_not_come_yet_is_waited_for_and_a_dead_one_is_not() {
    for name in ["cloudflare_pull_retry", "cloudflare_pull_empty_track", "cloudflare_publish_fails"] {
        let vector = vector(name);
        let fake = Fake::start().await;
        let (robot, operator) = peers();
        let end = if name == "cloudflare_publish_fails" { "rb-sess/tracks/new" } else { "op-sess/tracks/new" };
        for reply in vector["message"]["replies"].as_array().unwrap() {
            fake.script(end, u16::try_from(reply["status"].as_u64().unwrap()).unwrap(), reply["body"].clone());
        }
        let engine = fake.engine();
        let attached = engine.attach_video(&robot, &camera(), &operator).await;
        assert_eq!(attached.status.as_str(), vector["expect"]["video_status"], "{name}");
        assert_eq!(json!(attached.offer), vector["expect"]["video_offer"], "{name}");
        let waits: Vec<f64> = engine.api.waited.lock().unwrap().iter().map(Duration::as_secs_f64).collect();
        if let Some(wanted) = vector["expect"].get("waits_s") {
            assert_eq!(waits.len(), wanted.as_array().unwrap().len(), "{name}");
            assert!(waits.iter().zip(wanted.as_array().unwrap()).all(|(wait, wanted)| Some(*wait) == wanted.as_f64()));
        }
    }
}

#[tokio::test]
async fn the_voice_is_pulled_to_the_robot_and_its_answer_handed_in() {
    let fake = Fake::start().await;
    let (robot, operator) = peers();
    let engine = fake.engine();
    let voice = Track { mid: "1".to_owned(), name: "mic".to_owned() };
    assert_eq!(engine.attach_audio(&operator, &voice, &robot).await.as_deref(), Some("<offer>"));
    fake.requests();
    engine.submit_answer(&operator, "<answer>").await.unwrap();
    expect_requests(&fake.requests(), &vector("cloudflare_renegotiate"));
    fake.script("renegotiate", 200, json!({ "errorCode": "invalid_session_description", "errorDescription": "no" }));
    assert!(matches!(engine.submit_answer(&operator, "<answer>").await, Err(EngineError::Refused(_))));
}

#[tokio::test]
async fn a_service_that_does_not_answer_is_unavailable() {
    let engine = Cloudflare::new("http://127.0.0.1:1/v1", "app", "app-secret".to_owned());
    let (robot, operator) = peers();
    let failed = engine.open_bridge(&robot, &operator, 1, None).await;
    assert!(matches!(&failed, Err(EngineError::Unavailable(detail)) if !detail.contains("secret")), "{failed:?}");
    assert_eq!(engine.attach_video(&robot, &camera(), &operator).await.status, VideoStatus::PublishError);
}

/// What every engine shows, as far as it can be seen from here.
mod every_engine {
    use super::list::{Stage, the_list};
    use super::*;

    struct Served {
        fake: Fake,
        engine: Cloudflare,
        robot: PeerId,
        operator: PeerId,
    }

    impl Served {
        async fn start() -> Self {
            let fake = Fake::start().await;
            let (engine, (robot, operator)) = (fake.engine(), peers());
            Self { fake, engine, robot, operator }
        }
    }

    impl Stage for Served {
        fn engine(&self) -> &dyn Engine {
            &self.engine
        }

        fn robot(&self) -> &PeerId {
            &self.robot
        }

        fn operator(&self) -> &PeerId {
            &self.operator
        }

        fn camera(&self) -> Track {
            camera()
        }

        /// Media never comes near the service here; the channels of the bridge have to be published.
        async fn exchange(&mut self, bridge: &Bridge) {
            let service = self.fake.service.lock().unwrap();
            let id = |session: &PeerId, name| service.sessions[session.as_str()].published.get(name).copied();
            assert_eq!(id(&self.operator, "cmd_unreliable"), Some(bridge.operator.cmd));
            assert_eq!(id(&self.operator, "state_reliable"), Some(bridge.operator.state));
            assert_eq!(id(&self.robot, "state_reliable_back"), Some(bridge.robot.state_back));
            assert_eq!(id(&self.robot, "map_unreliable"), Some(bridge.robot.map));
        }
    }

    the_list!(Served::start());
}
