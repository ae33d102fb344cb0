//! A WebRTC peer for tests: a robot, an operator or a viewer as an engine sees it, with a socket of its own.
//!
//! It speaks by str0m in RTP mode. [`Peer`] runs on a thread of its own; a load generator drives many [`Link`]s itself.

// Each test program uses its part of this.
#![allow(dead_code)]

mod link;
mod way;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TryRecvError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use str0m::media::{Direction, MediaKind};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

pub use link::{Happening, Link, Wanted};

/// How long a test waits for something that comes at once.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Happenings that a test may leave unread.
const UNREAD: usize = 65_536;

type Job = Box<dyn FnOnce(&mut Link) + Send>;

/// A peer on a thread of its own, which ends without a word when this is dropped, as after a power cut.
pub struct Peer {
    jobs: SyncSender<Job>,
    waker: Arc<Waker>,
    happenings: mpsc::Receiver<Happening>,
}

impl Peer {
    /// A peer that has made this offer.
    pub fn offering(wanted: &Wanted) -> (Self, String) {
        let (link, offer) = Link::offering(wanted, IpAddr::V4(Ipv4Addr::LOCALHOST));
        (Self::run(link), offer)
    }

    /// The same by TCP to this address, and in no other way.
    pub fn offering_by_tcp(wanted: &Wanted, to: SocketAddr) -> (Self, String) {
        let (link, offer) = Link::offering_by_tcp(wanted, to);
        (Self::run(link), offer)
    }

    /// A robot with a camera, which takes a voice.
    pub fn robot() -> (Self, String) {
        Self::offering(&Wanted::robot())
    }

    /// An operator who wants a picture and has a microphone.
    pub fn operator() -> (Self, String) {
        Self::offering(&Wanted::operator())
    }

    /// A viewer who wants a picture.
    pub fn viewer() -> (Self, String) {
        Self::offering(&Wanted { media: vec![(MediaKind::Video, Direction::RecvOnly)], ..Wanted::default() })
    }

    fn run(mut link: Link) -> Self {
        let (jobs, received) = sync_channel::<Job>(256);
        let (tell, happenings) = mpsc::channel(UNREAD);
        let mut poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(1)).unwrap());
        link.register(poll.registry(), Token(0));
        thread::spawn(move || {
            let mut events = Events::with_capacity(8);
            loop {
                let deadline = link.poll(&mut |happening| {
                    // A test that does not read has no use for them.
                    let _ = tell.try_send(happening);
                });
                let wait = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(100));
                let _ = poll.poll(&mut events, Some(wait));
                loop {
                    match received.try_recv() {
                        Ok(job) => {
                            job(&mut link);
                            link.poll(&mut |happening| {
                                let _ = tell.try_send(happening);
                            });
                        }
                        Err(TryRecvError::Empty) => break,
                        Err(TryRecvError::Disconnected) => return,
                    }
                }
            }
        });
        Self { jobs, waker, happenings }
    }

    /// Does something with the connection on its thread, and waits for it.
    pub async fn with<T: Send + 'static>(&self, work: impl FnOnce(&mut Link) -> T + Send + 'static) -> T {
        let (reply, done) = tokio::sync::oneshot::channel();
        self.jobs
            .send(Box::new(move |link| {
                let _ = reply.send(work(link));
            }))
            .unwrap();
        self.waker.wake().unwrap();
        done.await.unwrap()
    }

    /// Takes the answer to the offer.
    pub async fn accept(&self, answer: &str) {
        let answer = answer.to_owned();
        self.with(move |link| link.accept(&answer)).await;
    }

    /// Answers an offer of the engine.
    pub async fn answer(&self, offer: &str) -> String {
        let offer = offer.to_owned();
        self.with(move |link| link.answer(&offer)).await
    }

    /// Opens a channel whose id both sides know.
    pub async fn open(&self, label: &'static str, id: u16, lossy: bool) {
        let opened = async {
            while !self.with(move |link| link.open(label, id, lossy)).await {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, opened).await.expect("the id stays taken");
    }

    /// Sends a message, as soon as the channel takes it.
    pub async fn send(&self, label: &'static str, binary: bool, data: impl Into<Vec<u8>>) {
        let data = Arc::new(data.into());
        let sent = async {
            while !self.try_send(label, binary, &data).await {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, sent).await.expect("the channel takes nothing");
    }

    /// Sends a message if the channel takes it.
    pub async fn try_send(&self, label: &'static str, binary: bool, data: &Arc<Vec<u8>>) -> bool {
        let data = Arc::clone(data);
        self.with(move |link| link.send(label, binary, &data)).await
    }

    /// The next thing that happens that this picks.
    pub async fn next<T>(&mut self, mut pick: impl FnMut(Happening) -> Option<T>) -> T {
        let found = async {
            loop {
                let happening = self.happenings.recv().await.expect("the peer ended");
                if let Some(found) = pick(happening) {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.expect("nothing of the kind happens")
    }

    /// Waits until it is connected.
    pub async fn connected(&mut self) {
        self.next(|happening| matches!(happening, Happening::Connected).then_some(())).await;
    }

    /// The next message, with its label, whether it is binary, and its bytes.
    pub async fn message(&mut self) -> (String, bool, Vec<u8>) {
        self.next(|happening| match happening {
            Happening::Message { label, binary, data } => Some((label, binary, data)),
            _ => None,
        })
        .await
    }

    /// What has happened so far and was not looked at.
    pub fn happened(&mut self) -> Vec<Happening> {
        std::iter::from_fn(|| self.happenings.try_recv().ok()).collect()
    }

    /// Closes the connection with a word, as a closed page does.
    pub async fn close(self) {
        // Nothing can be closed while its channels are still being set up.
        while !self.with(|link| link.rtc().close().is_ok()).await {
            sleep(Duration::from_millis(5)).await;
        }
        sleep(Duration::from_millis(50)).await;
    }
}
