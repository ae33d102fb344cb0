//! Other pictures than the whole ones: chosen, cut, scaled, packed, newer, aligned.

use waldo_protocol::policy::{
    Align, CameraSettings, Capability, Configure, Dtype, Encoding, ErrorCode, Freshness, Image, ObsRequest,
    Observation, Region, ServerMessage, adapt_intrinsics,
};
use waldo_protocol::time::MonoTime;
use waldo_server::sensors::{CameraConfig, CameraFrame, RgbImage, SensorHub};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

use super::harness::*;

const K: [f64; 9] = [50.0, 0.0, 29.5, 0.0, 50.0, 19.5, 0.0, 0.0, 1.0];

/// A camera of 40×60 with depth, whose picture and depth grow with the column, and a small one.
fn cameras() -> Setup {
    let hub = SensorHub::default();
    hub.declare_camera(CameraConfig { has_depth: true, intrinsics: K, ..CameraConfig::new("head", 40, 60) }).unwrap();
    hub.declare_camera(CameraConfig { image_dtype: Dtype::Uint16, ..CameraConfig::new("deep", 2, 2) }).unwrap();
    show(&hub);
    start_on(hub, Behaviour::default(), |_| {})
}

fn show(hub: &SensorHub) {
    let picture: Vec<u8> = (0..40 * 60).flat_map(|at| [(at % 60 * 4) as u8, 100, 20]).collect();
    let depth: Vec<f32> = (0..40 * 60).map(|at| (at % 60) as f32).collect();
    hub.update_frame("head", &picture, Some((&depth).into()), None, None, None).unwrap();
}

async fn client(setup: &Setup) -> Client {
    setup.extended(caps(&[Capability::Id, Capability::Err, Capability::Enc, Capability::Fresh])).await
}

async fn configure(client: &mut Client, cameras: &[(&str, CameraSettings)]) -> ServerMessage {
    let cameras = cameras.iter().map(|(name, settings)| ((*name).to_owned(), *settings)).collect();
    let request = Configure { id: id(1), cameras, align: None };
    client.send(|out| request.encode(out)).await;
    client.message().await
}

/// An observation and the frame it lies in.
async fn observe(client: &mut Client, fresh: Option<Freshness>) -> (Observation, bytes::Bytes) {
    client.send(|out| ObsRequest { fresh, id: Some(id(2)) }.encode(out)).await;
    let frame = client.frame().await;
    let ServerMessage::Observation(response) = ServerMessage::decode(&frame, client.caps).unwrap() else { panic!() };
    (response.observation, frame)
}

#[tokio::test]
async fn pictures_are_cut_and_scaled_and_their_matrices_and_depth_with_them() {
    let setup = cameras();
    let (mut client, mut other) = (client(&setup).await, client(&setup).await);
    let roi = Region { top: 10, left: 20, height: 20, width: 30 };
    let wanted = CameraSettings { roi: Some(roi), size: Some([10, 10]), ..CameraSettings::default() };
    let ServerMessage::Configured(in_force) = configure(&mut client, &[("head", wanted)]).await else { panic!() };
    let (name, head) = &in_force.cameras[0];
    assert_eq!((name.as_str(), head.roi, head.size), ("head", Some(roi), Some([10, 10])));
    assert_eq!((head.on, head.encoding, head.depth), (Some(true), Some(Encoding::Raw), Some(true)));
    assert_eq!((in_force.cameras[1].1.size, in_force.align), (Some([2, 2]), Some(Align::Latest)));

    let (seen, frame) = observe(&mut client, None).await;
    let head = seen.camera("head").unwrap();
    assert_eq!((head.image.shape(), head.depth.as_ref().unwrap().shape()), (&[10, 10, 3][..], &[10, 10][..]));
    assert_eq!(head.intrinsics, adapt_intrinsics(&K, roi, [10, 10]));
    assert_eq!(head.n, Some(1));
    assert!(head.age_ms.unwrap() >= 0.0);
    // The middle of new column 5 is at 36 of the old ones, that of column 0 at 21.
    let red = frame[head.image.bytes()][(5 * 10 + 5) * 3];
    assert!(red.abs_diff(144) <= 2, "{red}");
    let depth = head.depth.as_ref().unwrap().view(&frame).unwrap().f64s().next().unwrap();
    assert_eq!(depth, 21.0);
    // Nobody else gets that.
    let (seen, _) = observe(&mut other, None).await;
    let head = seen.camera("head").unwrap();
    assert_eq!((head.image.shape(), head.intrinsics), (&[40, 60, 3][..], K));
}

