//! The sending half.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;
use tokio::sync::Notify;

use super::Write;
use super::head::{self, Opcode};
use crate::Lost;

/// Most bytes that wait for a server that takes them slowly. Requests have tens of bytes, chunks of actions some
/// thousands.
const MAX_WAITING: usize = 1 << 20;

/// Bytes that were written are forgotten once they are so many.
const FORGET: usize = 64 << 10;

/// Time for the last words.
const GOODBYE: Duration = Duration::from_secs(1);

/// Sends frames from the caller's own thread, without a hop to another; a task steps in only for what the socket does
/// not take at once.
pub(crate) struct Sender {
    socket: Arc<Socket>,
}

impl Sender {
    pub(super) fn new(write: Write) -> Self {
        let mut seed = [0; 4];
        // Masks only keep old proxies from taking payload for HTTP; without randomness the link works as well.
        let _ = getrandom::fill(&mut seed);
        let out = Out { write, waiting: Vec::new(), written: 0, mask: u32::from_ne_bytes(seed) | 1, end: None };
        let socket = Arc::new(Socket { heard: AtomicU64::new(0), out: Mutex::new(out), wake: Notify::new() });
        tokio::spawn(write_what_waits(Arc::clone(&socket)));
        Self { socket }
    }

    pub(super) fn socket(&self) -> &Arc<Socket> {
        &self.socket
    }

    pub(crate) fn send(&self, frame: &[u8]) -> Result<(), Lost> {
        self.socket.send(Opcode::Binary, frame)
    }

    pub(crate) fn close(&self) {
        self.socket.close(1000);
    }

    /// Bytes received so far.
    pub(crate) fn heard(&self) -> u64 {
        self.socket.heard.load(Ordering::Relaxed)
    }

    /// Makes the server say something.
    pub(crate) fn ping(&self) {
        // The end of the link is told elsewhere.
        let _ = self.socket.send(Opcode::Ping, &[]);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.close();
    }
}

/// The socket's sending half, which the receiver also needs for pongs.
pub(super) struct Socket {
    /// Bytes received so far.
    pub(super) heard: AtomicU64,
    out: Mutex<Out>,
    /// Something waits, or the end has come.
    wake: Notify,
}

struct Out {
    write: Write,
    /// Whole frames of which the first `written` bytes are gone.
    waiting: Vec<u8>,
    written: usize,
    mask: u32,
    end: Option<Lost>,
}

impl Socket {
    pub(super) fn send(&self, opcode: Opcode, payload: &[u8]) -> Result<(), Lost> {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(end) = &out.end {
            return Err(end.clone());
        }
        let waiting = out.waiting.len() - out.written;
        if waiting > 0 && waiting + payload.len() > MAX_WAITING {
            let end = Lost::Stalled { waiting };
            out.end = Some(end.clone());
            self.wake.notify_one();
            return Err(end);
        }
        let mask = out.next_mask();
        head::write(opcode, payload, mask, &mut out.waiting);
        // If something waited before, the task is at it already.
        if waiting == 0 && out.poll_write(&mut Context::from_waker(Waker::noop())).is_pending() {
            self.wake.notify_one();
        }
        match &out.end {
            Some(end) => Err(end.clone()),
            None => Ok(()),
        }
    }

    /// Says goodbye, once.
    pub(super) fn close(&self, code: u16) {
        // Nothing is owed to a link that has ended already.
        let _ = self.send(Opcode::Close, &code.to_be_bytes());
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.end.get_or_insert(Lost::Here);
        self.wake.notify_one();
    }
}

impl Out {
    fn next_mask(&mut self) -> [u8; 4] {
        // Xorshift.
        self.mask ^= self.mask << 13;
        self.mask ^= self.mask >> 17;
        self.mask ^= self.mask << 5;
        self.mask.to_ne_bytes()
    }

    /// Writes what waits; ready when nothing does any more, or nothing can be written any more.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.written < self.waiting.len() {
            let result = ready!(Pin::new(&mut self.write).poll_write(cx, &self.waiting[self.written..]));
            match result {
                Ok(n) if n > 0 => {
                    self.written += n;
                    if self.written > FORGET {
                        self.waiting.drain(..self.written);
                        self.written = 0;
                    }
                }
                Ok(_) => return self.fail("the socket takes nothing"),
                Err(error) => return self.fail(&error.to_string()),
            }
        }
        self.waiting.clear();
        self.written = 0;
        match ready!(Pin::new(&mut self.write).poll_flush(cx)) {
            Ok(()) => Poll::Ready(()),
            Err(error) => self.fail(&error.to_string()),
        }
    }

    fn fail(&mut self, problem: &str) -> Poll<()> {
        self.end.get_or_insert_with(|| Lost::Network(problem.to_owned()));
        self.waiting = Vec::new();
        self.written = 0;
        Poll::Ready(())
    }
}

/// Writes what a socket did not take at once, until its end.
async fn write_what_waits(socket: Arc<Socket>) {
    let write = || std::future::poll_fn(|cx| socket.out.lock().unwrap_or_else(PoisonError::into_inner).poll_write(cx));
    loop {
        socket.wake.notified().await;
        let ended = || socket.out.lock().unwrap_or_else(PoisonError::into_inner).end.is_some();
        if ended() {
            break;
        }
        tokio::select! {
            () = write() => {}
            // The end, or a frame more, which the next round writes.
            () = socket.wake.notified() => socket.wake.notify_one(),
        }
    }
    let goodbye = async {
        write().await;
        let shutdown = std::future::poll_fn(|cx| {
            let mut out = socket.out.lock().unwrap_or_else(PoisonError::into_inner);
            Pin::new(&mut out.write).poll_shutdown(cx)
        });
        // The other side may be gone.
        let _ = shutdown.await;
    };
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
}
