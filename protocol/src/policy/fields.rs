//! Values of a header as the types they are meant to be: any msgpack width, integers where floats are meant.

use super::reader::{LastCounts, Reader, Token};
use super::{Dtype, MAX_DIMENSIONS, MAX_NAMES, Problem, RequestId, WireError};

/// Largest whole number that every language's number holds exactly.
pub(super) const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;

/// A member of a map, or its absence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) name: &'static str,
    value: Option<Reader<'a>>,
}

impl<'a> Field<'a> {
    pub(super) fn missing(name: &'static str) -> Self {
        Self { name, value: None }
    }

    pub(super) fn set(&mut self, value: Reader<'a>) {
        self.value = Some(value);
    }

    /// Where it stands; `None` if it is missing.
    pub(super) fn position(&self) -> Option<usize> {
        self.value.map(|value| value.position())
    }

    pub(super) fn error(&self, problem: Problem) -> WireError {
        WireError::field(self.name, problem)
    }

    fn not<T>(&self, expected: &'static str) -> Result<T, WireError> {
        Err(self.error(Problem::Not(expected)))
    }

    /// The value and its first token; an error if it is missing.
    fn token(&self) -> Result<(Reader<'a>, Token<'a>), WireError> {
        let mut value = self.value.ok_or_else(|| self.error(Problem::Missing))?;
        let token = value.token()?;
        Ok((value, token))
    }

    /// What `read` makes of it; `None` if it is missing or nil.
    pub(super) fn optional<T>(&self, read: impl FnOnce(&Self) -> Result<T, WireError>) -> Result<Option<T>, WireError> {
        match self.value.map(|mut value| value.token()).transpose()? {
            None | Some(Token::Nil) => Ok(None),
            Some(_) => read(self).map(Some),
        }
    }

    /// The same, if the peer may send it at all; unknown keys are skipped.
    pub(super) fn negotiated<T>(
        &self,
        agreed: bool,
        read: impl FnOnce(&Self) -> Result<T, WireError>,
    ) -> Result<Option<T>, WireError> {
        if agreed { self.optional(read) } else { Ok(None) }
    }

