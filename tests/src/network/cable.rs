//! A cable from one namespace to another, such as the robot's and a headset's: two TUN devices, and a thread that carries
//! packets between them.

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

/// Where an IPv4 packet says what it carries, and what UDP is there.
const PROTOCOL: usize = 9;
const UDP: u8 = 17;

/// Which way a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the far end to the near one: from a headset to the robot, poses.
    Up,
    /// From the near end to the far one: from the robot to a headset, pictures.
    Down,
}

/// The only way between its two ends. It is gone when dropped.
pub struct Cable {
    /// The near end's address: the robot's, as a headset sees it.
    pub near: Ipv4Addr,
    /// What is at the far end.
    pub far: Namespace,
    /// The far end's own address.
    pub address: Ipv4Addr,
    laid: Instant,
    links: Arc<[Mutex<Link>; 2]>,
    without_udp: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
    carrier: Option<JoinHandle<()>>,
}

impl Cable {
    /// Lays a cable from the robot of this process to a headset in a namespace of its own, from which nothing else than the
    /// robot can be reached; both directions in the same state, with chances of their own.
    ///
    /// # Errors
    /// If this process may not make namespaces or TUN devices.
    pub fn lay(conditions: &Conditions, seed: u64) -> Result<Self> {
        Self::between(robot()?, &Namespace::new()?, conditions, seed)
    }

    /// Lays a cable between any two namespaces; else as [`Self::lay`].
    ///
    /// # Errors
    /// If this process may not make TUN devices.
    pub fn between(one: &Namespace, other: &Namespace, conditions: &Conditions, seed: u64) -> Result<Self> {
        static NUMBER: AtomicU8 = AtomicU8::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let [near, address] = [1, 2].map(|host| Ipv4Addr::new(10, 77, number, host));
        let name = format!("tun{number}");
        let at_near = Arc::new(one.run(|| tun(&name, near))?);
        let at_far = Arc::new(other.run(|| tun(&name, address))?);
        let laid = Instant::now();
        let links = Arc::new([0, 1].map(|n| Mutex::new(Link::new(*conditions, seed.wrapping_mul(2).wrapping_add(n)))));
        let (end, without_udp) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let carrier = Carrier {
            ways: [Way::new(&at_far, &at_near), Way::new(&at_near, &at_far)],
            links: Arc::clone(&links),
            laid,
            without_udp: Arc::clone(&without_udp),
            end: Arc::clone(&end),
        };
        let carrier = thread::Builder::new().name("cable".into()).spawn(move || carrier.carry())?;
        Ok(Self { near, far: other.clone(), address, laid, links, without_udp, end, carrier: Some(carrier) })
    }

    /// From now on no UDP passes, as behind the firewalls of some companies.
    pub fn block_udp(&self) {
        self.without_udp.store(true, Ordering::Relaxed);
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
    fn enter(&mut self, link: &Mutex<Link>, laid: Instant, without_udp: bool) {
        let mut buffer = [0; MTU as usize];
        while let Ok(size) = self.from.recv(&mut buffer) {
            let packet = &buffer[..size];
            // IPv6 announces itself on every new interface; it would draw from the chances of the packets that count.
            let is_ipv4 = packet.first().is_some_and(|byte| byte >> 4 == 4);
            let is_blocked = without_udp && packet.get(PROTOCOL) == Some(&UDP);
            if !is_ipv4 || is_blocked || self.travelling.len() >= MOST {
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

/// What the thread of a cable has.
struct Carrier {
    ways: [Way; 2],
    links: Arc<[Mutex<Link>; 2]>,
    laid: Instant,
    without_udp: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
}

impl Carrier {
    fn carry(mut self) {
        while !self.end.load(Ordering::Relaxed) {
            let next = self.ways.iter_mut().filter_map(|way| way.arrive(self.laid)).min();
            let mut ready = self.ways.each_ref().map(|way| PollFd::new(way.from.as_fd(), PollFlags::POLLIN));
            let waited = ppoll(&mut ready, Some(next.unwrap_or(IDLE).min(IDLE).into()), None);
            if waited.is_ok_and(|count| count > 0) {
                let without_udp = self.without_udp.load(Ordering::Relaxed);
                self.ways.iter_mut().zip(&*self.links).for_each(|(way, link)| way.enter(link, self.laid, without_udp));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::super::permitted;
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Sockets at the robot and at the headset, each sending to the other.
    fn ends(cable: &Cable) -> Result<[UdpSocket; 2]> {
        let robot = robot()?.run(|| Ok(UdpSocket::bind((cable.near, 0))?))?;
        let headset = cable.far.run(|| Ok(UdpSocket::bind("0.0.0.0:0")?))?;
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
    fn a_cable_without_udp_still_carries_tcp() -> Result<()> {
        if !permitted() {
            return Ok(());
        }
        let cable = Cable::lay(&Conditions::default(), 1)?;
        let [robot, headset] = ends(&cable)?;
        cable.block_udp();
        headset.send(b"lost")?;
        let listener = cable.far.run(|| Ok(TcpListener::bind((cable.address, 0))?))?;
        super::robot()?.run(|| Ok(TcpStream::connect(listener.local_addr()?)?))?;
        robot.set_read_timeout(Some(Duration::from_millis(1)))?;
        assert!(robot.recv(&mut [0; 16]).is_err(), "what was sent before the connection stood would be here");
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
        let foreign = one.far.run(|| Ok(UdpSocket::bind("0.0.0.0:0")?.connect((other.near, 9))?));
        assert!(foreign.is_err(), "there is no route to another headset's cable");
        Ok(())
    }
}
