//! Who controls the robot, and what happens when they are silent.

use std::time::Duration;

use waldo_protocol::policy::{
    Capability, ErrorCode, LeaseEvent, LeaseOp, LeaseReason, LeaseRequest, LeaseResponse, ServerMessage,
};
use waldo_server::policy::PolicyConfig;

use super::harness::*;

fn quick(timeout: u64) -> impl FnOnce(&mut PolicyConfig) {
    move |config| config.action_timeout = Duration::from_millis(timeout)
}

#[tokio::test]
async fn a_policy_that_falls_silent_makes_the_robot_hold_once() {
    let setup = start_with(Behaviour::default(), quick(50));
    let mut client = setup.extended(caps(&[Capability::Err])).await;
    client.act(&[1.0]).await;
    let acted = setup.robot.wait_for_action(&[1.0]);
    let held = setup.robot.wait_for(1, |event| *event == Event::Stale);
    assert!(held - acted >= Duration::from_millis(40) && held - acted < Duration::from_millis(500));
    let ServerMessage::Error(error) = client.message().await else { panic!() };
    assert_eq!((error.code, error.id), (ErrorCode::Stale, None));
    tokio::time::sleep(2 * A_WHILE).await;
    assert_eq!(setup.robot.count(|event| *event == Event::Stale), 1);
    assert_eq!(setup.server.counts().holds, 1);
    // It acts again, and is silent again.
    client.act(&[2.0]).await;
    setup.robot.wait_for(2, |event| *event == Event::Stale);
}

