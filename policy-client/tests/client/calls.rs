//! Calls and their replies: every reply finds its own call, and no call waits for ever.

use std::time::Duration;

use tokio::time::timeout;
use waldo_policy_client::{Error, ErrorCode, ErrorReply, Lost, Options, PolicyClient, State};
use waldo_protocol::policy::{ClientMessage, MetadataResponse, ObservationKind};

use crate::server::{Answer, Kind, Server, eventually, observation_of};
use crate::{connect, connect_with, options, plain};

const LONG: Duration = Duration::from_secs(20);

fn short() -> Options {
    Options { request_timeout: Duration::from_millis(300), reset_timeout: Duration::from_millis(300), ..options() }
}

#[tokio::test]
async fn metadata_reset_and_observation_are_what_the_server_says() {
    let (_server, client) = connect(Kind::Extended).await;
    let metadata = client.metadata().await.unwrap();
    assert_eq!(metadata.data.get("robot").and_then(|robot| robot.as_str()), Some("test"));
    assert_eq!(metadata.server.unwrap().robot.unwrap().as_str(), "arm-1");
    let (first, info) = client.reset().await.unwrap();
    assert_eq!(info.get("scene").and_then(|scene| scene.as_u64()), Some(42));
    assert_eq!(first.timestamp(), 1.0);
    assert_eq!(client.latest_obs().unwrap().observation.timestamp(), 1.0);
    let next = client.observation().await.unwrap();
    assert_eq!(next.timestamp(), 2.0);
    let latest = client.latest_obs().unwrap();
    assert_eq!((latest.observation.timestamp(), latest.version, latest.stale), (2.0, 2, false));
}

#[tokio::test]
async fn the_requests_of_the_original_wire_are_exact_to_the_byte() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    client.reset().await.unwrap();
    client.observation().await.unwrap();
    client.send_action([0.5, -1.0]).await.unwrap();
    eventually("the action", || server.count("apply_action") == 1).await;
    let frames: Vec<String> = server.get(|state| {
        let hex = |frame: &[u8]| frame.iter().map(|byte| format!("{byte:02x}")).collect();
        state.seen.iter().map(|(_, frame, _)| hex(frame)).collect()
    });
    assert_eq!(frames[0], "0f00000081a474797065a86d65746164617461");
    assert_eq!(frames[1], "0c00000081a474797065a57265736574");
    assert!(frames[2..frames.len() - 1].iter().all(|frame| frame == "1200000081a474797065ab6f62735f72657175657374"));
    // type, shape [2], dtype float32, obs_timestamps {cam: 2.0 or 3.0}, then two floats.
    let action = frames.last().unwrap();
    let header = "84a474797065ac6170706c795f616374696f6ea5736861706591 02a56474797065a7666c6f61743332ae6f62735f74696d65\
                  7374616d707381a363616dcb";
    assert!(action.contains(&header.replace(' ', "")), "{action}");
    assert!(action.ends_with("0000003f000080bf"), "{action}");
}

#[tokio::test]
async fn replies_that_come_out_of_order_find_their_calls_by_id() {
    let (server, client) = connect(Kind::Extended).await;
    let mut held = Vec::new();
    server.on(move |message| match message {
        ClientMessage::ObsRequest(request) => {
            let n = request.id.unwrap().get();
            held.push(observation_of(n as f64, ObservationKind::Requested, request.id));
            if held.len() < 4 {
                return Answer::Nothing;
            }
            Answer::Frames(held.drain(..).rev().collect())
        }
        _ => Answer::Usual,
    });
    let call = || client.observation();
    let (a, b, c, d, metadata) = tokio::join!(call(), call(), call(), call(), client.metadata());
    let stamps = [a, b, c, d].map(|observation| observation.unwrap().timestamp());
    // Ids rise in the order of the calls.
    assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
    metadata.unwrap();
}

