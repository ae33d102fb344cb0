//! Buffers for long messages, used again once nobody looks at what they hold.
//!
//! A fresh buffer of some megabytes costs about as much as filling it: the system hands out its pages one by one,
//! zeroed.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;

/// Most buffers that wait to be used again.
const KEPT: usize = 4;

/// Payloads begin at a multiple of this, so that arrays in them can be seen as what they are.
const ALIGNMENT: usize = 64;

/// A buffer that waits is used for a message if it is not more than so many times too long.
const WASTE: usize = 4;

/// Buffers that wait to be used again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pool {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Pool {
    /// An empty message with room for `len` bytes; `None` if there is no memory for them.
    pub(crate) fn take(&self, len: usize) -> Option<Message> {
        let capacity = len.checked_add(ALIGNMENT)?;
        let fits = |buffer: &Vec<u8>| buffer.capacity() >= capacity && buffer.capacity() / WASTE <= capacity;
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (0..free.len()).filter(|i| fits(&free[*i])).min_by_key(|i| free[*i].capacity());
        let reused = place.map(|i| free.swap_remove(i));
        drop(free);
        let bytes = match reused {
            Some(bytes) => bytes,
            None => {
                let mut bytes = Vec::new();
                bytes.try_reserve_exact(capacity).ok()?;
                bytes
            }
        };
        Some(Message { buffer: Buffer { bytes, begin: 0, pool: Arc::downgrade(&self.free) } })
    }
}

/// A message that is being received.
#[derive(Debug)]
pub(crate) struct Message {
    buffer: Buffer,
}

impl Message {
    /// Lets the byte `offset` of the message lie aligned; only before the first byte is written.
    pub(crate) fn align(&mut self, offset: usize) {
        let buffer = &mut self.buffer;
        if buffer.bytes.is_empty() {
            buffer.begin = buffer.bytes.as_ptr().wrapping_add(offset).align_offset(ALIGNMENT) % ALIGNMENT;
            buffer.bytes.resize(buffer.begin, 0);
        }
    }

    /// Where further bytes are to be appended. It has room for as many as were asked for.
    pub(crate) fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.buffer.bytes
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> usize {
        self.buffer.bytes.len() - self.buffer.begin
    }

    /// The message, whose buffer comes back when the last look at it ends.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self.buffer)
    }
}

#[derive(Debug)]
struct Buffer {
    bytes: Vec<u8>,
    begin: usize,
    pool: Weak<Mutex<Vec<Vec<u8>>>>,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.begin..]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else { return };
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut free = pool.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() == KEPT {
            // The new one fits what comes now better than the one that waited longest.
            free.remove(0);
        }
        free.push(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_the_last_look_at_it_ends() {
        let pool = Pool::default();
        let mut message = pool.take(1000).unwrap();
        message.bytes().extend([7; 1000]);
        let first = message.freeze();
        let (place, part) = (first.as_ptr(), first.slice(10..20));
        drop(first);
        assert!(pool.free.lock().unwrap().is_empty(), "a part of it is still seen");
        assert_eq!(part[..], [7; 10]);
        drop(part);
        let mut again = pool.take(900).unwrap();
        again.bytes().push(1);
        assert_eq!(again.freeze().as_ptr(), place);
    }

    #[test]
    fn what_follows_the_header_lies_aligned() {
        let pool = Pool::default();
        for header in 0..200 {
            let mut message = pool.take(4096).unwrap();
            message.align(header);
            message.bytes().extend(vec![1; 4096]);
            assert_eq!(message.len(), 4096);
            let bytes = message.freeze();
            assert_eq!(bytes.len(), 4096);
            assert_eq!(bytes[header..].as_ptr().align_offset(ALIGNMENT), 0);
        }
        assert_eq!(pool.free.lock().unwrap().len(), 1, "one buffer did for all");
    }

    #[test]
    fn few_buffers_wait_and_none_is_much_too_long() {
        let pool = Pool::default();
        drop((0..2 * KEPT).map(|_| pool.take(100_000).unwrap()).collect::<Vec<_>>());
        assert_eq!(pool.free.lock().unwrap().len(), KEPT);
        assert!(pool.take(1000).unwrap().buffer.bytes.capacity() < 10_000);
        assert!(pool.take(usize::MAX).is_none());
    }
}
