//! Where the panels of the cockpits stand in the operator's room, and what a ray hits. Metres in `local-floor`, radians.

use glam::{DMat4, DQuat, DVec2, DVec3, DVec4};

/// The screens fold around the operator by this much at the sides of a drive cockpit.
const FOLD: f64 = std::f64::consts::FRAC_PI_6;
/// Between a screen and the panel beside it.
const GAP: f64 = 0.03;
const SCREEN: DVec2 = DVec2::new(1.4, 0.7875);
const SCREEN_AT: DVec3 = DVec3::new(0.0, 1.52, -1.6);
const MAP: DVec2 = DVec2::new(0.7875, 0.7875);
const FIGURES: DVec2 = DVec2::new(0.5, 0.7875);
const ARM_SCREEN: DVec2 = DVec2::new(1.24, 0.70);
const ARM_SCREEN_GAP: f64 = 0.06;
const TOE_IN: f64 = 0.20;
/// Where a screen shows the panels from, and how much to each side it must show: tangents of half the angles.
const EYES: DVec3 = DVec3::new(0.0, 1.5, 0.0);
const SIGHT: DVec2 = DVec2::new(1.5, 0.78);
/// The nearest and the furthest that is shown, metres.
const DEPTH: [f64; 2] = [0.1, 10.0];

/// A flat panel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Panel {
    centre: DVec3,
    turn: DQuat,
    /// Width and height.
    pub size: DVec2,
}

impl Panel {
    const fn facing(centre: DVec3, size: DVec2) -> Self {
        Self { centre, turn: DQuat::IDENTITY, size }
    }

    fn turned(centre: DVec3, size: DVec2, yaw: f64) -> Self {
        Self { centre, turn: DQuat::from_rotation_y(yaw), size }
    }

    /// Hangs with its edge on the edge of the screen. `side`: -1 left, 1 right.
    fn folded(side: f64, size: DVec2) -> Self {
        let hinge = SCREEN_AT + DVec3::new(side * (SCREEN.x / 2.0 + GAP), 0.0, 0.0);
        let turn = DQuat::from_rotation_y(-side * FOLD);
        Self { centre: hinge + turn * DVec3::new(side * size.x / 2.0, 0.0, 0.0), turn, size }
    }

    /// The picture of a drive cockpit.
    pub fn screen() -> Self {
        Self::facing(SCREEN_AT, SCREEN)
    }

    /// The map, left of the picture.
    pub fn map() -> Self {
        Self::folded(-1.0, MAP)
    }

    /// The figures, right of the picture.
    pub fn figures() -> Self {
        Self::folded(1.0, FIGURES)
    }

    /// The buttons, below the picture and tilted up to the eyes.
    pub fn console() -> Self {
        Self { centre: DVec3::new(0.0, 0.86, -1.3), turn: DQuat::from_rotation_x(-0.6), size: DVec2::new(1.5, 0.52) }
    }

    /// The two pictures of an arm cockpit, left and right.
    pub fn arm_screens() -> [Self; 2] {
        [-1.0, 1.0].map(|side| {
            let x = side * (ARM_SCREEN.x + ARM_SCREEN_GAP) / 2.0;
            Self::turned(DVec3::new(x, 1.52, -1.62), ARM_SCREEN, -side * TOE_IN)
        })
    }

    /// The figures of an arm cockpit.
    pub fn arm_figures() -> Self {
        Self::turned(DVec3::new(1.42, 1.52, -1.28), DVec2::new(0.5, 0.70), -0.7)
    }

    /// The same place for a picture of this width over height, as large as fits.
    pub fn fitted(self, aspect: f64) -> Self {
        let wide = DVec2::new(self.size.x, self.size.x / aspect);
        let high = DVec2::new(self.size.y * aspect, self.size.y);
        let size = if wide.y <= self.size.y { wide } else { high };
        Self { size, ..self }
    }

    /// Model matrix of the unit square, centred, in x and y, facing +z.
    pub fn model(&self) -> DMat4 {
        DMat4::from_scale_rotation_translation(self.size.extend(1.0), self.turn, self.centre)
    }

    /// Where a ray meets the panel: its distance, and the place from the top left as parts of width and height. `None`
    /// beside it, behind the ray's origin, and from the panel's back.
    pub fn hit(&self, origin: DVec3, direction: DVec3) -> Option<(f64, DVec2)> {
        let back = self.turn.inverse();
        let (origin, direction) = (back * (origin - self.centre), back * direction);
        if origin.z <= 0.0 || direction.z >= -1e-9 {
            return None;
        }
        let distance = -origin.z / direction.z;
        let at = (origin + direction * distance).truncate() / self.size;
        let place = DVec2::new(at.x + 0.5, 0.5 - at.y);
        let inside = place.cmpge(DVec2::ZERO).all() && place.cmple(DVec2::ONE).all();
        inside.then_some((distance, place))
    }
}