#[tokio::test]
async fn without_ids_replies_belong_to_requests_in_their_order() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    client.observation().await.unwrap();
    server.set(|state| state.obs_takes = Duration::from_millis(50));
    let (first, metadata, second, reset) =
        tokio::join!(client.observation(), client.metadata(), client.observation(), client.reset());
    assert!(first.unwrap().timestamp() < second.unwrap().timestamp());
    assert_eq!(metadata.unwrap().data.len(), 1);
    assert_eq!(reset.unwrap().1.len(), 1);
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_its_reply_to_nobody() {
    for options in [plain(), options()] {
        let (server, client) = connect_with(Kind::Extended, options).await;
        client.generation().await.unwrap();
        server.set(|state| state.obs_takes = Duration::from_millis(200));
        for _ in 0..3 {
            // Longer than the request takes to be sent, shorter than its answer.
            assert!(timeout(Duration::from_millis(20), client.observation()).await.is_err());
        }
        server.set(|state| state.obs_takes = Duration::ZERO);
        assert_eq!(client.metadata().await.unwrap().data.len(), 1);
        let before = client.latest_obs().unwrap().observation.timestamp();
        assert!(client.observation().await.unwrap().timestamp() > before);
        assert_eq!(client.stats().stray, 0);
    }
}

#[tokio::test]
async fn a_lost_reply_is_a_time_out_and_the_next_call_gets_its_own() {
    for options in [short(), Options { extensions: plain().extensions, ..short() }] {
        let (server, client) = connect_with(Kind::Extended, options).await;
        client.observation().await.unwrap();
        let mut lost = false;
        server.on(move |message| match message {
            ClientMessage::ObsRequest(_) if !std::mem::replace(&mut lost, true) => Answer::Nothing,
            _ => Answer::Usual,
        });
        let error = client.observation().await.unwrap_err();
        assert!(matches!(error, Error::Timeout { call: "obs_request", .. }), "{error}");
        timeout(LONG, client.ready()).await.unwrap().unwrap();
        eventually("a connection that works", || client.is_connected()).await;
        let mut metadata = client.metadata().await;
        if metadata.is_err() {
            // The connection was just being given up.
            eventually("the end", || server.get(|state| state.upgrades.len()) == 2 && client.is_connected()).await;
            metadata = client.metadata().await;
        }
        assert_eq!(metadata.unwrap().data.len(), 1);
        client.observation().await.unwrap();
    }
}

