//! The list of what every engine shows, for those that forward by themselves.

#[path = "list.rs"]
mod list;

use std::net::Ipv4Addr;
use std::sync::Arc;

use str0m::media::MediaKind;
use waldo_broker::sfu::process::{Client, Server};
use waldo_broker::sfu::{Bridge, Engine, EngineError, Leg, LegIds, PeerId, PeerState, Track, VideoStatus};

use self::list::{Stage, the_list};
use crate::media::track;
use crate::peer::Peer;
use crate::{Pair, engine, open};

const SECRET: &str = "a secret of the right length";

struct Live {
    pair: Pair,
    camera: Track,
    engine: Box<dyn Engine>,
    _server: Option<Server>,
}

impl Live {
    async fn at(engine: Box<dyn Engine>, server: Option<Server>) -> Self {
        let pair = Pair::connect(&*engine, "a").await;
        let camera = track(&pair.robot, MediaKind::Video).await;
        Self { pair, camera, engine, _server: server }
    }

    async fn embedded() -> Self {
        Self::at(Box::new(engine()), None).await
    }

    async fn process() -> Self {
        let server = Server::start((Ipv4Addr::LOCALHOST, 0).into(), SECRET, Arc::new(engine())).await.unwrap();
        let client = Client::new(&format!("http://{}", server.address()), SECRET);
        Self::at(Box::new(client), Some(server)).await
    }
}

impl Stage for Live {
    fn engine(&self) -> &dyn Engine {
        &*self.engine
    }

    fn robot(&self) -> &PeerId {
        &self.pair.robot_id
    }

    fn operator(&self) -> &PeerId {
        &self.pair.operator_id
    }

    fn camera(&self) -> Track {
        self.camera.clone()
    }

    async fn exchange(&mut self, bridge: &Bridge) {
        let Pair { robot, operator, .. } = &mut self.pair;
        open(robot, bridge.robot).await;
        open(operator, bridge.operator).await;
        let there = async |from: &Peer, to: &mut Peer, label: &'static str| {
            let text = format!("{label} of bridge {}", bridge.generation);
            from.send(label, true, text.clone()).await;
            assert_eq!(to.message().await, (label.to_owned(), true, text.into_bytes()));
        };
        there(robot, operator, "state_reliable_back").await;
        there(robot, operator, "map_unreliable").await;
        there(operator, robot, "state_reliable").await;
        there(operator, robot, "cmd_unreliable").await;
    }
}

mod embedded {
    use super::{Live, list, the_list};

    the_list!(Live::embedded());
}

mod process {
    use super::{Live, list, the_list};

    the_list!(Live::process());
}
