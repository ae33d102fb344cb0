//! Rate limits, enforced by default.

use serde_json::{Value, json};

use crate::client::{ALICE, KEY, OPERATOR_OFFER, world_with};

#[tokio::test]
async fn who_asks_too_often_waits_and_nobody_else_does() {
    let world = world_with(|settings| settings.enforce_rate_limits = true).await;
    let alice = world.log_in(ALICE).await;
    let path = "/sessions/turn-credentials";
    for _ in 0..6 {
        world.robot(KEY, "GET", path, Value::Null).await.ok();
    }
    let reply = world.robot(KEY, "GET", path, Value::Null).await;
    assert_eq!((reply.status, reply.detail().as_str()), (429, "Rate limit exceeded"));
    let wait: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=10).contains(&wait), "{wait}");
    world.operator(&alice, "GET", path, Value::Null).await.ok();
    let id = world.register().await;
    let join = format!("/sessions/{id}/join");
    let statuses: Vec<_> = {
        let mut statuses = Vec::new();
        for _ in 0..14 {
            let body = json!({"sdp_offer": OPERATOR_OFFER});
            statuses.push(world.operator(&alice, "POST", &join, body).await.status);
        }
        statuses
    };
    assert_eq!(statuses[..12], [200; 12]);
    assert_eq!(statuses[12..], [429; 2]);
    for _ in 0..100 {
        world.beat(&id).await.ok();
    }
    let metrics = world.send(world.request("GET", "/metrics")).await.text;
    let hits = "teleop_rate_limit_hits_total{route_class=\"session_join\",enforced=\"true\"} 2";
    assert!(metrics.contains(hits), "{metrics}");
}

#[tokio::test]
async fn passwords_cannot_be_tried_without_end() {
    let world = world_with(|settings| settings.enforce_rate_limits = true).await;
    let mut last = 0;
    for attempt in 0..30 {
        let body = json!({"email": ALICE, "password": "wrong password"});
        // Headers that anybody can write do not make another caller of it.
        let request = world.request("POST", "/api/v1/auth/login").header("X-Forwarded-For", format!("9.9.9.{last}"));
        let request = request.header("X-Robot-API-Key", format!("dtk_live_{attempt:040x}"));
        let request = request.header("Authorization", format!("Bearer {attempt}"));
        last = world.send(request.json(&body)).await.status;
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn limits_that_are_off_only_count() {
    let world = world_with(|settings| settings.enforce_rate_limits = false).await;
    for _ in 0..8 {
        world.robot(KEY, "GET", "/sessions/turn-credentials", Value::Null).await.ok();
    }
    let metrics = world.send(world.request("GET", "/metrics")).await.text;
    assert!(metrics.contains("{route_class=\"turn_credentials\",enforced=\"false\"} 2"), "{metrics}");
}
