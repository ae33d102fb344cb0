//! The head of a frame of RFC 6455.

use crate::Lost;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    fn number(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The head of a frame of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) opcode: Opcode,
    /// Whether it ends its message.
    pub(super) last: bool,
    /// Bytes that follow.
    pub(super) len: u64,
}

impl Head {
    /// The head at the beginning of `bytes` and its own length; `None` as long as it is not whole.
    pub(super) fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, Lost> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let protocol = |problem: &str| Err(Lost::Protocol(format!("the WebSocket has {problem}")));
        if first & 0x70 != 0 {
            return protocol("a frame of an extension that was not agreed on");
        }
        let opcode = match first & 0x0f {
            0 => Opcode::Continuation,
            1 => return protocol("a text message; all messages are binary"),
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return protocol("a frame of unknown type"),
        };
        if second & 0x80 != 0 {
            return protocol("a masked frame, as only clients send");
        }
        let (len, used) = match second & 0x7f {
            126 => match rest.first_chunk() {
                Some(len) => (u16::from_be_bytes(*len).into(), 4),
                None => return Ok(None),
            },
            127 => match rest.first_chunk() {
                Some(len) => (u64::from_be_bytes(*len), 10),
                None => return Ok(None),
            },
            len => (len.into(), 2),
        };
        let last = first & 0x80 != 0;
        if opcode.is_control() && (!last || len > 125) {
            return protocol("a control frame that is too long");
        }
        Ok(Some((Self { opcode, last, len }, used)))
    }
}

/// Appends a whole masked frame, as clients send it.
pub(super) fn write(opcode: Opcode, payload: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    out.push(0x80 | opcode.number());
    match payload.len() {
        len @ 0..=125 => out.push(0x80 | u8::try_from(len).unwrap_or_default()),
        len => match u16::try_from(len) {
            Ok(len) => {
                out.push(0x80 | 126);
                out.extend(len.to_be_bytes());
            }
            Err(_) => {
                out.push(0x80 | 127);
                out.extend((len as u64).to_be_bytes());
            }
        },
    }
    out.extend(mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_all_three_forms_are_read_once_they_are_whole() {
        for (bytes, len) in
            [(&[0x82, 5][..], 5), (&[0x82, 126, 1, 0], 256), (&[0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0], 1 << 32)]
        {
            let head = Head { opcode: Opcode::Binary, last: true, len };
            assert_eq!(Head::read(bytes), Ok(Some((head, bytes.len()))));
            for cut in 0..bytes.len() {
                assert_eq!(Head::read(&bytes[..cut]), Ok(None));
            }
        }
        assert!(!Head::read(&[0, 0]).unwrap().unwrap().0.last);
    }

    #[test]
    fn what_no_server_may_send_is_refused() {
        for (first, second) in [(0x81, 0), (0xc2, 0), (0x83, 0), (0x82, 0x80), (0x09, 0), (0x89, 126)] {
            assert!(Head::read(&[first, second, 1, 0]).is_err(), "{first:x} {second:x}");
        }
    }

    #[test]
    fn frames_are_masked_and_keep_their_length() {
        for len in [0, 1, 125, 126, 65535, 65536] {
            let payload: Vec<u8> = (0..len).map(|i: u32| i.to_le_bytes()[0]).collect();
            let mut out = Vec::new();
            write(Opcode::Binary, &payload, [1, 2, 3, 4], &mut out);
            assert_ne!(out[1] & 0x80, 0);
            out[1] &= 0x7f;
            let (head, used) = Head::read(&out).unwrap().unwrap();
            assert_eq!(head, Head { opcode: Opcode::Binary, last: true, len: u64::from(len) });
            let masked = &out[used + 4..];
            assert_eq!(masked.len(), payload.len());
            assert!(masked.iter().zip(&payload).enumerate().all(|(i, (a, b))| a ^ b == [1, 2, 3, 4][i % 4]));
        }
    }
}
