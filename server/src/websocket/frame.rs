//! A message in parts.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf, Bytes};

/// A message in parts that follow each other: what is long stays where it is and is shared.
#[derive(Clone, Debug, Default)]
pub(crate) struct Frame {
    parts: VecDeque<Bytes>,
    len: usize,
}

impl Frame {
    /// A frame that is one piece.
    pub(crate) fn new(bytes: impl Into<Bytes>) -> Self {
        let mut frame = Self::default();
        frame.add(bytes.into());
        frame
    }

    /// Appends a part.
    pub(crate) fn add(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.len += part.len();
            self.parts.push_back(part);
        }
    }

    /// Puts something before it.
    pub(crate) fn prepend(&mut self, part: Bytes) {
        self.len += part.len();
        self.parts.push_front(part);
    }

    /// Whether it has parts beside its header.
    pub(crate) fn is_shared(&self) -> bool {
        self.parts.len() > 1
    }

    /// Length, bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Its parts in order.
    #[cfg_attr(not(feature = "zenoh"), expect(dead_code, reason = "for Zenoh"))]
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Bytes> {
        self.parts.iter()
    }

    /// Its parts in order.
    #[allow(dead_code, reason = "for transports that do not write slices")]
    pub(crate) fn into_parts(self) -> impl Iterator<Item = Bytes> {
        self.parts.into_iter()
    }
}

/// Reading moves on over the parts; none is copied.
impl Buf for Frame {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&[], |part| part)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let parts = slices.iter_mut().zip(&self.parts);
        parts.map(|(slice, part)| *slice = IoSlice::new(part)).count()
    }

    fn advance(&mut self, count: usize) {
        assert!(count <= self.len, "beyond the frame's end");
        self.len -= count;
        let mut left = count;
        while let Some(part) = self.parts.front_mut() {
            if left < part.len() {
                part.advance(left);
                return;
            }
            left -= part.len();
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_over_the_borders_of_its_parts() {
        let mut read = Frame::default();
        ["ab", "", "cde", "f"].iter().for_each(|part| read.add(Bytes::from_static(part.as_bytes())));
        read.prepend(Bytes::from_static(b"-"));
        assert_eq!(read.len(), 7);
        let mut slices = [IoSlice::new(&[]); 3];
        assert_eq!(read.chunks_vectored(&mut slices), 3);
        assert_eq!(slices.iter().map(|slice| slice.len()).collect::<Vec<_>>(), [1, 2, 3]);
        read.advance(2);
        assert_eq!((read.remaining(), read.chunk()), (5, &b"b"[..]));
        read.advance(2);
        assert_eq!(read.copy_to_bytes(3), "def");
        assert_eq!((read.remaining(), read.chunk()), (0, &[][..]));
    }
}
