//! One camera of an observation.

use bytes::Bytes;
use ndarray::{Array2, Array3, ArrayView2, ArrayView3, CowArray, Ix2};
use waldo_protocol::policy::{self as wire, ArrayView, Dtype, Image};

use super::Sight;

/// A camera of an observation. Nothing is copied; views live as long as the observation.
#[derive(Clone, Copy)]
pub struct Camera<'a> {
    header: &'a wire::Camera,
    sight: &'a Sight,
}

/// Why a picture cannot be seen as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// Its elements are of another type.
    #[error("camera {camera:?}: the elements are {}, not {}", actual.name(), wanted.name())]
    Dtype {
        /// The camera.
        camera: String,
        /// What they are.
        actual: Dtype,
        /// What was asked for.
        wanted: Dtype,
    },
    /// It has another number of dimensions.
    #[error("camera {camera:?}: the shape is {shape:?}")]
    Shape {
        /// The camera.
        camera: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// A JPEG that cannot be decoded, or shows something of another size than the server says.
    #[error("camera {camera:?}: {problem}")]
    Jpeg {
        /// The camera.
        camera: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The server left it out because it did not change, and there is no earlier one.
    #[error("camera {camera:?}: the picture did not change and there is no earlier one")]
    Missing {
        /// The camera.
        camera: String,
    },
}

impl<'a> Camera<'a> {
    pub(super) fn new(header: &'a wire::Camera, sight: &'a Sight) -> Self {
        Self { header, sight }
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        &self.header.name
    }

    /// When the picture was taken, seconds of the robot's monotonic clock, 0 before the first picture; some robots send
    /// nanoseconds of Unix time.
    pub fn timestamp(&self) -> f64 {
        self.header.timestamp
    }

    /// Pinhole matrix K, 3×3, pixels whose centres have integer coordinates.
    pub fn intrinsics(&self) -> ArrayView2<'a, f64> {
        square(&self.header.intrinsics)
    }

    /// Camera (x right, y down, z forward) to world, 4×4 homogeneous, metres.
    pub fn extrinsics(&self) -> ArrayView2<'a, f64> {
        square(&self.header.extrinsics)
    }

    /// Counter of the camera's frames, from servers that tell it. It stays while the picture does.
    pub fn n(&self) -> Option<u64> {
        self.header.n
    }

    /// Age of the picture when it was sent, milliseconds, from servers that tell it.
    pub fn age_ms(&self) -> Option<f64> {
        self.header.age_ms
    }

    /// Shape of the picture, once decoded: [H, W, C], or [H, W]. Zeros mean that the camera failed.
    pub fn shape(&self) -> &'a [usize] {
        self.sight.image.shape()
    }

    /// Element type of the picture, once decoded.
    pub fn dtype(&self) -> Dtype {
        match &self.sight.image {
            Image::Raw(array) => array.dtype(),
            Image::Jpeg { .. } | Image::Same { .. } => Dtype::Uint8,
        }
    }

    /// Whether the picture came as a JPEG.
    pub fn is_jpeg(&self) -> bool {
        matches!(self.sight.image, Image::Jpeg { .. })
    }

    /// The picture as it came: pixels in C order, or the bytes of a JPEG. Not copied; it keeps the frame alive.
    pub fn image_bytes(&self) -> Bytes {
        slice(&self.sight.frame, self.sight.image.bytes())
    }

    /// The picture, [H, W, C] (C is 1 if it came as [H, W]). Not copied; a JPEG is decoded when it is looked at for the
    /// first time, by whoever looks.
    ///
    /// # Errors
    /// It is not uint8, has other dimensions, or is a JPEG that cannot be decoded.
    pub fn image(&self) -> Result<ArrayView3<'a, u8>, ImageError> {
        let camera = || self.header.name.clone();
        match &self.sight.image {
            Image::Raw(array) => {
                let dtype = array.dtype();
                let shape = || ImageError::Shape { camera: camera(), shape: array.shape().to_vec() };
                let wanted = Dtype::Uint8;
                if dtype != wanted {
                    return Err(ImageError::Dtype { camera: camera(), actual: dtype, wanted });
                }
                let view = array.view(&self.sight.frame).ok_or_else(shape)?;
                let dimensions = three(array.shape()).ok_or_else(shape)?;
                ArrayView3::from_shape(dimensions, view.data()).map_err(|_| shape())
            }
            Image::Jpeg { shape, bytes } => {
                let decode = || decode(&slice(&self.sight.frame, bytes.clone()), shape, &self.header.name);
                match self.sight.decoded.get_or_init(decode) {
                    Ok(picture) => Ok(picture.view()),
                    Err(error) => Err(error.clone()),
                }
            }
            Image::Same { .. } => Err(ImageError::Missing { camera: camera() }),
        }
    }

    /// The picture whatever its elements are; `None` for a JPEG.
    pub fn raw(&self) -> Option<ArrayView<'a>> {
        match &self.sight.image {
            Image::Raw(array) => array.view(&self.sight.frame),
            _ => None,
        }
    }

    /// Whether it has depth.
    pub fn has_depth(&self) -> bool {
        self.sight.depth.is_some()
    }

    /// Its depth as it came; `None` if it has none. Not copied; it keeps the frame alive.
    pub fn depth_bytes(&self) -> Option<Bytes> {
        self.sight.depth.as_ref().map(|depth| slice(&self.sight.frame, depth.bytes()))
    }

    /// Its depth whatever the elements are; `None` if it has none.
    pub fn raw_depth(&self) -> Option<ArrayView<'a>> {
        self.sight.depth.as_ref()?.view(&self.sight.frame)
    }

    /// Its depth, [H, W], metres; `None` if it has none. A view; a copy only if the values do not lie aligned, or are of
    /// another type than float32.
    ///
    /// # Errors
    /// It has other dimensions.
    pub fn depth(&self) -> Result<Option<CowArray<'a, f32, Ix2>>, ImageError> {
        let Some(view) = self.raw_depth() else { return Ok(None) };
        let shape = || ImageError::Shape { camera: self.header.name.clone(), shape: view.shape().to_vec() };
        let [height, width] = *view.shape() else { return Err(shape()) };
        let depth = match view.slice::<f32>() {
            Some(values) => ArrayView2::from_shape((height, width), values).map(CowArray::from),
            None => Array2::from_shape_vec((height, width), view.f32s().collect()).map(CowArray::from),
        };
        depth.map(Some).map_err(|_| shape())
    }
}

