//! Broker, robot, browser and page of one test.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use glam::DVec3;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use waldo_broker::auth::Strength;
use waldo_broker::sfu::embedded;
use waldo_broker::{Broker, SfuSettings};
use waldo_protocol::lcm;
use waldo_server::config::{FieldSettings, HostedKind, HostedSettings, PolicySettings, RobotKey, Settings};
use waldo_server::hosted::Stream;
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::serve::Waldo;
use waldo_tests::browser::{Chromium, PATIENCE, Tab};
use waldo_tests::headset::with_headset;

pub(crate) const AMY: &str = "amy@example.org";
const PASSWORD: &str = "a long password";
/// Faster than this, m/s, is motion.
pub(crate) const MOVES: f64 = 0.05;

/// A broker on a free port, in a folder of its own.
pub(crate) struct Brokerage {
    broker: Option<Broker>,
    settings: waldo_broker::Settings,
    _data: TempDir,
}

impl Brokerage {
    pub(crate) async fn start() -> Result<Self> {
        let data = TempDir::new()?;
        let sfu = embedded::Settings { bind: loopback(), ..embedded::Settings::default() };
        let settings = waldo_broker::Settings {
            listen: loopback(),
            data_dir: data.path().to_owned(),
            password_strength: Strength::Least,
            registration: true,
            enforce_rate_limits: false,
            sfu: SfuSettings::Embedded(sfu),
            ..waldo_broker::Settings::default()
        };
        let broker = Broker::start(settings.clone()).await?;
        broker.add_user(AMY, PASSWORD).await?;
        Ok(Self { broker: Some(broker), settings, _data: data })
    }

