//! One socket, from its upgrade to its end.
//!
//! One task reads and writes, so that an answer needs no other thread; but neither waits for the other, so that hands are
//! heard while a scene is on its way.

use std::io::Cursor;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, copy, sink};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::outbox::{Message, Outbox, Outgoing};
use super::service::Service;
use super::session::Session;
use crate::http::Link;
use crate::policy::outbox::Close;
use crate::policy::websocket::read::{self, Messages, ReadEnd};
use crate::policy::websocket::write;

/// Period of pings, and how long a pong may take. Tighter ones kill healthy links under load; a command of hands that are
/// gone has ended long before.
const PING: Duration = Duration::from_secs(20);

/// How long the kernel tries to bring data to a peer that acknowledges none.
const HALF_OPEN: Duration = Duration::from_secs(10);

/// Data that waits in the kernel of this machine, bytes: what is more waits in the outbox, where newer scenes take the
/// place of older ones.
const UNSENT: u32 = 128 << 10;

/// How long a client may take to read why it is hung up on.
const LINGER: Duration = Duration::from_secs(1);

/// The newest ping of the client that was not answered yet, and whether it has answered ours.
#[derive(Default)]
struct Pings {
    state: Mutex<(Option<Bytes>, bool)>,
    news: Notify,
}

impl Pings {
    fn with<T>(&self, change: impl FnOnce(&mut (Option<Bytes>, bool)) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn asked(&self, payload: Bytes) {
        self.with(|(waiting, _)| *waiting = Some(payload));
        self.news.notify_one();
    }

    fn answered(&self) {
        self.with(|(_, answered)| *answered = true);
    }

    /// Whether the last one of ours was answered; from now on another one is on its way.
    fn take_answer(&self) -> bool {
        self.with(|(_, answered)| std::mem::replace(answered, false))
    }

    async fn next(&self) -> Bytes {
        loop {
            if let Some(payload) = self.with(|(waiting, _)| waiting.take()) {
                return payload;
            }
            self.news.notified().await;
        }
    }
}

/// Lets the kernel give up a peer that is gone, and keep little that is not sent yet.
fn tune(link: &dyn Link) {
    let socket = socket2::SockRef::from(link.tcp());
    let tuned = socket.set_tcp_user_timeout(Some(HALF_OPEN)).and_then(|()| socket.set_tcp_notsent_lowat(UNSENT));
    if let Err(error) = tuned {
        tracing::debug!("a socket of the field could not be tuned: {error}");
    }
}

/// Serves a client until one side ends the connection; `early` is what was read of it with its request.
pub(super) async fn serve(
    service: Arc<Service>,
    mut session: Session,
    link: Box<dyn Link>,
    early: Bytes,
    shutdown: CancellationToken,
) {
    tune(link.as_ref());
    let _counted = service.config.metrics.client("field");
    let conn = session.conn();
    tracing::debug!(conn, "field client connected");
    let (reader, mut writer) = tokio::io::split(link);
    let mut reader = Cursor::new(early).chain(reader);
    let mut messages = Messages::new(&mut reader, session.max_message());
    let (pings, outbox) = (Pings::default(), Arc::clone(session.outbox()));
    let (close, clean) = {
        let mut sending = pin!(send(&outbox, &mut writer, &pings));
        let mut receiving = pin!(receive(&mut session, &mut messages, &pings));
        let over = outbox.over();
        // A client that does not read is not waited for.
        let no_longer = async {
            tokio::select! {
                () = async { over.cancelled().await; sleep(LINGER).await } => {}
                () = async { shutdown.cancelled().await; sleep(LINGER / 5).await } => {}
            }
        };
        let mut no_longer = pin!(no_longer);
        let first = tokio::select! {
            biased;
            end = &mut receiving => Ok(end),
            close = &mut sending => Err(close),
            () = &mut no_longer => Err(None),
        };
        match first {
            Ok(end) => {
                if let Some(close) = end.close {
                    outbox.close(close);
                }
                // The message under way has to end first, unless nobody reads it.
                let close = if over.is_cancelled() {
                    tokio::select! {
                        close = &mut sending => close,
                        () = &mut no_longer => None,
                    }
                } else {
                    None
                };
                (close, end.clean)
            }
            Err(close) => {
                // What is half done with a message would stay so: it is never cut short.
                over.cancel();
                (close, receiving.await.clean)
            }
        }
    };
    // First the arms; then the socket, which may take its time.
    session.leave(clean).await;
    if let Some(close) = close {
        tracing::debug!(conn, code = close.code, reason = close.reason, "closing");
        let farewell = async {
            if write::close(&mut writer, &close).await.is_ok() {
                // A reset of the socket would overtake the reason, and comes if anything is left unread, such as the rest
                // of a message that is too large. The client hangs up when it sees that nothing follows.
                let _ = copy(&mut reader, &mut sink()).await;
            }
        };
        tokio::select! {
            _ = timeout(LINGER, farewell) => {}
            () = async { shutdown.cancelled().await; sleep(LINGER / 10).await } => {}
        }
    }
    tracing::debug!(conn, "field client disconnected");
}

/// How the client ended it: what is to be said to that, and whether it said farewell.
#[derive(Default)]
struct End {
    close: Option<Close>,
    clean: bool,
}

/// Hears the client until it ends or is not to be heard any more, which is seen between two messages only.
async fn receive(session: &mut Session, messages: &mut Messages<impl AsyncRead + Unpin>, pings: &Pings) -> End {
    let said = |code, reason: &str| End { close: Some(Close::new(code, reason)), clean: false };
    let outbox = Arc::clone(session.outbox());
    loop {
        // Who does not read what was asked for is not listened to.
        let next = async {
            outbox.room().await;
            messages.next().await
        };
        let message = tokio::select! {
            biased;
            () = outbox.over().cancelled() => return End::default(),
            message = next => message,
        };
        match message {
            Ok(read::Message::Text(message) | read::Message::Binary(message)) => {
                session.on_message(&message).await;
                messages.set_max(session.max_message());
            }
            Ok(read::Message::Ping(payload)) => pings.asked(payload),
            Ok(read::Message::Pong) => pings.answered(),
            Ok(read::Message::Close(code)) => {
                let code = code.filter(|code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999));
                return End { close: Some(Close::new(code.unwrap_or(1000), "")), clean: true };
            }
            Err(ReadEnd::Gone) => return End::default(),
            Err(ReadEnd::TooLarge) => {
                return said(1009, &format!("a message has more than {} bytes", session.max_message()));
            }
            Err(ReadEnd::Protocol(what)) => return said(1002, &what),
        }
    }
}

/// Sends what waits until there is nothing more but a farewell, which is left to be sent; none if nothing can be sent.
async fn send(outbox: &Outbox, writer: &mut (impl AsyncWrite + Unpin), pings: &Pings) -> Option<Close> {
    let mut ping = interval_at(Instant::now() + PING, PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.answered();
    loop {
        tokio::select! {
            biased;
            payload = pings.next() => write::pong(writer, payload).await.ok()?,
            _ = ping.tick() => {
                if !pings.take_answer() {
                    return Some(Close::new(1011, "no answer to a ping"));
                }
                write::ping(writer).await.ok()?;
            }
            outgoing = outbox.next() => match outgoing {
                Outgoing::Answer(message) => write(writer, message).await?,
                Outgoing::Scene(messages) => {
                    for message in messages {
                        write(writer, message).await?;
                    }
                    outbox.taken();
                }
                Outgoing::Close(close) => return Some(close),
            },
        }
    }
}

async fn write(writer: &mut (impl AsyncWrite + Unpin), message: Message) -> Option<()> {
    match message {
        Message::Text(frame) => write::text(writer, frame).await.ok(),
        Message::Binary(frame) => write::binary(writer, frame).await.ok(),
    }
}
