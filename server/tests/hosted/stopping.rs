//! Stops, wherever they come from.

use std::time::Duration;

use axum::http::StatusCode;
use glam::DVec3;
use serde_json::json;
use tokio::time::sleep;
use waldo_protocol::hosted::{Nonce, ToOperator, ToRobot};
use waldo_server::config::HostedKind;

use crate::broker::nobody;
use crate::sfu::Operator;
use crate::stage::{Stage, joy, pose, twist, until};

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
async fn a_base_stands_when_its_operator_is_gone_or_the_broker_says_nothing() {
    for silent in [false, true] {
        let stage = Stage::new(HostedKind::Twist).await;
        let operator = stage.operator().await;
        stage.broker.announce("sfu/embedded");
        sleep(Duration::from_millis(100)).await;
        let mut driven = 0;
        let begin = std::time::Instant::now();
        while stage.way() > -0.02 {
            assert!(begin.elapsed() < crate::stage::LIMIT);
            operator.command(&twist(DVec3::X * -0.5, DVec3::ZERO)).await;
            sleep(STEP).await;
            driven += 1;
        }
        assert!(driven > 0);
        match silent {
            false => stage.broker.answer_beats(StatusCode::OK, nobody()),
            true => stage.broker.answer_beats(StatusCode::SERVICE_UNAVAILABLE, json!({ "detail": "away" })),
        }
        let lost = stage.waldo.hosted().unwrap().outputs().subscribe();
        drop(lost);
        sleep(Duration::from_secs(if silent { 7 } else { 1 })).await;
        let stands = stage.way();
        sleep(Duration::from_millis(500)).await;
        assert!((stage.way() - stands).abs() < 1e-6);
        stage.waldo.stop().await;
    }
}
