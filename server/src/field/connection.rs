//! One socket, from its upgrade to its end.
//!
//! One task reads and writes, so that an answer needs no other thread; but neither waits for the other, so that hands are
//! heard while a scene is on its way.

use std::io::Cursor;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::outbox::{Message, Outbox, Outgoing};
use super::service::Service;
use super::session::Session;
use crate::http::Link;
use crate::websocket::{self, Close, LINGER, Messages, Pings, ReadEnd, farewell, write as frames};

/// Period of pings, and how long a pong may take. Tighter ones kill healthy links under load; a command of hands that are
/// gone has ended long before.
const PING: Duration = Duration::from_secs(20);

/// Who takes messages more slowly than this has a link on which nothing works, bytes per second.
const SLOWEST: f64 = (16 << 10) as f64;

/// How long the kernel tries to bring data to a peer that acknowledges none.
const HALF_OPEN: Duration = Duration::from_secs(10);

/// Data that waits in the kernel of this machine, bytes: what is more waits in the outbox, where newer scenes take the
/// place of older ones.
const UNSENT: u32 = 128 << 10;

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
    let (pings, alive, outbox) = (Pings::default(), AtomicBool::new(true), Arc::clone(session.outbox()));
    let (close, clean) = {
        let mut sending = pin!(send(&outbox, &mut writer, &pings, &alive));
        let mut receiving = pin!(receive(&mut session, &mut messages, &pings, &alive));
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
        farewell(&mut reader, &mut writer, &close, &shutdown).await;
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
async fn receive(
    session: &mut Session,
    messages: &mut Messages<impl AsyncRead + Unpin>,
    pings: &Pings,
    alive: &AtomicBool,
) -> End {
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
            Ok(websocket::Message::Text(message) | websocket::Message::Binary(message)) => {
                session.on_message(&message).await;
                messages.set_max(session.max_message());
            }
            Ok(websocket::Message::Ping(payload)) => pings.add(payload),
            Ok(websocket::Message::Pong) => alive.store(true, Ordering::Relaxed),
            Ok(websocket::Message::Close(code)) => {
                return End { close: Some(Close::answer(code)), clean: true };
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
///
/// `alive`: whether the client has answered the last ping.
async fn send(
    outbox: &Outbox,
    writer: &mut (impl AsyncWrite + Unpin),
    pings: &Pings,
    alive: &AtomicBool,
) -> Option<Close> {
    let mut ping = interval_at(Instant::now() + PING, PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            payload = pings.next() => frames::pong(writer, payload).await.ok()?,
            _ = ping.tick() => {
                if !alive.swap(false, Ordering::Relaxed) {
                    return Some(Close::new(1011, "no answer to a ping"));
                }
                frames::ping(writer).await.ok()?;
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

/// None if it cannot be written, or if that takes for ever: no ping can be due in the middle of a message.
async fn write(writer: &mut (impl AsyncWrite + Unpin), message: Message) -> Option<()> {
    let patience = 2 * PING + Duration::from_secs_f64(message.len() as f64 / SLOWEST);
    let writing = async {
        match message {
            Message::Text(frame) => frames::text(writer, frame).await,
            Message::Binary(frame) => frames::binary(writer, frame).await,
        }
    };
    timeout(patience, writing).await.ok()?.ok()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::io::duplex;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_of_a_message_is_given_up_as_after_a_ping() {
        let (outbox, pings, alive) = (Outbox::default(), Pings::default(), AtomicBool::new(true));
        let (mut ours, _theirs) = duplex(16);
        outbox.scene(vec![Message::text(Bytes::from(vec![b' '; 160 << 10]))]);
        let begin = Instant::now();
        assert_eq!(send(&outbox, &mut ours, &pings, &alive).await, None);
        assert_eq!(begin.elapsed().as_secs(), 50, "20 s, 20 s, and 10 s for its length");
    }
}
