//! The page of the field in headless Chromium, with an emulated headset and without, against a whole robot.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chromiumoxide::cdp::browser_protocol::emulation::SetDeviceMetricsOverrideParams;
use glam::{DQuat, DVec3};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use waldo_protocol::field::{ControllerSample, LEFT, RIGHT, SceneState, Transform, XrInput, XrInputSample};
use waldo_protocol::vr::Hand;
use waldo_tests::browser::{Chromium, PATIENCE, Tab};
use waldo_tests::client::Client;
use waldo_tests::headset::{enter_vr, hold, place, with_headset};
use waldo_tests::process::RobotProcess;
use waldo_tests::robot::{Robotics, with_field};
use waldo_tests::scripted::{Script, ScriptedRobot};

/// A robot with its field, a browser, and the page of the field in it.
struct Set {
    robot: Robotics,
    chromium: Chromium,
    tab: Tab,
}

impl Set {
    async fn open(width: u32, height: u32, address: &str) -> Result<Self> {
        let robot = Robotics::start(with_field).await?;
        let chromium = Chromium::launch(width, height).await?;
        let tab = chromium.tab().await?;
        with_headset(&tab).await?;
        tab.open(robot.addr.port(), address).await?;
        Ok(Self { robot, chromium, tab })
    }

    fn scene(&self) -> Arc<SceneState> {
        self.robot.waldo.field().expect("the field is on").scene()
    }

    /// Where an arm ends.
    fn tip(&self, arm: &str) -> Option<DVec3> {
        Some(DVec3::from_array(self.scene().arms.get(arm)?.tip.translation))
    }

    async fn client(&self) -> Result<Client> {
        Client::connect(self.robot.addr, &self.robot.tls, "/field").await
    }

    async fn close(self) -> Result<()> {
        self.chromium.close().await?;
        self.robot.waldo.stop().await;
        Ok(())
    }
}

/// Presses a button of the page, which may be below what is on the screen.
async fn press(tab: &Tab, selector: &str) -> Result<()> {
    tab.until(&format!("document.querySelector('{selector}') && !document.querySelector('{selector}').disabled"))
        .await?;
    tab.run(&format!("document.querySelector('{selector}').click()")).await
}

async fn joined(tab: &Tab) -> Result<String> {
    tab.until("document.body.dataset.link === 'Connected' && document.body.dataset.user").await?;
    tab.eval("document.body.dataset.user").await
}

/// The emulated head looks at where the hands are.
async fn look_down(tab: &Tab) -> Result<()> {
    let q = DQuat::from_rotation_x(-0.55);
    tab.run(&format!("headset.quaternion.set({}, {}, {}, {})", q.x, q.y, q.z, q.w)).await
}

fn envelope(kind: &str, payload: &Value) -> String {
    json!({"version": 1, "type": kind, "payload": payload}).to_string()
}

/// Somebody else who drives two arms over a socket of their own, for as long as this lives.
struct Stranger {
    user: String,
    hands: tokio::sync::watch::Sender<[DVec3; 2]>,
    driving: JoinHandle<()>,
}

impl Stranger {
    async fn join(set: &Set, user: &str, mode: &str) -> Result<Self> {
        let mut client = set.client().await?;
        let hello = json!({"role": "vr_client", "user_id": user, "character_mode": mode});
        client.send(envelope("hello", &hello)).await?;
        client.receive_type("hello_ack").await?;
        let (hands, wanted) = tokio::sync::watch::channel([DVec3::new(-0.2, 1.0, -0.45), DVec3::new(0.2, 1.0, -0.45)]);
        let driving = tokio::spawn(async move {
            for tick in 0_u32.. {
                let [left, right] = *wanted.borrow();
                let hand = |at: DVec3| ControllerSample::at(Transform::at(at.to_array()));
                let sample = XrInputSample {
                    timestamp: f64::from(tick) / 30.0,
                    head_pose: Transform::at([0.0, 1.55, 0.35]),
                    controllers: [(LEFT.to_owned(), hand(left)), (RIGHT.to_owned(), hand(right))].into(),
                    actions: [].into(),
                };
                let input = waldo_protocol::field::ClientMessage::XrInput(XrInput { sample, seq: None });
                if client.send(input.encode()).await.is_err() {
                    return;
                }
                // Scenes come unasked, and must be read.
                let _ = tokio::time::timeout(Duration::from_millis(33), async { while client.next().await.is_ok() {} })
                    .await;
            }
        });
        Ok(Self { user: user.to_owned(), hands, driving })
    }

