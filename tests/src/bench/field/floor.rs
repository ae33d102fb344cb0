//! What no field can go below: bare sockets that carry as many bytes as samples and scenes have, and compute nothing.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::listen;
use crate::client::PATIENCE;
use crate::field::FieldSocket;

/// Frames per second of a scene.
const HZ: u32 = 72;

/// Bytes that nothing exceeds.
const MOST: usize = 16 << 20;

/// Answers everybody on a thread of its own. A client first says how many bytes its samples have and how many a scene; with
/// samples of no bytes it gets scenes as WebSocket messages, 72 a second.
///
/// # Errors
/// If no port is free.
pub fn floor() -> Result<SocketAddr> {
    let (listener, addr) = listen()?;
    thread::spawn(move || accept(&listener));
    Ok(addr)
}

fn accept(listener: &TcpListener) {
    for socket in listener.incoming().map_while(Result::ok) {
        thread::spawn(move || answer(socket));
    }
}

fn answer(mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let [sample, scene] = [read_size(&mut socket)?, read_size(&mut socket)?];
    let (mut sample, scene) = (vec![0; sample], vec![b' '; scene]);
    if !sample.is_empty() {
        loop {
            socket.read_exact(&mut sample)?;
            socket.write_all(&scene)?;
        }
    }
    let frame = [&[0x82, 127][..], &(scene.len() as u64).to_be_bytes(), &scene].concat();
    let begin = Instant::now();
    for number in 1.. {
        thread::sleep((Duration::from_secs(1) * number / HZ).saturating_sub(begin.elapsed()));
        socket.write_all(&frame)?;
    }
    Ok(())
}

fn read_size(socket: &mut TcpStream) -> io::Result<usize> {
    let mut size = [0; 8];
    socket.read_exact(&mut size)?;
    let size = usize::try_from(u64::from_le_bytes(size)).ok().filter(|size| *size <= MOST);
    size.ok_or_else(|| io::Error::other("too many bytes"))
}

fn connect(addr: SocketAddr, sample: usize, scene: usize) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(addr)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    for size in [sample, scene] {
        socket.write_all(&(size as u64).to_le_bytes())?;
    }
    Ok(socket)
}

/// Sends samples over TCP, and gets a scene for each at once.
pub struct Echo {
    socket: TcpStream,
    sample: Vec<u8>,
    scene: Vec<u8>,
}

impl Echo {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens.
    pub fn connect(addr: SocketAddr, sample: usize, scene: usize) -> Result<Self> {
        let socket = connect(addr, sample, scene)?;
        Ok(Self { socket, sample: vec![b' '; sample], scene: vec![0; scene] })
    }

    /// Milliseconds from sending a sample until the scene is there.
    ///
    /// # Errors
    /// If the connection ended.
    pub fn exchange(&mut self) -> Result<f64> {
        let sent = Instant::now();
        self.socket.write_all(&self.sample)?;
        self.socket.read_exact(&mut self.scene)?;
        Ok(sent.elapsed().as_secs_f64() * 1e3)
    }
}

/// A socket that gets scenes of so many bytes.
///
/// # Errors
/// If nobody listens.
pub(super) fn watch(addr: SocketAddr, scene: usize) -> Result<FieldSocket> {
    Ok(FieldSocket::bare(connect(addr, 0, scene)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_floor_carries_what_it_is_asked_for() {
        let addr = floor().unwrap();
        let mut echo = Echo::connect(addr, 700, 90_000).unwrap();
        for _ in 0..3 {
            echo.exchange().unwrap();
        }
        let mut watching = watch(addr, 70_000).unwrap();
        for _ in 0..3 {
            assert_eq!(watching.receive().unwrap().len(), 70_000);
        }
    }
}