#[tokio::test]
async fn with_ids_a_slow_call_fails_alone() {
    let (server, client) = connect_with(Kind::Extended, short()).await;
    server.on(|message| match message {
        ClientMessage::Reset(_) => Answer::Nothing,
        _ => Answer::Usual,
    });
    let calls = async {
        // The server is heard of all the time, so it is there.
        for _ in 0..60 {
            client.metadata().await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let (reset, ()) = tokio::join!(client.reset(), calls);
    assert!(matches!(reset, Err(Error::Timeout { call: "reset", .. })), "{reset:?}");
    assert_eq!(server.get(|state| state.upgrades.len()), 1, "the connection stayed");
}

#[tokio::test]
async fn a_slow_reset_is_not_killed_by_the_requests_behind_it() {
    let options = Options { request_timeout: Duration::from_millis(300), ..plain() };
    let (server, client) = connect_with(Kind::Decoupled, options).await;
    client.start_obs_stream(50.0).unwrap();
    client.newer_obs(2, LONG).await.unwrap();
    server.set(|state| state.reset_takes = Duration::from_millis(1200));
    let (reset, metadata) = tokio::join!(client.reset(), client.metadata());
    reset.unwrap();
    metadata.unwrap();
    let version = client.latest_obs().unwrap().version;
    client.newer_obs(version + 3, LONG).await.unwrap();
    assert_eq!(server.get(|state| state.upgrades.len()), 1);
}

#[tokio::test]
async fn a_silent_server_ends_no_call_in_waiting() {
    let (server, client) = connect_with(Kind::Decoupled, Options { extensions: plain().extensions, ..short() }).await;
    client.observation().await.unwrap();
    server.on(|_| Answer::Nothing);
    let call = || client.observation();
    let (a, b, c) = timeout(LONG, async { tokio::join!(call(), call(), client.reset()) }).await.unwrap();
    let known = |error: &Error| matches!(error, Error::Timeout { .. } | Error::Lost(Lost::Silent { .. }));
    for error in [a.unwrap_err(), b.unwrap_err(), c.unwrap_err()] {
        assert!(known(&error), "{error}");
    }
}

#[tokio::test]
async fn a_reply_of_the_wrong_type_fails_its_call_and_the_connection() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    client.observation().await.unwrap();
    let mut once = true;
    server.on(move |message| match message {
        ClientMessage::Reset(_) if std::mem::take(&mut once) => {
            let mut metadata = Vec::new();
            MetadataResponse::default().encode(&mut metadata);
            Answer::Frames(vec![metadata])
        }
        _ => Answer::Usual,
    });
    let (reset, observation) = tokio::join!(client.reset(), client.observation());
    assert!(matches!(reset, Err(Error::UnexpectedReply { call: "reset", .. })), "{reset:?}");
    assert!(matches!(observation, Err(Error::Lost(Lost::Protocol(_)))), "{observation:?}");
    eventually("another connection", || server.get(|state| state.upgrades.len()) == 2 && client.is_connected()).await;
    client.reset().await.unwrap();
}

#[tokio::test]
async fn a_reply_that_cannot_be_read_is_an_error_of_its_call() {
    // Without an id that can be read, the order of the replies is in doubt.
    for (options, frame, connections) in [
        (plain(), vec![1, 2, 3], 2),
        (plain(), observation_of(1.0, ObservationKind::Requested, None)[..300].to_vec(), 2),
    ] {
        let (server, client) = connect_with(Kind::Decoupled, options).await;
        client.observation().await.unwrap();
        let mut frame = Some(frame);
        server.on(move |_| frame.take().map_or(Answer::Usual, |frame| Answer::Frames(vec![frame])));
        let error = client.observation().await.unwrap_err();
        assert!(matches!(error, Error::Malformed { call: "obs_request", .. }), "{error}");
        let back = || server.get(|state| state.upgrades.len()) == connections && client.is_connected();
        eventually("a connection", back).await;
        client.observation().await.unwrap();
        assert_eq!(client.stats().malformed, 1);
    }
}

#[tokio::test]
async fn with_an_id_a_reply_that_cannot_be_read_costs_nobody_else_anything() {
    let (server, client) = connect(Kind::Extended).await;
    let mut once = true;
    server.on(move |message| match message {
        ClientMessage::ObsRequest(request) if std::mem::take(&mut once) => {
            let mut frame = observation_of(1.0, ObservationKind::Requested, request.id);
            frame.pop();
            Answer::Frames(vec![frame])
        }
        _ => Answer::Usual,
    });
    let (bad, good) = tokio::join!(client.observation(), client.observation());
    let error = bad.unwrap_err();
    assert!(matches!(error, Error::Malformed { .. }) && error.to_string().contains("joint_pos"), "{error}");
    good.unwrap();
    assert_eq!(server.get(|state| state.upgrades.len()), 1);
}

#[tokio::test]
async fn an_error_reply_is_an_error_of_its_call() {
    let (server, client) = connect(Kind::Extended).await;
    server.on(|message| match message {
        ClientMessage::Reset(request) => {
            let mut error = Vec::new();
            let reply = ErrorReply {
                id: request.id,
                code: ErrorCode::NotHolder,
                message: "somebody else controls".to_owned(),
                retry_ms: Some(100.0),
            };
            reply.encode(&mut error);
            Answer::Frames(vec![error])
        }
        _ => Answer::Usual,
    });
    let error = client.reset().await.unwrap_err();
    assert_eq!(error.to_string(), "reset: somebody else controls (not_holder)");
    assert!(matches!(error, Error::Server { reply, .. } if reply.retry_ms == Some(100.0)));
    client.observation().await.unwrap();
}

#[tokio::test]
async fn frames_nobody_asked_for_disturb_no_call() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    client.observation().await.unwrap();
    let unknown = b"\x09\0\0\0\x81\xa4type\xa2xy".to_vec();
    server.on(move |message| match message {
        ClientMessage::Metadata(_) => {
            let mut metadata = Vec::new();
            MetadataResponse::default().encode(&mut metadata);
            // Its own reply, something unknown, and a reply to nothing.
            Answer::Frames(vec![metadata, unknown.clone(), observation_of(-1.0, ObservationKind::Requested, None)])
        }
        _ => Answer::Usual,
    });
    client.metadata().await.unwrap();
    eventually("both", || client.stats().stray == 2).await;
    assert!(client.observation().await.unwrap().timestamp() > 0.0);
    assert_eq!(client.state(), State::Ready);
}

