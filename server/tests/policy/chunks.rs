//! Actions that come all at once and are due one by one, and what the server counted.

use std::time::{Duration, Instant};

use waldo_protocol::policy::{
    Capability, ChunkHeader, ChunkMode, ChunkResponse, ChunkTiming, ErrorCode, ServerMessage, Value, encode_stats,
};

use super::harness::*;

fn now() -> f64 {
    waldo_server::clock::now().as_nanos() as f64 / 1e9
}

async fn client(setup: &Setup) -> Client {
    setup.extended(caps(&[Capability::Id, Capability::Err, Capability::Chunk, Capability::Stats])).await
}

/// Sends rows of one value each.
async fn send(client: &mut Client, values: &[f32], timing: ChunkTiming, mode: ChunkMode) -> ServerMessage {
    let header = ChunkHeader {
        id: id(10),
        chunk: 5,
        shape: [values.len(), 1],
        obs_timestamps: &[("wrist_cam".to_owned(), 1.5)],
        timing: &timing,
        mode,
        late_limit_ms: None,
    };
    client.send(|out| header.encode(values, out).unwrap()).await;
    client.reply(id(10)).await
}

fn every(t0: f64, dt: f64) -> ChunkTiming {
    ChunkTiming::Every { t0, dt }
}

fn values(setup: &Setup) -> Vec<f32> {
    setup.robot.actions().iter().map(|action| action.values[0]).collect()
}

