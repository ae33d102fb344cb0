//! The least that carrying so many bytes costs: a request of the size of an `obs_request` asks for a reply.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use waldo_server::clock;
use zenoh::Wait;
use zenoh::bytes::ZBytes;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::CongestionControl;

use crate::client::PATIENCE;

/// Bytes of an `obs_request`; the first eight of them say here how many the reply shall have, the next four how many
/// replies per second there shall be instead of one, and the next four how many.
const REQUEST: usize = 22;

/// Bytes that no reply exceeds.
const MOST: usize = 16 << 20;

const C2S: &str = "floor/c2s";
const S2C: &str = "floor/s2c";

fn request(size: usize) -> [u8; REQUEST] {
    let mut request = [0; REQUEST];
    request[..8].copy_from_slice(&(size as u64).to_le_bytes());
    request
}

/// Asks for publications at a rate of `hz`.
fn stream_request(size: usize, hz: u32, count: u32) -> [u8; REQUEST] {
    let mut request = request(size);
    request[8..12].copy_from_slice(&hz.to_le_bytes());
    request[12..16].copy_from_slice(&count.to_le_bytes());
    request
}

/// The rate and the number of the publications, if they were asked for.
fn stream_asked(request: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| request.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    Some((number(8)?, number(12)?)).filter(|(hz, _)| *hz > 0)
}

fn asked(request: &[u8]) -> Option<usize> {
    let size = u64::from_le_bytes(request.first_chunk().copied()?);
    usize::try_from(size).ok().filter(|size| *size <= MOST)
}

/// Asks over TCP, by blocking calls into one buffer.
pub struct TcpFloor {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl TcpFloor {
    /// Answers everybody, each on a thread of its own.
    ///
    /// # Errors
    /// If no port is free.
    pub fn serve() -> Result<SocketAddr> {
        let (listener, addr) = super::super::listen()?;
        thread::spawn(move || accept(&listener));
        Ok(addr)
    }

    /// Connects.
    ///
    /// # Errors
    /// If nobody listens.
    pub fn connect(addr: SocketAddr) -> Result<Self> {
        let socket = TcpStream::connect(addr)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, buffer: vec![0; MOST] })
    }

    /// Asks for so many bytes, and waits for the last of them.
    ///
    /// # Errors
    /// If the connection ended.
    pub fn exchange(&mut self, size: usize) -> Result<()> {
        self.socket.write_all(&request(size))?;
        Ok(self.socket.read_exact(&mut self.buffer[..size])?)
    }
}

fn accept(listener: &TcpListener) {
    for socket in listener.incoming().map_while(Result::ok) {
        thread::spawn(move || answer(socket));
    }
}

fn answer(mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let (reply, mut request) = (vec![0x5a; MOST], [0; REQUEST]);
    loop {
        socket.read_exact(&mut request)?;
        let Some(size) = asked(&request) else { return Ok(()) };
        socket.write_all(&reply[..size])?;
    }
}

/// Asks over Zenoh. The bytes of a reply are received, but not put together, as one that wants to read them must.
pub struct ZenohFloor {
    publisher: Publisher<'static>,
    _subscriber: Subscriber<()>,
    _session: zenoh::Session,
    /// Length of each, when it came, and the time stamp with which it begins; nanoseconds of this computer's clock.
    replies: Receiver<(usize, u64, u64)>,
}

impl ZenohFloor {
    /// Answers on this port as long as what is returned lives.
    ///
    /// # Errors
    /// If Zenoh does not start.
    pub fn serve(port: u16) -> Result<impl Sized> {
        let session = open("listen", port)?;
        let publisher = Arc::new(publisher(&session, S2C)?);
        let reply = Mutex::new(ZBytes::new());
        let subscriber = session.declare_subscriber(C2S).callback(move |sample| {
            let request = sample.payload().to_bytes();
            let Some(size) = asked(&request) else { return };
            if let Some((hz, count)) = stream_asked(&request) {
                let publisher = Arc::clone(&publisher);
                thread::spawn(move || push(&publisher, size, hz, count));
                return;
            }
            let mut reply = reply.lock().unwrap_or_else(PoisonError::into_inner);
            if reply.len() != size {
                *reply = vec![0x5a_u8; size].into();
            }
            // Clones share the bytes. Whoever waits here keeps no other request waiting.
            let _ = publisher.put(reply.clone()).wait();
        });
        Ok((subscriber.wait().map_err(|error| anyhow!(error))?, session))
    }

