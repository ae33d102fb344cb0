//! One WebSocket, from its upgrade to its end.
//!
//! One task reads and writes, so that a reply needs no other thread; but neither waits for the other, so that an action
//! counts while a picture is on its way.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::read::{Message, Messages, ReadEnd};
use super::write;
use crate::policy::outbox::{Close, Outgoing};
use crate::policy::service::Service;
use crate::policy::session::Session;

/// Period of pings. Nobody is hung up on because of a pong that is late: an application may keep its own socket waiting.
/// The kernel notices who is gone.
const PING: Duration = Duration::from_secs(20);

/// How long a client that has asked for more than it reads may go on reading nothing.
const STALLED: Duration = Duration::from_secs(20);

/// How long a client may take to read why it is hung up on.
const LINGER: Duration = Duration::from_secs(1);

/// How a connection ends.
enum End {
    /// The client is gone, or cannot be written to.
    Gone,
    /// The client said goodbye, and with which code.
    Goodbye(Option<u16>),
    /// We hang up.
    Close(Close),
}

/// The newest ping that was not answered yet. Older ones need no answer once it is.
#[derive(Default)]
struct Pings {
    payload: Mutex<Option<Bytes>>,
    news: Notify,
}

impl Pings {
    fn add(&self, payload: Bytes) {
        *self.payload.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
        self.news.notify_one();
    }

    async fn next(&self) -> Bytes {
        loop {
            if let Some(payload) = self.payload.lock().unwrap_or_else(PoisonError::into_inner).take() {
                return payload;
            }
            self.news.notified().await;
        }
    }
}

/// Serves a client until one side ends the connection.
pub(super) async fn serve<R, W>(
    service: &Service,
    session: Session,
    reader: R,
    mut writer: W,
    shutdown: CancellationToken,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let _counted = service.stats.metrics().client("policy");
    let mut messages = Messages::new(reader, service.config.max_message);
    let pings = Pings::default();
    let end = tokio::select! {
        biased;
        end = receive(&session, &mut messages, &pings, service.config.max_message) => end,
        end = send(&session, &mut writer, &pings) => end,
        // A client that does not read is not waited for.
        () = async { shutdown.cancelled().await; sleep(LINGER / 5).await } => End::Gone,
    };
    // First the session, so that the robot knows at once; then the socket, which may take its time.
    let peer = session.peer();
    drop(session);
    let close = match end {
        End::Gone => return,
        End::Goodbye(code) => Close::new(code.filter(|code| may_be_sent(*code)).unwrap_or(1000), ""),
        End::Close(close) => {
            tracing::info!(client = %peer, code = close.code, reason = close.reason, "closing");
            close
        }
    };
    let farewell = async {
        if write::close(&mut writer, &close).await.is_ok() {
            // A reset of the socket would overtake the reason; wait until the client has hung up.
            while let Ok(message) = messages.next().await {
                if matches!(message, Message::Close(_)) {
                    break;
                }
            }
        }
    };
    tokio::select! {
        _ = timeout(LINGER, farewell) => {}
        () = async { shutdown.cancelled().await; sleep(LINGER / 10).await } => {}
    }
}

/// Codes that a close frame may carry.
fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

async fn receive(session: &Session, messages: &mut Messages<impl AsyncRead + Unpin>, pings: &Pings, max: usize) -> End {
    loop {
        // Who does not read what was asked for is not listened to.
        session.room().await;
        match messages.next().await {
            Ok(Message::Binary(frame)) => session.on_frame(frame),
            Ok(Message::Ping(payload)) => pings.add(payload),
            Ok(Message::Pong) => {}
            Ok(Message::Text) => return End::Close(Close::new(1003, "frames of the policy wire are binary messages")),
            Ok(Message::Close(code)) => return End::Goodbye(code),
            Err(ReadEnd::Gone) => return End::Gone,
            Err(ReadEnd::TooLarge) => {
                return End::Close(Close::new(1009, &format!("a message has more than {max} bytes")));
            }
            Err(ReadEnd::Protocol(what)) => return End::Close(Close::new(1002, &what)),
        }
    }
}

async fn send(session: &Session, writer: &mut (impl AsyncWrite + Unpin), pings: &Pings) -> End {
    let mut ping = interval_at(Instant::now() + PING, PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let sent = tokio::select! {
            biased;
            payload = pings.next() => write::pong(writer, payload).await,
            outgoing = session.outbox().next() => match outgoing {
                Outgoing::Frame(frame) => {
                    let writing = std::pin::pin!(write::binary(writer, frame));
                    match unless_stalled(session, writing).await {
                        Some(sent) => sent,
                        None => return End::Close(Close::new(1008, "the client reads too slowly")),
                    }
                }
                Outgoing::Close(close) => return End::Close(close),
            },
            _ = ping.tick() => write::ping(writer).await,
        };
        if sent.is_err() {
            return End::Gone;
        }
    }
}

/// The result, or none if it takes for ever while more and more waits behind it.
async fn unless_stalled<T>(session: &Session, mut writing: impl Future<Output = T> + Unpin) -> Option<T> {
    loop {
        tokio::select! {
            biased;
            done = &mut writing => return Some(done),
            () = sleep(STALLED) => if !session.has_room() {
                return None;
            }
        }
    }
}