fn queued(message: &ServerMessage) -> (u64, u64) {
    match message {
        ServerMessage::Chunk(ChunkResponse { chunk: 5, dropped_late, queued, .. }) => (*dropped_late, *queued),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn each_row_reaches_the_robot_when_it_is_due() {
    let setup = start();
    let mut client = client(&setup).await;
    let (begun, t0) = (Instant::now(), now() + 0.1);
    let reply = send(&mut client, &[1.0, 2.0, 3.0], every(t0, 0.05), ChunkMode::Append).await;
    assert_eq!(queued(&reply), (0, 3));
    for n in 0..3u32 {
        let at = setup.robot.wait_for_action(&[n as f32 + 1.0]).duration_since(begun);
        let due = Duration::from_millis(95 + 50 * u64::from(n));
        assert!(at >= due && at < due + Duration::from_secs(2), "{n}: {at:?}");
    }
    let actions = setup.robot.actions();
    assert_eq!((values(&setup), &actions[0].shape[..]), (vec![1.0, 2.0, 3.0], &[1][..]));
    assert_eq!(actions[0].obs_timestamps, [("wrist_cam".to_owned(), 1.5)]);
}

/// The chunk of the vectors, moved to the present: it arrives 60 ms after its first row was due.
#[tokio::test]
async fn late_rows_are_dropped_and_the_others_replace_what_is_queued_from_there_on() {
    let setup = start();
    let mut client = client(&setup).await;
    let far = now() + 2.0;
    assert_eq!(queued(&send(&mut client, &[8.0, 9.0], every(far, 1.0), ChunkMode::Append).await), (0, 2));
    let t0 = now() - 0.6;
    let reply = send(&mut client, &[1.0, 2.0, 3.0], every(t0, 0.5), ChunkMode::Replace).await;
    assert_eq!(queued(&reply), (2, 1), "only the third is left, and those behind it are replaced");
    setup.robot.wait_for_action(&[3.0]);
    assert_eq!((values(&setup), setup.dropped("late")), (vec![3.0], 2));
    // Appending keeps what is there.
    let far = now() + 60.0;
    send(&mut client, &[1.0], every(far, 1.0), ChunkMode::Append).await;
    assert_eq!(queued(&send(&mut client, &[2.0], every(far, 1.0), ChunkMode::Append).await), (0, 2));
}

#[tokio::test]
async fn a_reset_and_the_end_of_a_connection_forget_what_is_queued() {
    let setup = start();
    let mut first = client(&setup).await;
    let soon = || every(now() + 0.3, 0.0);
    send(&mut first, &[1.0], soon(), ChunkMode::Append).await;
    first.reset().await;
    assert_eq!(first.message().await.kind(), "reset_response");
    send(&mut first, &[2.0], soon(), ChunkMode::Append).await;
    first.close().await;
    setup.until("it is gone", |setup| setup.server.clients().is_empty()).await;
    let mut second = client(&setup).await;
    send(&mut second, &[3.0], soon(), ChunkMode::Append).await;
    setup.robot.wait_for_action(&[3.0]);
    assert_eq!(values(&setup), [3.0]);
}

#[tokio::test]
async fn the_watchdog_waits_for_the_last_row() {
    let setup = start_with(Behaviour::default(), |config| config.action_timeout = Duration::from_millis(100));
    let mut client = client(&setup).await;
    send(&mut client, &[1.0, 2.0], every(now() + 0.4, 0.4), ChunkMode::Append).await;
    setup.robot.wait_for_action(&[2.0]);
    let stale = |event: &Event| *event == Event::Stale;
    let last = setup.robot.wait_for(1, |event| matches!(event, Event::Applied { values, .. } if values[..] == [2.0]));
    assert!(setup.robot.wait_for(1, stale) > last, "not between the rows");
    assert_eq!((setup.robot.count(stale), setup.robot.done().last()), (1, Some(&Event::Stale)));
}

#[tokio::test]
async fn chunks_that_may_not_be_are_refused_as_a_whole() {
    let setup = start();
    let mut client_a = client(&setup).await;
    let refused = |message: ServerMessage, code| match message {
        ServerMessage::Error(error) => assert_eq!((error.code, error.id), (code, Some(id(10))), "{}", error.message),
        other => panic!("{other:?}"),
    };
    let far = now() + 60.0;
    refused(send(&mut client_a, &[1.0, f32::NAN], every(far, 1.0), ChunkMode::Append).await, ErrorCode::NonFinite);
    refused(send(&mut client_a, &[0.0; 1025], every(far, 0.1), ChunkMode::Append).await, ErrorCode::TooLarge);
    let ext = client_a.negotiate(client_a.caps).await;
    assert_eq!(ext.limits.max_chunk, 1024);
    for _ in 0..4 {
        send(&mut client_a, &[0.0; 1024], every(far, 0.1), ChunkMode::Append).await;
    }
    refused(send(&mut client_a, &[1.0], every(far, 0.1), ChunkMode::Append).await, ErrorCode::Busy);
    let mut client_b = client(&setup).await;
    refused(send(&mut client_b, &[1.0], every(now(), 0.1), ChunkMode::Append).await, ErrorCode::NotHolder);
    // A person takes over: what was queued does not come afterwards.
    setup.server.set_operator(true);
    setup.server.set_operator(false);
    assert_eq!(queued(&send(&mut client_a, &[1.0], every(far, 1.0), ChunkMode::Append).await), (0, 1));
    assert!(setup.robot.actions().is_empty());
}

#[tokio::test]
async fn statistics_tell_requests_latencies_drops_queues_cameras_and_the_holder() {
    let setup = start();
    let mut client = client(&setup).await;
    setup.hub.update_image("wrist_cam", &[1u8; 72]).unwrap();
    for _ in 0..3 {
        client.ask().await;
        client.message().await;
    }
    client.act(&[f32::NAN]).await;
    client.message().await;
    send(&mut client, &[1.0, 2.0], every(now() + 60.0, 1.0), ChunkMode::Append).await;
    client.send(|out| encode_stats(id(11), out)).await;
    let ServerMessage::Stats(response) = client.reply(id(11)).await else { panic!() };
    let at = |path: &[&str]| {
        let first = response.data.get(path[0]).unwrap_or_else(|| panic!("{path:?}")).clone();
        path[1..].iter().fold(first, |value: Value, key| {
            let entries = value.as_map().unwrap();
            entries.iter().find(|(name, _)| name.as_str() == Some(key)).unwrap_or_else(|| panic!("{path:?}")).1.clone()
        })
    };
    assert_eq!(at(&["requests", "obs_request"]), Value::from(3));
    assert_eq!((at(&["dropped", "non_finite"]), at(&["queues", "chunks"])), (Value::from(1), Value::from(2)));
    let (p50, p99) = (at(&["latency_ms", "obs_request", "p50"]), at(&["latency_ms", "obs_request", "p99"]));
    assert!(p50.as_f64().unwrap() > 0.0 && p99.as_f64() >= p50.as_f64(), "{p50} {p99}");
    assert_eq!(at(&["cameras", "wrist_cam", "n"]), Value::from(1));
    assert!(at(&["cameras", "wrist_cam", "age_ms"]).as_f64().unwrap() >= 0.0);
    assert!(at(&["holder"]).as_str().is_some() && at(&["sent_bytes"]).as_u64().unwrap() > 200);
}
