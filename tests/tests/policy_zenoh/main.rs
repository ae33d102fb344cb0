//! The policy wire over Zenoh: robots of ours, spoken to by clients that are nothing but Zenoh.

mod large;
mod several;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use waldo_protocol::policy::{
    Capability, ClientId, ErrorCode, ObsResponse, RequestId, RobotId, ServerMessage, ZenohKeys,
};
use waldo_server::policy::{PolicyServer, ZenohConfig};
use waldo_server::sensors::{CameraConfig, ProprioConfig, SensorHub};
use waldo_tests::plain_zenoh::{A_WHILE, Obedient, PATIENCE, PlainClient, free_locator, living, open, until};
use zenoh::qos::CongestionControl;
use zenoh::{Session, Wait};

/// Serves a robot on loopback.
fn serve(robot: &Obedient, id: &str) -> Result<(PolicyServer, String)> {
    let locator = free_locator()?;
    let zenoh = ZenohConfig { listen: vec![locator.clone()], ..ZenohConfig::default() };
    Ok((robot.serve(id, zenoh)?, locator))
}

fn session(locator: &str) -> Result<Session> {
    open(&[], &[locator], false)
}

fn old(locator: &str) -> Result<PlainClient> {
    PlainClient::old(session(locator)?)
}

/// A client with request ids and error replies.
fn new(locator: &str, robot: &str, id: u64) -> Result<PlainClient> {
    let want = [Capability::Id, Capability::Err].into_iter().collect();
    PlainClient::new(session(locator)?, &RobotId::parse(robot)?, &ClientId::from_bits(id), want)
}

/// A hub with one small camera and joints, whose values are known.
fn hub() -> Result<SensorHub> {
    let hub = SensorHub::default();
    hub.declare_camera(CameraConfig::new("wrist", 4, 6))?;
    hub.declare_proprio(ProprioConfig::new("joints", 3))?;
    hub.update_image("wrist", &[7u8; 4 * 6 * 3])?;
    hub.update_proprio("joints", &[0.25f32, -1.0, 2.0])?;
    Ok(hub)
}

fn dropped(server: &PolicyServer, reason: &str) -> u64 {
    server.counts().dropped.get(reason).copied().unwrap_or_default()
}

/// The picture of the first camera.
fn picture(frame: &[u8], message: &ServerMessage) -> Vec<u8> {
    let (ServerMessage::Observation(ObsResponse { observation, .. })
    | ServerMessage::Reset(waldo_protocol::policy::ResetResponse { observation, .. })) = message
    else {
        panic!("{message:?} is no observation");
    };
    frame[observation.cameras[0].image.bytes()].to_vec()
}

#[test]
fn a_client_of_the_original_runs() -> Result<()> {
    let robot = Obedient::new(hub()?);
    let (server, locator) = serve(&robot, "arm-1")?;
    let mut client = old(&locator)?;
    client.connect()?;
    client.ask_reset(None)?;
    let (frame, message) = client.reply()?;
    ensure!(matches!(message, ServerMessage::Reset(_)), "{message:?}");
    ensure!(picture(&frame, &message) == [7; 72]);
    for n in 0..10u8 {
        client.ask_observation(None)?;
        let (frame, message) = client.reply()?;
        ensure!(matches!(message, ServerMessage::Observation(_)), "{message:?}");
        ensure!(picture(&frame, &message) == [7; 72]);
        client.act(&[f32::from(n), 0.5])?;
    }
    until("ten actions", || robot.actions().len() == 10)?;
    let expected: Vec<_> = (0..10u8).map(|n| vec![f32::from(n), 0.5]).collect();
    ensure!(robot.actions() == expected && robot.resets() == 1, "{:?}", robot.actions());
    ensure!(client.overhear() == 0, "an action has no reply");
    ensure!(server.clients().len() == 1 && server.zenoh_conflict().is_none());
    Ok(())
}

#[test]
fn a_client_that_starts_before_its_robot_finds_it() -> Result<()> {
    let locator = free_locator()?;
    let mut client = old(&locator)?;
    client.ask_metadata()?;
    thread::sleep(A_WHILE);
    let zenoh = ZenohConfig { listen: vec![locator], ..ZenohConfig::default() };
    let _server = Obedient::default().serve("arm-1", zenoh)?;
    client.connect()
}

