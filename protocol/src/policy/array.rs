//! Arrays in the payload of a frame: found and checked when a frame is decoded, never copied.

use std::ops::Range;

use super::dtype::{Dtype, Element};
use super::fields::Field;
use super::{Problem, WireError};

/// Most dimensions of an array.
pub const MAX_DIMENSIONS: usize = 32;

/// Where an array lies in a frame.
///
/// Its bytes were inside the frame that was decoded, as many as shape and element type need; in C order, little endian,
/// at any alignment. Empty arrays are legal, such as pictures of a camera that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayRef {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

impl ArrayRef {
    /// Element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Dimensions, outermost first; no dimension at all is a single element.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its bytes, counted from the beginning of the whole frame (not of the payload).
    pub fn bytes(&self) -> Range<usize> {
        self.bytes.clone()
    }

    /// The array itself. `None` if `frame` is too short to be the frame that was decoded.
    pub fn view<'a>(&'a self, frame: &'a [u8]) -> Option<ArrayView<'a>> {
        let data = frame.get(self.bytes.clone())?;
        Some(ArrayView { dtype: self.dtype, shape: &self.shape, data })
    }

    /// The array that is the whole payload.
    pub(super) fn whole(dtype: Dtype, shape: Vec<usize>, payload: Range<usize>) -> Result<Self, WireError> {
        let expected = byte_size(dtype, &shape).map_err(|problem| WireError::field("shape", problem))?;
        if payload.len() != expected {
            let problem = Problem::Size { actual: payload.len() as u64, expected: expected as u64 };
            return Err(WireError::field("payload", problem));
        }
        Ok(Self { dtype, shape, bytes: payload })
    }

    /// The array that four keys of a header describe.
    pub(super) fn located(
        [shape, dtype, offset, size]: [Field<'_>; 4],
        payload: &Range<usize>,
    ) -> Result<Self, WireError> {
        let (dimensions, element) = (shape.shape()?, dtype.dtype()?);
        let expected = byte_size(element, &dimensions).map_err(|problem| shape.error(problem))?;
        let bytes = part(offset, size, payload)?;
        if bytes.len() != expected {
            return Err(size.error(Problem::Size { actual: bytes.len() as u64, expected: expected as u64 }));
        }
        Ok(Self { dtype: element, shape: dimensions, bytes })
    }

    /// The one-dimensional array that fills its bytes.
    pub(super) fn list([dtype, offset, size]: [Field<'_>; 3], payload: &Range<usize>) -> Result<Self, WireError> {
        let dtype = dtype.dtype()?;
        let bytes = part(offset, size, payload)?;
        let item = dtype.item_size();
        if bytes.len() % item != 0 {
            return Err(size.error(Problem::NotAMultiple { size: bytes.len() as u64, item }));
        }
        Ok(Self { dtype, shape: vec![bytes.len() / item], bytes })
    }
}

/// The bytes of the frame that an offset and a size in the payload mean.
pub(super) fn part(offset: Field<'_>, size: Field<'_>, payload: &Range<usize>) -> Result<Range<usize>, WireError> {
    let (first, len) = (offset.integer()?, size.integer()?);
    let end = first.checked_add(len).filter(|end| *end <= payload.len() as u64);
    let inside = end.and_then(|end| {
        let (first, end) = (usize::try_from(first).ok()?, usize::try_from(end).ok()?);
        Some(payload.start + first..payload.start + end)
    });
    let outside = Problem::Outside { offset: first, size: len, payload: payload.len() };
    inside.ok_or_else(|| offset.error(outside))
}

/// product(shape) × item size, in bytes.
///
/// # Errors
/// More than [`MAX_DIMENSIONS`], or a product that is no number of this computer even if another dimension is 0.
pub(super) fn byte_size(dtype: Dtype, shape: &[usize]) -> Result<usize, Problem> {
    if shape.len() > MAX_DIMENSIONS {
        return Err(Problem::TooManyDimensions { dimensions: shape.len(), max: MAX_DIMENSIONS });
    }
    let size = shape.iter().filter(|n| **n != 0).try_fold(dtype.item_size(), |size, n| size.checked_mul(*n));
    let size = size.ok_or(Problem::Overflow)?;
    Ok(if shape.contains(&0) { 0 } else { size })
}

/// An array as it lies in a frame.
#[derive(Clone, Copy, Debug)]
pub struct ArrayView<'a> {
    dtype: Dtype,
    shape: &'a [usize],
    data: &'a [u8],
}

impl<'a> ArrayView<'a> {
    /// An array of these bytes, in C order, little endian. `None` if they are not as many as shape and type need.
    pub fn new(dtype: Dtype, shape: &'a [usize], data: &'a [u8]) -> Option<Self> {
        (byte_size(dtype, shape).ok()? == data.len()).then_some(Self { dtype, shape, data })
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &'a [usize] {
        self.shape
    }

    /// The elements in C order, little endian, at any alignment.
    pub fn data(&self) -> &'a [u8] {
        self.data
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.data.len() / self.dtype.item_size()
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// The elements without a copy. `None` if they are of another type, if they do not lie aligned (then
    /// [`f32s`](Self::f32s), or a copy of [`data`](Self::data)), or if this computer is not little endian.
    pub fn slice<T: Element>(&self) -> Option<&'a [T]> {
        if T::DTYPE != self.dtype || cfg!(target_endian = "big") {
            return None;
        }
        bytemuck::try_cast_slice(self.data).ok()
    }

    /// The elements as float64, in C order; 64-bit integers are rounded, true is 1.
    pub fn f64s(&self) -> impl ExactSizeIterator<Item = f64> + use<'a> {
        let dtype = self.dtype;
        self.data.chunks_exact(dtype.item_size()).map(move |bytes| dtype.read(bytes))
    }

    /// The elements as float32, in C order; what float32 cannot hold is rounded, or infinite.
    #[expect(clippy::cast_possible_truncation, reason = "documented")]
    pub fn f32s(&self) -> impl ExactSizeIterator<Item = f32> + use<'a> {
        self.f64s().map(|number| number as f32)
    }

    /// Whether no element is NaN or infinite.
    pub fn is_finite(&self) -> bool {
        self.f64s().all(f64::is_finite)
    }
}
