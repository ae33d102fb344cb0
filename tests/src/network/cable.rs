//! A cable from the robot's namespace to a headset's: two TUN devices, and a thread that carries packets between them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, ppoll};
use tun_rs::{DeviceBuilder, SyncDevice};

use super::link::{Conditions, Counts, Fate, Link};
use super::namespace::{Namespace, ip, robot};

/// How soon the thread notices that it shall end.
const IDLE: Duration = Duration::from_millis(50);

/// Packets on their way, per direction; more are dropped as by a full queue.
const MOST: usize = 1 << 15;

/// Largest IP packet, bytes.
const MTU: u16 = 1500;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the headset to the robot: poses.
    Up,
    /// From the robot to the headset: pictures.
    Down,
}

/// The only way between the robot of this process and one headset. It is gone when dropped.
pub struct Cable {
    /// The robot's address as this headset sees it.
    pub robot: Ipv4Addr,
    /// Where the headset is: nothing else than the robot can be reached from there.
    pub headset: Namespace,
    /// The headset's own address.
    pub address: Ipv4Addr,
    laid: Instant,
    links: Arc<[Mutex<Link>; 2]>,
    end: Arc<AtomicBool>,
    carrier: Option<JoinHandle<()>>,
}

impl Cable {
    /// Lays a cable from the robot's namespace to a new one, both directions in the same state, with chances of their own.
    ///
    /// # Errors
    /// If this process may not make namespaces or TUN devices.
    pub fn lay(conditions: &Conditions, seed: u64) -> Result<Self> {
        static NUMBER: AtomicU8 = AtomicU8::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let [near, far] = [1, 2].map(|host| Ipv4Addr::new(10, 77, number, host));
        let headset = Namespace::new()?;
        let at_robot = Arc::new(robot()?.run(|| tun(&format!("tun{number}"), near))?);
        let at_headset = Arc::new(headset.run(|| tun("tun0", far))?);
        let laid = Instant::now();
        let links = Arc::new([0, 1].map(|n| Mutex::new(Link::new(*conditions, seed.wrapping_mul(2).wrapping_add(n)))));
        let end = Arc::new(AtomicBool::new(false));
        let (carried, ended) = (Arc::clone(&links), Arc::clone(&end));
        let ways = [Way::new(&at_headset, &at_robot), Way::new(&at_robot, &at_headset)];
        let carrier = thread::Builder::new().name("cable".into()).spawn(move || carry(ways, &carried, laid, &ended))?;
        Ok(Self { robot: near, headset, address: far, laid, links, end, carrier: Some(carrier) })
    }

    /// Changes the state of both directions.
    pub fn set(&self, conditions: &Conditions) {
        for link in &*self.links {
            lock(link).set(*conditions);
        }
    }

    /// Cuts both directions now, for so long; gives the time at which it ends.
    pub fn cut(&self, duration: Duration) -> Instant {
        let now = self.laid.elapsed();
        for link in &*self.links {
            lock(link).cut(now..now + duration);
        }
        self.laid + now + duration
    }

    /// What became of the packets so far.
    pub fn counts(&self, direction: Direction) -> Counts {
        lock(&self.links[direction as usize]).counts()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(carrier) = self.carrier.take() {
            let _ = carrier.join();
        }
    }
}

fn lock(link: &Mutex<Link>) -> MutexGuard<'_, Link> {
    link.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A device of this name and address in the calling thread's namespace; the other end of it is the returned handle.
fn tun(name: &str, address: Ipv4Addr) -> Result<SyncDevice> {
    let device = DeviceBuilder::new().name(name).mtu(MTU).build_sync().context("cannot make a TUN device")?;
    device.set_nonblocking(true)?;
    ip(&["address", "add", &format!("{address}/24"), "dev", name])?;
    ip(&["link", "set", name, "up"])?;
    Ok(device)
}

/// One direction: where packets come from, where they go, and those in between.
struct Way {
    from: Arc<SyncDevice>,
    to: Arc<SyncDevice>,
    /// Time of arrival, a number that keeps those of one time in order, the packet.
    travelling: BinaryHeap<Reverse<(Duration, u64, Vec<u8>)>>,
    entered: u64,
}

impl Way {
    fn new(from: &Arc<SyncDevice>, to: &Arc<SyncDevice>) -> Self {
        let (from, to) = (Arc::clone(from), Arc::clone(to));
        Self { from, to, travelling: BinaryHeap::new(), entered: 0 }
    }

