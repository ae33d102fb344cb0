//! The codecs against each other, without a network.

use anyhow::{Context, Result};
use fastrand::Rng;
use serde_json::json;
use waldo_protocol::policy::{Capabilities, ClientMessage, ServerMessage};

use crate::driver::{Python, bytes, python};
use crate::report::hex;
use crate::{encode, random};

/// Random frames that go through both codecs.
const FRAMES: u64 = 500;

#[test]
fn the_python_side_passes_its_own_tests_and_all_vectors() -> Result<()> {
    let output = python(["-X", "dev", "-m", "unittest"])?.output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("Ran ") && !told.contains("Ran 0 tests"), "{told}");
    Ok(())
}

#[test]
fn what_this_side_writes_python_reads_and_writes_in_the_same_bytes() -> Result<()> {
    let mut python = Python::start("check", &[])?;
    for seed in 0..FRAMES {
        let frame = random::frame(&mut Rng::with_seed(seed));
        let again = python.ask("recode", json!({"hex": hex(&frame)})).with_context(|| format!("seed {seed}"))?;
        assert_eq!(again, json!(hex(&frame)), "seed {seed}");
    }
    Ok(())
}

#[test]
fn what_python_writes_this_side_reads_and_writes_in_the_same_bytes() -> Result<()> {
    let mut python = Python::start("check", &[])?;
    let frames = python.ask("example_frames", json!({}))?;
    let frames = frames.as_array().context("a list")?;
    assert_eq!(frames.len(), 9);
    for frame in frames {
        let frame = bytes(frame)?;
        let server = ServerMessage::decode(&frame, Capabilities::NONE)?;
        let again = match &server {
            ServerMessage::Unknown { .. } => {
                let client = ClientMessage::decode(&frame, Capabilities::NONE)?;
                encode::client(&client, &frame).with_context(|| format!("nobody writes {client:?}"))?
            }
            _ => encode::server(&server, &frame).with_context(|| format!("nobody writes {server:?}"))?,
        };
        assert_eq!(hex(&again), hex(&frame));
    }
    Ok(())
}