    /// Connects, and waits until the other side answers.
    ///
    /// # Errors
    /// If it does not.
    pub fn connect(port: u16) -> Result<Self> {
        let session = open("connect", port)?;
        // One at a time is asked for; what nobody waits for any more may be lost.
        let (sender, replies) = sync_channel(8);
        let subscriber = session.declare_subscriber(S2C).callback(move |sample| {
            let (at, mut stamp) = (clock::now().as_nanos(), [0; 8]);
            let _ = sample.payload().reader().read(&mut stamp);
            let _ = sender.try_send((sample.payload().len(), at, u64::from_le_bytes(stamp)));
        });
        let subscriber = subscriber.wait().map_err(|error| anyhow!(error))?;
        let publisher = publisher(&session, C2S)?;
        let mut floor = Self { publisher, _subscriber: subscriber, _session: session, replies };
        // Who subscribes becomes known a moment after the connection stands; what is asked before is lost.
        for _ in 0..100 {
            floor.ask(0)?;
            if floor.replies.recv_timeout(PATIENCE / 100).is_ok() {
                while floor.replies.recv_timeout(PATIENCE / 100).is_ok() {}
                return Ok(floor);
            }
        }
        Err(anyhow!("nobody answers over Zenoh"))
    }

    /// Asks for so many bytes, and waits until all are there.
    ///
    /// # Errors
    /// If they do not come.
    pub fn exchange(&mut self, size: usize) -> Result<()> {
        self.ask(size)?;
        let (arrived, ..) = self.replies.recv_timeout(PATIENCE).context("a reply over Zenoh was lost")?;
        ensure!(arrived == size, "{arrived} bytes over Zenoh instead of {size}");
        Ok(())
    }

    /// Lets `count` times so many bytes be published at a rate of `hz`. How old they were when they came, milliseconds.
    ///
    /// # Errors
    /// If they do not come.
    pub fn pushed(&mut self, size: usize, hz: u32, count: u32) -> Result<Vec<f64>> {
        let request = stream_request(size, hz, count);
        self.publisher.put(request.as_slice()).wait().map_err(|error| anyhow!(error))?;
        let age = |_| {
            let (arrived, at, stamp) = self.replies.recv_timeout(PATIENCE).context("a publication was lost")?;
            ensure!(arrived == size.max(STAMP), "{arrived} bytes over Zenoh instead of {size}");
            Ok(at.saturating_sub(stamp) as f64 / 1e6)
        };
        (0..count).map(age).collect()
    }

    fn ask(&mut self, size: usize) -> Result<()> {
        self.publisher.put(request(size).as_slice()).wait().map_err(|error| anyhow!(error))
    }
}

/// Bytes of a time stamp.
const STAMP: usize = 8;

/// Publishes bytes at a rate, as a robot with cameras does; each time others, as pictures are.
fn push(publisher: &Publisher<'_>, size: usize, hz: u32, count: u32) {
    let pictures: Vec<Bytes> = (0..4).map(|_| vec![0x5a; size.saturating_sub(STAMP)].into()).collect();
    let begin = Instant::now();
    for (number, picture) in (0..count).zip(pictures.iter().cycle()) {
        let due = begin + Duration::from_secs(1) * number / hz;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let mut payload = ZBytes::writer();
        payload.append(clock::now().as_nanos().to_le_bytes().to_vec().into());
        payload.append(picture.clone().into());
        if publisher.put(payload.finish()).wait().is_err() {
            return;
        }
    }
}

/// A session that has one address and looks for no other; with buffers for large replies, as ours have them.
fn open(side: &str, port: u16) -> Result<zenoh::Session> {
    let mut config = zenoh::Config::default();
    let other = if side == "listen" { "connect" } else { "listen" };
    for (key, value) in [
        ("mode", "\"peer\"".to_owned()),
        (&format!("{side}/endpoints"), format!("[\"tcp/127.0.0.1:{port}\"]")),
        (&format!("{other}/endpoints"), "[]".to_owned()),
        ("scouting/multicast/enabled", "false".to_owned()),
        ("scouting/gossip/enabled", "false".to_owned()),
        ("transport/shared_memory/enabled", "false".to_owned()),
        ("transport/link/rx/buffer_size", MOST.to_string()),
        ("transport/link/tx/queue/size/data", "16".to_owned()),
    ] {
        config.insert_json5(key, &value).map_err(|error| anyhow!("{key}: {error}"))?;
    }
    zenoh::open(config).wait().map_err(|error| anyhow!(error))
}

fn publisher(session: &zenoh::Session, key: &'static str) -> Result<Publisher<'static>> {
    let publisher = session.declare_publisher(key).congestion_control(CongestionControl::Block).express(true);
    publisher.wait().map_err(|error| anyhow!(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_floors_carry_as_many_bytes_as_were_asked_for() {
        let mut tcp = TcpFloor::connect(TcpFloor::serve().unwrap()).unwrap();
        let port = super::super::super::listen().unwrap().1.port();
        let _serving = ZenohFloor::serve(port).unwrap();
        let mut zenoh = ZenohFloor::connect(port).unwrap();
        for size in [64, 3_000_000, 1] {
            tcp.exchange(size).unwrap();
            zenoh.exchange(size).unwrap();
        }
        let ages = zenoh.pushed(3_000_000, 100, 5).unwrap();
        assert!(ages.len() == 5 && ages.iter().all(|age| *age > 0.0), "{ages:?}");
    }
}
