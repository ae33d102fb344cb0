//! Many robots and operators, all driven by the one thread that calls.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mio::{Events, Poll, Token};
use str0m::media::MediaKind;
use tokio::runtime::Handle;
use waldo_broker::sfu::process::Client;
use waldo_broker::sfu::{Engine as _, PeerId, PeerKind, Track, VideoStatus};

use super::link::{Happening, Link, Wanted};
use super::{COMMAND, bridge, join};
use crate::bench::thread_cpu;

/// Bytes of a packet of video.
const PACKET: usize = 1100;

/// What comes later than this after the last was sent is lost.
const LATE: Duration = Duration::from_millis(500);

/// Until new sessions are connected.
const PATIENCE: Duration = Duration::from_secs(20);

/// Peers that connect at the same time; all of them at once would only wait for each other.
const AT_ONCE: usize = 8;

/// What every session does.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Commands a second.
    pub commands: f64,
    /// Pictures a second.
    pub pictures: f64,
    /// Bytes of one picture.
    pub bytes: usize,
}

/// What came through.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Commands that operators sent.
    pub commands: u64,
    /// Of them, those that the robots got.
    pub commands_got: u64,
    /// Packets of video that robots sent.
    pub packets: u64,
    /// Of them, those that the operators got.
    pub packets_got: u64,
    /// For how long was sent.
    pub time: Duration,
    /// CPU time of all this.
    pub cpu: Duration,
}

/// Sessions of one robot and one operator each.
pub struct Load {
    runtime: Handle,
    poll: Poll,
    events: Events,
    /// Robots at even places, their operators at the odd ones behind them.
    links: Vec<Link>,
    ids: Vec<PeerId>,
    deadlines: Vec<Instant>,
    timers: BTreeSet<(Instant, usize)>,
    connected: usize,
    counts: Counts,
    stamp: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Command,
    Picture,
}

impl Load {
    /// None yet. `runtime` is where the engine's answers are waited for.
    ///
    /// # Errors
    /// If the system has nothing to wait with.
    pub fn new(runtime: Handle) -> Result<Self> {
        Ok(Self {
            runtime,
            poll: Poll::new()?,
            events: Events::with_capacity(256),
            links: Vec::new(),
            ids: Vec::new(),
            deadlines: Vec::new(),
            timers: BTreeSet::new(),
            connected: 0,
            counts: Counts::default(),
            stamp: 0,
        })
    }

    /// How many there are.
    pub fn sessions(&self) -> usize {
        self.links.len() / 2
    }

    /// Connects sessions until there are so many, with or without a picture.
    ///
    /// # Errors
    /// If they do not connect, or the engine refuses something.
    pub fn grow(&mut self, client: &Client, sessions: usize, video: bool) -> Result<()> {
        while self.sessions() < sessions {
            let first = self.sessions();
            for _ in first..sessions.min(first + AT_ONCE) {
                self.add(client, PeerKind::Robot, if video { Wanted::robot() } else { Wanted::default() })?;
                self.add(client, PeerKind::Operator, if video { Wanted::operator() } else { Wanted::default() })?;
            }
            let begin = Instant::now();
            while self.connected < self.links.len() {
                ensure!(begin.elapsed() < PATIENCE, "{} of {} connected", self.connected, self.links.len());
                self.turn(Instant::now() + Duration::from_millis(5))?;
            }
            for session in first..self.sessions() {
                self.open(client, session, video)?;
                self.turn(Instant::now() + Duration::from_millis(1))?;
            }
        }
        // Channels open, and first key frames are asked for.
        self.turn(Instant::now() + Duration::from_millis(300))
    }

    fn add(&mut self, client: &Client, kind: PeerKind, wanted: Wanted) -> Result<()> {
        let (mut link, offer) = Link::offering(&wanted, IpAddr::V4(Ipv4Addr::LOCALHOST));
        let (id, answer) = self.runtime.block_on(join(client, kind, offer))?;
        link.accept(&answer);
        let at = self.links.len();
        link.register(self.poll.registry(), Token(at));
        let now = Instant::now();
        self.links.push(link);
        self.ids.push(id);
        self.deadlines.push(now);
        self.timers.insert((now, at));
        self.turn(now)
    }

    fn open(&mut self, client: &Client, session: usize, video: bool) -> Result<()> {
        let Some([robot, operator]) = self.links.get_mut(2 * session..).and_then(|links| links.first_chunk_mut())
        else {
            return Ok(());
        };
        let (robot_id, operator_id) = (&self.ids[2 * session], &self.ids[2 * session + 1]);
        self.runtime.block_on(bridge(client, (robot_id, robot), (operator_id, operator)))?;
        if video {
            let mid = robot.mid(MediaKind::Video).context("a camera")?.to_string();
            let track = Track { mid, name: "camera".to_owned() };
            let attached = self.runtime.block_on(client.attach_video(robot_id, &track, operator_id));
            ensure!(attached.status == VideoStatus::Ok && attached.offer.is_none(), "no picture: {attached:?}");
        }
        Ok(())
    }

