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

#[cfg(test)]
mod tests {
    use super::*;

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
