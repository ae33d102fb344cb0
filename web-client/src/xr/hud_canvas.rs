//! Paints the words of the headset onto a 2D canvas, to be used as a texture.

use wasm_bindgen::prelude::*;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use crate::browser::document;
use crate::hud::{HudText, Tone};

const WIDTH: u32 = 1024;
const HEIGHT: u32 = 240;

/// Width over height of the canvas.
pub(crate) const ASPECT: f64 = WIDTH as f64 / HEIGHT as f64;

/// The canvas, and what is on it.
pub(crate) struct HudCanvas {
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
    painted: Option<HudText>,
}

impl HudCanvas {
    pub(crate) fn new() -> Result<Self, JsValue> {
        let canvas: HtmlCanvasElement = document().create_element("canvas")?.unchecked_into();
        canvas.set_width(WIDTH);
        canvas.set_height(HEIGHT);
        let context = canvas.get_context("2d")?.ok_or("no 2D canvas")?.unchecked_into();
        Ok(Self { canvas, context, painted: None })
    }

    /// Paints the text and hands the canvas to `show`, if the text is not the one that was shown last.
    ///
    /// # Errors
    /// Those of `show`, after which the same text is painted anew.
    pub(crate) fn paint(
        &mut self,
        text: &HudText,
        show: impl FnOnce(&HtmlCanvasElement) -> Result<(), JsValue>,
    ) -> Result<(), JsValue> {
        if self.painted.as_ref() == Some(text) {
            return Ok(());
        }
        let (context, width, height) = (&self.context, f64::from(WIDTH), f64::from(HEIGHT));
        context.clear_rect(0.0, 0.0, width, height);
        context.set_fill_style_str("rgba(14, 20, 23, 0.82)");
        context.begin_path();
        let _ = context.round_rect_with_f64(4.0, 4.0, width - 8.0, height - 8.0, 48.0);
        context.fill();
        context.set_text_align("center");
        context.set_text_baseline("middle");
        let middle = width / 2.0;
        context.set_fill_style_str(colour(text.tone));
        context.set_font("600 84px system-ui, sans-serif");
        let title_y = if text.detail.is_empty() { height / 2.0 } else { 76.0 };
        // The last argument squeezes a text that is too long instead of cutting it.
        let _ = context.fill_text_with_max_width(&text.title, middle, title_y, width - 96.0);
        context.set_fill_style_str("#c6d3d8");
        context.set_font("400 56px system-ui, sans-serif");
        let _ = context.fill_text_with_max_width(&text.detail, middle, 170.0, width - 96.0);
        show(&self.canvas)?;
        self.painted = Some(text.clone());
        Ok(())
    }
}

fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Idle => "#eef4f6",
        Tone::Driving => "#5fd3bf",
        Tone::Caution => "#f4c261",
        Tone::Alarm => "#ff8a7a",
    }
}
