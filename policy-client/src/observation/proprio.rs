//! One proprioception stream of an observation.

use std::borrow::Cow;

use bytes::Bytes;
use waldo_protocol::policy::{self as wire, ArrayView};

/// A stream of joint readings, or of whatever else the robot feels.
#[derive(Clone, Copy)]
pub struct Proprio<'a> {
    header: &'a wire::Proprio,
    frame: &'a Bytes,
}

impl<'a> Proprio<'a> {
    pub(super) fn new(header: &'a wire::Proprio, frame: &'a Bytes) -> Self {
        Self { header, frame }
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        &self.header.name
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.header.array.shape().iter().product()
    }

    /// Whether it has no values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The values as float32. Not copied if they lie aligned and are float32, as all known robots send them.
    pub fn values(&self) -> Cow<'a, [f32]> {
        let Some(view) = self.raw() else { return Cow::Borrowed(&[]) };
        match view.slice() {
            Some(values) => Cow::Borrowed(values),
            None => Cow::Owned(view.f32s().collect()),
        }
    }

    /// The values as a list of their own.
    pub fn to_vec(&self) -> Vec<f32> {
        self.values().into_owned()
    }

    /// The values whatever their type is. `Some` always for a stream of an observation.
    pub fn raw(&self) -> Option<ArrayView<'a>> {
        self.header.array.view(self.frame)
    }
}
