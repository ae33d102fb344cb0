//! The policy wire over Zenoh: robots of ours, spoken to by clients that are nothing but Zenoh.

use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use waldo_protocol::policy::shared_memory::{
    MEMORY_BYTES, MemoryNotice, MemoryOffer, notice_key, offer_key, slot_at, taken_at,
};
use waldo_protocol::policy::{
    Capability, ClientId, ErrorCode, ObsResponse, RequestId, RobotId, ServerMessage, ZenohKeys,
};
use waldo_server::policy::{PolicyServer, ZenohConfig};
use waldo_server::sensors::{CameraConfig, ProprioConfig, SensorHub};
use waldo_tests::plain_zenoh::{A_WHILE, Obedient, PATIENCE, PlainClient, free_locator, living, open, router, until};
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
fn a_reply_of_somebody_else_on_the_shared_keys_refuses_what_would_move_both() -> Result<()> {
    let robot = Obedient::new(hub()?);
    let (server, locator) = serve(&robot, "arm-1")?;
    let (mut original, mut client) = (old(&locator)?, new(&locator, "arm-1", 1)?);
    original.connect()?;
    client.connect()?;
    original.act(&[1.0])?;
    until("nobody else is there", || robot.actions().len() == 1)?;
    let other = session(&locator)?;
    other
        .put("chiral/s2c", "a reply")
        .congestion_control(CongestionControl::Block)
        .wait()
        .map_err(anyhow::Error::msg)?;
    until("it is seen", || server.zenoh_conflict().is_some_and(|why| why.contains("chiral/s2c")))?;
    // The reply was heard by the client of the original too.
    original.overhear();
    original.act(&[2.0])?;
    original.ask_reset(None)?;
    until("both are refused", || dropped(&server, "conflict") == 2)?;
    ensure!(robot.actions().len() == 1 && robot.resets() == 0);
    original.ask_observation(None)?;
    ensure!(matches!(original.reply()?.1, ServerMessage::Observation(_)), "looking harms nobody");
    // The shared clients still have control; with keys of its own a client may take part.
    original.session.close().wait().map_err(anyhow::Error::msg)?;
    until("nobody controls it", || server.holder().is_none())?;
    client.act(&[3.0])?;
    until("its own keys stay usable", || robot.actions() == [[1.0], [3.0]])
}

#[test]
fn robots_that_meet_at_a_router_see_each_other() -> Result<()> {
    let middle = free_locator()?;
    let _router = router(&middle, &[])?;
    let serve = |id: &str| -> Result<_> {
        let zenoh =
            ZenohConfig { listen: vec![free_locator()?], connect: vec![middle.clone()], ..ZenohConfig::default() };
        Obedient::default().serve(id, zenoh)
    };
    let servers = [serve("left")?, serve("right")?];
    for (server, other) in servers.iter().zip(["right", "left"]) {
        let seen = || server.zenoh_conflict().is_some_and(|why| why.contains(&format!("robot {other} is on this")));
        until("they see each other", seen)?;
    }
    Ok(())
}

#[test]
fn two_robots_with_one_id_refuse_to_move() -> Result<()> {
    let robots = [(); 2].map(|()| Obedient::default());
    let (first, locator) = serve(&robots[0], "waldo")?;
    let listen = vec![free_locator()?];
    let zenoh = ZenohConfig { listen, connect: vec![locator.clone()], ..ZenohConfig::default() };
    let second = robots[1].serve("waldo", zenoh)?;
    for server in [&first, &second] {
        until("it is noticed", || server.zenoh_conflict().is_some_and(|why| why.contains("the id waldo")))?;
    }
    let mut client = new(&locator, "waldo", 1)?;
    client.connect()?;
    client.act(&[1.0])?;
    client.ask_reset(Some(RequestId::FIRST))?;
    let mut told: Vec<_> = [client.reply()?, client.reply()?].into_iter().map(|(_, reply)| reply).collect();
    told.sort_by_key(ServerMessage::id);
    for (reply, id) in told.into_iter().zip([None, Some(RequestId::FIRST)]) {
        let ServerMessage::Error(error) = reply else { bail!("{reply:?}") };
        ensure!(error.id == id && error.message.contains("the id waldo"), "{error:?}");
    }
    until("both are counted", || dropped(&first, "conflict") == 2)?;
    thread::sleep(A_WHILE);
    ensure!(robots.iter().all(Obedient::is_still));
    Ok(())
}

/// Files of this process that are memory shared by clients.
fn shared_memories() -> Result<usize> {
    let files = std::fs::read_dir("/proc/self/fd")?.flatten();
    let names = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    Ok(names.filter(|name| name.to_string_lossy().starts_with("/memfd:waldo-policy-")).count())
}

