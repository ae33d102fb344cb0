//! The sockets of a peer connection, as the `webrtc` crate asks for them.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::sync::watch;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime, TokioRuntime,
    Transmit,
};

use super::tcp;

/// How many early datagrams wait on one socket; newer ones replace older ones. A client sends few, and repeats them.
const MOST_HELD: usize = 8;

/// Largest datagram that is kept, in bytes; those in question are well below.
const LARGEST_HELD: usize = 2048;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Offered,
    /// Checks of the client can be told from those of strangers.
    Answered,
    /// A path is chosen.
    Connected,
}

/// Tokio, with sockets that keep what a client sends a moment too early. Every connection has a runtime of its own.
///
/// A client checks the path as soon as it has the offer, while its answer is still under way; and it begins the encryption
/// handshake as soon as it can send, while our side is still choosing the path. The crate drops both, and browsers repeat
/// them only after 50 ms.
#[derive(Debug)]
pub(super) struct PatientRuntime {
    tokio: TokioRuntime,
    gate: Arc<Gate>,
}

/// The stage of a connection, for all its sockets.
#[derive(Debug)]
pub(super) struct Gate {
    stage: watch::Sender<Stage>,
    sockets: Mutex<Vec<Arc<AtomicWaker>>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { stage: watch::Sender::new(Stage::Offered), sockets: Mutex::default() }
    }
}

impl Gate {
    /// The connection has come this far: what was kept for it is delivered.
    pub(super) fn reached(&self, stage: Stage) {
        let advance = |current: &mut Stage| std::mem::replace(current, stage.max(*current)) < stage;
        if self.stage.send_if_modified(advance) {
            lock(&self.sockets).iter().for_each(|socket| socket.wake());
        }
    }

    fn stage(&self) -> Stage {
        *self.stage.borrow()
    }
}

impl PatientRuntime {
    pub(super) fn new(gate: Arc<Gate>) -> Self {
        Self { tokio: TokioRuntime, gate }
    }
}

impl Runtime for PatientRuntime {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        self.tokio.spawn(future)
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let socket = PatientSocket::new(self.tokio.wrap_udp_socket(socket)?, Arc::clone(&self.gate));
        lock(&self.gate.sockets).push(Arc::clone(&socket.wake));
        Ok(Arc::new(socket))
    }

    fn wrap_tcp_listener(&self, listener: TcpListener) -> io::Result<Arc<dyn AsyncTcpListener>> {
        Ok(Arc::new(tcp::Listener::new(listener)?))
    }

    fn connect_tcp<'a>(
        &'a self,
        remote: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Arc<dyn AsyncTcpStream>>> + Send + 'a>> {
        self.tokio.connect_tcp(remote)
    }

    fn resolve_host<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        self.tokio.resolve_host(host)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        self.tokio.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        self.tokio.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        self.tokio.block_on(future);
    }

    fn yield_now(&self) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        self.tokio.yield_now()
    }
}

/// A socket that keeps early datagrams.
struct PatientSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    gate: Arc<Gate>,
    wake: Arc<AtomicWaker>,
    held: Mutex<VecDeque<(Vec<u8>, RecvMeta)>>,
}

impl PatientSocket {
    fn new(inner: Arc<dyn AsyncUdpSocket>, gate: Arc<Gate>) -> Self {
        Self { inner, gate, wake: Arc::default(), held: Mutex::default() }
    }

    /// Takes out the oldest datagram whose time has come.
    fn release(&self, stage: Stage, buf: &mut [u8]) -> Option<RecvMeta> {
        let mut held = lock(&self.held);
        let due = held.iter().position(|(data, _)| earliest(data) <= stage)?;
        let (data, meta) = held.remove(due)?;
        buf.get_mut(..data.len())?.copy_from_slice(&data);
        Some(meta)
    }

    fn hold(&self, data: &[u8], meta: RecvMeta) {
        if data.len() <= LARGEST_HELD {
            let mut held = lock(&self.held);
            if held.len() == MOST_HELD {
                held.pop_front();
            }
            held.push_back((data.to_vec(), meta));
        }
    }
}

