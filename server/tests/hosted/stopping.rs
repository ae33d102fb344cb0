//! Stops, wherever they come from.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use glam::DVec3;
use serde_json::json;
use tokio::time::sleep;
use waldo_protocol::hosted::{Nonce, ToOperator, ToRobot};
use waldo_protocol::vr::HoldReason;
use waldo_server::config::HostedKind;
use waldo_server::serve::Waldo;

use crate::broker::{Broker, nobody};
use crate::sfu::Operator;
use crate::stage::{Around, LIMIT, Stage, in_time, joy, pose, settings, twist, until};

const STEP: Duration = Duration::from_millis(12);

const HAND: DVec3 = DVec3::new(0.2, 1.2, -0.3);

async fn send(operator: &Operator, at: DVec3, held: bool) {
    operator.command(&pose("right", at)).await;
    operator.command(&joy("right", held, 0.0)).await;
    sleep(STEP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_told_first_then_acknowledged_and_only_a_fresh_press_moves_after_it() {
    let stage = Stage::new(HostedKind::Arm).await;
    let operator = stage.operator().await;
    for held in [false, true] {
        for _ in 0..20 {
            send(&operator, HAND, held).await;
        }
    }
    operator.say(&ToRobot::Estop { nonce: Some(Nonce::from(7)) }).await;
    let mut stopped = false;
    loop {
        match operator.hear().await.1 {
            ToOperator::Telemetry(told) => stopped |= told.state.estopped == Some(true),
            ToOperator::CmdAck { nonce, ok } => {
                assert_eq!((nonce, ok, stopped), (Some(Nonce::from(7)), true, true));
                break;
            }
            _ => {}
        }
    }
    let stands = stage.gripper(1);
    for step in 0..40 {
        send(&operator, HAND + DVec3::Y * 0.002 * f64::from(step), true).await;
    }
    operator.say_raw(r#"{"type":"gripper","closed":true}"#).await;
    operator.say(&ToRobot::EstopClear { nonce: Some(Nonce::from(8)) }).await;
    let cleared = |message| match message {
        ToOperator::CmdAck { nonce, ok } => Some((nonce, ok)),
        _ => None,
    };
    assert_eq!(operator.hear_until(cleared).await, (Some(Nonce::from(8)), true));
    for step in 0..40 {
        send(&operator, HAND + DVec3::Y * 0.002 * f64::from(step), true).await;
    }
    assert!(stage.gripper(1).distance(stands) < 1e-6, "held all along is no fresh press");
    assert!(stage.waldo.control().status().openings[1] > 0.4);
    for _ in 0..20 {
        send(&operator, HAND, false).await;
    }
    for _ in 0..20 {
        send(&operator, HAND, true).await;
    }
    for step in 0..60 {
        send(&operator, HAND + DVec3::Y * 0.001 * f64::from(step), true).await;
    }
    assert!(stage.gripper(1).z - stands.z > 0.02);
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_robot_does_not_drive_and_refuses_commands() {
    let stage = Stage::new(HostedKind::Twist).await;
    let operator = stage.operator().await;
    operator.say(&ToRobot::Estop { nonce: None }).await;
    operator.say_raw(r#"{"type":"light","brightness":1,"nonce":3}"#).await;
    let refused = operator
        .hear_until(|message| match message {
            ToOperator::CmdAck { nonce, ok } => Some((nonce, ok)),
            _ => None,
        })
        .await;
    assert_eq!(refused, (Some(Nonce::from(3)), false));
    for _ in 0..50 {
        operator.command(&twist(DVec3::X * -0.5, DVec3::ZERO)).await;
        sleep(STEP).await;
    }
    assert_eq!(stage.way(), 0.0);
    let posture = operator
        .hear_until(|message| match message {
            ToOperator::Telemetry(told) => told.state.posture.filter(|_| told.state.estopped == Some(true)),
            _ => None,
        })
        .await;
    assert_eq!(posture, "Damp");
    until("a heartbeat that says so", || {
        stage.broker.calls().last().is_some_and(|call| call.body["safety_state"] == json!("estopped"))
    })
    .await;
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_stands_when_its_operator_is_gone() {
    let stage = Stage::new(HostedKind::Twist).await;
    let operator = stage.operator().await;
    drive(&stage, &operator).await;
    stage.broker.answer_beats(StatusCode::OK, nobody());
    sleep(Duration::from_secs(1)).await;
    let stands = stage.way();
    sleep(Duration::from_millis(500)).await;
    assert!((stage.way() - stands).abs() < 1e-6);
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_sfu_in_a_broker_that_says_nothing_a_base_stands_whatever_its_operator_sends() {
    let broker = Broker::start().await;
    broker.announce("sfu/embedded");
    let stage = Stage::at(broker, HostedKind::Twist, |_| ()).await;
    let operator = stage.operator().await;
    drive(&stage, &operator).await;
    stage.broker.answer_beats(StatusCode::SERVICE_UNAVAILABLE, json!({ "detail": "away" }));
    let (mut stood, mut last) = (0, stage.way());
    let begin = Instant::now();
    // Back and forth, for longer than the robot goes on believing that somebody would tell it.
    while stood < 100 {
        assert!(begin.elapsed() < LIMIT, "it goes on");
        let speed = if (begin.elapsed().as_millis() / 800).is_multiple_of(2) { 0.5 } else { -0.5 };
        operator.command(&twist(DVec3::X * speed, DVec3::ZERO)).await;
        sleep(STEP).await;
        stood = if (stage.way() - last).abs() < 1e-9 { stood + 1 } else { 0 };
        last = stage.way();
    }
    assert!(begin.elapsed() > Duration::from_secs(4), "one answer that fails is no reason");
    operator.say_raw(r#"{"type":"light","brightness":1,"nonce":3}"#).await;
    assert_eq!(acknowledged(&operator).await, (Some(Nonce::from(3)), false));
    // It is back; what was held all along starts nothing, a fresh press does.
    stage.broker.bridge(16);
    sleep(Duration::from_secs(1)).await;
    for _ in 0..100 {
        operator.command(&twist(DVec3::X * 0.5, DVec3::ZERO)).await;
        sleep(STEP).await;
    }
    assert!((stage.way() - last).abs() < 1e-9);
    operator.command(&twist(DVec3::ZERO, DVec3::ZERO)).await;
    sleep(STEP).await;
    drive(&stage, &operator).await;
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_lies_down_is_not_stood_up_by_what_was_ordered_before() {
    let stage = Stage::new(HostedKind::Twist).await;
    let operator = stage.operator().await;
    operator.say_raw(r#"{"type":"sport_cmd","name":"StandReady","nonce":1}"#).await;
    sleep(Duration::from_millis(500)).await;
    operator.say_raw(r#"{"type":"sport_cmd","name":"Damp","nonce":2}"#).await;
    assert_eq!(acknowledged(&operator).await, (Some(Nonce::from(2)), true));
    assert_eq!(acknowledged(&operator).await, (Some(Nonce::from(1)), false));
    assert_eq!(posture(&operator).await, "Damp");
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_ordered_is_not_done_for_the_one_who_comes_after_them() {
    let stage = Stage::new(HostedKind::Twist).await;
    let operator = stage.operator().await;
    operator.say_raw(r#"{"type":"sport_cmd","name":"Sit","nonce":1}"#).await;
    assert_eq!(acknowledged(&operator).await, (Some(Nonce::from(1)), true));
    operator.say_raw(r#"{"type":"sport_cmd","name":"StandReady","nonce":2}"#).await;
    sleep(Duration::from_millis(200)).await;
    // Without a word in between.
    let next = stage.operator_at(24).await;
    next.say_raw(r#"{"type":"light","brightness":1,"nonce":1}"#).await;
    // After what was under way, which takes longest.
    let acknowledgements = [acknowledged(&next).await, acknowledged(&next).await];
    assert_eq!(acknowledgements, [(Some(Nonce::from(2)), false), (Some(Nonce::from(1)), true)]);
    assert_eq!(posture(&next).await, "Sit");
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_robot_that_stops_is_held_before_its_broker_has_heard_of_it() {
    let (mut broker, data) = (Broker::start().await, tempfile::tempdir().unwrap());
    let held = Arc::<AtomicBool>::default();
    let noted = Arc::clone(&held);
    let holds = Box::new(move |reason| {
        noted.fetch_or(reason == HoldReason::Stopped, Ordering::Relaxed);
    });
    let robot = Around { holds, ..Around::default() };
    let settings = settings(&broker, data.path(), HostedKind::Twist, |_| ());
    let waldo = Waldo::start(settings, Box::new(robot)).await.unwrap();
    let mut sfu = broker.sfu().await;
    sfu.connected().await;
    let goodbye = broker.keep_goodbyes_waiting();
    let stopping = tokio::spawn(waldo.stop());
    until("a robot that is held", || held.load(Ordering::Relaxed)).await;
    assert!(!goodbye.given_up(), "it was held only when the broker had been waited for");
    goodbye.answer();
    in_time("the end", stopping).await.unwrap();
}

/// Drives until the base has moved.
async fn drive(stage: &Stage, operator: &Operator) {
    let (begin, began) = (Instant::now(), stage.way());
    while (stage.way() - began).abs() < 0.02 {
        assert!(begin.elapsed() < LIMIT, "it does not move");
        operator.command(&twist(DVec3::X * -0.5, DVec3::ZERO)).await;
        sleep(STEP).await;
    }
}

/// The next acknowledgement.
async fn acknowledged(operator: &Operator) -> (Option<Nonce>, bool) {
    operator
        .hear_until(|message| match message {
            ToOperator::CmdAck { nonce, ok } => Some((nonce, ok)),
            _ => None,
        })
        .await
}

/// The posture, as it is told next.
async fn posture(operator: &Operator) -> String {
    operator
        .hear_until(|message| match message {
            ToOperator::Telemetry(told) => told.state.posture,
            _ => None,
        })
        .await
}