#[test]
fn a_client_that_never_takes_what_lies_in_its_memory_gets_the_rest_over_the_network() -> Result<()> {
    let hub = SensorHub::default();
    hub.declare_camera(CameraConfig::new("wrist", 480, 640))?;
    hub.update_image("wrist", &vec![7u8; 480 * 640 * 3])?;
    let robot = Obedient::new(hub);
    let (server, locator) = serve(&robot, "arm-1")?;
    let (id, session) = (ClientId::from_bits(1), session(&locator)?);
    let arm = RobotId::parse("arm-1")?;
    let mut client = PlainClient::new(session.clone(), &arm, &id, [Capability::Id].into_iter().collect())?;
    let (notice, notices) = std::sync::mpsc::sync_channel(100);
    let subscriber = session.declare_subscriber(notice_key(&arm, &id)).callback(move |sample| {
        let _ = notice.send(MemoryNotice::decode(&sample.payload().to_bytes()));
    });
    let _subscriber = subscriber.wait().map_err(anyhow::Error::msg)?;
    client.connect()?;

    let mut offer = MemoryOffer { tag: 0x5eed_0001, process: std::process::id(), file: 0 };
    let memory = std::fs::File::from(memfd_create(offer.name(), MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC)?);
    memory.set_len(MEMORY_BYTES)?;
    fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW)?;
    let put = |offer: &[u8]| -> Result<()> {
        let put = session.put(offer_key(&arm, &id), offer).congestion_control(CongestionControl::Block);
        put.wait().map_err(anyhow::Error::msg)
    };
    // What is nobody's memory changes nothing, nor does nonsense.
    put(&offer.encode())?;
    put(b"memory")?;
    until("nonsense is counted", || dropped(&server, "malformed") == 1)?;
    client.ask_observation(RequestId::new(1))?;
    ensure!(client.reply()?.0.len() > 480 * 640 * 3 && shared_memories()? == 1);
    offer.file = memory.as_raw_fd().cast_unsigned();
    put(&offer.encode())?;

    for (number, slot) in [(1, 0), (2, 1)] {
        client.ask_observation(RequestId::new(1 + number))?;
        let notice = notices.recv_timeout(PATIENCE)?.context("nonsense")?;
        ensure!((notice.number(), notice.slot(), notice.tag()) == (number, slot, offer.tag), "{notice:?}");
        let mut last = [0; 4];
        memory.read_exact_at(&mut last, slot_at(slot) + 480 * 640 * 3)?;
        ensure!(last == [7; 4], "the picture is there");
    }
    for id in 10..15 {
        client.ask_observation(RequestId::new(id))?;
    }
    for _ in 10..15 {
        let (frame, message) = client.reply()?;
        ensure!(picture(&frame, &message) == vec![7; 480 * 640 * 3]);
    }
    memory.write_all_at(&1_u64.to_le_bytes(), taken_at(0))?;
    client.ask_observation(RequestId::new(100))?;
    ensure!(notices.recv_timeout(PATIENCE)?.is_some_and(|notice| (notice.number(), notice.slot()) == (3, 0)));
    ensure!(server.counts().shared == 3 && shared_memories()? == 2);

    // It dies with frames untaken.
    session.close().wait().map_err(anyhow::Error::msg)?;
    drop(memory);
    until("its memory is let go", || shared_memories().is_ok_and(|count| count == 0))?;
    new(&locator, "arm-1", 2)?.connect()
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

/// Large replies, while every core has something else to do. `WALDO_ZENOH_REPLIES=3000` for the long run.
#[test]
fn no_large_reply_is_lost_on_a_busy_computer() -> Result<()> {
    let replies = std::env::var("WALDO_ZENOH_REPLIES").ok().map_or(Ok(60), |count| count.parse::<u64>())?;
    let hub = SensorHub::default();
    for name in ["left", "right", "top"] {
        hub.declare_camera(CameraConfig::new(name, 720, 1280))?;
        hub.update_image(name, &vec![name.len() as u8; 720 * 1280 * 3])?;
    }
    let (server, locator) = serve(&Obedient::new(hub), "arm-1")?;
    let busy = AtomicBool::new(true);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism()?.get() {
            scope.spawn(|| {
                while busy.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let result = (|| {
            let mut client = new(&locator, "arm-1", 1)?;
            client.connect()?;
            let started = Instant::now();
            for id in (1..=replies).map(RequestId::new) {
                client.ask_observation(id)?;
                let (frame, message) = client.reply().with_context(|| format!("request {id:?}"))?;
                let ServerMessage::Observation(reply) = &message else { anyhow::bail!("{message:?}") };
                ensure!(reply.id == id, "{:?} instead of {id:?}", reply.id);
                for camera in &reply.observation.cameras {
                    let picture = &frame[camera.image.bytes()];
                    ensure!(
                        picture.len() == 720 * 1280 * 3 && picture.iter().all(|b| usize::from(*b) == camera.name.len())
                    );
                }
            }
            eprintln!("{replies} replies of 8.3 MB, none lost, {:?} each", started.elapsed() / u32::try_from(replies)?);
            ensure!(dropped(&server, "busy") == 0);
            Ok(())
        })();
        busy.store(false, Ordering::Relaxed);
        result
    })
}
