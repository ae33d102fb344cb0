//! Observations that come by themselves.

use std::time::{Duration, Instant};

use tokio::time::timeout;
use waldo_protocol::policy::{
    CameraSettings, Capability, Configure, Credit, Encoding, ErrorCode, Image, ObsPush, ServerMessage, StreamRef,
    Subscribe,
};
use waldo_server::sensors::{CameraConfig, SensorHub};

use super::harness::*;

fn wanted(hz: f64, credit: u64) -> Subscribe {
    Subscribe { id: id(1), stream: 7, hz, cameras: None, proprios: None, depth: None, credit }
}

async fn subscribed(setup: &Setup, request: &Subscribe) -> Client {
    let mut client = setup.extended(caps(&[Capability::Push, Capability::Err, Capability::Enc])).await;
    client.send(|out| request.encode(out)).await;
    let ServerMessage::Subscribed(StreamRef { id: reply, stream }) = client.message().await else { panic!() };
    assert_eq!((reply, stream), (id(1), 7));
    client
}

async fn push(client: &mut Client) -> ObsPush {
    match client.message().await {
        ServerMessage::Push(push) => push,
        other => panic!("{other:?}"),
    }
}

fn show(hub: &SensorHub, n: u8) {
    hub.update_image("wrist_cam", &[n; 72]).unwrap();
}

#[tokio::test]
async fn each_new_picture_is_sent_until_the_stream_ends() {
    let setup = start();
    show(&setup.hub, 1);
    let mut client = subscribed(&setup, &wanted(0.0, 60)).await;
    for n in 1..=5 {
        let ObsPush { observation, mark } = push(&mut client).await;
        assert_eq!((mark.stream, mark.n, mark.skipped), (7, n, 0));
        assert_eq!((observation.cameras[0].n, observation.proprios.len()), (Some(n), 1));
        assert!(mark.t_send >= observation.cameras[0].timestamp);
        client.hears_nothing().await;
        show(&setup.hub, n as u8);
    }
    push(&mut client).await;
    client.send(|out| StreamRef { id: id(2), stream: 7 }.encode_unsubscribe(out)).await;
    assert!(matches!(client.message().await, ServerMessage::Unsubscribed(StreamRef { stream: 7, .. })));
    show(&setup.hub, 0);
    client.hears_nothing().await;
}

#[tokio::test]
async fn without_credit_only_the_newest_is_kept_and_what_was_left_out_is_counted() {
    let setup = start();
    show(&setup.hub, 1);
    let mut client = subscribed(&setup, &wanted(0.0, 1)).await;
    assert_eq!(push(&mut client).await.mark.n, 1);
    for n in 2..=6 {
        show(&setup.hub, n);
    }
    client.hears_nothing().await;
    client.send(|out| Credit { stream: 7, add: 1 }.encode(out)).await;
    let ObsPush { observation, mark } = push(&mut client).await;
    assert_eq!((observation.cameras[0].n, mark.n, mark.skipped), (Some(6), 2, 4));
    client.hears_nothing().await;
    // Credit for a stream that is not there does no harm.
    client.send(|out| Credit { stream: 99, add: u64::MAX }.encode(out)).await;
    client.hears_nothing().await;
}

#[tokio::test]
async fn pictures_are_on_their_way_at_once_and_a_client_that_does_not_read_delays_nobody() {
    let hub = SensorHub::default();
    hub.declare_camera(CameraConfig::new("big", 720, 1280)).unwrap();
    let setup = start_on(hub.clone(), Behaviour::default(), |_| {});
    let _asleep = subscribed(&setup, &wanted(30.0, 64)).await;
    let mut client = subscribed(&setup, &wanted(30.0, 64)).await;
    let ended = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writing = std::thread::spawn({
        let ended = std::sync::Arc::clone(&ended);
        move || {
            let picture = vec![7u8; 720 * 1280 * 3];
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                hub.update_image("big", &picture).unwrap();
                std::thread::sleep(Duration::from_millis(33));
            }
        }
    });
    let mut ages = Vec::new();
    let begun = Instant::now();
    for _ in 0..40 {
        let ObsPush { observation, .. } = push(&mut client).await;
        let now = waldo_server::clock::now().as_nanos() as f64 / 1e9;
        ages.push(now - observation.cameras[0].timestamp);
        client.send(|out| Credit { stream: 7, add: 1 }.encode(out)).await;
    }
    ended.store(true, std::sync::atomic::Ordering::Relaxed);
    writing.join().unwrap();
    ages.sort_by(f64::total_cmp);
    // Ten times what is wanted of a release build on an idle computer.
    assert!(ages[20] < 0.030, "{ages:?}");
    assert!(begun.elapsed() < Duration::from_secs(14), "forty pictures at 30 Hz");
}