fn square<const N: usize>(values: &[f64; N]) -> ArrayView2<'_, f64> {
    let side = N.isqrt();
    #[expect(clippy::expect_used, reason = "9 and 16 are squares")]
    ArrayView2::from_shape((side, side), values).expect("a square of numbers")
}

fn three(shape: &[usize]) -> Option<(usize, usize, usize)> {
    match *shape {
        [height, width, channels] => Some((height, width, channels)),
        [height, width] => Some((height, width, 1)),
        _ => None,
    }
}

/// A part of a frame; empty if the frame does not have it.
fn slice(frame: &Bytes, range: std::ops::Range<usize>) -> Bytes {
    if range.end <= frame.len() && range.start <= range.end { frame.slice(range) } else { Bytes::new() }
}

fn decode(file: &[u8], shape: &[usize], camera: &str) -> Result<Array3<u8>, ImageError> {
    let problem = |problem: String| ImageError::Jpeg { camera: camera.to_owned(), problem };
    let (height, width, channels) = three(shape).ok_or_else(|| problem("no shape of a picture".to_owned()))?;
    let mut reader = image::ImageReader::with_format(std::io::Cursor::new(file), image::ImageFormat::Jpeg);
    let mut limits = image::Limits::default();
    limits.max_image_width = u32::try_from(width).ok();
    limits.max_image_height = u32::try_from(height).ok();
    reader.limits(limits);
    let picture = reader.decode().map_err(|error| problem(error.to_string()))?;
    let size = format!("a picture of {}×{} pixels, not {width}×{height}", picture.width(), picture.height());
    let pixels = if channels == 1 { picture.into_luma8().into_raw() } else { picture.into_rgb8().into_raw() };
    Array3::from_shape_vec((height, width, channels), pixels).map_err(|_| problem(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jpeg(width: u32, height: u32) -> Vec<u8> {
        let mut file = Vec::new();
        let picture = image::RgbImage::from_fn(width, height, |_, _| image::Rgb([200, 100, 50]));
        picture.write_to(&mut std::io::Cursor::new(&mut file), image::ImageFormat::Jpeg).unwrap();
        file
    }

    #[test]
    fn a_jpeg_becomes_pixels() {
        let picture = decode(&jpeg(16, 8), &[8, 16, 3], "c").unwrap();
        assert_eq!(picture.dim(), (8, 16, 3));
        assert!(picture[[3, 3, 0]].abs_diff(200) < 4 && picture[[3, 3, 2]].abs_diff(50) < 4);
        assert_eq!(decode(&jpeg(16, 8), &[8, 16], "c").unwrap().dim(), (8, 16, 1));
    }

    #[test]
    fn a_jpeg_of_another_size_or_none_at_all_is_an_error_of_its_camera() {
        for (file, shape) in [(jpeg(16, 8), [16, 8, 3]), (jpeg(8, 4), [8, 16, 3]), (vec![1, 2, 3], [8, 16, 3])] {
            let error = decode(&file, &shape, "wrist").unwrap_err();
            assert!(error.to_string().starts_with("camera \"wrist\": "), "{error}");
        }
    }
}
