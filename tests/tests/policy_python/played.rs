//! Our client with Python robots of each generation: what it sees is what they say they sent.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use waldo_policy_client::blocking::PolicyClient;
use waldo_policy_client::{Action, Error, Generation, Options};
use waldo_tests::client::PATIENCE;

use crate::driver::Python;
use crate::report;

const VALUES: [f32; 7] = [0.5, -1.25, 3.0e-30, 0.1, 7.0, -0.0, f32::MAX];

/// A robot in Python, and our client of it.
struct Played {
    robot: Python,
    client: PolicyClient,
}

impl Played {
    fn start(generation: &str, transport: &str) -> Result<Self> {
        let arguments = ["--generation", generation, "--transport", transport, "--port", "0", "--json"];
        let robot = Python::start("server", &arguments)?;
        let address = robot.line()?;
        let options = Options { connect_timeout: Some(PATIENCE), ..Options::default() };
        let client = PolicyClient::connect(&address, options).context(address)?;
        Ok(Self { robot, client })
    }

    /// What it says it sent last, in the form of our reports.
    fn sent(&self, kind: &str) -> Result<Value> {
        let mut sent = self.robot.event("type", kind)?;
        let event = sent.as_object_mut().context("a map")?;
        event.remove("type");
        ensure!(event.remove("event") == Some(json!("sent")), "{sent}");
        Ok(sent)
    }

    fn assert_metadata(&self) -> Result<()> {
        let metadata = self.client.metadata()?;
        assert_eq!(metadata.server, None);
        assert_eq!(report::map(&metadata.data), self.sent("metadata_response")?["data"]);
        Ok(())
    }

    fn assert_reset(&self) -> Result<()> {
        let (observation, info) = self.client.reset()?;
        let mut report = report::observation(&observation);
        report["info"] = report::map(&info);
        assert_eq!(report, self.sent("reset_response")?);
        let latest = self.client.latest_obs().context("a reset has an observation")?;
        assert_eq!(latest.observation.frame(), observation.frame());
        Ok(())
    }

    /// An action arrived as it was sent, with the stamps of the observation that was the newest.
    fn assert_applied(&self, kind: &str, shape: &[usize], values: &[f32]) -> Result<()> {
        let event = self.robot.event("type", kind)?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        assert_eq!(event["array"], json!({"shape": shape, "dtype": "float32", "hex": report::hex(&bytes)}));
        let latest = self.client.latest_obs().context("there was an observation")?;
        let stamps = latest.observation.camera_stamps();
        let stamps: serde_json::Map<_, _> =
            stamps.into_iter().map(|(name, stamp)| (name, report::number(stamp))).collect();
        assert_eq!(event["obs_timestamps"], Value::Object(stamps));
        Ok(())
    }
}

fn decoupled(transport: &str) -> Result<()> {
    let played = Played::start("decoupled", transport)?;
    played.assert_metadata()?;
    played.assert_reset()?;
    for shape in [&[7][..], &[1, 7]] {
        played.client.send_action(Action::new(shape, VALUES)?)?;
        played.assert_applied("apply_action", shape, &VALUES)?;
        let observation = played.client.observation()?;
        assert_eq!(report::observation(&observation), played.sent("obs_response")?);
        assert_eq!(observation.proprio("last_action")?.to_vec(), VALUES);
    }
    assert_eq!(played.client.generation()?, Generation::Decoupled);
    assert!(matches!(played.client.step(Action::new([7], VALUES)?), Err(Error::CannotStep)));

    played.client.start_action_dispatch(200.0)?;
    for number in 0..20 {
        played.client.put_action(Action::new([7], [number as f32; 7])?)?;
    }
    for number in 0..20 {
        played.assert_applied("apply_action", &[7], &[number as f32; 7])?;
    }
    played.client.stop_action_dispatch();

    played.client.start_obs_stream(100.0)?;
    let mut version = played.client.latest_obs().context("there was one")?.version;
    for _ in 0..10 {
        let newer = played.client.newer_obs(version, PATIENCE)?;
        assert!(newer.version > version);
        version = newer.version;
        // Calls go between the stream's, and each gets its own reply.
        assert_eq!(report::map(&played.client.metadata()?.data), played.sent("metadata_response")?["data"]);
    }
    played.client.stop_obs_stream();
    played.client.close();
    Ok(())
}

fn coupled(generation: &str) -> Result<()> {
    let played = Played::start(generation, "ws")?;
    played.assert_metadata()?;
    played.assert_reset()?;
    for moves in 1..=5 {
        let step = played.client.step(Action::new([1, 7], VALUES)?)?;
        let event = played.robot.event("event", "action")?;
        assert_eq!((&event["type"], &event["array"]["shape"]), (&json!("action"), &json!([1, 7])));
        let mut report = report::observation(&step.observation);
        report::add_outcome(&mut report, step.outcome);
        report["info"] = report::map(&step.info);
        assert_eq!(report, played.sent("step_response")?);
        assert_eq!(step.outcome.terminated, moves == 5);
    }
    assert_eq!(played.client.generation()?, Generation::Coupled);

    // What the decoupled generation does goes through steps.
    let before = played.client.latest_obs().context("steps have observations")?;
    assert_eq!(played.client.observation()?.frame(), before.observation.frame());
    played.client.start_action_dispatch(50.0)?;
    played.client.put_action(Action::new([1, 7], VALUES)?)?;
    let stepped = played.client.newer_obs(before.version, PATIENCE)?;
    assert!(stepped.observation.outcome().context("steps tell how they end")?.truncated);
    assert_eq!(report::observation(&stepped.observation)["cameras"], played.sent("step_response")?["cameras"]);
    played.client.close();
    Ok(())
}

#[test]
fn our_client_sees_and_moves_a_python_robot_over_a_websocket() -> Result<()> {
    decoupled("ws")
}

#[test]
fn our_client_sees_and_moves_a_python_robot_over_zenoh() -> Result<()> {
    decoupled("zenoh")
}

#[test]
fn our_client_steps_a_python_robot_of_the_first_generation() -> Result<()> {
    coupled("coupled")
}

#[test]
fn our_client_steps_a_robot_that_speaks_as_those_in_cpp_do() -> Result<()> {
    coupled("cpp")
}

#[test]
fn before_it_knows_the_generation_our_client_sends_nothing_that_could_vanish() -> Result<()> {
    for (generation, asked) in [("coupled", 1), ("cpp", 1), ("decoupled", 0)] {
        let played = Played::start(generation, "ws")?;
        played.client.send_action(Action::new([1, 7], VALUES)?)?;
        played.client.reset()?;
        // Up to the reply to the reset everything has been told.
        let mut ignored = Vec::new();
        let mut applied = 0;
        loop {
            let event = played.robot.json()?;
            match event["event"].as_str() {
                Some("ignored") => ignored.push(event["type"].clone()),
                Some("action") => applied += 1,
                _ if event["type"] == "reset_response" => break,
                _ => {}
            }
        }
        assert_eq!((applied, ignored), (1, vec![json!("obs_request"); asked]), "{generation}");
    }
    Ok(())
}

#[test]
fn our_client_finds_a_python_robot_that_starts_later() -> Result<()> {
    let port = waldo_tests::bench::listen()?.1.port();
    let starting = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        Python::start("server", &["--port", &port.to_string()])
    });
    let options = Options { connect_timeout: Some(PATIENCE), ..Options::default() };
    let client = PolicyClient::connect(&format!("ws://127.0.0.1:{port}"), options)?;
    assert_eq!(client.observation()?.cameras().len(), 3);
    drop(starting.join());
    Ok(())
}
