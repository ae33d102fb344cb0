//! The socket: handshake, limits, slow and rude clients, the end.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};
use waldo_protocol::policy::{Capability, ErrorCode, MetadataRequest, ServerMessage};
use waldo_server::policy::{PolicyAccess, PolicyConfig, PolicyStartError};
use waldo_server::sensors::{CameraConfig, SensorHub};

use super::harness::*;

#[test]
fn defaults_are_those_of_the_original() {
    let config = PolicyConfig::default();
    assert_eq!(config.websocket, Some("0.0.0.0:8765".parse().unwrap()));
    assert_eq!((config.max_message, config.action_timeout), (256 << 20, Duration::from_millis(500)));
    assert_eq!(config.lease, Duration::from_secs(10));
    assert!(matches!(config.access, PolicyAccess::Open) && config.tls.is_none() && !config.apply_non_finite);
}

#[tokio::test]
async fn any_path_and_query_lead_to_the_service() {
    let setup = start();
    for path in ["", "/", "/a/b/c.html", "/?x=1&token=whatever", "/%20"] {
        let mut client = Client::connect(&format!("ws://{}{path}", setup.addr)).await;
        client.ask().await;
        assert_eq!(client.message().await.kind(), "obs_response", "{path}");
    }
}

/// The head of the answer to a handshake with these further lines.
async fn handshake(setup: &Setup, request_line: &str, more: &str) -> (String, TcpStream) {
    let mut stream = TcpStream::connect(setup.addr).await.unwrap();
    let request = format!(
        "{request_line} HTTP/1.1\r\nHost: robot\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(LIMIT, stream.read_u8()).await.unwrap().unwrap());
    }
    (String::from_utf8(head).unwrap().to_ascii_lowercase(), stream)
}

#[tokio::test]
async fn compression_and_subprotocols_are_declined_even_if_they_are_offered() {
    let setup = start();
    let offers = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\
                  Sec-WebSocket-Protocol: chiral, other\r\n";
    let (head, mut stream) = handshake(&setup, "GET /", offers).await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
    assert!(!head.contains("extensions") && !head.contains("protocol:"), "{head}");
    // The request for metadata, masked with zeros.
    stream.write_all(b"\x82\x93\0\0\0\0\x0f\0\0\0\x81\xa4type\xa8metadata").await.unwrap();
    let mut reply = [0; 2];
    timeout(LIMIT, stream.read_exact(&mut reply)).await.unwrap().unwrap();
    assert_eq!(reply[0], 0x82, "not compressed");
}

#[tokio::test]
async fn a_client_may_send_its_first_frame_with_the_handshake() {
    let setup = start();
    let mut stream = TcpStream::connect(setup.addr).await.unwrap();
    let mut request = b"GET / HTTP/1.1\r\nHost: robot\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec();
    request.extend(b"\x82\x93\0\0\0\0\x0f\0\0\0\x81\xa4type\xa8metadata");
    stream.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    while !answer.windows(17).any(|part| part == b"metadata_response") {
        assert_ne!(timeout(LIMIT, stream.read_buf(&mut answer)).await.unwrap().unwrap(), 0);
    }
}

#[tokio::test]
async fn what_is_no_websocket_is_told_so() {
    let setup = start();
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "426"),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n\r\n",
            "400",
        ),
        ("\x16\x03\x01\x02\r\n\r\n", "400"),
    ] {
        let mut stream = TcpStream::connect(setup.addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = [0; 12];
        timeout(LIMIT, stream.read_exact(&mut head)).await.unwrap().unwrap();
        assert_eq!(std::str::from_utf8(&head[9..]).unwrap(), status, "{request}");
    }
}

#[tokio::test]
async fn a_token_is_asked_for_if_there_is_one() {
    let token = "a-token-of-some-length";
    let setup = start_with(Behaviour::default(), |config| config.access = PolicyAccess::Token(token.to_owned()));
    for query in ["", "?token=", "?token=a-token-of-some-lengtH", "?tokens=a-token-of-some-length"] {
        match connect_async(format!("ws://{}/{query}", setup.addr)).await {
            Err(Error::Http(response)) => assert_eq!(response.status(), 401, "{query}"),
            other => panic!("{query}: {other:?}"),
        }
    }
    let mut client = Client::connect(&format!("ws://{}/?a=b&token={token}", setup.addr)).await;
    client.ask().await;
    assert_eq!(client.message().await.kind(), "obs_response");
    assert!(!format!("{:?}", setup.config).contains(token));
}

