//! Who may come in, and what strangers see.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async};
use waldo_server::field::{FieldAccess, FieldConfig};
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
