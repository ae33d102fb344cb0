//! How a connection ends.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, copy, sink};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::write;

/// How long a client may take to read why it is hung up on.
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// Longest reason that fits into a close frame, bytes.
const MAX_REASON: usize = 123;

/// Why the server ends a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Close {
    /// Code of the WebSocket protocol.
    pub(crate) code: u16,
    /// For people; at most 123 bytes.
    pub(crate) reason: String,
}

impl Close {
    pub(crate) fn new(code: u16, reason: &str) -> Self {
        Self { code, reason: reason[..reason.floor_char_boundary(MAX_REASON)].to_owned() }
    }

    /// What answers the farewell of a client that gave this code; not every one may be sent.
    pub(crate) fn answer(code: Option<u16>) -> Self {
        let code = code.filter(|code| matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999));
        Self::new(code.unwrap_or(1000), "")
    }
}

/// Says why, and gives the client [`LINGER`] to read it; less once `shutdown` was asked for.
pub(crate) async fn farewell(
    reader: &mut (impl AsyncRead + Unpin),
    writer: &mut (impl AsyncWrite + Unpin),
    close: &Close,
    shutdown: &CancellationToken,
) {
    let farewell = async {
        if write::close(writer, close).await.is_ok() {
            // A reset of the socket would overtake the reason, and comes if anything is left unread, such as the rest of a
            // message that is too large. The client hangs up when it sees that nothing follows.
            let _ = copy(reader, &mut sink()).await;
        }
    };
    tokio::select! {
        _ = timeout(LINGER, farewell) => {}
        () = async { shutdown.cancelled().await; sleep(LINGER / 10).await } => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let close = Close::new(1011, &"é".repeat(100));
        assert_eq!(close.reason.len(), 122);
    }
}
