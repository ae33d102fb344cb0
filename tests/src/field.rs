//! Clients of the field wire without a headset: users whose hands move at a fixed rate, with blocking sockets, as load
//! generators need them.

use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};
use waldo_protocol::field::{
    Buttons, CharacterMode, ClientMessage, ControllerSample, Extension, Hello, HelloAck, InputAck, Join, Joined, LEFT,
    RIGHT, SceneMessage, ServerMessage, Transform, XrInput, XrInputSample,
};

use crate::client::PATIENCE;

/// One socket of a field.
pub struct FieldSocket(WebSocket<TcpStream>);

impl FieldSocket {
    /// Opens a socket at a port that the field has to itself.
    ///
    /// # Errors
    /// If nobody answers there.
    pub fn connect(addr: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(addr)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let (socket, _) = client(format!("ws://{addr}/"), stream).context("no WebSocket")?;
        Ok(Self(socket))
    }

    /// A socket of which both sides are WebSockets already.
    pub fn bare(stream: TcpStream) -> Self {
        Self(WebSocket::from_raw_socket(stream, Role::Client, None))
    }

    /// Gives the kernel little room for what arrives, so that a socket nobody reads fills up soon.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn shrink(&self) -> Result<()> {
        Ok(set_socket_recv_buffer_size(self.0.get_ref(), 4096)?)
    }

    /// Says hello, and waits for the answer.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn hello(&mut self, hello: Hello) -> Result<HelloAck> {
        self.send(&ClientMessage::Hello(hello))?;
        loop {
            let Message::Text(text) = self.receive()? else { continue };
            match ServerMessage::decode(&text)? {
                ServerMessage::HelloAck(ack) => return Ok(ack),
                ServerMessage::Error(error) => bail!("refused: {}", error.reason),
                _ => {}
            }
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// If the connection ended.
    pub fn send(&mut self, message: &ClientMessage) -> Result<()> {
        Ok(self.0.send(Message::text(message.encode()))?)
    }

    /// The next message of the server, pings aside.
    ///
    /// # Errors
    /// If none comes in time, or the connection ended.
    pub fn receive(&mut self) -> Result<Message> {
        loop {
            match self.0.read()? {
                Message::Close(frame) => bail!("closed: {frame:?}"),
                Message::Ping(_) | Message::Pong(_) => {}
                message => return Ok(message),
            }
        }
    }

    /// The next whole scene that the server sends.
    ///
    /// # Errors
    /// As [`Self::receive`], or if the server sends what is no message.
    pub fn scene(&mut self) -> Result<SceneMessage> {
        loop {
            let Message::Text(text) = self.receive()? else { continue };
            if let ServerMessage::SceneState(scene) = ServerMessage::decode(&text)? {
                return Ok(*scene);
            }
        }
    }
}

/// The turn of a hand that stands for the number of its sample. Mappers and arms that only pass commands on keep it.
pub fn tagged(number: u32) -> [f64; 4] {
    let half = f64::from(number) * TAG / 2.0;
    [0.0, half.sin(), 0.0, half.cos()]
}

/// The number that [`tagged`] put into a turn.
pub fn tag_of(rotation_xyzw: [f64; 4]) -> u32 {
    let [_, y, _, w] = rotation_xyzw;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "of a number that was one")]
    let number = (2.0 * y.atan2(w) / TAG).round() as u32;
    number
}

/// Radians per number: some minutes of samples at the rate of a headset do not make a whole turn.
const TAG: f64 = 1e-4;

/// A user of a field whose hands drive arms.
pub struct FieldUser {
    /// The user's arms, those of the hands first.
    pub arms: Vec<String>,
    socket: FieldSocket,
}

/// What a user did and saw.
pub struct Drive {
    /// When each sample was sent, by its number.
    pub sent: Vec<Instant>,
    /// What each scene showed.
    pub seen: Vec<Sight>,
}

/// What one scene showed to a user.
pub struct Sight {
    /// When it was there.
    pub at: Instant,
    /// The time of the scene, seconds.
    pub timestamp: f64,
    /// The tips of the arms of the user's hands.
    pub tips: [Transform; 2],
    /// What the server says of the user's samples.
    pub ack: Option<InputAck>,
}

