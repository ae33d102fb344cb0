//! What `waldo serve` makes of the field: two ways in, one stop, and the robot itself as its arms.

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use glam::DVec3;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use waldo_server::config::{FieldBackendKind, FieldSettings, Settings};
use waldo_server::control::SourceKind;
use waldo_tests::client::{Client, PATIENCE};
use waldo_tests::driving::{Headset, viewer};
use waldo_tests::robot::{Robotics, with_field};

/// A socket of the field, whatever it runs over.
trait Field {
    async fn say(&mut self, kind: &str, payload: Value) -> Result<()>;
    async fn hear(&mut self) -> Result<Value>;

    /// The next message of that type.
    async fn hear_type(&mut self, kind: &str) -> Result<Value> {
        loop {
            let message = self.hear().await?;
            if message["type"] == kind {
                return Ok(message["payload"].clone());
            }
        }
    }
}

fn envelope(kind: &str, payload: &Value) -> String {
    json!({"version": 1, "type": kind, "payload": payload}).to_string()
}

impl Field for Client {
    async fn say(&mut self, kind: &str, payload: Value) -> Result<()> {
        self.send(envelope(kind, &payload)).await
    }
    async fn hear(&mut self) -> Result<Value> {
        self.receive().await
    }
}

struct Plain(tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>);

impl Field for Plain {
    async fn say(&mut self, kind: &str, payload: Value) -> Result<()> {
        Ok(self.0.send(Message::text(envelope(kind, &payload))).await?)
    }
    async fn hear(&mut self) -> Result<Value> {
        let message = timeout(PATIENCE, self.0.next()).await?.context("hung up")??;
        Ok(serde_json::from_str(message.to_text()?)?)
    }
}

fn hands(y: f64, grip: f64) -> Value {
    let at = |x: f64, y: f64| json!({"translation": [x, y, -0.5], "rotation_xyzw": [0, 0, 0, 1]});
    let hand = |x: f64| json!({"pose": at(x, y), "grip": grip});
    json!({"timestamp": y, "head_pose": at(0.0, 1.6), "controllers": {"left": hand(-0.2), "right": hand(0.2)}})
}

