//! Actions on their way to the robot.

use std::time::{Duration, Instant};

use ndarray::{Array2, array};
use tokio::time::sleep;
use waldo_policy_client::{Action, ActionError, Chunk, Due, Error, Options, PolicyClient};
use waldo_protocol::policy::{ChunkMode, ChunkTiming, ClientMessage, Value};

use crate::server::{Kind, Server, eventually};
use crate::{connect, connect_with, options, plain};

/// The values of the actions the server got, and when.
fn applied(server: &Server) -> Vec<(Vec<f32>, Instant)> {
    server.get(|state| {
        let of = |(message, frame, at): &(ClientMessage, Vec<u8>, Instant)| match message {
            ClientMessage::ApplyAction(action) => Some((action.array.view(frame).unwrap().f32s().collect(), *at)),
            _ => None,
        };
        state.seen.iter().filter_map(of).collect()
    })
}

fn actions(server: &Server) -> Vec<waldo_protocol::policy::Action> {
    server.get(|state| {
        let of = |message: &ClientMessage| match message {
            ClientMessage::ApplyAction(action) => Some(action.clone()),
            _ => None,
        };
        state.seen.iter().filter_map(|(message, ..)| of(message)).collect()
    })
}

#[tokio::test]
async fn one_action_is_sent_per_tick_in_order_and_nothing_while_none_waits() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    client.generation().await.unwrap();
    client.start_action_dispatch(20.0).unwrap();
    sleep(Duration::from_millis(200)).await;
    assert_eq!(applied(&server).len(), 0);
    let begin = Instant::now();
    for i in 0..20_u8 {
        client.put_action([f32::from(i)]).unwrap();
    }
    assert_eq!(client.queue_len(), 20);
    eventually("all", || applied(&server).len() == 20).await;
    // 50 ms apart; a burst would be there at once.
    assert!(begin.elapsed() > Duration::from_millis(800), "{:?}", begin.elapsed());
    let values: Vec<f32> = applied(&server).into_iter().map(|(values, _)| values[0]).collect();
    assert_eq!(values, (0..20_u8).map(f32::from).collect::<Vec<_>>());
    client.stop_action_dispatch();
    client.put_action([0.0]).unwrap();
    sleep(Duration::from_millis(300)).await;
    assert_eq!((applied(&server).len(), client.queue_len()), (20, 1));
}

