//! Large replies, over the network and through memory that a client shares.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use waldo_protocol::policy::shared_memory::{
    MEMORY_BYTES, MemoryNotice, MemoryOffer, notice_key, offer_key, slot_at, taken_at,
};
use waldo_protocol::policy::{Capability, ClientId, RequestId, RobotId, ServerMessage};
use waldo_server::sensors::{CameraConfig, SensorHub};
use waldo_tests::plain_zenoh::{Obedient, PATIENCE, PlainClient, until};
use zenoh::Wait;
use zenoh::qos::CongestionControl;

use super::{dropped, new, picture, serve, session};

/// Files of this process that are memory shared by clients.
fn shared_memories() -> Result<usize> {
    let files = fs::read_dir("/proc/self/fd")?.flatten();
    let names = files.filter_map(|file| fs::read_link(file.path()).ok());
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
    let (notice, notices) = sync_channel(100);
    let subscriber = session.declare_subscriber(notice_key(&arm, &id)).callback(move |sample| {
        let _ = notice.send(MemoryNotice::decode(&sample.payload().to_bytes()));
    });
    let _subscriber = subscriber.wait().map_err(anyhow::Error::msg)?;
    client.connect()?;

    let mut offer = MemoryOffer { tag: 0x5eed_0001, process: std::process::id(), file: 0 };
    let memory = File::from(memfd_create(offer.name(), MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC)?);
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
