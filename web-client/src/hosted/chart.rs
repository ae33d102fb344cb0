//! The map as it is shown: which part, how large, where a click on it is in the world, where the robot is on it.
//!
//! The picture's row 0 is at the world's origin, so it is shown upside down: y grows upwards on the screen. Lengths in
//! metres, places on the screen in pixels from its top left.

/// One turn of the wheel.
const ZOOM_STEP: f64 = 1.15;
const ZOOM: [f64; 2] = [1.0, 12.0];
/// A pointer that moved less than this between down and up was a click, pixels.
pub const CLICK_PX: f64 = 5.0;
/// Size of the robot's mark, metres: its length and its width.
pub const ROBOT_M: [f64; 2] = [0.70, 0.31];
/// The mark is at least this long, pixels.
pub const MARK_PX: f64 = 14.0;

/// Where the cells of a map are in the world.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Grid {
    /// Columns and rows.
    pub size: [f64; 2],
    /// Side of a cell, metres.
    pub resolution: f64,
    /// The world's place of cell (0, 0), metres.
    pub origin: [f64; 2],
}

impl Grid {
    /// A grid that can be shown.
    pub fn is_valid(&self) -> bool {
        let finite = self.origin.iter().chain(&self.size).all(|value| value.is_finite());
        finite && self.resolution.is_finite() && self.resolution > 0.0 && self.size.iter().all(|side| *side >= 1.0)
    }

    /// The world's place of a cell.
    pub fn world(&self, [column, row]: [f64; 2]) -> [f64; 2] {
        [self.origin[0] + column * self.resolution, self.origin[1] + row * self.resolution]
    }

    /// The cell at a place in the world.
    pub fn cell(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [(x - self.origin[0]) / self.resolution, (y - self.origin[1]) / self.resolution]
    }
}

/// What of the map is on the screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    zoom: f64,
    /// Of the map's middle from the screen's middle, pixels.
    pan: [f64; 2],
}

impl Default for View {
    fn default() -> Self {
        Self { zoom: 1.0, pan: [0.0; 2] }
    }
}

impl View {
    /// Turns of the wheel at a place of the screen: what is under the pointer stays there.
    pub fn zoom(&mut self, steps: f64, at: [f64; 2], screen: [f64; 2]) {
        let before = self.zoom;
        self.zoom = (before * ZOOM_STEP.powf(steps)).clamp(ZOOM[0], ZOOM[1]);
        let factor = self.zoom / before;
        for axis in 0..2 {
            let from_middle = at[axis] - screen[axis] / 2.0;
            self.pan[axis] = from_middle - (from_middle - self.pan[axis]) * factor;
        }
        self.keep(screen);
    }

    /// Moves the map by so many pixels.
    pub fn drag(&mut self, by: [f64; 2], screen: [f64; 2]) {
        self.pan = [self.pan[0] + by[0], self.pan[1] + by[1]];
        self.keep(screen);
    }

    /// Pixels of the screen for one cell.
    pub fn scale(&self, grid: &Grid, screen: [f64; 2]) -> f64 {
        (screen[0] / grid.size[0]).min(screen[1] / grid.size[1]) * self.zoom
    }

    /// Where a cell is on the screen.
    pub fn on_screen(&self, grid: &Grid, [column, row]: [f64; 2], screen: [f64; 2]) -> [f64; 2] {
        let scale = self.scale(grid, screen);
        [
            screen[0] / 2.0 + self.pan[0] + (column - grid.size[0] / 2.0) * scale,
            screen[1] / 2.0 + self.pan[1] - (row - grid.size[1] / 2.0) * scale,
        ]
    }

    /// The cell at a place of the screen; `None` beside the map.
    pub fn cell_at(&self, grid: &Grid, [x, y]: [f64; 2], screen: [f64; 2]) -> Option<[f64; 2]> {
        let scale = self.scale(grid, screen);
        let cell = [
            (x - screen[0] / 2.0 - self.pan[0]) / scale + grid.size[0] / 2.0,
            (screen[1] / 2.0 + self.pan[1] - y) / scale + grid.size[1] / 2.0,
        ];
        let inside = |axis: usize| (0.0..=grid.size[axis]).contains(&cell[axis]);
        (inside(0) && inside(1)).then_some(cell)
    }

    /// Not further than to where half the screen is map.
    fn keep(&mut self, screen: [f64; 2]) {
        for (pan, side) in self.pan.iter_mut().zip(screen) {
            let most = side * self.zoom / 2.0;
            *pan = pan.clamp(-most, most);
        }
        if self.zoom <= ZOOM[0] {
            self.pan = [0.0; 2];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRID: Grid = Grid { size: [120.0, 80.0], resolution: 0.1, origin: [-6.0, -4.0] };
    const SCREEN: [f64; 2] = [240.0, 160.0];

    fn close(a: [f64; 2], b: [f64; 2]) -> bool {
        a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9)
    }

    #[test]
    fn cells_are_in_the_world_where_the_robot_says_they_are() {
        assert!(close(GRID.cell([1.0, 2.0]), [70.0, 60.0]));
        assert!(close(GRID.world([70.0, 60.0]), [1.0, 2.0]));
    }

    #[test]
    fn the_row_of_the_origin_is_at_the_bottom() {
        let view = View::default();
        assert!(close(view.on_screen(&GRID, [0.0, 0.0], SCREEN), [0.0, 160.0]));
        assert!(close(view.on_screen(&GRID, [120.0, 80.0], SCREEN), [240.0, 0.0]));
    }

    #[test]
    fn a_click_finds_the_cell_that_was_drawn_there_however_it_is_zoomed_and_dragged() {
        let mut view = View::default();
        view.zoom(5.0, [200.0, 30.0], SCREEN);
        view.drag([12.0, -7.0], SCREEN);
        for cell in [[60.0, 40.0], [80.5, 55.25]] {
            let at = view.on_screen(&GRID, cell, SCREEN);
            assert!(close(view.cell_at(&GRID, at, SCREEN).unwrap(), cell));
        }
        assert_eq!(View::default().cell_at(&GRID, [-3.0, 10.0], SCREEN), None, "beside the map");
    }

    #[test]
    fn zooming_keeps_what_is_under_the_pointer_and_has_bounds() {
        let mut view = View::default();
        let at = [200.0, 30.0];
        let before = view.cell_at(&GRID, at, SCREEN).unwrap();
        view.zoom(3.0, at, SCREEN);
        assert!(close(view.cell_at(&GRID, at, SCREEN).unwrap(), before));
        assert!((view.scale(&GRID, SCREEN) / 2.0 - 1.15_f64.powi(3)).abs() < 1e-9);
        view.zoom(100.0, at, SCREEN);
        assert!((view.scale(&GRID, SCREEN) - 24.0).abs() < 1e-9);
        view.zoom(-100.0, at, SCREEN);
        assert_eq!(view, View::default(), "all of it, in the middle");
    }

    #[test]
    fn a_grid_without_cells_or_with_numbers_that_are_none_is_not_shown() {
        assert!(GRID.is_valid());
        assert!(!Grid { resolution: 0.0, ..GRID }.is_valid());
        assert!(!Grid { size: [0.0, 80.0], ..GRID }.is_valid());
        assert!(!Grid { origin: [f64::NAN, 0.0], ..GRID }.is_valid());
    }
}
