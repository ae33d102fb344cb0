//! What one peer or one owner may take, so that the others notice nothing.

use std::sync::Arc;
use std::time::Duration;

use waldo_broker::sfu::embedded::{Embedded, Settings};
use waldo_broker::sfu::{Engine, EngineError, EngineEvent, PeerKind};

use crate::peer::{Happening, PATIENCE, Peer};
use crate::{Pair, engine};

/// Numbered messages, of a size.
fn numbered(index: u32, size: usize) -> Vec<u8> {
    let mut data = index.to_be_bytes().to_vec();
    data.resize(size, 0x42);
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn one_owner_cannot_take_all_places() {
    let settings = Settings { bind: ([127, 0, 0, 1], 0).into(), most_peers: 8, ..Settings::default() };
    let engine = Embedded::start(&settings).unwrap();
    let offer = || Peer::robot().1;
    for _ in 0..2 {
        engine.create_peer(crate::new(PeerKind::Robot, "greedy", offer())).await.unwrap();
    }
    let refused = engine.create_peer(crate::new(PeerKind::Robot, "greedy", offer())).await;
    assert!(matches!(refused, Err(EngineError::Refused(_))), "{refused:?}");
    engine.create_peer(crate::new(PeerKind::Robot, "modest", offer())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offer_with_hundreds_of_sections_is_refused() {
    let engine = engine();
    let (_, offer) = Peer::robot();
    let (head, audio) = offer.split_at(offer.find("m=audio").unwrap());
    let audio = &audio[..audio.find("m=application").unwrap_or(audio.len())];
    let many: String = (0..400).map(|mid| audio.replace("a=mid:", &format!("a=mid:{mid}"))).collect();
    let made = engine.create_peer(crate::new(PeerKind::Robot, "a", format!("{head}{many}"))).await;
    let Err(EngineError::Malformed(why)) = made else { panic!("{made:?}") };
    assert!(why.contains("m-sections"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_comes_late_does_not_replace_a_newer_one() {
    let engine = engine();
    let mut pair = Pair::connect(&engine, "a").await;
    pair.bridge(&engine, 6).await;
    for late in [5, 6] {
        let refused = engine.open_bridge(&pair.robot_id, &pair.operator_id, late, None).await;
        assert!(matches!(refused, Err(EngineError::Refused(_))), "{refused:?}");
    }
    pair.flows().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_takes_nothing_misses_the_oldest_of_a_lossy_channel_and_disturbs_nobody() {
    const COUNT: u32 = 300;
    let engine = engine();
    let mut slow = Pair::connect(&engine, "a").await;
    let mut other = Pair::connect(&engine, "b").await;
    slow.bridge(&engine, 1).await;
    other.bridge(&engine, 1).await;
    other.flows().await;
    slow.robot.send("map_unreliable", true, numbered(0, 8)).await;
    slow.operator.message().await;

    slow.operator.with(|link| link.take_only_checks(true)).await;
    for index in 1..COUNT {
        slow.robot.send("map_unreliable", true, numbered(index, 16_000)).await;
        other.operator.send("cmd_unreliable", true, numbered(index, 100)).await;
        assert_eq!(other.robot.message().await.2, numbered(index, 100));
    }
    slow.operator.with(|link| link.take_only_checks(false)).await;
    // What he gets first may be old, what he gets last is the newest there is.
    let mut got = 0;
    for index in COUNT.. {
        slow.robot.send("map_unreliable", true, numbered(index, 16_000)).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        let is_message = |happening: &Happening| matches!(happening, Happening::Message { .. });
        let messages: Vec<Happening> = slow.operator.happened().into_iter().filter(is_message).collect();
        got += messages.len();
        if messages.iter().any(|one| matches!(one, Happening::Message { data, .. } if data[..4] == index.to_be_bytes()))
        {
            break;
        }
        assert!(index < 20 * COUNT, "the newest never comes");
    }
    assert!(got < COUNT as usize, "nothing was left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_takes_nothing_of_a_reliable_channel_loses_its_bridge() {
    let engine = engine();
    let mut events = engine.events();
    let mut pair = Pair::connect(&engine, "a").await;
    pair.bridge(&engine, 1).await;
    pair.flows().await;

    pair.operator.with(|link| link.take_only_checks(true)).await;
    let data = Arc::new(numbered(0, 60_000));
    let closed = async {
        loop {
            pair.robot.try_send("state_reliable_back", true, &data).await;
            if let Ok(EngineEvent::BridgeClosed { reason, .. }) = events.try_recv() {
                return reason;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let reason = tokio::time::timeout(PATIENCE, closed).await.expect("the bridge stays");
    assert_eq!(reason, "the operator does not take what the robot says");

    // He can have the next one.
    pair.operator.with(|link| link.take_only_checks(false)).await;
    pair.operator.happened();
    pair.bridge(&engine, 2).await;
    pair.robot.send("state_reliable_back", true, "again").await;
    while pair.operator.message().await.2 != b"again" {}
}