#[tokio::test]
async fn the_limit_is_announced_and_actions_in_time_keep_the_robot_moving() {
    let setup = start_with(Behaviour::default(), quick(400));
    let mut client = setup.connect().await;
    let ext = client.negotiate(caps(&[Capability::Err])).await;
    assert_eq!(ext.limits.action_timeout_ms, Some(400.0));
    for n in 0..20u8 {
        client.act(&[f32::from(n)]).await;
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert_eq!(setup.robot.count(|event| *event == Event::Stale), 0);
}

#[tokio::test]
async fn nobody_is_silent_who_steps_who_only_looks_or_who_reset_or_if_that_is_switched_off() {
    let setup = start_with(Behaviour::default(), quick(50));
    let mut client = setup.connect().await;
    client.ask().await;
    client.step(&[1.0]).await;
    client.act(&[1.0]).await;
    client.reset().await;
    for kind in ["obs_response", "step_response", "reset_response"] {
        assert_eq!(client.message().await.kind(), kind);
    }
    tokio::time::sleep(2 * A_WHILE).await;
    assert_eq!(setup.robot.count(|event| *event == Event::Stale), 0);

    let setup = start_with(Behaviour::default(), quick(0));
    let mut client = setup.connect().await;
    client.act(&[1.0]).await;
    setup.robot.wait_for_action(&[1.0]);
    tokio::time::sleep(2 * A_WHILE).await;
    assert_eq!(setup.robot.count(|event| *event == Event::Stale), 0);
    // Whoever is gone is not only silent.
    client.close().await;
    setup.robot.wait_for(1, |event| *event == Event::Stale);
}

#[tokio::test]
async fn a_policy_that_dies_makes_the_robot_hold_at_once_and_frees_control() {
    // So long that nothing but the lost connection is the reason.
    let setup = start_with(Behaviour::default(), quick(60_000));
    let (mut first, mut second) = (setup.connect().await, setup.connect().await);
    first.act(&[1.0]).await;
    setup.robot.wait_for_action(&[1.0]);
    // As when a process is killed: no farewell.
    drop(first);
    setup.robot.wait_for(1, |event| *event == Event::Stale);
    setup.robot.wait_for(1, |event| *event == Event::Disconnected);
    setup.until("it is forgotten", |setup| setup.server.clients().len() == 1).await;
    second.act(&[2.0]).await;
    setup.robot.wait_for_action(&[2.0]);
}

#[tokio::test]
async fn a_reset_by_somebody_else_ends_an_old_connection_and_is_refused_to_a_new_one() {
    let setup = start();
    let mut first = setup.connect().await;
    first.reset().await;
    assert_eq!(first.message().await.kind(), "reset_response");
    for step in [false, true] {
        let mut old = setup.connect().await;
        if step {
            // It would wait for its answer for ever.
            old.step(&[1.0]).await;
        } else {
            old.reset().await;
        }
        let (code, reason) = old.closed().await;
        assert_eq!((code, reason.starts_with("control held")), (1011, true), "{reason}");
    }
    let mut new = setup.extended(caps(&[Capability::Err, Capability::Id])).await;
    new.send(|out| waldo_protocol::policy::SimpleRequest { id: Some(id(4)) }.encode_reset(out)).await;
    let ServerMessage::Error(error) = new.message().await else { panic!() };
    assert_eq!((error.code, error.id), (ErrorCode::NotHolder, Some(id(4))));
    new.act(&[1.0]).await;
    let ServerMessage::Error(error) = new.message().await else { panic!() };
    assert_eq!((error.code, error.id), (ErrorCode::NotHolder, None));
    assert_eq!(setup.robot.done(), [Event::Reset]);
    first.act(&[5.0]).await;
    setup.robot.wait_for_action(&[5.0]);
}

#[tokio::test]
async fn control_is_free_after_silence() {
    let setup = start_with(Behaviour::default(), |config| config.lease = Duration::from_millis(150));
    let (mut first, mut second) = (setup.connect().await, setup.connect().await);
    first.act(&[1.0]).await;
    setup.robot.wait_for_action(&[1.0]);
    setup.until("it expires", |setup| setup.server.holder().is_none()).await;
    second.act(&[2.0]).await;
    setup.robot.wait_for_action(&[2.0]);
    first.act(&[3.0]).await;
    setup.until("the first is late", |setup| setup.dropped("not_holder") == 1).await;
}

async fn ask_lease(client: &mut Client, n: u64, op: LeaseOp, ttl_ms: u64) -> LeaseResponse {
    client.send(|out| LeaseRequest { id: id(n), op, ttl_ms }.encode(out)).await;
    match client.reply(id(n)).await {
        ServerMessage::Lease(response) => response,
        other => panic!("{other:?}"),
    }
}

async fn next_event(client: &mut Client) -> LeaseEvent {
    match client.message().await {
        ServerMessage::LeaseEvent(event) => event,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_lease_is_asked_for_kept_given_back_and_taken_and_everybody_is_told() {
    let setup = start();
    let want = caps(&[Capability::Lease, Capability::Err, Capability::Id]);
    let (mut first, mut second) = (setup.extended(want).await, setup.extended(want).await);
    let mut watcher = setup.extended(want).await;
    let event = |holder: Option<&str>, reason| LeaseEvent { holder: holder.map(str::to_owned), reason };
    let name = "6120636c69656e74";

    let granted = ask_lease(&mut first, 1, LeaseOp::Acquire, 60_000).await;
    assert_eq!((granted.granted, granted.holder.as_deref(), granted.ttl_ms), (true, Some(name), 60_000));
    assert_eq!(next_event(&mut watcher).await, event(Some(name), LeaseReason::Acquired));
    for op in [LeaseOp::Acquire, LeaseOp::Take, LeaseOp::Renew, LeaseOp::Release] {
        assert!(!ask_lease(&mut second, 2, op, 1000).await.granted, "{op:?}");
    }
    assert!(ask_lease(&mut first, 2, LeaseOp::Release, 0).await.granted);
    assert_eq!(next_event(&mut watcher).await, event(None, LeaseReason::Released));

    assert!(ask_lease(&mut second, 3, LeaseOp::Acquire, 100).await.granted);
    assert_eq!(next_event(&mut watcher).await, event(Some(name), LeaseReason::Acquired));
    assert_eq!(next_event(&mut watcher).await, event(None, LeaseReason::Expired));
    first.act(&[1.0]).await;
    assert_eq!(next_event(&mut watcher).await, event(Some(name), LeaseReason::Acquired));
    setup.robot.wait_for_action(&[1.0]);

    setup.server.set_operator(true);
    assert_eq!(next_event(&mut watcher).await, event(Some("operator"), LeaseReason::Operator));
    assert_eq!(setup.server.holder().as_deref(), Some("operator"));
    first.act(&[2.0]).await;
    setup.until("it does not count", |setup| setup.dropped("not_holder") == 1).await;
    setup.server.set_operator(false);
    assert_eq!(next_event(&mut watcher).await, event(Some(name), LeaseReason::Released));
    first.act(&[3.0]).await;
    setup.robot.wait_for_action(&[3.0]);
    drop(first);
    assert_eq!(next_event(&mut watcher).await, event(None, LeaseReason::Released));
    assert_eq!(setup.robot.actions().len(), 2);
}

#[tokio::test]
async fn whoever_waits_for_a_slow_reset_keeps_control() {
    let behaviour = Behaviour { reset: Duration::from_millis(400), ..Behaviour::default() };
    let setup = start_with(behaviour, |config| config.lease = Duration::from_millis(100));
    let (mut first, mut second) = (setup.connect().await, setup.connect().await);
    first.reset().await;
    setup.until("it is in control", |setup| setup.server.holder().is_some()).await;
    tokio::time::sleep(2 * A_WHILE).await;
    second.act(&[2.0]).await;
    assert_eq!(first.message().await.kind(), "reset_response");
    assert_eq!((setup.robot.done(), setup.dropped("not_holder")), (vec![Event::Reset], 1));
}

#[tokio::test]
async fn a_server_that_stops_makes_a_moving_robot_hold_and_does_nothing_more() {
    let behaviour = Behaviour { apply: Duration::from_millis(100), ..Behaviour::default() };
    let setup = start_with(behaviour, quick(60_000));
    let mut client = setup.connect().await;
    for n in 0..50u8 {
        client.act(&[f32::from(n)]).await;
    }
    setup.robot.wait_for_action(&[0.0]);
    setup.server.stop();
    setup.robot.wait_for(1, |event| *event == Event::Stale);
    setup.robot.wait_for(1, |event| *event == Event::Disconnected);
    assert!(setup.robot.actions().len() < 40, "{}", setup.robot.actions().len());
}

/// A client whose actions take the robot a tenth of a second each, and of which many wait.
async fn busy(change: impl FnOnce(&mut PolicyConfig)) -> (Setup, Client) {
    let setup = start_with(Behaviour { apply: Duration::from_millis(100), ..Behaviour::default() }, change);
    let mut client = setup.extended(caps(&[Capability::Lease, Capability::Id])).await;
    for n in 0..50u8 {
        client.act(&[f32::from(n)]).await;
    }
    setup.robot.wait_for_action(&[0.0]);
    (setup, client)
}

/// Of the actions that waited, none is executed but the one under way.
async fn none_follows(setup: &Setup) {
    let before = setup.robot.actions().len();
    tokio::time::sleep(3 * A_WHILE).await;
    assert!(setup.robot.actions().len() <= before + 1, "{before}, then {}", setup.robot.actions().len());
}

#[tokio::test]
async fn what_waits_for_the_robot_is_not_done_for_a_client_that_controls_it_no_more() {
    // A person takes over.
    let (setup, _client) = busy(quick(60_000)).await;
    setup.server.set_operator(true);
    none_follows(&setup).await;
    assert_eq!(setup.robot.count(|event| *event == Event::Stale), 0, "the person drives");

    // It gives control back: the robot holds first.
    let (setup, mut client) = busy(quick(60_000)).await;
    assert!(ask_lease(&mut client, 1, LeaseOp::Release, 0).await.granted);
    none_follows(&setup).await;
    assert_eq!(setup.robot.done().last(), Some(&Event::Stale));

    // It is gone.
    let (setup, client) = busy(quick(60_000)).await;
    drop(client);
    setup.robot.wait_for(1, |event| *event == Event::Stale);
    none_follows(&setup).await;

    // It is silent.
    let (setup, _client) = busy(quick(150)).await;
    setup.robot.wait_for(1, |event| *event == Event::Stale);
    none_follows(&setup).await;
    assert!(setup.robot.actions().len() < 10);
}

#[tokio::test]
async fn a_reset_that_fails_leaves_a_robot_that_is_held() {
    let behaviour = Behaviour { reset_panics: true, ..Behaviour::default() };
    let setup = start_with(behaviour, quick(100));
    let mut client = setup.extended(caps(&[Capability::Err, Capability::Id])).await;
    client.act(&[1.0]).await;
    client.reset().await;
    let ServerMessage::Error(error) = client.message().await else { panic!() };
    assert_eq!(error.code, ErrorCode::App);
    setup.robot.wait_for(1, |event| *event == Event::Stale);
}

#[tokio::test]
async fn a_reset_is_done_though_the_client_acted_meanwhile_and_then_was_silent() {
    let behaviour = Behaviour { reset: Duration::from_millis(400), ..Behaviour::default() };
    let setup = start_with(behaviour, quick(50));
    let mut client = setup.connect().await;
    client.reset().await;
    client.reset().await;
    client.act(&[1.0]).await;
    for _ in 0..2 {
        assert_eq!(client.message().await.kind(), "reset_response");
    }
    setup.robot.wait_for(1, |event| *event == Event::Stale);
    let applied = Event::Applied { shape: vec![1], values: vec![1.0] };
    assert_eq!(setup.robot.done(), [Event::Reset, Event::Reset, applied, Event::Stale]);
}

#[tokio::test]
async fn a_step_is_answered_though_the_client_fell_silent() {
    let outcome = waldo_protocol::policy::Outcome::default();
    let behaviour = Behaviour { apply: Duration::from_millis(400), step: Some(outcome), ..Behaviour::default() };
    let setup = start_with(behaviour, quick(50));
    let mut client = setup.connect().await;
    client.act(&[1.0]).await;
    client.step(&[2.0]).await;
    client.act(&[3.0]).await;
    assert_eq!(client.message().await.kind(), "step_response");
    assert_eq!(setup.dropped("stale"), 1, "the action behind it");
    assert!(setup.robot.actions().iter().all(|action| action.values == [1.0]));
}

#[tokio::test]
async fn a_client_that_is_hung_up_on_does_not_act_any_more() {
    let setup = start();
    let mut client = setup.connect().await;
    let mut frames = Vec::new();
    let header = waldo_protocol::policy::ActionHeader { shape: &[1], ..Default::default() };
    header.encode(&[1.0], &mut frames).unwrap();
    client.send_bytes(vec![0]).await;
    client.send_bytes(frames).await;
    assert_eq!(client.closed().await.0, 1011);
    tokio::time::sleep(A_WHILE).await;
    assert!(setup.robot.actions().is_empty());
}