#[tokio::test]
async fn a_packed_picture_decodes_to_the_same_and_two_clients_share_it() {
    let setup = cameras();
    let (mut a, mut b) = (client(&setup).await, client(&setup).await);
    let packed = CameraSettings { encoding: Some(Encoding::Jpeg), quality: Some(90), ..CameraSettings::default() };
    let mut files = Vec::new();
    for client in [&mut a, &mut b] {
        let ServerMessage::Configured(in_force) = configure(client, &[("head", packed)]).await else { panic!() };
        assert_eq!((in_force.cameras[0].1.encoding, in_force.cameras[0].1.quality), (Some(Encoding::Jpeg), Some(90)));
        let (seen, frame) = observe(client, None).await;
        let Image::Jpeg { shape, bytes } = &seen.camera("head").unwrap().image else { panic!() };
        assert_eq!(shape[..], [40, 60, 3]);
        assert_eq!(seen.camera("head").unwrap().intrinsics, K);
        files.push(frame.slice(bytes.clone()));
    }
    assert_eq!(files[0], files[1]);
    let pixels = JpegDecoder::new(ZCursor::new(&files[0])).decode().unwrap();
    assert!(pixels[59 * 3].abs_diff(59 * 4) <= 12, "{}", pixels[59 * 3]);
    // And back to pixels.
    let raw = CameraSettings { encoding: Some(Encoding::Raw), ..CameraSettings::default() };
    configure(&mut a, &[("head", raw)]).await;
    assert!(matches!(observe(&mut a, None).await.0.camera("head").unwrap().image, Image::Raw(_)));
}

