//! Maps on their way from a grid of cells to a small picture.

/// No message of the map channel that we send is longer, bytes: a larger map is made coarser. Some SFUs lose messages from
/// 16 KiB on.
pub const MAX_MAP_MESSAGE: usize = 16 * 1024 - 1;

/// Finer cells are put together before a map is sent, metres.
pub const MIN_CELL: f64 = 0.1;

/// Most cells of a grid.
pub const MAX_CELLS: usize = 1 << 24;

/// A map whose cells tell what is there: −1 unknown, 0 free, 1 to 100 more and more certainly occupied.
#[derive(Clone, Debug, PartialEq)]
pub struct OccupancyGrid {
    width: usize,
    height: usize,
    cell: f64,
    origin: [f64; 2],
    cells: Vec<i8>,
}

/// Why a grid was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidGrid {
    /// There are none, too many, or not as many as width and height say.
    #[error("width times height must be the number of cells, from 1 to 2^24")]
    Cells,
    /// Size of a cell or origin.
    #[error("the size of a cell must be positive, it and the origin finite")]
    NotFinite,
}

impl OccupancyGrid {
    /// A map of `width` times `height` cells, row after row, each `cell` metres wide. Row 0 is at `origin`, metres in the
    /// world, and y grows with the row.
    ///
    /// # Errors
    /// [`InvalidGrid`] says what is wrong with it.
    pub fn new(width: usize, height: usize, cell: f64, origin: [f64; 2], cells: Vec<i8>) -> Result<Self, InvalidGrid> {
        let count = width.checked_mul(height).filter(|count| (1..=MAX_CELLS).contains(count));
        if count != Some(cells.len()) {
            return Err(InvalidGrid::Cells);
        }
        if !(cell.is_finite() && cell > 0.0 && origin.iter().all(|c| c.is_finite())) {
            return Err(InvalidGrid::NotFinite);
        }
        Ok(Self { width, height, cell, origin, cells })
    }

    /// Columns.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Width of a cell, metres.
    pub const fn cell(&self) -> f64 {
        self.cell
    }

    /// Where the corner of column 0 and row 0 is in the world, metres.
    pub const fn origin(&self) -> [f64; 2] {
        self.origin
    }

    /// The cells, row after row.
    pub fn cells(&self) -> &[i8] {
        &self.cells
    }

    /// The map with `factor` times `factor` cells as one, which is what the most occupied of them is; cells that fill no
    /// whole block are cut. Nothing if there is no whole block.
    #[expect(clippy::cast_precision_loss, reason = "a factor above 2^24 gives nothing")]
    pub fn coarsened(&self, factor: usize) -> Option<Self> {
        let factor = factor.max(1);
        let (width, height) = (self.width / factor, self.height / factor);
        if width == 0 || height == 0 {
            return None;
        }
        let block = |row: usize, column: usize| {
            let rows = (row * factor..(row + 1) * factor).map(|row| &self.cells[row * self.width..][..self.width]);
            rows.flat_map(|row| &row[column * factor..(column + 1) * factor]).copied().max().unwrap_or(-1)
        };
        let cells = (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
        let cells = cells.map(|(row, column)| block(row, column)).collect();
        Some(Self { width, height, cell: self.cell * factor as f64, origin: self.origin, cells })
    }

    /// The map with cells no finer than about `least` metres; [`MIN_CELL`] is what operators get.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a positive quotient")]
    pub fn no_finer_than(&self, least: f64) -> Option<Self> {
        if self.cell >= least {
            return Some(self.clone());
        }
        self.coarsened((least / self.cell).round_ties_even() as usize)
    }

    /// Red, green, blue and opacity of each cell.
    pub fn pixels(&self) -> Vec<u8> {
        self.cells.iter().flat_map(|cell| cell_colour(*cell)).collect()
    }
}

/// Red, green, blue and opacity of what a cell holds.
pub const fn cell_colour(cell: i8) -> [u8; 4] {
    match cell {
        ..0 => [0, 0, 0, 0],
        0 => [0x1e, 0x3a, 0x44, 255],
        1..100 => [0x8f, 0xdc, 0xef, 255],
        100.. => [255; 4],
    }
}
