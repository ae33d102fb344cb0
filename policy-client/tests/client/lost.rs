//! Servers that are not there, come late, go, and come back.

use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};
use waldo_policy_client::{Error, Event, Lost, Options, PolicyClient, State};
use waldo_protocol::policy::ClientMessage;

use crate::server::{Answer, Kind, Server, eventually};
use crate::{connect, connect_with, options, plain};

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_client_waits_until_the_server_is_there() {
    let addr = Server::start(Kind::Decoupled).await.kill().await;
    let uri = format!("ws://{addr}");
    let waiting = tokio::spawn(async move { PolicyClient::connect(&uri, Options::default()).await });
    sleep(Duration::from_millis(500)).await;
    assert!(!waiting.is_finished());
    let _server = Server::start_at(addr, Kind::Decoupled, None).await;
    let client = timeout(LONG, waiting).await.unwrap().unwrap().unwrap();
    client.reset().await.unwrap();
}

#[tokio::test]
async fn a_time_limit_ends_the_waiting_and_says_what_was_wrong() {
    let addr = Server::start(Kind::Decoupled).await.kill().await;
    let limit = Some(Duration::from_millis(300));
    let error = PolicyClient::connect(&format!("ws://{addr}"), Options { connect_timeout: limit, ..options() }).await;
    let error = error.unwrap_err();
    assert!(matches!(&error, Error::NoServer { last, .. } if last.contains("refused")), "{error}");
    assert!(error.to_string().starts_with(&format!("no policy server at ws://{addr}/ within 300ms: ")), "{error}");
}

#[tokio::test]
async fn a_server_that_never_answers_is_no_server() {
    let server = Server::start(Kind::Decoupled).await;
    server.on(|_| Answer::Nothing);
    let options = Options {
        connect_timeout: Some(Duration::from_secs(1)),
        request_timeout: Duration::from_millis(100),
        ..options()
    };
    let error = PolicyClient::connect(&server.uri(), options).await.unwrap_err();
    assert!(matches!(&error, Error::NoServer { last, .. } if last == "no reply to metadata"), "{error}");
}

/// Vector `server_lost_while_streaming`, and more.
#[tokio::test]
async fn a_server_that_is_killed_and_restarted_is_found_again() {
    for kind in [Kind::Decoupled, Kind::Extended] {
        let (server, client) = connect(kind).await;
        let mut events = client.events();
        client.reset().await.unwrap();
        client.start_obs_stream(30.0).unwrap();
        client.start_action_dispatch(10.0).unwrap();
        client.newer_obs(3, LONG).await.unwrap();
        for i in 0..5_u8 {
            client.put_action([f32::from(i) + 100.0]).unwrap();
        }
        server.on(|message| match message {
            ClientMessage::Reset(_) => Answer::Nothing,
            _ => Answer::Usual,
        });
        let pending = tokio::spawn({
            let client = client.clone();
            async move { client.reset().await }
        });
        eventually("the reset", || server.count("reset") == 2).await;
        let sent = server.count("apply_action");
        let killed = Instant::now();
        let addr = server.kill().await;

        eventually("staleness", || client.latest_obs().unwrap().stale).await;
        // 200 ms are asked for.
        assert!(killed.elapsed() < Duration::from_secs(2), "{:?}", killed.elapsed());
        let error = timeout(LONG, pending).await.unwrap().unwrap().unwrap_err();
        assert!(matches!(error, Error::Lost(_)), "{error}");
        assert!(!client.is_connected());
        assert!(matches!(client.observation().await, Err(Error::NotConnected { .. })));
        assert!(matches!(client.put_action([0.0]), Err(Error::NotConnected { .. })));
        assert_eq!(client.queue_len(), 0);
        sleep(Duration::from_millis(300)).await;

        let server = Server::start_at(addr, kind, None).await;
        timeout(LONG, client.ready()).await.unwrap().unwrap();
        let version = client.latest_obs().unwrap().version;
        let latest = client.newer_obs(version + 5, LONG).await.unwrap();
        assert!(!latest.stale, "the stream goes on by itself");
        client.reset().await.unwrap();
        client.put_action([7.0]).unwrap();
        eventually("the new action", || server.count("apply_action") == 1).await;
        sleep(Duration::from_millis(300)).await;
        assert_eq!(server.count("apply_action"), 1, "none of the old ones was sent; {sent} had been");

        let mut states = Vec::new();
        while let Ok(event) = events.try_recv() {
            if let Event::State(state) = event {
                states.push(state);
            }
        }
        assert!(matches!(states.first(), Some(State::Lost(_))), "{states:?}");
        assert_eq!(states.last(), Some(&State::Ready));
        assert_eq!(client.stats().connections, 2);
    }
}

#[tokio::test]
async fn another_robot_at_the_same_address_is_not_spoken_to() {
    let (server, client) = connect(Kind::Extended).await;
    client.start_obs_stream(30.0).unwrap();
    client.newer_obs(0, LONG).await.unwrap();
    let addr = server.kill().await;
    let mut states = client.watch_state();
    let other = Server::start_at(addr, Kind::Extended, None).await;
    other.set(|state| state.robot = "arm-2");
    let refused = states.wait_for(|state| matches!(state, State::Lost(Lost::OtherRobot { .. })));
    let refused = timeout(LONG, refused).await.unwrap().unwrap().clone();
    let State::Lost(lost) = refused else { panic!() };
    assert_eq!(lost.to_string(), "robot arm-2 answers, and this client belongs to robot arm-1");
    let refused = client.send_action([0.0]).await.unwrap_err();
    assert!(matches!(refused, Error::NotConnected { .. }) && refused.to_string().contains("arm-2"), "{refused}");
    eventually("another try", || other.count("metadata") > 1).await;
    assert_eq!(other.kinds().iter().filter(|kind| **kind != "metadata").count(), 0);
    other.set(|state| state.robot = "arm-1");
    timeout(LONG, client.ready()).await.unwrap().unwrap();
    client.reset().await.unwrap();
}

