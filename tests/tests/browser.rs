//! The headset app in headless Chromium with an emulated headset, against a whole robot.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use glam::{DQuat, DVec3};
use waldo_protocol::geometry::Pose;
use waldo_protocol::vr::{Clutch, Hand, MotionScale, VrFrame};
use waldo_server::sensors::RgbImage;
use waldo_server::video::VideoSource;
use waldo_tests::browser::{Chromium, PATIENCE, Tab};
use waldo_tests::headset::{engage, enter_vr, hold, place, squeeze, with_headset};
use waldo_tests::robot::Robotics;

/// A robot, a browser, and an empty tab in it.
async fn stage(width: u32, height: u32) -> Result<(Robotics, Chromium, Tab)> {
    let robot = Robotics::simulated().await?;
    let chromium = Chromium::launch(width, height).await?;
    let tab = chromium.tab().await?;
    Ok((robot, chromium, tab))
}

async fn finish(robot: Robotics, chromium: Chromium) -> Result<()> {
    chromium.close().await?;
    robot.waldo.stop().await;
    Ok(())
}

/// Opens the app and waits until it is connected to its robot.
async fn open(robot: &Robotics, tab: &Tab) -> Result<()> {
    tab.open(robot.addr.port(), "").await?;
    tab.until("document.body.dataset.link === 'Connected'").await
}

/// Keeps the newest frame that the server accepted.
fn watch(robot: &Robotics) -> Arc<Mutex<Option<VrFrame>>> {
    let newest = Arc::new(Mutex::new(None));
    let slot = Arc::clone(&newest);
    robot.waldo.server().on_frame(Some(Arc::new(move |frame: &VrFrame| {
        *slot.lock().expect("the slot") = Some(*frame);
    })));
    newest
}

/// Whether two poses agree to 1 mm and 0.1 degrees.
fn close(pose: &Pose<waldo_protocol::geometry::LocalFloor>, position: DVec3, orientation: DQuat) -> bool {
    pose.position().distance(position) < 1e-3 && pose.orientation().angle_between(orientation) < 0.1_f64.to_radians()
}

#[tokio::test(flavor = "multi_thread")]
async fn controllers_reach_the_server_as_set_and_drive_the_simulated_arms() -> Result<()> {
    let (robot, chromium, tab) = stage(1280, 800).await?;
    let newest = watch(&robot);
    with_headset(&tab).await?;
    open(&robot, &tab).await?;
    tab.screenshot("landing").await?;
    enter_vr(&tab).await?;

    let turned = DQuat::from_euler(glam::EulerRot::YXZ, 0.3, -0.2, 0.1);
    let (left, right) = (DVec3::new(-0.25, 1.2, -0.35), DVec3::new(0.22, 1.05, -0.45));
    place(&tab, Hand::Left, left, turned).await?;
    place(&tab, Hand::Right, right, DQuat::IDENTITY).await?;
    robot
        .until("frames with the poses set in the emulator", |_| {
            newest.lock().expect("the slot").is_some_and(|f: VrFrame| {
                close(&f.left.pose, left, turned) && close(&f.right.pose, right, DQuat::IDENTITY)
            })
        })
        .await?;

    engage(&tab).await?;
    let at_engage = robot.waldo.control().status().grippers.clone();
    let clutch = Clutch::engage(Pose::new(left, turned)?, at_engage[0], MotionScale::default());
    let moved = left + turned * DVec3::new(0.02, 0.03, -0.06);
    place(&tab, Hand::Left, moved, turned).await?;
    let wanted = clutch.target(Pose::new(moved, turned)?).position();
    robot.until("the left gripper at the clutch's target", |r| r.grippers()[0].distance(wanted) < 2e-3).await?;
    assert!(robot.grippers()[1].distance(at_engage[1].position()) < 2e-3, "the right hand did not move");
    tab.until("document.body.dataset.cameras.split(' ').length >= 2").await?;
    tab.screenshot("driving").await?;

    squeeze(&tab, false).await?;
    // A press within one frame of the release would be no edge to anybody.
    robot
        .until("a frame with released grips", |_| {
            newest.lock().expect("the slot").is_some_and(|f: VrFrame| !f.left.lock && !f.right.lock)
        })
        .await?;
    squeeze(&tab, true).await?;
    tab.until("document.body.dataset.engaged === 'false'").await?;

    finish(robot, chromium).await
}