impl fmt::Debug for PatientSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PatientSocket").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl AsyncUdpSocket for PatientSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        self.inner.poll_send(cx, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        loop {
            // Before looking at the stage, so that its change is not missed.
            self.wake.register(cx.waker());
            let stage = self.gate.stage();
            if let ([buf, ..], [first, ..]) = (&mut *bufs, &mut *meta)
                && let Some(released) = self.release(stage, buf)
            {
                *first = released;
                return Poll::Ready(Ok(1));
            }
            if stage == Stage::Connected {
                return self.inner.poll_recv(cx, bufs, meta);
            }
            let one = bufs.get_mut(..1).unwrap_or_default();
            let count = ready!(self.inner.poll_recv(cx, one, meta))?;
            let ([buf, ..], [first, ..]) = (&*bufs, &*meta) else { return Poll::Ready(Ok(count)) };
            let data = buf.get(..first.len).unwrap_or_default();
            if count == 0 || earliest(data) <= stage {
                return Poll::Ready(Ok(count));
            }
            self.hold(data, *first);
        }
    }

    fn max_gso_segments(&self) -> usize {
        self.inner.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }
}

/// The stage before which nobody could make use of a datagram (kinds as in RFC 7983). Answers of STUN and TURN servers
/// are awaited at every stage, so of their kind only requests are kept.
fn earliest(datagram: &[u8]) -> Stage {
    match datagram {
        [0, 1, ..] => Stage::Answered,
        [20..=63, ..] => Stage::Connected,
        _ => Stage::Offered,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::net::UdpSocket as Peer;

    use super::*;

    const REPLY: &[u8] = &[1, 1, 0, 0];
    const CHECK: &[u8] = &[0, 1, 0, 0];
    const HELLO: &[u8] = &[22, 254, 253, 0];

    /// A socket under test, its gate, and somebody who sends to it.
    async fn pair() -> (Arc<dyn AsyncUdpSocket>, Arc<Gate>, Peer) {
        let gate = Arc::<Gate>::default();
        let runtime = PatientRuntime::new(Arc::clone(&gate));
        let socket = runtime.wrap_udp_socket(UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
        let peer = Peer::bind("127.0.0.1:0").await.unwrap();
        peer.connect(socket.local_addr().unwrap()).await.unwrap();
        (socket, gate, peer)
    }

    async fn receive(socket: &dyn AsyncUdpSocket) -> Vec<u8> {
        let mut buf = vec![0; 65_536];
        let mut meta = [RecvMeta::default()];
        poll_fn(|cx| socket.poll_recv(cx, &mut [IoSliceMut::new(&mut buf)], &mut meta)).await.unwrap();
        buf[..meta[0].len].to_vec()
    }

    #[tokio::test]
    async fn checks_wait_for_the_answer_and_the_handshake_for_the_path() {
        let (socket, gate, peer) = pair().await;
        for datagram in [HELLO, CHECK, REPLY] {
            peer.send(datagram).await.unwrap();
        }
        assert_eq!(receive(&*socket).await, REPLY);
        gate.reached(Stage::Answered);
        assert_eq!(receive(&*socket).await, CHECK);
        gate.reached(Stage::Connected);
        assert_eq!(receive(&*socket).await, HELLO);
        peer.send(HELLO).await.unwrap();
        assert_eq!(receive(&*socket).await, HELLO);
    }

    #[tokio::test]
    async fn who_waits_for_a_datagram_is_woken_by_the_next_stage() {
        let (socket, gate, peer) = pair().await;
        peer.send(CHECK).await.unwrap();
        peer.send(REPLY).await.unwrap();
        assert_eq!(receive(&*socket).await, REPLY);
        let waiting = tokio::spawn(async move { receive(&*socket).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        gate.reached(Stage::Answered);
        assert_eq!(waiting.await.unwrap(), CHECK);
    }

    #[tokio::test]
    async fn few_and_small_datagrams_are_kept_and_the_newest_of_them() {
        let (socket, gate, peer) = pair().await;
        peer.send(&[22; LARGEST_HELD + 1]).await.unwrap();
        for number in 0..MOST_HELD as u8 + 3 {
            peer.send(&[22, number]).await.unwrap();
        }
        peer.send(REPLY).await.unwrap();
        assert_eq!(receive(&*socket).await, REPLY);
        gate.reached(Stage::Connected);
        for number in 3..MOST_HELD as u8 + 3 {
            assert_eq!(receive(&*socket).await, [22, number]);
        }
        peer.send(REPLY).await.unwrap();
        assert_eq!(receive(&*socket).await, REPLY);
    }

    #[test]
    fn a_stage_is_never_taken_back() {
        let gate = Gate::default();
        gate.reached(Stage::Connected);
        gate.reached(Stage::Answered);
        assert_eq!(gate.stage(), Stage::Connected);
    }
}
