//! Requests and replies: order, errors, both generations.

use std::time::{Duration, Instant};

use waldo_protocol::policy::{Outcome, ServerMessage, StepResponse};

use super::harness::*;

#[tokio::test]
async fn a_client_that_steps_gets_what_its_action_led_to() {
    let setup = start();
    let mut client = setup.connect().await;
    client.reset().await;
    assert_eq!(client.message().await.kind(), "reset_response");
    client.step(&[1.0, 2.0]).await;
    let ServerMessage::Step(StepResponse { observation, outcome, info, .. }) = client.message().await else { panic!() };
    assert_eq!((outcome, info.is_empty()), (Outcome::default(), true));
    assert_eq!(observation.camera("wrist_cam").unwrap().image.shape(), [4, 6, 3]);
    let applied = Event::Applied { shape: vec![1, 2], values: vec![1.0, 2.0] };
    assert_eq!(setup.robot.done(), [Event::Reset, applied]);
}

#[tokio::test]
async fn a_robot_may_step_itself() {
    let outcome = Outcome { reward: 0.5, terminated: true, truncated: false };
    let setup = start_with(Behaviour { step: Some(outcome), ..Behaviour::default() }, |_| {});
    let mut client = setup.connect().await;
    client.step(&[3.0]).await;
    let ServerMessage::Step(response) = client.message().await else { panic!() };
    assert_eq!(response.outcome, outcome);
    assert_eq!(setup.robot.done(), [Event::Stepped { values: vec![3.0] }]);
}

#[tokio::test]
async fn actions_resets_and_steps_reach_the_robot_in_the_order_in_which_they_were_sent() {
    let setup = start_with(Behaviour { reset: Duration::from_millis(30), ..Behaviour::default() }, |_| {});
    let mut client = setup.connect().await;
    client.act(&[1.0]).await;
    client.reset().await;
    client.act(&[2.0]).await;
    client.step(&[3.0]).await;
    assert_eq!(client.message().await.kind(), "reset_response");
    assert_eq!(client.message().await.kind(), "step_response");
    let first = |event: &Event| match event {
        Event::Applied { values, .. } => values[0],
        _ => 0.0,
    };
    assert_eq!(setup.robot.done().iter().map(first).collect::<Vec<_>>(), [1.0, 0.0, 2.0, 3.0]);
}

#[tokio::test]
async fn an_observation_of_the_robots_own_is_sent_as_it_is_and_a_slow_one_holds_up_nobody_else() {
    let slow = Duration::from_millis(300);
    let setup = start_with(Behaviour { observation: Some(slow), ..Behaviour::default() }, |_| {});
    let begin = Instant::now();
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let addr = setup.addr;
            tokio::spawn(async move {
                let mut client = Client::connect(&format!("ws://{addr}")).await;
                client.ask().await;
                let ServerMessage::Observation(response) = client.message().await else { panic!() };
                response.observation.timestamp
            })
        })
        .collect();
    for one in asking {
        assert_eq!(one.await.unwrap(), 12.5);
    }
    assert!(begin.elapsed() < 6 * slow, "one after the other: {:?}", begin.elapsed());
}

#[tokio::test]
async fn an_action_waits_for_none_of_many_slow_observations() {
    // So long that the test would end before the second of them is there.
    let setup = start_with(Behaviour { observation: Some(LIMIT), ..Behaviour::default() }, |_| {});
    let mut client = setup.connect().await;
    for _ in 0..1000 {
        client.ask().await;
    }
    client.act(&[1.0]).await;
    setup.robot.wait_for_action(&[1.0]);
    client.send(|out| waldo_protocol::policy::MetadataRequest::default().encode(out)).await;
    client.hears_nothing().await;
}

#[tokio::test]
async fn many_requests_are_all_answered_in_their_order() {
    let setup = start_with(Behaviour { reset: Duration::from_millis(100), ..Behaviour::default() }, |_| {});
    let mut client = setup.connect().await;
    client.reset().await;
    for _ in 0..500 {
        client.ask().await;
    }
    client.send(|out| waldo_protocol::policy::MetadataRequest::default().encode(out)).await;
    assert_eq!(client.message().await.kind(), "reset_response");
    for _ in 0..500 {
        assert_eq!(client.message().await.kind(), "obs_response");
    }
    assert_eq!(client.message().await.kind(), "metadata_response");
}

#[tokio::test]
async fn a_robot_that_panics_or_fails_costs_only_the_client_that_made_it_so() {
    let behaviour = Behaviour { panics: Some(666.0), fails: Some(13.0), reset_panics: true, ..Behaviour::default() };
    let setup = start_with(behaviour, |_| {});
    let mut bystander = setup.connect().await;
    for (bad, reason) in [(666.0, "an encoder broke"), (13.0, "out of reach")] {
        let mut client = setup.connect().await;
        client.act(&[bad]).await;
        let (code, told) = client.closed().await;
        assert_eq!(code, 1011);
        assert!(told.contains(reason), "{told}");
        client.close().await;
        // A client that waits for a step, likewise.
        setup.until("the lease is free", |setup| setup.server.holder().is_none()).await;
        let mut client = setup.connect().await;
        client.step(&[bad]).await;
        assert_eq!(client.closed().await.0, 1011);
        client.close().await;
        setup.until("the lease is free", |setup| setup.server.holder().is_none()).await;
    }
    let mut client = setup.connect().await;
    client.reset().await;
    let (code, told) = client.closed().await;
    assert_eq!((code, told.contains("a cable broke")), (1011, true), "{told}");
    client.close().await;
    setup.until("the lease is free", |setup| setup.server.holder().is_none()).await;
    bystander.act(&[1.0]).await;
    setup.robot.wait_for_action(&[1.0]);
    bystander.ask().await;
    assert_eq!(bystander.message().await.kind(), "obs_response");
}

