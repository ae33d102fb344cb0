//! Bridges that end: asked for, by loss, by takeover; and what others must never notice.

use std::time::{Duration, Instant};

use str0m::media::MediaKind;
use tokio::sync::broadcast::Receiver;
use waldo_broker::sfu::{Engine, EngineError, EngineEvent, Leg, PeerKind, PeerState};

use crate::peer::{Happening, PATIENCE, Peer, Wanted};
use crate::{Pair, engine, join, open};

async fn event(events: &mut Receiver<EngineEvent>, pick: impl Fn(&EngineEvent) -> bool) -> EngineEvent {
    let found = async {
        loop {
            let event = events.recv().await.unwrap();
            if pick(&event) {
                return event;
            }
        }
    };
    tokio::time::timeout(PATIENCE, found).await.expect("no such event")
}

fn messages(peer: &mut Peer) -> Vec<Vec<u8>> {
    let is_message = |happening| match happening {
        Happening::Message { data, .. } => Some(data),
        _ => None,
    };
    peer.happened().into_iter().filter_map(is_message).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_forwarded_after_a_bridge_was_closed() {
    let engine = engine();
    let mut pair = Pair::connect(&engine, "a").await;
    let bridge = pair.bridge(&engine, 1).await;
    pair.flows().await;
    pair.operator.send("cmd_unreliable", true, "drive").await;
    assert_eq!(pair.robot.message().await.2, b"drive");

    engine.close_bridge(&pair.robot_id, &pair.operator_id, &bridge).await.unwrap();
    pair.robot.happened();
    pair.operator.happened();
    pair.operator
        .with(|link| (link.send("cmd_unreliable", true, b"on"), link.send("state_reliable", false, b"on")))
        .await;
    pair.robot.send("map_unreliable", true, "map").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(messages(&mut pair.robot), Vec::<Vec<u8>>::new());
    assert_eq!(messages(&mut pair.operator), Vec::<Vec<u8>>::new());

    // The robot can still be told why, and the operator can come back.
    engine.inject(&pair.robot_id, r#"{"type":"operator_lost"}"#).await.unwrap();
    let told = ("state_reliable".to_owned(), false, br#"{"type":"operator_lost"}"#.to_vec());
    assert_eq!(pair.robot.message().await, told);
    pair.bridge(&engine, 2).await;
    pair.robot.send("state_reliable_back", true, "here").await;
    pair.operator.send("state_reliable", false, "again").await;
    assert_eq!(pair.robot.message().await.2, b"again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_picture_stops_with_the_bridge() {
    let engine = engine();
    let mut pair = Pair::connect(&engine, "a").await;
    let bridge = pair.bridge(&engine, 1).await;
    let mid = pair.robot.with(|link| link.mid(MediaKind::Video)).await.unwrap();
    let track = waldo_broker::sfu::Track { mid: mid.to_string(), name: "camera".to_owned() };
    engine.attach_video(&pair.robot_id, &track, &pair.operator_id).await;
    let send = |link: &mut crate::peer::Link| link.send_packet(MediaKind::Video, 1, true, &[1; 500]);
    let is_packet = |happening: &Happening| matches!(happening, Happening::Packet { .. });
    pair.robot.with(send).await;
    pair.operator.next(|happening| is_packet(&happening).then_some(())).await;
    engine.close_bridge(&pair.robot_id, &pair.operator_id, &bridge).await.unwrap();
    pair.operator.happened();
    for _ in 0..10 {
        pair.robot.with(send).await;
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!pair.operator.happened().iter().any(is_packet));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_robot_learns_of_an_operator_who_falls_silent() {
    let engine = engine();
    let mut events = engine.events();
    let mut pair = Pair::connect(&engine, "a").await;
    pair.bridge(&engine, 1).await;
    pair.flows().await;

    pair.operator.with(|link| link.cut()).await;
    let cut = Instant::now();
    let (_, binary, data) = pair.robot.message().await;
    let told: serde_json::Value = serde_json::from_slice(&data).unwrap();
    assert_eq!((binary, told), (false, serde_json::json!({"type": "operator_lost", "reason": "ice"})));
    assert!(cut.elapsed() < Duration::from_secs(5), "{:?}", cut.elapsed());
    event(&mut events, |event| matches!(event, EngineEvent::BridgeClosed { generation: 1, .. })).await;
    let lost = EngineEvent::PeerLost { peer: pair.operator_id.clone(), reason: "ice".to_owned() };
    event(&mut events, |event| *event == lost).await;
    assert_eq!(engine.peer_state(&pair.operator_id).await, Ok(PeerState::Lost));

    // Back after a while, he moves nothing before he has bridged again.
    tokio::time::sleep(Duration::from_secs(6)).await;
    pair.operator.with(|link| link.mend()).await;
    let back = EngineEvent::PeerRecovered { peer: pair.operator_id.clone() };
    event(&mut events, |event| *event == back).await;
    pair.operator.with(|link| link.send("state_reliable", false, b"on")).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(messages(&mut pair.robot), Vec::<Vec<u8>>::new());
    pair.bridge(&engine, 2).await;
    pair.robot.send("state_reliable_back", true, "here").await;
    pair.operator.send("state_reliable", false, "again").await;
    assert_eq!(pair.robot.message().await.2, b"again");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_robot_learns_at_once_of_an_operator_who_hangs_up() {
    let engine = engine();
    let mut events = engine.events();
    let Pair { mut robot, robot_id, operator, operator_id } = Pair::connect(&engine, "a").await;
    let bridge = engine.open_bridge(&robot_id, &operator_id, 1, None).await.unwrap();
    open(&robot, bridge.robot).await;
    robot.send("state_reliable_back", true, "here").await;
    operator.close().await;
    let told: serde_json::Value = serde_json::from_slice(&robot.message().await.2).unwrap();
    assert_eq!(told, serde_json::json!({"type": "operator_lost", "reason": "dtls"}));
    event(&mut events, |event| *event == EngineEvent::PeerClosed { peer: operator_id.clone() }).await;
    let gone = engine.open_bridge(&robot_id, &operator_id, 2, None).await;
    assert!(matches!(gone, Err(EngineError::Gone { leg: Leg::Operator, .. })), "{gone:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_waits_for_its_peers_to_be_connected() {
    let engine = engine();
    let (_robot, robot_id) = join(&engine, PeerKind::Robot, "a", Peer::robot()).await;
    let (operator, offer) = Peer::operator();
    let (operator_id, answer) = engine.create_peer(crate::new(PeerKind::Operator, "a", offer)).await.unwrap();
    let connect = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        operator.accept(&answer).await;
    };
    let (bridge, ()) = tokio::join!(engine.open_bridge(&robot_id, &operator_id, 1, None), connect);
    bridge.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_never_meet() {
    let engine = engine();
    let mut one = Pair::connect(&engine, "one").await;
    let mut two = Pair::connect(&engine, "two").await;
    let (viewer, viewer_id) = join(&engine, PeerKind::Viewer, "two", Peer::viewer()).await;
    let mid = one.robot.with(|link| link.mid(MediaKind::Video)).await.unwrap();
    let track = waldo_broker::sfu::Track { mid: mid.to_string(), name: "camera".to_owned() };
    let crossed = engine.open_bridge(&one.robot_id, &two.operator_id, 1, None).await;
    assert!(matches!(crossed, Err(EngineError::Refused(_))), "{crossed:?}");
    let crossed = engine.attach_viewer(&one.robot_id, &viewer_id).await;
    assert!(matches!(crossed, Err(EngineError::Refused(_))), "{crossed:?}");
    assert_eq!(engine.attach_video(&one.robot_id, &track, &two.operator_id).await.offer, None);
    assert_eq!(engine.attach_video(&one.robot_id, &track, &viewer_id).await.offer, None);

    // Both work at the same time, with the same ids, and neither hears the other.
    one.bridge(&engine, 1).await;
    two.bridge(&engine, 1).await;
    for (pair, name) in [(&mut one, "one"), (&mut two, "two")] {
        for _ in 0..50 {
            pair.robot.send("map_unreliable", true, name).await;
            pair.robot.send("state_reliable_back", true, name).await;
            pair.operator.send("state_reliable", false, name).await;
            pair.operator.send("cmd_unreliable", true, name).await;
        }
        pair.robot.with(|link| link.send_packet(MediaKind::Video, 1, true, &[1; 500])).await;
    }
    for (pair, name) in [(&mut one, "one"), (&mut two, "two")] {
        for (peer, reliable) in [(&mut pair.robot, "state_reliable"), (&mut pair.operator, "state_reliable_back")] {
            let mut heard = 0;
            while heard < 50 {
                let (label, _, data) = peer.message().await;
                assert_eq!(data, name.as_bytes());
                heard += usize::from(label == reliable);
            }
            assert!(messages(peer).iter().all(|data| data == name.as_bytes()));
        }
    }
    drop(viewer);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_what_the_robot_shows_and_says_nothing() {
    let engine = engine();
    let mut pair = Pair::connect(&engine, "a").await;
    let (mut viewer, viewer_id) = join(&engine, PeerKind::Viewer, "a", Peer::viewer()).await;
    pair.bridge(&engine, 1).await;
    let mid = pair.robot.with(|link| link.mid(MediaKind::Video)).await.unwrap();
    let track = waldo_broker::sfu::Track { mid: mid.to_string(), name: "camera".to_owned() };
    engine.attach_video(&pair.robot_id, &track, &viewer_id).await;
    let ids = engine.attach_viewer(&pair.robot_id, &viewer_id).await.unwrap();
    viewer.open("state_reliable_back", ids.state_back, false).await;
    viewer.open("map_unreliable", ids.map, true).await;
    viewer.open("state_reliable", ids.state_back + 2, false).await;

    viewer
        .with(|link| (link.send("state_reliable", false, b"on"), link.send("state_reliable_back", false, b"on")))
        .await;
    for text in [
        r#"{"type":"pong","client_ts":1}"#,
        r#"{"nonce":1,"type":"cmd_ack","ok":true}"#,
        r#"{"type":"robot_telemetry"}"#,
    ] {
        pair.robot.send("state_reliable_back", true, text).await;
    }
    pair.robot.send("map_unreliable", true, r#"{"type":"odom"}"#).await;
    pair.robot.with(|link| link.send_packet(MediaKind::Video, 1, true, &[1; 500])).await;
    let mut seen = vec![viewer.message().await.2, viewer.message().await.2];
    seen.sort();
    assert_eq!(seen, [br#"{"type":"odom"}"#.to_vec(), br#"{"type":"robot_telemetry"}"#.to_vec()]);
    let is_packet = |happening: &Happening| matches!(happening, Happening::Packet { .. });
    pair.robot.with(|link| link.send_packet(MediaKind::Video, 2, true, &[1; 500])).await;
    viewer.next(|happening| is_packet(&happening).then_some(())).await;
    assert_eq!(messages(&mut pair.robot), Vec::<Vec<u8>>::new());

    // He keeps on seeing when another bridge opens.
    pair.bridge(&engine, 2).await;
    pair.robot.send("map_unreliable", true, "again").await;
    assert_eq!(viewer.message().await.2, b"again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_asked_for_it_is_told_its_ids_at_once() {
    let engine = engine();
    let (mut robot, offer) = Peer::robot();
    let wanted = waldo_broker::sfu::NewPeer { push: true, ..crate::new(PeerKind::Robot, "a", offer) };
    let (robot_id, answer) = engine.create_peer(wanted).await.unwrap();
    robot.open("ctl_reliable", 2, false).await;
    robot.accept(&answer).await;
    robot.connected().await;
    robot.send("ctl_reliable", false, "{}").await;
    let (_operator, operator_id) = join(&engine, PeerKind::Operator, "a", Peer::operator()).await;
    let bridge = engine.open_bridge(&robot_id, &operator_id, 7, None).await.unwrap();
    let (label, binary, data) = robot.message().await;
    assert_eq!((label.as_str(), binary), ("ctl_reliable", false));
    let update: serde_json::Value = serde_json::from_slice(&data).unwrap();
    assert_eq!(update["type"], "bridge_update");
    assert_eq!(update["generation"], 7);
    assert_eq!(update["ids"]["state_channel_subscriber_id"], bridge.robot.state);
    engine.close_bridge(&robot_id, &operator_id, &bridge).await.unwrap();
    let update: serde_json::Value = serde_json::from_slice(&robot.message().await.2).unwrap();
    assert!(update["ids"]["state_channel_subscriber_id"].is_null());
}

#[tokio::test(flavor = "multi_thread")]
async fn offers_that_make_no_sense_are_refused_and_cost_nobody_anything() {
    let engine = engine();
    let mut pair = Pair::connect(&engine, "a").await;
    pair.bridge(&engine, 1).await;
    let (_, good) = Peer::offering(&Wanted::robot());
    let without =
        |what: &str| good.lines().filter(|line| !line.contains(what)).map(|line| format!("{line}\r\n")).collect();
    let bad: [String; 5] =
        [String::new(), "v=0".to_owned(), without("a=fingerprint"), without("a=ice-ufrag"), good.replace("m=", "n=")];
    for offer in bad {
        let made = engine.create_peer(crate::new(PeerKind::Robot, "a", offer.clone())).await;
        assert!(matches!(made, Err(EngineError::Malformed(_))), "{offer}: {made:?}");
    }
    pair.flows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_complete_and_bundle_everything_on_one_transport() {
    let engine = engine();
    for (kind, (_peer, offer)) in
        [(PeerKind::Robot, Peer::robot()), (PeerKind::Operator, Peer::operator()), (PeerKind::Viewer, Peer::viewer())]
    {
        let (_, answer) = engine.create_peer(crate::new(kind, "a", offer)).await.unwrap();
        let (session, media) = answer.split_at(answer.find("m=").unwrap());
        let sections: Vec<&str> = media.split("m=").skip(1).collect();
        let attribute = |section: &str, name: &str| {
            section.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim().to_owned()
        };
        let mids: Vec<String> = sections.iter().map(|section| attribute(section, "a=mid:")).collect();
        assert_eq!(attribute(session, "a=group:BUNDLE "), mids.join(" "), "{answer}");
        for section in &sections {
            assert!(section.contains("\na=end-of-candidates"), "{section}");
            assert!(["passive", "active"].contains(&&*attribute(section, "a=setup:")), "{section}");
            let is_channels = section.starts_with("application");
            assert!(is_channels || section.contains("\na=rtcp-mux"), "{section}");
            if is_channels {
                assert_eq!(attribute(section, "a=sctp-port:"), "5000");
                assert!(attribute(section, "a=max-message-size:").parse::<u32>().unwrap() >= 65_536, "{section}");
            }
        }
        assert!(!answer.contains("trickle"), "{answer}");
    }
}
