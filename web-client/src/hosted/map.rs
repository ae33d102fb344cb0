//! The robot's map: the newest picture, where the robot is on it, where it shall go; drawn on a canvas of the page.

use std::cell::{Cell, RefCell};
use std::f64::consts::TAU;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use js_sys::{Array, Uint8Array};
use leptos::prelude::window;
use waldo_protocol::hosted::{MapPicture, Odom};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{Blob, CanvasRenderingContext2d, HtmlCanvasElement, ImageBitmap};

use super::Hosted;
use super::chart::{Grid, MARK_PX, ROBOT_M, View};
use super::robot::placed;

/// A robot's screen has at most this many pixels for one of the page.
const MAX_DENSITY: f64 = 2.0;

/// The map of one robot.
#[derive(Default)]
pub(super) struct Map {
    picture: Rc<RefCell<Option<(Grid, ImageBitmap)>>>,
    /// x, y and yaw in the world.
    robot: Cell<Option<[f64; 3]>>,
    goal: Cell<Option<[f64; 2]>>,
    view: Cell<View>,
    canvas: RefCell<Option<HtmlCanvasElement>>,
}

impl Map {
    pub(super) fn is_there(&self) -> bool {
        self.picture.borrow().is_some()
    }

    pub(super) fn goal(&self) -> Option<[f64; 2]> {
        self.goal.get()
    }

    pub(super) fn set_goal(&self, goal: Option<[f64; 2]>) {
        self.goal.set(goal);
    }

    pub(super) fn place(&self, odom: &Odom) {
        self.robot.set(placed(odom).or(self.robot.get()));
    }

    /// Takes a picture; one that is none leaves the old one.
    pub(super) fn show(&self, map: MapPicture) {
        let grid = Grid { size: [f64::from(map.w), f64::from(map.h)], resolution: map.res, origin: map.origin };
        let Some(bytes) = STANDARD.decode(&map.png_b64).ok().filter(|_| grid.is_valid()) else { return };
        let parts = Array::of1(&Uint8Array::from(bytes.as_slice()));
        let Ok(blob) = Blob::new_with_u8_array_sequence(&parts) else { return };
        let Ok(decoding) = window().create_image_bitmap_with_blob(&blob) else { return };
        let picture = self.picture.clone();
        spawn_local(async move {
            if let Ok(bitmap) = JsFuture::from(decoding).await {
                let old = picture.replace(Some((grid, bitmap.unchecked_into())));
                if let Some((_, old)) = old {
                    old.close();
                }
            }
        });
    }

    /// The place in the world at a place of the page's canvas.
    pub(super) fn world_at(&self, at: [f64; 2]) -> Option<[f64; 2]> {
        let picture = self.picture.borrow();
        let (grid, _) = picture.as_ref()?;
        let cell = self.view.get().cell_at(grid, at, self.screen()?)?;
        Some(grid.world(cell))
    }

    /// Size of the page's canvas in pixels of the page.
    fn screen(&self) -> Option<[f64; 2]> {
        let canvas = self.canvas.borrow();
        let canvas = canvas.as_ref()?;
        let size = [canvas.client_width(), canvas.client_height()].map(f64::from);
        size.iter().all(|side| *side > 0.0).then_some(size)
    }

    /// Draws on the page's canvas, if it has one.
    pub(super) fn draw(&self) {
        let (Some(canvas), Some(screen)) = (&*self.canvas.borrow(), self.screen()) else { return };
        let density = window().device_pixel_ratio().clamp(1.0, MAX_DENSITY);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes of a screen")]
        let pixels = screen.map(|side| (side * density).round() as u32);
        if [canvas.width(), canvas.height()] != pixels {
            canvas.set_width(pixels[0]);
            canvas.set_height(pixels[1]);
        }
        if let Ok(Some(context)) = canvas.get_context("2d") {
            // What cannot be drawn now is drawn with the next tick.
            let _ = self.paint(context.unchecked_ref(), screen, density, self.view.get());
        }
    }

    /// Paints the map on a canvas of this size, `density` of its pixels for each.
    pub(super) fn paint(
        &self,
        context: &CanvasRenderingContext2d,
        screen: [f64; 2],
        density: f64,
        view: View,
    ) -> Result<(), JsValue> {
        context.set_transform(density, 0.0, 0.0, density, 0.0, 0.0)?;
        context.clear_rect(0.0, 0.0, screen[0], screen[1]);
        let picture = self.picture.borrow();
        let Some((grid, bitmap)) = &*picture else { return Ok(()) };
        let scale = view.scale(grid, screen);
        let at = |world| view.on_screen(grid, grid.cell(world), screen);
        let [left, bottom] = view.on_screen(grid, [0.0; 2], screen);
        context.save();
        context.translate(left, bottom)?;
        context.scale(scale, -scale)?;
        context.set_image_smoothing_enabled(false);
        context.draw_image_with_image_bitmap(bitmap, 0.0, 0.0)?;
        context.restore();
        let metre = scale / grid.resolution;
        if let Some(goal) = self.goal.get() {
            let [x, y] = at(goal);
            context.set_stroke_style_str("#f4c261");
            context.set_line_width(2.5);
            context.begin_path();
            context.arc(x, y, (0.25 * metre).max(7.0), 0.0, TAU)?;
            context.stroke();
        }
        if let Some([x, y, yaw]) = self.robot.get() {
            let [x, y] = at([x, y]);
            let length = (ROBOT_M[0] * metre).max(MARK_PX);
            let width = length * ROBOT_M[1] / ROBOT_M[0];
            context.save();
            context.translate(x, y)?;
            context.rotate(-yaw)?;
            context.set_fill_style_str("#5fd3bf");
            context.begin_path();
            context.move_to(length / 2.0, 0.0);
            context.line_to(length / 4.0, -width / 2.0);
            context.line_to(-length / 2.0, -width / 2.0);
            context.line_to(-length / 2.0, width / 2.0);
            context.line_to(length / 4.0, width / 2.0);
            context.close_path();
            context.fill();
            context.restore();
        }
        Ok(())
    }
}

impl Hosted {
    /// Draws the map there from now on.
    pub(crate) fn draw_map_on(&self, canvas: HtmlCanvasElement) {
        if let Some(ride) = self.ride() {
            ride.map.canvas.replace(Some(canvas));
        }
    }

    /// Turns of the wheel at a place of the map, pixels of the page.
    pub(crate) fn zoom_map(&self, steps: f64, at: [f64; 2]) {
        self.view_map(|view, screen| view.zoom(steps, at, screen));
    }

    /// Moves the map by so many pixels of the page.
    pub(crate) fn drag_map(&self, by: [f64; 2]) {
        self.view_map(|view, screen| view.drag(by, screen));
    }

    /// Shows all of the map again.
    pub(crate) fn reset_map(&self) {
        self.view_map(|view, _| *view = View::default());
    }

    fn view_map(&self, change: impl FnOnce(&mut View, [f64; 2])) {
        let Some(ride) = self.ride() else { return };
        if let Some(screen) = ride.map.screen() {
            let mut view = ride.map.view.get();
            change(&mut view, screen);
            ride.map.view.set(view);
            ride.map.draw();
        }
    }

    /// Gives the picture its place in the page.
    pub(crate) fn show_on(&self, place: &web_sys::Element) {
        if let Some(ride) = self.ride() {
            let _ = place.append_child(&ride.camera.element());
        }
    }
}
