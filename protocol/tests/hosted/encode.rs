//! What was read survives being written. Shared with the fuzz targets.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use waldo_protocol::hosted::{
    AuditEntry, AuthConfig, BridgeUpdate, BridgedSession, BridgedViewer, BrokerHealth, CreateKey, CreatedKey,
    Credentials, ErrorBody, Heartbeat, HeartbeatAck, IceServers, JoinSession, JoinedSession, KeyList, LeaveSession,
    LeftSession, LiveKitAccess, LiveKitAck, MapMessage, Me, MediaKind, RegisterRobot, RegisteredRobot, SdpAnswer,
    SessionList, TakeOver, ToOperator, ToRobot, published_track, repair_candidates,
};
use waldo_protocol::lcm::{Message, PoseStamped};

/// Reads a message of LCM; what is accepted comes out of its own encoding again.
pub(crate) fn lcm_survives(bytes: &[u8]) {
    // Of one type only, the same bytes are the same message.
    if let Ok(pose) = PoseStamped::decode(bytes) {
        assert_eq!(Message::PoseStamped(pose).encode(), Message::decode(bytes).unwrap().encode());
    }
    let Ok((message, used)) = Message::decode_prefix(bytes) else { return };
    assert!(used <= bytes.len());
    let written = message.encode();
    // Bit by bit, as numbers that are none equal nothing.
    assert_eq!(Message::decode(&written).unwrap().encode(), written);
    let text = written.windows(3).any(|replaced| replaced == "\u{fffd}".as_bytes());
    if !text && !matches!(message, Message::Bool(_)) {
        assert_eq!(written, bytes[..used]);
    }
}

/// Reads what an operator says; what is accepted comes out of its own encoding again, refusals included.
pub(crate) fn robot_survives(frame: &[u8]) {
    if let Ok(message) = ToRobot::decode(frame) {
        assert_eq!(ToRobot::decode(message.encode().as_bytes()).as_ref(), Ok(&message));
        if let ToRobot::CameraSelect(select) = message {
            assert!(!select.of(&["cam1", "cam2"]).is_empty());
        }
    }
}

/// Reads what a robot says; what is accepted comes out of its own encoding again.
pub(crate) fn operator_survives(frame: &[u8]) {
    if let Ok(message) = ToOperator::decode(frame) {
        assert_eq!(ToOperator::decode(message.encode().as_bytes()).as_ref(), Ok(&message));
    }
    if let Ok(message) = MapMessage::decode(frame) {
        assert_eq!(MapMessage::decode(message.encode().as_bytes()).as_ref(), Ok(&message));
    }
}

/// Reads a body as every type there is; what is accepted comes out of its own encoding again.
pub(crate) fn body_survives(body: &[u8]) {
    fn survives<T: Debug + PartialEq + Serialize + DeserializeOwned>(body: &[u8]) {
        if let Ok(read) = serde_json::from_slice::<T>(body) {
            let written = serde_json::to_vec(&read).unwrap();
            assert_eq!(serde_json::from_slice::<T>(&written).unwrap(), read);
        }
    }
    survives::<AuditEntry>(body);
    survives::<AuthConfig>(body);
    survives::<BridgeUpdate>(body);
    survives::<BridgedSession>(body);
    survives::<BridgedViewer>(body);
    survives::<BrokerHealth>(body);
    survives::<CreateKey>(body);
    survives::<CreatedKey>(body);
    survives::<Credentials>(body);
    survives::<ErrorBody>(body);
    survives::<Heartbeat>(body);
    survives::<HeartbeatAck>(body);
    survives::<IceServers>(body);
    survives::<JoinSession>(body);
    survives::<JoinedSession>(body);
    survives::<KeyList>(body);
    survives::<LeaveSession>(body);
    survives::<LeftSession>(body);
    survives::<LiveKitAccess>(body);
    survives::<LiveKitAck>(body);
    survives::<Me>(body);
    survives::<RegisterRobot>(body);
    survives::<RegisteredRobot>(body);
    survives::<SdpAnswer>(body);
    survives::<SessionList>(body);
    survives::<TakeOver>(body);
}

/// Repairs a description; once is enough, and nothing else becomes of it.
pub(crate) fn sdp_survives(sdp: &str) {
    let repaired = repair_candidates(sdp);
    assert!(repaired.len() <= 65 * (sdp.len() + 2));
    // Where only the word that there are no more is copied, each repair copies it again.
    if repaired.lines().any(|line| line.starts_with("a=candidate:")) {
        let again = repair_candidates(&repaired);
        assert!(again == repaired || !repaired_has_candidates_first(&repaired));
    }
    for kind in [MediaKind::Video, MediaKind::Audio] {
        assert_eq!(published_track(&repaired, kind), published_track(sdp, kind));
    }
}

/// Whether the section that is copied from has a candidate.
fn repaired_has_candidates_first(sdp: &str) -> bool {
    let lines = sdp.split('\n').map(|line| line.trim_end_matches('\r')).skip_while(|line| !line.starts_with("m="));
    let mut found = lines.filter(|line| line.starts_with("a=candidate:") || *line == "a=end-of-candidates");
    found.next().is_some_and(|line| line.starts_with("a=candidate:"))
}
