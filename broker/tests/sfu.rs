//! The embedded engine with real sockets: robots, operators and viewers of their own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on shall say where")]

#[path = "sfu/channels.rs"]
mod channels;
#[path = "sfu/every_engine.rs"]
mod every_engine;
#[path = "sfu/limits.rs"]
mod limits;
#[path = "sfu/media.rs"]
mod media;
#[allow(unreachable_pub, reason = "other test programs use more of it")]
mod peer;
#[path = "sfu/presence.rs"]
mod presence;
#[path = "sfu/process.rs"]
mod process;
#[path = "sfu/tcp.rs"]
mod tcp;

use std::net::Ipv4Addr;

use peer::Peer;
use waldo_broker::sfu::embedded::{Embedded, Settings};
use waldo_broker::sfu::{Bridge, Engine, NewPeer, PeerId, PeerKind};

fn engine() -> Embedded {
    Embedded::start(&Settings { bind: (Ipv4Addr::LOCALHOST, 0).into(), ..Settings::default() }).unwrap()
}

fn new(kind: PeerKind, tenant: &str, offer: String) -> NewPeer {
    NewPeer { kind, tenant: tenant.to_owned(), offer, push: false }
}

/// A robot and an operator of one tenant, connected.
struct Pair {
    robot: Peer,
    robot_id: PeerId,
    operator: Peer,
    operator_id: PeerId,
}

impl Pair {
    async fn connect(engine: &dyn Engine, tenant: &str) -> Self {
        let (robot, robot_id) = join(engine, PeerKind::Robot, tenant, Peer::robot()).await;
        let (operator, operator_id) = join(engine, PeerKind::Operator, tenant, Peer::operator()).await;
        Self { robot, robot_id, operator, operator_id }
    }

    /// Opens a bridge and all its channels on both sides.
    async fn bridge(&self, engine: &dyn Engine, generation: u64) -> Bridge {
        let bridge = engine.open_bridge(&self.robot_id, &self.operator_id, generation, None).await.unwrap();
        open(&self.robot, bridge.robot).await;
        open(&self.operator, bridge.operator).await;
        bridge
    }

    /// The operator hears what the robot says.
    async fn flows(&mut self) {
        self.robot.send("state_reliable_back", true, "here").await;
        assert_eq!(self.operator.message().await.2, b"here");
    }
}

async fn join(engine: &dyn Engine, kind: PeerKind, tenant: &str, (mut peer, offer): (Peer, String)) -> (Peer, PeerId) {
    let (id, answer) = engine.create_peer(new(kind, tenant, offer)).await.unwrap();
    peer.accept(&answer).await;
    peer.connected().await;
    (peer, id)
}

async fn open(peer: &Peer, ids: waldo_broker::sfu::LegIds) {
    peer.open("cmd_unreliable", ids.cmd, true).await;
    peer.open("state_reliable_back", ids.state_back, false).await;
    peer.open("state_reliable", ids.state, false).await;
    peer.open("map_unreliable", ids.map, true).await;
}
