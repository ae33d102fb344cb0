//! Bodies of the REST interface.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use waldo_protocol::hosted::{
    AuthConfig, BridgeUpdate, BridgedSession, BrokerHealth, ChannelLabel, CreateKey, CreatedKey, Credentials,
    ErrorBody, ErrorDetail, Extension, Heartbeat, HeartbeatAck, IceServer, IceServers, JoinSession, JoinedSession,
    KeyInfo, LeaveSession, LiveKitAccess, LoggedIn, RegisterRobot, RegisteredRobot, RobotChannelIds, Role, SafetyState,
    SessionInfo, SessionList, SessionState, TakeOver, Transport, TwistUnits, Urls, VideoStatus, detail,
};

#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn read<T: DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).unwrap()
}

fn refused<T: DeserializeOwned>(body: Value) -> bool {
    serde_json::from_value::<T>(body).is_err()
}

fn written(body: &impl Serialize) -> Value {
    serde_json::to_value(body).unwrap()
}

#[test]
fn a_robot_needs_but_a_name_to_register() {
    let least: RegisterRobot = read(json!({ "robot_name": "r" }));
    assert_eq!(least, RegisterRobot { robot_name: "r".to_owned(), ..RegisterRobot::default() });
    assert_eq!((least.transport, least.robot_id.as_str()), (Transport::Cloudflare, ""));
    let full: RegisterRobot = read(json!({
        "robot_name": "Dog", "robot_id": "dog-1", "robot_type": "go2", "sdp_offer": "v=0", "transport": "cloudflare",
        "future_field": 1, "twist_units": "normalized", "resume_of": "s", "ext": ["push/1"],
    }));
    assert_eq!(full.twist_units, Some(TwistUnits::Normalized));
    assert!(Extension::Push.is_in(&full.ext) && !Extension::Viewers.is_in(&full.ext));
    assert_eq!(read::<RegisterRobot>(written(&full)), full);
    assert_eq!(read::<RegisterRobot>(json!({ "robot_name": "r", "robot_id": null })).robot_id, "");
    assert!(refused::<RegisterRobot>(json!({ "sdp_offer": "v=0" })));
    assert!(refused::<RegisterRobot>(json!({ "robot_name": "r", "transport": "smoke" })));
    // To an original broker nothing of ours is said.
    assert_eq!(written(&least), json!({ "robot_name": "r", "robot_id": "", "transport": "cloudflare" }));
}

#[test]
fn a_registration_is_answered_as_robots_read_it() {
    let reply: RegisteredRobot = read(json!({ "session_id": "s", "cf_session_id": "c", "sdp_answer": "v=0" }));
    assert_eq!(
        written(&reply),
        json!({ "session_id": "s", "cf_session_id": "c", "sdp_answer": "v=0", "ice_servers": [] })
    );
    // A robot needs session and answer, and nothing else can keep it away.
    let least: RegisteredRobot =
        read(json!({ "session_id": "s", "cf_session_id": null, "sdp_answer": "v=0", "ice_servers": "none" }));
    assert_eq!((least.session_id.as_str(), least.ice_servers.len()), ("s", 0));
    assert!(refused::<RegisteredRobot>(json!({ "session_id": "s", "cf_session_id": "c" })));
    assert!(refused::<RegisteredRobot>(json!({ "session_id": null, "sdp_answer": "v=0" })));
}

#[test]
fn a_heartbeat_may_be_empty_and_says_degraded_for_what_nobody_knows() {
    let empty: Heartbeat = read(json!({}));
    assert_eq!(empty, Heartbeat::default());
    let full: Heartbeat = read(json!({
        "rtt_ms": 31.5, "packet_loss_pct": 0.2, "video_bitrate_kbps": 1800.0, "command_rate_hz": 79.5,
        "safety_state": "estopped",
    }));
    assert_eq!((full.video_bitrate_kbps, full.safety_state), (Some(1800), SafetyState::Estopped));
    assert_eq!(read::<Heartbeat>(json!({ "safety_state": "on fire" })).safety_state, SafetyState::Degraded);
    assert!(refused::<Heartbeat>(json!({ "rtt_ms": "31" })));
    assert!(refused::<Heartbeat>(json!({ "video_bitrate_kbps": 0.5 })));
}