    fn arm(&self, index: usize) -> String {
        format!("{}_arm_{index}", self.user)
    }

    /// Moves both hands, and waits until the arms have followed.
    async fn reach(&self, set: &Set, left: DVec3, right: DVec3) -> Result<()> {
        let before = set.tip(&self.arm(1)).unwrap_or_default();
        self.hands.send_replace([left, right]);
        set.robot
            .until("the stranger's arm to follow", |_| {
                set.tip(&self.arm(1)).is_some_and(|tip| tip.distance(before) > 0.1)
            })
            .await?;
        // Soft arms swing for a moment.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        Ok(())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.driving.abort();
    }
}

/// A picture of the tab.
struct Shot {
    width: usize,
    pixels: Vec<[u8; 3]>,
}

impl Shot {
    async fn of(tab: &Tab, name: &str) -> Result<Self> {
        let png = tab.screenshot(name).await?;
        let mut reader = png::Decoder::new(Cursor::new(png)).read_info()?;
        let mut bytes = vec![0; reader.output_buffer_size().context("a picture that fits into memory")?];
        let info = reader.next_frame(&mut bytes)?;
        let pixels = bytes.chunks_exact(info.color_type.samples()).map(|p| [p[0], p[1], p[2]]).collect();
        Ok(Self { width: info.width as usize, pixels })
    }

    /// How many pixels are of that colour, and their middle, x right and y down.
    fn find(&self, is: impl Fn([i32; 3]) -> bool) -> (usize, [f64; 2]) {
        let (mut count, mut sum) = (0, [0.0; 2]);
        for (index, pixel) in self.pixels.iter().enumerate() {
            if is(pixel.map(i32::from)) {
                count += 1;
                sum[0] += (index % self.width) as f64;
                sum[1] += (index / self.width) as f64;
            }
        }
        (count, sum.map(|sum| sum / f64::from(u32::try_from(count.max(1)).expect("a picture"))))
    }

    /// The share of pixels that clearly differ.
    fn differs_from(&self, other: &Self) -> f64 {
        let differs = |(a, b): (&[u8; 3], &[u8; 3])| a.iter().zip(b).any(|(a, b)| a.abs_diff(*b) > 24);
        let count = self.pixels.iter().zip(&other.pixels).filter(|pair| differs(*pair)).count();
        count as f64 / self.pixels.len() as f64
    }
}

/// The colour of a second arm; nothing else on the page is as blue.
fn blue([r, g, b]: [i32; 3]) -> bool {
    b > r + 70 && b > g + 20 && b > 130
}

fn magenta([r, g, b]: [i32; 3]) -> bool {
    r > g + 90 && b > g + 90
}

fn green([r, g, b]: [i32; 3]) -> bool {
    g > r + 90 && g > b + 90
}

