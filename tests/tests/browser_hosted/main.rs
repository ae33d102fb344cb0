//! The operator's page of hosted teleoperation in headless Chromium, against a real broker with its own SFU and a whole
//! simulated robot.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use chromiumoxide::cdp::browser_protocol::emulation::SetDeviceMetricsOverrideParams;
use glam::{DQuat, DVec3};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use waldo_broker::auth::Strength;
use waldo_broker::sfu::embedded;
use waldo_broker::{Broker, SfuSettings};
use waldo_protocol::lcm;
use waldo_protocol::vr::Hand;
use waldo_server::config::{FieldSettings, HostedKind, HostedSettings, PolicySettings, RobotKey, Settings};
use waldo_server::hosted::Stream;
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::serve::Waldo;
use waldo_tests::browser::{Chromium, PATIENCE, Tab};
use waldo_tests::headset::{enter_vr, hold, place, with_headset};

const AMY: &str = "amy@example.org";
const PASSWORD: &str = "a long password";
const MOVES: f64 = 0.05;

/// A broker on a free port, in a folder of its own.
struct Brokerage {
    broker: Option<Broker>,
    settings: waldo_broker::Settings,
    _data: TempDir,
}

impl Brokerage {
    async fn start() -> Result<Self> {
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

    fn broker(&self) -> &Broker {
        self.broker.as_ref().expect("it runs")
    }

    fn url(&self) -> String {
        self.broker().url()
    }

    async fn stop(&mut self) {
        self.settings.listen = self.broker().address();
        if let Some(broker) = self.broker.take() {
            broker.stop().await;
        }
    }

    /// On the same port, with the same data.
    async fn start_again(&mut self) -> Result<()> {
        self.broker = Some(Broker::start(self.settings.clone()).await?);
        Ok(())
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

/// A simulated robot that operators far away reach through the broker, and what it was told last.
struct FarRobot {
    waldo: Waldo,
    heard: Arc<Mutex<Heard>>,
    hearing: JoinHandle<()>,
    _data: TempDir,
}

#[derive(Clone, Debug, Default)]
struct Heard {
    /// The velocity of the base, forward, m/s.
    forward: f64,
    /// The fastest so far.
    fastest: f64,
    /// Motions of hands.
    deltas: usize,
    /// The longest of them, metres.
    furthest: f64,
    /// The speed of the jog along x, m/s.
    jog: f64,
    goal: Option<DVec3>,
    gripper_closed: Option<bool>,
}

impl FarRobot {
    async fn start(broker: &str, key: &str, kind: HostedKind) -> Result<Self> {
        let data = TempDir::new()?;
        let key = RobotKey::parse(key).map_err(anyhow::Error::msg)?;
        let name = if kind == HostedKind::Arm { "Bench" } else { "Rover" };
        let hosted = HostedSettings {
            name: name.to_owned(),
            id: format!("{}-1", name.to_lowercase()),
            allow_acrobatics: true,
            ..HostedSettings::new(broker, key, kind)
        };
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

    fn heard(&self) -> Heard {
        self.heard.lock().expect("no panic").clone()
    }

    async fn until(&self, what: &str, done: impl Fn(&Heard) -> bool) -> Result<()> {
        let start = Instant::now();
        while !done(&self.heard()) {
            if start.elapsed() > PATIENCE {
                bail!("waited in vain for {what}: {:?}", self.heard());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    async fn stop(self) {
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
struct Set {
    brokerage: Brokerage,
    robot: FarRobot,
    chromium: Chromium,
    tab: Tab,
}

impl Set {
    async fn open(kind: HostedKind) -> Result<Self> {
        let brokerage = Brokerage::start().await?;
        let key = brokerage.broker().add_key(AMY, "lab").await?;
        let robot = FarRobot::start(&brokerage.url(), key.reveal(), kind).await?;
        let chromium = Chromium::launch(1280, 800).await?;
        let tab = chromium.tab().await?;
        with_headset(&tab).await?;
        log_in(&tab, &brokerage).await?;
        tab.until("document.body.dataset.robots === '1'").await?;
        Ok(Self { brokerage, robot, chromium, tab })
    }

    async fn connect(&self) -> Result<()> {
        press(&self.tab, ".robot .connect").await?;
        live(&self.tab).await
    }

    async fn close(mut self) -> Result<()> {
        self.chromium.close().await?;
        self.robot.stop().await;
        self.brokerage.stop().await;
        Ok(())
    }
}

async fn log_in(tab: &Tab, brokerage: &Brokerage) -> Result<()> {
    // As localhost, where browsers allow WebXR and the microphone without encryption.
    let port = brokerage.broker().address().port();
    tab.page.goto(format!("http://localhost:{port}/")).await?;
    type_into(tab, "#email", AMY).await?;
    type_into(tab, "#password", PASSWORD).await?;
    press(tab, "#log-in").await?;
    tab.until("document.body.dataset.stage === 'Board'").await
}

async fn type_into(tab: &Tab, selector: &str, text: &str) -> Result<()> {
    tab.until(&format!("document.querySelector('{selector}')")).await?;
    tab.run(&format!(
        "const field = document.querySelector('{selector}'); field.value = '{text}'; field.dispatchEvent(new Event('input'))"
    ))
    .await
}

/// Presses a button of the page, which may be below what is on the screen.
async fn press(tab: &Tab, selector: &str) -> Result<()> {
    tab.until(&format!("document.querySelector('{selector}') && !document.querySelector('{selector}').disabled && !document.querySelector('{selector}').hidden"))
        .await?;
    tab.run(&format!("document.querySelector('{selector}').click()")).await
}

/// The way to the robot stands, it is heard of, and its picture moves.
async fn live(tab: &Tab) -> Result<()> {
    tab.until("document.body.dataset.way === 'Live' && Number(document.body.dataset.messages) > 0").await?;
    tab.until("parseInt(document.body.dataset.picture) > 0 && document.body.dataset.stalled === 'false'").await
}

async fn key(tab: &Tab, code: &str, down: bool) -> Result<()> {
    let kind = if down { "keydown" } else { "keyup" };
    tab.run(&format!("window.dispatchEvent(new KeyboardEvent('{kind}', {{ code: '{code}', cancelable: true }}))")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_made_on_the_page_brings_a_robot_and_is_shown_only_once() -> Result<()> {
    let mut brokerage = Brokerage::start().await?;
    let chromium = Chromium::launch(1280, 800).await?;
    let tab = chromium.tab().await?;
    let port = brokerage.broker().address().port();
    tab.page.goto(format!("http://localhost:{port}/")).await?;
    type_into(&tab, "#email", AMY).await?;
    type_into(&tab, "#password", "not this one").await?;
    press(&tab, "#log-in").await?;
    tab.until("!document.querySelector('.alert').hidden").await?;
    tab.screenshot("hosted-sign-in").await?;
    log_in(&tab, &brokerage).await?;
    assert_eq!(tab.eval::<String>("document.body.dataset.account").await?, AMY);
    type_into(&tab, "#key-name", "Lab 1").await?;
    press(&tab, "#create-key").await?;
    tab.until("document.querySelector('#fresh-key').textContent !== ''").await?;
    let made: String = tab.eval("document.querySelector('#fresh-key').textContent").await?;
    assert!(made.starts_with("dtk_live_") && made.len() == 49, "a key");
    tab.screenshot("hosted-key").await?;

    let robot = FarRobot::start(&brokerage.url(), &made, HostedKind::Twist).await?;
    tab.until("document.body.dataset.robots === '1' && document.querySelector('.robot').innerText.includes('Rover')")
        .await?;
    press(&tab, "#forget-key").await?;
    tab.until("document.querySelector('.fresh').hidden").await?;
    tab.screenshot("hosted-board").await?;
    let told: String = tab.eval("document.body.innerText").await?;
    assert!(!told.contains(&made), "shown only once");

    // A robot that ends says so, and is gone at once.
    robot.stop().await;
    tab.until("document.body.dataset.robots === '0'").await?;
    press(&tab, ".key .revoke").await?;
    press(&tab, ".key .confirm-revoke").await?;
    tab.until("!document.querySelector('.key')").await?;
    press(&tab, "#log-out").await?;
    tab.until("document.body.dataset.stage === 'SignIn'").await?;
    chromium.close().await?;
    brokerage.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_drive_a_base_as_long_as_they_are_held_and_the_window_is_looked_at() -> Result<()> {
    let set = Set::open(HostedKind::Twist).await?;
    let (tab, robot) = (&set.tab, &set.robot);
    set.connect().await?;
    tab.screenshot("hosted-drive").await?;
    key(tab, "KeyW", true).await?;
    robot.until("half a metre a second", |heard| heard.forward > 0.5 - MOVES).await?;
    tab.screenshot("hosted-driving").await?;
    key(tab, "ShiftLeft", true).await?;
    robot.until("twice as fast", |heard| heard.forward > 1.0 - MOVES).await?;
    key(tab, "ShiftLeft", false).await?;
    key(tab, "KeyW", false).await?;
    robot.until("a stop after the keys", |heard| heard.forward == 0.0).await?;

    // Whoever looks elsewhere has let go, although no key was seen to be released.
    key(tab, "KeyW", true).await?;
    robot.until("motion", |heard| heard.forward > MOVES).await?;
    tab.run("window.dispatchEvent(new Event('blur'))").await?;
    robot.until("a stop after the window lost the keys", |heard| heard.forward == 0.0).await?;
    key(tab, "KeyW", false).await?;

    // A finger on the screen is a key too.
    tab.run("document.querySelector('[data-code=KeyW]').dispatchEvent(new PointerEvent('pointerdown', { bubbles: true, cancelable: true }))").await?;
    robot.until("motion by touch", |heard| heard.forward > MOVES).await?;
    tab.run(
        "document.querySelector('[data-code=KeyW]').dispatchEvent(new PointerEvent('pointerup', { bubbles: true }))",
    )
    .await?;
    robot.until("a stop after the touch", |heard| heard.forward == 0.0).await?;

    tab.until("/bit.s/.test(document.body.dataset.line)").await?;
    tab.until("document.body.dataset.map === 'true'").await?;
    tab.screenshot("hosted-map").await?;
    tab.run(
        "const map = document.querySelector('#map').getBoundingClientRect();
         const at = { clientX: map.left + map.width * 0.6, clientY: map.top + map.height * 0.4, bubbles: true };
         const canvas = document.querySelector('#map');
         canvas.setPointerCapture = () => {};
         canvas.dispatchEvent(new PointerEvent('pointerdown', at)); canvas.dispatchEvent(new PointerEvent('pointerup', at))",
    )
    .await?;
    robot.until("a goal", |heard| heard.goal.is_some()).await?;

    press(tab, "#leave").await?;
    tab.until("document.body.dataset.stage === 'Board' && document.querySelector('.connect:enabled').textContent === 'Connect'")
        .await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stop_acts_at_once_and_stays_until_it_is_re_armed() -> Result<()> {
    let set = Set::open(HostedKind::Twist).await?;
    let (tab, robot) = (&set.tab, &set.robot);
    set.connect().await?;
    key(tab, "KeyW", true).await?;
    robot.until("motion", |heard| heard.forward > MOVES).await?;
    press(tab, "#estop").await?;
    let stopped: String = tab.eval("document.body.dataset.stopped").await?;
    assert_eq!(stopped, "true", "nobody waits for the robot");
    tab.until("document.body.dataset.posture === 'Damp' && document.body.dataset.unheard === 'false'").await?;
    tab.screenshot("hosted-stopped").await?;
    key(tab, "KeyW", true).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    robot.heard.lock().expect("no panic").fastest = 0.0;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(robot.heard().fastest <= 0.0, "{:?}", robot.heard());

    press(tab, "#rearm").await?;
    tab.until("document.body.dataset.stopped === 'false'").await?;
    key(tab, "KeyW", false).await?;
    press(tab, "#stand").await?;
    tab.until("document.body.dataset.posture === 'StandReady'").await?;
    key(tab, "KeyW", true).await?;
    robot.until("motion after re-arming", |heard| heard.forward > MOVES).await?;
    key(tab, "KeyW", false).await?;
    // Escape stops too.
    key(tab, "Escape", true).await?;
    tab.until("document.body.dataset.stopped === 'true'").await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_everything_and_moves_nothing_but_the_stop() -> Result<()> {
    let set = Set::open(HostedKind::Twist).await?;
    let robot = &set.robot;
    set.connect().await?;
    let watching = set.chromium.tab().await?;
    let port = set.brokerage.broker().address().port();
    watching.page.goto(format!("http://localhost:{port}/")).await?;
    watching.until("document.body.dataset.stage === 'Board'").await?;
    press(&watching, ".robot .watch").await?;
    live(&watching).await?;
    key(&watching, "KeyW", true).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(robot.heard().fastest, 0.0);
    assert_eq!(watching.eval::<String>("document.body.dataset.commands").await?, "0");
    watching.screenshot("hosted-viewer").await?;
    press(&watching, "#estop").await?;
    set.tab.until("document.body.dataset.stopped === 'true'").await?;
    assert_eq!(set.tab.eval::<String>("document.body.dataset.way").await?, "Live", "nobody lost the robot");
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_the_broker_the_page_drives_again_once_the_keys_were_released() -> Result<()> {
    let mut set = Set::open(HostedKind::Twist).await?;
    set.connect().await?;
    let tab = &set.tab;
    key(tab, "KeyW", true).await?;
    set.robot.until("motion", |heard| heard.forward > MOVES).await?;
    set.brokerage.stop().await;
    tab.until("document.body.dataset.way.startsWith('Broken')").await?;
    tab.screenshot("hosted-broken").await?;
    set.brokerage.start_again().await?;
    live(tab).await?;
    key(tab, "KeyW", false).await?;
    tab.until("document.body.dataset.blocked === 'false'").await?;
    key(tab, "KeyW", true).await?;
    set.robot.until("motion after the restart", |heard| heard.forward > MOVES).await?;
    key(tab, "KeyW", false).await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_loses_the_robot_to_another_page_is_told_and_sends_nothing() -> Result<()> {
    let set = Set::open(HostedKind::Twist).await?;
    set.connect().await?;
    let other = set.chromium.tab().await?;
    let port = set.brokerage.broker().address().port();
    other.page.goto(format!("http://localhost:{port}/")).await?;
    other.until("document.querySelector('.robot .connect')").await?;
    assert_eq!(other.eval::<String>("document.querySelector('.robot .connect').textContent").await?, "Reclaim");
    press(&other, ".robot .connect").await?;
    live(&other).await?;
    set.tab.until("document.body.dataset.way === 'Evicted'").await?;
    set.tab.screenshot("hosted-evicted").await?;
    let sent: String = set.tab.eval("document.body.dataset.commands").await?;
    key(&set.tab, "KeyW", true).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(set.tab.eval::<String>("document.body.dataset.commands").await?, sent);
    key(&set.tab, "KeyW", false).await?;
    press(&set.tab, "#rejoin").await?;
    live(&set.tab).await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_jog_an_arm_and_a_hand_in_the_headset_moves_it_while_its_button_is_held() -> Result<()> {
    let set = Set::open(HostedKind::Arm).await?;
    let (tab, robot) = (&set.tab, &set.robot);
    set.connect().await?;
    key(tab, "KeyW", true).await?;
    robot.until("a jog", |heard| heard.jog > 0.1).await?;
    tab.screenshot("hosted-arm").await?;
    key(tab, "KeyW", false).await?;
    robot.until("the end of the jog", |heard| heard.jog == 0.0).await?;
    key(tab, "Space", true).await?;
    robot.until("a closed gripper", |heard| heard.gripper_closed == Some(true)).await?;
    key(tab, "Space", false).await?;

    enter_vr(tab).await?;
    let reach = |x: f64| place(tab, Hand::Right, DVec3::new(x, 1.1, -0.4), DQuat::IDENTITY);
    reach(0.2).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(robot.heard().deltas, 0, "nobody engages");
    hold(tab, Hand::Right, "a-button", 1).await?;
    robot.until("an engaged hand", |heard| heard.deltas > 0).await?;
    reach(0.3).await?;
    robot.until("a motion of ten centimetres", |heard| heard.furthest > 0.08).await?;
    tab.screenshot("hosted-vr-arm").await?;
    tab.until("document.body.dataset.engaged.includes('true')").await?;
    hold(tab, Hand::Right, "a-button", 0).await?;
    tab.until("!document.body.dataset.engaged.includes('true')").await?;
    let deltas = robot.heard().deltas;
    reach(0.2).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(robot.heard().deltas, deltas, "released");
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn thumbsticks_in_the_headset_drive_a_base_and_b_stops_it() -> Result<()> {
    let set = Set::open(HostedKind::Twist).await?;
    let (tab, robot) = (&set.tab, &set.robot);
    set.connect().await?;
    enter_vr(tab).await?;
    let fast = |heard: &Heard| heard.forward > 0.5 - MOVES;
    let give_up = Instant::now() + PATIENCE;
    // On a busy computer the picture may stand still for a second; then the stick must be let go first.
    while !fast(&robot.heard()) && Instant::now() < give_up {
        tab.run("headset.controllers.left.updateAxes('thumbstick', 0, 0)").await?;
        tokio::time::sleep(Duration::from_millis(300)).await;
        tab.run("headset.controllers.left.updateAxes('thumbstick', 0, -1)").await?;
        let pushed = Instant::now();
        while !fast(&robot.heard()) && pushed.elapsed() < Duration::from_secs(3) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    robot.until("half a metre a second", fast).await?;
    tab.screenshot("hosted-vr-drive").await?;
    tab.run("headset.controllers.left.updateAxes('thumbstick', 0, 0)").await?;
    robot.until("a stop after the stick", |heard| heard.forward == 0.0).await?;
    hold(tab, Hand::Right, "b-button", 1).await?;
    tab.until("document.body.dataset.stopped === 'true' && document.body.dataset.posture === 'Damp'").await?;
    hold(tab, Hand::Right, "b-button", 0).await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cockpit_fits_a_phone() -> Result<()> {
    let set = Set::open(HostedKind::Twist).await?;
    set.tab.page.execute(SetDeviceMetricsOverrideParams::new(390, 844, 2.0, true)).await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let fits = "document.documentElement.scrollWidth <= 390";
    set.tab.screenshot("hosted-phone-board").await?;
    assert!(set.tab.eval::<bool>(fits).await?, "the list of robots");
    set.connect().await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    set.tab.screenshot("hosted-phone").await?;
    assert!(set.tab.eval::<bool>(fits).await?, "the cockpit");
    set.close().await
}
