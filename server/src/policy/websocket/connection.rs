//! One WebSocket, from its upgrade to its end.
//!
//! One task reads and writes, so that a reply needs no other thread; but neither waits for the other, so that an action
//! counts while a picture is on its way.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::policy::outbox::{Outbox, Outgoing};
use crate::policy::service::Service;
use crate::policy::session::Session;
use crate::websocket::{Close, Frame, LINGER, Message, Messages, Pings, ReadEnd, farewell, write};

/// Period of pings. Nobody is hung up on because of a pong that is late: an application may keep its own socket waiting.
/// The kernel gives up who does not even acknowledge them, after a quarter of an hour.
const PING: Duration = Duration::from_secs(20);

/// How long a client that has asked for more than it reads may go on reading nothing.
const STALLED: Duration = Duration::from_secs(20);

/// Serves a client until one side ends the connection.
pub(super) async fn serve<R, W>(
    service: &Service,
    session: Session,
    mut reader: R,
    mut writer: W,
    shutdown: CancellationToken,
) where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let _counted = service.stats.metrics().client("policy");
    let mut messages = Messages::new(&mut reader, service.config.max_message);
    let pings = Pings::default();
    let (peer, outbox) = (session.peer(), Arc::clone(session.outbox()));
    let close = {
        let mut sending = pin!(send(&outbox, &mut writer, &pings));
        // Who ends it: the client, with what is to be said to that, or we.
        let (by_client, close) = tokio::select! {
            biased;
            close = receive(&session, &mut messages, &pings, service.config.max_message) => (true, close),
            close = &mut sending => (false, close),
            // A client that does not read is not waited for.
            () = async { shutdown.cancelled().await; sleep(LINGER / 5).await } => (false, None),
        };
        if let Some(close) = &close {
            outbox.hang_up(close.clone());
        }
        // First the session, so that the robot knows at once; then the socket, which may take its time.
        drop(session);
        match close {
            // The message under way has to end first.
            Some(_) if by_client => timeout(LINGER, sending).await.ok().flatten(),
            close => close,
        }
    };
    let Some(close) = close else { return };
    tracing::debug!(client = %peer, code = close.code, reason = close.reason, "closing");
    farewell(&mut reader, &mut writer, &close, &shutdown).await;
}

/// Hears the client until it ends; what is to be said to that, if it can hear it.
async fn receive(
    session: &Session,
    messages: &mut Messages<impl AsyncRead + Unpin>,
    pings: &Pings,
    max: usize,
) -> Option<Close> {
    loop {
        // Who does not read what was asked for is not listened to.
        session.room().await;
        match messages.next().await {
            Ok(Message::Binary(frame)) => session.on_frame(frame),
            Ok(Message::Ping(payload)) => pings.add(payload),
            Ok(Message::Pong) => {}
            Ok(Message::Text(_)) => return Some(Close::new(1003, "frames of the policy wire are binary messages")),
            Ok(Message::Close(code)) => return Some(Close::answer(code)),
            Err(ReadEnd::Gone) => return None,
            Err(ReadEnd::TooLarge) => return Some(Close::new(1009, &format!("a message has more than {max} bytes"))),
            Err(ReadEnd::Protocol(what)) => return Some(Close::new(1002, &what)),
        }
    }
}

/// Sends what waits until there is nothing more but a farewell, which is left to be sent; none if nothing can be sent.
async fn send(outbox: &Outbox, writer: &mut (impl AsyncWrite + Unpin), pings: &Pings) -> Option<Close> {
    let mut ping = interval_at(Instant::now() + PING, PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = tokio::select! {
            biased;
            payload = pings.next() => Next::Pong(payload),
            outgoing = outbox.next() => match outgoing {
                Outgoing::Frame(frame) => Next::Frame(frame),
                Outgoing::Close(close) => return Some(close),
            },
            _ = ping.tick() => Next::Ping,
        };
        let writing = async {
            match next {
                Next::Frame(frame) => write::binary(writer, frame).await,
                Next::Ping => write::ping(writer).await,
                Next::Pong(payload) => write::pong(writer, payload).await,
            }
        };
        // In the middle of a message there is no way to say why it ends.
        unless_stalled(outbox, writing).await?.ok()?;
    }
}

/// What goes into the socket next.
enum Next {
    Frame(Frame),
    Ping,
    Pong(Bytes),
}

/// The result, or none if it takes for ever while more and more waits behind it.
async fn unless_stalled<T>(outbox: &Outbox, writing: impl Future<Output = T>) -> Option<T> {
    let mut writing = pin!(writing);
    loop {
        tokio::select! {
            biased;
            done = &mut writing => return Some(done),
            () = sleep(STALLED) => if outbox.is_full_or_closed() {
                tracing::info!("hanging up on a policy client that reads nothing");
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_ping_goes_out_every_twenty_seconds_and_nobody_is_hung_up_on_for_a_missing_pong() {
        let (outbox, pings, (mut ours, mut theirs)) = (Outbox::default(), Pings::default(), duplex(4096));
        let begin = Instant::now();
        let mut sending = pin!(send(&outbox, &mut ours, &pings));
        for n in 1..=60 {
            let mut ping = [0; 2];
            tokio::select! {
                _ = &mut sending => panic!("hung up"),
                read = theirs.read_exact(&mut ping) => assert_eq!(read.unwrap(), 2),
            }
            assert_eq!((ping, begin.elapsed().as_secs()), ([0x89, 0], 20 * n));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_is_hung_up_on_only_if_more_and_more_waits() {
        let (outbox, pings, (mut ours, _theirs)) = (Outbox::default(), Pings::default(), duplex(16));
        let frame = || Frame::new(vec![0; 1000]);
        outbox.push(frame());
        let mut sending = pin!(send(&outbox, &mut ours, &pings));
        tokio::select! {
            _ = &mut sending => panic!("it has asked for one frame, and may take its time"),
            () = sleep(Duration::from_secs(3600)) => {}
        }
        // Beyond the bound, too.
        for _ in 0..1000 {
            outbox.push(frame());
        }
        let begin = Instant::now();
        assert_eq!(sending.await, None);
        assert!(begin.elapsed() <= STALLED + Duration::from_secs(1), "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_farewell_waits_for_the_message_under_way_and_for_no_other() {
        let (outbox, pings, (mut ours, mut theirs)) = (Outbox::default(), Pings::default(), duplex(16));
        (0..3).for_each(|_| outbox.push(Frame::new(vec![7; 100])));
        let mut sending = pin!(send(&outbox, &mut ours, &pings));
        tokio::select! {
            _ = &mut sending => panic!("nobody reads"),
            () = sleep(Duration::from_secs(1)) => {}
        }
        outbox.hang_up(Close::new(1009, "too large"));
        let mut message = [0; 102];
        let (close, read) = tokio::join!(sending, theirs.read_exact(&mut message));
        assert_eq!((close, read.unwrap()), (Some(Close::new(1009, "too large")), 102));
        assert_eq!(message[..3], [0x82, 100, 7]);
    }
}
