//! The latency stamp: a picture's capture time, drawn into its top left corner.
//!
//! 40 square cells of [`CELL`] pixels in a row from the top left (narrower pictures wrap to the next row), black for 0
//! and white for 1, most significant bit first: 32 bits of capture time in whole Unix milliseconds modulo 2^32, then
//! 8 check bits, the XOR of the four data bytes and 0x5A. Any program that sees the picture at the far end can read it.

use std::time::Duration;

/// Side of a cell in pixels.
pub const CELL: usize = 16;

/// The smallest that is read in a picture that was made smaller.
const SMALLEST_CELL: usize = 4;

const BITS: usize = 40;

/// The stamp of a capture time: whole milliseconds of Unix time modulo 2^32.
pub fn millis(unix_time: Duration) -> u32 {
    // The remainder fits.
    (unix_time.as_millis() % (1 << 32)) as u32
}

/// Draws a stamp into an RGB picture of `width` pixels per row. A picture too small for all cells stays unchanged.
pub fn draw(rgb: &mut [u8], width: usize, millis: u32) {
    let code = code(millis);
    let row_bytes = width * 3;
    if row_bytes == 0 || !fits(CELL, width, rgb.len() / row_bytes) {
        return;
    }
    for bit in 0..BITS {
        let (x, y) = place(bit, CELL, width);
        let value = if code >> (BITS - 1 - bit) & 1 == 1 { 255 } else { 0 };
        for row in rgb.chunks_exact_mut(row_bytes).skip(y).take(CELL) {
            row[x * 3..(x + CELL) * 3].fill(value);
        }
    }
}

/// Reads a stamp from a picture of this size, where `luma(x, y)` is the brightness of a pixel, 0 to 255.
///
/// `None` if the picture is too small or the check bits are wrong. Each cell is judged by the mean of its middle, so
/// that the stamp survives compression.
pub fn read(width: usize, height: usize, luma: impl Fn(usize, usize) -> u8) -> Option<u32> {
    read_cells(CELL, width, height, luma)
}

/// Like [`read`], for a picture that was made smaller on its way, where the camera's was `camera_width` pixels wide.
///
/// Cells become smaller with the picture. `None` also if they are no whole number of pixels, or fewer than 4, from which
/// compression leaves too little.
pub fn read_scaled(camera_width: usize, width: usize, height: usize, luma: impl Fn(usize, usize) -> u8) -> Option<u32> {
    let cell = (CELL * width).checked_div(camera_width)?;
    let whole = cell * camera_width == CELL * width;
    (whole && (SMALLEST_CELL..=CELL).contains(&cell)).then(|| read_cells(cell, width, height, luma))?
}

fn read_cells(cell: usize, width: usize, height: usize, luma: impl Fn(usize, usize) -> u8) -> Option<u32> {
    if !fits(cell, width, height) {
        return None;
    }
    let mut seen = 0u64;
    for bit in 0..BITS {
        let (left, top) = place(bit, cell, width);
        let middle = cell / 4..cell * 3 / 4;
        let sum: usize = middle
            .clone()
            .flat_map(|y| middle.clone().map(move |x| (x, y)))
            .map(|(x, y)| usize::from(luma(left + x, top + y)))
            .sum();
        seen = seen << 1 | u64::from(sum > 128 * middle.len() * middle.len());
    }
    let millis = (seen >> 8) as u32;
    (code(millis) == seen).then_some(millis)
}

fn code(millis: u32) -> u64 {
    let check = millis.to_be_bytes().into_iter().fold(0x5A, |check, byte| check ^ byte);
    u64::from(millis) << 8 | u64::from(check)
}

/// Left and upper edge of the cell of a bit.
fn place(bit: usize, cell: usize, width: usize) -> (usize, usize) {
    let per_row = width / cell;
    (bit % per_row * cell, bit / per_row * cell)
}

