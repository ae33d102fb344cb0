//! The page's ways to its robot, and what becomes of them: in headless Chromium with an emulated headset.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use tempfile::TempDir;
use waldo_protocol::vr::{Hand, VrFrame};
use waldo_server::config::Settings;
use waldo_tests::browser::{Chromium, PATIENCE, Tab};
use waldo_tests::headset::{engage, enter_vr, frames, hold, with_headset};
use waldo_tests::process::RobotProcess;
use waldo_tests::robot::{Robotics, local};
use waldo_tests::scripted::Script;
use waldo_tests::stage::Stage;

/// Mean brightness of the middle of a screenshot, where the overhead picture hangs; 0 to 255.
async fn brightness(tab: &Tab, name: &str) -> Result<f64> {
    let png = tab.screenshot(name).await?;
    let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info()?;
    let mut pixels = vec![0; reader.output_buffer_size().context("a picture that fits into memory")?];
    let info = reader.next_frame(&mut pixels)?;
    let (samples, width, height) = (info.color_type.samples(), info.width as usize, info.height as usize);
    let rows = height * 9 / 20..height * 11 / 20;
    let middle = rows.flat_map(|y| (width / 5..width * 3 / 10).map(move |x| (y * width + x) * samples));
    let values: Vec<f64> = middle.flat_map(|at| pixels[at..at + 3].iter().copied().map(f64::from)).collect();
    Ok(values.iter().sum::<f64>() / values.len() as f64)
}

/// Keeps in `marks` when the latest socket opened and how much later each picture element had its first picture, ms.
const MARK_FIRST_PICTURES: &str = "window.marks = { open: 0, pictures: [] };
    const Plain = WebSocket;
    window.WebSocket = class extends Plain {
        constructor(url) {
            super(url);
            marks.socket = this;
            this.addEventListener('open', () => { marks.open = performance.now(); marks.pictures = []; });
        }
    };
    const request = HTMLVideoElement.prototype.requestVideoFrameCallback;
    HTMLVideoElement.prototype.requestVideoFrameCallback = function (tell) {
        return request.call(this, (now, frame) => {
            if (!(this.firstAt > marks.open)) {
                this.firstAt = performance.now();
                marks.pictures.push(this.firstAt - marks.open);
            }
            tell(now, frame);
        });
    };";

/// Counts in `ways` what poses went through.
const COUNT_POSES: &str = "window.ways = { channel: 0, socket: 0 };
    for (const [type, way] of [[RTCDataChannel, 'channel'], [WebSocket, 'socket']]) {
        const send = type.prototype.send;
        type.prototype.send = function (text) {
            if (text.startsWith('{\"l_ee\"')) ways[way] += 1;
            send.call(this, text);
        };
    }";

/// A headset in whose page this script runs before the page's own.
async fn headset(script: impl Into<String>) -> Result<(Chromium, Tab)> {
    let chromium = Chromium::launch(1280, 640).await?;
    let tab = chromium.tab().await?;
    with_headset(&tab).await?;
    tab.page.add_init_script(script.into()).await?;
    Ok((chromium, tab))
}

