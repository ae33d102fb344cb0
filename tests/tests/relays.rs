//! A robot and a headset that cannot reach each other, and a TURN server that both can.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::timeout;
use turn::allocation::five_tuple::FiveTuple;
use turn::auth::{AuthHandler, generate_auth_key};
use turn::relay::relay_static::RelayAddressGeneratorStatic;
use turn::server::Server;
use turn::server::config::{ConnConfig, ServerConfig};
use waldo_protocol::vr::IceServer;
use waldo_server::config::Settings;
use waldo_tests::client::{Client, PATIENCE};
use waldo_tests::network::{Inside, Namespace, Wire, permitted, robot};
use waldo_tests::peer::Peer;
use waldo_tests::robot::{Robotics, reachable};
use webrtc_util::vnet::net::Net;

const REALM: &str = "waldo.test";
const USER: &str = "operator";
const PASSWORD: &str = "a password";
const SECRET: &str = "what robot and relay know";

struct OneUser;

impl AuthHandler for OneUser {
    fn auth_handle(&self, username: &str, realm: &str, _: SocketAddr) -> Result<Vec<u8>, turn::Error> {
        if username == USER { Ok(generate_auth_key(USER, realm, PASSWORD)) } else { Err(turn::Error::ErrFakeErr) }
    }
}

/// As coturn does with `use-auth-secret`; remembers whom it let in.
struct UntilTheyEnd(Arc<Mutex<BTreeSet<String>>>);

impl AuthHandler for UntilTheyEnd {
    fn auth_handle(&self, username: &str, realm: &str, _: SocketAddr) -> Result<Vec<u8>, turn::Error> {
        let (end, _) = username.split_once(':').ok_or(turn::Error::ErrFakeErr)?;
        let end = Duration::from_secs(end.parse().map_err(|_| turn::Error::ErrFakeErr)?);
        let left = end.saturating_sub(UNIX_EPOCH.elapsed().map_err(|_| turn::Error::ErrFakeErr)?);
        if left.is_zero() || left > Duration::from_secs(24 * 60 * 60) {
            return Err(turn::Error::ErrFakeErr);
        }
        let mut mac = Hmac::<Sha1>::new_from_slice(SECRET.as_bytes()).map_err(|_| turn::Error::ErrFakeErr)?;
        mac.update(username.as_bytes());
        let password = STANDARD.encode(mac.finalize().into_bytes());
        self.0.lock().map_err(|_| turn::Error::ErrFakeErr)?.insert(username.to_owned());
        Ok(generate_auth_key(username, realm, &password))
    }
}

/// Whom the TURN server answers.
#[derive(Clone, Copy, PartialEq)]
enum Open {
    ToBoth,
    ToTheHeadset,
}

/// The robot, a headset, and between them a host that both reach and that forwards nothing: one address of it can be
/// reached from both sides. There a TURN server has its relayed addresses, and a tunnel leads to the robot's socket.
struct Internet {
    waldo: Robotics,
    relay: Server,
    far: Inside,
    headset: IpAddr,
    /// The robot's socket, as the headset reaches it.
    tunnel: SocketAddr,
    _inside: [Inside; 2],
    _wires: [Wire; 2],
}

impl Internet {
    /// Numbers tell those of one process apart.
    async fn new(number: u8, open: Open) -> Result<Self> {
        let (username, credential) = (Some(USER.to_owned()), Some(PASSWORD.to_owned()));
        let ice =
            |urls| Settings { ice_servers: vec![IceServer { urls, username, credential }], ..Settings::default() };
        Self::guarded(number, open, Arc::new(OneUser), ice).await
    }

