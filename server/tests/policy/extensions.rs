//! What clients get that ask for it.

use std::time::Duration;

use waldo_protocol::policy::{
    ActionMarks, Capabilities, Capability, ClockRequest, Driver, ErrorCode, ObsRequest, Outcome, ServerMessage,
    SimpleRequest,
};

use super::harness::*;

fn slow(millis: u64) -> Behaviour {
    Behaviour { observation: Some(Duration::from_millis(millis)), ..Behaviour::default() }
}

#[tokio::test]
async fn with_ids_a_quick_reply_overtakes_a_slow_one() {
    let setup = start_with(slow(300), |_| {});
    let mut client = setup.extended(caps(&[Capability::Id])).await;
    client.send(|out| ObsRequest { id: Some(id(1)), fresh: None }.encode(out)).await;
    client.send(|out| SimpleRequest { id: Some(id(2)) }.encode_reset(out)).await;
    let first = client.message().await;
    assert_eq!((first.kind(), first.id()), ("reset_response", Some(id(2))));
    let second = client.message().await;
    assert_eq!((second.kind(), second.id()), ("obs_response", Some(id(1))));
}

#[tokio::test]
async fn one_request_too_many_is_told_to_try_again() {
    let setup = start_with(slow(300), |config| config.max_inflight = 2);
    let mut client = setup.connect().await;
    let ext = client.negotiate(caps(&[Capability::Id, Capability::Err])).await;
    assert_eq!(ext.limits.max_inflight, 2);
    for n in 1..=3 {
        client.send(|out| ObsRequest { id: Some(id(n)), fresh: None }.encode(out)).await;
    }
    let ServerMessage::Error(error) = client.message().await else { panic!() };
    assert_eq!((error.code, error.id, error.retry_ms.is_some()), (ErrorCode::Busy, Some(id(3)), true));
    for n in 1..=2 {
        assert_eq!(client.reply(id(n)).await.kind(), "obs_response");
    }
    client.send(|out| ObsRequest { id: Some(id(4)), fresh: None }.encode(out)).await;
    assert_eq!(client.reply(id(4)).await.kind(), "obs_response");
}

#[tokio::test]
async fn errors_are_told_and_the_connection_stays() {
    let behaviour =
        Behaviour { fails: Some(13.0), panics: Some(666.0), reset_panics: true, observation_fails: true, ..slow(0) };
    let setup = start_with(behaviour, |_| {});
    let mut client = setup.extended(caps(&[Capability::Id, Capability::Err])).await;
    let app = |message: ServerMessage, text: &str| match message {
        ServerMessage::Error(error) => {
            assert!(error.code == ErrorCode::App && error.message.contains(text), "{error:?}");
            error.id
        }
        other => panic!("{other:?}"),
    };
    client.act(&[13.0]).await;
    assert_eq!(app(client.message().await, "out of reach"), None, "an event");
    client.act_marked(&[666.0], ActionMarks::default(), Some(id(1))).await;
    assert_eq!(app(client.message().await, "an encoder broke"), Some(id(1)));
    client.send(|out| SimpleRequest { id: Some(id(2)) }.encode_reset(out)).await;
    assert_eq!(app(client.message().await, "a cable broke"), Some(id(2)));
    client.ask().await;
    assert_eq!(app(client.message().await, "no picture"), None);
    // An unknown type is told of only if it asks for an answer.
    client.send_bytes(b"\x0b\0\0\0\x81\xa4type\xa4nope".to_vec()).await;
    client.send_bytes(b"\x0f\0\0\0\x82\xa4type\xa4nope\xa2id\x07".to_vec()).await;
    let ServerMessage::Error(error) = client.message().await else { panic!() };
    assert_eq!((error.code, error.id), (ErrorCode::UnknownType, Some(id(7))));
    client.act(&[f32::NAN]).await;
    let ServerMessage::Error(error) = client.message().await else { panic!() };
    assert_eq!(error.code, ErrorCode::NonFinite);
    client.act(&[1.0]).await;
    setup.robot.wait_for_action(&[1.0]);
}

#[tokio::test]
async fn who_wants_may_have_non_finite_actions_and_a_step_with_them_is_answered_either_way() {
    let setup = start_with(Behaviour::default(), |config| config.apply_non_finite = true);
    let mut client = setup.connect().await;
    client.act(&[f32::INFINITY]).await;
    setup.robot.wait_for_action(&[f32::INFINITY]);

    let setup = start();
    let mut client = setup.connect().await;
    client.step(&[f32::NAN]).await;
    assert_eq!(client.message().await.kind(), "step_response");
    assert_eq!((setup.robot.actions().len(), setup.dropped("non_finite")), (0, 1));
}