#[test]
fn requests_for_the_metadata_that_pile_up_are_answered_once() -> Result<()> {
    let mut robot = Obedient::new(hub()?);
    robot.reset_takes = Duration::from_millis(500);
    let (server, locator) = serve(&robot, "arm-1")?;
    let mut client = old(&locator)?;
    client.connect()?;
    client.ask_reset(None)?;
    for _ in 0..5 {
        client.ask_metadata()?;
    }
    ensure!(matches!(client.reply()?.1, ServerMessage::Reset(_)));
    ensure!(matches!(client.reply()?.1, ServerMessage::Metadata(_)));
    ensure!(client.overhear() == 0, "no reply is left for the next request");
    ensure!(dropped(&server, "repeated") == 4, "{:?}", server.counts());
    client.ask_observation(None)?;
    ensure!(matches!(client.reply()?.1, ServerMessage::Observation(_)));
    Ok(())
}

#[test]
fn malformed_samples_are_counted_and_cost_nobody_anything() -> Result<()> {
    let robot = Obedient::new(hub()?);
    let (server, locator) = serve(&robot, "arm-1")?;
    let (mut bad, mut good) = (old(&locator)?, new(&locator, "arm-1", 1)?);
    good.connect()?;
    let samples: [&[u8]; 6] =
        [b"", &[1], &[255; 40], b"\x05\0\0\0\x81\xa4type", &[0; 4], b"\x04\0\0\0\x81\xa1\x78\x01"];
    for sample in samples {
        bad.send(sample.to_vec())?;
    }
    bad.session.put("chiral/arm-1/c2s/nobody", "x").wait().map_err(anyhow::Error::msg)?;
    bad.connect()?;
    good.ask_observation(RequestId::new(1))?;
    ensure!(matches!(good.reply()?.1, ServerMessage::Observation(ObsResponse { id: Some(_), .. })));
    until("all are counted", || dropped(&server, "malformed") == 7)?;
    good.send(vec![1])?;
    let (_, message) = good.reply()?;
    ensure!(matches!(&message, ServerMessage::Error(error) if error.code == ErrorCode::Malformed), "{message:?}");
    Ok(())
}

#[test]
fn clients_with_keys_of_their_own_hear_their_own_replies_only() -> Result<()> {
    const REQUESTS: u64 = 200;
    let robot = Obedient::new(hub()?);
    let (_server, locator) = serve(&robot, "arm-1")?;
    let mut clients = [1, 2].map(|id| new(&locator, "arm-1", id).unwrap());
    let mut original = old(&locator)?;
    for client in &mut clients {
        client.connect()?;
    }
    original.connect()?;
    thread::scope(|scope| {
        let work = clients.iter_mut().enumerate().map(|(number, client)| {
            // Ids of the other one would be seen.
            let ids = (0..REQUESTS).map(move |n| RequestId::new(1 + n + REQUESTS * number as u64));
            scope.spawn(move || {
                for id in ids {
                    client.ask_observation(id)?;
                    let (_, message) = client.reply()?;
                    ensure!(matches!(&message, ServerMessage::Observation(reply) if reply.id == id), "{message:?}");
                }
                ensure!(client.overhear() == 0);
                Ok(())
            })
        });
        let work: Vec<_> = work.collect();
        for _ in 0..REQUESTS {
            original.ask_observation(None)?;
            ensure!(matches!(original.reply()?.1, ServerMessage::Observation(ObsResponse { id: None, .. })));
        }
        work.into_iter().try_for_each(|work| work.join().expect("no panic"))
    })
}