#[tokio::test]
async fn a_rate_below_that_of_the_cameras_leaves_pictures_out() {
    let setup = start();
    let mut client = subscribed(&setup, &wanted(20.0, 64)).await;
    let begun = Instant::now();
    let (mut got, mut skipped) = (0, 0);
    while begun.elapsed() < Duration::from_secs(1) {
        show(&setup.hub, 1);
        if let Ok(ServerMessage::Push(push)) = timeout(Duration::from_millis(5), client.message()).await {
            (got, skipped) = (got + 1, skipped + push.mark.skipped);
        }
    }
    assert!((2..=40).contains(&got) && skipped > 0, "{got} {skipped}");
}

#[tokio::test]
async fn readings_alone_are_a_stream_too() {
    let setup = start();
    let request = Subscribe { cameras: Some(Vec::new()), ..wanted(0.0, 60) };
    let mut client = subscribed(&setup, &request).await;
    setup.hub.update_proprio("joints", &[1f32, 2.0, 3.0]).unwrap();
    let first = push(&mut client).await;
    assert_eq!((first.observation.cameras.len(), first.observation.proprios.len()), (0, 1));
    show(&setup.hub, 1);
    client.hears_nothing().await;
    setup.hub.update_proprio("joints", &[1f32, 2.0, 3.0]).unwrap();
    assert_eq!(push(&mut client).await.mark.n, 2);
}

#[tokio::test]
async fn a_stream_has_what_it_asked_for_in_the_way_the_client_configured() {
    let hub = SensorHub::default();
    for name in ["a", "b"] {
        hub.declare_camera(CameraConfig { has_depth: true, ..CameraConfig::new(name, 4, 6) }).unwrap();
        hub.update_image(name, &[5u8; 72]).unwrap();
    }
    let setup = start_on(hub, Behaviour::default(), |_| {});
    let mut client = setup.extended(caps(&[Capability::Push, Capability::Enc])).await;
    let packed = CameraSettings { encoding: Some(Encoding::Jpeg), size: Some([2, 3]), ..CameraSettings::default() };
    let request = Configure { id: id(3), cameras: vec![("b".to_owned(), packed)], align: None };
    client.send(|out| request.encode(out)).await;
    client.message().await;
    let request = Subscribe { cameras: Some(vec!["b".to_owned()]), depth: Some(false), ..wanted(0.0, 1) };
    client.send(|out| request.encode(out)).await;
    client.message().await;
    let seen = push(&mut client).await.observation;
    assert_eq!((seen.cameras.len(), seen.cameras[0].name.as_str(), seen.cameras[0].depth.is_some()), (1, "b", false));
    assert!(matches!(&seen.cameras[0].image, Image::Jpeg { shape, .. } if shape[..] == [2, 3, 3]));
}

#[tokio::test]
async fn what_cannot_be_streamed_is_refused() {
    let setup = start();
    let mut client = setup.extended(caps(&[Capability::Push, Capability::Err])).await;
    for (request, text) in [
        (Subscribe { cameras: Some(vec!["head".to_owned()]), ..wanted(0.0, 1) }, "wrist_cam"),
        (Subscribe { proprios: Some(vec!["feet".to_owned()]), ..wanted(0.0, 1) }, "joints"),
        (wanted(1001.0, 1), "1000"),
    ] {
        client.send(|out| request.encode(out)).await;
        let ServerMessage::Error(error) = client.message().await else { panic!() };
        assert_eq!((error.code, error.id), (ErrorCode::BadRequest, Some(id(1))));
        assert!(error.message.contains(text), "{}", error.message);
    }
    for stream in 0..9 {
        client.send(|out| Subscribe { stream, ..wanted(0.0, 0) }.encode(out)).await;
        let message = client.message().await;
        let is_busy = matches!(&message, ServerMessage::Error(error) if error.code == ErrorCode::Busy);
        assert_eq!(is_busy, stream == 8, "{message:?}");
    }
    // One of them may begin anew.
    client.send(|out| Subscribe { stream: 3, ..wanted(0.0, 0) }.encode(out)).await;
    assert!(matches!(client.message().await, ServerMessage::Subscribed(_)));
}
