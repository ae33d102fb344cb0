//! Two numbers in rising order.

/// The ends of `LOWEST-HIGHEST`, or of a single one; none if `number` refuses one, or they fall.
pub(super) fn rising<T: PartialOrd>(text: &str, number: impl Fn(&str) -> Option<T>) -> Option<(T, T)> {
    let (lowest, highest) = text.split_once('-').unwrap_or((text, text));
    let (lowest, highest) = (number(lowest.trim())?, number(highest.trim())?);
    (lowest <= highest).then_some((lowest, highest))
}
