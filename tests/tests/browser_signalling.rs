//! What the page makes of WebRTC offers, foremost those of robots that never said hello: in headless Chromium, which plays
//! the robot's end of the connections too.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use waldo_tests::headset::frames;
use waldo_tests::offering::RobotEnd;
use waldo_tests::scripted::{Heard, ScriptedRobot};
use waldo_tests::stage::Stage;
use waldo_tests::vectors::vectors;

fn of_type(kind: &str) -> impl Fn(&&Heard) -> bool {
    move |heard| heard.message["type"] == kind
}

/// The first message of this type that comes after `since`.
async fn next(robot: &ScriptedRobot, kind: &str, since: Instant) -> Result<Heard> {
    let found = |robot: &ScriptedRobot| robot.heard().into_iter().find(|h| of_type(kind)(&h) && h.at > since);
    robot.until(kind, |robot| found(robot).is_some()).await?;
    found(robot).context("just heard")
}

fn candidates(answer: &Value) -> usize {
    answer["sdp"].as_str().map_or(0, |sdp| sdp.lines().filter(|line| line.starts_with("a=candidate:")).count())
}

/// A server that takes everything and never answers, and the list that names it to a page.
fn silent_relay() -> Result<(UdpSocket, Value)> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("turn:{}", socket.local_addr()?);
    Ok((socket, json!([{"urls": [url], "username": "u", "credential": "c"}])))
}

/// The screens that the page shows, by the names of the examples.
const SCREENS: &str = "[...new Set([...document.querySelectorAll('figure')].map(figure => {
    const name = figure.querySelector('span').textContent.replaceAll(' ', '_');
    if (!name.startsWith('overhead')) return name;
    return figure.querySelector('.packed') ? 'overhead (stereo)' : 'overhead';
}))]";

/// Brings the page to a new socket of the robot, on which it has asked for everything already.
async fn begin_anew(stage: &Stage) -> Result<()> {
    let since = Instant::now();
    stage.robot.hang_up();
    for kind in ["hello", "webrtc-request", "control-request"] {
        next(&stage.robot, kind, since).await?;
    }
    stage.tab.until("document.body.dataset.link === 'Connected'").await
}

