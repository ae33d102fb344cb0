//! What the page says on the wire, to robots of both generations: in headless Chromium with an emulated headset.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use waldo_protocol::vr::Hand;
use waldo_tests::headset::{enter_vr, frames, hold, press};
use waldo_tests::scripted::ScriptedRobot;
use waldo_tests::stage::Stage;

/// The stream id of the page.
fn stream(robot: &ScriptedRobot) -> Value {
    robot.messages("hello")[0]["stream"].clone()
}

/// In data collection with counters, where an episode is about to start.
async fn counting_down() -> Result<Stage> {
    let stage = Stage::in_vr(Some(vec!["counters"]), vec![mode("data_collection")]).await?;
    stage.tab.until("document.body.dataset.state === 'DataCollection'").await?;
    press(&stage.tab, Hand::Right, "a-button").await?;
    Ok(stage)
}

fn mode(value: &str) -> Value {
    json!({"type": "mode", "value": value})
}

/// Lengths of the runs of frames that carry a reset.
fn resets(frames: &[Value]) -> Vec<usize> {
    let runs = frames.chunk_by(|a, b| a["reset"] == b["reset"]);
    runs.filter(|run| run[0]["reset"] == true).map(<[Value]>::len).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_of_the_first_generation_gets_what_it_knows_and_pulses_of_ten_frames() -> Result<()> {
    let stage = Stage::in_vr(None, Vec::new()).await?;
    press(&stage.tab, Hand::Left, "x-button").await?;
    frames(&stage.tab, 12).await?;
    stage.robot.until("a reset that ended", |robot| resets(&robot.frames()) == [10]).await?;
    stage.robot.until("a second request for pictures", |robot| robot.messages("webrtc-request").len() >= 2).await?;
    let asked: Vec<_> = stage.robot.heard().into_iter().filter(|h| h.message["type"] == "webrtc-request").collect();
    assert!(asked[1].at - asked[0].at > Duration::from_millis(1900), "every two seconds, not more often");
    assert_eq!(stage.robot.messages("control-request").len(), 1, "asked once per socket");
    assert_eq!(stage.robot.messages("ping").len(), 0);
    let frame = stage.robot.frames().pop().expect("a frame");
    for key in ["reset_n", "ep_n", "ep_op"] {
        assert!(frame.get(key).is_none(), "{key} was not agreed on");
    }
    for elbow in ["l_elbow", "r_elbow"] {
        assert!(["x", "y", "z"].iter().all(|axis| frame[elbow][axis].is_number()), "{elbow} is always there: {frame}");
    }
    assert_eq!(frame["elbow_est"], true, "this headset tracks no body");
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_episode_is_started_and_discarded_with_confirmation_and_the_popup_is_published() -> Result<()> {
    let stage = counting_down().await?;
    let (tab, robot) = (&stage.tab, &stage.robot);
    tab.until("document.body.dataset.countdown").await?;
    tab.screenshot("countdown").await?;
    tab.until("document.body.dataset.state === 'Recording'").await?;
    press(tab, Hand::Left, "x-button").await?;
    tab.until("document.body.dataset.question === 'Discard'").await?;
    tab.screenshot("discard").await?;
    press(tab, Hand::Left, "x-button").await?;
    tab.until("document.body.dataset.state === 'DataCollection'").await?;
    frames(tab, 12).await?;

    let all = robot.frames();
    let edge = all.windows(2).find(|pair| pair[0]["state"] == "recording" && pair[1]["state"] == "data_collection");
    let [_, discard] = edge.expect("the end of the recording") else { unreachable!("a pair") };
    assert_eq!((&discard["reset"], &discard["ep_op"], &discard["ep_n"]), (&json!(true), &json!("discard"), &json!(2)));
    assert!(all.iter().all(|frame| frame["reset_n"] == 0), "a discard is no press of reset");
    let hud: Vec<_> = robot.messages("hud").into_iter().map(|hud| hud["value"].clone()).collect();
    assert_eq!(hud.len(), 4, "{hud:?}");
    assert!(hud[0]["countdownRemainingMs"].as_f64().is_some_and(|ms| ms > 2500.0));
    let none = json!({"confirm": null, "countdownRemainingMs": null});
    assert_eq!((&hud[1], &hud[2]["confirm"], &hud[3]), (&none, &json!("discard"), &none));
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_that_the_robot_ends_after_its_operator_has_left_is_over_and_the_page_says_why() -> Result<()> {
    let stage = counting_down().await?;
    let (tab, robot) = (&stage.tab, &stage.robot);
    tab.until("document.body.dataset.state === 'Recording'").await?;
    press(tab, Hand::Right, "a-button").await?;
    hold(tab, Hand::Left, "y-button", 1).await?;
    tab.until("document.body.dataset.presence === 'Out'").await?;
    hold(tab, Hand::Left, "y-button", 0).await?;
    assert_eq!(tab.eval::<String>("document.body.dataset.state").await?, "Recording", "nobody decided anything");
    let why = "The episode was interrupted.";
    let value = json!({"reason": "saving", "hand": "both", "severity": "info", "text": why, "since_ms": 0});
    robot.say(&json!({"type": "hold", "value": value}));
    robot.say(&json!({"type": "state", "value": "data_collection"}));
    tab.until(&format!("document.body.innerText.includes('{why}')")).await?;
    tab.until("document.body.dataset.state === 'DataCollection' && document.body.dataset.question === ''").await?;
    let before = robot.frames().len();
    enter_vr(tab).await?;
    frames(tab, 5).await?;
    robot.until("frames", |robot| robot.frames().len() > before).await?;
    let after = robot.frames().split_off(before);
    assert!(after.iter().all(|frame| frame["state"] == "data_collection" && frame["ep_n"] == 1), "{after:?}");
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_socket_starts_from_scratch_in_the_same_presentation() -> Result<()> {
    let stage = counting_down().await?;
    let (tab, robot) = (&stage.tab, &stage.robot);
    tab.until("document.body.dataset.state === 'Recording'").await?;
    press(tab, Hand::Right, "a-button").await?;
    tab.until("document.body.dataset.question === 'Save'").await?;

    robot.hang_up();
    let on_second = |robot: &ScriptedRobot, fits: &dyn Fn(&Value) -> bool| {
        robot.heard().iter().any(|heard| heard.socket == 2 && fits(&heard.message))
    };
    for kind in ["hello", "webrtc-request", "control-request", "hud"] {
        robot.until(kind, |robot| on_second(robot, &|message| message["type"] == kind)).await?;
    }
    robot.until("frames again", |robot| on_second(robot, &|message| message["state"] == "recording")).await?;
    let second: Vec<_> = robot.heard().into_iter().filter(|h| h.socket == 2).map(|h| h.message).collect();
    let hud = second.iter().find(|message| message["type"] == "hud").expect("the popup again");
    assert_eq!(hud["value"]["confirm"], "save");
    assert_eq!(second[0]["stream"], stream(&stage.robot), "the same page is the same stream");
    assert_eq!(tab.eval::<String>("document.body.dataset.presence").await?, "Visible");
    assert_eq!(tab.eval::<String>("document.body.dataset.lost").await?, "true");
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_way_out_of_the_headset_ends_with_a_frame_that_asks_for_rest() -> Result<()> {
    let page_button =
        "[...document.querySelectorAll('button')].find(b => b.textContent.startsWith('Leave VR')).click()";
    let other_robot = "const host = document.querySelector('#host');
        host.value = 'localhost:1';
        host.dispatchEvent(new Event('input', { bubbles: true }));
        host.form.requestSubmit()";
    let ways = [
        ("Y", "headset.controllers.left.updateButtonValue('y-button', 1)"),
        ("the page's button", page_button),
        ("disconnecting", "document.querySelector('#disconnect').click()"),
        ("connecting to another robot", other_robot),
        ("the headset's own menu", "headset.activeSession.end()"),
    ];
    for (way, script) in ways {
        let stage = Stage::in_vr(Some(vec!["counters"]), Vec::new()).await?;
        stage.tab.run(script).await?;
        stage.tab.until("document.body.dataset.presence === 'Out'").await?;
        let asks_for_rest = |robot: &ScriptedRobot| robot.frames().last().is_some_and(|last| last["reset"] == true);
        stage.robot.until(way, asks_for_rest).await?;
        assert_eq!(stage.robot.frames().last().expect("a frame")["reset_n"], 1, "{way}");
        assert_eq!(resets(&stage.robot.frames()), [1], "{way}: the last frame, and only that one");
        stage.close().await?;
    }
    let stage = Stage::in_vr(None, Vec::new()).await?;
    stage.tab.page.goto("about:blank").await?;
    let asks_for_rest = |robot: &ScriptedRobot| robot.frames().last().is_some_and(|frame| frame["reset"] == true);
    stage.robot.until("a last frame of a page that is left", asks_for_rest).await?;
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_driver_is_asked_to_hand_over_and_others_can_ask() -> Result<()> {
    let stage = Stage::in_vr(Some(vec!["lease"]), Vec::new()).await?;
    let (tab, robot, me) = (&stage.tab, &stage.robot, stream(&stage.robot));
    let notice = |driver: &Value, by: &Value| json!({"type": "lease", "value": {"driver": driver, "requested_by": by, "deadline_ms": 10_000}});
    let ops = |robot: &ScriptedRobot| -> Vec<Value> {
        robot.messages("lease").into_iter().map(|request| request["op"].clone()).collect()
    };
    robot.say(&notice(&me, &json!("somebody")));
    tab.until("document.body.dataset.driver === 'Me' && document.body.dataset.takeover === 'other'").await?;
    tab.screenshot("asked-to-hand-over").await?;
    press(tab, Hand::Right, "b-button").await?;
    robot.until("a refusal", |robot| ops(robot) == ["deny"]).await?;
    hold(tab, Hand::Right, "b-button", 1).await?;
    robot.until("consent", |robot| ops(robot) == ["deny", "grant"]).await?;
    hold(tab, Hand::Right, "b-button", 0).await?;
    frames(tab, 3).await?;

    robot.say(&notice(&json!("somebody"), &Value::Null));
    tab.until("document.body.dataset.driver === 'Other' && document.body.dataset.takeover === ''").await?;
    press(tab, Hand::Right, "b-button").await?;
    hold(tab, Hand::Right, "b-button", 1).await?;
    robot.until("a request of one's own", |robot| ops(robot) == ["deny", "grant", "take"]).await?;
    robot.say(&notice(&json!("somebody"), &me));
    tab.until("document.body.dataset.takeover === 'mine'").await?;
    tab.screenshot("asked-for-control").await?;
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sticks_stop_and_the_page_clears_it() -> Result<()> {
    let stage = Stage::in_vr(Some(vec!["stop", "hold"]), Vec::new()).await?;
    let (tab, robot) = (&stage.tab, &stage.robot);
    hold(tab, Hand::Left, "thumbstick", 1).await?;
    frames(tab, 3).await?;
    assert!(robot.messages("stop").is_empty(), "one stick drives the lift");
    hold(tab, Hand::Right, "thumbstick", 1).await?;
    robot.until("a stop, repeated", |robot| robot.messages("stop").len() >= 2).await?;
    let hold_value = json!({"reason": "stopped", "hand": "both", "severity": "hold", "text": "stopped", "since_ms": 0});
    robot.say(&json!({"type": "hold", "value": hold_value}));
    tab.until("document.body.dataset.hold === 'Stopped'").await?;
    tab.screenshot("stopped").await?;
    tab.run("document.querySelector('#clear-stop').click()").await?;
    robot.until("the stop cleared", |robot| robot.messages("stop").iter().any(|stop| stop["clear"] == true)).await?;
    tab.until("document.body.dataset.stopped === 'false'").await?;
    let numbers: Vec<_> = robot.messages("stop").iter().map(|stop| stop["n"].as_i64()).collect();
    assert!(numbers.iter().all(|n| *n == Some(1) || *n == Some(2)), "repeats carry one number: {numbers:?}");
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_knows_no_stop_is_disengaged_by_one_press_and_then_silence() -> Result<()> {
    let stage = Stage::in_vr(None, Vec::new()).await?;
    let (tab, robot) = (&stage.tab, &stage.robot);
    for hand in [Hand::Left, Hand::Right] {
        hold(tab, hand, "squeeze", 1).await?;
    }
    frames(tab, 3).await?;
    tab.run("document.querySelector('#stop').click()").await?;
    let locks = |robot: &ScriptedRobot| -> Vec<(Value, Value)> {
        robot.frames().iter().map(|frame| (frame["l_lock"].clone(), frame["r_lock"].clone())).collect()
    };
    let pressed = [(false, false), (true, false), (false, false)].map(|(l, r)| (json!(l), json!(r)));
    robot.until("one grip pressed and released", |robot| locks(robot).ends_with(&pressed)).await?;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(locks(robot).ends_with(&pressed), "no poses any more");
    assert!(robot.messages("stop").is_empty());
    tab.run("document.querySelector('#clear-stop').click()").await?;
    robot.until("poses again", |robot| locks(robot).last() == Some(&(json!(true), json!(true)))).await?;
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_measure_the_round_trip_and_end_when_nobody_answers() -> Result<()> {
    let stage = Stage::open(Some(vec!["ping", "health"]), Vec::new(), "").await?;
    let (tab, robot) = (&stage.tab, &stage.robot);
    robot.until("a ping", |robot| !robot.messages("ping").is_empty()).await?;
    let ping = robot.messages("ping").remove(0);
    let t = ping["t"].as_f64().expect("a time");
    robot.say(&json!({"type": "pong", "n": ping["n"], "t": t, "rx": t + 500.0, "tx": t + 500.0}));
    tab.until("document.body.dataset.roundTrip > 0").await?;
    robot.say(&json!({"type": "health", "value": {"pose_hz": 72.0, "jitter_ms": 3.0, "delay_ms": 5.0, "lost": 4}}));
    tab.until("document.querySelector('#health').textContent.includes('72 poses/s')").await?;
    tab.screenshot("health").await?;
    robot.until("three more pings", |robot| robot.messages("ping").len() >= 4).await?;
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(robot.messages("ping").len(), 4, "three without an answer are enough");
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_motion_scale_is_asked_for_and_shown_as_the_robot_has_it() -> Result<()> {
    let stage = Stage::open(Some(vec!["motion"]), Vec::new(), "").await?;
    let (tab, robot) = (&stage.tab, &stage.robot);
    tab.until("document.querySelector('#scale-positions') && !document.querySelector('#scale-positions').disabled")
        .await?;
    // A page that has just come is told what somebody else has set.
    let shows = |label: &str, value: &str| {
        format!("document.querySelector('label[for=scale-{label}]').textContent.endsWith('{value}')")
    };
    robot.say(&json!({"type": "motion", "value": {"pos": 0.7, "rot": 1.5}}));
    tab.until(&format!("{} && {}", shows("positions", "0.70"), shows("rotations", "1.50"))).await?;
    tab.run(
        "const slider = document.querySelector('#scale-positions');
        slider.value = '0.5';
        slider.dispatchEvent(new Event('change', { bubbles: true }))",
    )
    .await?;
    robot.until("the wish", |robot| !robot.messages("motion").is_empty()).await?;
    assert_eq!(robot.messages("motion")[0]["value"], json!({"pos": 0.5, "rot": 1.5}));
    assert_eq!(tab.eval::<String>("document.querySelector('#scale-positions').value").await?, "0.7", "still in force");
    robot.say(&json!({"type": "motion", "value": {"pos": 0.6, "rot": 1.5}}));
    tab.until(&shows("positions", "0.60")).await?;
    assert_eq!(tab.eval::<String>("document.querySelector('#scale-positions').value").await?, "0.6");
    robot.say(&json!({"type": "tracking", "value": true}));
    tab.until("document.querySelector('#scale-positions').disabled").await?;
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn pulses_reach_the_controllers_from_the_robot_or_from_the_page_itself() -> Result<()> {
    let last = "headset.controllers.left.gamepad ?? headset.activeSession.inputSources[0].gamepad";
    let pulses = format!("window.pulses = []; for (const source of headset.activeSession.inputSources)
        source.gamepad.hapticActuators[0].pulse = (amplitude, ms) => pulses.push([source.handedness, amplitude, ms]); {last}");
    let stage = Stage::in_vr(Some(vec!["haptic"]), Vec::new()).await?;
    stage.tab.run(&pulses).await?;
    stage.robot.say(&json!({"type": "haptic", "hand": "left", "amplitude": 0.5, "ms": 120}));
    stage.tab.until("JSON.stringify(pulses) === '[[\"left\",0.5,120]]'").await?;
    stage.close().await?;

    let stage = Stage::in_vr(None, vec![json!({"type": "tracking", "value": false})]).await?;
    stage.tab.run(&pulses).await?;
    stage.robot.say(&json!({"type": "tracking", "value": true}));
    stage.tab.until("pulses.length === 2").await?;
    stage.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_only_watches_asks_for_pictures_and_shows_what_the_driver_is_asked() -> Result<()> {
    let popup = json!({"type": "hud", "value": {"confirm": "save", "countdownRemainingMs": null}});
    let stage = Stage::open(Some(vec!["snapshot", "lease"]), vec![popup], "#view").await?;
    let (tab, robot) = (&stage.tab, &stage.robot);
    robot.until("a request for pictures", |robot| !robot.messages("webrtc-request").is_empty()).await?;
    assert_eq!(robot.messages("hello")[0]["role"], "viewer");
    assert!(robot.messages("control-request").is_empty());
    tab.until("document.body.innerText.includes('asked whether to save the episode')").await?;
    assert!(tab.eval::<bool>("document.querySelector('#enter-vr').offsetParent === null").await?);
    tab.screenshot("viewer").await?;
    stage.close().await
}