#[test]
fn whoever_controls_the_robot_gives_it_back_by_leaving() -> Result<()> {
    let robot = Obedient::new(hub()?);
    let (server, locator) = serve(&robot, "arm-1")?;
    let (mut first, mut second) = (new(&locator, "arm-1", 1)?, new(&locator, "arm-1", 2)?);
    first.connect()?;
    second.connect()?;
    first.act(&[1.0])?;
    until("the first acts", || robot.actions().len() == 1)?;
    second.act(&[2.0])?;
    let (_, message) = second.reply()?;
    ensure!(matches!(&message, ServerMessage::Error(error) if error.code == ErrorCode::NotHolder), "{message:?}");
    ensure!(server.clients().len() == 2);
    first.session.close().wait().map_err(anyhow::Error::msg)?;
    until("the first is gone", || server.clients().len() == 1 && server.holder().is_none())?;
    second.act(&[3.0])?;
    until("the second acts", || robot.actions() == [[1.0], [3.0]])
}

#[test]
fn clients_that_listen_to_no_replies_are_forgotten() -> Result<()> {
    let (server, locator) = serve(&Obedient::default(), "arm-1")?;
    let session = session(&locator)?;
    until("the session stands", || session.info().peers_zid().wait().next().is_some())?;
    let robot = RobotId::parse("arm-1")?;
    for id in 0..500 {
        let keys = ZenohKeys::prefixed(&robot, &ClientId::from_bits(id));
        let sample = session.put(keys.c2s, "x").congestion_control(CongestionControl::Block);
        sample.wait().map_err(anyhow::Error::msg)?;
    }
    until("too many", || dropped(&server, "clients") == 500 - 64)?;
    until("all are forgotten", || server.clients().is_empty())?;
    new(&locator, "arm-1", 1000)?.connect()
}

#[test]
fn a_robot_shows_that_it_lives_for_as_long_as_it_does() -> Result<()> {
    let (server, locator) = serve(&Obedient::default(), "arm-1")?;
    let session = session(&locator)?;
    until("it lives", || living(&session).is_ok_and(|robots| robots == [RobotId::parse("arm-1").unwrap()]))?;
    server.stop();
    until("it lives no more", || living(&session).is_ok_and(|robots| robots.is_empty()))
}

#[test]
fn clients_find_a_restarted_robot_again() -> Result<()> {
    let robot = Obedient::new(hub()?);
    let locator = free_locator()?;
    let zenoh = ZenohConfig { listen: vec![locator.clone()], ..ZenohConfig::default() };
    let server = robot.serve("arm-1", zenoh.clone())?;
    let (mut original, mut client) = (old(&locator)?, new(&locator, "arm-1", 1)?);
    for _ in 0..2 {
        original.connect()?;
        client.connect()?;
        client.ask_observation(RequestId::new(9))?;
        ensure!(matches!(client.reply()?.1, ServerMessage::Observation(_)));
        if server.clients().len() == 2 {
            let stopping = Instant::now();
            server.stop();
            let port_is_free = || std::net::TcpListener::bind(locator.trim_start_matches("tcp/")).is_ok();
            until("the port is free", port_is_free)?;
            ensure!(stopping.elapsed() < PATIENCE);
            // Lives until the end of the process.
            Box::leak(Box::new(robot.serve("arm-1", zenoh.clone())?));
        }
    }
    Ok(())
}

#[test]
fn the_shared_keys_can_be_switched_off() -> Result<()> {
    let robot = Obedient::new(hub()?);
    let locator = free_locator()?;
    let zenoh = ZenohConfig { listen: vec![locator.clone()], legacy: false, ..ZenohConfig::default() };
    let _server = robot.serve("arm-1", zenoh)?;
    let (original, mut client) = (old(&locator)?, new(&locator, "arm-1", 1)?);
    client.connect()?;
    original.ask_metadata()?;
    original.act(&[1.0])?;
    ensure!(original.overhear() == 0 && robot.is_still());
    Ok(())
}

#[test]
fn a_port_that_is_taken_is_told_at_the_start() -> Result<()> {
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let locator = format!("tcp/{}", taken.local_addr()?);
    let zenoh = ZenohConfig { listen: vec![locator], ..ZenohConfig::default() };
    let error = Obedient::default().serve("arm-1", zenoh).err().context("it started")?.to_string();
    ensure!(error.contains("over Zenoh") && error.contains("in use"), "{error}");
    Ok(())
}