#[test]
fn ids_of_channels_are_whole_numbers_however_they_are_written() {
    let ack: HeartbeatAck = read(json!({
        "ok": true, "cmd_channel_subscriber_id": 16.0, "state_channel_subscriber_id": 17,
        "state_back_channel_publisher_id": null,
    }));
    assert_eq!(ChannelLabel::ALL.map(|label| ack.ids.get(label)), [Some(16), Some(17), None, None]);
    assert!(ack.ack && ack.renegotiate_offer.is_none());
    for wrong in [json!(-1), json!(1.5), json!(70_000), json!("16"), json!([16]), json!(1e300), json!(true)] {
        assert!(refused::<HeartbeatAck>(json!({ "cmd_channel_subscriber_id": wrong })), "{wrong}");
        assert!(refused::<BridgedSession>(json!({ "cmd_channel_id": wrong })), "{wrong}");
    }
    // A robot of the first generation looks for three of them, and all six are always there.
    let nulls = written(&read::<HeartbeatAck>(json!({ "ack": true })));
    assert_eq!(
        nulls,
        json!({
            "ack": true, "cmd_channel_subscriber_id": null, "state_channel_subscriber_id": null,
            "state_back_channel_publisher_id": null, "map_channel_publisher_id": null, "renegotiate_offer": null,
        })
    );
}

#[test]
fn a_pushed_bridge_is_told_by_its_type() {
    let update = BridgeUpdate {
        generation: 3,
        ids: RobotChannelIds { cmd_channel_subscriber_id: Some(24), ..RobotChannelIds::default() },
    };
    let body = written(&update);
    assert_eq!((&body["type"], &body["ids"]["cmd_channel_subscriber_id"]), (&json!("bridge_update"), &json!(24)));
    assert_eq!(read::<BridgeUpdate>(body), update);
    assert!(refused::<BridgeUpdate>(json!({ "type": "bridge", "generation": 3, "ids": {} })));
}

#[test]
fn joining_is_for_operators_unless_it_is_said_and_for_nobody_else_than_viewers() {
    assert_eq!(read::<JoinSession>(json!({ "sdp_offer": "v=0" })).role, Role::Operator);
    assert_eq!(read::<JoinSession>(json!({ "role": "viewer" })).role, Role::Viewer);
    assert!(refused::<JoinSession>(json!({ "role": "admin" })));
    let reply: JoinedSession = read(json!({
        "cf_session_id": "c", "sdp_answer": "v=0", "robot_cf_session_id": "r", "ice_servers": [], "role": "operator",
    }));
    assert_eq!((reply.lease_id.as_deref(), reply.ext.len()), (None, 0));
    assert_eq!(read::<TakeOver>(json!({ "reason": "stuck" })).sdp_offer, None);
}

#[test]
fn a_bridge_without_its_command_channel_is_none() {
    for body in [json!({}), json!({ "cmd_channel_id": null, "state_channel_id": 1 })] {
        assert!(refused::<BridgedSession>(body));
    }
    let bridged: BridgedSession = read(json!({ "cmd_channel_id": 16, "video_status": "pull_error" }));
    assert_eq!((bridged.video_status, bridged.channels().count()), (VideoStatus::PullError, 1));
    let other: BridgedSession = read(json!({ "cmd_channel_id": 16, "video_status": "who knows" }));
    assert_eq!(other.video_status, VideoStatus::NoOffer);
    let words = [
        (VideoStatus::Ok, "ok"),
        (VideoStatus::NoPublishedTrack, "no_published_track"),
        (VideoStatus::PublishError, "publish_error"),
        (VideoStatus::PullError, "pull_error"),
        (VideoStatus::NoOffer, "no_offer"),
    ];
    for (status, word) in words {
        assert_eq!(written(&status), word);
    }
}

#[test]
fn leaving_needs_no_reason() {
    assert_eq!(read::<LeaveSession>(json!({})).reason, "user_initiated");
    assert_eq!(read::<LeaveSession>(json!({ "role": "operator" })).reason, "user_initiated");
    assert_eq!(read::<LeaveSession>(json!({ "reason": "pagehide" })).reason, "pagehide");
    assert!(refused::<LeaveSession>(json!(null)) && refused::<LeaveSession>(json!({ "reason": 1 })));
}

fn session() -> Value {
    json!({
        "session_id": "s", "robot_id": "", "robot_name": "r", "robot_type": null, "state": "idle",
        "transport": "cloudflare", "operator_id": null, "rtt_ms": null, "packet_loss_pct": null,
        "created_at": "2026-01-01T00:00:00Z", "viewers": 0,
    })
}

