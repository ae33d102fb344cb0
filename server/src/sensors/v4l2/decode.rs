//! What cameras deliver, to RGB.

use waldo_protocol::time::MonoTime;
use yuv::{YuvError, YuvPackedImage, YuvRange, YuvStandardMatrix, yuyv422_to_rgb};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use crate::sensors::{CameraFrame, FramePool, RgbImage, WrongSize};

/// Pictures of one camera in the hands of readers.
const POOL: usize = 32;

/// How the bytes of a buffer make a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pixels {
    /// A JPEG picture per buffer.
    Mjpeg,
    /// Two bytes per pixel, Y U Y V; BT.601, limited range, as webcams have it.
    Yuyv {
        /// Bytes per row.
        stride: u32,
    },
}

/// What a camera was set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) pixels: Pixels,
    pub(super) width: u32,
    pub(super) height: u32,
}

/// A buffer that is no picture; the next one may be.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadPicture {
    #[error("{got} bytes instead of {needed}")]
    Short { needed: usize, got: usize },
    #[error("JPEG: {0:?}")]
    Jpeg(DecodeErrors),
    #[error(transparent)]
    Size(#[from] WrongSize),
    #[error("colour conversion: {0}")]
    Convert(#[from] YuvError),
    #[error("readers hold all buffers")]
    NoBuffer,
}

/// Turns raw buffers of one format into camera frames.
pub(super) struct Decoder {
    format: Format,
    /// For pictures of this size.
    size: (u32, u32),
    pool: FramePool,
    patched: Vec<u8>,
}

impl Decoder {
    pub(super) fn new(format: Format) -> Self {
        let size = (format.width, format.height);
        Self { format, size, pool: pool(size), patched: Vec::new() }
    }

    /// The picture in a buffer. Nothing is allocated once the pool has grown to what the readers need.
    ///
    /// # Errors
    /// [`BadPicture`]: webcams deliver broken pictures now and then.
    pub(super) fn frame(&mut self, buffer: &[u8], captured: MonoTime) -> Result<CameraFrame, BadPicture> {
        let image = match self.format.pixels {
            Pixels::Mjpeg => self.jpeg(buffer)?,
            Pixels::Yuyv { stride } => self.yuyv(buffer, stride)?,
        };
        Ok(CameraFrame { image, depth: None, intrinsics: None, extrinsics: None, captured })
    }

    fn yuyv(&mut self, buffer: &[u8], stride: u32) -> Result<RgbImage, BadPicture> {
        let Format { width, height, .. } = self.format;
        let needed = stride as usize * height as usize;
        let yuy = buffer.get(..needed).ok_or(BadPicture::Short { needed, got: buffer.len() })?;
        let mut lent = self.pool.take().ok_or(BadPicture::NoBuffer)?;
        let packed = YuvPackedImage { yuy, yuy_stride: stride, width, height };
        yuyv422_to_rgb(&packed, lent.planes().0, width * 3, YuvRange::Limited, YuvStandardMatrix::Bt601)?;
        Ok(RgbImage::new(width, height, self.pool.lend(lent).0)?)
    }

    fn jpeg(&mut self, buffer: &[u8]) -> Result<RgbImage, BadPicture> {
        let buffer = if lacks_huffman_tables(buffer) {
            self.patched.clear();
            self.patched.extend_from_slice(&buffer[..2]);
            self.patched.extend_from_slice(MOTION_JPEG);
            self.patched.extend_from_slice(&buffer[2..]);
            &self.patched
        } else {
            buffer
        };
        let options = DecoderOptions::default()
            .jpeg_set_out_colorspace(ColorSpace::RGB)
            .set_strict_mode(true)
            .set_max_width(8192)
            .set_max_height(8192);
        let mut decoder = JpegDecoder::new_with_options(ZCursor::new(buffer), options);
        decoder.decode_headers().map_err(BadPicture::Jpeg)?;
        let (width, height) = decoder.info().map_or((0, 0), |info| (info.width.into(), info.height.into()));
        if (width, height) != self.size {
            // The camera's own idea of its format counts, if it can be shown at all.
            RgbImage::check(width, height)?;
            self.size = (width, height);
            self.pool = pool(self.size);
        }
        let mut lent = self.pool.take().ok_or(BadPicture::NoBuffer)?;
        decoder.decode_into(lent.planes().0).map_err(BadPicture::Jpeg)?;
        Ok(RgbImage::new(width, height, self.pool.lend(lent).0)?)
    }
}

fn pool((width, height): (u32, u32)) -> FramePool {
    FramePool::without_depth(width as usize * height as usize, POOL)
}

/// An APP0 segment that says: motion JPEG, the usual Huffman tables.
const MOTION_JPEG: &[u8] = &[0xff, 0xe0, 0, 16, b'A', b'V', b'I', b'1', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// Whether a JPEG picture leaves out its Huffman tables, as many webcams do, and does not say so.
fn lacks_huffman_tables(jpeg: &[u8]) -> bool {
    let mut at = 2;
    if !jpeg.starts_with(&[0xff, 0xd8]) {
        return false;
    }
    // Segments up to the start of the scan: a marker, then a length that counts itself.
    while let Some(&[0xff, marker, high, low]) = jpeg.get(at..at + 4) {
        match marker {
            0xc4 => return false,
            0xda => return true,
            // A fill byte before the marker.
            0xff => at += 1,
            0xe0 if jpeg.get(at + 4..at + 9) == Some(b"AVI1\0") => return false,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
    false
}

#[cfg(test)]
mod tests;
