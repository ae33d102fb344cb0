//! The expressions of the vectors: numbers, `i`, + − * /, chained comparisons, `not`, `a if condition else b`.
//! Conditions are 1 and 0.

/// The value of an expression for a frame.
pub(crate) fn evaluate(text: &str, i: f64) -> f64 {
    let mut parser = Parser { rest: text, i };
    let value = parser.conditional();
    assert!(parser.rest.trim().is_empty(), "{text}: left over: {}", parser.rest);
    value
}

struct Parser<'a> {
    rest: &'a str,
    i: f64,
}

impl Parser<'_> {
    fn take(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        let found = self.rest.strip_prefix(token);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn conditional(&mut self) -> f64 {
        let value = self.negation();
        if !self.take("if ") {
            return value;
        }
        let condition = self.negation();
        assert!(self.take("else "), "{}", self.rest);
        let other = self.conditional();
        if condition == 0.0 { other } else { value }
    }

    fn negation(&mut self) -> f64 {
        if self.take("not ") { f64::from(self.negation() == 0.0) } else { self.comparison() }
    }

    fn comparison(&mut self) -> f64 {
        let mut left = self.sum();
        let mut holds = None;
        loop {
            let compare: fn(&f64, &f64) -> bool = match () {
                () if self.take("<=") => f64::le,
                () if self.take(">=") => f64::ge,
                () if self.take("<") => f64::lt,
                () if self.take(">") => f64::gt,
                () => return holds.map_or(left, |h: bool| f64::from(h)),
            };
            let right = self.sum();
            holds = Some(holds.unwrap_or(true) && compare(&left, &right));
            left = right;
        }
    }

    fn sum(&mut self) -> f64 {
        let mut value = self.product();
        loop {
            if self.take("+") {
                value += self.product();
            } else if self.take("-") {
                value -= self.product();
            } else {
                return value;
            }
        }
    }

    fn product(&mut self) -> f64 {
        let mut value = self.atom();
        loop {
            if self.take("*") {
                value *= self.atom();
            } else if self.take("/") {
                value /= self.atom();
            } else {
                return value;
            }
        }
    }

    fn atom(&mut self) -> f64 {
        if self.take("(") {
            let value = self.conditional();
            assert!(self.take(")"), "{}", self.rest);
            return value;
        }
        if self.take("-") {
            return -self.atom();
        }
        if self.take("i") {
            return self.i;
        }
        let in_number = |(at, c): &(usize, char)| match c {
            '0'..='9' | '.' | 'e' => true,
            _ => *c == '-' && self.rest[..*at].ends_with('e'),
        };
        let length = self.rest.char_indices().take_while(in_number).count();
        let (number, rest) = self.rest.split_at(length);
        self.rest = rest;
        number.parse().unwrap_or_else(|e| panic!("{number}{rest}: {e}"))
    }
}