#[tokio::test]
async fn clocks_are_related_and_old_actions_dropped() {
    let setup = start();
    let mut client = setup.extended(caps(&[Capability::Clock, Capability::Ttl, Capability::Err])).await;
    let before = waldo_server::clock::now().as_nanos() as f64 / 1e9;
    client.send(|out| ClockRequest { id: id(1), t0: 1000.0 }.encode(out)).await;
    let ServerMessage::Clock(response) = client.message().await else { panic!() };
    let after = waldo_server::clock::now().as_nanos() as f64 / 1e9;
    assert_eq!(response.t0, 1000.0);
    assert!(before <= response.t1 && response.t1 <= response.t2 && response.t2 <= after, "the clock of the stamps");

    let now = 1000.0 + (after - response.t1);
    let marks = |seq, sent| ActionMarks { seq: Some(seq), ttl_ms: Some(5_000.0), sent: Some(sent) };
    client.act_marked(&[1.0], marks(1, now), None).await;
    setup.robot.wait_for_action(&[1.0]);
    client.act_marked(&[2.0], marks(2, now - 60.0), None).await;
    let ServerMessage::Error(error) = client.message().await else { panic!() };
    assert_eq!(error.code, ErrorCode::Stale);
    client.act_marked(&[3.0], marks(2, now), None).await;
    let ServerMessage::Error(error) = client.message().await else { panic!() };
    assert_eq!(error.code, ErrorCode::BadRequest);
    client.act_marked(&[4.0], marks(3, now), None).await;
    setup.robot.wait_for_action(&[4.0]);
    assert_eq!(setup.robot.actions().len(), 2);
    assert_eq!([setup.dropped("stale"), setup.dropped("seq")], [1, 1]);
}

#[tokio::test]
async fn observations_tell_how_the_episode_stands_and_who_drives() {
    let outcome = Outcome { reward: 2.5, terminated: false, truncated: true };
    let setup = start_with(Behaviour { outcome, ..Behaviour::default() }, |config| {
        config.action_timeout = Duration::from_millis(200);
    });
    let mut client = setup.extended(caps(&[Capability::Episode])).await;
    async fn episode(client: &mut Client) -> waldo_protocol::policy::Episode {
        client.ask().await;
        client.message().await.observation().unwrap().episode.unwrap()
    }
    let first = episode(&mut client).await;
    assert_eq!((first.outcome, first.episode, first.driver), (outcome, 0, Driver::None));
    client.reset().await;
    assert_eq!(client.message().await.observation().unwrap().episode.unwrap().episode, 1);
    client.act(&[1.0]).await;
    assert_eq!(episode(&mut client).await.driver, Driver::Policy);
    setup.server.set_operator(true);
    assert_eq!(episode(&mut client).await.driver, Driver::Operator);
    setup.server.set_operator(false);
    assert_eq!(episode(&mut client).await.driver, Driver::None);
    client.act(&[2.0]).await;
    assert_eq!(episode(&mut client).await.driver, Driver::Policy);
    setup.robot.wait_for(1, |event| *event == Event::Stale);
    assert_eq!(episode(&mut client).await.driver, Driver::None);
    // The reward and the end of a step are its own.
    client.step(&[3.0]).await;
    let ServerMessage::Step(response) = client.message().await else { panic!() };
    let stepped = response.observation.episode.unwrap();
    assert_eq!((stepped.outcome, stepped.episode, stepped.driver), (response.outcome, 1, Driver::Policy));
    assert_eq!(response.outcome, Outcome::default());
}

#[tokio::test]
async fn what_is_not_asked_for_is_not_there() {
    let setup = start();
    let mut client = setup.connect().await;
    let ext = client.negotiate(caps(&[Capability::Clock])).await;
    assert_eq!((ext.v, ext.robot.unwrap().as_str()), (1, "waldo"));
    assert!(ext.caps.has(Capability::Err) && ext.impl_name.starts_with("waldo/"));
    // An id is an unknown key then, an error closes, and a lease is an unknown type.
    client.send(|out| ObsRequest { id: Some(id(9)), fresh: None }.encode(out)).await;
    let message = client.message().await;
    assert_eq!((message.kind(), message.id()), ("obs_response", None));
    let lease =
        waldo_protocol::policy::LeaseRequest { id: id(1), op: waldo_protocol::policy::LeaseOp::Acquire, ttl_ms: 1000 };
    client.send(|out| lease.encode(out)).await;
    client.hears_nothing().await;
    client.send_bytes(vec![0]).await;
    assert_eq!(client.closed().await.0, 1011);
    assert_eq!(setup.dropped("unknown_type"), 1);
}

#[tokio::test]
async fn a_newer_version_is_spoken_to_in_ours() {
    let setup = start();
    let mut client = setup.connect().await;
    let ext =
        waldo_protocol::policy::ClientExt { v: 99, impl_name: String::new(), want: Capabilities::all(), client: None };
    let request = waldo_protocol::policy::MetadataRequest { ext: Some(ext), id: None };
    client.send(|out| request.encode(out)).await;
    let ServerMessage::Metadata(response) = client.message().await else { panic!() };
    assert_eq!(response.ext.unwrap().v, 1);
}
