//! The engine inside of this program: WebRTC by str0m, one thread, one UDP port for all peers, and the
//! same of TCP for those whose network lets no UDP through.

mod channels;
mod core;
mod driver;
mod media;
mod peer;
mod sdp;
mod stun;
mod tcp;
mod udp;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use async_trait::async_trait;
use mio::Waker;
use tokio::sync::{broadcast, mpsc, oneshot};

use self::core::{Command, Core, Limits};
use self::driver::{Driver, TCP};
use self::peer::{Addresses, Peer};
use self::tcp::Tcp;
use self::udp::Udp;
use super::{
    Attached, Bridge, Capabilities, Engine, EngineError, EngineEvent, LegIds, NewPeer, PeerId, PeerState, Track,
    VideoStatus, ViewerIds,
};

/// Commands that wait for the engine; who comes then waits himself.
const COMMANDS: usize = 256;

/// Events that a slow listener may be behind by.
const EVENTS: usize = 4096;

/// How the engine is reached.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where its UDP socket is bound. Port 0 takes any free one.
    pub bind: SocketAddr,
    /// Whether peers may come by TCP too, on the same address and port.
    pub tcp: bool,
    /// The addresses peers are told, for instance the public one behind address translation. Empty: those of this machine's interfaces, or
    /// the one of `bind`.
    pub addresses: Vec<IpAddr>,
    /// How many peers there may be at a time.
    pub most_peers: usize,
    /// How many of them may be one tenant's. None for a quarter, so that nobody alone keeps the others out.
    pub most_peers_of_a_tenant: Option<usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            tcp: true,
            addresses: Vec::new(),
            most_peers: 1024,
            most_peers_of_a_tenant: None,
        }
    }
}

/// The engine. Its thread ends when this is dropped, and its peers are gone then.
pub struct Embedded {
    commands: mpsc::Sender<Command>,
    waker: Arc<Waker>,
    events: broadcast::Sender<EngineEvent>,
    addresses: Addresses,
}

impl Embedded {
    /// Binds the sockets and starts the thread.
    ///
    /// # Errors
    /// If a socket cannot be bound, or no address is found to tell peers.
    pub fn start(settings: &Settings) -> io::Result<Self> {
        let (socket, listener) = bind(settings)?;
        let bound = socket.local_addr()?;
        let local = interfaces()?;
        let announced: Vec<SocketAddr> =
            announced(settings, bound, &local).into_iter().map(|ip| SocketAddr::new(ip, bound.port())).collect();
        if announced.is_empty() {
            let message = "no address of this machine can be told to peers; name one";
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, message));
        }
        let (events, _) = broadcast::channel(EVENTS);
        let (commands, received) = mpsc::channel(COMMANDS);
        let now = Instant::now();
        let peers_of_a_tenant = settings.most_peers_of_a_tenant.unwrap_or(settings.most_peers.div_ceil(4));
        let limits = Limits { peers: settings.most_peers, peers_of_a_tenant };
        let addresses =
            Addresses { tcp: if listener.is_some() { announced.clone() } else { Vec::new() }, udp: announced.clone() };
        let tcp = listener.map(|listener| Tcp::new(listener, announced.clone(), TCP, settings.most_peers, now));
        let core = Core::new(events.clone(), limits, now);
        let udp = Udp::new(socket, announced.clone(), local)?;
        let (driver, waker) = Driver::new(udp, tcp.transpose()?, core, received)?;
        thread::Builder::new().name("sfu".to_owned()).spawn(move || driver.run())?;
        tracing::info!(addresses = ?announced, tcp = settings.tcp, "the SFU listens");
        Ok(Self { commands, waker, events, addresses })
    }

    /// The addresses peers are told.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses.udp
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, EngineError> {
        let (reply, answer) = oneshot::channel();
        let ended = || EngineError::Unavailable("the SFU has ended".to_owned());
        self.commands.send(command(reply)).await.map_err(|_| ended())?;
        self.waker.wake().map_err(|error| EngineError::Unavailable(error.to_string()))?;
        answer.await.map_err(|_| ended())
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        // The sender goes first, so that the thread sees it gone when it wakes.
        let (gone, _) = mpsc::channel(1);
        self.commands = gone;
        let _ = self.waker.wake();
    }
}

#[async_trait]
impl Engine for Embedded {
    fn capabilities(&self) -> Capabilities {
        Capabilities { sdp_relay: true, bridge: true, viewers: true, inject: true, presence_events: true }
    }

    async fn create_peer(&self, new: NewPeer) -> Result<(PeerId, String), EngineError> {
        let addresses = self.addresses.clone();
        let made = tokio::task::spawn_blocking(move || Peer::new(new, &addresses, Instant::now()));
        let (peer, answer) = made.await.map_err(|error| EngineError::Unavailable(error.to_string()))??;
        let id = peer.id.clone();
        self.ask(|reply| Command::Insert { peer: Box::new(peer), reply }).await??;
        Ok((id, answer))
    }

    async fn peer_state(&self, peer: &PeerId) -> Result<PeerState, EngineError> {
        self.ask(|reply| Command::State { peer: peer.clone(), reply }).await?
    }

    async fn open_bridge(
        &self,
        robot: &PeerId,
        operator: &PeerId,
        generation: u64,
        previous: Option<LegIds>,
    ) -> Result<Bridge, EngineError> {
        let (robot, operator) = (robot.clone(), operator.clone());
        self.ask(|reply| Command::OpenBridge(core::OpenBridge { robot, operator, generation, previous, reply })).await?
    }

