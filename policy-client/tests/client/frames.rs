//! Messages on the socket: long, cut up, refused, encrypted, through a proxy.

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use waldo_policy_client::{Error, Lost, Options, PolicyClient};
use waldo_protocol::policy::{ClientMessage, ObservationKind};

use crate::server::{Answer, DEPTH, Kind, Server, camera_observation, eventually, observation_of};
use crate::{connect, connect_with, options, plain};

#[tokio::test]
async fn an_observation_of_many_megabytes_is_seen_without_a_copy() {
    let (server, client) = connect(Kind::Extended).await;
    let (height, width) = (720, 1280);
    let pixels: Vec<u8> = (0..height * width * 3).map(|i| (i % 251) as u8).collect();
    let metres: Vec<f32> = (0..height * width).map(|i| i as f32).collect();
    let sent = (pixels.clone(), metres.clone());
    server.on(move |message| match message {
        ClientMessage::ObsRequest(request) => {
            let (pixels, metres) = &sent;
            let kind = ObservationKind::Requested;
            let size = [height, width];
            Answer::Frames(vec![camera_observation(1.0, size, pixels, Some(metres), None, kind, request.id)])
        }
        _ => Answer::Usual,
    });
    for _ in 0..3 {
        let observation = client.observation().await.unwrap();
        let camera = observation.camera("cam").unwrap();
        let image = camera.image().unwrap();
        assert_eq!(image.dim(), (height, width, 3));
        assert!(image.as_slice().unwrap() == pixels);
        let depth = camera.depth().unwrap().unwrap();
        assert!(depth.is_view(), "the payload lies aligned");
        assert!(depth.as_slice().unwrap() == metres);
        let frame = observation.frame().as_ptr_range();
        assert!(frame.contains(&image.as_ptr()) && frame.contains(&depth.as_ptr().cast()));
        assert!(frame.contains(&camera.image_bytes().as_ptr()));
        assert_eq!(camera.extrinsics()[[0, 3]], 0.25);
        assert_eq!(observation.proprio("joint_pos").unwrap().values()[..], [1.0, -2.0]);
    }
}

#[tokio::test]
async fn a_camera_that_failed_is_an_empty_picture() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    server.on(|message| match message {
        ClientMessage::ObsRequest(_) => {
            let kind = ObservationKind::Requested;
            Answer::Frames(vec![camera_observation(1.0, [0, 0], &[], Some(&[]), None, kind, None)])
        }
        _ => Answer::Usual,
    });
    let observation = client.observation().await.unwrap();
    let camera = observation.camera("cam").unwrap();
    assert_eq!((camera.shape(), camera.image().unwrap().len()), (&[0, 0, 3][..], 0));
    assert_eq!(camera.depth().unwrap().unwrap().len(), 0);
}

#[tokio::test]
async fn a_picture_outlives_the_client() {
    let (_server, client) = connect(Kind::Extended).await;
    let picture = client.observation().await.unwrap().camera("cam").unwrap().image_bytes();
    client.close().await;
    drop(client);
    assert_eq!(picture[..], crate::server::PIXELS);
}

#[tokio::test]
async fn a_message_in_pieces_arrives_whole_and_pings_between_them_are_answered() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    client.generation().await.unwrap();
    server.on(|message| match message {
        ClientMessage::ObsRequest(_) => {
            let frame = observation_of(9.0, ObservationKind::Requested, None);
            let (first, rest) = frame.split_at(3);
            let (second, third) = rest.split_at(200);
            let piece =
                |piece: &[u8], kind, last| Message::Frame(Frame::message(piece.to_vec(), OpCode::Data(kind), last));
            Answer::Messages(vec![
                Message::Ping(vec![1].into()),
                piece(first, Data::Binary, false),
                Message::Ping(vec![2; 125].into()),
                piece(second, Data::Continue, false),
                piece(&[], Data::Continue, false),
                piece(third, Data::Continue, true),
            ])
        }
        _ => Answer::Usual,
    });
    let observation = client.observation().await.unwrap();
    assert_eq!(observation.timestamp(), 9.0);
    assert_eq!(observation.camera("cam").unwrap().depth().unwrap().unwrap().as_slice().unwrap(), DEPTH);
    eventually("both pongs", || server.get(|state| state.pongs) == 2).await;
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_the_connection_with_1009() {
    let (server, client) = connect_with(Kind::Decoupled, Options { max_message: 300, ..plain() }).await;
    let error = client.reset().await.unwrap_err();
    assert!(matches!(error, Error::Lost(Lost::TooLong { limit: 300, .. })), "{error}");
    eventually("the code", || server.get(|state| state.closes.contains(&1009))).await;
}

