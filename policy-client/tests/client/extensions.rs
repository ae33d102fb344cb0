//! What only servers with extensions have.

use std::time::Duration;

use waldo_policy_client::{CameraSettings, Encoding, Error, ErrorCode, ErrorReply, Event, LeaseEvent, LeaseReason};
use waldo_protocol::policy::{
    AppMap, ArrayHeader, CameraHeader, CameraMarks, ClientMessage, Dtype, ImageHeader, LeaseOp, ObservationHeader,
    ObservationKind, RequestId,
};

use crate::server::{Answer, DEPTH, Kind, PIXELS, Server, camera_observation, eventually};
use crate::{connect, connect_with, plain};

#[tokio::test]
async fn without_extensions_their_calls_say_what_is_missing() {
    let (_server, client) = connect_with(Kind::Extended, plain()).await;
    let error = client.acquire_lease(Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "the server does not have the extension lease");
    assert!(matches!(client.configure(&[], None).await, Err(Error::NotNegotiated(_))));
    assert!(client.clock().is_none());
}

#[tokio::test]
async fn leases_statistics_and_clocks_are_asked_for() {
    let (server, client) = connect(Kind::Extended).await;
    let lease = client.acquire_lease(Duration::from_secs(2)).await.unwrap();
    assert_eq!((lease.granted, lease.holder.as_deref(), lease.ttl), (true, Some("somebody"), Duration::from_secs(2)));
    client.renew_lease(Duration::from_secs(2)).await.unwrap();
    client.release_lease().await.unwrap();
    let ops: Vec<LeaseOp> = server.get(|state| {
        let of = |message: &ClientMessage| match message {
            ClientMessage::Lease(lease) => Some(lease.op),
            _ => None,
        };
        state.seen.iter().filter_map(|(message, ..)| of(message)).collect()
    });
    assert_eq!(ops, [LeaseOp::Acquire, LeaseOp::Renew, LeaseOp::Release]);
    assert_eq!(client.server_stats().await.unwrap().get("n").and_then(|n| n.as_u64()), Some(7));
    eventually("the clock", || client.clock().is_some()).await;
    let clock = client.clock().unwrap();
    assert!((clock.offset - 1000.0).abs() < 1.0, "{clock:?}");
    assert!(client.stats().clock_round_trip.is_some());
}

#[tokio::test]
async fn settings_of_cameras_are_asked_for_again_on_a_new_connection() {
    let (server, client) = connect(Kind::Extended).await;
    let small = CameraSettings { size: Some([120, 160]), ..Default::default() };
    let jpeg = CameraSettings { encoding: Some(Encoding::Jpeg), quality: Some(80), ..Default::default() };
    let in_force = client.configure(&[("cam".to_owned(), small)], None).await.unwrap();
    assert_eq!(in_force, [("cam".to_owned(), small)]);
    client.configure(&[("cam".to_owned(), jpeg)], None).await.unwrap();
    let addr = server.kill().await;
    let server = Server::start_at(addr, Kind::Extended, None).await;
    eventually("the settings", || server.count("configure") == 1).await;
    let asked = server.get(|state| {
        state.seen.iter().find_map(|(message, ..)| match message {
            ClientMessage::Configure(configure) => Some(configure.cameras.clone()),
            _ => None,
        })
    });
    assert_eq!(asked.unwrap(), [("cam".to_owned(), CameraSettings { size: small.size, ..jpeg })]);
}

#[tokio::test]
async fn errors_without_a_request_and_changes_of_the_lease_are_events() {
    let (server, client) = connect(Kind::Extended).await;
    let mut events = client.events();
    server.on(|message| match message {
        ClientMessage::ApplyAction(_) => {
            let (mut error, mut lease) = (Vec::new(), Vec::new());
            let text = "somebody else controls".to_owned();
            ErrorReply { id: None, code: ErrorCode::NotHolder, message: text, retry_ms: None }.encode(&mut error);
            LeaseEvent { holder: None, reason: LeaseReason::Operator }.encode(&mut lease);
            Answer::Frames(vec![error, lease])
        }
        _ => Answer::Usual,
    });
    client.send_action([0.0]).await.unwrap();
    let first = events.recv().await.unwrap();
    assert!(matches!(&first, Event::Server(reply) if reply.code == ErrorCode::NotHolder), "{first:?}");
    let second = events.recv().await.unwrap();
    assert!(matches!(&second, Event::Lease(lease) if lease.reason == LeaseReason::Operator), "{second:?}");
}

