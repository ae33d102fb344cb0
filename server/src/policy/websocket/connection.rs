//! One WebSocket, from its upgrade to its end.
//!
//! One task reads and writes, so that a reply needs no other thread; but neither waits for the other, so that an action
//! counts while a picture is on its way.

use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::read::{Message, Messages, ReadEnd};
use super::write;
use crate::policy::outbox::{Close, Frame, Outgoing};
use crate::policy::service::Service;
use crate::policy::session::Session;

/// Period of pings. Nobody is hung up on because of a pong that is late: an application may keep its own socket waiting.
/// The kernel gives up who does not even acknowledge them, after a quarter of an hour.
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
        let next = tokio::select! {
            biased;
            payload = pings.next() => Next::Pong(payload),
            outgoing = session.outbox().next() => match outgoing {
                Outgoing::Frame(frame) => Next::Frame(frame),
                Outgoing::Close(close) => return End::Close(close),
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
        match unless_stalled(session, writing).await {
            Some(Ok(())) => {}
            Some(Err(_)) => return End::Gone,
            None => return End::Close(Close::new(1008, "the client reads too slowly")),
        }
    }
}

/// What goes into the socket next.
enum Next {
    Frame(Frame),
    Ping,
    Pong(Bytes),
}

/// The result, or none if it takes for ever while more and more waits behind it.
async fn unless_stalled<T>(session: &Session, writing: impl Future<Output = T>) -> Option<T> {
    let mut writing = pin!(writing);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, duplex};
    use tokio::runtime::Handle;
    use waldo_protocol::policy::AppMap;

    use super::*;
    use crate::policy::PolicyConfig;
    use crate::policy::robot::{ActionData, Observation, PolicyError, PolicyRobot};
    use crate::policy::session::Link;
    use crate::sensors::SensorHub;

    struct Still;

    impl PolicyRobot for Still {
        fn reset(&self) -> Result<(Observation, AppMap), PolicyError> {
            Err("it stands".into())
        }

        fn apply_action(&self, _: &ActionData) -> Result<(), PolicyError> {
            Err("it stands".into())
        }
    }

    fn session() -> Session {
        let (config, hub) = (PolicyConfig::default(), SensorHub::default());
        let service = Service::start(config, hub, Arc::new(Still), AppMap::default(), Handle::current()).unwrap();
        service.connect("test", Link { extensions: true, closes: true }).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_goes_out_every_twenty_seconds_and_nobody_is_hung_up_on_for_a_missing_pong() {
        let (session, pings, (mut ours, mut theirs)) = (session(), Pings::default(), duplex(4096));
        let begin = Instant::now();
        let mut sending = pin!(send(&session, &mut ours, &pings));
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
        let (session, pings, (mut ours, _theirs)) = (session(), Pings::default(), duplex(16));
        let frame = || Frame::new(vec![0; 1000]);
        session.outbox().push(frame());
        let mut sending = pin!(send(&session, &mut ours, &pings));
        let hour = sleep(Duration::from_secs(3600));
        tokio::select! {
            _ = &mut sending => panic!("it has asked for one frame, and may take its time"),
            () = hour => {}
        }
        while session.has_room() {
            session.outbox().push(frame());
        }
        let begin = Instant::now();
        assert!(matches!(sending.await, End::Close(Close { code: 1008, .. })));
        assert!(begin.elapsed() <= STALLED + Duration::from_secs(1), "{:?}", begin.elapsed());
    }
}