/// What a screen of this width over height shows of the room: all panels, seen by somebody who stands in its middle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Tangents of half the angles.
    sight: DVec2,
}

impl Window {
    /// A screen of this width over height.
    pub fn of(aspect: f64) -> Self {
        let up = SIGHT.y.max(SIGHT.x / aspect);
        Self { sight: DVec2::new(up * aspect, up) }
    }

    /// From the room to WebGL's clip space.
    pub fn clip_from_room(self) -> DMat4 {
        let [near, far] = DEPTH;
        let projection = DMat4::from_cols(
            DVec4::new(1.0 / self.sight.x, 0.0, 0.0, 0.0),
            DVec4::new(0.0, 1.0 / self.sight.y, 0.0, 0.0),
            DVec4::new(0.0, 0.0, (far + near) / (near - far), -1.0),
            DVec4::new(0.0, 0.0, 2.0 * far * near / (near - far), 0.0),
        );
        projection * DMat4::from_translation(-EYES)
    }

    /// The place of the buttons' panel that is shown at this place of the screen; both from the top left, as parts of width
    /// and height.
    pub fn console_at(self, place: DVec2) -> Option<DVec2> {
        let right_and_up = DVec2::new(2.0 * place.x - 1.0, 1.0 - 2.0 * place.y) * self.sight;
        Panel::console().hit(EYES, right_and_up.extend(-1.0)).map(|(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Panel> {
        let [left, right] = Panel::arm_screens();
        vec![Panel::screen(), Panel::map(), Panel::figures(), Panel::console(), left, right, Panel::arm_figures()]
    }

    #[test]
    fn every_panel_faces_the_operator() {
        for panel in all() {
            let (_, at) = panel.hit(EYES, panel.centre - EYES).expect("looked at");
            assert!(at.abs_diff_eq(DVec2::splat(0.5), 1e-9), "{at}");
        }
    }

    #[test]
    fn a_ray_hits_the_corner_it_points_at() {
        let screen = Panel::screen();
        let corner = SCREEN_AT + DVec3::new(-0.69, 0.39, 0.0);
        let (distance, at) = screen.hit(EYES, (corner - EYES).normalize()).unwrap();
        assert!(at.x < 0.01 && at.y < 0.01, "{at}");
        assert!((distance - corner.distance(EYES)).abs() < 1e-9);
        assert_eq!(screen.hit(EYES, DVec3::Z), None, "away from it");
        assert_eq!(screen.hit(EYES, DVec3::new(0.0, 1.0, -0.5)), None, "above it");
        assert_eq!(screen.hit(DVec3::new(0.0, 1.5, -3.0), DVec3::Z), None, "from behind");
    }

    #[test]
    fn the_sides_of_a_drive_cockpit_touch_its_screen() {
        for (panel, side) in [(Panel::map(), -1.0), (Panel::figures(), 1.0)] {
            let edge = panel.model().transform_point3(DVec3::new(-side * 0.5, 0.0, 0.0));
            assert!(edge.abs_diff_eq(SCREEN_AT + DVec3::new(side * 0.73, 0.0, 0.0), 1e-9), "{edge}");
            let far = panel.model().transform_point3(DVec3::new(side * 0.5, 0.0, 0.0));
            assert!(far.z > SCREEN_AT.z, "folded towards the operator");
        }
    }

    #[test]
    fn a_screen_shows_all_panels_and_finds_the_buttons_where_it_shows_them() {
        for aspect in [0.46, 1.0, 16.0 / 9.0, 3.0] {
            let window = Window::of(aspect);
            let shown = |at: DVec3| window.clip_from_room().project_point3(at);
            for panel in all() {
                for corner in [[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]] {
                    let at = shown(panel.model().transform_point3(DVec2::from_array(corner).extend(0.0)));
                    assert!(at.abs().cmple(DVec3::ONE).all(), "{panel:?} at {aspect}: {at}");
                }
            }
            for place in [DVec2::splat(0.5), DVec2::new(0.1, 0.9)] {
                let on_panel = DVec3::new(place.x - 0.5, 0.5 - place.y, 0.0);
                let at = shown(Panel::console().model().transform_point3(on_panel));
                let found = window.console_at(DVec2::new((at.x + 1.0) / 2.0, (1.0 - at.y) / 2.0)).expect("the panel");
                assert!(found.abs_diff_eq(place, 1e-9), "{found} for {place}");
            }
            assert_eq!(window.console_at(DVec2::new(0.5, 0.3)), None, "the picture is no button");
        }
    }

    #[test]
    fn a_picture_keeps_its_aspect_and_fits() {
        for aspect in [0.5, 16.0 / 9.0, 3.0] {
            let fitted = Panel::screen().fitted(aspect);
            assert!((fitted.size.x / fitted.size.y - aspect).abs() < 1e-9);
            assert!(fitted.size.x <= SCREEN.x + 1e-9 && fitted.size.y <= SCREEN.y + 1e-9);
        }
    }
}
