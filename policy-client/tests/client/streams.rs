//! Streams of observations.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use tokio::time::sleep;
use waldo_policy_client::{Error, Event, StreamOptions};
use waldo_protocol::policy::ClientMessage;

use crate::server::{Answer, Kind, eventually};
use crate::{connect, connect_with, plain};

const LONG: Duration = Duration::from_secs(20);

/// Vector `stop_stream_in_flight`.
#[tokio::test]
async fn stopping_a_stream_while_a_reply_is_on_its_way_shifts_no_later_reply() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    client.reset().await.unwrap();
    server.set(|state| state.obs_takes = Duration::from_millis(200));
    client.start_obs_stream(100.0).unwrap();
    sleep(Duration::from_millis(300)).await;
    client.stop_obs_stream();
    assert_eq!(client.metadata().await.unwrap().data.len(), 1);
    assert_eq!(client.reset().await.unwrap().1.len(), 1);
    client.observation().await.unwrap();
    let version = client.latest_obs().unwrap().version;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(client.latest_obs().unwrap().version, version, "the stream has ended");
    assert_eq!(server.get(|state| state.upgrades.len()), 1);
}

/// Vector `calls_while_streaming`.
#[tokio::test]
async fn calls_succeed_while_a_stream_runs_and_the_stream_goes_on() {
    for (kind, options) in [(Kind::Decoupled, plain()), (Kind::Extended, crate::options())] {
        let (_server, client) = connect_with(kind, options).await;
        client.start_obs_stream(50.0).unwrap();
        for _ in 0..20 {
            let (metadata, reset) = tokio::join!(client.metadata(), client.reset());
            assert_eq!((metadata.unwrap().data.len(), reset.unwrap().1.len()), (1, 1));
        }
        let version = client.latest_obs().unwrap().version;
        let newer = client.newer_obs(version + 5, LONG).await.unwrap();
        assert!(!newer.stale);
    }
}

/// Vector `two_streams_started`.
#[tokio::test]
async fn a_stream_that_is_started_twice_goes_on_with_the_new_rate() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    client.generation().await.unwrap();
    client.start_obs_stream(20.0).unwrap();
    client.start_obs_stream(40.0).unwrap();
    sleep(Duration::from_millis(200)).await;
    let (before, begin) = (server.count("obs_request"), Instant::now());
    sleep(Duration::from_secs(2)).await;
    let rate = (server.count("obs_request") - before) as f64 / begin.elapsed().as_secs_f64();
    // Not 20, nor the sum; busy computers lose some.
    assert!((25.0..45.0).contains(&rate), "{rate} per second");
}

#[tokio::test]
async fn the_rate_does_not_drift_with_the_time_that_answers_take() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    server.set(|state| state.obs_takes = Duration::from_millis(15));
    client.start_obs_stream(30.0).unwrap();
    client.newer_obs(2, LONG).await.unwrap();
    let (before, begin) = (client.stats().observations, Instant::now());
    sleep(Duration::from_secs(2)).await;
    let rate = (client.stats().observations - before) as f64 / begin.elapsed().as_secs_f64();
    // Sleeping between answers would give 20.
    assert!((25.0..33.0).contains(&rate), "{rate} per second");
}

#[tokio::test]
async fn several_requests_on_their_way_make_a_stream_faster_than_one_answer_after_the_other() {
    let (server, client) = connect(Kind::Extended).await;
    // Each answer comes three requests later.
    let mut held = std::collections::VecDeque::new();
    server.on(move |message| match message {
        ClientMessage::ObsRequest(request) => {
            held.push_back(request.id);
            match held.len() {
                4 => {
                    let kind = waldo_protocol::policy::ObservationKind::Requested;
                    Answer::Frames(vec![crate::server::observation_of(1.0, kind, held.pop_front().unwrap())])
                }
                _ => Answer::Nothing,
            }
        }
        _ => Answer::Usual,
    });
    let mut pull = StreamOptions::hz(100.0);
    (pull.push, pull.inflight) = (false, 4);
    client.start_obs_stream_with(pull).unwrap();
    client.newer_obs(20, LONG).await.unwrap();
}

#[tokio::test]
async fn a_server_that_can_push_is_not_asked() {
    let (server, client) = connect(Kind::Extended).await;
    client.start_obs_stream(50.0).unwrap();
    let latest = client.newer_obs(20, LONG).await.unwrap();
    assert!(latest.observation.push().unwrap().n >= 20);
    assert_eq!((server.count("obs_request"), server.count("subscribe")), (0, 1));
    // Two are on the way at most; the others were paid for.
    let credits = server.count("credit") as u64;
    assert!(credits >= latest.version - 2, "{credits} of {}", latest.version);
    client.stop_obs_stream();
    eventually("the end of the subscription", || server.count("unsubscribe") == 1).await;
    let version = client.latest_obs().unwrap().version;
    sleep(Duration::from_millis(300)).await;
    assert!(client.latest_obs().unwrap().version <= version + 2);
}