/// A source of pictures of 320x240 whose left and right half have one colour each.
fn halves(left: [u8; 3], right: [u8; 3]) -> VideoSource {
    let row = [left.repeat(160), right.repeat(160)].concat();
    let image = RgbImage::new(320, 240, row.repeat(240)).expect("a picture");
    VideoSource::Callable(Box::new(move || Some(image.clone())))
}

const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 255, 0];
const BLUE: [u8; 3] = [0, 0, 255];

/// Waits until the left eye sees red and the right one blue.
async fn red_and_blue(tab: &Tab, name: &str) -> Result<()> {
    let start = Instant::now();
    loop {
        let eyes = Eyes::of(&tab.screenshot(name).await?)?;
        if eyes.are_red_and_blue() {
            return Ok(());
        }
        if start.elapsed() > PATIENCE {
            bail!("the eyes see {eyes:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_eye_sees_its_own_lens() -> Result<()> {
    let (robot, chromium, tab) = stage(1280, 640).await?;
    robot.waldo.server().set_video_sources(Some(vec![
        ("overhead_left".to_owned(), halves(RED, RED)),
        ("overhead_right".to_owned(), halves(BLUE, BLUE)),
    ]));
    with_headset(&tab).await?;
    open(&robot, &tab).await?;
    enter_vr(&tab).await?;
    red_and_blue(&tab, "eyes").await?;
    finish(robot, chromium).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_eye_sees_its_half_of_a_packed_picture_also_while_cameras_come_and_go() -> Result<()> {
    let (robot, chromium, tab) = stage(1280, 640).await?;
    let packed = || ("overhead_sbs".to_owned(), halves(RED, BLUE));
    let cameras = |others: &[&str]| {
        let others = others.iter().map(|name| ((*name).to_owned(), halves(GREEN, GREEN)));
        robot.waldo.server().set_video_sources(Some(others.chain([packed()]).collect()));
    };
    cameras(&["overhead", "overhead_left", "left_arm"]);
    with_headset(&tab).await?;
    open(&robot, &tab).await?;
    enter_vr(&tab).await?;
    red_and_blue(&tab, "packed").await?;
    tab.until("document.body.dataset.cameras.includes('left_arm')").await?;

    cameras(&["right_arm"]);
    // Looks at the picture all the while: it must never be gone.
    let start = Instant::now();
    let names = "document.body.dataset.cameras.split(' ').map(c => c.split(':')[0]).sort().join()";
    while tab.eval::<String>(names).await? != "overhead_sbs,right_arm" {
        let eyes = Eyes::of(&tab.screenshot("renegotiated").await?)?;
        assert!(eyes.are_red_and_blue(), "the eyes see {eyes:?} during a renegotiation");
        if start.elapsed() > PATIENCE {
            bail!("the cameras are {}", tab.eval::<String>("document.body.dataset.cameras").await?);
        }
    }
    let shown: Vec<String> =
        tab.eval("[...document.querySelectorAll('figcaption span:first-child')].map(s => s.textContent)").await?;
    assert!(!shown.iter().any(|name| name == "left arm"), "a camera that is gone disappears: {shown:?}");
    finish(robot, chromium).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_reload_one_click_brings_frames_and_pictures_back_disengaged() -> Result<()> {
    let (robot, chromium, tab) = stage(1280, 800).await?;
    let newest = watch(&robot);
    with_headset(&tab).await?;
    open(&robot, &tab).await?;
    enter_vr(&tab).await?;
    robot.until("frames", |_| newest.lock().expect("the slot").is_some()).await?;
    engage(&tab).await?;

    tab.page.reload().await?;
    robot.until("a hold when the page is gone", |r| !r.waldo.server().tracking()).await?;
    *newest.lock().expect("the slot") = None;
    tab.until("document.body.dataset.link === 'Connected'").await?;
    enter_vr(&tab).await?;
    robot.until("frames again", |_| newest.lock().expect("the slot").is_some()).await?;
    tab.until("document.body.dataset.cameras.split(' ').length >= 2").await?;
    tab.until("document.body.dataset.engaged === 'false'").await?;
    finish(robot, chromium).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_laptop_without_a_headset_can_emulate_one() -> Result<()> {
    let (robot, chromium, tab) = stage(1280, 800).await?;
    let newest = watch(&robot);
    open(&robot, &tab).await?;
    tab.click("#emulate").await?;
    tab.until("!document.querySelector('#enter-vr').disabled").await?;
    enter_vr(&tab).await?;
    robot.until("frames of the emulated controllers", |_| newest.lock().expect("the slot").is_some()).await?;
    tab.until("document.body.dataset.cameras.split(' ').length >= 2").await?;
    tab.screenshot("emulated").await?;
    finish(robot, chromium).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_driver_stops_clears_and_hands_over_on_request() -> Result<()> {
    let (robot, chromium, tab) = stage(1280, 800).await?;
    with_headset(&tab).await?;
    open(&robot, &tab).await?;
    enter_vr(&tab).await?;
    engage(&tab).await?;
    tab.until("document.body.dataset.driver === 'Me'").await?;

    for hand in [Hand::Left, Hand::Right] {
        hold(&tab, hand, "thumbstick", 1).await?;
    }
    tab.until("document.body.dataset.hold === 'Stopped' && document.body.dataset.engaged === 'false'").await?;
    squeeze(&tab, false).await?;
    for hand in [Hand::Left, Hand::Right] {
        hold(&tab, hand, "thumbstick", 0).await?;
    }
    tab.run("document.querySelector('#clear-stop').click()").await?;
    tab.until("document.body.dataset.hold !== 'Stopped' && document.body.dataset.stopped === 'false'").await?;
    engage(&tab).await?;

    let mut other = robot.client().await?;
    other.send(r#"{"type":"hello","v":1,"client":"test/1","stream":"other","role":"driver","caps":["lease"]}"#).await?;
    other.send(r#"{"type":"lease","op":"take","n":1}"#).await?;
    tab.until("document.body.dataset.takeover === 'other'").await?;
    hold(&tab, Hand::Right, "b-button", 1).await?;
    robot.until("a hand-over", |r| !r.waldo.server().tracking()).await?;
    loop {
        let answer = other.receive_type("lease").await?;
        if answer["n"] == 1 && answer["ok"] == true {
            break;
        }
    }
    tab.until("document.body.dataset.driver !== 'Me'").await?;
    finish(robot, chromium).await
}

/// Mean colours of the middle of each eye's half of a screenshot.
#[derive(Debug)]
struct Eyes {
    left: Rgb,
    right: Rgb,
}

#[derive(Debug)]
struct Rgb([f64; 3]);

impl Rgb {
    fn red(&self) -> bool {
        self.0[0] > 180.0 && self.0[1] < 60.0 && self.0[2] < 60.0
    }

    fn blue(&self) -> bool {
        self.0[2] > 180.0 && self.0[0] < 60.0 && self.0[1] < 60.0
    }
}

impl Eyes {
    fn are_red_and_blue(&self) -> bool {
        self.left.red() && self.right.blue()
    }

    fn of(png: &[u8]) -> Result<Self> {
        let mut reader = png::Decoder::new(std::io::Cursor::new(png)).read_info()?;
        let mut pixels = vec![0; reader.output_buffer_size().context("a picture that fits into memory")?];
        let info = reader.next_frame(&mut pixels)?;
        let samples = info.color_type.samples();
        let (width, height) = (info.width as usize, info.height as usize);
        let mean = |center: usize| {
            let mut sum = [0.0; 3];
            let (w, h) = (width / 40, height / 40);
            for y in height / 2 - h..height / 2 + h {
                for x in center - w..center + w {
                    let at = (y * width + x) * samples;
                    for (sum, value) in sum.iter_mut().zip(&pixels[at..at + 3]) {
                        *sum += f64::from(*value);
                    }
                }
            }
            Rgb(sum.map(|s| s / (4 * w * h) as f64))
        };
        Ok(Self { left: mean(width / 4), right: mean(width * 3 / 4) })
    }
}