#[tokio::test]
async fn a_picture_that_is_packed_for_one_who_steps_holds_up_no_action() {
    let hub = SensorHub::default();
    hub.declare_camera(CameraConfig::new("large", 1440, 2560)).unwrap();
    let pixels: Vec<u8> = (0..1440 * 2560 * 3_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    hub.update_image("large", &pixels).unwrap();
    let outcome = waldo_protocol::policy::Outcome::default();
    let setup = start_on(hub, Behaviour { step: Some(outcome), ..Behaviour::default() }, |config| {
        // Nothing but replies shall come, however long this takes.
        config.action_timeout = std::time::Duration::ZERO;
    });
    let mut client = client(&setup).await;
    let packed = CameraSettings { encoding: Some(Encoding::Jpeg), quality: Some(90), ..CameraSettings::default() };
    configure(&mut client, &[("large", packed)]).await;
    client.step(&[1.0]).await;
    client.act(&[2.0]).await;
    let ServerMessage::Step(response) = client.message().await else { panic!() };
    let (told, acted) = (std::time::Instant::now(), setup.robot.wait_for_action(&[2.0]));
    assert!(matches!(response.observation.camera("large").unwrap().image, Image::Jpeg { .. }));
    let stepped = setup.robot.wait_for(1, |event| matches!(event, Event::Stepped { .. }));
    // Packing that many pixels is most of the time from the step to its reply.
    assert!(2 * (acted - stepped) < told - stepped, "{:?} of {:?}", acted - stepped, told - stepped);
}

#[tokio::test]
async fn cameras_and_depth_can_be_left_out() {
    let setup = cameras();
    let mut client = client(&setup).await;
    let (off, flat) = (Some(false), CameraSettings { depth: Some(false), ..CameraSettings::default() });
    configure(&mut client, &[("head", flat), ("deep", CameraSettings { on: off, ..CameraSettings::default() })]).await;
    let (seen, _) = observe(&mut client, None).await;
    let names: Vec<_> = seen.cameras.iter().map(|camera| camera.name.as_str()).collect();
    assert_eq!((names, seen.camera("head").unwrap().depth.is_some()), (vec!["head"], false));
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_reason_and_changes_nothing() {
    let setup = cameras();
    let mut client = client(&setup).await;
    let none = CameraSettings::default();
    let region = Region { top: 30, left: 0, height: 11, width: 1 };
    for (name, settings, code, text) in [
        ("wrist", none, ErrorCode::BadRequest, "head, deep"),
        ("head", CameraSettings { roi: Some(region), ..none }, ErrorCode::BadRequest, "40×60"),
        ("head", CameraSettings { size: Some([1 << 16, 1 << 16]), ..none }, ErrorCode::TooLarge, "2^24"),
        ("deep", CameraSettings { encoding: Some(Encoding::Jpeg), ..none }, ErrorCode::Unsupported, "JPEG"),
    ] {
        // A setting that could be comes along.
        let fine = CameraSettings { size: Some([1, 1]), ..none };
        let ServerMessage::Error(error) = configure(&mut client, &[("head", fine), (name, settings)]).await else {
            panic!("{name}")
        };
        assert_eq!((error.code, error.id), (code, Some(id(1))), "{name}");
        assert!(error.message.contains(text), "{}", error.message);
        assert_eq!(observe(&mut client, None).await.0.camera("head").unwrap().image.shape(), [40, 60, 3]);
    }
}

#[tokio::test]
async fn pictures_that_the_client_has_are_not_sent_again() {
    let setup = cameras();
    let mut client = client(&setup).await;
    let newer = |n, wait_ms| Some(Freshness { newer_than: vec![("head".to_owned(), n)], wait_ms });
    let (seen, _) = observe(&mut client, newer(0, None)).await;
    assert!(matches!(seen.camera("head").unwrap().image, Image::Raw(_)));
    let (seen, frame) = observe(&mut client, newer(1, Some(1.0))).await;
    let head = seen.camera("head").unwrap();
    assert_eq!(head.image, Image::Same { shape: vec![40, 60, 3] });
    assert_eq!((head.depth.as_ref(), head.n), (None, Some(1)));
    assert!(frame.len() < 40 * 60);
    // A newer one is waited for.
    let hub = setup.hub.clone();
    let shown = std::thread::spawn(move || {
        std::thread::sleep(A_WHILE);
        show(&hub);
    });
    let (seen, _) = observe(&mut client, newer(1, Some(60_000.0))).await;
    assert_eq!(seen.camera("head").unwrap().n, Some(2));
    assert!(matches!(seen.camera("head").unwrap().image, Image::Raw(_)));
    shown.join().unwrap();
    // Of cameras that are not there nothing is waited for.
    let unknown = Freshness { newer_than: vec![("wrist".to_owned(), 1)], wait_ms: Some(60_000.0) };
    observe(&mut client, Some(unknown)).await;
}

#[tokio::test]
async fn frames_are_aligned_for_who_wants_it_and_the_observation_says_whether_they_are() {
    let hub = SensorHub::default();
    let writers = [hub.add_camera("left"), hub.add_camera("right")];
    let setup = start_on(hub, Behaviour::default(), |_| {});
    let mut client = client(&setup).await;
    let publish = |camera: usize, ms: u64| {
        let image = RgbImage::new(2, 2, vec![ms as u8; 12]).unwrap();
        let captured = MonoTime::from_nanos(ms * 1_000_000);
        writers[camera].publish(CameraFrame { image, depth: None, intrinsics: None, extrinsics: None, captured });
    };
    let align =
        |tolerance_ms| Configure { id: id(1), cameras: Vec::new(), align: Some(Align::Nearest { tolerance_ms }) };
    client.send(|out| align(5.0).encode(out)).await;
    let ServerMessage::Configured(in_force) = client.message().await else { panic!() };
    assert_eq!(in_force.align, Some(Align::Nearest { tolerance_ms: 5.0 }));
    for (camera, ms) in [(0, 33), (0, 67), (1, 70), (0, 100)] {
        publish(camera, ms);
    }
    let stamps = |seen: &Observation| seen.cameras.iter().map(|one| (one.timestamp * 1e3).round()).collect::<Vec<_>>();
    let (seen, _) = observe(&mut client, None).await;
    assert_eq!((stamps(&seen), seen.align), (vec![67.0, 70.0], Some(Align::Nearest { tolerance_ms: 5.0 })));
    client.send(|out| align(2.0).encode(out)).await;
    client.message().await;
    let (seen, _) = observe(&mut client, None).await;
    assert_eq!((stamps(&seen), seen.align), (vec![100.0, 70.0], Some(Align::Latest)), "none are that close");
}