#[tokio::test]
async fn pictures_that_stayed_the_same_are_taken_from_the_observation_before() {
    let (server, client) = connect(Kind::Extended).await;
    server.on(|message| match message {
        ClientMessage::ObsRequest(request) => {
            let has = request.fresh.as_ref().is_some_and(|fresh| fresh.newer_than == [("cam".to_owned(), 4)]);
            let marks = Some(CameraMarks { n: 4, age_ms: 1.0 });
            let (pixels, depth): (&[u8], _) = if has { (&[], None) } else { (&PIXELS, Some(&DEPTH[..])) };
            let kind = ObservationKind::Requested;
            Answer::Frames(vec![camera_observation(1.0, [2, 2], pixels, depth, marks, kind, request.id)])
        }
        _ => Answer::Usual,
    });
    let before = client.observation().await.unwrap();
    assert_eq!(before.camera("cam").unwrap().n(), Some(4));
    let after = client.observation_newer(&before, Duration::from_millis(50)).await.unwrap();
    assert!(after.frame().len() < before.frame().len());
    drop(before);
    let camera = after.camera("cam").unwrap();
    assert_eq!(camera.image().unwrap().as_slice().unwrap(), PIXELS);
    assert_eq!(camera.depth().unwrap().unwrap()[[1, 1]], 2.0);
}

/// An observation of two cameras, `good` and `bad`, 8×16 RGB: a JPEG file, and bytes that are none.
fn jpegs(id: Option<RequestId>) -> Vec<u8> {
    let mut file = Vec::new();
    let picture = image::RgbImage::from_pixel(16, 8, image::Rgb([200, 100, 50]));
    picture.write_to(&mut std::io::Cursor::new(&mut file), image::ImageFormat::Jpeg).unwrap();
    let shape = [8, 16, 3];
    let picture = ArrayHeader::new(Dtype::Uint8, &shape).unwrap();
    let camera = |name, size| CameraHeader {
        name,
        timestamp: 1.0,
        intrinsics: &[0.0; 9],
        extrinsics: &[0.0; 16],
        image: ImageHeader::Jpeg { picture, size },
        depth: None,
        marks: Some(CameraMarks { n: 1, age_ms: 0.0 }),
    };
    let header = ObservationHeader {
        timestamp: 0.0,
        cameras: &[camera("good", file.len()), camera("bad", 3)],
        proprios: &[],
        extra: &AppMap::default(),
        align: None,
        episode: None,
    };
    let mut frame = Vec::new();
    header.encode(ObservationKind::Requested, id, &mut frame);
    frame.extend(file);
    frame.extend([1, 2, 3]);
    frame
}

#[tokio::test]
async fn a_jpeg_is_pixels_for_whoever_looks_and_a_broken_one_costs_its_camera_only() {
    let (server, client) = connect(Kind::Extended).await;
    server.on(|message| match message {
        ClientMessage::ObsRequest(request) => Answer::Frames(vec![jpegs(request.id)]),
        _ => Answer::Usual,
    });
    let observation = client.observation().await.unwrap();
    let good = observation.camera("good").unwrap();
    assert!(good.is_jpeg() && good.image_bytes().starts_with(&[0xff, 0xd8]));
    let pixels = good.image().unwrap();
    assert_eq!(pixels.dim(), (8, 16, 3));
    assert!(pixels[[4, 4, 0]].abs_diff(200) < 4 && pixels[[4, 4, 2]].abs_diff(50) < 4);
    assert_eq!(good.image().unwrap().as_ptr(), pixels.as_ptr(), "it is decoded once");
    let error = observation.camera("bad").unwrap().image().unwrap_err();
    assert!(error.to_string().starts_with("camera \"bad\": "), "{error}");
}