#[test]
fn a_list_is_flat_and_one_inside_of_an_object_is_read_too() {
    let flat: SessionList = read(json!([session()]));
    assert_eq!(read::<SessionList>(json!({ "sessions": [session()] })), flat);
    assert_eq!(written(&flat), json!([session()]));
    assert_eq!(flat.0[0].state, SessionState::Idle);
    for state in [SessionState::Idle, SessionState::Active, SessionState::Disconnected] {
        assert_eq!(written(&state), state.as_str());
    }
    let older: SessionInfo = read(json!({ "session_id": "s", "robot_name": "r", "state": "active" }));
    assert_eq!((older.transport, older.viewers), (Transport::Cloudflare, 0));
    assert!(refused::<SessionInfo>(json!({ "session_id": "s", "robot_name": "r", "state": "asleep" })));
}

#[test]
fn servers_have_one_url_or_several() {
    let servers: IceServers = read(json!({ "ice_servers": [
        { "urls": "stun:a:1" }, { "urls": ["turn:b:2", "turns:b:3"], "username": "u", "credential": "c" },
    ] }));
    let urls: Vec<&str> = servers.ice_servers.iter().flat_map(|server| server.urls.iter()).collect();
    assert_eq!(urls, ["stun:a:1", "turn:b:2", "turns:b:3"]);
    assert_eq!(written(&servers)["ice_servers"][0], json!({ "urls": "stun:a:1" }));
    assert_eq!(IceServer::stun("stun:a:1"), servers.ice_servers[0]);
    assert!(matches!(servers.ice_servers[1].urls, Urls::Several(_)));
}

#[test]
fn errors_are_words_or_a_list_of_what_does_not_fit() {
    let error: ErrorBody = read(json!({ "detail": "Not the bound operator" }));
    assert_eq!((error.to_string().as_str(), error), (detail::NOT_BOUND, ErrorBody::new(detail::NOT_BOUND)));
    let list: ErrorBody =
        read(json!({ "detail": [{ "loc": ["body", "x"], "msg": "field required" }, { "msg": "no" }, 7] }));
    assert!(matches!(list.detail, ErrorDetail::Fields(_)));
    assert_eq!(list.to_string(), "field required; no; 7");
    assert!(refused::<ErrorBody>(json!({ "error": "x" })));
}

#[test]
fn what_is_secret_is_not_in_any_log() {
    let secret = "very-secret";
    let texts = [
        format!("{:?}", read::<Credentials>(json!({ "email": "a@b", "password": secret }))),
        format!("{:?}", read::<LoggedIn>(json!({ "token": secret, "user_id": "a@b" }))),
        format!("{:?}", read::<IceServer>(json!({ "urls": "turn:a", "username": "u", "credential": secret }))),
        format!(
            "{:?}",
            read::<CreatedKey>(json!({
                "id": "1", "name": "n", "key_prefix": "p", "robot_id": null, "api_key": secret, "created_at": "t",
            }))
        ),
        format!(
            "{:?}",
            read::<LiveKitAccess>(json!({
                "session_id": "s", "transport": "livekit", "url": "u", "token": secret, "room": "r", "role": null,
            }))
        ),
    ];
    for text in texts {
        assert!(!text.contains(secret), "{text}");
    }
}

#[test]
fn keys_and_accounts_have_the_fields_of_the_wire() {
    let key = json!({
        "id": "1", "name": "Lab 1", "key_prefix": "dtk_live_ababa", "robot_id": null, "last_used_at": null,
        "created_at": "2026-01-01T00:00:00Z",
    });
    assert_eq!(written(&read::<KeyInfo>(key.clone())), key);
    assert_eq!(read::<CreateKey>(json!({ "name": "Lab 1" })).robot_id, None);
    let config = json!({ "region": "", "user_pool_id": "", "client_id": "", "mode": "local" });
    assert_eq!(written(&read::<AuthConfig>(config.clone())), config);
    assert_eq!(read::<AuthConfig>(json!({ "region": "", "user_pool_id": "", "client_id": "" })).mode, None);
    let health =
        json!({ "status": "ok", "service": BrokerHealth::SERVICE, "environment": "dev", "extensions": ["viewers/1"] });
    assert_eq!(written(&read::<BrokerHealth>(health.clone())), health);
}

#[test]
fn extensions_have_names_of_their_own() {
    let mut names: Vec<&str> = Extension::ALL.into_iter().map(Extension::as_str).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), Extension::ALL.len());
    assert!(names.iter().all(|name| name.ends_with("/1")));
}
