//! Messages out of a socket.

use std::convert::Infallible;

use bytes::{Bytes, BytesMut};
use fastwebsockets::{Frame, OpCode, Payload, Role, WebSocketError, WebSocketRead, after_handshake_split};
use tokio::io::{AsyncRead, sink};

/// A message of the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Binary(Bytes),
    Text(Bytes),
    Ping(Bytes),
    Pong,
    /// Its code, if it has one.
    Close(Option<u16>),
}

/// Why there is no further message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadEnd {
    /// The link broke, or ended without a farewell.
    Gone,
    /// A message above the limit.
    TooLarge,
    /// Not the WebSocket protocol.
    Protocol(String),
}

/// The messages of a socket, in order.
pub(crate) struct Messages<R> {
    frames: WebSocketRead<R>,
    max: usize,
    /// Fragments of a message so far; whether it is text.
    begun: Option<(bool, BytesMut)>,
}

impl<R: AsyncRead + Unpin> Messages<R> {
    /// Messages of at most `max` bytes.
    pub(crate) fn new(stream: R, max: usize) -> Self {
        let (mut frames, _) = after_handshake_split(stream, sink(), Role::Server);
        frames.set_auto_close(false);
        frames.set_auto_pong(false);
        // The limit is the first length that is refused.
        frames.set_max_message_size(max.saturating_add(1));
        Self { frames, max, begun: None }
    }

    /// From the next frame on, messages may have so many bytes.
    pub(crate) fn set_max(&mut self, max: usize) {
        self.max = max;
        self.frames.set_max_message_size(max.saturating_add(1));
    }

    /// The next message. Must not be cancelled.
    pub(crate) async fn next(&mut self) -> Result<Message, ReadEnd> {
        loop {
            let frame = self.frames.read_frame(&mut nothing_to_send).await.map_err(read_end)?;
            let (fin, opcode) = (frame.fin, frame.opcode);
            let payload = match frame.payload {
                Payload::Bytes(bytes) => bytes,
                other => BytesMut::from(&*other),
            };
            match opcode {
                OpCode::Ping => return Ok(Message::Ping(payload.freeze())),
                OpCode::Pong => return Ok(Message::Pong),
                OpCode::Close => {
                    return Ok(Message::Close(payload.first_chunk().map(|code| u16::from_be_bytes(*code))));
                }
                OpCode::Text | OpCode::Binary if self.begun.is_some() => {
                    return Err(ReadEnd::Protocol("a message begins within another".to_owned()));
                }
                OpCode::Text | OpCode::Binary if !fin => self.begun = Some((opcode == OpCode::Text, payload)),
                OpCode::Text => return Ok(Message::Text(payload.freeze())),
                OpCode::Binary => return Ok(Message::Binary(payload.freeze())),
                OpCode::Continuation => {
                    if let Some(message) = self.go_on(&payload, fin)? {
                        return Ok(message);
                    }
                }
            }
        }
    }

    fn go_on(&mut self, payload: &[u8], fin: bool) -> Result<Option<Message>, ReadEnd> {
        let Some((is_text, mut begun)) = self.begun.take() else {
            return Err(ReadEnd::Protocol("a message goes on that never began".to_owned()));
        };
        if begun.len() + payload.len() > self.max {
            return Err(ReadEnd::TooLarge);
        }
        begun.extend_from_slice(payload);
        Ok(match (fin, is_text) {
            (true, true) => Some(Message::Text(begun.freeze())),
            (true, false) => Some(Message::Binary(begun.freeze())),
            (false, _) => {
                self.begun = Some((is_text, begun));
                None
            }
        })
    }
}

/// Pings and closes are answered elsewhere.
async fn nothing_to_send(_: Frame<'_>) -> Result<(), Infallible> {
    Ok(())
}

fn read_end(error: WebSocketError) -> ReadEnd {
    match error {
        WebSocketError::FrameTooLarge => ReadEnd::TooLarge,
        WebSocketError::IoError(_) | WebSocketError::UnexpectedEOF | WebSocketError::ConnectionClosed => ReadEnd::Gone,
        other => ReadEnd::Protocol(other.to_string()),
    }
}
