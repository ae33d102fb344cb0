//! Reading msgpack out of a header: bounds first, no allocation, text keys, bounded depth.

use std::collections::BTreeMap;

use rmp::Marker;

use super::fields::Field;
use super::{MsgpackProblem, Value, WireError};

/// Deepest nesting of a header; the header's own map is the first level.
pub const MAX_DEPTH: usize = 128;

/// Most values one map of the application (`data`, `extra`, `info`) may hold, nested ones included.
///
/// A value takes up to 40 times as much memory as on the wire. Arrays of numbers belong into the payload.
pub const MAX_VALUES: usize = 1 << 20;

/// Most keys of a header, so that remembering where their values are costs little.
pub(super) const MAX_KEYS: usize = 1024;

/// One msgpack value, or the head of an array or a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Token<'a> {
    Nil,
    Bool(bool),
    Unsigned(u64),
    /// Below zero.
    Negative(i64),
    Float32(f32),
    Float64(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Array(u32),
    Map(u32),
    Ext(i8, &'a [u8]),
}

/// A place in a header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    header: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Keys and values of a header that is exactly one map, with text keys everywhere and not too deep.
    pub(super) fn checked(header: &'a [u8]) -> Result<Vec<(&'a str, Self)>, WireError> {
        let start = Self { header, at: 0 };
        let mut end = start;
        let Token::Map(len) = end.token()? else { return Err(start.error(MsgpackProblem::NotAMap)) };
        let mut fields = Vec::new();
        for _ in 0..len {
            if fields.len() == MAX_KEYS {
                return Err(end.error(MsgpackProblem::TooManyKeys));
            }
            fields.push((end.key()?, end));
            end.skip(2)?;
        }
        if end.at != header.len() {
            return Err(end.error(MsgpackProblem::Trailing));
        }
        Ok(fields)
    }

    /// Bytes from the beginning of the header.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    fn error(&self, problem: MsgpackProblem) -> WireError {
        WireError::Msgpack { at: self.at, problem }
    }

    fn bytes(&mut self, len: usize) -> Result<&'a [u8], WireError> {
        let (taken, _) = self.header[self.at..]
            .split_at_checked(len)
            .ok_or(WireError::Msgpack { at: self.header.len(), problem: MsgpackProblem::Truncated })?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let mut array = [0; N];
        array.copy_from_slice(self.bytes(N)?);
        Ok(array)
    }

    fn len8(&mut self) -> Result<usize, WireError> {
        Ok(usize::from(u8::from_be_bytes(self.array()?)))
    }

    fn len16(&mut self) -> Result<usize, WireError> {
        Ok(usize::from(u16::from_be_bytes(self.array()?)))
    }

    fn len32(&mut self) -> Result<usize, WireError> {
        let len = u32::from_be_bytes(self.array()?);
        usize::try_from(len).map_err(|_| self.error(MsgpackProblem::Truncated))
    }

    fn text(&mut self, len: usize) -> Result<Token<'a>, WireError> {
        let start = *self;
        let text = std::str::from_utf8(self.bytes(len)?);
        text.map(Token::Text).map_err(|_| start.error(MsgpackProblem::NotUtf8))
    }

    fn ext(&mut self, len: usize) -> Result<Token<'a>, WireError> {
        let kind = i8::from_be_bytes(self.array()?);
        Ok(Token::Ext(kind, self.bytes(len)?))
    }

    /// The next value; of an array or a map only its head.
    pub(super) fn token(&mut self) -> Result<Token<'a>, WireError> {
        let start = *self;
        let [marker] = self.array()?;
        Ok(match Marker::from_u8(marker) {
            Marker::Null => Token::Nil,
            Marker::True => Token::Bool(true),
            Marker::False => Token::Bool(false),
            Marker::FixPos(n) => Token::Unsigned(n.into()),
            Marker::U8 => Token::Unsigned(u8::from_be_bytes(self.array()?).into()),
            Marker::U16 => Token::Unsigned(u16::from_be_bytes(self.array()?).into()),
            Marker::U32 => Token::Unsigned(u32::from_be_bytes(self.array()?).into()),
            Marker::U64 => Token::Unsigned(u64::from_be_bytes(self.array()?)),
            Marker::FixNeg(n) => Token::signed(n.into()),
            Marker::I8 => Token::signed(i8::from_be_bytes(self.array()?).into()),
            Marker::I16 => Token::signed(i16::from_be_bytes(self.array()?).into()),
            Marker::I32 => Token::signed(i32::from_be_bytes(self.array()?).into()),
            Marker::I64 => Token::signed(i64::from_be_bytes(self.array()?)),
            Marker::F32 => Token::Float32(f32::from_be_bytes(self.array()?)),
            Marker::F64 => Token::Float64(f64::from_be_bytes(self.array()?)),
            Marker::FixStr(len) => self.text(len.into())?,
            Marker::Str8 => self.len8().and_then(|len| self.text(len))?,
            Marker::Str16 => self.len16().and_then(|len| self.text(len))?,
            Marker::Str32 => self.len32().and_then(|len| self.text(len))?,
            Marker::Bin8 => self.len8().and_then(|len| self.bytes(len)).map(Token::Bytes)?,
            Marker::Bin16 => self.len16().and_then(|len| self.bytes(len)).map(Token::Bytes)?,
            Marker::Bin32 => self.len32().and_then(|len| self.bytes(len)).map(Token::Bytes)?,
            Marker::FixArray(len) => Token::Array(len.into()),
            Marker::Array16 => Token::Array(u16::from_be_bytes(self.array()?).into()),
            Marker::Array32 => Token::Array(u32::from_be_bytes(self.array()?)),
            Marker::FixMap(len) => Token::Map(len.into()),
            Marker::Map16 => Token::Map(u16::from_be_bytes(self.array()?).into()),
            Marker::Map32 => Token::Map(u32::from_be_bytes(self.array()?)),
            Marker::FixExt1 => self.ext(1)?,
            Marker::FixExt2 => self.ext(2)?,
            Marker::FixExt4 => self.ext(4)?,
            Marker::FixExt8 => self.ext(8)?,
            Marker::FixExt16 => self.ext(16)?,
            Marker::Ext8 => self.len8().and_then(|len| self.ext(len))?,
            Marker::Ext16 => self.len16().and_then(|len| self.ext(len))?,
            Marker::Ext32 => self.len32().and_then(|len| self.ext(len))?,
            Marker::Reserved => return Err(start.error(MsgpackProblem::Reserved)),
        })
    }

    pub(super) fn key(&mut self) -> Result<&'a str, WireError> {
        let start = *self;
        match self.token()? {
            Token::Text(key) => Ok(key),
            _ => Err(start.error(MsgpackProblem::KeyNotText)),
        }
    }

    /// Passes a value that is `depth` containers deep if it is a container itself.
    pub(super) fn skip(&mut self, depth: usize) -> Result<(), WireError> {
        let start = *self;
        let token = self.token()?;
        if depth > MAX_DEPTH && matches!(token, Token::Array(_) | Token::Map(_)) {
            return Err(start.error(MsgpackProblem::TooDeep));
        }
        match token {
            Token::Array(len) => (0..len).try_for_each(|_| self.skip(depth + 1)),
            Token::Map(len) => (0..len).try_for_each(|_| {
                self.key()?;
                self.skip(depth + 1)
            }),
            _ => Ok(()),
        }
    }

    /// The members of those names of the map that is here; of duplicate keys the last one. `None` if it is no map.
    pub(super) fn members<const N: usize>(
        mut self,
        names: [&'static str; N],
    ) -> Result<Option<[Field<'a>; N]>, WireError> {
        let Token::Map(len) = self.token()? else { return Ok(None) };
        let mut members = names.map(Field::missing);
        for _ in 0..len {
            let key = self.key()?;
            if let Some(at) = names.iter().position(|name| *name == key) {
                members[at].set(self);
            }
            self.skip(1)?;
        }
        Ok(Some(members))
    }

    /// A value of the application. `left` is how many more values may be read.
    pub(super) fn value(&mut self, left: &mut usize) -> Result<Value, WireError> {
        *left = left.checked_sub(1).ok_or_else(|| self.error(MsgpackProblem::TooManyValues))?;
        Ok(match self.token()? {
            Token::Nil => Value::Nil,
            Token::Bool(flag) => Value::from(flag),
            Token::Unsigned(n) => Value::from(n),
            Token::Negative(n) => Value::from(n),
            Token::Float32(n) => Value::from(n),
            Token::Float64(n) => Value::from(n),
            Token::Text(text) => Value::from(text),
            Token::Bytes(bytes) => Value::from(bytes),
            Token::Ext(kind, bytes) => Value::Ext(kind, bytes.to_vec()),
            // Not pre-allocated: the length is only claimed.
            Token::Array(len) => {
                let mut values = Vec::new();
                for _ in 0..len {
                    values.push(self.value(left)?);
                }
                Value::Array(values)
            }
            Token::Map(len) => {
                let entries = self.entries(len, left)?;
                Value::Map(entries.into_iter().map(|(key, value)| (Value::from(key), value)).collect())
            }
        })
    }

    /// The entries of a map of the application, its head already read.
    pub(super) fn entries(&mut self, len: u32, left: &mut usize) -> Result<Vec<(String, Value)>, WireError> {
        let mut entries = LastCounts::default();
        for _ in 0..len {
            let key = self.key()?;
            entries.insert(key, self.value(left)?);
        }
        Ok(entries.entries)
    }
}

impl Token<'_> {
    fn signed(n: i64) -> Self {
        u64::try_from(n).map_or(Self::Negative(n), Self::Unsigned)
    }
}

/// Entries of a map in their order; the last of duplicate keys counts, at the place of the first.
#[derive(Debug)]
pub(super) struct LastCounts<'a, T> {
    places: BTreeMap<&'a str, usize>,
    pub(super) entries: Vec<(String, T)>,
}

impl<T> Default for LastCounts<'_, T> {
    fn default() -> Self {
        Self { places: BTreeMap::new(), entries: Vec::new() }
    }
}

impl<'a, T> LastCounts<'a, T> {
    pub(super) fn insert(&mut self, key: &'a str, value: T) {
        match self.places.get(key) {
            Some(&place) => self.entries[place].1 = value,
            None => {
                self.places.insert(key, self.entries.len());
                self.entries.push((key.to_owned(), value));
            }
        }
    }
}
