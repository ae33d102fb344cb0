//! A robot with a field, the page of it, and strangers who drive there too.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use glam::{DQuat, DVec3};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use waldo_protocol::field::{ControllerSample, LEFT, RIGHT, SceneState, Transform, XrInput, XrInputSample};
use waldo_tests::browser::{Chromium, Tab};
use waldo_tests::client::Client;
use waldo_tests::headset::with_headset;
use waldo_tests::robot::{Robotics, with_field};

/// A robot with its field, a browser, and the page of the field in it.
pub(crate) struct Set {
    pub(crate) robot: Robotics,
    pub(crate) chromium: Chromium,
    pub(crate) tab: Tab,
}

impl Set {
    pub(crate) async fn open(width: u32, height: u32, address: &str) -> Result<Self> {
        let robot = Robotics::start(with_field).await?;
        let chromium = Chromium::launch(width, height).await?;
        let tab = chromium.tab().await?;
        with_headset(&tab).await?;
        tab.open(robot.addr.port(), address).await?;
        Ok(Self { robot, chromium, tab })
    }

    pub(crate) fn scene(&self) -> Arc<SceneState> {
        self.robot.waldo.field().expect("the field is on").scene()
    }

    /// Where an arm ends.
    pub(crate) fn tip(&self, arm: &str) -> Option<DVec3> {
        Some(DVec3::from_array(self.scene().arms.get(arm)?.tip.translation))
    }

    pub(crate) async fn client(&self) -> Result<Client> {
        Client::connect(self.robot.addr, &self.robot.tls, "/field").await
    }

    pub(crate) async fn close(self) -> Result<()> {
        self.chromium.close().await?;
        self.robot.waldo.stop().await;
        Ok(())
    }
}

/// Presses a button of the page, which may be below what is on the screen.
pub(crate) async fn press(tab: &Tab, selector: &str) -> Result<()> {
    tab.until(&format!("document.querySelector('{selector}') && !document.querySelector('{selector}').disabled"))
        .await?;
    tab.run(&format!("document.querySelector('{selector}').click()")).await
}

pub(crate) async fn joined(tab: &Tab) -> Result<String> {
    tab.until("document.body.dataset.link === 'Connected' && document.body.dataset.user").await?;
    tab.eval("document.body.dataset.user").await
}

/// The emulated head looks at where the hands are.
pub(crate) async fn look_down(tab: &Tab) -> Result<()> {
    let q = DQuat::from_rotation_x(-0.55);
    tab.run(&format!("headset.quaternion.set({}, {}, {}, {})", q.x, q.y, q.z, q.w)).await
}

pub(crate) fn envelope(kind: &str, payload: &Value) -> String {
    json!({"version": 1, "type": kind, "payload": payload}).to_string()
}

/// Somebody else who drives two arms over a socket of their own, for as long as this lives.
pub(crate) struct Stranger {
    pub(crate) user: String,
    hands: tokio::sync::watch::Sender<[DVec3; 2]>,
    driving: JoinHandle<()>,
}

impl Stranger {
    pub(crate) async fn join(set: &Set, user: &str, mode: &str) -> Result<Self> {
        let mut client = set.client().await?;
        let hello = json!({"role": "vr_client", "user_id": user, "character_mode": mode});
        client.send(envelope("hello", &hello)).await?;
        client.receive_type("hello_ack").await?;
        let (hands, wanted) = tokio::sync::watch::channel([DVec3::new(-0.2, 1.0, -0.45), DVec3::new(0.2, 1.0, -0.45)]);
        let driving = tokio::spawn(async move {
            for tick in 0_u32.. {
                let [left, right] = *wanted.borrow();
                let hand = |at: DVec3| ControllerSample::at(Transform::at(at.to_array()));
                let sample = XrInputSample {
                    timestamp: f64::from(tick) / 30.0,
                    head_pose: Transform::at([0.0, 1.55, 0.35]),
                    controllers: [(LEFT.to_owned(), hand(left)), (RIGHT.to_owned(), hand(right))].into(),
                    actions: [].into(),
                };
                let input = waldo_protocol::field::ClientMessage::XrInput(XrInput { sample, seq: None });
                if client.send(input.encode()).await.is_err() {
                    return;
                }
                // Scenes come unasked, and must be read.
                let _ = tokio::time::timeout(Duration::from_millis(33), async { while client.next().await.is_ok() {} })
                    .await;
            }
        });
        Ok(Self { user: user.to_owned(), hands, driving })
    }

    pub(crate) fn arm(&self, index: usize) -> String {
        format!("{}_arm_{index}", self.user)
    }

    /// Moves both hands, and waits until the arms have followed.
    pub(crate) async fn reach(&self, set: &Set, left: DVec3, right: DVec3) -> Result<()> {
        let before = set.tip(&self.arm(1)).unwrap_or_default();
        self.hands.send_replace([left, right]);
        set.robot
            .until("the stranger's arm to follow", |_| {
                set.tip(&self.arm(1)).is_some_and(|tip| tip.distance(before) > 0.1)
            })
            .await?;
        // Soft arms swing for a moment.
        tokio::time::sleep(Duration::from_millis(1500)).await;
        Ok(())
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.driving.abort();
    }
}