#[tokio::test]
async fn an_observation_that_fails_closes_an_old_connection_with_the_reason() {
    let behaviour = Behaviour { observation: Some(Duration::ZERO), observation_fails: true, ..Behaviour::default() };
    let setup = start_with(behaviour, |_| {});
    let mut client = setup.connect().await;
    client.ask().await;
    assert_eq!(client.closed().await, (1011, "no picture".to_owned()));
}

#[tokio::test]
async fn pixels_and_readings_arrive_as_they_were_written() {
    let setup = start();
    let pixels: Vec<u8> = (0..72).collect();
    setup.hub.update_image("wrist_cam", &pixels).unwrap();
    setup.hub.update_proprio("joints", &[0.25f32, -1.0, 8.0]).unwrap();
    let mut client = setup.connect().await;
    client.ask().await;
    let frame = client.frame().await;
    let message = ServerMessage::decode(&frame, client.caps).unwrap();
    let observation = message.observation().unwrap();
    let camera = observation.camera("wrist_cam").unwrap();
    assert_eq!(&frame[camera.image.bytes()], pixels);
    assert!(camera.timestamp > 0.0 && camera.depth.is_none());
    let joints = observation.proprio("joints").unwrap();
    assert_eq!(joints.array.view(&frame).unwrap().f32s().collect::<Vec<_>>(), [0.25, -1.0, 8.0]);
}

#[tokio::test]
async fn an_action_tells_from_which_picture_it_was_computed() {
    let setup = start();
    setup.hub.update_image("wrist_cam", &[1u8; 72]).unwrap();
    let stamp = setup.hub.snapshot().cameras[0].stamp.unwrap();
    let mut client = setup.extended(caps(&[waldo_protocol::policy::Capability::Ttl])).await;
    for stamps in
        [vec![("wrist_cam".to_owned(), stamp.as_nanos() as f64 / 1e9)], vec![("wrist_cam".to_owned(), 1.7e18)]]
    {
        let header = waldo_protocol::policy::ActionHeader { shape: &[], obs_timestamps: &stamps, ..Default::default() };
        client.send(|out| header.encode(&[1.0], out).unwrap()).await;
    }
    setup.robot.wait_for(2, |event| matches!(event, Event::Applied { .. }));
    let actions = setup.robot.actions();
    let observed = actions[0].observed.unwrap();
    assert!(observed.as_nanos().abs_diff(stamp.as_nanos()) < 1_000_000, "{observed:?}, not {stamp:?}");
    assert_eq!((actions[1].observed, actions[1].obs_timestamps[0].1), (None, 1.7e18), "no time of this computer");
    assert_eq!(actions[0].from, actions[1].from);
}

#[tokio::test]
async fn a_camera_that_rests_is_woken_for_the_first_who_looks() {
    let hub = waldo_server::sensors::SensorHub::default();
    let writer = hub.add_camera("lazy");
    let drawing = std::thread::spawn(move || {
        let end = Instant::now() + LIMIT;
        while !writer.watched() {
            assert!(Instant::now() < end, "nobody woke it");
            std::thread::sleep(Duration::from_millis(5));
        }
        writer.publish(waldo_server::sensors::CameraFrame {
            image: waldo_server::sensors::RgbImage::new(4, 2, vec![9; 24]).unwrap(),
            depth: None,
            intrinsics: None,
            extrinsics: None,
            captured: waldo_server::clock::now(),
        });
        writer
    });
    let setup = start_on(hub, Behaviour::default(), |_| {});
    let mut client = setup.connect().await;
    client.ask().await;
    let ServerMessage::Observation(response) = client.message().await else { panic!() };
    assert_eq!(response.observation.camera("lazy").unwrap().image.shape(), [2, 4, 3]);
    let writer = drawing.join().unwrap();
    assert!(writer.watched());
    client.close().await;
    setup.until("it may rest again", |_| !writer.watched()).await;
}

#[tokio::test]
async fn a_slow_robot_gets_the_newest_actions_in_order() {
    let setup = start_with(Behaviour { apply: Duration::from_millis(100), ..Behaviour::default() }, |_| {});
    let mut client = setup.connect().await;
    for n in 0..200u8 {
        client.act(&[f32::from(n)]).await;
    }
    setup.until("the oldest give way", |setup| setup.dropped("queue") >= 120).await;
    setup.robot.wait_for(3, |event| matches!(event, Event::Applied { .. }));
    let values: Vec<_> = setup.robot.actions().iter().map(|action| action.values[0]).collect();
    assert!(values.is_sorted() && values[1] > 100.0, "{values:?}");
}