#[tokio::test]
async fn calls_after_the_end_fail_at_once() {
    let (_server, client) = connect(Kind::Extended).await;
    let other = client.clone();
    let waiting = tokio::spawn(async move { other.newer_obs(0, LONG).await });
    tokio::task::yield_now().await;
    client.close().await;
    assert_eq!(client.state(), State::Closed);
    assert!(matches!(client.reset().await, Err(Error::Closed)));
    assert!(matches!(client.ready().await, Err(Error::Closed)));
    assert!(matches!(client.put_action([0.0]), Err(Error::Closed)));
    assert!(matches!(waiting.await.unwrap(), Err(Error::Closed)));
}

#[tokio::test]
async fn the_connection_ends_with_the_last_handle() {
    let (server, client) = connect(Kind::Extended).await;
    let clone = client.clone();
    drop(client);
    clone.metadata().await.unwrap();
    drop(clone);
    eventually("the goodbye", || server.get(|state| state.closes == [1000])).await;
}

#[test]
fn a_program_without_a_runtime_calls_the_same_client() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start(Kind::Extended));
    let client = waldo_policy_client::blocking::PolicyClient::connect(&server.uri(), options()).unwrap();
    client.reset().unwrap();
    client.start_obs_stream(100.0).unwrap();
    client.start_action_dispatch(100.0).unwrap();
    client.put_action([1.0, 2.0]).unwrap();
    let version = client.latest_obs().unwrap().version;
    client.newer_obs(version + 3, LONG).unwrap();
    runtime.block_on(eventually("the action", || server.count("apply_action") == 1));
    assert_eq!(client.step([0.0, 0.0]).unwrap().outcome.reward, 1.5);
    client.close();
    let error = PolicyClient::clone(&client).put_action([0.0, 0.0]).unwrap_err();
    assert!(matches!(error, Error::Closed));
}

#[test]
fn the_blocking_client_works_within_asynchronous_code_too() {
    let servers = tokio::runtime::Runtime::new().unwrap();
    let server = servers.block_on(Server::start(Kind::Extended));
    let several = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    for runtime in [tokio::runtime::Builder::new_current_thread().build().unwrap(), several] {
        let uri = server.uri();
        runtime.block_on(async {
            let client = waldo_policy_client::blocking::PolicyClient::connect(&uri, options()).unwrap();
            client.ready(LONG).unwrap();
            client.reset().unwrap();
            client.send_action([1.0, 2.0]).unwrap();
            client.observation().unwrap();
            client.close();
            assert!(matches!(client.observation(), Err(Error::Closed)));
            // One that is dropped without that.
            drop(waldo_policy_client::blocking::PolicyClient::connect(&uri, options()).unwrap());
        });
        servers.block_on(eventually("the goodbyes", || server.get(|state| state.closes.len() >= 2)));
        server.set(|state| state.closes.clear());
    }
}