const TWO_CAMERAS: &str = "document.body.dataset.cameras.split(' ').length >= 2";

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_and_a_restart_of_the_robot_everything_comes_back_in_the_same_presentation() -> Result<()> {
    let (program, data) = (Path::new(env!("CARGO_BIN_EXE_robot")), TempDir::new()?);
    let mut robot = RobotProcess::start(program, data.path(), 0)?;
    let port = robot.addr.port();
    let (chromium, tab) = headset(MARK_FIRST_PICTURES).await?;
    tab.open(port, "").await?;
    tab.until("document.body.dataset.link === 'Connected'").await?;
    enter_vr(&tab).await?;
    tab.until(TWO_CAMERAS).await?;
    engage(&tab).await?;
    let alive = brightness(&tab, "before-the-kill").await?;

    robot.kill()?;
    tab.until("document.body.dataset.link === 'Reconnecting'").await?;
    // Long enough for the pictures to count as old, and for some attempts to fail.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    let frozen = brightness(&tab, "robot-killed").await?;
    assert!((frozen - alive).abs() < 10.0 && frozen > 25.0, "the picture stands still: {alive} then {frozen}");
    assert_eq!(tab.eval::<String>("document.body.dataset.presence").await?, "Visible");

    let _robot = RobotProcess::start(program, data.path(), port)?;
    let returned = Instant::now();
    tab.until("document.body.dataset.link === 'Connected'").await?;
    let connected = returned.elapsed();
    tab.until(TWO_CAMERAS).await?;
    let live = returned.elapsed();
    tab.until("marks.pictures.length >= document.querySelectorAll('video').length").await?;
    let from_socket: f64 = tab.eval("Math.max(...marks.pictures)").await?;
    eprintln!(
        "after the robot's return: socket {connected:.2?}, all pictures {live:.2?}; from socket to the last first picture \
         {from_socket:.0} ms"
    );
    assert!(live < PATIENCE);
    assert_eq!(tab.eval::<String>("document.body.dataset.presence").await?, "Visible");
    tab.until("document.body.dataset.engaged === 'false' && document.body.dataset.lost === 'true'").await?;
    tab.screenshot("robot-returned").await?;

    engage(&tab).await?;
    tab.until("document.body.dataset.lost === 'false'").await?;
    chromium.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_broke_is_opened_again_and_all_pictures_move_on() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let (chromium, tab) = headset(MARK_FIRST_PICTURES).await?;
    tab.open(robot.addr.port(), "").await?;
    enter_vr(&tab).await?;
    tab.until(TWO_CAMERAS).await?;
    for _ in 0..3 {
        let opened: f64 = tab.eval("marks.open").await?;
        tab.run("marks.socket.close()").await?;
        tab.until(&format!("marks.open > {opened}")).await?;
        tab.until("marks.pictures.length >= document.querySelectorAll('video').length").await?;
        let from_socket: f64 = tab.eval("Math.max(...marks.pictures)").await?;
        eprintln!("from the open socket to the last first picture: {from_socket:.0} ms");
        assert!(from_socket < 5000.0);
    }
    assert_eq!(tab.eval::<String>("document.body.dataset.presence").await?, "Visible");
    chromium.close().await?;
    robot.waldo.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn poses_take_the_channel_and_the_socket_when_there_is_none() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let (chromium, tab) = headset(COUNT_POSES).await?;
    tab.open(robot.addr.port(), "").await?;
    tab.until("document.body.dataset.transport === 'Channel'").await?;
    enter_vr(&tab).await?;
    frames(&tab, 20).await?;
    assert_eq!(tab.eval::<u32>("ways.socket").await?, 0);
    assert!(tab.eval::<u32>("ways.channel").await? >= 20);
    robot.until("a frame over the channel", |robot| robot.waldo.server().frame().is_some()).await?;
    engage(&tab).await?;

    // The last frame goes both ways.
    hold(&tab, Hand::Left, "y-button", 1).await?;
    tab.until("document.body.dataset.presence === 'Out'").await?;
    assert_eq!(tab.eval::<u32>("ways.socket").await?, 1);
    robot.until("the rest move", |robot| robot.waldo.server().frame().is_some_and(|frame| frame.reset)).await?;
    chromium.close().await?;
    robot.waldo.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_never_said_hello_is_given_up_and_the_headset_left() -> Result<()> {
    let Stage { page, robot, chromium, tab } = Stage::in_vr(None, Vec::new()).await?;
    let lost = Instant::now();
    drop(robot);
    tab.until("document.body.dataset.link === 'Reconnecting'").await?;
    tab.until("document.body.dataset.link === 'Failed' && document.body.dataset.presence === 'Out'").await?;
    assert!(lost.elapsed() > Duration::from_secs(3), "three retries, a second apart, were made");
    tab.until("document.body.innerText.includes('The connection to the robot was lost.')").await?;
    tab.screenshot("given-up").await?;
    chromium.close().await?;
    page.waldo.stop().await;
    Ok(())
}

/// Makes the headset's end of the cable lead to this port.
fn forward_cable(port: u16) -> String {
    format!(
        "const Unforwarded = WebSocket;
        window.WebSocket = class extends Unforwarded {{
            constructor(url) {{ super(url.replace('localhost:8000/', 'localhost:{port}/')); }}
        }}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_option_every_frame_goes_over_the_usb_cable_too() -> Result<()> {
    let stage = Stage::set(Script { caps: Some(Vec::new()), ..Script::default() }).await?;
    stage.tab.page.add_init_script(forward_cable(stage.robot.addr.port())).await?;
    stage.open_page("").await?;
    let (tab, robot) = (&stage.tab, &stage.robot);
    assert_eq!(tab.eval::<String>("document.body.dataset.cable").await?, "Off");
    tab.click("#usb").await?;
    tab.until("document.body.dataset.cable === 'Open'").await?;
    enter_vr(tab).await?;
    frames(tab, 5).await?;
    robot
        .until("the same frame on both sockets", |robot| {
            let heard = robot.heard();
            let on = |socket| heard.iter().filter(move |h| h.socket == socket && h.message.get("l_ee").is_some());
            on(1).any(|network| on(2).any(|cable| cable.message == network.message))
        })
        .await?;
    let streams: Vec<_> = robot.messages("hello").into_iter().map(|hello| hello["stream"].clone()).collect();
    assert!(streams.len() == 2 && streams[0] == streams[1], "two sockets of one stream: {streams:?}");
    let others = robot.heard().into_iter().filter(|h| h.socket == 2 && h.message.get("type") != Some(&json!("hello")));
    assert!(others.into_iter().all(|h| h.message.get("l_ee").is_some()), "only poses go over the cable");

    tab.page.reload().await?;
    tab.until("document.body.dataset.cable === 'Open'").await?;
    stage.close().await
}

/// When each of so many attempts to reach the cable's end began, on the page's clock in milliseconds.
async fn cable_attempts(tab: &Tab, count: usize) -> Result<Vec<f64>> {
    tab.until(&format!("attempts.length >= {count}")).await?;
    tab.eval("attempts").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cable_without_a_robot_is_tried_every_second_for_ever() -> Result<()> {
    let stage = Stage::set(Script { caps: Some(Vec::new()), ..Script::default() }).await?;
    let tab = &stage.tab;
    // A port that nobody listens on: bound, and free again.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    tab.page.add_init_script(forward_cable(port)).await?;
    let note = "window.attempts = [];
        const Forwarded = WebSocket;
        window.WebSocket = class extends Forwarded {
            constructor(url) { super(url); if (url.includes('localhost:8000/')) attempts.push(performance.now()); }
        }";
    tab.page.add_init_script(note).await?;
    stage.open_page("").await?;
    tab.click("#usb").await?;
    // More often than a link over the network is dialled before it is given up.
    let attempts = cable_attempts(tab, 6).await?;
    let pauses: Vec<_> = attempts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // One that came late on a busy machine makes the pause after it shorter, but not all of them.
    let mean = pauses.iter().sum::<f64>() / pauses.len() as f64;
    assert!(
        mean >= 990.0 && pauses.iter().all(|pause| *pause >= 750.0),
        "not more often than once a second: {pauses:?}"
    );
    assert!(pauses.iter().any(|pause| *pause < 1300.0), "about once a second: {pauses:?}");
    assert_eq!(tab.eval::<String>("document.body.dataset.cable").await?, "Waiting");
    assert!(tab.eval::<bool>("!!document.querySelector('#accept-usb-certificate')").await?);
    tab.click("#usb").await?;
    let before = cable_attempts(tab, 6).await?.len();
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(cable_attempts(tab, 6).await?.len() <= before + 1, "switched off it is left alone");
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_the_page_asks_for_leaves_its_origin() -> Result<()> {
    let robot = Robotics::simulated().await?;
    let chromium = Chromium::launch(1280, 800).await?;
    let tab = chromium.tab().await?;
    let asked = tab.requests().await?;
    let own = format!("https://localhost:{}/", robot.addr.port());
    let socket = format!("wss://localhost:{}/ws", robot.addr.port());
    tab.open(robot.addr.port(), "").await?;
    tab.until("document.body.dataset.link === 'Connected'").await?;
    // The emulator and its controls are loaded only now.
    tab.click("#emulate").await?;
    tab.until("!document.querySelector('#enter-vr').disabled").await?;
    enter_vr(&tab).await?;
    frames(&tab, 30).await?;
    tab.until(TWO_CAMERAS).await?;
    let asked = asked.so_far();
    for known in [own.as_str(), &format!("{own}boot.js"), &socket] {
        assert!(asked.iter().any(|url| url.starts_with(known)), "{known} is missing: {asked:?}");
    }
    let inside = |url: &&String| url.starts_with("data:") || url.starts_with("blob:");
    let foreign: Vec<_> =
        asked.iter().filter(|url| !inside(url) && !url.starts_with(&own) && **url != socket).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    chromium.close().await?;
    robot.waldo.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_wants_its_token_takes_every_frame_over_network_and_cable_once() -> Result<()> {
    // Everybody reaches it, but not everybody may use it.
    let everywhere = |data: &Path| Settings { bind: Ipv4Addr::UNSPECIFIED.into(), ..local(data) };
    let robot = Robotics::start(everywhere).await?;
    let token =
        robot.waldo.server().access().and_then(|access| access.token().map(str::to_owned)).context("a token")?;
    let seqs = Arc::new(Mutex::new(Vec::new()));
    let slot = Arc::clone(&seqs);
    robot.waldo.server().on_frame(Some(Arc::new(move |frame: &VrFrame| {
        slot.lock().expect("the slot").push(frame.seq);
    })));
    let (chromium, tab) = headset(forward_cable(robot.addr.port())).await?;
    // The headset's own end of the cable is another origin than the address of the robot. Not one of this machine's
    // networks, which browsers may not let reach loopback.
    tab.page.goto(format!("https://127.0.0.2:{}/#token={token}", robot.addr.port())).await?;
    tab.until("document.body.dataset.link === 'Connected'").await?;
    tab.click("#usb").await?;
    tab.until("document.body.dataset.cable === 'Open'").await?;
    enter_vr(&tab).await?;
    frames(&tab, 20).await?;
    robot.until("frames", |_| seqs.lock().expect("the slot").len() >= 20).await?;
    let seqs = seqs.lock().expect("the slot").clone();
    assert!(seqs.is_sorted_by(|a, b| a < b), "each frame counts once: {seqs:?}");
    let metrics: String = tab.eval(&format!("fetch('/metrics?token={token}').then(answer => answer.text())")).await?;
    let repeated = metrics.lines().find_map(|line| line.strip_prefix("waldo_vr_duplicate_frames_total "));
    assert!(repeated.is_some_and(|count| count != "0"), "the frames came both ways: {metrics}");
    chromium.close().await?;
    robot.waldo.stop().await;
    Ok(())
}
