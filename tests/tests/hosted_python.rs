//! Hosted teleoperation against the second implementation of its wire, in `tests/python`, which knows nothing of this one.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use glam::{DQuat, DVec3};
use serde_json::{Value, json};
use waldo_broker::Broker;
use waldo_protocol::lcm::{self, Header, Joy, PoseStamped, Time, Twist, TwistStamped};
use waldo_server::config::{HostedKind, HostedSettings, RobotKey, Settings};
use waldo_server::lcm::LcmPublisher;
use waldo_server::robot::sim::{SimOptions, SimRobot};
use waldo_server::serve::Waldo;
use waldo_tests::network::Namespace;
use waldo_tests::robot::local;

const OPERATOR: &str = "operator@example.org";
const PASSWORD: &str = "open the pod bay doors";

fn python() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program.ancestors().nth(3).context("this test lies outside of a build directory")?;
    let python = target.join("python/bin/python");
    ensure!(python.is_file(), "there is no {}: please run `cargo xtask setup`", python.display());
    Ok(python)
}

fn check(args: &[&str]) -> Result<Command> {
    let mut command = Command::new(python()?);
    command.args(["-B", "-m", "waldo_hosted.check"]).args(args).env_remove("PYTHONPATH");
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("python"));
    Ok(command)
}

/// A network of one computer, with multicast on its loopback.
fn alone() -> Result<Namespace> {
    let namespace = Namespace::new()?;
    namespace.ip(&["link", "set", "lo", "up", "multicast", "on"])?;
    namespace.ip(&["route", "add", "224.0.0.0/4", "dev", "lo"])?;
    Ok(namespace)
}

#[test]
fn the_library_of_lcm_hears_and_reads_what_is_published() -> Result<()> {
    let stamp = Time { sec: 1_700_000_000, nsec: 250_000_000 };
    let header = |frame_id: &str| Header { seq: 7, stamp, frame_id: frame_id.to_owned() };
    let pose = lcm::Pose { position: DVec3::new(0.1, -2.5, 3.0), orientation: DQuat::from_xyzw(0.5, -0.5, 0.5, 0.5) };
    let twist = Twist { linear: DVec3::new(1.5, 0.0, -0.25), angular: DVec3::Z };
    let joy = Joy { header: header("video"), axes: vec![29.5, -1.0], buttons: vec![1, 0, -3] };
    // Larger than a datagram: it goes out in fragments.
    let large: Vec<u8> = (0..200_000_u32).map(|byte| (byte % 251) as u8).collect();
    let published = [
        ("left_controller_output", PoseStamped { header: header("arm_left"), pose }.encode()),
        ("cmd_vel_stamped", TwistStamped { header: header("keyboard"), twist }.encode()),
        ("cmd_vel", twist.encode()),
        ("video_stats", joy.encode()),
        ("picture", large.clone()),
    ];
    let about = json!({ "seq": 7, "stamp": { "sec": stamp.sec, "nsec": stamp.nsec }, "frame_id": "arm_left" });
    let named = |frame_id: &str| {
        let mut about = about.clone();
        about["frame_id"] = frame_id.into();
        about
    };
    let vector = |v: DVec3| json!({ "x": v.x, "y": v.y, "z": v.z });
    let velocity = json!({ "linear": vector(twist.linear), "angular": vector(twist.angular) });
    let turn = json!({ "x": 0.5, "y": -0.5, "z": 0.5, "w": 0.5 });
    let expected = [
        json!({ "type": "PoseStamped", "message": {
            "header": about, "pose": { "position": vector(pose.position), "orientation": turn } } }),
        json!({ "type": "TwistStamped", "message": { "header": named("keyboard"), "twist": velocity } }),
        json!({ "type": "Twist", "message": velocity }),
        json!({ "type": "Joy", "message": {
            "axes_length": 2, "buttons_length": 3, "header": named("video"), "axes": [29.5, -1.0],
            "buttons": [1, 0, -3] } }),
        json!({ "type": null, "size": large.len(), "sum": large.iter().map(|byte| u64::from(*byte)).sum::<u64>() }),
    ];
    alone()?.run(|| {
        // Nobody else is in this network.
        let url = "udpm://239.255.76.67:7667?ttl=0";
        let mut command = Command::new(python()?);
        command.args(["-B", "-m", "waldo_hosted.listen", url, &published.len().to_string()]).env_remove("PYTHONPATH");
        command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("python"));
        let mut listener = command.stdout(Stdio::piped()).spawn()?;
        let mut lines = BufReader::new(listener.stdout.take().context("a pipe")?).lines();
        ensure!(lines.next().context("it has ended")?? == "ready");
        let publisher = LcmPublisher::open(&url.parse()?)?;
        for (channel, message) in &published {
            publisher.publish(channel, message)?;
        }
        for ((channel, _), mut expected) in published.iter().zip(expected) {
            let heard: Value = serde_json::from_str(&lines.next().context("it has ended")??)?;
            expected["channel"] = (*channel).into();
            ensure!(heard == expected, "{heard} is not {expected}");
        }
        ensure!(listener.wait()?.success());
        Ok(())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn robots_and_operators_in_python_meet_at_the_broker() -> Result<()> {
    let data = tempfile::tempdir()?;
    let broker = Broker::start(waldo_broker::Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        data_dir: data.path().to_owned(),
        ..waldo_broker::Settings::default()
    })
    .await?;
    broker.add_user(OPERATOR, PASSWORD).await?;
    let key = broker.add_key(OPERATOR, "python").await?;
    let mut command = check(&["broker", &broker.url(), key.reveal(), OPERATOR, PASSWORD])?;
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    ensure!(said.lines().count() == 4, "{said}");
    broker.stop().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_robot_dials_and_obeys_a_broker_in_python() -> Result<()> {
    let mut rehearsal =
        check(&["robot"])?.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut lines = BufReader::new(rehearsal.stdout.take().context("a pipe")?).lines();
    let mut next = move || lines.next().context("it has ended")?.context("it says something");
    let place: Value = serde_json::from_str(&next()?)?;
    let (url, key) = (place["url"].as_str().context("a URL")?, place["key"].as_str().context("a key")?);
    let data = tempfile::tempdir()?;
    let key = RobotKey::parse(key).map_err(anyhow::Error::msg)?;
    let hosted = Some(HostedSettings::new(url, key, HostedKind::Twist));
    let waldo =
        Waldo::start(Settings { hosted, ..local(data.path()) }, Box::new(SimRobot::new(SimOptions::default()))).await?;
    let watched = tokio::task::spawn_blocking(move || -> Result<_> {
        let said = (0..3).map(|_| next()).collect::<Result<Vec<_>>>();
        Ok((said, next))
    });
    let (said, next) = watched.await??;
    waldo.stop().await;
    if said.is_ok() {
        // It waits for this before it looks whether the robot said goodbye.
        drop(rehearsal.stdin.take());
        tokio::task::spawn_blocking(next).await??;
    }
    let output = tokio::task::spawn_blocking(move || rehearsal.wait_with_output()).await??;
    if !output.status.success() {
        bail!("{said:?}\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
