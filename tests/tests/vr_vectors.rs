//! The published examples of the VR wire, sent to a running server over TLS.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use waldo_protocol::vr::Mode;
use waldo_server::video::VideoSource;
use waldo_server::vr::VrServer;
use waldo_tests::client::{Client, PATIENCE, connect_tls, trusting};
use waldo_tests::robot::local;
use waldo_tests::vectors::{matches, vector, vectors};

/// A server as the example demands, without a robot.
async fn server(given: &Value) -> (VrServer, tempfile::TempDir) {
    let data = tempfile::TempDir::new().expect("a folder");
    let server = VrServer::new(local(data.path()));
    match &given["video"] {
        Value::Array(names) => {
            let sources = names
                .iter()
                .map(|name| (name.as_str().expect("a name").to_owned(), VideoSource::Callable(Box::new(|| None))));
            server.set_video_sources(Some(sources.collect()));
        }
        Value::String(expected) if expected == "expected" => server.set_video_expected(true),
        _ => {}
    }
    server.start().await.expect("the server starts");
    (server, data)
}

async fn connect(server: &VrServer) -> Client {
    let tls = trusting(server.certificate().expect("a running server")).expect("a certificate");
    Client::connect(server.addr().expect("a running server"), &tls, "/ws").await.expect("a socket")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_a_client_message_gets_its_replies_and_keeps_the_socket() {
    let examples = vectors("c2s").expect("examples");
    assert_eq!(examples.len(), 37);
    for example in examples {
        let name = example["name"].as_str().expect("a name");
        let (server, _data) = server(&example["given"]).await;
        let mut client = connect(&server).await;
        if let Some(hex) = example["hex"].as_str() {
            let bytes = (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex"));
            client.send_binary(bytes.collect()).await.expect("sent");
        } else if let Some(text) = example["message"].as_str() {
            client.send(text.to_owned()).await.expect("sent");
        } else {
            client.send(example["message"].to_string()).await.expect("sent");
        }
        let expect = &example["expect"];
        let mut replies = Vec::new();
        // Offers are built off the receive path: wait for them by name.
        if let Some(offer @ ("webrtc-offer" | "control-offer")) = expect["replies"][0]["type"].as_str() {
            replies.push(client.receive_type(offer).await.expect("an offer"));
        }
        replies.extend(client.receive_all().await.unwrap_or_else(|e| panic!("{name}: {e:#}")));
        if let Some(types) = expect["replies_types"].as_array() {
            let got: Vec<_> = replies.iter().map(|r| r["type"].clone()).collect();
            assert_eq!(&got, types, "{name}");
        } else {
            assert!(matches(&json!(replies), &expect["replies"]), "{name}: {replies:?}");
        }
        assert_eq!(server.frame().is_some(), expect["pose"] == "accepted", "{name}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_greeting_comes_in_the_order_of_the_examples() {
    let data = tempfile::TempDir::new().expect("a folder");
    let server = VrServer::new(local(data.path()));
    server.start().await.expect("the server starts");
    let mut nothing_set = connect(&server).await;
    assert_eq!(nothing_set.receive_all().await.expect("replies"), Vec::<Value>::new());

    let example = vector("connect_greeting_order").expect("an example");
    let (given, expect) = (&example["given"], &example["expect"]);
    server.set_mode(given["mode"].as_str().and_then(Mode::from_name));
    server.set_episode(given["episode"].as_u64());
    server.set_tracking(false);
    let mut publisher = connect(&server).await;
    publisher.send(json!({"type": "hud", "value": given["hud"]}).to_string()).await.expect("sent");
    publisher.receive_all().await.expect("the hud has arrived");
    let mut client = connect(&server).await;
    assert_eq!(json!(client.receive_all().await.expect("replies")), expect["replies"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offered_subprotocol_is_not_selected_and_the_socket_opens() {
    let example = vector("connect_subprotocol_offered").expect("an example");
    let expect = &example["expect"];
    assert_eq!((&expect["accepted"], &expect["selected_subprotocol"]), (&json!(true), &Value::Null));
    let (server, _data) = server(&Value::Null).await;
    let tls = trusting(server.certificate().expect("a running server")).expect("a certificate");
    // By hand: the client library takes a server that selects none for a broken one.
    let mut stream = connect_tls(server.addr().expect("a running server"), &tls).await.expect("TLS");
    let offered: Vec<_> = example["given"]["offer_subprotocols"].as_array().expect("a list").iter().collect();
    assert_eq!(offered, ["x"]);
    let request = "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: d2FsZG8gc3VicHJvdG9jb2w=\r\nSec-WebSocket-Protocol: x\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    let read = async {
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.expect("an answer"));
        }
    };
    timeout(PATIENCE, read).await.expect("an answer in time");
    let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(!head.contains("sec-websocket-protocol"), "{head}");
    server.stop().await;
}