fn tip(scene: &Value, arm: &str) -> Option<f64> {
    scene["arms"][arm]["tip"]["translation"][1].as_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_both_ports_drive_soft_arms_in_one_scene_until_somebody_stops_them() -> Result<()> {
    let robot = Robotics::start(with_field).await?;
    let mut watching = viewer(&robot).await?;
    let field = robot.waldo.field().context("a field is served")?.addr().context("on a port of its own")?;
    let mut amy = Client::connect(robot.addr, &robot.tls, "/field").await?;
    let mut bob = Plain(tokio_tungstenite::connect_async(format!("ws://{field}")).await?.0);
    amy.say("hello", json!({"character_mode": "two-cr", "user_id": "amy", "ext": ["acks/1"]})).await?;
    bob.say("hello", json!({"character_mode": "spirobs", "user_id": "bob"})).await?;
    ensure!(amy.hear_type("hello_ack").await?["user_id"] == "amy");
    ensure!(bob.hear_type("hello_ack").await?["user_id"] == "bob");
    // Soft arms: not at once, and not beyond what they reach.
    let follows = async |who: &mut dyn FnMut(&Value) -> bool, amy: &mut Client, bob: &mut Plain| -> Result<()> {
        for _ in 0..400 {
            amy.say("xr_input", hands(1.2, 0.0)).await?;
            bob.say("xr_input", hands(0.8, 0.0)).await?;
            if who(&amy.hear_type("scene_state").await?) {
                return Ok(());
            }
            bob.hear_type("scene_state").await?;
        }
        anyhow::bail!("the arms do not follow")
    };
    let apart = &mut |scene: &Value| {
        let (amy, bob) = (tip(scene, "amy_arm_0"), tip(scene, "bob_arm_0"));
        amy.zip(bob).is_some_and(|(amy, bob)| amy > 1.03 && bob < 0.97)
    };
    follows(apart, &mut amy, &mut bob).await?;

    watching.send(json!({"type": "stop", "n": 1}).to_string()).await?;
    while amy.hear_type("error").await?["code"] != "stopped" {}
    // What was on its way before the stop; then nothing moves.
    let stood = loop {
        let (one, other) = (amy.hear_type("scene_state").await?, amy.hear_type("scene_state").await?);
        if tip(&one, "amy_arm_0") == tip(&other, "amy_arm_0") {
            break tip(&other, "amy_arm_0");
        }
    };
    for _ in 0..20 {
        amy.say("xr_input", hands(0.7, 0.0)).await?;
        ensure!(tip(&amy.hear_type("scene_state").await?, "amy_arm_0") == stood);
    }
    watching.send(json!({"type": "stop", "n": 2, "clear": true}).to_string()).await?;
    for _ in 0..400 {
        amy.say("xr_input", hands(0.7, 0.0)).await?;
        if tip(&amy.hear_type("scene_state").await?, "amy_arm_0") < stood {
            return Ok(());
        }
    }
    anyhow::bail!("the arms do not follow after the stop")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_robot_itself_can_be_the_arms_of_a_field() -> Result<()> {
    let with_robot = |data: &std::path::Path| {
        let field = FieldSettings { backend: FieldBackendKind::Robot, ..FieldSettings::default() };
        Settings { field, ..with_field(data) }
    };
    let robot = Robotics::start(with_robot).await?;
    let mut amy = Client::connect(robot.addr, &robot.tls, "/field").await?;
    amy.say("hello", json!({"character_mode": "two-cr", "user_id": "amy", "ext": ["acks/1"]})).await?;
    amy.hear_type("hello_ack").await?;
    let before = robot.grippers();
    let mut y = 1.2;
    for n in 0..600 {
        // First the grips are seen open; then they close, and the hands go up.
        let grip = if n < 30 { 0.0 } else { 1.0 };
        if n > 60 {
            y = (y + 0.002_f64).min(1.3);
        }
        amy.say("xr_input", hands(y, grip)).await?;
        amy.hear_type("scene_state").await?;
        if robot.grippers()[0].z > before[0].z + 0.03 {
            return Ok(());
        }
    }
    anyhow::bail!("the robot does not follow: {before:?}, then {:?}", robot.grippers())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_headset_and_a_field_user_drive_the_robot_one_after_the_other_and_are_told() -> Result<()> {
    let with_robot = |data: &std::path::Path| {
        let field = FieldSettings { backend: FieldBackendKind::Robot, ..FieldSettings::default() };
        Settings { field, ..with_field(data) }
    };
    let robot = Robotics::start(with_robot).await?;
    // The headset drives; whoever grips in the field is told so, and moves nothing.
    let headset = Headset::put_on(&robot).await?;
    // Its grips must be seen open first, while the arms may move.
    robot.until("the headset's poses", |robot| robot.waldo.server().frame().is_some()).await?;
    headset.hands(|_| ()).await;
    headset.toggle(&robot, true).await?;
    let mut amy = Client::connect(robot.addr, &robot.tls, "/field").await?;
    amy.say("hello", json!({"character_mode": "two-cr", "user_id": "amy", "ext": ["acks/1", "limits/1"]})).await?;
    let ack = amy.hear_type("hello_ack").await?;
    ensure!(ack["limits"]["max_translation"] == 2.0 && ack["limits"].get("max_speed").is_none(), "{ack}");
    let until_told = async |amy: &mut Client, grip: f64, code: &str| -> Result<()> {
        for _ in 0..600 {
            amy.say("xr_input", hands(1.2, grip)).await?;
            // One scene for each sample, and whatever comes with it.
            loop {
                let message = amy.hear().await?;
                if message["type"] == "error" && message["payload"]["code"] == code {
                    return Ok(());
                }
                if message["type"] == "scene_state" {
                    break;
                }
            }
        }
        anyhow::bail!("nobody says {code}")
    };
    until_told(&mut amy, 1.0, "not_driver").await?;
    let before = robot.grippers();
    headset
        .hands(|operator| {
            operator.move_by(DVec3::new(0.0, 0.08, 0.0));
        })
        .await;
    robot.until("the headset moves the arms", |robot| robot.grippers()[0].z > before[0].z + 0.03).await?;
    headset.toggle(&robot, false).await?;
    drop(headset);
    robot.until("nobody drives", |robot| robot.waldo.control().driver().borrow().is_none()).await?;

    // The field user drives, and hears that a page asks to.
    until_told(&mut amy, 0.0, "released").await?;
    let from = robot.grippers();
    for n in 0..600 {
        let y = 1.2 + f64::from(n).min(60.0) * 0.002;
        amy.say("xr_input", hands(y, 1.0)).await?;
        amy.hear_type("scene_state").await?;
        if robot.grippers()[0].z > from[0].z + 0.03 {
            break;
        }
    }
    ensure!(robot.grippers()[0].z > from[0].z + 0.03, "the field user moves the arms");
    let mut page = robot.client().await?;
    let hello = json!({"type": "hello", "v": 1, "client": "t/1", "stream": "d", "role": "driver", "caps": ["lease"]});
    page.send(hello.to_string()).await?;
    page.receive_type("hello").await?;
    page.send(json!({"type": "lease", "op": "take", "n": 1}).to_string()).await?;
    until_told(&mut amy, 1.0, "lease_asked").await?;
    drop(amy);
    robot
        .until("the page has it", |robot| {
            robot.waldo.control().driver().borrow().is_some_and(|driver| driver.kind == SourceKind::LocalHuman)
        })
        .await
}
