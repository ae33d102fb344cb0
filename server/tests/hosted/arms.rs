//! An operator moves the arms.

use std::time::Duration;

use glam::DVec3;
use tokio::time::sleep;
use waldo_protocol::hosted::ToOperator;
use waldo_protocol::lcm::Message;
use waldo_server::config::HostedKind;
use waldo_server::hosted::Stream;

use crate::sfu::Operator;
use crate::stage::{LIMIT, Stage, joy, pose, twist_at, unix};

const STEP: Duration = Duration::from_millis(12);

/// Where the test's hands begin, in the axes of WebXR.
const HAND: DVec3 = DVec3::new(0.2, 1.2, -0.3);

/// Both messages of the right hand.
async fn send(operator: &Operator, at: DVec3, held: bool, trigger: f32) {
    operator.command(&pose("right", at)).await;
    operator.command(&joy("right", held, trigger)).await;
    sleep(STEP).await;
}

/// The right hand is there until it is so.
async fn hold(operator: &Operator, at: DVec3, held: bool, trigger: f32, so: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !so() {
        assert!(begin.elapsed() < LIMIT, "it did not come");
        send(operator, at, held, trigger).await;
    }
}

async fn for_a_while(operator: &Operator, at: DVec3, held: bool) {
    for _ in 0..20 {
        send(operator, at, held, 0.0).await;
    }
}

/// Waits until the operator is told that the right arm follows, or that it does not; gives the reason of a hold.
async fn told(operator: &Operator, engaged: bool) -> Option<String> {
    operator
        .hear_until(|message| match message {
            ToOperator::Telemetry(told) => (told.state.engaged?.right == engaged).then_some(told.state.hold),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_arm_follows_its_hand_while_the_button_is_held() {
    let stage = Stage::new(HostedKind::Arm).await;
    let operator = stage.operator().await;
    let mut outputs = stage.waldo.hosted().unwrap().outputs().subscribe();
    let began = stage.gripper(1);
    for_a_while(&operator, HAND, false).await;
    for_a_while(&operator, HAND, true).await;
    assert!(stage.gripper(1).distance(began) < 1e-6);
    // 6 cm up in WebXR is 6 cm up in the base.
    for step in 0..50 {
        send(&operator, HAND + DVec3::Y * 0.06 * f64::from(step) / 50.0, true, 0.5).await;
    }
    let there = began + DVec3::Z * 0.06;
    hold(&operator, HAND + DVec3::Y * 0.06, true, 0.5, || stage.gripper(1).distance(there) < 1e-3).await;
    assert!((stage.waldo.control().status().openings[1] - 0.5).abs() < 0.01);
    assert_eq!(told(&operator, true).await, None);
    for_a_while(&operator, HAND + DVec3::Y * 0.06, false).await;
    // Let go, the hand moves alone.
    for_a_while(&operator, HAND, false).await;
    assert!(stage.gripper(1).distance(there) < 2e-3);
    let (mut deltas, mut buttons, mut last) = (0, 0, DVec3::ZERO);
    while let Ok(output) = outputs.try_recv() {
        match (output.stream, Message::decode(&output.data)) {
            (Stream::RightController, Ok(Message::PoseStamped(delta))) => {
                assert_eq!(delta.header.frame_id, "right");
                (deltas, last) = (deltas + 1, delta.pose.position);
            }
            (Stream::Buttons, Ok(Message::UInt32(_))) => buttons += 1,
            (Stream::LeftController, _) => panic!("the left hand is not there"),
            _ => {}
        }
    }
    assert!(deltas > 20 && buttons > deltas && last.distance(DVec3::Z * 0.06) < 1e-3, "{deltas} {buttons} {last}");
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_jog_the_gripper_for_as_long_as_they_are_held_and_close_it() {
    let stage = Stage::new(HostedKind::Arm).await;
    let operator = stage.operator().await;
    let began = stage.gripper(1);
    let begin = std::time::Instant::now();
    while stage.gripper(1).z - began.z < 0.03 {
        assert!(begin.elapsed() < LIMIT);
        operator.command(&twist_at("eef_twist_arm", DVec3::Z * 0.12, DVec3::ZERO, unix())).await;
        sleep(STEP).await;
    }
    // The key is let go with its page: nothing more comes.
    sleep(Duration::from_secs(1)).await;
    let stands = stage.gripper(1);
    assert!(stands.z - began.z < 0.2, "{stands}");
    sleep(Duration::from_millis(500)).await;
    assert!(stage.gripper(1).distance(stands) < 1e-6);
    operator.say_raw(r#"{"type":"gripper","closed":true}"#).await;
    crate::stage::until("a closed gripper", || stage.waldo.control().status().openings[1] < 0.01).await;
    assert!(stage.gripper(1).distance(stands) < 1e-6);
    operator.say_raw(r#"{"type":"gripper","closed":false}"#).await;
    crate::stage::until("an open gripper", || stage.waldo.control().status().openings[1] > 0.99).await;
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_who_is_lost_moves_nothing_until_they_engage_anew() {
    let stage = Stage::new(HostedKind::Arm).await;
    let operator = stage.operator().await;
    for_a_while(&operator, HAND, false).await;
    for_a_while(&operator, HAND, true).await;
    told(&operator, true).await;
    // What the SFU says when it loses the operator.
    operator.say_raw(r#"{"type":"operator_lost","reason":"ice"}"#).await;
    sleep(Duration::from_millis(300)).await;
    let stands = stage.gripper(1);
    for step in 0..40 {
        send(&operator, HAND + DVec3::Y * 0.002 * f64::from(step), true, 0.0).await;
    }
    assert!(stage.gripper(1).distance(stands) < 1e-3, "held all along is no fresh press");
    for_a_while(&operator, HAND, false).await;
    for_a_while(&operator, HAND, true).await;
    hold(&operator, HAND + DVec3::Y * 0.05, true, 0.0, || stage.gripper(1).z - stands.z > 0.03).await;
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_operator_gets_no_arm_by_the_old_ones_button() {
    let stage = Stage::new(HostedKind::Arm).await;
    let operator = stage.operator().await;
    for_a_while(&operator, HAND, false).await;
    for_a_while(&operator, HAND, true).await;
    let next = stage.operator_at(24).await;
    let stands = stage.gripper(1);
    for step in 0..40 {
        send(&next, HAND + DVec3::new(0.1, 0.002 * f64::from(step), 0.0), true, 0.0).await;
    }
    assert!(stage.gripper(1).distance(stands) < 1e-3);
    stage.waldo.stop().await;
}