#[tokio::test]
async fn the_rule_of_the_program_lets_programs_on_this_computer_pass_and_strange_pages_not() {
    let dir = tempfile::tempdir().unwrap();
    let rule = std::sync::Arc::new(waldo_server::http::Access::load(dir.path(), false).unwrap());
    let token = rule.token().unwrap().to_owned();
    let setup = start_with(Behaviour::default(), |config| config.access = PolicyAccess::Rule(rule));
    setup.connect().await;
    let page = "Origin: https://evil.example\r\n";
    let (head, _) = handshake(&setup, "GET /", page).await;
    assert!(head.starts_with("http/1.1 403 "), "{head}");
    let (head, _) = handshake(&setup, &format!("GET /?token={token}"), page).await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
}

#[tokio::test]
async fn one_client_too_many_is_told_what_to_do_until_another_leaves() {
    let setup = start_with(Behaviour::default(), |config| config.max_clients = 2);
    let (first, _second) = (setup.connect().await, setup.connect().await);
    match connect_async(format!("ws://{}", setup.addr)).await {
        Err(Error::Http(response)) => {
            assert_eq!(response.status(), 503);
            let body = String::from_utf8(response.into_body().unwrap()).unwrap();
            assert!(body.contains("end one of them"), "{body}");
        }
        other => panic!("{other:?}"),
    }
    first.close().await;
    setup.until("a place is free", |setup| setup.server.clients().len() == 1).await;
    let mut third = setup.connect().await;
    third.ask().await;
    assert_eq!(third.message().await.kind(), "obs_response");
}

#[tokio::test]
async fn strangers_and_clients_take_no_places_of_each_other() {
    let setup = start_with(Behaviour::default(), |config| {
        config.max_clients = 80;
        config.access = PolicyAccess::Token("a-token".to_owned());
    });
    // Who knows no token, and who does not even ask.
    let mut strangers = Vec::new();
    for n in 0..200 {
        strangers.push(if n % 2 == 0 {
            TcpStream::connect(setup.addr).await.unwrap()
        } else {
            let (head, stream) = handshake(&setup, "GET /?token=guessed", "").await;
            assert!(head.starts_with("http/1.1 401 "), "{head}");
            stream
        });
    }
    let uri = format!("ws://{}/?token=a-token", setup.addr);
    let mut clients = Vec::new();
    for _ in 0..80 {
        clients.push(Client::connect(&uri).await);
    }
    for client in &mut clients {
        client.ask().await;
        assert_eq!(client.message().await.kind(), "obs_response");
    }
    assert!(setup.config.metrics.text().contains("waldo_connections_refused_total 0"));
    drop(strangers);
}

#[tokio::test]
async fn a_message_as_long_as_allowed_is_read_and_a_longer_one_ends_the_connection() {
    let setup = start_with(Behaviour::default(), |config| config.max_message = 1 << 20);
    let request = b"\x12\0\0\0\x81\xa4type\xabobs_request";
    let mut longest = request.to_vec();
    longest.resize(1 << 20, 0);
    let mut client = setup.connect().await;
    client.send_bytes(longest.clone()).await;
    assert_eq!(client.message().await.kind(), "obs_response");
    longest.push(0);
    client.send_bytes(longest.clone()).await;
    let (code, reason) = client.closed().await;
    assert_eq!((code, reason.as_str()), (1009, "a message has more than 1048576 bytes"));
    // However much of it is on its way.
    let mut client = setup.connect().await;
    client.send_bytes(vec![0; 64 << 20]).await;
    assert_eq!(client.closed().await.0, 1009);
    // In pieces it is not allowed either.
    let mut client = setup.connect().await;
    let (begin, end) = longest.split_at(1 << 19);
    let piece = |data: &[u8], opcode, fin| Message::Frame(Frame::message(data.to_vec(), OpCode::Data(opcode), fin));
    client.socket.send(piece(begin, Data::Binary, false)).await.unwrap();
    client.socket.send(piece(end, Data::Continue, true)).await.unwrap();
    assert_eq!(client.closed().await.0, 1009);
}