    /// Lets the first so many sessions do this for a while, and counts until the last of it should have come.
    ///
    /// # Errors
    /// If the system does not let us wait.
    pub fn run(&mut self, sessions: usize, pace: Pace, time: Duration) -> Result<Counts> {
        self.counts = Counts::default();
        let (begin, cpu) = (Instant::now(), thread_cpu());
        let (end, mut due) = (begin + time, BinaryHeap::new());
        let period = |rate: f64| Duration::from_secs_f64(1.0 / rate);
        for session in 0..sessions {
            // All at other times.
            let part = session as f64 / sessions as f64;
            for (what, rate) in [(Due::Command, pace.commands), (Due::Picture, pace.pictures)] {
                if rate > 0.0 {
                    due.push(Reverse((begin + period(rate).mul_f64(part), session, what)));
                }
            }
        }
        while let Some(Reverse((at, session, what))) = due.pop() {
            if at >= end {
                continue;
            }
            while Instant::now() < at {
                self.turn(at)?;
            }
            match what {
                Due::Command => self.command(session),
                Due::Picture => self.picture(session, pace.bytes),
            }
            let rate = if what == Due::Command { pace.commands } else { pace.pictures };
            due.push(Reverse((at + period(rate), session, what)));
            // Also while there is more to do than can be done.
            self.wait(Some(Duration::ZERO))?;
        }
        self.counts.time = begin.elapsed();
        self.counts.cpu = thread_cpu().saturating_sub(cpu);
        let late = Instant::now() + LATE;
        while Instant::now() < late {
            self.turn(late)?;
        }
        Ok(self.counts)
    }

    fn command(&mut self, session: usize) {
        let operator = 2 * session + 1;
        self.counts.commands += 1;
        self.links[operator].send("cmd_unreliable", true, &[0x41; COMMAND]);
        self.flush(operator);
    }

    fn picture(&mut self, session: usize, bytes: usize) {
        let robot = 2 * session;
        self.stamp = self.stamp.wrapping_add(3000);
        let mut rest = bytes;
        while rest > 0 {
            let size = rest.min(PACKET);
            rest -= size;
            self.counts.packets += 1;
            self.links[robot].send_packet(MediaKind::Video, self.stamp, rest == 0, &[0x41; PACKET][..size]);
        }
        self.flush(robot);
    }

    fn flush(&mut self, at: usize) {
        let (counts, connected) = (&mut self.counts, &mut self.connected);
        let deadline = self.links[at].flush(&mut |happening| note(happening, counts, connected));
        self.comes_again(at, deadline);
    }

    fn comes_again(&mut self, at: usize, deadline: Instant) {
        if self.deadlines[at] != deadline {
            self.timers.remove(&(self.deadlines[at], at));
            self.timers.insert((deadline, at));
            self.deadlines[at] = deadline;
        }
    }

    /// Waits for what comes, at most until then, and takes it.
    fn turn(&mut self, until: Instant) -> Result<()> {
        loop {
            let now = Instant::now();
            let next = self.timers.first().map_or(until, |(at, _)| until.min(*at));
            self.wait(Some(next.saturating_duration_since(now)))?;
            if Instant::now() >= until {
                return Ok(());
            }
        }
    }

    fn wait(&mut self, time: Option<Duration>) -> Result<()> {
        match self.poll.poll(&mut self.events, time) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let ready: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
        for at in ready {
            self.take(at);
        }
        let now = Instant::now();
        while let Some(&(deadline, at)) = self.timers.first()
            && deadline <= now
        {
            self.flush(at);
            if self.deadlines[at] <= now {
                self.comes_again(at, now + Duration::from_millis(1));
            }
        }
        Ok(())
    }

    fn take(&mut self, at: usize) {
        let (counts, connected) = (&mut self.counts, &mut self.connected);
        let deadline = self.links[at].poll(&mut |happening| note(happening, counts, connected));
        self.comes_again(at, deadline);
    }
}

fn note(happening: Happening, counts: &mut Counts, connected: &mut usize) {
    match happening {
        Happening::Connected => *connected += 1,
        Happening::Message { .. } => counts.commands_got += 1,
        Happening::Packet { .. } => counts.packets_got += 1,
        _ => {}
    }
}
