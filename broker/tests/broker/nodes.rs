//! Several brokers with an engine inside of each, on one database.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use waldo_broker::Broker;

use crate::client::{ALICE, KEY, OPERATOR_OFFER, ROBOT_OFFER, Reply, World, ids, until, world};
use crate::engine::Scripted;

/// Two brokers that hold peers, on the database of a world whose own broker has ended.
struct Two {
    world: World,
    engines: [Arc<Scripted>; 2],
    brokers: [Broker; 2],
}

impl Two {
    async fn start() -> Self {
        let mut world = world().await;
        world.broker.take().unwrap().stop().await;
        world.settings.timers.reap_every = std::time::Duration::from_millis(50);
        let engines = [Arc::new(Scripted::default()), Arc::new(Scripted::default())];
        let start = |at: usize| Broker::start_with(world.settings.clone(), engines[at].clone(), true);
        let brokers = [start(0).await.unwrap(), start(1).await.unwrap()];
        world.url = brokers[0].url();
        Self { world, engines, brokers }
    }

    async fn ask(&self, at: usize, token: &str, method: &str, call: &str, body: Value) -> Reply {
        let url = format!("{}/api/v1{call}", self.brokers[at].url());
        let request = self.world.client.request(Method::from_bytes(method.as_bytes()).unwrap(), url);
        let request = if token == KEY { request.header("X-Robot-API-Key", KEY) } else { request.bearer_auth(token) };
        self.world.send(if body.is_null() { request } else { request.json(&body) }).await
    }

    async fn register(&self, at: usize) -> String {
        self.register_as(at, "dog").await
    }

    async fn register_as(&self, at: usize, robot: &str) -> String {
        let body = json!({"robot_name": "Dog", "robot_id": robot, "sdp_offer": ROBOT_OFFER});
        let reply = self.ask(at, KEY, "POST", "/sessions", body).await.ok();
        reply["session_id"].as_str().unwrap().to_owned()
    }
}

/// Whether an engine was never asked for anything, but for what a heartbeat tells every engine.
fn only_told(engine: &Scripted) -> bool {
    engine.calls.lock().unwrap().iter().all(|call| call.starts_with("told"))
}

#[tokio::test]
async fn whoever_is_asked_the_broker_with_the_peers_does_it() {
    let two = Two::start().await;
    let alice = two.world.log_in(ALICE).await;
    let id = two.register(0).await;
    let offer = json!({"sdp_offer": OPERATOR_OFFER});
    let joined = two.ask(1, &alice, "POST", &format!("/sessions/{id}/join"), offer).await.ok();
    assert!(two.engines[0].has(joined["cf_session_id"].as_str().unwrap()));
    assert!(only_told(&two.engines[1]), "the peers are with the other one");
    let bridged = two.ask(1, &alice, "POST", &format!("/sessions/{id}/bridge-datachannel"), Value::Null).await;
    assert_eq!(bridged.status, 200, "{bridged:?}");
    let beat = two.ask(1, KEY, "POST", &format!("/sessions/{id}/heartbeat"), json!({})).await.ok();
    assert!(ids(&beat).iter().all(Value::is_u64), "{beat}");
    // However the session's name is written, and whatever a caller says of the way that the request has taken.
    let bridge = |id: &str| {
        let url = format!("{}/api/v1/sessions/{id}/bridge-datachannel", two.brokers[1].url());
        two.world.client.post(url).bearer_auth(&alice)
    };
    let escaped = format!("%{:02x}{}", id.as_bytes()[0], &id[1..]);
    for request in [bridge(&escaped), bridge(&id).header("X-Waldo-Forwarded", "1")] {
        let bridged = two.world.send(request).await;
        assert_eq!(bridged.status, 200, "{bridged:?}");
    }
    assert!(only_told(&two.engines[1]), "the peers are with the other one");
    // Refusals come through as they are.
    let stranger = two.ask(1, "rubbish", "POST", &format!("/sessions/{id}/leave"), json!({})).await;
    assert_eq!(stranger.headers["www-authenticate"], "Bearer");
    assert_eq!((stranger.status, stranger.detail().as_str()), (401, "Invalid token: malformed"));
    two.ask(1, &alice, "POST", &format!("/sessions/{id}/leave"), json!({})).await.ok();
    assert_eq!(two.engines[0].called("unbridge 3").len(), 1);
    let gone = two.ask(1, KEY, "DELETE", &format!("/sessions/{id}"), Value::Null).await;
    assert_eq!((gone.status, gone.text.as_str()), (204, ""));
}