fn fits(cell: usize, width: usize, height: usize) -> bool {
    let per_row = width / cell;
    per_row > 0 && BITS.div_ceil(per_row) * cell <= height
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamped(width: usize, height: usize, millis: u32) -> Vec<u8> {
        let mut rgb = vec![77; width * height * 3];
        draw(&mut rgb, width, millis);
        rgb
    }

    fn read_rgb(rgb: &[u8], width: usize) -> Option<u32> {
        read(width, rgb.len() / width / 3, |x, y| rgb[(y * width + x) * 3])
    }

    #[test]
    fn cells_are_laid_out_as_documented() {
        // 0x80000001: first and last data bit set; check byte 0x80 ^ 0x01 ^ 0x5A = 0b1101_1011.
        let rgb = stamped(640, 480, 0x8000_0001);
        let cells: String = (0..40).map(|i| if rgb[(5 * 640 + i * 16 + 5) * 3] == 255 { '1' } else { '0' }).collect();
        assert_eq!(cells, "1000000000000000000000000000000111011011");
        assert_eq!(rgb[(16 * 640) * 3], 77, "one row of cells, 16 pixels high");
    }

    #[test]
    fn narrow_pictures_wrap_to_the_next_rows() {
        // 100 pixels hold 6 cells per row: 7 rows, 112 pixels high.
        let rgb = stamped(100, 112, u32::MAX);
        assert_eq!(read_rgb(&rgb, 100), Some(u32::MAX));
        let at = |x: usize, y: usize| rgb[(y * 100 + x) * 3];
        assert_eq!((at(0, 16), at(95, 16), at(96, 16)), (255, 255, 77));
        assert_eq!(at(63, 111), 0, "the last check bit of 0x5A");
    }

    #[test]
    fn a_picture_too_small_stays_unchanged_and_reads_as_nothing() {
        for (width, height) in [(100, 110), (14, 2000), (640, 14), (0, 0)] {
            let rgb = stamped(width, height, 1);
            assert!(rgb.iter().all(|&b| b == 77), "{width}x{height}");
            assert_eq!(read(width, height, |_, _| 0), None);
        }
    }

    #[test]
    fn a_scale_that_leaves_no_whole_cells_or_too_small_ones_reads_as_nothing() {
        for (camera_width, width) in [(640, 80), (640, 300), (320, 640), (0, 640), (640, 0)] {
            let seen = read_scaled(camera_width, width, 480, |_, _| unreachable!("nothing is looked at"));
            assert_eq!(seen, None, "{width} of {camera_width}");
        }
    }

    #[test]
    fn a_picture_without_a_stamp_reads_as_nothing() {
        assert_eq!(read(640, 480, |_, _| 0), None);
        assert_eq!(read(640, 480, |_, _| 255), None);
    }

    #[test]
    fn time_wraps_at_32_bits_of_milliseconds() {
        assert_eq!(millis(Duration::from_millis(0x1_0000_0005)), 5);
        assert_eq!(millis(Duration::from_micros(7999)), 7);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn what_is_drawn_is_read_despite_noise(millis: u32, width in 16usize..800, noise in 0u8..60) {
            let mut rgb = stamped(width, 700, millis);
            for (i, byte) in rgb.iter_mut().enumerate() {
                *byte = if i % 2 == 0 { byte.saturating_add(noise) } else { byte.saturating_sub(noise) };
            }
            prop_assert_eq!(read_rgb(&rgb, width), Some(millis));
        }

        #[test]
        fn what_is_drawn_is_read_in_pictures_made_smaller(millis: u32, width in 4usize..200, halvings in 0usize..3) {
            let width = 4 * width;
            let rgb = stamped(width, 700, millis);
            let (side, small) = (1 << halvings, width >> halvings);
            let mean = |x: usize, y: usize| {
                let pixels = (0..side * side).map(|i| (y * side + i / side) * width + x * side + i % side);
                (pixels.map(|pixel| usize::from(rgb[pixel * 3])).sum::<usize>() / (side * side)) as u8
            };
            // Narrower ones have no room for all cells.
            let expected = (width >= 16).then_some(millis);
            prop_assert_eq!(read_scaled(width, small, 700 >> halvings, mean), expected);
        }

        #[test]
        fn a_wrong_bit_is_noticed(millis: u32, bit in 0usize..40) {
            let rgb = stamped(640, 16, millis);
            let flipped = |x: usize, y: usize| {
                let value = rgb[(y * 640 + x) * 3];
                if x / 16 == bit { 255 - value } else { value }
            };
            prop_assert_eq!(read(640, 16, flipped), None);
        }
    }
}