/// Waits until a picture shows what it should.
async fn until_seen(tab: &Tab, name: &str, seen: impl Fn(&Shot) -> bool) -> Result<Shot> {
    let start = Instant::now();
    loop {
        let shot = Shot::of(tab, name).await?;
        if seen(&shot) {
            return Ok(shot);
        }
        if start.elapsed() > PATIENCE {
            bail!("{name} never shows it; the picture is in the artifacts");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn joining_drives_one_s_own_arms_with_the_emulated_controllers() -> Result<()> {
    let set = Set::open(1280, 800, "#field").await?;
    let tab = &set.tab;
    tab.until("document.querySelector('#join')").await?;
    tab.screenshot("field-landing").await?;
    press(tab, "#join").await?;
    let user = joined(tab).await?;
    let arm = format!("{user}_arm_1");
    tab.until("document.body.dataset.arms === '2'").await?;
    set.robot.until("arms of the page's user", |_| set.tip(&arm).is_some()).await?;
    until_seen(tab, "field-joined", |shot| shot.find(blue).0 > 60).await?;

    enter_vr(tab).await?;
    let reach = |at: DVec3| async move { place(tab, Hand::Right, at, DQuat::IDENTITY).await };
    // A controller's grip is some centimetres from where the emulator says the controller is.
    let near = |at: DVec3| set.tip(&arm).is_some_and(|tip| tip.distance(at) < 0.15);
    for at in [DVec3::new(0.2, 1.05, -0.5), DVec3::new(0.25, 1.3, -0.4)] {
        reach(at).await?;
        set.robot.until(&format!("the right arm at {at}"), |_| near(at)).await?;
    }
    tab.until("document.body.dataset.words === 'Your hands drive'").await?;
    look_down(tab).await?;
    until_seen(tab, "field-vr", |shot| shot.find(blue).0 > 500).await?;

    // Held A lets the arm hang loose: it follows no more.
    hold(tab, Hand::Right, "a-button", 1).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    reach(DVec3::new(0.2, 1.0, -0.55)).await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!near(DVec3::new(0.2, 1.0, -0.55)) || set.tip(&arm).is_some_and(|tip| tip.y > 1.1));
    hold(tab, Hand::Right, "a-button", 0).await?;
    set.robot.until("the right arm follows again", |_| near(DVec3::new(0.2, 1.0, -0.55))).await?;

    // Leaving VR lets go; leaving the field takes the arms along.
    tab.run("headset.activeSession.end()").await?;
    tab.until("document.body.dataset.presence === 'Out'").await?;
    press(tab, "#leave").await?;
    set.robot.until("the arms gone", |_| set.tip(&arm).is_none()).await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spectator_sees_who_drives_and_where_the_arms_go() -> Result<()> {
    let set = Set::open(1280, 800, "#field").await?;
    let tab = &set.tab;
    let amy = Stranger::join(&set, "amy", "two-cr").await?;
    press(tab, "#spectate").await?;
    joined(tab).await?;
    tab.until("document.body.dataset.followed === 'amy' && document.body.dataset.people === '1'").await?;
    amy.reach(&set, DVec3::new(-0.3, 0.8, -0.45), DVec3::new(0.3, 0.8, -0.45)).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    tab.screenshot("field-spectate").await?;

    // From now on the view stands still, and only the arm moves in it.
    tab.run("document.querySelector('#scene').focus()").await?;
    tab.run("for (const type of ['keydown', 'keyup']) document.querySelector('#scene').dispatchEvent(new KeyboardEvent(type, { code: 'KeyE', bubbles: true }))").await?;
    tab.until("document.querySelector('#follow')").await?;
    let low = until_seen(tab, "field-spectate-low", |shot| shot.find(blue).0 > 100).await?;
    amy.reach(&set, DVec3::new(-0.3, 1.35, -0.4), DVec3::new(0.3, 1.35, -0.4)).await?;
    let high = Shot::of(tab, "field-spectate-high").await?;
    let (from, to) = (low.find(blue).1, high.find(blue).1);
    assert!(to[1] < from[1] - 25.0, "the arm went up, the blue pixels from {from:?} to {to:?}");

    press(tab, "#follow").await?;
    enter_vr(tab).await?;
    look_down(tab).await?;
    until_seen(tab, "field-spectate-vr", |shot| shot.find(blue).0 > 100).await?;
    tab.run("headset.activeSession.end()").await?;
    drop(amy);
    tab.until("document.body.dataset.followed === ''").await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_arm_camera_looks_from_the_arm_that_is_chosen() -> Result<()> {
    let set = Set::open(1280, 800, "#field").await?;
    let tab = &set.tab;
    press(tab, "#arm-camera").await?;
    joined(tab).await?;
    let amy = Stranger::join(&set, "amy", "two-cr").await?;
    amy.reach(&set, DVec3::new(-0.3, 0.85, -0.5), DVec3::new(0.3, 1.3, -0.45)).await?;
    tab.until("document.body.dataset.seat === 'amy_arm_0'").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let left = Shot::of(tab, "field-arm-camera").await?;
    tab.run("const seat = document.querySelector('#seat'); seat.value = 'amy_arm_1'; seat.dispatchEvent(new Event('change'))")
        .await?;
    tab.until("document.body.dataset.seat === 'amy_arm_1'").await?;
    let start = Instant::now();
    loop {
        let share = Shot::of(tab, "field-arm-camera-right").await?.differs_from(&left);
        if share > 0.02 {
            break;
        }
        if start.elapsed() > PATIENCE {
            bail!("both arms see the same: {share}");
        }
    }
    drop(amy);
    tab.until("document.querySelector('#seat') === null").await?;
    set.close().await
}

/// A box of 0.4 m in this colour as a binary glTF in base64.
fn crate_of(colour: [f64; 3]) -> String {
    let mut bin: Vec<u8> = Vec::new();
    for corner in 0..8_u8 {
        for axis in 0..3 {
            let side = if corner >> axis & 1 == 1 { 0.2_f32 } else { -0.2 };
            bin.extend(side.to_le_bytes());
        }
    }
    let faces = [[0, 2, 1, 3], [4, 5, 6, 7], [0, 1, 4, 5], [2, 6, 3, 7], [0, 4, 2, 6], [1, 3, 5, 7]];
    for [a, b, c, d] in faces {
        for corner in [a, b, c, c, b, d] {
            bin.extend(u16::to_le_bytes(corner));
        }
    }
    let json = json!({
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [colour[0], colour[1], colour[2], 1.0]}}],
        "buffers": [{"byteLength": bin.len()}],
        "bufferViews": [{"buffer": 0, "byteLength": 96}, {"buffer": 0, "byteOffset": 96, "byteLength": 72}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 8, "type": "VEC3", "min": [-0.2, -0.2, -0.2], "max": [0.2, 0.2, 0.2]},
            {"bufferView": 1, "componentType": 5123, "count": 36, "type": "SCALAR"},
        ],
    });
    let mut text = json.to_string().into_bytes();
    text.resize(text.len().next_multiple_of(4), b' ');
    let word = |number: usize| u32::try_from(number).expect("a small file").to_le_bytes();
    let length = 12 + 8 + text.len() + 8 + bin.len();
    let mut file = b"glTF".to_vec();
    file.extend([word(2), word(length), word(text.len())].concat());
    file.extend([b"JSON".as_slice(), &text, &word(bin.len()), b"BIN\0", &bin].concat());
    STANDARD.encode(file)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_mesh_appears_is_read_once_and_again_when_it_changes() -> Result<()> {
    let set = Set::open(1280, 800, "#field").await?;
    let tab = &set.tab;
    press(tab, "#spectate").await?;
    joined(tab).await?;
    let mut publisher = set.client().await?;
    publisher.send(envelope("hello", &json!({"role": "publisher", "owner_id": "rig"}))).await?;
    publisher.receive_type("hello_ack").await?;
    let mesh = |data: String| json!({"mesh_id": "crate", "mesh_data_b64": data, "translation": [0, 1.2, 0], "static_asset": true});
    publisher.send(envelope("add_mesh", &mesh(crate_of([1.0, 0.0, 1.0])))).await?;
    publisher.receive_type("mesh_ack").await?;
    let points: Vec<_> =
        (0..200).map(|i| [0.5 + f64::from(i % 20) * 0.02, 1.0 + f64::from(i / 20) * 0.02, 0.0]).collect();
    publisher.send(envelope("update_overlay_points", &json!({"overlay_id": "cloud", "points": points}))).await?;
    tab.until("document.body.dataset.meshes === '1'").await?;
    until_seen(tab, "field-mesh", |shot| shot.find(magenta).0 > 2000).await?;

    // Its data came once: whatever else happens in the scene, it is not read again.
    for x in [0.1, 0.2, 0.3] {
        publisher
            .send(envelope("update_mesh_transform", &json!({"mesh_id": "crate", "translation": [x, 1.2, 0]})))
            .await?;
        publisher.receive_type("mesh_ack").await?;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(tab.eval::<String>("document.body.dataset.meshReads").await?, "1");

    publisher.send(envelope("add_mesh", &mesh(crate_of([0.0, 1.0, 0.0])))).await?;
    tab.until("document.body.dataset.meshReads === '2'").await?;
    until_seen(tab, "field-mesh-changed", |shot| shot.find(green).0 > 2000 && shot.find(magenta).0 == 0).await?;

    publisher.send(envelope("add_mesh", &mesh("bm90IGEgbWVzaA==".to_owned()))).await?;
    tab.until("document.body.dataset.fault.startsWith('The mesh crate is not drawn')").await?;
    tab.screenshot("field-mesh-fault").await?;
    drop(publisher);
    tab.until("document.body.dataset.fault === '' && document.body.dataset.meshes === '0'").await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn pulses_last_as_long_as_the_arm_feels_something_and_only_then() -> Result<()> {
    let field = ScriptedRobot::start(Script::default()).await?;
    let address = format!("?ws=wss://localhost:{}/x&mode=spirobs#field", field.addr.port());
    let set = Set::open(1280, 800, &address).await?;
    let tab = &set.tab;
    press(tab, "#join").await?;
    field.until("a hello", |field| !field.messages("hello").is_empty()).await?;
    let hello = &field.messages("hello")[0]["payload"];
    assert_eq!((&hello["role"], &hello["character_mode"]), (&json!("vr_client"), &json!("spirobs")));
    let say = |kind: &str, payload: Value| {
        field.say(&json!({"version": 1, "type": kind, "payload": payload}));
    };
    let arms = json!(["user_1_arm_0", "user_1_arm_1"]);
    say(
        "hello_ack",
        json!({
            "protocol": 1, "server_time": 0.0, "role": "vr_client", "character_mode": "spirobs", "user_id": "user_1",
            "arm_ids": arms, "controlled_arm_ids": arms,
        }),
    );
    joined(tab).await?;
    enter_vr(tab).await?;
    tab.run(
        "window.pulses = []; for (const source of headset.activeSession.inputSources)
            source.gamepad.hapticActuators[0].pulse = (amplitude, ms) => pulses.push([source.handedness, amplitude])",
    )
    .await?;
    let scene = |timestamp: f64, active: bool, intensity: f64| {
        say(
            "scene_state",
            json!({
                "timestamp": timestamp, "arms": {}, "scenery": {}, "user_arms": {}, "meshes": {}, "overlay_points": {},
                "spheres": {}, "haptics": [{"arm_id": "user_1_arm_1", "active": active, "intensity": intensity}],
            }),
        );
    };
    scene(1.0, false, 0.9);
    scene(2.0, true, 0.42);
    scene(3.0, true, 0.42);
    scene(4.0, false, 0.0);
    scene(5.0, false, 0.0);
    tab.until("document.body.dataset.scenes === '5'").await?;
    let pulses: Value = tab.eval("pulses").await?;
    assert_eq!(pulses, json!([["right", 0.42], ["right", 0.42], ["right", 0]]));

    // The controllers of the emulator, as an original server gets them.
    hold(tab, Hand::Left, "trigger", 1).await?;
    field
        .until("a pulled trigger", |field| {
            field.messages("xr_input").last().is_some_and(|input| input["payload"]["actions"]["crawl"] == true)
        })
        .await?;
    let inputs = field.messages("xr_input");
    let input = &inputs.last().context("samples")?["payload"];
    assert_eq!(input["controllers"]["left"]["buttons"]["trigger_click"], true);
    assert_eq!(input["controllers"]["right"]["buttons"]["trigger_click"], false);
    assert!(input.get("seq").is_none(), "nothing is sent that was not agreed on");
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_of_the_page_says_where_the_field_is() -> Result<()> {
    let set = Set::open(1280, 800, "?ws_port=9#field").await?;
    let requests = set.tab.requests().await?;
    press(&set.tab, "#join").await?;
    set.robot
        .until("a socket to that port", |_| requests.so_far().iter().any(|url| url.starts_with("wss://localhost:9/")))
        .await?;
    set.tab.screenshot("field-connecting").await?;
    set.tab.run("location.search = '?ws_port=none'").await?;
    set.tab.until("document.body.innerText.includes('the parameter ws_port must be a number')").await?;
    set.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_of_the_server_the_same_user_drives_again_in_the_same_presentation() -> Result<()> {
    let data = TempDir::new()?;
    let program = Path::new(env!("CARGO_BIN_EXE_robot"));
    let mut robot = RobotProcess::start(program, data.path(), 0)?;
    let chromium = Chromium::launch(1280, 800).await?;
    let tab = chromium.tab().await?;
    with_headset(&tab).await?;
    tab.open(robot.addr.port(), "#field").await?;
    press(&tab, "#join").await?;
    let user = joined(&tab).await?;
    enter_vr(&tab).await?;
    let sent = |at_least: u32| format!("Number(document.body.dataset.inputs) >= {at_least}");
    tab.until(&sent(5)).await?;

    robot.kill()?;
    tab.until("document.body.dataset.words === 'Connection lost'").await?;
    tab.screenshot("field-lost").await?;
    let robot = RobotProcess::start(program, data.path(), robot.addr.port())?;
    assert_eq!(joined(&tab).await?, user);
    let so_far: String = tab.eval("document.body.dataset.inputs").await?;
    tab.until(&sent(so_far.parse::<u32>()? + 5)).await?;
    tab.until("document.body.dataset.words === 'Your hands drive'").await?;
    chromium.close().await?;
    robot.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_is_readable_on_a_phone_and_with_an_octopus() -> Result<()> {
    let set = Set::open(1280, 800, "?mode=cathy-foraging#field").await?;
    let tab = &set.tab;
    press(tab, "#join").await?;
    joined(tab).await?;
    tab.until("document.body.dataset.arms === '8'").await?;
    let amy = Stranger::join(&set, "amy", "two-cr").await?;
    tab.until("document.body.dataset.people === '1'").await?;
    amy.reach(&set, DVec3::new(-0.3, 0.85, -0.5), DVec3::new(0.3, 1.3, -0.45)).await?;
    tab.screenshot("field-octopus").await?;
    let phone = SetDeviceMetricsOverrideParams::new(390, 844, 2.0, true);
    tab.page.execute(phone).await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let fits: bool = tab.eval("document.documentElement.scrollWidth <= 390").await?;
    tab.screenshot("field-phone").await?;
    tab.run("document.querySelector('#scene').scrollIntoView()").await?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    tab.screenshot("field-phone-scene").await?;
    assert!(fits, "nothing sticks out");
    set.close().await
}

/// Where the left hand is that the page of a user of this character sends, while the emulated controller is there.
async fn sent_hand(mode: &str, at: DVec3) -> Result<DVec3> {
    let field = ScriptedRobot::start(Script::default()).await?;
    let address = format!("?ws=wss://localhost:{}/x&mode={mode}#field", field.addr.port());
    let set = Set::open(1280, 800, &address).await?;
    let tab = &set.tab;
    press(tab, "#join").await?;
    field.until("a hello", |field| !field.messages("hello").is_empty()).await?;
    let arms = json!(["user_1_arm_0", "user_1_arm_1"]);
    let ack = json!({
        "protocol": 1, "server_time": 0.0, "role": "vr_client", "character_mode": mode, "user_id": "user_1",
        "arm_ids": arms, "controlled_arm_ids": arms,
    });
    field.say(&json!({"version": 1, "type": "hello_ack", "payload": ack}));
    joined(tab).await?;
    enter_vr(tab).await?;
    place(tab, Hand::Left, at, DQuat::IDENTITY).await?;
    let hand = |field: &ScriptedRobot| -> Option<DVec3> {
        let inputs = field.messages("xr_input");
        let place = &inputs.last()?["payload"]["controllers"]["left"]["pose"]["translation"];
        Some(DVec3::new(place[0].as_f64()?, place[1].as_f64()?, place[2].as_f64()?))
    };
    field.until("the hand is there", |field| hand(field).is_some_and(|hand| hand.distance(at) < 0.15)).await?;
    let sent = hand(&field).context("samples")?;
    set.close().await?;
    Ok(sent)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walking_octopus_gets_where_controllers_point_and_others_where_they_are_held() -> Result<()> {
    // The emulator's controllers are where their rays begin; they are held some centimetres from there.
    let at = DVec3::new(-0.3, 1.25, -0.6);
    let (ray, grip) = (sent_hand("octo-waypoint", at).await?, sent_hand("two-cr", at).await?);
    assert!(ray.distance(at) < 1e-3, "{ray} is not {at}");
    assert!(grip.distance(at) > 5e-3, "{grip} is where the ray begins");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_headsets_see_each_other_s_head_and_hands() -> Result<()> {
    let set = Set::open(1280, 800, "#field").await?;
    // The controllers of a walking octopus move no arms: what moves in the picture are head and hands.
    let other = Chromium::launch(800, 600).await?;
    let theirs = other.tab().await?;
    with_headset(&theirs).await?;
    theirs.open(set.robot.addr.port(), "?mode=octo-waypoint#field").await?;
    let mut users = Vec::new();
    for tab in [&set.tab, &theirs] {
        press(tab, "#join").await?;
        users.push(joined(tab).await?);
        enter_vr(tab).await?;
    }
    for tab in [&set.tab, &theirs] {
        tab.until("document.body.dataset.people === '1'").await?;
    }
    let stands = async |at: DVec3| -> Result<()> {
        theirs.run(&format!("headset.position.set({}, {}, {})", at.x, at.y, at.z)).await?;
        place(&theirs, Hand::Left, at + DVec3::new(-0.2, -0.15, 0.0), DQuat::IDENTITY).await?;
        place(&theirs, Hand::Right, at + DVec3::new(0.2, -0.15, 0.0), DQuat::IDENTITY).await?;
        let is_there = || {
            let scene = set.scene();
            let person = scene.people.get(&users[1])?;
            let near = |place: [f64; 3], wanted: DVec3| DVec3::from_array(place).distance(wanted) < 0.15;
            let hand = person.controllers.get(LEFT)?.pose.translation;
            (near(person.head_pose.translation, at) && near(hand, at + DVec3::new(-0.2, -0.15, 0.0))).then_some(())
        };
        set.robot.until(&format!("the other one at {at}"), |_| is_there().is_some()).await?;
        // Until that is drawn.
        tokio::time::sleep(Duration::from_millis(500)).await;
        Ok(())
    };
    stands(DVec3::new(0.0, 1.55, -1.2)).await?;
    let near = Shot::of(&set.tab, "field-two-near").await?;
    stands(DVec3::new(0.0, 1.55, 3.0)).await?;
    let start = Instant::now();
    loop {
        let gone = Shot::of(&set.tab, "field-two-gone").await?.differs_from(&near);
        if gone > 0.003 {
            break;
        }
        if start.elapsed() > PATIENCE {
            bail!("head and hands are not to be seen: {gone}");
        }
    }
    // Who leaves VR shows no hands any more.
    theirs.run("headset.activeSession.end()").await?;
    set.tab.until("document.body.dataset.people === '0'").await?;
    theirs.until("document.body.dataset.people === '1'").await?;
    other.close().await?;
    set.close().await
}
