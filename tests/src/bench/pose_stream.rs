//! A headset's poses beside something else that is measured.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use rustls::pki_types::CertificateDer;
use waldo_protocol::vr::VrFrame;
use waldo_server::vr::VrServer;

use super::{Link, PoseTexts, Sender, thread_cpu, websocket};
use crate::client::{Operator, trusting};

/// Frames per second, as the page sends them.
const HEADSET_HZ: u32 = 90;

/// An empty masked pong. The sender reads nothing, and so answers no ping; it says by itself that it is alive.
const PONG: [u8; 6] = [0x8a, 0x80, 0, 0, 0, 0];
const PONG_EVERY: u32 = 10 * HEADSET_HZ;

/// Sends poses over a socket until it is finished.
pub struct PoseStream {
    thread: JoinHandle<Result<Duration>>,
    ages: Arc<Mutex<Ages>>,
    stop: Arc<AtomicBool>,
}

#[derive(Default)]
struct Ages {
    sent: Vec<Instant>,
    /// Milliseconds from sending to the server's callback.
    ages: Vec<f64>,
}

fn lock(ages: &Mutex<Ages>) -> MutexGuard<'_, Ages> {
    ages.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PoseStream {
    /// Starts to send to a running server, whose callback is taken.
    ///
    /// # Errors
    /// If the server has not started, or declines.
    pub fn start(server: &VrServer) -> Result<Self> {
        let ages = Arc::<Mutex<Ages>>::default();
        let noted = Arc::clone(&ages);
        server.on_frame(Some(Arc::new(move |frame: &VrFrame| {
            let now = Instant::now();
            let mut ages = lock(&noted);
            let sent = frame.seq.and_then(PoseTexts::index).and_then(|index| ages.sent.get(index).copied());
            if let Some(sent) = sent {
                ages.ages.push((now - sent).as_secs_f64() * 1000.0);
            }
        })));
        let addr = server.addr().context("the server has no address")?;
        let certificate = server.certificate().context("the server has no certificate")?;
        let stop = Arc::new(AtomicBool::new(false));
        let (sending, stopped) = (Arc::clone(&ages), Arc::clone(&stop));
        let thread = thread::spawn(move || send(addr, certificate, &sending, &stopped));
        Ok(Self { thread, ages, stop })
    }

    /// Ends the stream. Milliseconds from sending each pose to the callback, and the CPU time that the sender took.
    ///
    /// # Errors
    /// If the socket failed.
    pub fn finish(self) -> Result<(Vec<f64>, Duration)> {
        self.stop.store(true, Ordering::Relaxed);
        let cpu = self.thread.join().map_err(|_| anyhow!("the sender of poses panicked"))??;
        Ok((std::mem::take(&mut lock(&self.ages).ages), cpu))
    }
}

fn send(
    addr: SocketAddr,
    certificate: CertificateDer<'static>,
    ages: &Mutex<Ages>,
    stop: &AtomicBool,
) -> Result<Duration> {
    let mut sender = Sender::connect(addr, &Link::Tls(Arc::clone(trusting(certificate)?.config())))?;
    sender.upgrade("/ws")?;
    let mut texts = PoseTexts::new(Operator::default().frame)?;
    let (begin, cpu, mut message) = (Instant::now(), thread_cpu(), Vec::new());
    for number in 0.. {
        thread::sleep((begin + Duration::from_secs(1) * number / HEADSET_HZ).saturating_duration_since(Instant::now()));
        if stop.load(Ordering::Relaxed) {
            break;
        }
        websocket(texts.advance(), &mut message);
        lock(ages).sent.push(Instant::now());
        sender.queue(&message)?;
        if number % PONG_EVERY == 0 {
            sender.queue(&PONG)?;
        }
        sender.flush()?;
    }
    Ok(thread_cpu().saturating_sub(cpu))
}