impl FieldUser {
    /// Joins, with samples that are numbered.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn join(addr: SocketAddr, user: &str, mode: CharacterMode) -> Result<Self> {
        Self::join_with(addr, user, mode, &[])
    }

    /// The same with more extensions.
    ///
    /// # Errors
    /// If the server refuses.
    pub fn join_with(addr: SocketAddr, user: &str, mode: CharacterMode, ext: &[Extension]) -> Result<Self> {
        let mut socket = FieldSocket::connect(addr)?;
        let join = Join::VrClient { character_mode: mode, user_id: Some(user.to_owned()), requested_arm_count: None };
        let mut hello = Hello::new(join);
        hello.ext = ext.iter().copied().chain([Extension::InputSeq]).collect();
        match socket.hello(hello)?.joined {
            Joined::VrClient { arm_ids, .. } => Ok(Self { arms: arm_ids, socket }),
            other => bail!("joined as {other:?}"),
        }
    }

    /// Sends `hz` samples a second for so long, and looks at every scene meanwhile. `hands` makes the left and the right
    /// controller of the sample with that number; both are gripped.
    ///
    /// # Errors
    /// If the connection ends.
    pub fn drive(
        mut self,
        hz: f64,
        duration: Duration,
        hands: impl Fn(u32) -> [ControllerSample; 2] + Send,
    ) -> Result<Drive> {
        let begin = Instant::now();
        // Both write small frames in one call each: samples here, answers to pings there.
        let mut writing = FieldSocket::bare(self.socket.0.get_ref().try_clone()?);
        thread::scope(|scope| {
            let sending = scope.spawn(move || -> Result<Vec<Instant>> {
                let mut sent = Vec::new();
                loop {
                    let due = Duration::from_secs_f64(sent.len() as f64 / hz);
                    if due >= duration {
                        return Ok(sent);
                    }
                    thread::sleep(due.saturating_sub(begin.elapsed()));
                    let number = u32::try_from(sent.len())?;
                    sent.push(Instant::now());
                    writing.send(&sample(number, begin.elapsed(), hands(number)))?;
                }
            });
            let mut seen = Vec::new();
            while begin.elapsed() < duration {
                // Those that were on their way when the user joined do not show the arms yet.
                seen.extend(Sight::of(&self.socket.scene()?, [&self.arms[0], &self.arms[1]]));
            }
            let sent = sending.join().map_err(|_| anyhow!("the sending thread panicked"))??;
            Ok(Drive { sent, seen })
        })
    }
}

/// The message with that number, at that time of the user's clock.
pub fn sample(number: u32, time: Duration, [left, right]: [ControllerSample; 2]) -> ClientMessage {
    let sample = XrInputSample {
        timestamp: time.as_secs_f64(),
        head_pose: Transform::at([0.0, 1.6, 0.0]),
        controllers: [(LEFT.to_owned(), left), (RIGHT.to_owned(), right)].into(),
        actions: Buttons::new(),
    };
    ClientMessage::XrInput(XrInput { sample, seq: Some(number) })
}

impl Sight {
    fn of(message: &SceneMessage, [left, right]: [&String; 2]) -> Option<Self> {
        let at = Instant::now();
        let tip = |id: &String| message.scene.arms.get(id).map(|arm| arm.tip);
        let tips = [tip(left)?, tip(right)?];
        Some(Self { at, timestamp: message.scene.timestamp, tips, ack: message.extras.input_ack })
    }

    /// The number of the sample that the tip of the left hand's arm shows, if hands were [`tagged`].
    pub fn tag(&self) -> u32 {
        tag_of(self.tips[0].rotation_xyzw)
    }
}

impl Drive {
    /// For each sample that a scene followed: ms from sending it to the first scene as new as it, by what tells the newest
    /// sample of a scene. Scenes before `from` do not count.
    pub fn latencies(&self, from: Instant, newest: impl Fn(&Sight) -> Option<u32>) -> Vec<f64> {
        let mut next = self.sent.partition_point(|sent| *sent < from);
        let mut latencies = Vec::new();
        for sight in &self.seen {
            let Some(shown) = newest(sight).and_then(|number| usize::try_from(number).ok()) else { continue };
            for sent in self.sent.iter().take(shown + 1).skip(next) {
                latencies.push(sight.at.saturating_duration_since(*sent).as_secs_f64() * 1e3);
            }
            next = next.max(shown + 1);
        }
        latencies
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_tells_its_number() {
        for number in [0, 1, 71, 5399, 60_000] {
            assert_eq!(tag_of(tagged(number)), number);
        }
    }

    #[test]
    fn a_scene_counts_for_every_sample_that_it_is_the_first_to_follow() {
        let begin = Instant::now();
        let after = |millis| begin + Duration::from_millis(millis);
        let sight = |millis, number| {
            let tip = Transform { rotation_xyzw: tagged(number), ..Transform::IDENTITY };
            Sight { at: after(millis), timestamp: 0.0, tips: [tip; 2], ack: None }
        };
        let drive =
            Drive { sent: [0, 10, 20, 30].map(after).to_vec(), seen: vec![sight(12, 0), sight(26, 2), sight(40, 2)] };
        let latencies = |from| {
            drive.latencies(after(from), |sight| Some(sight.tag())).into_iter().map(f64::round).collect::<Vec<_>>()
        };
        assert_eq!(latencies(0), [12.0, 16.0, 6.0]);
        assert_eq!(latencies(15), [6.0], "what was sent earlier does not count");
    }
}
