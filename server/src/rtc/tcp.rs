//! TCP connections that carry media where UDP is shut: few, and none that waits for ever.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use webrtc::runtime::{AsyncTcpListener, AsyncTcpStream, Runtime, TokioRuntime};

/// How many connections one listener has at a time. A client opens one or two; anybody can open them, so that one too
/// many is closed at once.
const MOST: usize = 4;

/// What the system may buffer of a picture, in bytes. More would be old before it is sent; less does not fill a fast link
/// with a long delay.
const SEND_BUFFER: usize = 128 * 1024;

/// A client that takes nothing for this long is given up. Everything else of its peer connection waits meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

type Accepted = (Arc<dyn AsyncTcpStream>, SocketAddr);

#[derive(Debug)]
pub(super) struct Listener {
    inner: Arc<dyn AsyncTcpListener>,
    free: Arc<Semaphore>,
}

impl Listener {
    pub(super) fn new(socket: TcpListener) -> io::Result<Self> {
        // Connections inherit both from the listener.
        rustix::net::sockopt::set_tcp_nodelay(&socket, true)?;
        rustix::net::sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER)?;
        Ok(Self { inner: TokioRuntime.wrap_tcp_listener(socket)?, free: Arc::new(Semaphore::new(MOST)) })
    }
}

impl AsyncTcpListener for Listener {
    fn accept<'a>(&'a self) -> Pin<Box<dyn Future<Output = io::Result<Accepted>> + Send + 'a>> {
        Box::pin(async move {
            loop {
                let (stream, peer) = self.inner.accept().await?;
                if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
                    let stream = Stream { inner: stream, stuck: AtomicBool::new(false), _place: place };
                    return Ok((Arc::new(stream) as Arc<dyn AsyncTcpStream>, peer));
                }
            }
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

#[derive(Debug)]
struct Stream {
    inner: Arc<dyn AsyncTcpStream>,
    /// Given up in the middle of a packet: what would follow makes no sense to the client.
    stuck: AtomicBool,
    _place: OwnedSemaphorePermit,
}

impl AsyncTcpStream for Stream {
    fn read<'a, 'b>(&'a self, buf: &'b mut [u8]) -> Pin<Box<dyn Future<Output = io::Result<usize>> + Send + 'b>>
    where
        'a: 'b,
    {
        self.inner.read(buf)
    }

    fn write_all<'a, 'b>(&'a self, buf: &'b [u8]) -> Pin<Box<dyn Future<Output = io::Result<()>> + Send + 'b>>
    where
        'a: 'b,
    {
        Box::pin(async move {
            if self.stuck.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            timeout(PATIENCE, self.inner.write_all(buf)).await.unwrap_or_else(|_| {
                self.stuck.store(true, Ordering::Relaxed);
                Err(io::ErrorKind::TimedOut.into())
            })
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    fn listen() -> (Listener, SocketAddr) {
        let listener = Listener::new(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn one_connection_too_many_is_closed_and_its_place_is_free_again_when_another_ends() {
        let (listener, address) = listen();
        let (mut clients, mut streams) = (Vec::new(), Vec::new());
        for _ in 0..MOST {
            clients.push(TcpStream::connect(address).await.unwrap());
            streams.push(listener.accept().await.unwrap());
        }
        let mut refused = TcpStream::connect(address).await.unwrap();
        let mut late = tokio::spawn(async move { listener.accept().await.map(|(_, peer)| peer) });
        assert_eq!(refused.read(&mut [0]).await.unwrap_or(0), 0, "closed");
        assert!(!late.is_finished());
        streams.pop();
        let next = TcpStream::connect(address).await.unwrap();
        assert_eq!((&mut late).await.unwrap().unwrap(), next.local_addr().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (listener, address) = listen();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        client.write_all(b"a").await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(stream.read(&mut buf).await.unwrap(), 1);
        let packet = vec![0; 64 * 1024];
        let error = loop {
            if let Err(error) = stream.write_all(&packet).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(stream.write_all(b"b").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
