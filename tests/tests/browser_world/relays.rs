//! Robot and operator who reach nothing but a relay, Debian's coturn, which lets in whom the broker sends.
//!
//! The robot uses relays over UDP; the operator's browser also over TCP, where no UDP passes. The SFU needs none: it is
//! where all can reach it, here by way of the relay.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use anyhow::{Result, ensure};
use tempfile::TempDir;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, Instant, sleep};
use waldo_tests::network::{Cable, Conditions, Inside, Namespace, Wire, permitted, robot};
use waldo_tests::world::{Brokerage, Engine, FarRobot, MOVES, MediaPath, Operator, PATIENCE, Program, TURN_SECRET};

use crate::program;

/// Where STUN and TURN are asked for.
const PORT: u16 = 3478;

/// Between robot and operator on the one side and the broker on the other a host that all reach and that forwards nothing.
/// There are the relay, and a tunnel for the broker's own port.
struct Guarded {
    robot: FarRobot,
    operator: Operator,
    _relay: Program,
    _brokerage: Brokerage,
    _inside: Inside,
    _wire: Wire,
    _cables: [Cable; 2],
    _data: TempDir,
}

impl Guarded {
    /// Numbers tell those of one process apart.
    async fn new(number: u8, udp_for_operator: bool) -> Result<Self> {
        let [relay, broker] = [1, 2].map(|host| Ipv4Addr::new(10, 80, number, host));
        let (middle, behind) = (Namespace::new()?, Namespace::new()?);
        let wire = Wire::lay([(&middle, &format!("{relay}/24")), (&behind, &format!("{broker}/24"))])?;
        let lay = |far: &Namespace, seed| -> Result<Cable> {
            let cable = Cable::between(&middle, far, &Conditions::default(), seed)?;
            far.ip(&["route", "add", &relay.to_string(), "via", &cable.near.to_string()])?;
            Ok(cable)
        };
        let cables = [lay(robot()?, 1)?, lay(&Namespace::new()?, 2)?];
        if !udp_for_operator {
            cables[1].block_udp();
        }

        let inside = middle.runtime()?;
        let data = TempDir::new()?;
        let coturn = coturn(&middle, relay, &data)?;
        let flags = ["--turn-host", &relay.to_string(), "--turn-secret", TURN_SECRET].map(str::to_owned).to_vec();
        let names = [relay.to_string()];
        let brokerage = Brokerage::with(program(), &behind, Engine::Embedded, &names, flags)?;
        inside.run(tunnel(relay.into(), (broker, Brokerage::port()).into())).await?;
        inside.run(answers((relay, PORT).into())).await?;
        let beside = robot()?.runtime()?;
        let direct = beside.run(async move { Ok(TcpStream::connect((broker, Brokerage::port())).await?) }).await;
        ensure!(direct.is_err(), "there is another way to the broker than the relay's host");

        let url = Brokerage::url(&names[0]);
        let robot = FarRobot::start(&url, &brokerage).await?;
        let operator = Operator::start(&cables[1].far, &url, &brokerage).await?;
        Ok(Self {
            robot,
            operator,
            _relay: coturn,
            _brokerage: brokerage,
            _inside: inside,
            _wire: wire,
            _cables: cables,
            _data: data,
        })
    }

    /// The operator drives; how the page reaches the SFU meanwhile.
    async fn drive(self) -> Result<MediaPath> {
        self.operator.connect().await?;
        self.operator.drive(true).await?;
        self.robot.until("motion", |heard| heard.forward() > MOVES).await?;
        let path = self.operator.path().await?;
        self.operator.close().await?;
        self.robot.stop().await?;
        Ok(path)
    }
}

fn coturn(namespace: &Namespace, address: Ipv4Addr, data: &TempDir) -> Result<Program> {
    let mut command = Command::new("turnserver");
    // Without `-n` it would read the system's configuration.
    command.args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--no-multicast-peers", "--use-auth-secret"]);
    command.arg(format!("--static-auth-secret={TURN_SECRET}")).arg("--realm=waldo.test");
    command.arg(format!("--listening-ip={address}")).arg(format!("--relay-ip={address}"));
    let inside = |name| data.path().join(name).display().to_string();
    command.arg(format!("--userdb={}", inside("users"))).arg(format!("--pidfile={}", inside("pid")));
    command.arg(format!("--log-file={}", inside("log"))).arg("--simple-log");
    Program::silent(namespace, command)
}

/// Waits until somebody takes TCP connections there.
async fn answers(address: SocketAddr) -> Result<()> {
    let start = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        ensure!(start.elapsed() < PATIENCE, "nobody answers on {address}");
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Carries TCP connections on to the broker, as a proxy does.
async fn tunnel(at: IpAddr, to: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind((at, to.port())).await?;
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            tokio::spawn(async move { copy_bidirectional(&mut from, &mut TcpStream::connect(to).await?).await });
        }
    });
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn robot_and_operator_meet_through_relays_that_the_broker_lets_them_use() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    let path = Guarded::new(1, true).await?.drive().await?;
    assert_eq!((path.kind.as_str(), path.relay.as_deref()), ("relay", Some("udp")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_where_no_udp_passes_drives_through_a_relay_over_tcp() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    let path = Guarded::new(2, false).await?.drive().await?;
    assert_eq!((path.kind.as_str(), path.relay.as_deref()), ("relay", Some("tcp")));
    Ok(())
}