    pub(super) fn text(&self) -> Result<&'a str, WireError> {
        match self.token()? {
            (_, Token::Text(text)) => Ok(text),
            _ => self.not("a text"),
        }
    }

    pub(super) fn flag(&self) -> Result<bool, WireError> {
        match self.token()? {
            (_, Token::Bool(flag)) => Ok(flag),
            _ => self.not("true or false"),
        }
    }

    pub(super) fn number(&self) -> Result<f64, WireError> {
        number(self.token()?.1).map_or_else(|| self.not("a number"), Ok)
    }

    /// A finite number, at least 0.
    pub(super) fn magnitude(&self) -> Result<f64, WireError> {
        let number = self.number()?;
        if number.is_finite() && number >= 0.0 {
            Ok(number)
        } else {
            Err(self.error(Problem::OutOfRange("finite and not negative")))
        }
    }

    /// A finite number.
    pub(super) fn finite(&self) -> Result<f64, WireError> {
        let number = self.number()?;
        if number.is_finite() { Ok(number) } else { Err(self.error(Problem::OutOfRange("finite"))) }
    }

    /// Whole milliseconds; a fraction is rounded.
    pub(super) fn milliseconds(&self) -> Result<u64, WireError> {
        let rounded = self.magnitude()?.round();
        if rounded > MAX_SAFE_INTEGER as f64 {
            return Err(self.error(Problem::OutOfRange("below 2^53")));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ... 2^53")]
        let whole = rounded as u64;
        Ok(whole)
    }

    /// An integer, at least 0.
    pub(super) fn integer(&self) -> Result<u64, WireError> {
        match self.token()? {
            (_, Token::Unsigned(n)) => Ok(n),
            _ => self.not("an integer, at least 0"),
        }
    }

    pub(super) fn id(&self) -> Result<RequestId, WireError> {
        let n = self.integer()?;
        RequestId::new(n).ok_or_else(|| self.error(Problem::OutOfRange("1 to 2^53 - 1")))
    }

    pub(super) fn dtype(&self) -> Result<Dtype, WireError> {
        let name = self.text()?;
        Dtype::from_name(name).ok_or_else(|| self.error(Problem::unknown_dtype(name)))
    }

    /// One of the texts of a `wire_names!` enum.
    pub(super) fn named<T>(
        &self,
        from_name: impl FnOnce(&str) -> Option<T>,
        expected: &'static str,
    ) -> Result<T, WireError> {
        from_name(self.text()?).ok_or_else(|| self.error(Problem::OutOfRange(expected)))
    }

    /// Reads each element of an array of at most `max`.
    pub(super) fn each(
        &self,
        expected: &'static str,
        max: usize,
        mut read: impl FnMut(&mut Reader<'a>) -> Result<(), WireError>,
    ) -> Result<(), WireError> {
        let (mut value, Token::Array(len)) = self.token()? else { return self.not(expected) };
        if len as usize > max {
            return Err(self.error(Problem::TooMany { max }));
        }
        (0..len).try_for_each(|_| read(&mut value))
    }

    /// Exactly `N` numbers.
    pub(super) fn numbers<const N: usize>(&self) -> Result<[f64; N], WireError> {
        let (mut value, Token::Array(len)) = self.token()? else { return self.not("an array of numbers") };
        if len as usize != N {
            return Err(self.error(Problem::Length { expected: N, actual: len as usize }));
        }
        let mut numbers = [0.0; N];
        for place in &mut numbers {
            *place = number(value.token()?).map_or_else(|| self.not("an array of numbers"), Ok)?;
        }
        Ok(numbers)
    }

    /// Exactly `N` integers of 32 bits, at least 0.
    pub(super) fn pixels<const N: usize>(&self) -> Result<[u32; N], WireError> {
        let numbers = self.numbers::<N>()?;
        if numbers.iter().any(|n| n.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(n)) {
            return Err(self.error(Problem::OutOfRange("integers of 32 bits, at least 0")));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
        let pixels = numbers.map(|n| n as u32);
        Ok(pixels)
    }

    /// Dimensions of an array.
    pub(super) fn shape(&self) -> Result<Vec<usize>, WireError> {
        let (mut value, Token::Array(len)) = self.token()? else { return self.not("an array of integers") };
        let dimensions = len as usize;
        if dimensions > MAX_DIMENSIONS {
            return Err(self.error(Problem::TooManyDimensions { dimensions, max: MAX_DIMENSIONS }));
        }
        let mut shape = Vec::with_capacity(dimensions);
        for _ in 0..len {
            match value.token()? {
                Token::Unsigned(n) => {
                    shape.push(usize::try_from(n).map_err(|_| self.error(Problem::Overflow))?);
                }
                Token::Negative(n) => return Err(self.error(Problem::NegativeDimension(n))),
                _ => return self.not("an array of integers"),
            }
        }
        Ok(shape)
    }

    /// A list of at most [`MAX_NAMES`] texts.
    pub(super) fn texts(&self) -> Result<Vec<&'a str>, WireError> {
        let mut texts = Vec::new();
        self.each("an array of texts", MAX_NAMES, |value| match value.token()? {
            Token::Text(text) => {
                texts.push(text);
                Ok(())
            }
            _ => self.not("an array of texts"),
        })?;
        Ok(texts)
    }

    /// Name → what `read` makes of the value; entries it has nothing for are skipped.
    pub(super) fn by_name<T>(
        &self,
        mut read: impl FnMut(&'a str, Reader<'a>) -> Result<Option<T>, WireError>,
    ) -> Result<Vec<(String, T)>, WireError> {
        let (mut value, Token::Map(len)) = self.token()? else { return self.not("a map") };
        if len as usize > MAX_NAMES {
            return Err(self.error(Problem::TooMany { max: MAX_NAMES }));
        }
        let mut entries = LastCounts::default();
        for _ in 0..len {
            let name = value.key()?;
            if let Some(entry) = read(name, value)? {
                entries.insert(name, entry);
            }
            value.skip(1)?;
        }
        Ok(entries.entries)
    }

    /// Name → number. Whatever is no number, or no map at all, is skipped.
    pub(super) fn stamps(&self) -> Result<Vec<(String, f64)>, WireError> {
        match self.value.map(|mut value| value.token()).transpose()? {
            Some(Token::Map(_)) => self.by_name(|_, mut value| Ok(number(value.token()?))),
            _ => Ok(Vec::new()),
        }
    }

    /// Name → counter. Whatever is no counter is skipped.
    pub(super) fn counters(&self) -> Result<Vec<(String, u64)>, WireError> {
        self.by_name(|_, mut value| match value.token()? {
            Token::Unsigned(n) => Ok(Some(n)),
            _ => Ok(None),
        })
    }

    /// The members of a map.
    pub(super) fn members<const N: usize>(&self, names: [&'static str; N]) -> Result<[Field<'a>; N], WireError> {
        let value = self.value.ok_or_else(|| self.error(Problem::Missing))?;
        value.members(names)?.map_or_else(|| self.not("a map"), Ok)
    }

    /// The members of a map; `None` for whatever else there is.
    pub(super) fn lenient_members<const N: usize>(
        &self,
        names: [&'static str; N],
    ) -> Result<Option<[Field<'a>; N]>, WireError> {
        self.value.map_or(Ok(None), |value| value.members(names))
    }

    /// The entries of a map of the application with at most `max` values.
    pub(super) fn entries(&self, max: usize) -> Result<Vec<(String, super::Value)>, WireError> {
        let mut left = max;
        match self.token()? {
            (mut value, Token::Map(len)) => value.entries(len, &mut left),
            _ => self.not("a map"),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of the wire are float64")]
pub(super) fn number(token: Token<'_>) -> Option<f64> {
    match token {
        Token::Unsigned(n) => Some(n as f64),
        Token::Negative(n) => Some(n as f64),
        Token::Float32(n) => Some(n.into()),
        Token::Float64(n) => Some(n),
        _ => None,
    }
}