    async fn close_bridge(&self, robot: &PeerId, operator: &PeerId, bridge: &Bridge) -> Result<bool, EngineError> {
        let (robot, operator, generation) = (robot.clone(), operator.clone(), bridge.generation);
        // An engine that has ended forwards nothing.
        Ok(self.ask(|reply| Command::CloseBridge { robot, operator, generation, reply }).await.unwrap_or(false))
    }

    async fn bridge_is_open(&self, robot: &PeerId, operator: &PeerId, generation: u64) -> Result<bool, EngineError> {
        let (robot, operator) = (robot.clone(), operator.clone());
        self.ask(|reply| Command::BridgeIsOpen { robot, operator, generation, reply }).await
    }

    async fn attach_video(&self, robot: &PeerId, track: &Track, receiver: &PeerId) -> Attached {
        let (robot, track, receiver) = (robot.clone(), track.clone(), receiver.clone());
        let attached = self.ask(|reply| Command::AttachVideo { robot, track, receiver, reply }).await;
        attached.unwrap_or(Attached { status: VideoStatus::PullError, offer: None })
    }

    async fn attach_audio(&self, operator: &PeerId, track: &Track, robot: &PeerId) -> Option<String> {
        let (operator, track, robot) = (operator.clone(), track.clone(), robot.clone());
        self.ask(|reply| Command::AttachAudio { operator, track, robot, reply }).await.ok().flatten()
    }

    async fn attach_viewer(&self, robot: &PeerId, viewer: &PeerId) -> Result<ViewerIds, EngineError> {
        let (robot, viewer) = (robot.clone(), viewer.clone());
        self.ask(|reply| Command::AttachViewer { robot, viewer, reply }).await?
    }

    async fn submit_answer(&self, peer: &PeerId, sdp: &str) -> Result<(), EngineError> {
        let (peer, sdp) = (peer.clone(), sdp.to_owned());
        self.ask(|reply| Command::Answer { peer, sdp, reply }).await?
    }

    async fn close_peer(&self, peer: &PeerId) -> Result<(), EngineError> {
        let peer = peer.clone();
        // An engine that has ended has no peers.
        let _ = self.ask(|reply| Command::Close { peer, reply }).await;
        Ok(())
    }

    async fn inject(&self, robot: &PeerId, text: &str) -> Result<(), EngineError> {
        let (robot, text) = (robot.clone(), text.to_owned());
        self.ask(|reply| Command::Inject { robot, text, reply }).await?
    }

    async fn ids_told(&self, robot: &PeerId, generation: u64) {
        let robot = robot.clone();
        if self.commands.send(Command::Told { robot, generation }).await.is_ok() {
            let _ = self.waker.wake();
        }
    }

    fn events(&self) -> broadcast::Receiver<EngineEvent> {
        self.events.subscribe()
    }
}

/// How often another free port is taken if TCP does not have the same.
const PORTS: usize = 32;

/// The UDP socket, and the TCP listener of the same port if it is wanted.
fn bind(settings: &Settings) -> io::Result<(UdpSocket, Option<TcpListener>)> {
    let mut tries = PORTS;
    loop {
        let socket = Udp::bind(settings.bind)?;
        if !settings.tcp {
            return Ok((socket, None));
        }
        let address = socket.local_addr()?;
        tries -= 1;
        match TcpListener::bind(address) {
            Ok(listener) => return Ok((socket, Some(listener))),
            Err(error) if settings.bind.port() == 0 && tries > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(io::Error::new(error.kind(), format!("TCP {address}: {error}"))),
        }
    }
}

/// The addresses of this machine.
fn interfaces() -> io::Result<Vec<IpAddr>> {
    Ok(if_addrs::get_if_addrs()?.into_iter().map(|interface| interface.ip()).collect())
}

/// The addresses to tell peers: what is set, else where the socket is bound, else those of the interfaces that others can reach, else
/// loopback.
fn announced(settings: &Settings, bound: SocketAddr, local: &[IpAddr]) -> Vec<IpAddr> {
    if !settings.addresses.is_empty() {
        return settings.addresses.clone();
    }
    if !bound.ip().is_unspecified() {
        return vec![bound.ip()];
    }
    let usable = |ip: &&IpAddr| match ip {
        IpAddr::V4(v4) => !v4.is_link_local(),
        IpAddr::V6(v6) => bound.is_ipv6() && !v6.is_unicast_link_local(),
    };
    let (loopback, mut others): (Vec<IpAddr>, Vec<IpAddr>) =
        local.iter().filter(usable).copied().partition(IpAddr::is_loopback);
    if others.is_empty() {
        others = loopback;
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_fault_costs_the_peers_and_not_the_engine() {
        let engine =
            Embedded::start(&Settings { bind: (Ipv4Addr::LOCALHOST, 0).into(), ..Settings::default() }).unwrap();
        let mut events = engine.events();
        engine.commands.send(Command::Fault).await.unwrap();
        engine.waker.wake().unwrap();
        assert_eq!(events.recv().await.unwrap(), EngineEvent::Missed);
        let unknown = engine.peer_state(&PeerId::new("somebody")).await;
        assert!(matches!(unknown, Err(EngineError::Gone { .. })), "{unknown:?}");
    }
}
