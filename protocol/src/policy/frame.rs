//! A frame: the header's length (u32, little endian), the header (one msgpack map), the payload.

use std::ops::Range;

use super::fields::Field;
use super::reader::Reader;
use super::{Problem, RequestId, WireError};

/// A frame whose header was checked.
#[derive(Clone, Debug)]
pub(super) struct Frame<'a> {
    fields: Vec<(&'a str, Reader<'a>)>,
    /// The payload's bytes in the frame.
    pub(super) payload: Range<usize>,
}

impl<'a> Frame<'a> {
    pub(super) fn split(frame: &'a [u8]) -> Result<Self, WireError> {
        let (length, rest) = frame.split_first_chunk().ok_or(WireError::Short { len: frame.len() })?;
        let header = u32::from_le_bytes(*length);
        let bytes = usize::try_from(header).ok().and_then(|len| rest.get(..len));
        let bytes = bytes.ok_or(WireError::HeaderLength { header, len: frame.len() })?;
        Ok(Self { fields: Reader::checked(bytes)?, payload: 4 + bytes.len()..frame.len() })
    }

    /// The header's members of those names; of duplicate keys the last one.
    pub(super) fn members<const N: usize>(&self, names: [&'static str; N]) -> [Field<'a>; N] {
        names.map(|name| {
            let mut member = Field::missing(name);
            if let Some((_, value)) = self.fields.iter().rfind(|(key, _)| *key == name) {
                member.set(*value);
            }
            member
        })
    }

    /// The message's type; `None` if it is no text.
    ///
    /// # Errors
    /// The message has no type.
    pub(super) fn kind(&self) -> Result<Option<&'a str>, WireError> {
        let [kind] = self.members(["type"]);
        match kind.position() {
            None => Err(kind.error(Problem::Missing)),
            Some(_) => Ok(kind.text().ok()),
        }
    }
}

/// The request id of a frame that was refused, for the error reply; `None` if it has none that can be read.
pub fn request_id(frame: &[u8]) -> Option<RequestId> {
    let [id] = Frame::split(frame).ok()?.members(["id"]);
    id.id().ok()
}