#[tokio::test]
async fn queued_actions_survive_if_they_are_wanted_to() {
    let (server, client) = connect_with(Kind::Decoupled, Options { keep_actions_when_lost: true, ..plain() }).await;
    client.generation().await.unwrap();
    client.put_action([1.0]).unwrap();
    let addr = server.kill().await;
    eventually("the loss", || !client.is_connected()).await;
    client.put_action([2.0]).unwrap();
    let server = Server::start_at(addr, Kind::Decoupled, None).await;
    client.start_action_dispatch(50.0).unwrap();
    eventually("both", || server.count("apply_action") == 2).await;
}

#[tokio::test]
async fn a_server_that_closes_says_why() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    let mut once = true;
    server.on(move |message| match message {
        ClientMessage::Reset(_) if std::mem::take(&mut once) => Answer::Close(1011, "control held"),
        _ => Answer::Usual,
    });
    let error = client.reset().await.unwrap_err();
    let closed = Lost::Closed { code: 1011, reason: "control held".to_owned() };
    assert!(matches!(&error, Error::Lost(lost) if *lost == closed), "{error}");
    assert_eq!(error.to_string(), "connection lost: closed by the server, 1011: control held");
    timeout(LONG, client.ready()).await.unwrap().unwrap();
    client.reset().await.unwrap();
}

#[tokio::test]
async fn a_client_that_is_refused_for_good_is_told_at_once() {
    let server = Server::start(Kind::Extended).await;
    server.set(|state| state.refuse = Some(401));
    let error = PolicyClient::connect(&server.uri(), options()).await.unwrap_err();
    assert!(matches!(&error, Error::Refused { reason, .. } if reason.contains("401") && reason.contains("token")));
    // A server that is busy may have time later.
    server.set(|state| state.refuse = Some(503));
    let waiting = tokio::spawn({
        let uri = server.uri();
        async move { PolicyClient::connect(&uri, options()).await }
    });
    eventually("two attempts", || server.get(|state| state.upgrades.len()) >= 3).await;
    server.set(|state| state.refuse = None);
    timeout(LONG, waiting).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn no_reply_of_a_connection_before_is_taken_for_one_of_the_next() {
    // Ids go on rising, so that a late reply finds nobody.
    let (server, client) = connect(Kind::Extended).await;
    client.reset().await.unwrap();
    let addr = server.kill().await;
    let server = Server::start_at(addr, Kind::Extended, None).await;
    eventually("the connection", || client.stats().connections == 2 && client.is_connected()).await;
    server.on(|message| match message {
        ClientMessage::ObsRequest(request) => {
            let kind = waldo_protocol::policy::ObservationKind::Requested;
            let old = crate::server::observation_of(-1.0, kind, waldo_protocol::policy::RequestId::new(1));
            Answer::Frames(vec![old, crate::server::observation_of(5.0, kind, request.id)])
        }
        _ => Answer::Usual,
    });
    assert_eq!(client.observation().await.unwrap().timestamp(), 5.0);
}

#[tokio::test]
async fn a_server_that_is_gone_without_a_word_is_noticed_though_nothing_is_asked() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    client.observation().await.unwrap();
    let mut once = true;
    server.on(move |message| match message {
        ClientMessage::ApplyAction(_) if std::mem::take(&mut once) => Answer::Freeze,
        _ => Answer::Usual,
    });
    let mut events = client.events();
    client.send_action([0.0]).await.unwrap();
    let lost = async {
        loop {
            if let Event::State(State::Lost(lost)) = events.recv().await.unwrap() {
                return lost;
            }
        }
    };
    let lost = timeout(Duration::from_secs(60), lost).await.unwrap();
    assert_eq!(lost, Lost::Silent { call: "ping" });
    timeout(LONG, client.ready()).await.unwrap().unwrap();
    client.observation().await.unwrap();
}

#[tokio::test]
async fn a_server_with_nothing_to_say_is_not_gone() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    sleep(Duration::from_secs(13)).await;
    assert_eq!(server.get(|state| state.upgrades.len()), 1);
    client.observation().await.unwrap();
}

#[tokio::test]
async fn a_server_that_takes_nothing_is_given_up_before_much_waits() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    client.observation().await.unwrap();
    server.on(|message| match message {
        ClientMessage::ApplyAction(_) => Answer::Freeze,
        _ => Answer::Usual,
    });
    let action = vec![0.5_f32; 50_000];
    let mut sent = 0;
    let error = loop {
        match client.send_action(&action[..]).await {
            Ok(()) => sent += 1,
            Err(error) => break error,
        }
        // Far more than the buffers of two sockets.
        assert!(sent < 500);
    };
    assert!(matches!(error, Error::Lost(Lost::Stalled { waiting }) if waiting <= 1 << 20), "{error}");
}
