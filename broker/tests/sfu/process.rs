//! The engine in another process: everything goes on while the broker is away.

use std::net::Ipv4Addr;
use std::sync::Arc;

use waldo_broker::sfu::process::{Client, Server};
use waldo_broker::sfu::{Engine, EngineError, EngineEvent, Leg, PeerId, PeerKind, PeerState};

use crate::peer::{PATIENCE, Peer};
use crate::{Pair, engine};

const SECRET: &str = "a secret of the right length";

async fn serve() -> (Server, String) {
    let server = Server::start((Ipv4Addr::LOCALHOST, 0).into(), SECRET, Arc::new(engine())).await.unwrap();
    let url = format!("http://{}", server.address());
    (server, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_bridged_goes_on_when_the_broker_dies_and_is_known_to_the_next() {
    let (server, url) = serve().await;
    let first = Client::new(&url, SECRET);
    let mut pair = Pair::connect(&first, "a").await;
    let bridge = pair.bridge(&first, 1).await;
    drop(first);

    pair.flows().await;
    pair.operator.send("cmd_unreliable", true, "drive").await;
    assert_eq!(pair.robot.message().await.2, b"drive");

    let second = Client::new(&url, SECRET);
    assert_eq!(second.peer_state(&pair.robot_id).await, Ok(PeerState::Connected));
    assert_eq!(second.close_bridge(&pair.robot_id, &pair.operator_id, &bridge).await, Ok(true));
    pair.bridge(&second, 2).await;
    pair.robot.send("state_reliable_back", true, "again").await;
    assert_eq!(pair.operator.message().await.2, b"again");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_and_errors_come_through() {
    let (_server, url) = serve().await;
    let client = Client::new(&url, SECRET);
    let mut events = client.events();
    // The first request for events must be there before them.
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    let Pair { robot: _robot, robot_id, operator, operator_id } = Pair::connect(&client, "a").await;
    operator.close().await;
    let gone =
        async { while events.recv().await.unwrap() != (EngineEvent::PeerClosed { peer: operator_id.clone() }) {} };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    let failed = client.open_bridge(&robot_id, &operator_id, 1, None).await;
    assert!(matches!(failed, Err(EngineError::Gone { leg: Leg::Operator, .. })), "{failed:?}");
    let nobody = PeerId::new("nobody");
    assert!(matches!(client.peer_state(&nobody).await, Err(EngineError::Gone { .. })));
    client.close_peer(&nobody).await.unwrap();
    let (_, offer) = Peer::operator();
    let malformed = client.create_peer(crate::new(PeerKind::Robot, "a", offer.replace("m=", "n="))).await;
    assert!(matches!(malformed, Err(EngineError::Malformed(_))), "{malformed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_the_secret() {
    let (server, url) = serve().await;
    let stranger = Client::new(&url, "another secret of this length");
    let failed = stranger.peer_state(&PeerId::new("x")).await;
    assert!(matches!(failed, Err(EngineError::Unavailable(_))), "{failed:?}");
    assert!(Server::start((Ipv4Addr::LOCALHOST, 0).into(), "short", Arc::new(engine())).await.is_err());
    server.stop().await;
    let failed = Client::new(&url, SECRET).peer_state(&PeerId::new("x")).await;
    assert!(matches!(failed, Err(EngineError::Unavailable(_))), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_is_noticed_at_once() {
    let (first, url) = serve().await;
    let address = first.address();
    let client = Client::new(&url, SECRET);
    let mut events = client.events();
    let (mut robot, offer) = Peer::robot();
    let (_, answer) = client.create_peer(crate::new(PeerKind::Robot, "a", offer)).await.unwrap();
    robot.accept(&answer).await;
    robot.connected().await;
    let wait = async |events: &mut tokio::sync::broadcast::Receiver<EngineEvent>, wanted: fn(&EngineEvent) -> bool| {
        let found = async { while !wanted(&events.recv().await.unwrap()) {} };
        tokio::time::timeout(PATIENCE, found).await.expect("no such event");
    };
    wait(&mut events, |event| matches!(event, EngineEvent::PeerConnected { .. })).await;
    // The next request for events, of what comes after this one, is under way now.
    first.stop().await;
    let started = async {
        loop {
            if let Ok(server) = Server::start(address, SECRET, Arc::new(engine())).await {
                return server;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let _second = tokio::time::timeout(PATIENCE, started).await.expect("the address stays taken");
    wait(&mut events, |event| *event == EngineEvent::Missed).await;
    let gone = client.peer_state(&PeerId::new("of the first")).await;
    assert!(matches!(gone, Err(EngineError::Gone { .. })), "{gone:?}");
}
