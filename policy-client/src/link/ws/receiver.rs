//! The receiving half.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::AsyncReadExt;

use super::Read;
use super::head::{Head, Opcode};
use super::sender::Socket;
use crate::Lost;
use crate::link::pool::{Message, Pool};

/// Bytes read at once while it is not known what they are. Longer messages are read to where they stay.
const INBOX: usize = 16 << 10;

/// Receives frames.
pub(crate) struct Receiver {
    read: Read,
    /// What was read and not looked at yet.
    inbox: BytesMut,
    stage: Stage,
    /// A message of which a part was received, if it is a long one or came in fragments.
    message: Option<Message>,
    pool: Pool,
    /// For pongs.
    socket: Arc<Socket>,
    max_message: usize,
}

#[derive(Clone, Copy)]
enum Stage {
    /// A head comes next.
    Head,
    /// So many bytes of the message come next, and whether they end it.
    Body { left: usize, last: bool },
}

impl Receiver {
    pub(super) fn new(read: Read, early: &[u8], socket: Arc<Socket>, max_message: usize) -> Self {
        let mut inbox = BytesMut::with_capacity(INBOX.max(early.len()));
        inbox.extend_from_slice(early);
        Self { read, inbox, stage: Stage::Head, message: None, pool: Pool::default(), socket, max_message }
    }

    /// The next message; what was received of it stays if the future is dropped.
    pub(crate) async fn next(&mut self) -> Result<Bytes, Lost> {
        loop {
            match self.stage {
                Stage::Head => {
                    if let Some(message) = self.on_head()? {
                        return Ok(message);
                    }
                    if matches!(self.stage, Stage::Head) {
                        self.inbox.reserve(INBOX);
                        let n = received(self.read.read_buf(&mut self.inbox).await)?;
                        self.socket.heard.fetch_add(n as u64, Ordering::Relaxed);
                    }
                }
                Stage::Body { left: 0, last } => {
                    self.stage = Stage::Head;
                    if let Some(message) = self.message.take_if(|_| last) {
                        return Ok(message.freeze());
                    }
                }
                Stage::Body { left, last } => {
                    let Some(message) = &mut self.message else {
                        return Err(Lost::Protocol("a part of no message".to_owned()));
                    };
                    let early = left.min(self.inbox.len());
                    let n = if early > 0 {
                        message.bytes().extend_from_slice(&self.inbox[..early]);
                        self.inbox.advance(early);
                        early
                    } else {
                        let n = received(self.read.read_buf(&mut message.bytes().limit(left)).await)?;
                        self.socket.heard.fetch_add(n as u64, Ordering::Relaxed);
                        n
                    };
                    self.stage = Stage::Body { left: left - n, last };
                }
            }
        }
    }

    /// Handles heads and short frames in the inbox, until a message is whole, a long one begins, or more must be read.
    fn on_head(&mut self) -> Result<Option<Bytes>, Lost> {
        while let Some((head, used)) = Head::read(&self.inbox)? {
            let body = usize::try_from(head.len).unwrap_or(usize::MAX);
            let whole = self.inbox.len() - used >= body;
            if head.opcode.is_control() {
                if !whole {
                    return Ok(None);
                }
                self.inbox.advance(used);
                let payload = self.inbox.split_to(body);
                self.on_control(head.opcode, &payload)?;
                continue;
            }
            if (head.opcode == Opcode::Continuation) != self.message.is_some() {
                return Err(Lost::Protocol("the WebSocket has fragments of several messages at once".to_owned()));
            }
            let so_far = self.message.as_ref().map_or(0, Message::len);
            if so_far.saturating_add(body) > self.max_message {
                self.socket.close(1009);
                let len = (so_far as u64).saturating_add(head.len);
                return Err(Lost::TooLong { len, limit: self.max_message });
            }
            // Where the payload will begin is known from the first four bytes.
            if self.message.is_none() && self.inbox.len() - used < body.min(4) {
                return Ok(None);
            }
            self.inbox.advance(used);
            if self.message.is_none() && head.last && whole {
                let message = Bytes::copy_from_slice(&self.inbox[..body]);
                self.inbox.advance(body);
                return Ok(Some(message));
            }
            self.make_room(body)?;
            self.stage = Stage::Body { left: body, last: head.last };
            return Ok(None);
        }
        Ok(None)
    }

    /// Room for `len` bytes more of the message.
    fn make_room(&mut self, len: usize) -> Result<(), Lost> {
        let no_memory = || Lost::Network(format!("no memory for a message of {len} bytes"));
        match &mut self.message {
            Some(message) => message.bytes().try_reserve(len).map_err(|_| no_memory()),
            None => {
                let mut message = self.pool.take(len).ok_or_else(no_memory)?;
                if let Some(header) = self.inbox.first_chunk() {
                    let header = usize::try_from(u32::from_le_bytes(*header)).unwrap_or(0);
                    message.align(header.saturating_add(4));
                }
                self.message = Some(message);
                Ok(())
            }
        }
    }

    fn on_control(&self, opcode: Opcode, payload: &[u8]) -> Result<(), Lost> {
        match opcode {
            Opcode::Ping => self.socket.send(Opcode::Pong, payload),
            Opcode::Close => {
                let (code, reason) = match payload.split_first_chunk() {
                    Some((code, reason)) => (u16::from_be_bytes(*code), String::from_utf8_lossy(reason).into_owned()),
                    None => (1005, String::new()),
                };
                self.socket.close(if code == 1005 { 1000 } else { code });
                Err(Lost::Closed { code, reason })
            }
            _ => Ok(()),
        }
    }
}

fn received(result: std::io::Result<usize>) -> Result<usize, Lost> {
    match result {
        Ok(0) => Err(Lost::Network("the connection ended".to_owned())),
        Ok(n) => Ok(n),
        Err(error) => Err(Lost::Network(error.to_string())),
    }
}