    pub(crate) fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("it runs")
    }

    pub(crate) fn url(&self) -> String {
        self.broker().url()
    }

    pub(crate) async fn stop(&mut self) {
        self.settings.listen = self.broker().address();
        if let Some(broker) = self.broker.take() {
            broker.stop().await;
        }
    }

    /// On the same port, with the same data.
    pub(crate) async fn start_again(&mut self) -> Result<()> {
        self.broker = Some(Broker::start(self.settings.clone()).await?);
        Ok(())
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// A simulated robot that operators far away reach through the broker, and what it was told last.
pub(crate) struct FarRobot {
    pub(crate) waldo: Waldo,
    pub(crate) heard: Arc<Mutex<Heard>>,
    hearing: JoinHandle<()>,
    _data: TempDir,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Heard {
    /// The velocity of the base, forward, m/s.
    pub(crate) forward: f64,
    /// The fastest so far.
    pub(crate) fastest: f64,
    /// Motions of hands.
    pub(crate) deltas: usize,
    /// The longest of them, metres.
    pub(crate) furthest: f64,
    /// The speed of the jog along x, m/s.
    pub(crate) jog: f64,
    pub(crate) goal: Option<DVec3>,
    pub(crate) gripper_closed: Option<bool>,
}

impl FarRobot {
    pub(crate) async fn start(broker: &str, key: &str, kind: HostedKind) -> Result<Self> {
        Self::start_with(broker, key, kind, |_| {}).await
    }

    async fn start_with(broker: &str, key: &str, kind: HostedKind, adjust: fn(&mut HostedSettings)) -> Result<Self> {
        let data = TempDir::new()?;
        let key = RobotKey::parse(key).map_err(anyhow::Error::msg)?;
        let name = if kind == HostedKind::Arm { "Bench" } else { "Rover" };
        let mut hosted = HostedSettings {
            name: name.to_owned(),
            id: format!("{}-1", name.to_lowercase()),
            allow_acrobatics: true,
            ..HostedSettings::new(broker, key, kind)
        };
        adjust(&mut hosted);
        let settings = Settings {
            bind: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            data_dir: data.path().to_owned(),
            local: false,
            mdns: false,
            policy: PolicySettings::off(),
            field: FieldSettings::off(),
            hosted: Some(hosted),
            ..Settings::default()
        };
        let options = SimOptions { camera_size: (640, 480), latency_stamp: false };
        let waldo = Waldo::start(settings, Box::new(SimRobot::new(options))).await?;
        let mut outputs = waldo.hosted().context("it is hosted")?.outputs().subscribe();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let hearing = tokio::spawn({
            let heard = Arc::clone(&heard);
            async move {
                while let Ok(output) = outputs.recv().await {
                    hear(&mut heard.lock().expect("no panic"), output.stream, &output.data);
                }
            }
        });
        Ok(Self { waldo, heard, hearing, _data: data })
    }

    pub(crate) fn heard(&self) -> Heard {
        self.heard.lock().expect("no panic").clone()
    }

    pub(crate) async fn until(&self, what: &str, done: impl Fn(&Heard) -> bool) -> Result<()> {
        let start = Instant::now();
        while !done(&self.heard()) {
            if start.elapsed() > PATIENCE {
                bail!("waited in vain for {what}: {:?}", self.heard());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    pub(crate) async fn stop(self) {
        self.hearing.abort();
        self.waldo.stop().await;
    }
}

fn hear(heard: &mut Heard, stream: Stream, data: &[u8]) {
    match (stream, lcm::Message::decode(data)) {
        // Not what the operator sends: his zero may get lost, and then the dead-man's comes.
        (Stream::CmdVel, Ok(lcm::Message::Twist(twist))) => {
            heard.forward = twist.linear.x;
            heard.fastest = heard.fastest.max(heard.forward);
        }
        (Stream::LeftController | Stream::RightController, Ok(lcm::Message::PoseStamped(pose))) => {
            heard.deltas += 1;
            heard.furthest = heard.furthest.max(pose.pose.position.length());
        }
        (Stream::EeTwist, Ok(lcm::Message::TwistStamped(twist))) => heard.jog = twist.twist.linear.x,
        (Stream::Goal, Ok(lcm::Message::PoseStamped(goal))) => heard.goal = Some(goal.pose.position),
        (Stream::Gripper, Ok(lcm::Message::Bool(closed))) => heard.gripper_closed = Some(closed.data),
        _ => {}
    }
}

/// Broker, robot, browser, and the page in it with Amy logged in.
pub(crate) struct Set {
    pub(crate) brokerage: Brokerage,
    pub(crate) robot: FarRobot,
    pub(crate) chromium: Chromium,
    pub(crate) tab: Tab,
}

impl Set {
    pub(crate) async fn open(kind: HostedKind) -> Result<Self> {
        Self::open_with(kind, |_| {}).await
    }

    /// With a robot that is not set up as usual.
    pub(crate) async fn open_with(kind: HostedKind, adjust: fn(&mut HostedSettings)) -> Result<Self> {
        let brokerage = Brokerage::start().await?;
        let key = brokerage.broker().add_key(AMY, "lab").await?;
        let robot = FarRobot::start_with(&brokerage.url(), key.reveal(), kind, adjust).await?;
        let chromium = Chromium::launch(1280, 800).await?;
        let tab = chromium.tab().await?;
        with_headset(&tab).await?;
        log_in(&tab, &brokerage).await?;
        tab.until("document.body.dataset.robots === '1'").await?;
        Ok(Self { brokerage, robot, chromium, tab })
    }

    pub(crate) async fn connect(&self) -> Result<()> {
        press(&self.tab, ".robot .connect").await?;
        live(&self.tab).await
    }

    pub(crate) async fn close(mut self) -> Result<()> {
        self.chromium.close().await?;
        self.robot.stop().await;
        self.brokerage.stop().await;
        Ok(())
    }
}

pub(crate) async fn log_in(tab: &Tab, brokerage: &Brokerage) -> Result<()> {
    // As localhost, where browsers allow WebXR and the microphone without encryption.
    let port = brokerage.broker().address().port();
    tab.page.goto(format!("http://localhost:{port}/")).await?;
    type_into(tab, "#email", AMY).await?;
    type_into(tab, "#password", PASSWORD).await?;
    press(tab, "#log-in").await?;
    tab.until("document.body.dataset.stage === 'Board'").await
}

pub(crate) async fn type_into(tab: &Tab, selector: &str, text: &str) -> Result<()> {
    tab.until(&format!("document.querySelector('{selector}')")).await?;
    tab.run(&format!(
        "const field = document.querySelector('{selector}'); field.value = '{text}'; field.dispatchEvent(new Event('input'))"
    ))
    .await
}

/// Presses a button of the page, which may be below what is on the screen.
pub(crate) async fn press(tab: &Tab, selector: &str) -> Result<()> {
    tab.until(&format!("document.querySelector('{selector}') && !document.querySelector('{selector}').disabled && !document.querySelector('{selector}').hidden"))
        .await?;
    tab.run(&format!("document.querySelector('{selector}').click()")).await
}

/// The way to the robot stands, it is heard of, and its picture moves.
pub(crate) async fn live(tab: &Tab) -> Result<()> {
    tab.until("document.body.dataset.way === 'Live' && Number(document.body.dataset.messages) > 0").await?;
    tab.until("parseInt(document.body.dataset.picture) > 0 && document.body.dataset.stalled === 'false'").await
}

pub(crate) async fn key(tab: &Tab, code: &str, down: bool) -> Result<()> {
    let kind = if down { "keydown" } else { "keyup" };
    tab.run(&format!("window.dispatchEvent(new KeyboardEvent('{kind}', {{ code: '{code}', cancelable: true }}))")).await
}
