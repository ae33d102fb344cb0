//! One socket on `/ws`, from upgrade to close.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::stream::SplitStream;
use futures_util::{Sink, SinkExt, StreamExt};
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;
use waldo_protocol::vr::{ClientMessage, Refusal, RefusalKind, dispatch};

use super::bucket::Bucket;
use super::negotiation::Negotiation;
use super::outbox::Outbox;
use super::service::Service;
use super::session::{Client, ConnId};
use crate::clock;

/// Largest message a client may send.
pub(super) const MAX_MESSAGE: usize = 1 << 20;

/// Period of pings, and how long a pong may take. Liveness of the driver is judged by poses, not by these: tighter
/// pings kill healthy links under video load.
const PING: Duration = Duration::from_secs(20);

/// How long a refused client may take to read why.
const LINGER: Duration = Duration::from_secs(1);

/// Messages other than poses and stops that one socket may send. A page sends fewer than five per second, and a few
/// more when it connects; beyond it they are dropped and counted.
const WORDS_PER_SECOND: f64 = 30.0;
const WORDS_AT_ONCE: f64 = 60.0;

/// Why a connection ends from our side.
enum End {
    /// The client closed, or its link broke.
    Gone,
    /// A message above [`MAX_MESSAGE`].
    TooLarge,
    /// The client reads too slowly, or answers no pings.
    Unresponsive,
    /// The server stops.
    Shutdown,
}

/// Serves one client until it leaves or `shutdown` resolves.
pub(super) async fn serve(service: Arc<Service>, socket: WebSocket, shutdown: CancellationToken) {
    let outbox = Arc::<Outbox>::default();
    let (kick, video_changed) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let client = Client::new(Arc::clone(&outbox), Arc::clone(&kick), Arc::clone(&video_changed));
    let drives = Arc::clone(&client.drives);
    let conn = service.join(client);
    let _counted = service.metrics.client("vr");
    tracing::info!(conn = conn.0, "client connected");
    let (mut sink, mut stream) = socket.split();
    let alive = AtomicBool::new(true);
    let mut negotiation = Negotiation::new(Arc::clone(&service), conn, drives);
    let end = tokio::select! {
        end = receive(&service, conn, &mut stream, &alive, &mut negotiation, &video_changed) => end,
        end = send(&mut sink, &outbox, &alive) => end,
        () = kick.notified() => End::Unresponsive,
        () = shutdown.cancelled() => End::Shutdown,
    };
    // First the stream, so that the arms hold at once; then the socket, which may take its time.
    service.leave(conn);
    negotiation.close().await;
    // What to say, for how long at most, and how long to rest when nothing more is to be read.
    let farewell = match end {
        End::Gone => None,
        // The rest of the message is not read, so that the client is not seen hanging up.
        End::TooLarge => Some((1009, "message above 1 MiB", LINGER, LINGER)),
        End::Unresponsive => {
            Some((1008, "the client reads too slowly or answers no pings", LINGER / 10, Duration::ZERO))
        }
        End::Shutdown => Some((1001, "the server stops", LINGER / 10, Duration::ZERO)),
    };
    if let Some((code, reason, limit, rest)) = farewell {
        tracing::info!(conn = conn.0, code, reason, "closing");
        let close = Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }));
        let farewell = async {
            if sink.send(close).await.is_ok() {
                // A reset of the socket would overtake the reason; wait until the client has hung up.
                while let Some(Ok(_)) = stream.next().await {}
                sleep(rest).await;
            }
        };
        tokio::select! {
            _ = tokio::time::timeout(limit, farewell) => {}
            () = shutdown.cancelled(), if !matches!(end, End::Shutdown) => {}
        }
    }
    tracing::info!(conn = conn.0, "client disconnected");
}

