//! What flows over the four channels, and what does not.

use std::collections::HashSet;
use std::time::Duration;

use waldo_broker::sfu::{Bridge, Engine, LegIds, PeerKind};

use crate::peer::{self, Peer};
use crate::{Pair, engine, join, open};

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_all_four_channels_arrive_with_their_kind() {
    let engine = engine();
    let mut pair = Pair::connect(&engine, "a").await;
    pair.bridge(&engine, 1).await;

    for (label, binary, data) in
        [("cmd_unreliable", true, &b"\x01\x02"[..]), ("state_reliable", false, br#"{"type":"ping"}"#)]
    {
        pair.operator.send(label, binary, data).await;
        assert_eq!(pair.robot.message().await, (label.to_owned(), binary, data.to_vec()));
    }
    for (label, binary, data) in [
        ("state_reliable_back", false, &br#"{"type":"pong"}"#[..]),
        ("state_reliable_back", true, br#"{"type":"cmd_ack"}"#),
        ("map_unreliable", true, br#"{"type":"odom"}"#),
    ] {
        pair.robot.send(label, binary, data).await;
        assert_eq!(pair.operator.message().await, (label.to_owned(), binary, data.to_vec()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_64_kibibytes_arrive_whole_and_all() {
    const COUNT: usize = 40;
    let engine = engine();
    let mut pair = Pair::connect(&engine, "a").await;
    pair.bridge(&engine, 1).await;
    let message = |index: usize| -> Vec<u8> { (0..64 << 10).map(|at| ((at * 7 + index) % 251) as u8).collect() };

    let sender = async {
        for index in 0..COUNT {
            pair.robot.send("state_reliable_back", true, message(index)).await;
        }
    };
    let receiver = async {
        for index in 0..COUNT {
            let (_, binary, data) = pair.operator.message().await;
            assert!(binary && data == message(index), "message {index} has {} bytes", data.len());
        }
    };
    tokio::join!(sender, receiver);
    // Nothing is sent twice on this one, so that each is on its way alone.
    for index in 0..COUNT {
        pair.robot.send("map_unreliable", true, message(index)).await;
        let (label, _, data) = pair.operator.message().await;
        assert!(label == "map_unreliable" && data == message(index), "map {index}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_flows_against_the_direction_of_a_channel() {
    let engine = engine();
    let mut pair = Pair::connect(&engine, "a").await;
    pair.bridge(&engine, 1).await;
    pair.robot.send("cmd_unreliable", true, "wrong").await;
    pair.robot.send("state_reliable", false, "wrong").await;
    pair.operator.send("state_reliable_back", false, "wrong").await;
    pair.operator.send("map_unreliable", true, "wrong").await;

    // What was sent after them arrives, and nothing before it.
    pair.operator.send("state_reliable", false, "right").await;
    pair.robot.send("state_reliable_back", false, "right").await;
    assert_eq!(pair.robot.message().await.2, b"right");
    assert_eq!(pair.operator.message().await.2, b"right");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_before_the_robot_opens_its_channel_waits_for_it() {
    let engine = engine();
    let mut pair = Pair::connect(&engine, "a").await;
    let bridge = engine.open_bridge(&pair.robot_id, &pair.operator_id, 1, None).await.unwrap();
    open(&pair.operator, bridge.operator).await;
    for index in 0..10 {
        pair.operator.send("state_reliable", false, format!("{index}")).await;
    }
    pair.operator.send("cmd_unreliable", true, "lost").await;
    tokio::time::sleep(Duration::from_millis(400)).await;

    open(&pair.robot, bridge.robot).await;
    pair.robot.send("state_reliable_back", true, "telemetry").await;
    for index in 0..10 {
        let (label, binary, data) = pair.robot.message().await;
        assert_eq!((label.as_str(), binary, data), ("state_reliable", false, format!("{index}").into_bytes()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_comes_without_a_word_of_the_robot_too() {
    let engine = engine();
    let mut pair = Pair::connect(&engine, "a").await;
    let bridge = pair.bridge(&engine, 1).await;
    pair.operator.send("state_reliable", false, "ping").await;
    engine.ids_told(&pair.robot_id, bridge.generation).await;
    assert_eq!(pair.robot.message().await.2, b"ping");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bridge_has_ids_of_its_own_and_the_old_ones_are_dead() {
    let engine = engine();
    let mut pair = Pair::connect(&engine, "a").await;
    let mut before: Vec<Bridge> = Vec::new();
    for generation in [1, 2, 3, 128] {
        let bridge = pair.bridge(&engine, generation).await;
        let all = |ids: LegIds| [ids.cmd, ids.state, ids.state_back, ids.map];
        for ids in [bridge.robot, bridge.operator] {
            let distinct: HashSet<u16> = all(ids).into();
            assert!(distinct.len() == 4 && distinct.iter().all(|id| (16..=1023).contains(id)), "{ids:?}");
        }
        if let Some(last) = before.last() {
            assert!(all(bridge.robot).iter().all(|id| !all(last.robot).contains(id)), "{last:?} and then {bridge:?}");
            assert!(all(bridge.operator).iter().all(|id| !all(last.operator).contains(id)), "{last:?} {bridge:?}");
        }
        pair.operator.send("state_reliable", false, format!("{generation}")).await;
        pair.robot.send("state_reliable_back", false, format!("{generation}")).await;
        assert_eq!(pair.robot.message().await.2, format!("{generation}").into_bytes());
        assert_eq!(pair.operator.message().await.2, format!("{generation}").into_bytes());
        before.push(bridge);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_s_own_channel_is_taken_and_its_end_disturbs_nothing() {
    let engine = engine();
    let (robot, robot_id) = join(&engine, PeerKind::Robot, "a", Peer::robot()).await;
    let wanted = peer::Wanted { in_band: true, ..peer::Wanted::default() };
    let (operator, operator_id) = join(&engine, PeerKind::Operator, "a", Peer::offering(&wanted)).await;
    let mut pair = Pair { robot, robot_id, operator, operator_id };
    pair.operator.send("_sctp_init", false, "to nobody").await;
    pair.operator.with(|link| link.close_channel("_sctp_init")).await;
    pair.bridge(&engine, 1).await;
    pair.operator.send("state_reliable", false, "right").await;
    pair.robot.send("state_reliable_back", false, "right").await;
    assert_eq!(pair.robot.message().await.2, b"right");
    assert_eq!(pair.operator.message().await.2, b"right");
}
