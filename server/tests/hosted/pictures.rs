//! What the operator sees of a robot.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::sleep;
use waldo_protocol::hosted::ToOperator;
use waldo_server::clock;
use waldo_server::config::HostedKind;
use waldo_server::sensors::{CameraFrame, CameraWriter, RgbImage, SensorHub};

use crate::broker::Broker;
use crate::sfu::Operator;
use crate::stage::{Around, Stage, in_time};

#[tokio::test(flavor = "multi_thread")]
async fn pictures_come_from_the_first_moment_and_the_operator_chooses_the_camera() {
    let mut stage = Stage::with(HostedKind::Arm, |settings| settings.cameras = Vec::new()).await;
    let mut video = in_time("video", stage.sfu.video()).await;
    for _ in 0..10 {
        assert_eq!(video.picture().await, (128, 96));
    }
    let operator = stage.operator().await;
    operator.say_raw(r#"{"type":"camera_select","cams":["cam2"]}"#).await;
    let cams = operator
        .hear_until(|message| match message {
            ToOperator::Telemetry(told) => told.state.cams.filter(|cams| cams[0] == "cam2"),
            _ => None,
        })
        .await;
    assert_eq!(cams, ["cam2"]);
    for _ in 0..10 {
        assert_eq!(video.picture().await, (128, 96));
    }
    stage.waldo.stop().await;
}

/// The size of the picture in place of one that does not come.
const STAND_IN: (usize, usize) = (640, 480);

/// Waits until the operator is told that the camera shows nothing new, or that it does.
async fn told(operator: &Operator, stalled: bool) {
    let said = operator.hear_until(|message| match message {
        ToOperator::Telemetry(told) => (told.state.video_stalled == Some(stalled)).then_some(()),
        _ => None,
    });
    in_time("word of the camera", said).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_camera_that_shows_nothing_is_stood_in_for_and_the_operator_is_told_until_it_does() {
    let camera = Arc::<Mutex<Option<CameraWriter>>>::default();
    let writer = Arc::clone(&camera);
    let starts = Box::new(move |hub: &SensorHub| *writer.lock().unwrap() = Some(hub.add_camera("mast")));
    let robot = Around { starts, ..Around::default() };
    let named = |settings: &mut waldo_server::config::HostedSettings| settings.cameras = vec!["mast".into()];
    let mut stage = Stage::of(Box::new(robot), Broker::start().await, HostedKind::Twist, named).await;
    let camera = camera.lock().unwrap().take().unwrap();
    let mut video = in_time("video", stage.sfu.video()).await;
    assert_eq!(in_time("a picture", video.picture()).await, STAND_IN);
    let operator = stage.operator().await;
    told(&operator, true).await;

    let shows = tokio::spawn(async move {
        for shade in (0..=u8::MAX).cycle() {
            let image = RgbImage::new(128, 96, vec![shade; 128 * 96 * 3]).unwrap();
            let captured = clock::now();
            camera.publish(CameraFrame { image, depth: None, intrinsics: None, extrinsics: None, captured });
            sleep(Duration::from_millis(30)).await;
        }
    });
    told(&operator, false).await;
    in_time("the camera's picture", async { while video.picture().await != (128, 96) {} }).await;

    shows.abort();
    told(&operator, true).await;
    stage.waldo.stop().await;
}
