//! Arrays that are shared, and arrays that are to be copied.

use std::ops::Deref;

use bytes::Bytes;
use waldo_protocol::policy::{ArrayHeader, Dtype, Element};

#[cfg(target_endian = "big")]
compile_error!("arrays are shared as they lie in memory, and the wire is little endian");

/// Most dimensions of an array of a sensor.
const MAX_DIMENSIONS: usize = 3;

/// Dimensions, outermost first; at most 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    sides: [usize; MAX_DIMENSIONS],
    dimensions: usize,
}

impl Shape {
    /// `None` for more than 3 dimensions.
    fn new(sides: &[usize]) -> Option<Self> {
        let mut own = [0; MAX_DIMENSIONS];
        own.get_mut(..sides.len())?.copy_from_slice(sides);
        Some(Self { sides: own, dimensions: sides.len() })
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.sides[..self.dimensions]
    }
}

/// An immutable array in C order, little endian. Clones share the elements.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    dtype: Dtype,
    shape: Shape,
    bytes: Bytes,
}

/// Elements do not fit a shape.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are no array of shape {shape:?} and type {}, or it has more than 3 dimensions", dtype.name())]
pub struct BadArray {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: usize,
}

impl Array {
    /// An array of these bytes; at most 3 dimensions, of which any may be 0.
    ///
    /// # Errors
    /// [`BadArray`] if there are not as many bytes as shape and type need.
    pub fn new(dtype: Dtype, shape: &[usize], bytes: impl Into<Bytes>) -> Result<Self, BadArray> {
        let bytes = bytes.into();
        let fits = ArrayHeader::new(dtype, shape).is_ok_and(|header| header.size() == bytes.len());
        match Shape::new(shape) {
            Some(shape) if fits => Ok(Self { dtype, shape, bytes }),
            _ => Err(BadArray { dtype, shape: shape.to_vec(), bytes: bytes.len() }),
        }
    }

    /// The picture of a camera that has none: no rows, no columns.
    pub(crate) fn no_picture(dtype: Dtype, channels: usize) -> Self {
        let shape = Shape { sides: [0, 0, channels], dimensions: 3 };
        Self { dtype, shape, bytes: Bytes::new() }
    }

    /// Element type.
    pub fn dtype(&self) -> Dtype {
        self.dtype
    }

    /// Dimensions, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements; a clone shares them.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Elements that a writer copies: a slice of numbers, with its shape or without.
///
/// ```
/// use waldo_server::sensors::Values;
///
/// let pixels = vec![0u8; 4 * 2 * 3];
/// let flat = Values::from(&pixels);
/// let shaped = Values::from((&[2, 4, 3][..], &pixels[..]));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    pub(super) dtype: Dtype,
    pub(super) shape: Option<&'a [usize]>,
    pub(super) bytes: &'a [u8],
}

impl<'a> Values<'a> {
    /// Elements of a type that Rust has not, such as half precision numbers; in C order, little endian.
    pub fn raw(dtype: Dtype, bytes: &'a [u8]) -> Self {
        Self { dtype, shape: None, bytes }
    }

    /// Whether they are an array of that type and shape; without a shape of their own they need only be as many.
    pub(super) fn are(&self, dtype: Dtype, shape: &[usize]) -> bool {
        self.dtype == dtype
            && self.shape.is_none_or(|own| own == shape)
            && ArrayHeader::new(dtype, shape).is_ok_and(|header| header.size() == self.bytes.len())
    }

    /// Their shape; that of a list if they have none of their own.
    pub(super) fn shape(&self) -> Vec<usize> {
        self.shape.map_or_else(|| vec![self.bytes.len() / self.dtype.item_size()], <[usize]>::to_vec)
    }
}

impl<'a, T: Element> From<&'a [T]> for Values<'a> {
    fn from(elements: &'a [T]) -> Self {
        Self::raw(T::DTYPE, bytemuck::cast_slice(elements))
    }
}

impl<'a, T: Element> From<&'a Vec<T>> for Values<'a> {
    fn from(elements: &'a Vec<T>) -> Self {
        elements.as_slice().into()
    }
}

impl<'a, T: Element, const N: usize> From<&'a [T; N]> for Values<'a> {
    fn from(elements: &'a [T; N]) -> Self {
        elements.as_slice().into()
    }
}

/// A shape, outermost dimension first, and its elements in C order.
impl<'a, T: Element> From<(&'a [usize], &'a [T])> for Values<'a> {
    fn from((shape, elements): (&'a [usize], &'a [T])) -> Self {
        Self { shape: Some(shape), ..elements.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_has_as_many_bytes_as_its_shape_and_type_need() {
        let array = Array::new(Dtype::Uint16, &[2, 3, 1], vec![0; 12]).unwrap();
        assert_eq!((array.shape(), array.dtype(), array.bytes().len()), (&[2, 3, 1][..], Dtype::Uint16, 12));
        assert!(Array::new(Dtype::Uint8, &[0, 0, 3], Bytes::new()).unwrap().is_empty());
        for (shape, bytes) in [(&[2, 3][..], 5), (&[2, 3], 7), (&[1, 1, 1, 1], 1), (&[usize::MAX, 2], 0)] {
            let error = Array::new(Dtype::Uint8, shape, vec![0; bytes]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{bytes} bytes are no array of shape {shape:?}")), "{error}");
        }
    }

    #[test]
    fn values_with_a_shape_must_have_the_very_one_and_values_without_one_as_many_elements() {
        let elements = [0f32; 6];
        let flat = Values::from(&elements);
        assert!(flat.are(Dtype::Float32, &[2, 3]) && flat.are(Dtype::Float32, &[6]));
        assert!(!flat.are(Dtype::Float32, &[7]) && !flat.are(Dtype::Uint32, &[6]), "not as many, another type");
        let shaped = Values::from((&[2, 3][..], &elements[..]));
        assert!(shaped.are(Dtype::Float32, &[2, 3]) && !shaped.are(Dtype::Float32, &[3, 2]));
        // What would broadcast does not fit either.
        assert!(!Values::from(&[1f32]).are(Dtype::Float32, &[2, 3]));
    }
}
