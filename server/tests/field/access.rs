//! Who may come in, and what strangers see.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async};
use waldo_server::field::{FieldAccess, FieldConfig, FieldRights, FieldTokens};
use waldo_server::http::Access;

use super::harness::*;

/// A server with the one rule, and its token. A page of another origin is a stranger even on this computer.
fn closed() -> (Setup, String, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let access = Access::load(data.path(), false).unwrap();
    let token = access.token().unwrap().to_owned();
    let access = FieldAccess::Rule(Arc::new(access));
    (start_with(FieldConfig { access, ..FieldConfig::default() }), token, data)
}

async fn stranger(setup: &Setup, query: &str) -> Client {
    let mut request = format!("ws://{}/{query}", setup.addr()).into_client_request().unwrap();
    request.headers_mut().insert("origin", "https://evil.example".parse().unwrap());
    let stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, setup.addr().port())).await.unwrap();
    let (socket, _): (WebSocketStream<MaybeTlsStream<_>>, _) =
        client_async(request, MaybeTlsStream::Plain(stream)).await.unwrap();
    Client { socket, ack: json!(null) }
}

#[tokio::test]
async fn a_stranger_sees_nothing_before_the_token() {
    let (setup, token, _data) = closed();
    let mut client = stranger(&setup, "").await;
    assert!(timeout(A_WHILE, client.scene()).await.is_err());
    client.send("hello", json!({"role": "spectator", "token": token})).await;
    assert_eq!(client.reply().await["type"], "hello_ack");
    client.scene().await;
    // A user of this computer needs none.
    setup.user("amy").await;
}

#[tokio::test]
async fn the_token_may_stand_in_the_address() {
    let (setup, token, _data) = closed();
    let mut client = stranger(&setup, &format!("?token={token}")).await;
    client.scene().await;
}

#[tokio::test]
async fn a_wrong_token_ends_it_with_the_reason() {
    let (setup, token, _data) = closed();
    for hello in [json!({"role": "spectator"}), json!({"role": "spectator", "token": format!("{token}x")})] {
        let mut client = stranger(&setup, "?token=guess").await;
        client.send("hello", hello).await;
        assert_eq!(client.refusal().await, "unauthorized");
        assert_eq!(client.closed().await, (4401, "unauthorized".to_owned()));
    }
}

#[tokio::test]
async fn a_stranger_who_never_says_hello_is_hung_up_on() {
    let (setup, _, _data) = closed();
    let mut client = stranger(&setup, "").await;
    // Talking does not help.
    for _ in 0..18 {
        client.send("heartbeat", json!({})).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(timeout(LIMIT / 2, client.closed()).await.unwrap().0, 4401);
}

#[tokio::test]
async fn a_stranger_may_not_send_much() {
    let (setup, _, _data) = closed();
    let mut client = stranger(&setup, "").await;
    client.send_text("x".repeat(17 << 10)).await;
    assert_eq!(client.closed().await.0, 1009);
}

/// Tokens with rights, on top of the one rule.
fn with_tokens() -> (Setup, tempfile::TempDir) {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("tokens");
    std::fs::write(&file, "for-the-rig-00000 publish\nfor-the-hands-000 control\nfor-the-eyes-0000 view\n").unwrap();
    let access = FieldAccess::Rule(Arc::new(Access::load(data.path(), false).unwrap()));
    let tokens = FieldTokens::read(&file).unwrap();
    (start_with(FieldConfig { access, tokens, ..FieldConfig::default() }), data)
}

#[tokio::test]
async fn each_token_has_its_rights_and_whoever_has_one_may_watch() {
    let (setup, _data) = with_tokens();
    let roles = [json!({"character_mode": "two-cr"}), json!({"role": "publisher"}), json!({"role": "spectator"})];
    for (token, may) in [
        ("for-the-rig-00000", [false, true, true]),
        ("for-the-hands-000", [true, false, true]),
        ("for-the-eyes-0000", [false, false, true]),
    ] {
        for (role, may) in roles.iter().zip(may) {
            for in_address in [true, false] {
                let query = if in_address { format!("?token={token}") } else { String::new() };
                let mut client = stranger(&setup, &query).await;
                let mut hello = role.clone();
                if !in_address {
                    hello["token"] = json!(token);
                }
                client.send("hello", hello).await;
                let reply = client.reply().await;
                if may {
                    assert_eq!(reply["type"], "hello_ack", "{token} {role}");
                } else {
                    let reason = reply["payload"]["reason"].as_str().unwrap();
                    assert!(reason.starts_with("unauthorized: "), "{token} {role}: {reply}");
                    // Who may watch goes on watching.
                    client.scene().await;
                }
            }
        }
    }
    // A user of this computer needs none, but is what their token says if they show one.
    setup.user("amy").await;
    let mut eyes = setup.connect().await;
    eyes.send("hello", json!({"character_mode": "two-cr", "token": "for-the-eyes-0000"})).await;
    assert!(eyes.refusal().await.starts_with("unauthorized: "));
}

#[tokio::test]
async fn a_wrong_token_is_refused_to_people_of_this_computer_too() {
    let (setup, _, _data) = closed();
    let mut client = setup.connect().await;
    client.send("hello", json!({"role": "spectator", "token": "of another robot"})).await;
    assert_eq!(client.refusal().await, "unauthorized");
    assert_eq!(client.closed().await.0, 4401);
}

#[tokio::test]
async fn where_everybody_may_come_tokens_make_that_a_choice() {
    let mut tokens = FieldTokens::default();
    tokens.add("for-the-eyes-0000", FieldRights::VIEW);
    let setup = start_with(FieldConfig { tokens, ..FieldConfig::default() });
    let mut client = setup.connect().await;
    assert!(timeout(A_WHILE, client.scene()).await.is_err());
    client.send("hello", json!({"role": "spectator", "token": "for-the-eyes-0000"})).await;
    assert_eq!(client.reply().await["type"], "hello_ack");
}

#[tokio::test]
async fn pages_of_listed_origins_are_as_our_own_and_others_stay_out_even_with_a_token() {
    let data = tempfile::tempdir().unwrap();
    let access = Access::load(data.path(), false).unwrap();
    let token = access.token().unwrap().to_owned();
    let access = FieldAccess::Rule(Arc::new(access));
    let origins = vec!["https://evil.example".to_owned()];
    let setup = start_with(FieldConfig { access, origins, ..FieldConfig::default() });
    stranger(&setup, "").await.scene().await;
    let mut request = format!("ws://{}/?token={token}", setup.addr()).into_client_request().unwrap();
    request.headers_mut().insert("origin", "https://other.example".parse().unwrap());
    let stream = tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, setup.addr().port())).await.unwrap();
    let refused = client_async(request, stream).await.unwrap_err().to_string();
    assert!(refused.contains("403"), "{refused}");
    // What is no page has no origin.
    setup.user("amy").await;
}