    /// Takes in all that waits.
    fn enter(&mut self, link: &Mutex<Link>, laid: Instant) {
        let mut buffer = [0; MTU as usize];
        while let Ok(size) = self.from.recv(&mut buffer) {
            let packet = &buffer[..size];
            // IPv6 announces itself on every new interface; it would draw from the chances of the packets that count.
            let is_ipv4 = packet.first().is_some_and(|byte| byte >> 4 == 4);
            if !is_ipv4 || self.travelling.len() >= MOST {
                continue;
            }
            if let Fate::Arrives(at) = lock(link).pass(laid.elapsed(), size) {
                self.entered += 1;
                self.travelling.push(Reverse((at, self.entered, packet.to_vec())));
            }
        }
    }

    /// Hands over all that has arrived; gives the time until the next does.
    fn arrive(&mut self, laid: Instant) -> Option<Duration> {
        while let Some(next) = self.travelling.peek_mut() {
            let Reverse((at, ..)) = &*next;
            let wait = at.saturating_sub(laid.elapsed());
            if !wait.is_zero() {
                return Some(wait);
            }
            let Reverse((.., packet)) = PeekMut::pop(next);
            // Fails when the receiving kernel has no room, which is one more way to lose a packet.
            let _ = self.to.send(&packet);
        }
        None
    }
}

fn carry(mut ways: [Way; 2], links: &[Mutex<Link>; 2], laid: Instant, end: &AtomicBool) {
    while !end.load(Ordering::Relaxed) {
        let next = ways.iter_mut().filter_map(|way| way.arrive(laid)).min();
        let mut ready = ways.each_ref().map(|way| PollFd::new(way.from.as_fd(), PollFlags::POLLIN));
        let waited = ppoll(&mut ready, Some(next.unwrap_or(IDLE).min(IDLE).into()), None);
        if waited.is_ok_and(|count| count > 0) {
            ways.iter_mut().zip(links).for_each(|(way, link)| way.enter(link, laid));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::super::permitted;
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Sockets at the robot and at the headset, each sending to the other.
    fn ends(cable: &Cable) -> Result<[UdpSocket; 2]> {
        let robot = robot()?.run(|| Ok(UdpSocket::bind((cable.robot, 0))?))?;
        let headset = cable.headset.run(|| Ok(UdpSocket::bind("0.0.0.0:0")?))?;
        headset.connect(robot.local_addr()?)?;
        headset.send(b"first")?;
        for socket in [&robot, &headset] {
            socket.set_read_timeout(Some(PATIENCE))?;
        }
        let (_, from) = robot.recv_from(&mut [0; 16])?;
        robot.connect(from)?;
        Ok([robot, headset])
    }

    #[test]
    fn a_packet_takes_the_delay_of_the_cable_each_way() -> Result<()> {
        if !permitted() {
            return Ok(());
        }
        let delay = Duration::from_millis(100);
        let cable = Cable::lay(&Conditions { delay, ..Conditions::default() }, 1)?;
        let [robot, headset] = ends(&cable)?;
        let sent = Instant::now();
        headset.send(b"ping")?;
        robot.recv(&mut [0; 16])?;
        assert!(sent.elapsed() >= delay);
        robot.send(b"pong")?;
        headset.recv(&mut [0; 16])?;
        assert!(sent.elapsed() >= 2 * delay);
        Ok(())
    }

    #[test]
    fn what_enters_a_cut_cable_is_gone_and_later_packets_arrive() -> Result<()> {
        if !permitted() {
            return Ok(());
        }
        let cable = Cable::lay(&Conditions::default(), 1)?;
        let [robot, headset] = ends(&cable)?;
        let over = cable.cut(Duration::from_millis(200));
        headset.send(b"lost")?;
        while cable.counts(Direction::Up).cut == 0 {
            thread::yield_now();
        }
        thread::sleep(over.saturating_duration_since(Instant::now()));
        headset.send(b"found")?;
        let mut buffer = [0; 16];
        let size = robot.recv(&mut buffer)?;
        assert_eq!(&buffer[..size], b"found");
        Ok(())
    }

    #[test]
    fn headsets_reach_the_robot_and_nothing_else() -> Result<()> {
        if !permitted() {
            return Ok(());
        }
        let [one, other] = [1, 2].map(|seed| Cable::lay(&Conditions::default(), seed));
        let (one, other) = (one?, other?);
        ends(&one)?;
        ends(&other)?;
        let foreign = one.headset.run(|| Ok(UdpSocket::bind("0.0.0.0:0")?.connect((other.robot, 9))?));
        assert!(foreign.is_err(), "there is no route to another headset's cable");
        Ok(())
    }
}
