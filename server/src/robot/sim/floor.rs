//! The map of the simulated room: its walls, and the table in it.

use glam::DVec2;
use waldo_protocol::hosted::OccupancyGrid;

use super::base::ROOM;
use super::object::TABLE;

/// Width of a cell, metres.
const CELL: f64 = 0.1;

const FREE: i8 = 0;
const OCCUPIED: i8 = 100;

/// What stands on the floor. The walls are one cell thick.
pub(super) fn map() -> Option<OccupancyGrid> {
    let [min, max] = [ROOM[0].truncate() - CELL, ROOM[1].truncate() + CELL];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a room of a few metres")]
    let [width, height] = ((max - min) / CELL).round().to_array().map(|cells| cells as usize);
    let cell = |column: usize, row: usize| {
        let middle = min + CELL * (DVec2::new(column as f64, row as f64) + 0.5);
        let inside = middle.cmpgt(ROOM[0].truncate()).all() && middle.cmplt(ROOM[1].truncate()).all();
        let table = middle.cmpge(TABLE.min.truncate()).all() && middle.cmple(TABLE.max.truncate()).all();
        if inside && !table { FREE } else { OCCUPIED }
    };
    let cells = (0..height).flat_map(|row| (0..width).map(move |column| cell(column, row))).collect();
    OccupancyGrid::new(width, height, CELL, min.to_array(), cells).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_has_walls_and_the_table_stands_where_it_is() {
        let map = map().unwrap();
        assert_eq!((map.width(), map.height()), (72, 62));
        let at = |x: f64, y: f64| {
            let [column, row] = [(x - map.origin()[0]) / CELL, (y - map.origin()[1]) / CELL].map(|c| c as usize);
            map.cells()[row * map.width() + column]
        };
        assert_eq!((at(0.0, 0.0), at(0.63, 0.0), at(0.63, 0.9)), (FREE, OCCUPIED, FREE));
        assert_eq!((at(-2.55, 0.0), at(-2.45, 0.0)), (OCCUPIED, FREE));
    }
}
