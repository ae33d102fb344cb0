//! One command at a time, through the SFU and directly, in turns: what the SFU adds.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mio::{Events, Poll, Token};
use tokio::runtime::Handle;
use waldo_broker::sfu::PeerKind;
use waldo_broker::sfu::process::Client;
use waldo_protocol::hosted::ToRobot;

use super::link::{Happening, Link, Wanted};
use super::{COMMAND, bridge, join, nanoseconds};

/// A command that has not come after this time is lost.
const LOST: Duration = Duration::from_millis(500);
/// Until everything is connected.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two commands, so that they are few beside the load.
const PAUSE: Duration = Duration::from_millis(4);

/// Places of the links.
const ROBOT: usize = 0;
const OPERATOR: usize = 1;
const NEAR: usize = 2;
const FAR: usize = 3;

/// Milliseconds from sending a command until it is read at the other end, and how many never came.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Through the SFU.
    pub through: Vec<f64>,
    /// From peer to peer, over a connection of the same kind.
    pub direct: Vec<f64>,
    /// Of both.
    pub lost: u32,
}

/// A robot and an operator at the SFU, and two peers that are connected directly.
pub struct Probe {
    poll: Poll,
    events: Events,
    links: Vec<Link>,
    begin: Instant,
    connected: usize,
    /// When the last command was sent that came.
    came: Option<u64>,
    /// The robot was told that its operator is lost.
    told: bool,
}

impl Probe {
    /// Connects them.
    ///
    /// # Errors
    /// If they do not connect.
    pub fn connect(client: &Client, runtime: &Handle) -> Result<Self> {
        let (here, wanted) = (IpAddr::V4(Ipv4Addr::LOCALHOST), Wanted::default());
        let (robot, operator) = (Link::offering(&wanted, here), Link::offering(&wanted, here));
        let (near, offer) = Link::offering(&wanted, here);
        let (far, answer) = Link::answering(&offer, here);
        let (robot_id, robot_answer) = runtime.block_on(join(client, PeerKind::Robot, robot.1))?;
        let (operator_id, operator_answer) = runtime.block_on(join(client, PeerKind::Operator, operator.1))?;
        let mut links = vec![robot.0, operator.0, near, far];
        links[ROBOT].accept(&robot_answer);
        links[OPERATOR].accept(&operator_answer);
        links[NEAR].accept(&answer);
        let (poll, events) = (Poll::new()?, Events::with_capacity(16));
        for (at, link) in links.iter_mut().enumerate() {
            link.register(poll.registry(), Token(at));
        }
        let mut probe = Self { poll, events, links, begin: Instant::now(), connected: 0, came: None, told: false };
        while probe.connected < probe.links.len() {
            ensure!(probe.begin.elapsed() < PATIENCE, "{} of 4 connected", probe.connected);
            probe.turn(Duration::from_millis(5))?;
        }
        let (robot, operator) = probe.links.split_at_mut(OPERATOR);
        let ends = ((&robot_id, &mut robot[ROBOT]), (&operator_id, &mut operator[0]));
        runtime.block_on(bridge(client, ends.0, ends.1))?;
        for end in [NEAR, FAR] {
            probe.links[end].open("cmd_unreliable", 16, true);
        }
        // Until the first has come on both ways.
        for from in [OPERATOR, NEAR] {
            let begin = Instant::now();
            while probe.send(from)?.is_none() {
                ensure!(begin.elapsed() < PATIENCE, "no command comes");
            }
        }
        Ok(probe)
    }

    /// Sends commands for a while. The calling thread runs before others from now on, so that what it measures is not their doing.
    ///
    /// # Errors
    /// If the system does not let us wait.
    pub fn run(&mut self, time: Duration) -> Result<Samples> {
        // Best effort: without it, the load's own delays are in the figures, the direct ones too.
        let _ = rustix::process::setpriority_process(None, -20);
        let (begin, mut samples) = (Instant::now(), Samples::default());
        while begin.elapsed() < time {
            for from in [OPERATOR, NEAR] {
                let taken = if from == OPERATOR { &mut samples.through } else { &mut samples.direct };
                match self.send(from)? {
                    Some(delay) => taken.push(delay.as_secs_f64() * 1e3),
                    None => samples.lost += 1,
                }
                let until = Instant::now() + PAUSE;
                while Instant::now() < until {
                    self.turn(until.saturating_duration_since(Instant::now()))?;
                }
            }
        }
        Ok(samples)
    }

    /// Lets the operator vanish from the network, and gives the time until the robot is told.
    ///
    /// # Errors
    /// If it is not told at all.
    pub fn vanish(mut self) -> Result<Duration> {
        self.links[OPERATOR].cut();
        let begin = Instant::now();
        while !self.told {
            ensure!(begin.elapsed() < PATIENCE, "the robot is not told that its operator is lost");
            self.turn(Duration::from_millis(20))?;
        }
        Ok(begin.elapsed())
    }

    /// Sends one command and waits for it; none if it is lost.
    fn send(&mut self, from: usize) -> Result<Option<Duration>> {
        let sent = Instant::now();
        let stamp = nanoseconds(sent.saturating_duration_since(self.begin));
        let mut command = [0x41; COMMAND];
        command[..8].copy_from_slice(&stamp.to_be_bytes());
        self.links[from].send("cmd_unreliable", true, &command);
        while sent.elapsed() < LOST {
            self.turn(Duration::from_millis(100).min(LOST))?;
            if self.came == Some(stamp) {
                return Ok(Some(sent.elapsed()));
            }
        }
        Ok(None)
    }

    /// Sends what waits, waits for what comes, and takes it.
    fn turn(&mut self, most: Duration) -> Result<()> {
        let (connected, came, told) = (&mut self.connected, &mut self.came, &mut self.told);
        let mut note = |happening| match happening {
            Happening::Connected => *connected += 1,
            Happening::Message { data, .. } if is_loss(&data) => *told = true,
            Happening::Message { data, .. } => {
                *came = data.first_chunk().map(|stamp| u64::from_be_bytes(*stamp));
            }
            _ => {}
        };
        let deadlines = self.links.iter_mut().map(|link| link.flush(&mut note));
        let next = deadlines.min().unwrap_or_else(Instant::now);
        let wait = next.saturating_duration_since(Instant::now()).min(most);
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &self.events {
            if let Some(link) = self.links.get_mut(event.token().0) {
                link.poll(&mut note);
            }
        }
        Ok(())
    }
}

/// Whether a robot is told that its operator is lost.
fn is_loss(message: &[u8]) -> bool {
    message.first() == Some(&b'{') && matches!(ToRobot::decode(message), Ok(ToRobot::OperatorLost { .. }))
}
