//! The strip below a picture that says when it was taken: its cells, both ways.
//!
//! The strip is [`STRIP_PX`] high and made of square cells, white for 1 and black for 0: the sync pattern, then Unix
//! milliseconds modulo 2^22, most significant bit first. Older robots write 44 bits.

/// Height of the strip, and side of a cell, pixels.
pub const STRIP_PX: u32 = 16;
/// The row of the strip, and the column of a cell, where it is sampled.
pub const SAMPLE_PX: u32 = 8;
/// The cells before the time.
pub const SYNC: [bool; 4] = [true, false, true, false];
/// Bits of the time.
pub const TIME_BITS: u32 = 22;
/// Bits of the time of older robots.
pub const OLD_TIME_BITS: u32 = 44;
/// Narrower pictures carry no stamp, pixels.
pub const MIN_WIDTH_PX: u32 = (SYNC.len() as u32 + TIME_BITS) * STRIP_PX;
/// A latency beyond this is a wrong reading, milliseconds.
const MAX_LATENCY_MS: f64 = 5000.0;
/// A cell at least this bright is a 1.
const BRIGHT: u32 = 128;

/// The cells of a moment, Unix milliseconds.
pub fn stamp_cells(unix_ms: u64) -> impl Iterator<Item = bool> {
    SYNC.into_iter().chain((0..TIME_BITS).rev().map(move |bit| unix_ms >> bit & 1 == 1))
}

/// Whether a cell of this colour, red, green and blue from 0 to 255, is a 1.
pub fn is_bright([red, green, blue]: [u8; 3]) -> bool {
    // In thousandths, so that grey is as bright as each of its parts.
    299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue) >= 1000 * BRIGHT
}

/// Whether the cells begin as a strip does.
pub fn has_sync(cells: &[bool]) -> bool {
    cells.starts_with(&SYNC)
}

/// The time from the camera to now, milliseconds; `None` if the cells are no stamp or make no sense. `robot_now_ms`: Unix
/// milliseconds on the robot's clock.
pub fn latency_of(cells: &[bool], robot_now_ms: f64) -> Option<f64> {
    if !has_sync(cells) {
        return None;
    }
    // The same first bits mean one thing or the other; only one of them lies close to now.
    [OLD_TIME_BITS, TIME_BITS].into_iter().find_map(|bits| {
        let time = cells.get(SYNC.len()..SYNC.len() + bits as usize)?;
        let value = time.iter().fold(0_u64, |value, bit| value << 1 | u64::from(*bit));
        #[expect(clippy::cast_precision_loss, reason = "at most 44 bits")]
        let (value, modulus) = (value as f64, (1_u64 << bits) as f64);
        let age = (robot_now_ms - value).rem_euclid(modulus);
        // The nearest such time may also lie ahead.
        let age = if age > modulus / 2.0 { age - modulus } else { age };
        (0.0..=MAX_LATENCY_MS).contains(&age).then_some(age)
    })
}
