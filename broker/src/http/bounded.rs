//! Bounds of connections: so many at a time, not all of them from one address, and none that takes its reply too slowly.

use std::collections::HashMap;
use std::future::{Future, Ready, ready};
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum_server::accept::Accept;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

use crate::limits::network;

/// How long a client may take nothing of its reply.
const PATIENCE: Duration = Duration::from_secs(10);

/// How fast it must take a reply that takes longer, in bytes per second.
const SLOWEST: f64 = 4096.0;

/// The part of all places that one address may have, and the fewest.
const SHARE: usize = 8;
const FEWEST: usize = 16;

/// How many places each network has.
type Counts = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// Gives each connection a place for as long as it lasts. One too many is closed at once.
#[derive(Clone, Debug)]
pub(super) struct Bounded {
    all: Arc<Semaphore>,
    of: Counts,
    most_of_one: usize,
    proxies: Arc<[IpAddr]>,
}

impl Bounded {
    /// So many places. This machine and these proxies, which speak for many, may have all of them.
    pub(super) fn new(most: usize, proxies: &[IpAddr]) -> Self {
        let all = Arc::new(Semaphore::new(most.min(Semaphore::MAX_PERMITS)));
        Self { all, of: Arc::default(), most_of_one: (most / SHARE).max(FEWEST), proxies: proxies.into() }
    }

    fn place(&self, ip: IpAddr) -> Option<Place> {
        let all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let ip = ip.to_canonical();
        if ip.is_loopback() || self.proxies.contains(&ip) {
            return Some(Place { _all: all, of: None });
        }
        let network = network(ip);
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let count = of.entry(network).or_default();
        if *count >= self.most_of_one {
            return None;
        }
        *count += 1;
        Some(Place { _all: all, of: Some((network, Arc::clone(&self.of))) })
    }
}

/// One place of all, and of those of its address.
#[derive(Debug)]
struct Place {
    _all: OwnedSemaphorePermit,
    of: Option<(IpAddr, Counts)>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((network, of)) = &self.of else { return };
        let mut of = of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = of.get_mut(network) {
            *count -= 1;
            if *count == 0 {
                of.remove(network);
            }
        }
    }
}

impl<S> Accept<TcpStream, S> for Bounded {
    type Stream = Placed;
    type Service = S;
    type Future = Ready<io::Result<(Placed, S)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        ready(stream.peer_addr().and_then(|peer| {
            let place = self.place(peer.ip()).ok_or_else(|| io::Error::other("too many connections"))?;
            // Replies are small and must not wait for each other.
            stream.set_nodelay(true)?;
            Ok((Placed { stream, behind: None, _place: place }, service))
        }))
    }
}

/// A connection with its place.
#[derive(Debug)]
pub(super) struct Placed {
    stream: TcpStream,
    behind: Option<Behind>,
    _place: Place,
}

/// A client that has not taken all of what there is for it.
#[derive(Debug)]
struct Behind {
    since: Instant,
    taken: u64,
    end: Pin<Box<Sleep>>,
}

impl Placed {
    /// Looks at how much was written, and ends what goes too slowly.
    fn written(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match (&written, &mut self.behind) {
            (Poll::Ready(Ok(bytes)), Some(behind)) => behind.taken += u64::try_from(*bytes).unwrap_or(u64::MAX),
            (Poll::Ready(_), _) => {}
            (Poll::Pending, behind) => {
                let new = || Behind { since: Instant::now(), taken: 0, end: Box::pin(sleep(PATIENCE)) };
                let behind = behind.get_or_insert_with(new);
                #[expect(clippy::cast_precision_loss, reason = "nobody counts single bytes here")]
                let longer = Duration::from_secs_f64(behind.taken as f64 / SLOWEST);
                behind.end.as_mut().reset(behind.since + PATIENCE + longer);
                if behind.end.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the reply is taken too slowly")));
                }
            }
        }
        written
    }
}

impl AsyncRead for Placed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Placed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Asked for once all was written: the next reply has its own time.
        self.behind = None;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_does_not_get_all_places_and_a_proxy_may() {
        let bounded = Bounded::new(160, &[ip("10.0.0.1")]);
        let mut of_one: Vec<_> = (0..20).map(|_| bounded.place(ip("9.9.9.9")).unwrap()).collect();
        assert!(bounded.place(ip("9.9.9.9")).is_none() && bounded.place(ip("::ffff:9.9.9.9")).is_none());
        let another = bounded.place(ip("9.9.9.8")).unwrap();
        of_one.pop();
        let again = bounded.place(ip("9.9.9.9"));
        assert!(again.is_some(), "a place is free again");
        let of_network: Vec<_> = (0..20).map(|n| bounded.place(ip(&format!("2001:db8::{n:x}"))).unwrap()).collect();
        assert!(bounded.place(ip("2001:db8::ffff:1")).is_none() && bounded.place(ip("2001:db8:0:1::1")).is_some());
        let rest: Vec<_> = std::iter::from_fn(|| bounded.place(ip("10.0.0.1"))).collect();
        assert_eq!(rest.len(), 160 - of_one.len() - of_network.len() - 2, "all that are left");
        drop((another, again, of_one, of_network, rest));
        assert!(bounded.of.lock().unwrap().is_empty());
    }
}