async fn send(sink: &mut (impl Sink<Message> + Unpin), outbox: &Outbox, alive: &AtomicBool) -> End {
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let message = tokio::select! {
            text = outbox.next() => Message::Text(text),
            _ = ping.tick() => {
                if !alive.swap(false, Ordering::Relaxed) {
                    return End::Unresponsive;
                }
                Message::Ping(Vec::new().into())
            }
        };
        if sink.send(message).await.is_err() {
            return End::Gone;
        }
    }
}

async fn receive(
    service: &Service,
    conn: ConnId,
    stream: &mut SplitStream<WebSocket>,
    alive: &AtomicBool,
    negotiation: &mut Negotiation,
    video_changed: &Notify,
) -> End {
    let mut words = Bucket::new(WORDS_PER_SECOND, WORDS_AT_ONCE);
    loop {
        let message = tokio::select! {
            biased;
            message = stream.next() => message,
            () = negotiation.progress() => continue,
            () = video_changed.notified() => {
                negotiation.video_changed();
                continue;
            }
        };
        match message {
            Some(Ok(Message::Text(text))) => on_text(service, conn, &text, &mut words, negotiation),
            Some(Ok(Message::Binary(_))) => service.refuse(conn, &BINARY),
            Some(Ok(Message::Pong(_))) => alive.store(true, Ordering::Relaxed),
            Some(Ok(Message::Ping(_))) => {}
            Some(Ok(Message::Close(_))) | None => return End::Gone,
            Some(Err(error)) => return if is_too_large(&error) { End::TooLarge } else { End::Gone },
        }
    }
}

const BINARY: Refusal = Refusal {
    kind: RefusalKind::Binary,
    field: "message",
    detail: std::borrow::Cow::Borrowed("binary; text expected"),
};

fn on_text(service: &Service, conn: ConnId, text: &str, words: &mut Bucket, negotiation: &mut Negotiation) {
    match dispatch(text) {
        // Poses have a limit of their own, and a stop always passes.
        Ok(ClientMessage::Pose(frame)) => service.accept(conn, &frame),
        Ok(ClientMessage::Stop(stop)) => service.on_stop(conn, stop),
        Ok(_) if !words.take(clock::now()) => service.complain(conn, "too_many", &"too many messages in a second"),
        Ok(ClientMessage::Hud(value)) => service.publish_hud(conn, value),
        Ok(ClientMessage::Hello(hello)) => service.hello(conn, &hello),
        Ok(ClientMessage::Lease(request)) => service.on_lease(conn, request),
        Ok(ClientMessage::Motion(scale)) => service.on_motion(conn, scale),
        Ok(ClientMessage::Ping(ping)) => service.on_ping(conn, ping, clock::now()),
        Ok(message) => negotiation.on_message(message),
        Err(refusal) => service.refuse(conn, &refusal),
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(tungstenite) = error.downcast_ref::<tungstenite::Error>() {
            return matches!(tungstenite, tungstenite::Error::Capacity(_));
        }
        source = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use futures_util::sink::unfold;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_ping_goes_out_every_twenty_seconds_and_its_pong_may_take_as_long() {
        let (begin, alive, outbox) = (Instant::now(), AtomicBool::new(true), Outbox::default());
        let mut pings = Vec::new();
        let note = |(), message| {
            assert!(matches!(message, Message::Ping(_)), "{message:?}");
            pings.push(begin.elapsed().as_secs());
            async { Ok::<_, axum::Error>(()) }
        };
        let mut sink = Box::pin(unfold((), note));
        let mut answered = interval(Duration::from_secs(1));
        let mut sending = Box::pin(send(&mut sink, &outbox, &alive));
        let end = loop {
            tokio::select! {
                end = &mut sending => break end,
                // A client that answers for fifty seconds, and then no more.
                _ = answered.tick(), if begin.elapsed() < Duration::from_secs(50) => alive.store(true, Ordering::Relaxed),
            }
        };
        drop(sending);
        drop(sink);
        assert!(matches!(end, End::Unresponsive));
        assert_eq!((pings, begin.elapsed().as_secs()), (vec![0, 20, 40, 60], 80));
    }
}
