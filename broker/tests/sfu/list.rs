//! What every engine shows through its interface: one list for the embedded one, for the one in another process, and for Cloudflare's against
//! a local service. Whoever includes this says how a robot and an operator get there.

use super::{Bridge, Engine, EngineError, Leg, LegIds, PeerId, PeerState, Track, VideoStatus};

/// A robot and an operator of one tenant at an engine.
pub(crate) trait Stage {
    fn engine(&self) -> &dyn Engine;
    fn robot(&self) -> &PeerId;
    fn operator(&self) -> &PeerId;
    fn camera(&self) -> Track;

    /// Opens the bridge's channels, and sees that messages of all four go where they shall; as far as there is anybody to send them.
    async fn exchange(&mut self, bridge: &Bridge);
}

macro_rules! the_list {
    ($stage:expr) => {
        the_list!($stage => bridges_have_ids_of_their_own, a_bridge_can_be_closed_twice, peers_that_nobody_knows_are_gone,
            the_picture_can_be_had_again, what_an_engine_cannot_do_it_refuses, unknown_peers_can_be_closed);
    };
    ($stage:expr => $($name:ident),+) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            list::$name($stage.await).await;
        })+
    };
}

pub(crate) use the_list;

fn all(ids: LegIds) -> [u16; 4] {
    [ids.cmd, ids.state, ids.state_back, ids.map]
}

pub(crate) async fn bridges_have_ids_of_their_own(mut stage: impl Stage) {
    let mut before: Option<Bridge> = None;
    for generation in 1..4 {
        let previous = before.map(|bridge| bridge.robot);
        let opened = stage.engine().open_bridge(stage.robot(), stage.operator(), generation, previous).await;
        let bridge = opened.unwrap();
        assert_eq!(bridge.generation, generation);
        for (ids, others) in
            [(bridge.robot, before.map(|bridge| bridge.robot)), (bridge.operator, before.map(|bridge| bridge.operator))]
        {
            let mut distinct = all(ids);
            distinct.sort_unstable();
            assert!(distinct[0] > 0 && distinct.windows(2).all(|pair| pair[0] < pair[1]), "{ids:?}");
            assert!(
                others.is_none_or(|others| all(others).iter().all(|id| !all(ids).contains(id))),
                "{ids:?} {others:?}"
            );
        }
        stage.exchange(&bridge).await;
        before = Some(bridge);
    }
}

pub(crate) async fn a_bridge_can_be_closed_twice(mut stage: impl Stage) {
    let first = stage.engine().open_bridge(stage.robot(), stage.operator(), 1, None).await.unwrap();
    for _ in 0..2 {
        stage.engine().close_bridge(stage.robot(), stage.operator(), &first).await.unwrap();
    }
    let second = stage.engine().open_bridge(stage.robot(), stage.operator(), 2, Some(first.robot)).await.unwrap();
    // The one before is not this one.
    stage.engine().close_bridge(stage.robot(), stage.operator(), &first).await.unwrap();
    stage.exchange(&second).await;
}

pub(crate) async fn peers_that_nobody_knows_are_gone(mut stage: impl Stage) {
    let nobody = PeerId::new("nobody");
    let engine = stage.engine();
    let of =
        |leg: Leg| move |error: &EngineError| matches!(error, EngineError::Gone { leg: whose, .. } if *whose == leg);
    let robot = engine.open_bridge(&nobody, stage.operator(), 1, None).await.unwrap_err();
    assert!(of(Leg::Robot)(&robot), "{robot:?}");
    let operator = engine.open_bridge(stage.robot(), &nobody, 1, None).await.unwrap_err();
    assert!(of(Leg::Operator)(&operator), "{operator:?}");
    assert!(matches!(engine.peer_state(&nobody).await, Err(EngineError::Gone { .. })));
    assert!(engine.submit_answer(&nobody, "<answer>").await.is_err());
    assert_ne!(engine.attach_video(&nobody, &stage.camera(), stage.operator()).await.status, VideoStatus::Ok);
    assert_ne!(engine.attach_video(stage.robot(), &stage.camera(), &nobody).await.status, VideoStatus::Ok);

    // Nothing of this is in the way of those who are there.
    assert_eq!(engine.peer_state(stage.robot()).await, Ok(PeerState::Connected));
    let bridge = engine.open_bridge(stage.robot(), stage.operator(), 2, None).await.unwrap();
    stage.exchange(&bridge).await;
}

pub(crate) async fn the_picture_can_be_had_again(mut stage: impl Stage) {
    for generation in 1..3 {
        let engine = stage.engine();
        let bridge = engine.open_bridge(stage.robot(), stage.operator(), generation, None).await.unwrap();
        for _ in 0..2 {
            let attached = engine.attach_video(stage.robot(), &stage.camera(), stage.operator()).await;
            assert_eq!(attached.status, VideoStatus::Ok);
        }
        stage.exchange(&bridge).await;
        stage.engine().close_bridge(stage.robot(), stage.operator(), &bridge).await.unwrap();
    }
}

pub(crate) async fn what_an_engine_cannot_do_it_refuses(mut stage: impl Stage) {
    let engine = stage.engine();
    let can = engine.capabilities();
    assert!(can.sdp_relay && can.bridge);
    let bridge = engine.open_bridge(stage.robot(), stage.operator(), 1, None).await.unwrap();
    if !can.viewers {
        let refused = engine.attach_viewer(stage.robot(), stage.operator()).await;
        assert!(matches!(refused, Err(EngineError::Refused(_))), "{refused:?}");
    }
    if !can.inject {
        let refused = engine.inject(stage.robot(), "{}").await;
        assert!(matches!(refused, Err(EngineError::Refused(_))), "{refused:?}");
    }
    stage.exchange(&bridge).await;
}

pub(crate) async fn unknown_peers_can_be_closed(mut stage: impl Stage) {
    stage.engine().close_peer(&PeerId::new("nobody")).await.unwrap();
    let bridge = stage.engine().open_bridge(stage.robot(), stage.operator(), 1, None).await.unwrap();
    stage.exchange(&bridge).await;
    stage.engine().close_peer(stage.operator()).await.unwrap();
    stage.engine().close_peer(stage.operator()).await.unwrap();
}
