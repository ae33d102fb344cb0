//! An operator drives the base.

use std::time::Duration;

use glam::DVec3;
use tokio::time::sleep;
use waldo_protocol::hosted::ToOperator;
use waldo_protocol::lcm::{Message, Twist};
use waldo_server::config::HostedKind;
use waldo_server::hosted::Stream;

use crate::sfu::Operator;
use crate::stage::{Stage, twist, twist_at, unix, until};

const STEP: Duration = Duration::from_millis(12);

/// Drives forward until it is so.
async fn drive(operator: &Operator, speed: f64, so: impl Fn() -> bool) {
    let begin = std::time::Instant::now();
    while !so() {
        assert!(begin.elapsed() < crate::stage::LIMIT, "it did not come");
        operator.command(&twist(DVec3::X * speed, DVec3::ZERO)).await;
        sleep(STEP).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twists_drive_the_base_and_it_stands_when_they_end() {
    let stage = Stage::new(HostedKind::Twist).await;
    let operator = stage.operator().await;
    let mut outputs = stage.waldo.hosted().unwrap().outputs().subscribe();
    sleep(Duration::from_millis(100)).await;
    drive(&operator, -0.5, || stage.way() < -0.02).await;
    // Nothing more is said: the last word of the robot is that it stands.
    sleep(Duration::from_secs(2)).await;
    let (stood, mut last) = (stage.way(), None);
    while let Ok(output) = outputs.try_recv() {
        if output.stream == Stream::CmdVel {
            last = Some(Message::decode(&output.data).unwrap());
        }
    }
    assert_eq!(last, Some(Message::Twist(Twist::default())));
    sleep(Duration::from_millis(300)).await;
    assert!((stage.way() - stood).abs() < 1e-6);
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_old_from_the_future_or_senseless_moves_nothing_and_is_counted() {
    let stage = Stage::new(HostedKind::Twist).await;
    let operator = stage.operator().await;
    let away = DVec3::X * -0.5;
    for _ in 0..50 {
        operator.command(&twist_at("keyboard", away, DVec3::ZERO, unix() - 2.0)).await;
        operator.command(&twist_at("keyboard", away, DVec3::ZERO, unix() + 2.0)).await;
        operator.command(&twist_at("keyboard", DVec3::splat(f64::NAN), DVec3::ZERO, unix())).await;
        operator.command(b"\x9c\xd2\xbc\xbe\x6c\xb2\xa7\xc0").await;
        operator.command(b"of no type that is known").await;
        sleep(STEP).await;
    }
    let loss = operator
        .hear_until(|message| match message {
            ToOperator::Telemetry(told) => told.cmd?.loss.filter(|loss| loss.dropped_invalid >= 60),
            _ => None,
        })
        .await;
    assert!(loss.dropped_stale >= 30 && loss.dropped_future >= 30, "{loss:?}");
    assert_eq!(stage.way(), 0.0);
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_is_answered_with_text_and_telemetry_and_map_come_as_bytes() {
    let stage = Stage::new(HostedKind::Twist).await;
    let operator = stage.operator().await;
    operator.say_raw(r#"{"type":"ping","client_ts":1.25}"#).await;
    loop {
        match operator.hear().await {
            (true, ToOperator::Pong { client_ts, robot_ts }) if client_ts.to_string() == "1.25" => {
                assert!((robot_ts - unix()).abs() < 10.0);
                break;
            }
            (text, message) => assert_eq!(text, matches!(message, ToOperator::Pong { .. })),
        }
    }
    for nonsense in ["{", "[]", "", r#"{"type":"ping"}"#, r#"{"type":"dance"}"#] {
        operator.say_raw(nonsense).await;
    }
    operator.meets().await;
    let told = operator
        .hear_until(|message| match message {
            ToOperator::Telemetry(told) => Some(told),
            _ => None,
        })
        .await;
    assert_eq!(told.state.posture.as_deref(), Some("StandReady"));
    assert_eq!((told.state.estopped, told.state.rage), (Some(false), Some(false)));
    assert!(told.soc.is_some_and(|soc| soc > 0), "{told:?}");
    let (mut map, mut odom) = (false, false);
    while !(map && odom) {
        let seen = operator.see_map().await;
        map |= seen["type"] == "map" && seen["fmt"] == "png" && seen["w"].as_u64() > Some(10);
        odom |= seen["type"] == "odom" && seen["yaw"].is_number();
    }
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_are_done_once_and_acknowledged() {
    let stage = Stage::new(HostedKind::Twist).await;
    let operator = stage.operator().await;
    let ack = async |text: &str| {
        operator.say_raw(text).await;
        operator
            .hear_until(|message| match message {
                ToOperator::CmdAck { nonce, ok } => Some((serde_json::to_string(&nonce).unwrap(), ok)),
                _ => None,
            })
            .await
    };
    assert_eq!(ack(r#"{"type":"light","brightness":0.5,"nonce":1}"#).await, ("1".into(), true));
    assert_eq!(ack(r#"{"type":"light","brightness":0.9,"nonce":1}"#).await, ("1".into(), true));
    assert_eq!(ack(r#"{"type":"sport_cmd","name":"FrontJump","nonce":"j"}"#).await, ("\"j\"".into(), false));
    assert_eq!(ack(r#"{"type":"sport_cmd","name":"Backflip"}"#).await, ("null".into(), false));
    assert_eq!(ack(r#"{"type":"sport_cmd","name":"Sit","nonce":2}"#).await, ("2".into(), true));
    assert_eq!(ack(r#"{"type":"nav_goal","x":100.5,"y":0,"nonce":3}"#).await, ("3".into(), false));
    assert_eq!(ack(r#"{"type":"nav_goal","x":2.5,"y":-1,"nonce":4}"#).await, ("4".into(), true));
    let told = operator
        .hear_until(|message| match message {
            ToOperator::Telemetry(told) => Some(told.state),
            _ => None,
        })
        .await;
    assert_eq!((told.posture.as_deref(), told.light), (Some("Sit"), Some(0.5)));
    // Who sits does not drive.
    for _ in 0..50 {
        operator.command(&twist(DVec3::X * -0.5, DVec3::ZERO)).await;
        sleep(STEP).await;
    }
    assert_eq!(stage.way(), 0.0);
    assert_eq!(ack(r#"{"type":"sport_cmd","name":"StandReady","nonce":5}"#).await, ("5".into(), true));
    sleep(Duration::from_millis(100)).await;
    drive(&operator, -0.5, || stage.way() < -0.01).await;
    until("a stop", || true).await;
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_drives_ends_navigation_and_a_goal_waits_until_they_rest() {
    let stage = Stage::new(HostedKind::Twist).await;
    let operator = stage.operator().await;
    let mut outputs = stage.waldo.hosted().unwrap().outputs().subscribe();
    drive(&operator, -0.5, || stage.way() < -0.02).await;
    operator.command(&twist(DVec3::ZERO, DVec3::ZERO)).await;
    operator.say_raw(r#"{"type":"nav_goal","x":1,"y":2,"nonce":1}"#).await;
    let ok = operator
        .hear_until(|message| match message {
            ToOperator::CmdAck { ok, .. } => Some(ok),
            _ => None,
        })
        .await;
    assert!(ok);
    let (mut ends, mut driven, mut goal) = (0, 0.0, None);
    while let Ok(output) = outputs.try_recv() {
        match output.stream {
            Stream::StopMovement => ends += 1,
            Stream::CmdVel => driven = output.at,
            Stream::Goal => goal = Some(output.at),
            _ => {}
        }
    }
    assert_eq!(ends, 1, "once for all of a drive");
    assert!(goal.unwrap() - driven > 0.9, "{goal:?} {driven}");
    stage.waldo.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_whose_network_loses_packets_is_sent_less_and_told_why() {
    let stage = Stage::new(HostedKind::Twist).await;
    let operator = stage.operator().await;
    let video = |message| match message {
        ToOperator::Telemetry(told) => told.state.video,
        _ => None,
    };
    let stats = |loss: f64| {
        format!(r#"{{"type":"video_stats","fps":30,"kbps":2000,"width":640,"height":480,"loss_pct":{loss}}}"#)
    };
    operator.say_raw(&stats(0.0)).await;
    let told = operator.hear_until(video).await;
    assert_eq!((told.width, told.height, told.fps, told.reason.as_str()), (640, 480, 30.0, ""));
    operator.say_raw(&stats(12.0)).await;
    let told = operator.hear_until(|message| video(message).filter(|video| !video.reason.is_empty())).await;
    assert!(told.target_kbps <= 2400.0, "{told:?}");
    stage.waldo.stop().await;
}

#[expect(clippy::print_stdout, reason = "the figures themselves, for who runs it on a quiet machine")]
#[tokio::test(flavor = "multi_thread")]
async fn the_control_loop_keeps_its_rate_whether_or_not_anybody_asks_for_anything() {
    let stage = Stage::new(HostedKind::Arm).await;
    let operator = stage.operator().await;
    let mut outputs = stage.waldo.hosted().unwrap().outputs().subscribe();
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_secs(6) {
        operator.command(&crate::stage::joy("right", false, 0.2)).await;
        sleep(STEP).await;
    }
    let (mut steps, mut told) = (Vec::new(), 0);
    while let Ok(output) = outputs.try_recv() {
        match output.stream {
            Stream::Buttons => steps.push(output.at),
            Stream::Telemetry => told += 1,
            _ => {}
        }
    }
    let gaps: Vec<f64> = steps.windows(2).map(|pair| (pair[1] - pair[0]) * 1e3).collect();
    let of = |part| waldo_protocol::hosted::percentile(gaps.clone(), part).unwrap();
    let rate = (steps.len() - 1) as f64 / (steps[steps.len() - 1] - steps[0]);
    let late = of(99.0) - 20.0;
    println!("{rate:.2} steps per second, gaps of {:.2} ms (p50), {:.2} ms (p99) above 20 ms", of(50.0), late);
    // Wide, for machines that do much else.
    assert!((45.0..55.0).contains(&rate) && late < 20.0, "{rate} {late}");
    assert!((6..60).contains(&told), "{told}");
    stage.waldo.stop().await;
}