#[tokio::test]
async fn what_one_broker_ends_the_other_cuts_off() {
    let two = Two::start().await;
    let alice = two.world.log_in(ALICE).await;
    let before = two.register(0).await;
    let offer = json!({"sdp_offer": OPERATOR_OFFER});
    two.ask(0, &alice, "POST", &format!("/sessions/{before}/join"), offer).await.ok();
    two.ask(0, &alice, "POST", &format!("/sessions/{before}/bridge-datachannel"), Value::Null).await.ok();
    // The robot comes back by way of the other broker, which cannot reach its old peer.
    two.register(1).await;
    until("the old peers are gone", || two.engines[0].peers.lock().unwrap().is_empty()).await;
    assert!(two.engines[0].called("inject").iter().any(|call| call.contains("operator_lost")));
    assert_eq!(two.engines[0].called("unbridge").len(), 1);
}

#[tokio::test]
async fn peers_of_a_broker_that_is_gone_are_forgotten() {
    let two = Two::start().await;
    let alice = two.world.log_in(ALICE).await;
    let id = two.register(0).await;
    let Two { world, brokers: [first, second], .. } = two;
    first.stop().await;
    let status = format!("{}/api/v1/sessions/{id}/join", second.url());
    for _ in 0..500 {
        let request = world.client.post(&status).bearer_auth(&alice).json(&json!({"sdp_offer": OPERATOR_OFFER}));
        let reply = world.send(request).await;
        if reply.status == 409 {
            assert_eq!(reply.detail(), "Robot CF session not established");
            return;
        }
        let leave = status.replace("/join", "/leave");
        world.send(world.client.post(leave).bearer_auth(&alice).json(&json!({}))).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("its peers are still believed to be there");
}

#[tokio::test]
async fn a_session_whose_bridge_takes_long_keeps_no_other_from_being_cut_off() {
    let two = Two::start().await;
    let alice = two.world.log_in(ALICE).await;
    let offer = json!({"sdp_offer": OPERATOR_OFFER});
    let slow = two.register_as(0, "slow").await;
    let others = ["a", "b", "c", "d"];
    for robot in others {
        two.register_as(0, robot).await;
    }
    two.ask(0, &alice, "POST", &format!("/sessions/{slow}/join"), offer).await.ok();
    two.engines[0].set(|script| script.bridge_delay = std::time::Duration::from_secs(600));
    let url = format!("{}/api/v1/sessions/{slow}/bridge-datachannel", two.brokers[0].url());
    let bridging = two.world.client.post(url).bearer_auth(&alice).timeout(std::time::Duration::from_secs(600));
    let bridging = tokio::spawn(bridging.send());
    until("the bridge is being opened", || !two.engines[0].called("bridge").is_empty()).await;
    // All robots come back by way of the other broker.
    for robot in others.iter().chain(&["slow"]) {
        two.register_as(1, robot).await;
    }
    let left = || two.engines[0].peers.lock().unwrap().len();
    until("the old peers of all others are gone", || left() == 2).await;
    assert!(!bridging.is_finished());
    bridging.abort();
}

#[tokio::test]
async fn a_viewer_goes_wherever_its_peer_is() {
    let two = Two::start().await;
    let alice = two.world.log_in(ALICE).await;
    for at in 0..2 {
        let id = two.register_as(at, &format!("dog-{at}")).await;
        let watch = json!({"role": "viewer", "sdp_offer": OPERATOR_OFFER});
        let joined = two.ask(at, &alice, "POST", &format!("/sessions/{id}/join"), watch).await.ok();
        let peer = joined["cf_session_id"].as_str().unwrap().to_owned();
        assert!(two.engines[at].has(&peer));
        // One process removes the silent for all.
        let store = waldo_broker::store::Store::open(&database(&two.world)).await.unwrap();
        assert!(store.remove_viewer(&peer).await.unwrap());
        until("the viewer's peer is gone", || !two.engines[at].has(&peer)).await;
        store.close().await;
    }
}

fn database(world: &World) -> String {
    let file = world.settings.data_dir.join("broker.db");
    world.settings.database_url.clone().unwrap_or_else(|| waldo_broker::store::Store::sqlite_url(&file))
}

#[tokio::test]
async fn brokers_on_several_hosts_that_are_reached_alike_leave_each_other_alone() {
    let mut world = world().await;
    world.broker.take().unwrap().stop().await;
    world.settings.database_url = Some(database(&world));
    // Behind a proxy of its own each, as seen from itself.
    world.settings.node_url = Some("http://127.0.0.1:8450".to_owned());
    let engines = [Arc::new(Scripted::default()), Arc::new(Scripted::default())];
    let first = Broker::start_with(world.settings.clone(), engines[0].clone(), true).await.unwrap();
    world.url = first.url();
    let alice = world.log_in(ALICE).await;
    let id = world.register().await;
    world.join(&alice, &id).await.ok();
    world.bridge(&alice, &id).await.ok();
    let before = world.beat(&id).await.ok();
    assert!(ids(&before).iter().all(Value::is_u64), "{before}");

    let elsewhere = tempfile::tempdir().unwrap();
    let settings = || waldo_broker::Settings { data_dir: elsewhere.path().to_owned(), ..world.settings.clone() };
    let second = Broker::start_with(settings(), engines[1].clone(), true).await.unwrap();
    let robot = json!({"robot_name": "Cat", "robot_id": "cat", "sdp_offer": ROBOT_OFFER});
    let request = world.client.post(format!("{}/api/v1/sessions", second.url())).header("X-Robot-API-Key", KEY);
    let other = world.send(request.json(&robot)).await.ok();
    // Each looks about once a second what became of its peers: the second one notices that its own is gone after the first has looked too.
    let store = waldo_broker::store::Store::open(&database(&world)).await.unwrap();
    let other = (other["session_id"].as_str().unwrap(), other["cf_session_id"].as_str().unwrap());
    store.forget_robot_peer(other.0, other.1).await.unwrap();
    until("the second one has looked", || !engines[1].has(other.1)).await;
    assert_eq!(world.beat(&id).await.ok(), before, "nothing has changed for the first one's");
    assert!(engines[0].called("unbridge").is_empty() && engines[0].called("close").is_empty());
    let place = world.settings.node_url.as_deref().unwrap();
    assert!(store.is_node_url_taken("a third one", place, 0).await.unwrap(), "which is told when it starts");

    // Started again in the same place, a broker knows what was its own, and that it is gone.
    let address = second.address();
    let cat = {
        let request = world.client.post(format!("{}/api/v1/sessions", second.url())).header("X-Robot-API-Key", KEY);
        world.send(request.json(&robot)).await.ok()["session_id"].as_str().unwrap().to_owned()
    };
    second.stop().await;
    let again = waldo_broker::Settings { listen: address, ..settings() };
    let second = Broker::start_with(again, engines[1].clone(), true).await.unwrap();
    assert_eq!(store.session(&cat).await.unwrap().unwrap().robot_peer, None);
    assert!(store.session(&id).await.unwrap().unwrap().robot_peer.is_some());
    second.stop().await;
    first.stop().await;
    store.close().await;
}