#[tokio::test]
async fn text_is_no_message() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    server.on(|_| Answer::Messages(vec![Message::text("hello")]));
    let error = client.reset().await.unwrap_err();
    assert!(matches!(&error, Error::Lost(Lost::Protocol(problem)) if problem.contains("text")), "{error}");
}

#[tokio::test]
async fn path_and_query_reach_the_server_and_no_extension_of_websockets_is_asked_for() {
    let server = Server::start(Kind::Extended).await;
    let uri = format!("ws://{}/any/path?robot=arm-1&token=secret", server.addr);
    PolicyClient::connect(&uri, options()).await.unwrap();
    let (target, headers) = server.get(|state| state.upgrades[0].clone());
    assert_eq!(target, "/any/path?robot=arm-1&token=secret");
    for name in ["sec-websocket-extensions", "sec-websocket-protocol", "origin"] {
        assert!(!headers.contains(&name.to_owned()), "{headers:?}");
    }
}

#[tokio::test]
async fn what_is_no_policy_server_is_said_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("ws://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    let options = Options { connect_timeout: Some(Duration::from_secs(1)), ..options() };
    let error = PolicyClient::connect(&uri, options).await.unwrap_err();
    assert!(matches!(&error, Error::NoServer { last, .. } if last.contains("404")), "{error}");
}

#[tokio::test]
async fn wss_needs_to_know_whom_to_trust() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key.into())
        .unwrap();
    let tls = TlsAcceptor::from(Arc::new(config));
    let server = Server::start_at("127.0.0.1:0".parse().unwrap(), Kind::Extended, Some(tls)).await;
    let uri = format!("wss://localhost:{}", server.addr.port());

    assert!(matches!(PolicyClient::connect(&uri, options()).await, Err(Error::Options(_))));
    let trusting = |trusted: Vec<rustls::pki_types::CertificateDer<'static>>| {
        let mut roots = rustls::RootCertStore::empty();
        trusted.into_iter().for_each(|certificate| roots.add(certificate).unwrap());
        let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Options { tls: Some(Arc::new(config)), ..options() }
    };
    let error = PolicyClient::connect(&uri, trusting(Vec::new())).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { reason, .. } if reason.contains("certificate")), "{error}");
    let client = PolicyClient::connect(&uri, trusting(vec![certified.cert.der().clone()])).await.unwrap();
    client.reset().await.unwrap();
    client.start_obs_stream(50.0).unwrap();
    client.newer_obs(5, Duration::from_secs(20)).await.unwrap();
}

#[tokio::test]
async fn a_proxy_is_used_if_it_is_configured() {
    let server = Server::start(Kind::Extended).await;
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = proxy.local_addr().unwrap().to_string();
    let asked = tokio::spawn(async move {
        let (mut client, _) = proxy.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
        let mut server = TcpStream::connect(&target).await.unwrap();
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        target
    });
    let client = PolicyClient::connect(&server.uri(), Options { proxy: Some(address), ..options() }).await.unwrap();
    client.reset().await.unwrap();
    assert_eq!(asked.await.unwrap(), server.addr.to_string());
}
