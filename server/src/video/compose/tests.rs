//! What is composed of the pictures of several cameras.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout};
use waldo_protocol::hosted::{SAMPLE_PX, is_bright, latency_of};

use super::super::source::{Pictures, Source};
use super::*;
use crate::sensors::{CameraWriter, camera};

fn frame(width: u32, height: u32, rgb: [u8; 3], captured: MonoTime) -> Arc<CameraFrame> {
    let image = RgbImage::new(width, height, rgb.repeat((width * height) as usize)).unwrap();
    Arc::new(CameraFrame { image, depth: None, intrinsics: None, extrinsics: None, captured })
}

fn pixel(image: &RgbImage, x: u32, y: u32) -> [u8; 3] {
    let at = (y * image.width() + x) as usize * 3;
    image.data()[at..at + 3].try_into().unwrap()
}

fn vector(name: &str) -> Value {
    let all: Vec<Value> = serde_json::from_str(include_str!("../../../../tests/vectors/hosted.json")).unwrap();
    all.into_iter().find(|entry| entry["name"] == name).unwrap()
}

fn size(value: &Value) -> (u32, u32) {
    let side = |at: usize| value[at].as_u64().unwrap() as u32;
    (side(0), side(1))
}

#[test]
fn sizes_of_the_vectors() {
    let entry = vector("even_dims");
    let settings = ComposeSettings { latency_stamp: true, ..ComposeSettings::default() };
    let layout = Layout::of(&[size(&entry["message"]["frame"])], &settings);
    assert_eq!(layout.cropped, size(&entry["expect"]["size"]));
    let entry = vector("mosaic_scaled");
    let sizes: Vec<_> = entry["message"]["frames"].as_array().unwrap().iter().map(size).collect();
    let layout = Layout::of(&sizes, &ComposeSettings::default());
    let tiles: Vec<_> = entry["expect"]["tiles"].as_array().unwrap().iter().map(size).collect();
    assert_eq!((layout.tiles, layout.tiled), (tiles, size(&entry["expect"]["size"])));
}

#[test]
fn a_picture_that_needs_nothing_is_passed_on_without_a_copy() {
    let only = frame(640, 480, [1, 2, 3], MonoTime::from_nanos(1));
    let settings = ComposeSettings { max_width: 640, ..ComposeSettings::default() };
    assert!(Arc::ptr_eq(&Composer::default().compose(&[Arc::clone(&only)], &settings).unwrap(), &only));
}

#[test]
fn cameras_of_different_sizes_stand_side_by_side_at_the_smaller_height() {
    let left = frame(64, 48, [255, 0, 0], MonoTime::from_nanos(5));
    let right = frame(100, 96, [0, 0, 255], MonoTime::from_nanos(9));
    let both = Composer::default().compose(&[left, right], &ComposeSettings::default()).unwrap();
    assert_eq!((both.image.width(), both.image.height()), (114, 48));
    assert_eq!(both.captured, MonoTime::from_nanos(9), "the newest of both");
    for y in [0, 20, 47] {
        assert_eq!((pixel(&both.image, 0, y), pixel(&both.image, 63, y)), ([255, 0, 0], [255, 0, 0]));
        assert_eq!((pixel(&both.image, 64, y), pixel(&both.image, 113, y)), ([0, 0, 255], [0, 0, 255]));
    }
}

#[test]
fn odd_sides_lose_a_column_and_a_row() {
    let settings = ComposeSettings { max_width: 75, ..ComposeSettings::default() };
    let picture = Composer::default().compose(&[frame(100, 50, [9, 8, 7], MonoTime::default())], &settings).unwrap();
    assert_eq!((picture.image.width(), picture.image.height()), (74, 36));
    assert!((0..36).all(|y| (0..74).all(|x| pixel(&picture.image, x, y) == [9, 8, 7])));
}

#[test]
fn the_strip_below_says_when_the_picture_was_taken() {
    let captured = clock::now();
    let settings = ComposeSettings { latency_stamp: true, max_width: 601, ..ComposeSettings::default() };
    let picture = Composer::default().compose(&[frame(640, 480, [200; 3], captured)], &settings).unwrap();
    // 601 wide and 450 high, a strip of 16, and the last column cut.
    let image = &picture.image;
    assert_eq!((image.width(), image.height()), (600, 466));
    assert_eq!(pixel(image, 599, 449), [200; 3]);
    let row = image.height() - STRIP_PX + SAMPLE_PX;
    let cells: Vec<bool> =
        (0..image.width() / STRIP_PX).map(|i| is_bright(pixel(image, i * STRIP_PX + SAMPLE_PX, row))).collect();
    let now = unix_ms(captured) as f64 + 142.0;
    // The clocks' offset is read anew for each picture.
    assert!((latency_of(&cells, now).unwrap() - 142.0).abs() <= 2.0, "{cells:?}");
    assert_eq!(pixel(image, 599, 465), [0; 3], "the rest of the strip is black");
}

