//! Robots and operators on a LiveKit server: the broker tells them where it is, and what they may do there.

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde_json::{Value, json};
use waldo_broker::LivekitSettings;

use crate::client::{ALICE, BOB, KEY, World, world_with};
use crate::vectors::vector;

const API_KEY: &str = "APIkey";
const SECRET: &str = "secret";

/// A broker that knows a LiveKit server.
pub(crate) async fn world() -> World {
    let (url, api_key, api_secret) = ("wss://lk.example.org".to_owned(), API_KEY.to_owned(), SECRET.to_owned());
    world_with(|settings| settings.livekit = Some(LivekitSettings { url, api_key, api_secret })).await
}

/// What a token says, as the LiveKit server reads it.
fn claims(access: &Value) -> Value {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[API_KEY]);
    let key = DecodingKey::from_secret(SECRET.as_bytes());
    decode(access["token"].as_str().unwrap(), &key, &validation).unwrap().claims
}

/// A vector's text with the session that the broker made up in place of its own.
fn expected(vector: &Value, session: &str) -> Value {
    let own = vector["message"]["session_id"].as_str().unwrap();
    serde_json::from_str(&vector["expect"].to_string().replace(own, session)).unwrap()
}

async fn register(world: &World, name: &str) -> Value {
    world.robot(KEY, "POST", "/sessions", json!({"robot_name": name, "transport": "livekit"})).await.ok()
}

#[tokio::test]
async fn a_robot_may_publish_in_its_room_and_in_no_other() {
    let (world, vector) = (world().await, vector("livekit_robot"));
    let reply = register(&world, vector["message"]["robot_name"].as_str().unwrap()).await;
    let expected = expected(&vector, reply["session_id"].as_str().unwrap());
    let mut members = expected["json"].clone();
    members["token"] = reply["token"].clone();
    assert_eq!(reply, members);
    let claims = claims(&reply);
    for member in ["sub", "name", "video"] {
        assert_eq!(claims[member], expected["claims"][member], "{member}");
    }
    let life = claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap();
    assert_eq!(Some(life), expected["claims"]["exp_minus_nbf"].as_i64());
}

#[tokio::test]
async fn operators_send_data_and_no_pictures_and_viewers_have_a_name_of_their_own() {
    let (world, vector) = (world().await, vector("livekit_operator"));
    let id = register(&world, "Dog").await["session_id"].as_str().unwrap().to_owned();
    let expected = expected(&vector, &id);
    let alice = world.log_in(ALICE).await;
    let joined = world.join(&alice, &id).await.ok();
    for (member, wanted) in expected["json_subset"].as_object().unwrap() {
        assert_eq!(joined[member], *wanted, "{joined}");
    }
    for (member, wanted) in expected["claims"].as_object().unwrap() {
        assert_eq!(claims(&joined)[member], *wanted, "{member}");
    }

    let watching = json!({"role": "viewer"});
    let viewer = world.operator(&alice, "POST", &format!("/sessions/{id}/join"), watching).await.ok();
    assert_eq!((&viewer["role"], &viewer["transport"]), (&json!("viewer"), &json!("livekit")));
    let claims = claims(&viewer);
    assert!(claims["sub"].as_str().unwrap().starts_with(&format!("viewer-{ALICE}-")), "{claims}");
    assert_eq!(claims["video"]["canPublish"], false);
}

#[tokio::test]
async fn rooms_are_of_one_tenant_and_a_fresh_token_is_not_renewed() {
    let world = world().await;
    let id = register(&world, "Dog").await["session_id"].as_str().unwrap().to_owned();
    let bob = world.log_in(BOB).await;
    for role in ["operator", "viewer"] {
        let reply = world.operator(&bob, "POST", &format!("/sessions/{id}/join"), json!({ "role": role })).await;
        assert_eq!(reply.status, 404, "{role}: {reply:?}");
    }
    assert_eq!(world.beat(&id).await.ok(), json!({"ack": true}));
}
