//! The least that carrying so many bytes costs: a request of the size of an `obs_request` asks for a reply.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use zenoh::Wait;
use zenoh::bytes::ZBytes;
use zenoh::pubsub::{Publisher, Subscriber};
use zenoh::qos::CongestionControl;

use crate::client::PATIENCE;

/// Bytes of an `obs_request`; the first eight of them say here how many the reply shall have.
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
    replies: Receiver<usize>,
}

impl ZenohFloor {
    /// Answers on this port as long as what is returned lives.
    ///
    /// # Errors
    /// If Zenoh does not start.
    pub fn serve(port: u16) -> Result<impl Sized> {
        let session = open("listen", port)?;
        let publisher = publisher(&session, S2C)?;
        let reply = Mutex::new(ZBytes::new());
        let subscriber = session.declare_subscriber(C2S).callback(move |sample| {
            let Some(size) = asked(&sample.payload().to_bytes()) else { return };
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
            let _ = sender.try_send(sample.payload().len());
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
        let arrived = self.replies.recv_timeout(PATIENCE).context("a reply over Zenoh was lost")?;
        ensure!(arrived == size, "{arrived} bytes over Zenoh instead of {size}");
        Ok(())
    }

    fn ask(&mut self, size: usize) -> Result<()> {
        self.publisher.put(request(size).as_slice()).wait().map_err(|error| anyhow!(error))
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
    }
}
