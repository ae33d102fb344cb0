//! Reading fields one after another, never beyond the end.

/// The most elements of an array of numbers.
pub const MAX_COUNT: usize = 1024;

/// Why a message was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Of a type that this side does not know, or not of the one that was asked for: to be skipped without a word.
    #[error("fingerprint {0:016x} of another type")]
    Unknown(u64),
    /// Fewer bytes than the fields need.
    #[error("too short: {needed} bytes more than the {len} there are")]
    TooShort {
        /// Bytes that are missing at least.
        needed: usize,
        /// Length of the whole message.
        len: usize,
    },
    /// A text has no room even for its last NUL.
    #[error("a text of length 0")]
    EmptyText,
    /// The last byte of a text is not NUL.
    #[error("a text does not end with NUL")]
    Unterminated,
    /// An array has a negative number of elements or more than [`MAX_COUNT`].
    #[error("an array of {0} elements")]
    Count(i32),
}

/// What is left of a message.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(message: &'a [u8]) -> Self {
        Self { rest: message, len: message.len() }
    }

    /// The next `count` bytes.
    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let Some((bytes, rest)) = self.rest.split_at_checked(count) else {
            return Err(Error::TooShort { needed: count - self.rest.len(), len: self.len });
        };
        self.rest = rest;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.bytes(N)?;
        Ok(bytes.try_into().expect("as many bytes as asked for"))
    }

    /// Bytes that have been read.
    pub(super) const fn used(&self) -> usize {
        self.len - self.rest.len()
    }
}

/// A number of elements, at most `most`.
pub(super) fn count(count: i32, most: usize) -> Result<usize, Error> {
    usize::try_from(count).ok().filter(|n| *n <= most).ok_or(Error::Count(count))
}