#[test]
fn narrow_pictures_carry_no_strip() {
    let settings = ComposeSettings { latency_stamp: true, ..ComposeSettings::default() };
    let mut composer = Composer::default();
    let mut size = |width| {
        let picture = composer.compose(&[frame(width, 100, [0; 3], clock::now())], &settings).unwrap();
        (picture.image.width(), picture.image.height())
    };
    assert_eq!((size(414), size(416)), ((414, 100), (416, 116)));
}

#[test]
fn what_makes_no_picture_is_refused() {
    let settings = ComposeSettings { max_width: 1, ..ComposeSettings::default() };
    let wide = frame(8192, 2, [0; 3], MonoTime::default());
    let mut composer = Composer::default();
    assert!(composer.compose(&[], &ComposeSettings::default()).is_err());
    assert!(composer.compose(&[Arc::clone(&wide)], &settings).is_err());
    assert!(composer.compose(&[Arc::clone(&wide), wide], &ComposeSettings::default()).is_err());
}

#[test]
fn the_choice_keeps_the_order_of_the_cameras_and_is_never_empty() {
    let cameras = ["cam1", "cam2"].map(|name| camera(name).1).to_vec();
    let (choice, mut composition) = Composition::new(cameras, ComposeSettings::default());
    assert_eq!(choice.names(), ["cam1", "cam2"]);
    assert_eq!(composition.chosen(), [0]);
    assert_eq!(choice.select([1, 0, 1, 7]), [0, 1]);
    assert_eq!(composition.chosen(), [0, 1]);
    assert_eq!(choice.select([9]), [0]);
    assert_eq!(composition.chosen(), [0]);
}

/// Two cameras and the pictures of those that are chosen.
fn two(settings: ComposeSettings) -> ([CameraWriter; 2], CameraChoice, Pictures) {
    let ((one, first), (two, second)) = (camera("cam1"), camera("cam2"));
    let (choice, composition) = Composition::new(vec![first, second], settings);
    ([one, two], choice, Source::composed(composition).watch("operator"))
}

fn publish(writer: &CameraWriter, width: u32) {
    writer.publish((*frame(width, 48, [0; 3], clock::now())).clone());
}

async fn width(pictures: &mut Pictures) -> u32 {
    pictures.next("operator").await.size().0
}

/// Whether no picture comes within this time.
async fn rests(pictures: &mut Pictures, ms: u64) -> bool {
    timeout(Duration::from_millis(ms), pictures.next("operator")).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn only_the_chosen_cameras_are_watched_and_the_picture_follows_the_choice_at_once() {
    let ([one, two], choice, mut pictures) = two(ComposeSettings::default());
    assert!(one.watched() && !two.watched());
    publish(&one, 64);
    assert_eq!(width(&mut pictures).await, 64);
    choice.select([0, 1]);
    assert_eq!(width(&mut pictures).await, 64, "what there is");
    assert!(two.watched());
    publish(&two, 100);
    assert_eq!(width(&mut pictures).await, 164, "without waiting for the first camera's next picture");
    choice.select([1]);
    assert_eq!(width(&mut pictures).await, 100);
    assert!(!one.watched() && two.watched());
    publish(&one, 64);
    assert!(rests(&mut pictures, 500).await);
}

#[tokio::test(start_paused = true)]
async fn a_picture_waits_a_moment_for_those_of_the_other_cameras() {
    let ([one, two], choice, mut pictures) = two(ComposeSettings::default());
    choice.select([0, 1]);
    publish(&one, 64);
    publish(&two, 64);
    assert_eq!(width(&mut pictures).await, 128);
    publish(&one, 64);
    assert!(rests(&mut pictures, 10).await);
    publish(&two, 100);
    assert_eq!(width(&mut pictures).await, 164);
    // A camera that shows nothing new is not waited for any longer than that.
    publish(&one, 80);
    assert_eq!(width(&mut pictures).await, 180);
    assert!(rests(&mut pictures, 500).await, "one picture each time");
}

#[tokio::test(start_paused = true)]
async fn no_more_pictures_come_than_allowed() {
    let settings = ComposeSettings { max_fps: 10.0, ..ComposeSettings::default() };
    let ([one, _two], _choice, mut pictures) = two(settings);
    let mut shown = 0;
    for _ in 0..60 {
        let next = Instant::now() + Duration::from_millis(33);
        publish(&one, 64);
        shown += u32::from(!rests(&mut pictures, 33).await);
        sleep_until(next).await;
    }
    // Two seconds.
    assert!((19..=21).contains(&shown), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn the_picture_stays_when_whoever_chose_is_gone() {
    let ([one, _two], choice, mut pictures) = two(ComposeSettings::default());
    drop(choice);
    publish(&one, 64);
    assert_eq!(width(&mut pictures).await, 64);
    assert!(rests(&mut pictures, 100).await);
    publish(&one, 66);
    assert_eq!(width(&mut pictures).await, 66);
}