#[tokio::test]
async fn a_choice_of_cameras_reaches_the_server_and_a_new_stream_replaces_the_old() {
    let (server, client) = connect(Kind::Extended).await;
    client.start_obs_stream(50.0).unwrap();
    client.newer_obs(2, LONG).await.unwrap();
    let mut wanted = StreamOptions::hz(0.0);
    wanted.cameras = Some(vec!["cam".to_owned()]);
    wanted.depth = Some(false);
    client.start_obs_stream_with(wanted).unwrap();
    eventually("both", || server.count("subscribe") == 2 && server.count("unsubscribe") == 1).await;
    let subscribed = server.get(|state| {
        let of = |message: &ClientMessage| match message {
            ClientMessage::Subscribe(subscribe) => Some(subscribe.clone()),
            _ => None,
        };
        state.seen.iter().filter_map(|(message, ..)| of(message)).collect::<Vec<_>>()
    });
    assert_ne!(subscribed[0].stream, subscribed[1].stream);
    assert_eq!((subscribed[1].hz, subscribed[1].depth), (0.0, Some(false)));
    assert_eq!(subscribed[1].cameras.as_deref(), Some(&["cam".to_owned()][..]));
    let version = client.latest_obs().unwrap().version;
    let latest = client.newer_obs(version + 5, LONG).await.unwrap();
    assert_eq!(latest.observation.push().unwrap().stream, subscribed[1].stream);
}

#[tokio::test]
async fn a_frozen_stream_is_visible() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    client.start_obs_stream(100.0).unwrap();
    assert!(!client.newer_obs(3, LONG).await.unwrap().stale);
    server.on(|_| Answer::Nothing);
    eventually("staleness", || client.latest_obs().unwrap().stale).await;
    let frozen = client.latest_obs().unwrap();
    sleep(Duration::from_millis(100)).await;
    let later = client.latest_obs().unwrap();
    assert_eq!(later.version, frozen.version);
    assert!(later.age > frozen.age);
}

#[tokio::test]
async fn an_observation_that_fails_is_an_event_and_the_stream_goes_on() {
    let (server, client) = connect_with(Kind::Extended, crate::options()).await;
    let mut events = client.events();
    let mut n = 0;
    server.on(move |message| match message {
        ClientMessage::ObsRequest(request) => {
            n += 1;
            if n % 2 == 0 {
                return Answer::Usual;
            }
            let mut error = Vec::new();
            waldo_policy_client::ErrorReply {
                id: request.id,
                code: waldo_policy_client::ErrorCode::App,
                message: "no frame".to_owned(),
                retry_ms: None,
            }
            .encode(&mut error);
            Answer::Frames(vec![error])
        }
        _ => Answer::Usual,
    });
    let mut pull = StreamOptions::hz(100.0);
    pull.push = false;
    client.start_obs_stream_with(pull).unwrap();
    client.newer_obs(5, LONG).await.unwrap();
    loop {
        if let Event::Stream(error) = events.recv().await.unwrap() {
            assert!(matches!(error, Error::Server { .. }), "{error}");
            break;
        }
    }
}

#[tokio::test]
async fn a_rate_that_is_none_is_refused() {
    let (_server, client) = connect(Kind::Extended).await;
    for hz in [-1.0, f64::NAN, f64::INFINITY, 1001.0] {
        assert!(matches!(client.start_obs_stream(hz), Err(Error::Rate(_))), "{hz}");
        assert!(matches!(client.start_action_dispatch(hz), Err(Error::Rate(_))), "{hz}");
    }
    assert!(matches!(client.start_action_dispatch(0.0), Err(Error::Rate(_))));
}

#[tokio::test]
async fn the_memory_of_observations_is_used_again() {
    let (server, client) = connect(Kind::Extended).await;
    let pixels = vec![7; 300 * 400 * 3];
    server.on(move |message| match message {
        ClientMessage::ObsRequest(request) => {
            let kind = waldo_protocol::policy::ObservationKind::Requested;
            let size = [300, 400];
            Answer::Frames(vec![crate::server::camera_observation(1.0, size, &pixels, None, None, kind, request.id)])
        }
        _ => Answer::Usual,
    });
    let mut places = HashSet::new();
    for _ in 0..30 {
        let observation = client.observation().await.unwrap();
        assert_eq!(observation.camera("cam").unwrap().image().unwrap()[[299, 399, 2]], 7);
        // Within the alignment of the payload.
        places.insert(observation.frame().as_ptr() as usize >> 7);
    }
    // One in the caller's hands, one as the latest, one being received; each at one of two rounded places.
    assert!(places.len() <= 6, "{} places", places.len());
}