    /// With a relay that lets in whom the guard does, and a robot with the settings of ICE that come of its URLs.
    async fn guarded(
        number: u8,
        open: Open,
        guard: Arc<dyn AuthHandler + Send + Sync>,
        ice: impl FnOnce(Vec<String>) -> Settings,
    ) -> Result<Self> {
        let at = |host| Ipv4Addr::new(10, 79, number, host);
        let (shared, [near, near_gate, far, far_gate]) = (at(1), [66, 65, 130, 129].map(at));
        let (middle, headset) = (Namespace::new()?, Namespace::new()?);
        let subnet = |address: Ipv4Addr| format!("{address}/26");
        let wires = [
            Wire::lay([(&middle, &subnet(near_gate)), (robot()?, &subnet(near))])?,
            Wire::lay([(&middle, &subnet(far_gate)), (&headset, &subnet(far))])?,
        ];
        middle.ip(&["address", "add", &shared.to_string(), "dev", "lo"])?;
        for (namespace, gate) in [(robot()?, near_gate), (&headset, far_gate)] {
            namespace.ip(&["route", "add", &shared.to_string(), "via", &gate.to_string()])?;
        }

        let (inside, beside, far_runtime) = (middle.runtime()?, robot()?.runtime()?, headset.runtime()?);
        let listen = SocketAddr::new(if open == Open::ToBoth { shared } else { far_gate }.into(), 3478);
        let urls = vec![format!("turn:{listen}")];
        let Settings { ice_servers, ice_secret, .. } = ice(urls);
        let settings = move |data: &Path| Settings { ice_servers, ice_secret, ..reachable(data) };
        let waldo = beside.run(Robotics::start(settings)).await?;
        let socket = SocketAddr::new(near.into(), waldo.addr.port());
        let (relay, tunnel) =
            inside
                .run(async move {
                    Ok((turn_server(listen, shared.into(), guard).await?, tunnel(shared.into(), socket).await?))
                })
                .await?;

        let direct = far_runtime.run(async move { Ok(TcpStream::connect(socket).await?) }).await;
        assert!(direct.is_err(), "there is no other way to the robot");
        Ok(Self {
            waldo,
            relay,
            far: far_runtime,
            headset: far.into(),
            tunnel,
            _inside: [inside, beside],
            _wires: wires,
        })
    }

    /// Somebody at the headset's place watches, by relays of his own or by what the robot offers. Gives who has relays
    /// meanwhile: the robot, the headset.
    async fn watch(&self, by_own_relays: bool) -> Result<(bool, bool)> {
        let (addr, tls, headset) = (self.tunnel, self.waldo.tls.clone(), self.headset);
        let watching = self.far.run(async move {
            let mut client = Client::connect(addr, &tls, "/ws").await?;
            let mut peer = if by_own_relays {
                Peer::relayed_video(&mut client, headset).await?
            } else {
                Peer::video(&mut client, headset).await?
            };
            let mut camera = peer.camera().await?;
            for _ in 0..30 {
                timeout(PATIENCE, camera.picture()).await.context("no picture in time")??;
            }
            Ok((client, peer))
        });
        let _watching = watching.await?;
        let relays = self.relay.get_allocations_info(None).await?;
        let of_headset = |of: &FiveTuple| of.src_addr.ip() == headset;
        Ok((!relays.keys().all(of_headset), relays.keys().any(of_headset)))
    }
}

async fn turn_server(listen: SocketAddr, relayed: IpAddr, guard: Arc<dyn AuthHandler + Send + Sync>) -> Result<Server> {
    let generator = RelayAddressGeneratorStatic {
        relay_address: relayed,
        address: relayed.to_string(),
        net: Arc::new(Net::new(None)),
    };
    let conn = Arc::new(UdpSocket::bind(listen).await?);
    let config = ServerConfig {
        conn_configs: vec![ConnConfig { conn, relay_addr_generator: Box::new(generator) }],
        realm: REALM.to_owned(),
        auth_handler: guard,
        channel_bind_timeout: Duration::ZERO,
        alloc_close_notify: None,
    };
    Ok(Server::new(config).await?)
}

/// Carries TCP connections on, as a tunnel to a robot behind a router does.
async fn tunnel(at: IpAddr, to: SocketAddr) -> Result<SocketAddr> {
    let listener = TcpListener::bind((at, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            tokio::spawn(async move { copy_bidirectional(&mut from, &mut TcpStream::connect(to).await?).await });
        }
    });
    Ok(address)
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_come_to_a_headset_that_takes_no_other_way_than_its_relay() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    assert_eq!(Internet::new(1, Open::ToBoth).await?.watch(true).await?, (true, true));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_come_through_the_relay_of_a_headset_from_a_robot_that_has_none() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    assert_eq!(Internet::new(2, Open::ToTheHeadset).await?.watch(true).await?, (false, true));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_come_through_the_relay_of_the_robot_to_a_headset_that_has_none() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    assert_eq!(Internet::new(3, Open::ToBoth).await?.watch(false).await?, (true, false));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_shares_a_secret_with_its_relay_gives_each_client_a_name_that_ends() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    let let_in = Arc::<Mutex<BTreeSet<String>>>::default();
    let secret = |urls| Settings {
        ice_servers: vec![IceServer { urls, username: None, credential: None }],
        ice_secret: Some(SECRET.to_owned()),
        ..Settings::default()
    };
    let guard = Arc::new(UntilTheyEnd(Arc::clone(&let_in)));
    let internet = Internet::guarded(4, Open::ToBoth, guard, secret).await?;
    assert_eq!(internet.watch(true).await?, (true, true));
    let names: Vec<_> = let_in.lock().unwrap().iter().filter_map(|n| Some(n.split_once(':')?.1.to_owned())).collect();
    assert!(names.contains(&"robot".to_owned()) && names.len() > 1, "{names:?}");
    Ok(())
}
