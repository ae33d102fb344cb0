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
        let body = json!({"robot_name": "Dog", "robot_id": "dog", "sdp_offer": ROBOT_OFFER});
        let reply = self.ask(at, KEY, "POST", "/sessions", body).await.ok();
        reply["session_id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn whoever_is_asked_the_broker_with_the_peers_does_it() {
    let two = Two::start().await;
    let alice = two.world.log_in(ALICE).await;
    let id = two.register(0).await;
    let offer = json!({"sdp_offer": OPERATOR_OFFER});
    let joined = two.ask(1, &alice, "POST", &format!("/sessions/{id}/join"), offer).await.ok();
    assert!(two.engines[0].has(joined["cf_session_id"].as_str().unwrap()));
    assert!(two.engines[1].calls.lock().unwrap().is_empty(), "the peers are with the other one");
    let bridged = two.ask(1, &alice, "POST", &format!("/sessions/{id}/bridge-datachannel"), Value::Null).await;
    assert_eq!(bridged.status, 200, "{bridged:?}");
    let beat = two.ask(1, KEY, "POST", &format!("/sessions/{id}/heartbeat"), json!({})).await.ok();
    assert!(ids(&beat).iter().all(Value::is_u64), "{beat}");
    // Refusals come through as they are.
    let stranger = two.ask(1, "rubbish", "POST", &format!("/sessions/{id}/leave"), json!({})).await;
    assert_eq!((stranger.status, stranger.detail().as_str()), (401, "Invalid token: malformed"));
    two.ask(1, &alice, "POST", &format!("/sessions/{id}/leave"), json!({})).await.ok();
    assert_eq!(two.engines[0].called("unbridge").len(), 1);
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