#[tokio::test]
async fn a_gibibyte_can_be_allowed() {
    // The head of a message of 1 GiB, masked.
    let head = b"\x82\xff\0\0\0\0\x40\0\0\0\0\0\0\0";
    for (max, refused) in [(256 << 20, true), (1 << 30, false)] {
        let setup = start_with(Behaviour::default(), |config| config.max_message = max);
        let (_, mut stream) = handshake(&setup, "GET /", "").await;
        stream.write_all(head).await.unwrap();
        let mut close = [0; 4];
        let answered = timeout(if refused { LIMIT } else { A_WHILE }, stream.read_exact(&mut close)).await;
        assert_eq!(answered.is_ok(), refused);
        if refused {
            assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 1009));
        }
    }
}

#[tokio::test]
async fn a_message_may_come_in_pieces_with_a_ping_between() {
    let setup = start();
    let mut client = setup.connect().await;
    let request = b"\x12\0\0\0\x81\xa4type\xabobs_request";
    let piece = |data: &[u8], opcode, fin| Message::Frame(Frame::message(data.to_vec(), OpCode::Data(opcode), fin));
    client.socket.send(piece(&request[..3], Data::Binary, false)).await.unwrap();
    client.socket.send(Message::Ping("between".into())).await.unwrap();
    client.socket.send(piece(&request[3..9], Data::Continue, false)).await.unwrap();
    client.socket.send(piece(&request[9..], Data::Continue, true)).await.unwrap();
    let pong = timeout(LIMIT, client.socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(pong, Message::Pong("between".into()));
    assert_eq!(client.message().await.kind(), "obs_response");
}

#[tokio::test]
async fn pings_are_answered_while_the_robots_code_is_slow() {
    let slow = Duration::from_millis(500);
    let behaviour = Behaviour { observation: Some(slow), reset: slow, apply: slow, ..Behaviour::default() };
    let setup = start_with(behaviour, |_| {});
    let mut client = setup.connect().await;
    let begin = Instant::now();
    client.ask().await;
    client.reset().await;
    client.act(&[1.0]).await;
    client.socket.send(Message::Ping("there?".into())).await.unwrap();
    let pong = timeout(LIMIT, client.socket.next()).await.unwrap().unwrap().unwrap();
    assert_eq!(pong, Message::Pong("there?".into()));
    assert!(begin.elapsed() < slow, "after {:?}", begin.elapsed());
}

#[tokio::test]
async fn a_farewell_is_answered_and_what_is_no_websocket_protocol_ends_the_connection() {
    let setup = start();
    let mut client = setup.connect().await;
    client.say_goodbye(CloseCode::Away).await;
    assert_eq!(client.closed().await.0, 1001);
    // Clients wait for the end of the socket then.
    let told = Instant::now();
    assert!(timeout(LIMIT, client.socket.next()).await.unwrap().is_none());
    assert!(told.elapsed() < Duration::from_millis(500), "{:?}", told.elapsed());
    let mut client = setup.connect().await;
    let odd = Frame::message("x", OpCode::Data(Data::Continue), true);
    client.socket.send(Message::Frame(odd)).await.unwrap();
    assert_eq!(client.closed().await.0, 1002);
    setup.until("both are forgotten", |setup| setup.server.clients().is_empty()).await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_slows_nobody_and_its_actions_count() {
    let hub = SensorHub::default();
    hub.declare_camera(CameraConfig::new("large", 1440, 2560)).unwrap();
    let setup = start_on(hub, Behaviour::default(), |_| {});
    let mut deaf = setup.connect().await;
    // Eleven megabytes each: more than the kernel takes, less than what the server stops to listen at.
    deaf.ask().await;
    deaf.ask().await;
    deaf.act(&[1.0]).await;
    setup.robot.wait_for_action(&[1.0]);
    let mut other = setup.connect().await;
    for _ in 0..3 {
        other.ask().await;
        assert_eq!(other.message().await.kind(), "obs_response");
    }
    // It goes on asking, and its actions still count; what waits for it is bounded.
    let request = b"\x12\0\0\0\x81\xa4type\xabobs_request".to_vec();
    for _ in 0..1000 {
        deaf.send_bytes(request.clone()).await;
    }
    deaf.act(&[2.0]).await;
    setup.robot.wait_for_action(&[2.0]);
    for _ in 0..4000 {
        deaf.send_bytes(request.clone()).await;
    }
    deaf.act(&[3.0]).await;
    tokio::time::sleep(A_WHILE).await;
    assert!(setup.server.counts().received["obs_request"] < 4200, "it is still listened to");
    assert_eq!(setup.robot.actions().len(), 2);
    // Once it reads, it gets everything it asked for.
    for _ in 0..20 {
        assert_eq!(deaf.frame().await.len() / 1_000_000, 11);
    }
}

#[tokio::test]
async fn a_server_that_stops_says_so_frees_its_port_and_starts_no_more() {
    let setup = start();
    let mut old = setup.connect().await;
    let mut new = setup.extended(caps(&[Capability::Err])).await;
    let running = tokio::spawn({
        let server = setup.server.clone();
        async move { server.serve().await }
    });
    tokio::task::yield_now().await;
    setup.server.stop();
    assert_eq!(old.closed().await, (1001, "the server stops".to_owned()));
    let ServerMessage::Error(error) = new.message().await else { panic!() };
    assert_eq!(error.code, ErrorCode::Shutdown);
    assert_eq!(new.closed().await.0, 1001);
    timeout(LIMIT, running).await.unwrap().unwrap().unwrap();
    timeout(LIMIT, setup.server.stopped()).await.unwrap();
    let _port = std::net::TcpListener::bind(setup.addr).unwrap();
    assert!(matches!(setup.server.start(), Err(PolicyStartError::Stopped)));
}

#[test]
fn run_blocks_until_the_server_is_stopped() {
    let setup = start();
    let server = setup.server.clone();
    let running = std::thread::spawn(move || server.run());
    std::thread::sleep(A_WHILE);
    assert!(!running.is_finished());
    setup.server.stop();
    running.join().unwrap().unwrap();
}

#[tokio::test]
async fn a_busy_port_is_named() {
    let setup = start();
    let config = PolicyConfig { websocket: Some(setup.addr), ..PolicyConfig::default() };
    let other = waldo_server::policy::PolicyServer::new(config, SensorHub::default(), setup.robot.clone());
    let error = other.start().unwrap_err().to_string();
    let holder = format!("port {} is taken by", setup.addr.port());
    assert!(error.contains(&holder) && error.contains(&format!("process {}", std::process::id())), "{error}");
    assert_eq!(other.addr(), None);
}

#[tokio::test]
async fn a_program_that_blocks_its_own_runtime_blocks_no_client() {
    let setup = start();
    let server = setup.server.clone();
    // This test's runtime has one thread, which serves nobody from now on.
    let serving = tokio::spawn(async move { server.serve().await });
    tokio::task::yield_now().await;
    let addr = setup.addr;
    let asked = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut client = Client::connect(&format!("ws://{addr}")).await;
            client.send(|out| MetadataRequest::default().encode(out)).await;
            client.message().await.kind()
        })
    });
    assert_eq!(asked.join().unwrap(), "metadata_response");
    setup.server.stop();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn encrypted_connections_are_served_if_there_is_a_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let settings = waldo_server::config::Settings { data_dir: dir.path().to_owned(), ..Default::default() };
    let tls = waldo_server::tls::ServerTls::new(&settings).unwrap();
    let setup = start_with(Behaviour::default(), |config| config.tls = Some(tls.config()));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(tls.identity().certificate().clone()).unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(setup.addr).await.unwrap();
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    let stream = tokio_rustls::TlsConnector::from(std::sync::Arc::new(client)).connect(name, stream).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async("wss://localhost/", stream).await.unwrap();
    socket.send(Message::Binary(b"\x12\0\0\0\x81\xa4type\xabobs_request".to_vec().into())).await.unwrap();
    let message = timeout(LIMIT, socket.next()).await.unwrap().unwrap().unwrap();
    assert!(message.into_data().len() > 84);
    // Without encryption the port says nothing.
    assert!(connect_async(format!("ws://{}", setup.addr)).await.is_err());
}

#[tokio::test]
async fn clients_that_come_and_go_in_any_way_leave_nothing_behind() {
    let setup = start();
    for n in 0..200u8 {
        let mut client = setup.connect().await;
        match n % 4 {
            0 => client.close().await,
            1 => client.ask().await,
            2 => client.act(&[f32::from(n)]).await,
            _ => {
                let (_, stream) = handshake(&setup, "GET /", "").await;
                stream.set_zero_linger().unwrap();
            }
        }
    }
    setup.until("all are forgotten", |setup| setup.server.clients().is_empty()).await;
    setup.until("nobody controls", |setup| setup.server.holder().is_none()).await;
    let connections = 200 + 50;
    setup.robot.wait_for(connections, |event| *event == Event::Disconnected);
    assert_eq!(setup.robot.count(|event| *event == Event::Connected), connections);
    assert!(setup.config.metrics.text().contains(r#"waldo_clients{wire="policy"} 0"#));
}
