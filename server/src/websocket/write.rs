//! Frames into a socket: the parts of a message go to the kernel from where they lie.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::{Close, Frame};

const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Sends a frame of the wire as one message.
pub(crate) async fn binary(stream: &mut (impl AsyncWrite + Unpin), mut frame: Frame) -> io::Result<()> {
    frame.prepend(head(BINARY, frame.len()));
    // With as few calls as possible, several parts in each.
    stream.write_all_buf(&mut frame).await?;
    stream.flush().await
}

/// Sends a frame as one message of text.
pub(crate) async fn text(stream: &mut (impl AsyncWrite + Unpin), mut frame: Frame) -> io::Result<()> {
    frame.prepend(head(TEXT, frame.len()));
    stream.write_all_buf(&mut frame).await?;
    stream.flush().await
}

/// Says goodbye; nothing follows.
pub(crate) async fn close(stream: &mut (impl AsyncWrite + Unpin), close: &Close) -> io::Result<()> {
    let mut payload = BytesMut::with_capacity(2 + close.reason.len());
    payload.put_u16(close.code);
    payload.extend_from_slice(close.reason.as_bytes());
    control(stream, CLOSE, payload.freeze()).await?;
    stream.shutdown().await
}

pub(crate) async fn ping(stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    control(stream, PING, Bytes::new()).await
}

pub(crate) async fn pong(stream: &mut (impl AsyncWrite + Unpin), payload: Bytes) -> io::Result<()> {
    control(stream, PONG, payload).await
}

async fn control(stream: &mut (impl AsyncWrite + Unpin), opcode: u8, payload: Bytes) -> io::Result<()> {
    let mut message = BytesMut::from(&*head(opcode, payload.len()));
    message.extend_from_slice(&payload);
    stream.write_all(&message).await?;
    stream.flush().await
}

/// The head of a message in one piece, without a mask as servers send it: flags and type, then the length in 1, 3 or 9
/// bytes.
fn head(opcode: u8, len: usize) -> Bytes {
    let mut head = BytesMut::with_capacity(10);
    head.put_u8(0x80 | opcode);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short @ 0..126), _) => head.put_u8(short),
        (_, Ok(len)) => {
            head.put_u8(126);
            head.put_u16(len);
        }
        _ => {
            head.put_u8(127);
            head.put_u64(len as u64);
        }
    }
    head.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_takes_as_many_bytes_as_it_needs() {
        assert_eq!(head(BINARY, 0)[..], [0x82, 0]);
        assert_eq!(head(BINARY, 125)[..], [0x82, 125]);
        assert_eq!(head(PING, 126)[..], [0x89, 126, 0, 126]);
        assert_eq!(head(BINARY, 65535)[..], [0x82, 126, 255, 255]);
        assert_eq!(head(BINARY, 65536)[..], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
