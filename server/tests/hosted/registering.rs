//! How a robot registers, beats, and comes back.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use axum::http::{Method, StatusCode};
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use waldo_server::config::HostedKind;
use waldo_server::hosted::HostedStatus;

use crate::broker::{Broker, KEY, ids};
use crate::stage::{Stage, in_time, robot, settings, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_asks_for_servers_offers_picture_voice_and_channels_and_then_beats() {
    let stage = Stage::new(HostedKind::Arm).await;
    until("a heartbeat", || stage.broker.count(|call| call.is_beat()) > 2).await;
    let calls = stage.broker.calls();
    assert_eq!((&calls[0].method, calls[0].path.as_str()), (&Method::GET, "/turn-credentials"));
    assert_eq!(calls[1].method, Method::POST);
    assert!(calls[2..].iter().all(|call| call.path == "/session-1/heartbeat"), "{calls:?}");
    assert!(calls.iter().all(|call| call.json && call.key.as_deref() == Some(KEY)));
    let registered = &calls[1].body;
    assert_eq!((&registered["robot_name"], &registered["robot_type"]), (&json!("tester"), &json!("arm")));
    assert_eq!((&registered["transport"], &registered["twist_units"]), (&json!("cloudflare"), &json!("si")));
    let sdp = registered["sdp_offer"].as_str().unwrap();
    let sections: Vec<&str> = sdp.split("\r\nm=").skip(1).collect();
    let kinds: Vec<&str> = sections.iter().map(|section| section.split(' ').next().unwrap()).collect();
    assert_eq!(kinds, ["video", "audio", "application"]);
    assert!(sections[1].contains("a=recvonly") && sections[0].contains("a=sendonly"), "{sdp}");
    assert_eq!(sdp.lines().filter(|line| line.starts_with("a=group:BUNDLE 0 1 2")).count(), 1, "{sdp}");
    assert!(sections[0].contains("H264/90000") && sections[0].contains("a=candidate:"));
    let track = waldo_protocol::hosted::published_track(sdp, waldo_protocol::hosted::MediaKind::Video);
    assert_eq!(track.unwrap().mid, "0");
    let beat = &calls.last().unwrap().body;
    assert_eq!(beat["safety_state"], json!("nominal"));
    assert!(beat["video_bitrate_kbps"].is_number(), "{beat}");
    assert!(stage.sfu.first_is_open().await);
    stage.waldo.stop().await;
    let last = stage.broker.calls().pop().unwrap();
    assert_eq!((last.method, last.path.as_str()), (Method::DELETE, "/session-1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_five_refusals_in_a_row_the_robot_registers_anew() {
    let mut stage = Stage::with(HostedKind::Arm, |settings| settings.id = "r1".into()).await;
    stage.broker.announce("resume/1");
    until("a heartbeat", || stage.broker.count(|call| call.is_beat()) > 0).await;
    stage.broker.answer_beats(StatusCode::NOT_FOUND, json!({ "detail": "Session not found" }));
    let mut next = stage.broker.sfu().await;
    stage.broker.answer_beats(StatusCode::OK, crate::broker::nobody());
    next.connected().await;
    let registered: Vec<Value> = stage
        .broker
        .calls()
        .iter()
        .filter(|c| c.method == Method::POST && !c.is_beat())
        .map(|c| c.body.clone())
        .collect();
    assert_eq!(registered.len(), 2);
    assert_eq!((&registered[0]["resume_of"], &registered[1]["resume_of"]), (&Value::Null, &json!("session-1")));
    assert_eq!(registered[1]["robot_id"], json!("r1"));
    let refused = stage.broker.calls().iter().filter(|call| call.path == "/session-1/heartbeat").count();
    assert!(refused >= 6, "{refused}");
    until("heartbeats", || stage.broker.count(|call| call.path == "/session-2/heartbeat") > 1).await;
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_ends_is_made_anew_and_one_the_broker_refuses_is_tried_again() {
    let mut stage = Stage::new(HostedKind::Arm).await;
    stage.broker.refuse(Some(StatusCode::BAD_GATEWAY));
    let registrations = |stage: &Stage| stage.broker.count(|call| call.method == Method::POST && call.path.len() < 2);
    stage.sfu.close().await;
    until("another try", || registrations(&stage) >= 2).await;
    assert!(matches!(&*stage.waldo.hosted().unwrap().status().borrow(), HostedStatus::Dialing(Some(_))));
    stage.broker.refuse(None);
    let mut next = stage.broker.sfu().await;
    next.connected().await;
    let mut status = stage.waldo.hosted().unwrap().status();
    let registered = status.wait_for(|status| matches!(status, HostedStatus::Registered(_)));
    in_time("registered", registered).await.unwrap();
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_are_opened_once_and_anew_when_their_numbers_change() {
    let stage = Stage::new(HostedKind::Twist).await;
    stage.operator().await;
    // Without a word in between.
    let operator = stage.operator_at(24).await;
    operator.meets().await;
    assert!(stage.sfu.first_is_open().await);
    // Half of them, as older brokers have it.
    let again = stage.sfu.operator(32).await;
    stage.broker.answer_beats(StatusCode::OK, ids([Some(32), Some(33), Some(34), None]));
    again.meets().await;
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_without_a_broker_goes_on_trying_and_ends_at_once_when_told_to() {
    let broker = Broker::start().await;
    broker.refuse(Some(StatusCode::UNAUTHORIZED));
    let data = tempfile::tempdir().unwrap();
    let waldo = waldo_server::serve::Waldo::start(settings(&broker, data.path(), HostedKind::Arm, |_| ()), robot())
        .await
        .unwrap();
    let mut status = waldo.hosted().unwrap().status();
    let refused = status.wait_for(|status| matches!(status, HostedStatus::Dialing(Some(why)) if why.contains("key")));
    in_time("a refusal", refused).await.unwrap();
    in_time("the end", waldo.stop()).await;
}

/// A listener with TLS and a certificate of its own before the broker; the certificate, for those who shall trust it.
async fn with_tls(broker: &Broker) -> (SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (addr, inside) = (listener.local_addr().unwrap(), broker.addr);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let (Ok(mut outer), Ok(mut inner)) =
                    (acceptor.accept(socket).await, tokio::net::TcpStream::connect(inside).await)
                else {
                    return;
                };
                let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
            });
        }
    });
    (addr, made.cert.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_a_certificate_of_its_own_is_trusted_by_who_is_told_to_and_by_nobody_else() {
    let (mut broker, data) = (Broker::start().await, tempfile::tempdir().unwrap());
    let (addr, pem) = with_tls(&broker).await;
    let file = data.path().join("broker.pem");
    std::fs::write(&file, pem).unwrap();
    let start = async |ca: Option<PathBuf>| {
        let settings = settings(&broker, data.path(), HostedKind::Arm, |hosted| {
            hosted.broker = format!("https://localhost:{}", addr.port());
            hosted.ca = ca;
        });
        waldo_server::serve::Waldo::start(settings, robot()).await.unwrap()
    };
    let stranger = start(None).await;
    let mut status = stranger.hosted().unwrap().status();
    let refused =
        status.wait_for(|status| matches!(status, HostedStatus::Dialing(Some(why)) if why.contains("certificate")));
    in_time("a refusal", refused).await.unwrap();
    stranger.stop().await;
    assert!(broker.calls().is_empty(), "nobody it does not trust sees its key");
    let waldo = start(Some(file)).await;
    let mut sfu = broker.sfu().await;
    sfu.connected().await;
    assert!(broker.calls().iter().all(|call| call.key.as_deref() == Some(KEY)));
    waldo.stop().await;
}
