//! The robot and its headsets with a hard network between them. Limits are ten times what is expected.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval, sleep, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use waldo_server::clock;
use waldo_server::sensors::stamp;
use waldo_server::video::VideoSource;
use waldo_server::vr::VrServer;
use waldo_tests::bench::{PaintedCameras, percentile};
use waldo_tests::client::{Client, FRAME, Operator, PATIENCE, trusting};
use waldo_tests::network::{Cable, Conditions, Direction, Inside, Profile, Rate, permitted, robot};
use waldo_tests::peer::{Peer, RemoteCamera};
use waldo_tests::robot::{Robotics, reachable};

const CUT: Duration = Duration::from_secs(3);

/// Pictures per second of the cameras, and what is asked of them here.
const FPS: u64 = 30;
const TENTH_OF_FPS: usize = 3;

/// A headset that sends 90 frames a second until it is dropped.
struct Headset {
    grips: watch::Sender<bool>,
    /// `seq` of the last frame sent.
    sent: Arc<AtomicI64>,
    sending: JoinHandle<()>,
}

impl Headset {
    /// On a socket; over the pose channel if there is an address for it.
    async fn start(far: &Inside, addr: SocketAddr, tls: TlsConnector, channel_from: Option<IpAddr>) -> Result<Self> {
        let (grips, held) = watch::channel(false);
        let sent = Arc::new(AtomicI64::new(0));
        let noted = Arc::clone(&sent);
        let mut client = far.run(async move { Client::connect(addr, &tls, "/ws").await }).await?;
        let mut sending = async move || -> Result<()> {
            let mut peer = match channel_from {
                Some(address) => Some(Peer::poses(&mut client, address).await?),
                None => None,
            };
            let channel = match &mut peer {
                Some(peer) => Some(peer.channel().await?),
                None => None,
            };
            let mut operator = Operator::default();
            let mut frames = interval(FRAME);
            frames.set_missed_tick_behavior(MissedTickBehavior::Skip);
            loop {
                tokio::select! {
                    _ = frames.tick() => {
                        let frame = operator.squeeze(*held.borrow()).capture();
                        match &channel {
                            Some(channel) => channel.send_frame(frame).await?,
                            None => client.send_frame(frame).await?,
                        }
                        noted.store(frame.seq.unwrap_or(0), Ordering::Relaxed);
                    }
                    message = client.receive() => drop(message?),
                }
            }
        };
        // What went wrong shows above the wait that was in vain.
        let sending = far.spawn(async move { sending().await.unwrap_or_else(|error| eprintln!("headset: {error:#}")) });
        Ok(Self { grips, sent, sending })
    }

    /// Releases and squeezes both grips, until the robot says that it follows.
    async fn engage(&self, robot: &Robotics) -> Result<()> {
        self.grips.send_replace(false);
        let open = |r: &Robotics| r.waldo.server().frame().is_some_and(|f| !f.left.lock && !f.right.lock);
        robot.until("open grips", open).await?;
        self.grips.send_replace(true);
        robot.until("engaged", |r| r.waldo.server().tracking()).await
    }

    /// Waits until the robot has a frame that is sent from now on.
    async fn heard(&self, robot: &Robotics) -> Result<()> {
        let sent = self.sent.load(Ordering::Relaxed);
        let newer = |r: &Robotics| r.waldo.server().frame().and_then(|f| f.seq).is_some_and(|seq| seq > sent);
        robot.until("a fresh frame", newer).await
    }
}

impl Drop for Headset {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

/// A robot in its namespace.
async fn simulated() -> Result<(Inside, Robotics)> {
    let near = robot()?.runtime()?;
    let robot = near.run(Robotics::start(reachable)).await?;
    Ok((near, robot))
}

/// The robot's address at the end of a cable.
fn over(cable: &Cable, addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(cable.near.into(), addr.port())
}

async fn cut_and_back(channel: bool) -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    let (_near, robot) = simulated().await?;
    let cable = Cable::lay(&Conditions::default(), 1)?;
    let far = cable.far.runtime()?;
    let from = channel.then_some(cable.address.into());
    let headset = Headset::start(&far, over(&cable, robot.addr), robot.tls.clone(), from).await?;
    headset.engage(&robot).await?;
    headset.heard(&robot).await?;