/// Plays the robot of one example and compares what becomes of the page.
async fn play(stage: &Stage, example: &Value) -> Result<()> {
    begin_anew(stage).await?;
    let (tab, robot, end) = (&stage.tab, &stage.robot, RobotEnd::in_tab(&stage.tab));
    let (expect, mut message) = (example["expect"].as_object().context("expectations")?, example["message"].clone());
    // The examples leave out the description.
    message["sdp"] = match (message["type"].as_str(), message["sdp"].as_str()) {
        (Some("webrtc-offer"), _) => end.cameras(message["tracks"].as_object().map_or(0, serde_json::Map::len)).await?,
        (Some("control-offer"), Some(other)) if other.contains("poses") => end.channel("poses").await?,
        (Some("control-offer"), _) => end.channel("pose").await?,
        _ => Value::Null,
    };
    let connections: usize = tab.eval("made.length").await?;
    let said = Instant::now();
    robot.say(&message);
    if let Some(kind) = message["type"].as_str().and_then(|kind| kind.strip_suffix("-offer")) {
        let answer = next(robot, &format!("{kind}-answer"), said).await?.message;
        assert!(candidates(&answer) > 0, "candidates are inside of the answer: {answer}");
        end.accept(&answer).await?;
        assert_eq!(tab.eval::<usize>("made.length").await?, connections + 1, "one connection for one offer");
    }
    for (key, wanted) in expect {
        match key.as_str() {
            "reply" => assert_eq!(robot.messages(wanted.as_str().context("a type")?).len(), 1),
            "screens" => tab.until(&format!("JSON.stringify({SCREENS}) === '{wanted}'")).await?,
            "peer_connection_config" => {
                let given: Value = tab.eval("made.at(-1).given").await?;
                let servers =
                    if wanted == "none" { json!([]) } else { json!([{ "iceServers": message["iceServers"] }]) };
                assert_eq!(given, servers);
            }
            "jitter_buffer_target_ms" => {
                let targets = "made.at(-1).connection.getReceivers().map(receiver => receiver.jitterBufferTarget)";
                let targets: Vec<f64> = tab.eval(targets).await?;
                assert!(targets.iter().all(|target| wanted.as_f64() == Some(*target)), "{targets:?}");
                assert_eq!(targets.len(), 3);
                tab.until("document.body.dataset.video === 'Live'").await?;
            }
            "video" => {
                let status = if wanted == "none" { "Unavailable" } else { "Connecting" };
                tab.until(&format!("document.body.dataset.video === '{status}'")).await?;
            }
            "spinner" => {
                let spins = "document.body.innerText.includes('Connecting cameras')";
                tab.until(&format!("{spins} === {wanted}")).await?;
            }
            "next_request_within_ms" => {
                let within = Duration::from_millis(wanted.as_u64().context("a time")?);
                for _ in 0..2 {
                    let before = Instant::now();
                    let request = next(robot, "webrtc-request", before).await?;
                    // A second for a machine that is busy.
                    assert!(request.at - before < within + Duration::from_secs(1), "{:?}", request.at - before);
                }
            }
            "pose_transport_when_open" | "pose_transport" => {
                tab.until("robotEnd.channel.readyState === 'open'").await?;
                if wanted == "channel" {
                    tab.until("document.body.dataset.transport === 'Channel'").await?;
                }
                let before = (robot.frames().len(), tab.eval::<usize>("robotEnd.heard.length").await?);
                frames(tab, 10).await?;
                let over_socket = robot.frames().len() - before.0;
                let over_channel = tab.eval::<usize>("robotEnd.heard.length").await? - before.1;
                let only_channel = over_channel > 0 && over_socket == 0;
                let only_socket = over_channel == 0 && over_socket > 0;
                assert!(
                    if wanted == "channel" { only_channel } else { only_socket },
                    "{over_socket} frames over the socket, {over_channel} over the channel"
                );
            }
            other => bail!("nobody knows what {other} means"),
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_of_an_offer_or_its_absence_has_the_page_do_as_it_says() -> Result<()> {
    let all = vectors("s2c")?;
    let signals = |example: &&Value| {
        let kind = example["message"]["type"].as_str().unwrap_or_default();
        kind.starts_with("webrtc-") || kind.starts_with("control-")
    };
    let examples: Vec<_> = all.iter().filter(signals).collect();
    assert_eq!(examples.len(), 6);
    let mut failed = Vec::new();
    for example in examples {
        eprintln!("{}", example["name"]);
        // Each in a presentation of its own: answers are counted.
        let stage = Stage::in_vr(None, Vec::new()).await?;
        if let Err(error) = play(&stage, example).await {
            failed.push(format!("{}: {error:#}", example["name"]));
        }
        stage.close().await?;
    }
    assert!(failed.is_empty(), "{failed:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_waits_three_seconds_for_a_relay_that_says_nothing_and_goes_with_what_there_is() -> Result<()> {
    let (_relay, servers) = silent_relay()?;
    // Robots of both kinds: behind two routers nobody finds anybody without candidates.
    for (caps, kind) in [(None, "control"), (Some(vec!["snapshot"]), "webrtc"), (Some(Vec::new()), "control")] {
        let stage = Stage::open(caps.clone(), Vec::new(), "").await?;
        let end = RobotEnd::in_tab(&stage.tab);
        let sdp = if kind == "webrtc" { end.cameras(1).await? } else { end.channel("pose").await? };
        // Reachable nowhere: once a direct way is found the browser looks for no relay any more.
        let sdp = sdp.as_str().context("a description")?;
        let sdp: String = sdp.split_inclusive('\n').filter(|line| !line.starts_with("a=candidate:")).collect();
        let offer =
            json!({"type": format!("{kind}-offer"), "sdp": sdp, "tracks": {"0": "left_arm"}, "iceServers": servers});
        let said = Instant::now();
        stage.robot.say(&offer);
        let answer = next(&stage.robot, &format!("{kind}-answer"), said).await?;
        let waited = answer.at - said;
        assert!(candidates(&answer.message) > 0, "{kind} {caps:?}: {}", answer.message);
        // The browser itself would wait for the relay far longer.
        assert!((2900..6000).contains(&waited.as_millis()), "{kind} {caps:?}: {waited:?}");
        stage.close().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_of_ours_without_relays_is_answered_at_once_and_its_pictures_are_not_held_back() -> Result<()> {
    let stage = Stage::open(Some(vec!["snapshot"]), Vec::new(), "").await?;
    let said = Instant::now();
    let sdp = RobotEnd::in_tab(&stage.tab).cameras(1).await?;
    stage.robot.say(&json!({"type": "webrtc-offer", "sdp": sdp, "tracks": {"0": "overhead"}, "iceServers": []}));
    let answer = next(&stage.robot, "webrtc-answer", said).await?;
    assert_eq!(candidates(&answer.message), 0, "none was waited for");
    stage.tab.until("made.at(-1).connection.getReceivers()[0].jitterBufferTarget === 0").await?;
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pose_channel_that_ended_is_asked_for_again_three_seconds_later() -> Result<()> {
    let stage = Stage::in_vr(None, Vec::new()).await?;
    let (tab, robot, end) = (&stage.tab, &stage.robot, RobotEnd::in_tab(&stage.tab));
    for _ in 0..2 {
        let said = Instant::now();
        robot.say(&json!({"type": "control-offer", "sdp": end.channel("pose").await?, "iceServers": []}));
        end.accept(&next(robot, "control-answer", said).await?.message).await?;
        tab.until("document.body.dataset.transport === 'Channel'").await?;
        let ended = Instant::now();
        end.close().await?;
        tab.until("document.body.dataset.transport === 'Socket'").await?;
        let request = next(robot, "control-request", ended).await?;
        // The browser needs a moment to notice the end.
        assert!(request.at - ended >= Duration::from_millis(2900), "{:?}", request.at - ended);
    }
    assert_eq!(robot.messages("control-request").len(), 3, "once at first, and once for each end");
    stage.close().await
}
