//! Pixel buffers that come back once no reader holds them any more.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// Buffers for the pictures and depth maps of one camera.
///
/// Grows up to its bound while readers hold frames; then there is no buffer until a reader lets one go, and the writer
/// drops its newest frame. Nothing is allocated for pixels once the pool has grown to what the readers need.
#[derive(Debug)]
pub struct FramePool {
    pixels: usize,
    depths: usize,
    bound: usize,
    lent: Vec<(Bytes, Arc<[f32]>)>,
}

/// A picture and its depth map while they are drawn. Contents are those of an earlier frame.
#[derive(Debug)]
pub struct FrameBuffers {
    rgb: BytesMut,
    depth: Arc<[f32]>,
}

impl FrameBuffers {
    /// RGB bytes and depths in metres, to write to.
    pub fn planes(&mut self) -> (&mut [u8], &mut [f32]) {
        (&mut self.rgb, Arc::make_mut(&mut self.depth))
    }
}

impl FramePool {
    /// A pool for frames of this many pixels with at most `bound` frames in the hands of readers.
    pub fn new(pixels: usize, bound: usize) -> Self {
        Self { pixels, depths: pixels, bound, lent: Vec::with_capacity(bound) }
    }

    /// As [`FramePool::new`] for cameras that know no depth; theirs is empty.
    pub fn without_depth(pixels: usize, bound: usize) -> Self {
        Self { depths: 0, ..Self::new(pixels, bound) }
    }

    /// Buffers that nobody reads, or none when readers hold as many frames as the pool may have.
    pub fn take(&mut self) -> Option<FrameBuffers> {
        // The one lent last is the likeliest to be in the processor's cache.
        let free = self.lent.iter_mut().rposition(|(rgb, depth)| rgb.is_unique() && Arc::get_mut(depth).is_some());
        if let Some(index) = free {
            let (rgb, depth) = self.lent.remove(index);
            if let Ok(rgb) = rgb.try_into_mut() {
                return Some(FrameBuffers { rgb, depth });
            }
        }
        (self.lent.len() < self.bound).then(|| FrameBuffers {
            rgb: BytesMut::zeroed(self.pixels * 3),
            depth: std::iter::repeat_n(0.0, self.depths).collect(),
        })
    }

    /// The finished planes for publishing. They return to the pool when the last reader drops them.
    pub fn lend(&mut self, buffers: FrameBuffers) -> (Bytes, Arc<[f32]>) {
        let planes = (buffers.rgb.freeze(), buffers.depth);
        self.lent.push(planes.clone());
        planes
    }
}

/// Buffers of one size for copies of arrays, as [`FramePool`] otherwise.
#[derive(Debug)]
pub(super) struct ArrayPool {
    size: usize,
    bound: usize,
    lent: Vec<Bytes>,
}

impl ArrayPool {
    /// A pool for arrays of that many bytes with at most `bound` of them in the hands of readers.
    pub(super) fn new(size: usize, bound: usize) -> Self {
        Self { size, bound, lent: Vec::new() }
    }

    /// Zeros to begin with. They do not count: the hub gives them back with the first array.
    pub(super) fn zeros(&self) -> Bytes {
        BytesMut::zeroed(self.size).freeze()
    }

    /// A copy of `bytes`, which have the pool's size; or none when readers hold as many as the pool may have.
    pub(super) fn copy(&mut self, bytes: &[u8]) -> Option<Bytes> {
        // The one lent last is the likeliest to be in the processor's cache.
        let free = self.lent.iter().rposition(Bytes::is_unique).map(|index| self.lent.remove(index));
        let mut buffer = match free.map(Bytes::try_into_mut) {
            Some(Ok(buffer)) => buffer,
            _ if self.lent.len() < self.bound => BytesMut::with_capacity(self.size),
            _ => return None,
        };
        buffer.clear();
        buffer.extend_from_slice(bytes);
        let copy = buffer.freeze();
        self.lent.push(copy.clone());
        Some(copy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_use_the_same_memory_again_once_nobody_reads_it_and_are_bounded() {
        let mut pool = ArrayPool::new(3, 2);
        let (first, second) = (pool.copy(b"abc").unwrap(), pool.copy(b"def").unwrap());
        assert!(pool.copy(b"ghi").is_none(), "readers hold both");
        assert_eq!((&first[..], &second[..]), (&b"abc"[..], &b"def"[..]));
        let places = [first.as_ptr(), second.as_ptr()];
        drop(first);
        assert_eq!(pool.copy(b"ghi").unwrap().as_ptr(), places[0]);
        drop(second);
        for _ in 0..100 {
            let copy = pool.copy(b"xyz").unwrap();
            assert!(places.contains(&copy.as_ptr()) && copy == b"xyz"[..]);
        }
        assert_eq!(ArrayPool::new(3, 1).zeros(), [0; 3][..]);
    }

    #[test]
    fn a_buffer_comes_back_when_its_last_reader_lets_it_go() {
        let mut pool = FramePool::new(4, 1);
        let mut buffers = pool.take().unwrap();
        buffers.planes().0[0] = 7;
        let place = buffers.planes().0.as_ptr();
        let (rgb, depth) = pool.lend(buffers);
        assert_eq!((rgb[0], rgb.len(), depth.len()), (7, 12, 4));

        let reader = rgb.clone();
        drop((rgb, depth));
        assert!(pool.take().is_none(), "a reader still holds the picture");
        drop(reader);
        assert_eq!(pool.take().unwrap().planes().0.as_ptr(), place, "the same memory again");
    }

    #[test]
    fn a_depth_map_that_is_read_keeps_its_frame_lent() {
        let mut pool = FramePool::new(4, 1);
        let buffers = pool.take().unwrap();
        let (_, depth) = pool.lend(buffers);
        assert!(pool.take().is_none());
        drop(depth);
        assert!(pool.take().is_some());
    }

    #[test]
    fn the_pool_grows_to_its_bound_and_no_further() {
        let mut pool = FramePool::new(4, 3);
        let held: Vec<_> = (0..3)
            .map(|_| {
                let buffers = pool.take().unwrap();
                pool.lend(buffers)
            })
            .collect();
        assert!(pool.take().is_none());
        drop(held);
        assert!(pool.take().is_some());
    }
}
