//! The panels of the cockpits that are painted: buttons, figures, the map, each on a canvas that becomes a texture.

use wasm_bindgen::prelude::*;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use super::acks::Progress;
use super::chart::View;
use super::console::{self, Button};
use super::panels::Panel;
use super::ride::Ride;
use super::summary::Hud;
use crate::browser::{document, now};
use crate::xr::{Painter, Texture};
use waldo_protocol::hosted::Quality;

const GROUND: &str = "rgba(14, 20, 23, 0.86)";
/// Pixels for a metre.
const DENSITY: f64 = 900.0;
/// The map is painted anew this often.
const MAP_EVERY_MS: f64 = 200.0;

struct Canvas {
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
    size: [f64; 2],
}

impl Canvas {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes of panels")]
    fn of(panel: Panel) -> Result<Self, JsValue> {
        let size = [panel.size.x * DENSITY, panel.size.y * DENSITY].map(f64::round);
        let canvas: HtmlCanvasElement = document().create_element("canvas")?.unchecked_into();
        canvas.set_width(size[0] as u32);
        canvas.set_height(size[1] as u32);
        let context: CanvasRenderingContext2d = canvas.get_context("2d")?.ok_or("no 2D canvas")?.unchecked_into();
        context.set_text_baseline("middle");
        Ok(Self { canvas, context, size })
    }

    fn clear(&self) {
        let context = &self.context;
        context.clear_rect(0.0, 0.0, self.size[0], self.size[1]);
        self.rounded([0.0, 0.0, self.size[0], self.size[1]], 28.0, GROUND);
    }

    fn rounded(&self, [left, top, width, height]: [f64; 4], radius: f64, colour: &str) {
        self.context.set_fill_style_str(colour);
        self.context.begin_path();
        let _ = self.context.round_rect_with_f64(left, top, width, height, radius);
        self.context.fill();
    }

    fn text(&self, text: &str, [x, y]: [f64; 2], align: &str, font: &str, colour: &str, width: f64) {
        self.context.set_font(font);
        self.context.set_text_align(align);
        self.context.set_fill_style_str(colour);
        // The last argument squeezes a text that is too long instead of cutting it.
        let _ = self.context.fill_text_with_max_width(text, x, y, width);
    }
}

/// The buttons.
pub(super) struct ConsoleBoard {
    canvas: Canvas,
    pub(super) texture: Texture,
    painted: Vec<Button>,
}

impl ConsoleBoard {
    pub(super) fn new(painter: &Painter) -> Result<Self, JsValue> {
        Ok(Self { canvas: Canvas::of(Panel::console())?, texture: painter.texture()?, painted: Vec::new() })
    }

    pub(super) fn paint(&mut self, painter: &Painter, buttons: &[Button]) -> Result<(), JsValue> {
        if self.painted == buttons {
            return Ok(());
        }
        let canvas = &self.canvas;
        canvas.clear();
        let [width, height] = canvas.size;
        for (index, button) in buttons.iter().enumerate() {
            let [left, top, wide, high] = console::place(index, buttons.len(), width / height);
            let place = [left * width, top * height, wide * width, high * height];
            let (ground, ink) = match (button.danger, button.progress, button.chosen) {
                (true, ..) => ("#d2382c", "#ffffff"),
                (_, Progress::Failed, _) => ("#4a2320", "#ff8a7a"),
                (_, Progress::Pending, _) => ("#4a3c1c", "#f4c261"),
                (_, Progress::Done, _) | (_, _, true) => ("#5fd3bf", "#06201b"),
                _ => ("#22313a", "#eaf1f3"),
            };
            canvas.rounded(place, 22.0, ground);
            let middle = [place[0] + place[2] / 2.0, place[1] + place[3] / 2.0];
            canvas.text(&button.label, middle, "center", "600 44px system-ui, sans-serif", ink, place[2] - 20.0);
        }
        painter.upload_canvas(&self.texture, &canvas.canvas)?;
        self.painted = buttons.to_vec();
        Ok(())
    }
}

/// The figures.
pub(super) struct FiguresBoard {
    canvas: Canvas,
    pub(super) texture: Texture,
    painted: Option<Hud>,
}

impl FiguresBoard {
    pub(super) fn new(painter: &Painter) -> Result<Self, JsValue> {
        Ok(Self { canvas: Canvas::of(Panel::figures())?, texture: painter.texture()?, painted: None })
    }

    pub(super) fn paint(&mut self, painter: &Painter, hud: &Hud) -> Result<(), JsValue> {
        if self.painted.as_ref() == Some(hud) {
            return Ok(());
        }
        let canvas = &self.canvas;
        canvas.clear();
        let [width, height] = canvas.size;
        let rows: usize = hud.groups.iter().map(|(_, figures)| figures.len() + 1).sum();
        #[expect(clippy::cast_precision_loss, reason = "some twenty rows")]
        let row = ((height - 40.0) / rows.max(1) as f64).min(48.0);
        let mut y = 20.0 + row / 2.0;
        for (title, figures) in &hud.groups {
            canvas.text(&title.to_uppercase(), [28.0, y], "left", "600 22px system-ui, sans-serif", "#9fb2b9", width);
            y += row;
            for figure in figures {
                let colour = match figure.quality {
                    Quality::Good => "#eaf1f3",
                    Quality::Warn => "#f4c261",
                    Quality::Bad => "#ff8a7a",
                };
                let font = "400 28px system-ui, sans-serif";
                canvas.text(figure.label, [28.0, y], "left", font, "#c6d3d8", width * 0.5);
                canvas.text(&figure.value, [width - 28.0, y], "right", font, colour, width * 0.45);
                y += row;
            }
        }
        painter.upload_canvas(&self.texture, &canvas.canvas)?;
        self.painted = Some(hud.clone());
        Ok(())
    }
}

/// The map.
pub(super) struct MapBoard {
    canvas: Canvas,
    pub(super) texture: Texture,
    painted_at: f64,
}

impl MapBoard {
    pub(super) fn new(painter: &Painter) -> Result<Self, JsValue> {
        let canvas = Canvas::of(Panel::map())?;
        Ok(Self { canvas, texture: painter.texture()?, painted_at: f64::NEG_INFINITY })
    }

    pub(super) fn paint(&mut self, painter: &Painter, ride: &Ride) -> Result<(), JsValue> {
        if !ride.map.is_there() || now() - self.painted_at < MAP_EVERY_MS {
            return Ok(());
        }
        self.painted_at = now();
        ride.map.paint(&self.canvas.context, self.canvas.size, 1.0, View::default())?;
        painter.upload_canvas(&self.texture, &self.canvas.canvas)
    }
}
