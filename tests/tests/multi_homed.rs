//! A robot with several networks, and headsets that reach only one of them.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, ensure};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use waldo_tests::client::{Client, Operator, PATIENCE};
use waldo_tests::network::{Inside, Namespace, Wire, permitted, robot};
use waldo_tests::peer::{Peer, PoseChannel, RemoteCamera};
use waldo_tests::robot::{Robotics, reachable};

/// A headset alone with the robot in one subnet.
struct Headset {
    wire: Wire,
    far: Inside,
    robot: IpAddr,
    own: IpAddr,
}

impl Headset {
    /// In the subnet of these three bytes.
    fn plug_in(subnet: &str) -> Result<Self> {
        let namespace = Namespace::new()?;
        let [near, far] = [1, 2].map(|host| format!("{subnet}.{host}"));
        let wire = Wire::lay([(robot()?, &format!("{near}/24")), (&namespace, &format!("{far}/24"))])?;
        Ok(Self { wire, far: namespace.runtime()?, robot: near.parse()?, own: far.parse()? })
    }

    /// Takes part: pictures, and a pose channel.
    async fn join(&self, port: u16, tls: TlsConnector) -> Result<Joined> {
        let (addr, own) = (SocketAddr::new(self.robot, port), self.own);
        let joined = self.far.run(async move {
            let mut client = Client::connect(addr, &tls, "/ws").await?;
            let mut video = Peer::video(&mut client, own).await?;
            let camera = video.camera().await?;
            let mut poses = Peer::poses(&mut client, own).await?;
            let channel = poses.channel().await?;
            Ok(Joined { camera, channel, operator: Operator::default(), _rest: (client, video, poses) })
        });
        joined.await.with_context(|| format!("from {own}"))
    }
}

struct Joined {
    camera: RemoteCamera,
    channel: PoseChannel,
    operator: Operator,
    _rest: (Client, Peer, Peer),
}

impl Joined {
    async fn pictures(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let picture = timeout(PATIENCE, self.camera.picture()).await.context("no picture in time")??;
            // Smaller ones on a busy machine, whose packets are late.
            ensure!(picture.width * 3 == picture.height * 4, "{picture:?}");
        }
        Ok(())
    }

    /// Sends a frame over the channel, with a grip that tells whose it is.
    async fn pose(&mut self, grip: f64) -> Result<()> {
        self.operator.frame.left.grip = grip;
        self.channel.send_frame(self.operator.capture()).await
    }
}

/// Waits until the robot has the frame with this grip.
async fn heard(robot: &Robotics, grip: f64) -> Result<()> {
    #[expect(clippy::float_cmp, reason = "the very number that was sent")]
    let same = |r: &Robotics| r.waldo.server().frame().is_some_and(|frame| frame.left.grip == grip);
    robot.until("the frame", same).await
}

#[tokio::test(flavor = "multi_thread")]
async fn headsets_in_two_subnets_watch_and_send_poses_at_the_same_time() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    let first = Headset::plug_in("10.78.1")?;
    let near = robot()?.runtime()?;
    let waldo = near.run(Robotics::start(reachable)).await?;
    let port = waldo.addr.port();
    let mut one = first.join(port, waldo.tls.clone()).await?;
    // A network that the robot did not have when it started, such as a cable that is plugged in.
    let second = Headset::plug_in("10.78.2")?;
    let mut other = second.join(port, waldo.tls.clone()).await?;
    let (alone, elsewhere) = (&second.far, SocketAddr::new(first.robot, port));
    let around = alone.run(async move { Ok(TcpStream::connect(elsewhere).await?) }).await;
    assert!(around.is_err(), "each headset reaches its own subnet only");

    one.pictures(10).await?;
    other.pictures(10).await?;
    one.pose(0.25).await?;
    heard(&waldo, 0.25).await?;
    other.pose(0.5).await?;
    heard(&waldo, 0.5).await?;
    one.pose(0.75).await?;
    heard(&waldo, 0.75).await?;

    first.wire.pull()?;
    other.pictures(30).await?;
    other.pose(0.125).await?;
    heard(&waldo, 0.125).await?;
    Ok(())
}
