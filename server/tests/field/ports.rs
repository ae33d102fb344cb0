//! The ports that lead to the field, and the stop that holds it.

use std::sync::Arc;

use serde_json::json;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::{WebSocketStream, client_async, connect_async};
use waldo_protocol::field::{ClientMessage, Hello, Join};
use waldo_protocol::vr::{Role, Stop};
use waldo_server::clock;
use waldo_server::config::Settings;
use waldo_server::control::SourceId;
use waldo_server::field::{FieldConfig, FieldServer, MultiArmPassThroughBackend};
use waldo_server::tls::ServerTls;
use waldo_server::vr::VrServer;

use super::harness::*;

fn settings(data: &tempfile::TempDir) -> Settings {
    Settings {
        bind: [127, 0, 0, 1].into(),
        port: 0,
        data_dir: data.path().to_owned(),
        mdns: false,
        ..Settings::default()
    }
}

fn trusting(certificate: rustls_pki_types::CertificateDer<'static>) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// A hello over wss is answered.
async fn is_greeted(addr: std::net::SocketAddr, tls: &TlsConnector, path: &str) -> Result<(), Error> {
    use futures_util::{SinkExt, StreamExt};
    let stream = tls.connect(addr.ip().into(), TcpStream::connect(addr).await.unwrap()).await.unwrap();
    let (mut socket, _): (WebSocketStream<_>, _) = client_async(format!("wss://{addr}{path}"), stream).await?;
    let hello = ClientMessage::Hello(Hello::new(Join::Spectator)).encode();
    socket.send(hello.into()).await?;
    loop {
        let message = timeout(LIMIT, socket.next()).await.expect("an answer in time").expect("an answer")?;
        if message.to_text()?.contains("hello_ack") {
            return Ok(());
        }
    }
}

#[tokio::test]
async fn the_field_is_below_the_page_as_soon_as_it_has_started() {
    let data = tempfile::tempdir().unwrap();
    let page = VrServer::new(settings(&data));
    let field = FieldServer::new(FieldConfig { listen: None, ..FieldConfig::default() });
    page.set_sockets(Some(field.routes()));
    page.start().await.unwrap();
    let (addr, tls) = (page.addr().unwrap(), trusting(page.certificate().unwrap()));
    let early = is_greeted(addr, &tls, "/field").await.unwrap_err();
    assert!(matches!(&early, Error::Http(response) if response.status() == 503), "{early}");
    field.start(Box::new(MultiArmPassThroughBackend::new())).unwrap();
    assert_eq!(field.addr(), None);
    is_greeted(addr, &tls, "/field").await.unwrap();
    let elsewhere = is_greeted(addr, &tls, "/fields").await.unwrap_err();
    assert!(matches!(&elsewhere, Error::Http(response) if response.status() == 403), "{elsewhere}");
    field.stop();
    field.stopped().await;
    page.stop().await;
}

#[tokio::test]
async fn a_port_of_its_own_speaks_ws_or_wss_on_every_path() {
    let setup = start();
    for path in ["", "/", "/any/path?with=query"] {
        connect_async(format!("ws://{}{path}", setup.addr())).await.unwrap();
    }
    let data = tempfile::tempdir().unwrap();
    let tls = ServerTls::new(&settings(&data)).unwrap();
    let setup = start_with(FieldConfig { tls: Some(tls.config()), ..FieldConfig::default() });
    let trusting = trusting(tls.identity().certificate().clone());
    is_greeted(setup.addr(), &trusting, "/x").await.unwrap();
    assert!(connect_async(format!("ws://{}", setup.addr())).await.is_err());
}

#[tokio::test]
async fn a_stop_holds_the_field_and_grips_are_released_before_it_goes_on() {
    let data = tempfile::tempdir().unwrap();
    let arbiter = VrServer::new(settings(&data)).attach_control();
    let view = arbiter.lock().unwrap().stop_view();
    let setup = start_with(FieldConfig { stop: Some(view), ..FieldConfig::default() });
    let stop = |clear| {
        let by = (SourceId::person(1), Role::Viewer);
        assert!(arbiter.lock().unwrap().on_stop(clock::now(), by, Stop { n: None, clear }, &mut Vec::new()));
    };
    let mut amy = setup.user_with("amy", json!({"ext": ["acks/1"]})).await;
    let tip =
        |scene: &serde_json::Value| scene["arms"]["amy_arm_0"]["tip"]["translation"][0].as_f64().unwrap_or(f64::NAN);
    amy.hand(0.25).await;
    amy.scene_where(|scene| tip(scene) == 0.25).await;
    stop(false);
    amy.hand(0.5).await;
    let told = amy.reply().await;
    assert_eq!((told["type"].as_str(), told["payload"]["code"].as_str()), (Some("error"), Some("stopped")), "{told}");
    stop(true);
    amy.hand(0.5).await;
    assert_eq!(amy.reply().await["payload"]["code"], "release_grips");
    for _ in 0..10 {
        amy.hand(0.5).await;
        assert_eq!(tip(&amy.scene().await), 0.25, "the grip is still held");
    }
    let mut released = sample(0.5);
    released["controllers"]["left"]["grip"] = json!(0.0);
    amy.send("xr_input", released).await;
    assert_eq!(amy.reply().await["payload"], json!({"reason": "", "code": "released"}));
    until("the release was seen", || setup.log.driving().contains("amy")).await;
    amy.hand(0.5).await;
    amy.scene_where(|scene| tip(scene) > 0.3).await;
}
