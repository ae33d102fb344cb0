//! Spectators, and what reaches each of them.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use tokio_tungstenite::tungstenite::Message;
use waldo_protocol::field::{ClientMessage, Extension, Hello, Join, MAGIC};

use super::floor;
use crate::field::FieldSocket;

/// Several spectators, each on a thread of its own.
pub struct Watchers {
    running: Vec<JoinHandle<Result<Watched>>>,
    stop: Arc<AtomicBool>,
}

/// A frame of the scene that reached a spectator.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// When all of it was there.
    pub at: Instant,
    /// Its bytes on the wire.
    pub bytes: usize,
    /// The time of the scene, seconds; not-a-number if it tells none.
    pub timestamp: f64,
    number: Option<u32>,
}

/// What reached one spectator, in order.
pub type Watched = Vec<Frame>;

impl Watchers {
    /// So many spectators of a field, with these extensions.
    ///
    /// # Errors
    /// If one is refused.
    pub fn of_field(addr: SocketAddr, count: usize, ext: &[Extension]) -> Result<Self> {
        Self::start(count, || {
            let mut socket = FieldSocket::connect(addr)?;
            let mut hello = Hello::new(Join::Spectator);
            hello.ext = ext.iter().copied().collect();
            let agreed = socket.hello(hello.clone())?.ext;
            ensure!(agreed == hello.ext, "the field agrees on {agreed:?} instead of {:?}", hello.ext);
            Ok(socket)
        })
    }

    /// So many who get frames of that size from the [`floor()`].
    ///
    /// # Errors
    /// If one cannot connect.
    pub fn of_floor(addr: SocketAddr, count: usize, size: usize) -> Result<Self> {
        Self::start(count, || floor::watch(addr, size))
    }

    fn start(count: usize, connect: impl Fn() -> Result<FieldSocket>) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut running = Vec::new();
        for _ in 0..count {
            let (socket, stop) = (connect()?, Arc::clone(&stop));
            running.push(thread::spawn(move || watch(socket, &stop)));
        }
        Ok(Self { running, stop })
    }

    /// What reached each of them within `duration` from now.
    ///
    /// # Errors
    /// If one of them was disconnected.
    pub fn watch(self, duration: Duration) -> Result<Vec<Watched>> {
        let begin = Instant::now();
        thread::sleep(duration);
        let end = begin + duration;
        self.stop.store(true, Ordering::Relaxed);
        let mut watched = Vec::new();
        for thread in self.running {
            let mut one = thread.join().map_err(|_| anyhow!("a spectator panicked"))??;
            one.retain(|frame| (begin..end).contains(&frame.at));
            watched.push(one);
        }
        Ok(watched)
    }
}

fn watch(mut socket: FieldSocket, stop: &AtomicBool) -> Result<Watched> {
    let mut watched = Watched::new();
    while !stop.load(Ordering::Relaxed) {
        let message = socket.receive()?;
        let frame = Frame::of(&message, Instant::now());
        match watched.last_mut() {
            // What changed beside the arms comes after their binary frame, as a message of its own.
            Some(last) if last.number.is_some() && last.number == frame.number => {
                (last.at, last.bytes) = (frame.at, last.bytes + frame.bytes);
            }
            _ => watched.push(frame),
        }
    }
    Ok(watched)
}

impl Frame {
    fn of(message: &Message, at: Instant) -> Self {
        let bytes = message.len() + header(message.len());
        let (number, timestamp) = match message {
            Message::Binary(binary) if binary.starts_with(&MAGIC) => (
                binary.get(4..8).and_then(|bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?))),
                binary.get(8..16).and_then(|bytes| Some(f64::from_le_bytes(bytes.try_into().ok()?))),
            ),
            Message::Text(text) => (field(text, "\"frame\":"), field(text, "\"timestamp\":")),
            _ => (None, None),
        };
        Self { at, bytes, number, timestamp: timestamp.unwrap_or(f64::NAN) }
    }
}

/// The number behind the first such key: what reads the whole text of every spectator would be measured too.
fn field<T: FromStr>(text: &str, key: &str) -> Option<T> {
    let (_, rest) = text.split_once(key)?;
    rest.split([',', '}']).next()?.parse().ok()
}

/// A spectator who never reads: the socket must be kept for as long as that shall last.
///
/// # Errors
/// If nobody listens.
pub fn stall(addr: SocketAddr) -> Result<FieldSocket> {
    let mut socket = FieldSocket::connect(addr)?;
    socket.shrink()?;
    socket.send(&ClientMessage::Hello(Hello::new(Join::Spectator)))?;
    Ok(socket)
}

/// Bytes of a WebSocket's header before a message of the server.
const fn header(length: usize) -> usize {
    match length {
        ..126 => 2,
        126..65536 => 4,
        _ => 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_tell_their_number_and_time_whatever_form_they_have() {
        let text = r#"{"version":1,"type":"scene_delta","payload":{"base":1,"frame":7,"timestamp":2.5}}"#;
        let binary = [&b"VFS1"[..], &7_u32.to_le_bytes(), &2.5_f64.to_le_bytes(), &[0; 2]].concat();
        for (message, bytes) in [(Message::text(text), text.len() + 2), (Message::binary(binary), 20)] {
            let frame = Frame::of(&message, Instant::now());
            assert_eq!((frame.number, frame.timestamp, frame.bytes), (Some(7), 2.5, bytes));
        }
        let plain = Frame::of(&Message::text(r#"{"payload":{"timestamp":3}}"#), Instant::now());
        assert_eq!((plain.number, plain.timestamp), (None, 3.0));
        assert_eq!([header(125), header(126), header(65_536)], [2, 4, 10]);
    }
}