    let end = cable.cut(CUT);
    robot.until("disengaged", |r| !r.waldo.server().tracking()).await?;
    assert!(Instant::now() < end, "the watchdog spoke before the cut was over");
    sleep_until(end.into()).await;
    headset.heard(&robot).await?;
    headset.heard(&robot).await?;
    assert!(!robot.waldo.server().tracking(), "grips that were held all the time engage nothing");
    headset.engage(&robot).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_disengages_a_driver_on_a_socket_who_comes_back_by_himself() -> Result<()> {
    cut_and_back(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_disengages_a_driver_on_the_pose_channel_who_comes_back_by_himself() -> Result<()> {
    cut_and_back(true).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_stays_engaged_while_some_packets_are_lost_and_all_are_late() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    let (_near, robot) = simulated().await?;
    let cable = Cable::lay(&Conditions { loss: 0.01, ..Profile::Delay20.conditions() }, 1)?;
    let far = cable.far.runtime()?;
    let headset = Headset::start(&far, over(&cable, robot.addr), robot.tls.clone(), None).await?;
    headset.engage(&robot).await?;
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(2) {
        assert!(robot.waldo.server().tracking());
        sleep(Duration::from_millis(5)).await;
    }
    assert!(cable.counts(Direction::Up).lost > 0);
    Ok(())
}

/// A server with one camera, in the robot's namespace.
struct Studio {
    addr: SocketAddr,
    tls: TlsConnector,
    _near: Inside,
    _server: VrServer,
    _painted: PaintedCameras,
    _data: TempDir,
}

impl Studio {
    async fn open(width: usize, height: usize) -> Result<Self> {
        let data = TempDir::new()?;
        let painted = PaintedCameras::start(1, width, height);
        let server = VrServer::new(reachable(data.path()));
        let sources = painted.cameras.iter().map(|c| (c.name().to_owned(), VideoSource::Camera(c.clone())));
        server.set_video_sources(Some(sources.collect()));
        let near = robot()?.runtime()?;
        let starting = server.clone();
        near.run(async move { Ok(starting.start().await?) }).await?;
        let tls = trusting(server.certificate().context("the server runs")?)?;
        let addr = server.addr().context("the server runs")?;
        Ok(Self { addr, tls, _near: near, _server: server, _painted: painted, _data: data })
    }

    /// Somebody at the end of the cable who watches; gives the connection and the ages of its pictures so far, ms.
    async fn viewer(&self, cable: &Cable, far: &Inside) -> Result<Viewer> {
        let (addr, tls, from) = (over(cable, self.addr), self.tls.clone(), cable.address.into());
        let (client, peer, camera) = far
            .run(async move {
                let mut client = Client::connect(addr, &tls, "/ws").await?;
                let mut peer = Peer::video(&mut client, from).await?;
                let camera = peer.camera().await?;
                Ok((client, peer, camera))
            })
            .await?;
        Ok(Viewer { camera, _peer: peer, _client: client })
    }
}

struct Viewer {
    camera: RemoteCamera,
    _peer: Peer,
    _client: Client,
}

impl Viewer {
    /// When the next picture with a readable stamp was taken, Unix milliseconds modulo 2^32.
    async fn picture(&mut self) -> Result<u32> {
        let readable = async {
            loop {
                if let Some(stamp) = self.camera.picture().await?.stamp {
                    return Ok(stamp);
                }
            }
        };
        timeout(PATIENCE, readable).await.context("no picture in time")?
    }

    /// Ages of all pictures that come in this time, ms.
    async fn ages(&mut self, duration: Duration) -> Result<Vec<f64>> {
        let mut ages = Vec::new();
        let watching = async {
            loop {
                let taken = self.picture().await?;
                ages.push(f64::from(now().wrapping_sub(taken)));
            }
        };
        match timeout(duration, watching).await {
            Err(_) => Ok(ages),
            Ok(ended) => ended,
        }
    }
}

impl Viewer {
    /// How many pictures come in this time, whatever their size.
    async fn pictures(&mut self, duration: Duration) -> Result<usize> {
        let mut count = 0;
        let watching = async {
            loop {
                self.camera.picture().await?;
                count += 1;
            }
        };
        let ended: Result<Result<()>, _> = timeout(duration, watching).await;
        ended.unwrap_or(Ok(()))?;
        Ok(count)
    }
}

/// A camera, and somebody at the other end of a perfect cable who has seen a picture of it.
struct Watched {
    cable: Cable,
    viewer: Viewer,
    _far: Inside,
    _studio: Studio,
}

impl Watched {
    async fn start() -> Result<Self> {
        let studio = Studio::open(640, 480).await?;
        let cable = Cable::lay(&Conditions::default(), 1)?;
        let far = cable.far.runtime()?;
        let mut viewer = studio.viewer(&cable, &far).await?;
        viewer.picture().await?;
        Ok(Self { cable, viewer, _far: far, _studio: studio })
    }
}

/// The stamp of a picture that is taken now.
fn now() -> u32 {
    stamp::millis(clock::unix_time(clock::now()))
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_go_on_while_one_packet_in_twenty_is_lost() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    let mut watched = Watched::start().await?;
    // From now on: what a loss costs while connecting, the bench tells.
    watched.cable.set(&Profile::Loss5.conditions());
    for second in 0..4 {
        let pictures = watched.viewer.ages(Duration::from_secs(1)).await?.len();
        assert!(pictures >= TENTH_OF_FPS, "{pictures} pictures in second {second}");
    }
    assert!(watched.cable.counts(Direction::Down).lost > 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_come_back_after_a_cut() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    let mut watched = Watched::start().await?;
    let end = watched.cable.cut(CUT);
    sleep_until(end.into()).await;
    // What was sent before and is only repeated has come by then.
    let settled = Instant::now() + Duration::from_millis(500);
    while timeout_at(settled.into(), watched.viewer.camera.picture()).await.is_ok() {}
    for _ in 0..TENTH_OF_FPS {
        watched.viewer.picture().await?;
    }
    // They may be smaller for a while, until the network is believed to be back.
    let whole = async {
        while watched.viewer.camera.picture().await?.width < 640 {}
        Ok(())
    };
    let whole: Result<()> = timeout(PATIENCE, whole).await.context("no whole picture in time")?;
    whole?;
    assert!(watched.cable.counts(Direction::Down).cut > FPS, "the cut was one");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_on_a_slow_link_slows_nobody_else() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    let studio = Studio::open(1280, 720).await?;
    // So slow that no bitrate of this camera fits.
    let rate = Rate { bits_per_second: 200_000, burst: 3_000, queue: 20_000 };
    let slow = Cable::lay(&Conditions { rate: Some(rate), ..Conditions::default() }, 1)?;
    let fast = Cable::lay(&Conditions::default(), 2)?;
    let (slow_far, fast_far) = (slow.far.runtime()?, fast.far.runtime()?);
    let watching_slowly = studio.viewer(&slow, &slow_far).await?;
    let mut viewer = studio.viewer(&fast, &fast_far).await?;
    viewer.picture().await?;
    let before = slow.counts(Direction::Down).overflowed;
    let ages = viewer.ages(Duration::from_secs(4)).await?;
    assert!(slow.counts(Direction::Down).overflowed > before, "the slow link is full");
    assert!(ages.len() >= 4 * TENTH_OF_FPS, "{} pictures", ages.len());
    assert!(percentile(&ages, 0.5) < 500.0, "{ages:?} ms");
    drop(watching_slowly);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bitrate_follows_a_network_that_gets_narrow() -> Result<()> {
    if !permitted() {
        return Ok(());
    }
    let mut watched = Watched::start().await?;
    // A third less than the picture takes at its best.
    let rate = Rate { bits_per_second: 750_000, burst: 6_000, queue: 30_000 };
    watched.cable.set(&Conditions { rate: Some(rate), ..Conditions::default() });
    watched.viewer.pictures(Duration::from_secs(6)).await?;
    let before = watched.cable.counts(Direction::Down);
    let pictures = watched.viewer.pictures(Duration::from_secs(4)).await?;
    let after = watched.cable.counts(Direction::Down);
    assert!(pictures >= 4 * TENTH_OF_FPS, "{pictures} pictures");
    let (dropped, passed) = (after.overflowed - before.overflowed, after.arrived - before.arrived);
    assert!(dropped * 10 < passed, "{dropped} dropped, {passed} passed");
    Ok(())
}