#[tokio::test]
async fn an_action_keeps_its_shape_its_values_and_the_stamps_of_its_observation() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    let (first, _) = client.reset().await.unwrap();
    let newest = client.observation().await.unwrap();
    assert_ne!(first.timestamp(), newest.timestamp());
    let mut rows = array![[1.0_f32, 2.0, 3.0], [4.0, 5.0, 6.0]];
    client.put_action(Action::from(&rows).computed_from(&first)).unwrap();
    client.put_action(&rows).unwrap();
    // A later change does not reach what waits.
    rows.fill(9.0);
    client.start_action_dispatch(100.0).unwrap();
    eventually("both", || applied(&server).len() == 2).await;
    assert!(applied(&server).iter().all(|(values, _)| *values == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    let actions = actions(&server);
    assert_eq!(actions[0].array.shape(), [2, 3]);
    assert_eq!(actions[0].obs_timestamps, [("cam".to_owned(), first.timestamp())]);
    assert_eq!(actions[1].obs_timestamps, [("cam".to_owned(), newest.timestamp())]);
}

#[tokio::test]
async fn what_the_robot_could_not_use_is_refused_before_it_waits() {
    let server = Server::start(Kind::Decoupled).await;
    server.set(|state| {
        state.metadata.insert("action_shape", Value::Array(vec![1.into(), 7.into()])).unwrap();
    });
    let client = PolicyClient::connect(&server.uri(), Options { queue_capacity: 3, ..plain() }).await.unwrap();
    let shape = client.put_action([0.0; 6]).unwrap_err();
    assert_eq!(shape.to_string(), "the action has the shape [6], the robot takes [1, 7]");
    let mut bad = [0.0; 7];
    bad[3] = f32::INFINITY;
    let error = client.put_action(bad).unwrap_err();
    assert!(matches!(error, Error::Action(ActionError::NotFinite { index: 3, .. })), "{error}");
    assert!(client.send_action(bad).await.is_err() && client.step(bad).await.is_err());
    for _ in 0..3 {
        client.put_action([0.0; 7]).unwrap();
    }
    assert!(matches!(client.put_action([0.0; 7]), Err(Error::QueueFull { capacity: 3 })));
    assert_eq!((client.queue_len(), client.clear_actions(), client.queue_len()), (3, 3, 0));
    assert_eq!(client.stats().actions_cleared, 3);
}

#[tokio::test]
async fn a_reset_empties_the_queue_unless_told_otherwise() {
    for (reset_clears_actions, left) in [(true, 0), (false, 2)] {
        let (_server, client) = connect_with(Kind::Extended, Options { reset_clears_actions, ..options() }).await;
        client.put_action([1.0]).unwrap();
        client.put_action([2.0]).unwrap();
        client.reset().await.unwrap();
        assert_eq!(client.queue_len(), left);
    }
}

#[tokio::test]
async fn an_action_says_its_number_and_age_to_servers_that_ask_for_it() {
    let ttl = Duration::from_secs(10);
    let (server, client) = connect_with(Kind::Extended, Options { action_ttl: Some(ttl), ..options() }).await;
    let before = client.now();
    for _ in 0..3 {
        client.send_action([0.0]).await.unwrap();
    }
    eventually("three", || actions(&server).len() == 3).await;
    let marks: Vec<_> = actions(&server).iter().map(|action| action.marks).collect();
    assert!(marks.is_sorted_by(|a, b| a.seq < b.seq && a.sent <= b.sent), "{marks:?}");
    assert_eq!(marks[0].ttl_ms, Some(10_000.0));
    assert!(marks[0].sent.unwrap() >= before && marks[2].sent.unwrap() <= client.now());
}

#[tokio::test]
async fn an_action_that_waited_too_long_is_not_sent() {
    let ttl = Some(Duration::from_millis(50));
    let (server, client) = connect_with(Kind::Decoupled, Options { action_ttl: ttl, ..plain() }).await;
    client.generation().await.unwrap();
    client.put_action([1.0]).unwrap();
    sleep(Duration::from_millis(200)).await;
    client.start_action_dispatch(100.0).unwrap();
    eventually("the drop", || client.stats().actions_dropped_old == 1).await;
    client.send_action([2.0]).await.unwrap();
    eventually("the fresh one", || applied(&server).len() == 1).await;
    assert_eq!(applied(&server)[0].0, [2.0]);
}

#[tokio::test]
async fn a_chunk_goes_to_the_server_in_its_own_time() {
    let (server, client) = connect(Kind::Extended).await;
    let rows = Array2::<f32>::zeros((4, 2));
    let now = client.now();
    let every = Due::Every { start: Instant::now(), step: Duration::from_millis(20) };
    let chunk = Chunk::new(rows.view(), every).replacing().late_limit(Duration::from_millis(5));
    let queued = client.put_chunk(chunk).await.unwrap();
    assert_eq!((queued.queued, queued.dropped_late), (4, 0));
    let chunk = server.get(|state| match &state.seen.last().unwrap().0 {
        ClientMessage::Chunk(chunk) => chunk.clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!((chunk.rows(), chunk.mode, chunk.late_limit_ms), ((4, 2), ChunkMode::Replace, 5.0));
    let ChunkTiming::Every { t0, dt } = chunk.timing else { panic!() };
    // The server's clock is 1000 s ahead, less the round trip.
    assert!((t0 - now - 1000.0).abs() < 1.0 && (dt - 0.02).abs() < 1e-9, "{t0} {now} {dt}");
    let long = Array2::<f32>::zeros((17, 2));
    let error = client.put_chunk(Chunk::new(long.view(), Due::At(vec![Instant::now(); 17]))).await.unwrap_err();
    assert!(matches!(error, Error::ChunkTooLong { rows: 17, max: 16 }), "{error}");
}

#[tokio::test]
async fn for_an_old_server_the_client_sends_each_row_when_it_is_due() {
    let (server, client) = connect_with(Kind::Decoupled, plain()).await;
    client.reset().await.unwrap();
    client.generation().await.unwrap();
    let start = Instant::now() + Duration::from_millis(100);
    let step = Duration::from_millis(100);
    let rows = array![[0.0_f32], [1.0], [2.0], [3.0]];
    let queued = client.put_chunk(Chunk::new(rows.view(), Due::Every { start, step })).await.unwrap();
    assert_eq!(queued.queued, 4);
    // The third and fourth give way.
    let other = array![[20.0_f32], [30.0]];
    let due = Due::At(vec![start + 2 * step, start + 3 * step]);
    client.put_chunk(Chunk::new(other.view(), due).replacing()).await.unwrap();
    eventually("all", || applied(&server).len() == 4).await;
    let applied = applied(&server);
    let values: Vec<f32> = applied.iter().map(|(values, _)| values[0]).collect();
    assert_eq!(values, [0.0, 1.0, 20.0, 30.0]);
    for (i, (_, at)) in applied.iter().enumerate() {
        assert!(*at + Duration::from_millis(2) > start + step * u32::try_from(i).unwrap(), "row {i} was early");
    }
    // A reset forgets what waits.
    let late = Due::Every { start: Instant::now() + Duration::from_millis(500), step };
    client.put_chunk(Chunk::new(rows.view(), late)).await.unwrap();
    client.reset().await.unwrap();
    sleep(Duration::from_millis(800)).await;
    assert_eq!(actions(&server).len(), 4);
}
