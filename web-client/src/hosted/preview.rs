//! The headset's cockpit on an ordinary screen, with `#vrpreview`: for whoever works on it without a headset. A click is a
//! laser's trigger.

use std::cell::{Cell, RefCell};
use std::rc::Weak;

use glam::DVec2;
use leptos::prelude::window;
use wasm_bindgen::prelude::*;
use web_sys::{HtmlCanvasElement, WebGl2RenderingContext as Gl};

use super::Hosted;
use super::panels::Window;
use super::stage::Stage;
use crate::browser::{error_text, fit, now};
use crate::summary::Presence;

/// The canvas, and what is drawn on it.
pub(super) struct Preview {
    canvas: HtmlCanvasElement,
    stage: RefCell<Stage>,
    reported: Cell<bool>,
    on_picture: Closure<dyn FnMut()>,
}

impl Preview {
    fn new(canvas: HtmlCanvasElement, hosted: &Weak<Hosted>) -> Result<Self, JsValue> {
        let gl: Gl = canvas.get_context("webgl2")?.ok_or("no WebGL2")?.unchecked_into();
        let hosted = hosted.clone();
        let on_picture = Closure::new(move || {
            if let Some(hosted) = hosted.upgrade() {
                hosted.draw_preview();
            }
        });
        Ok(Self { canvas, stage: RefCell::new(Stage::new(gl, false)?), reported: Cell::default(), on_picture })
    }

    fn await_picture(&self) {
        // Without pictures there is nothing to see, and nobody to tell.
        let _ = window().request_animation_frame(self.on_picture.as_ref().unchecked_ref());
    }
}

impl Hosted {
    /// Draws the headset's cockpit on this canvas, until the robot is left.
    pub(crate) fn preview_on(&self, canvas: HtmlCanvasElement) {
        match Preview::new(canvas, &self.this) {
            Ok(preview) => {
                preview.await_picture();
                self.preview.replace(Some(preview));
            }
            Err(error) => web_sys::console::warn_1(&format!("no preview: {}", error_text(&error)).into()),
        }
    }

    /// Presses the button that is shown there, pixels of the page from the canvas's top left.
    pub(crate) fn press_preview(&self, at: [f64; 2]) {
        let size = self.preview.borrow().as_ref().map(|preview| {
            DVec2::new(preview.canvas.client_width().max(1).into(), preview.canvas.client_height().max(1).into())
        });
        let (Some(size), Some(ride)) = (size, self.ride()) else { return };
        if let Some(at) = Window::of(size.x / size.y).console_at(DVec2::from_array(at) / size) {
            self.press_at(&ride, at, now());
        }
    }

    fn draw_preview(&self) {
        let preview = self.preview.borrow();
        let (Some(preview), Some(ride)) = (&*preview, self.ride()) else { return };
        preview.await_picture();
        let (width, height) = fit(&preview.canvas);
        // A headset has the graphics card for itself.
        if self.presence.get() != Presence::Out || width == 0 || height == 0 {
            return;
        }
        let mut stage = preview.stage.borrow_mut();
        let updated = stage.update(&ride);
        stage.gl().viewport(0, 0, width.cast_signed(), height.cast_signed());
        stage.clear(None);
        let window = Window::of(f64::from(width) / f64::from(height));
        stage.draw(window.clip_from_room().as_mat4(), &ride, &[]);
        if let Err(error) = updated
            && !preview.reported.replace(true)
        {
            web_sys::console::warn_1(&format!("a panel could not be drawn: {}", error_text(&error)).into());
        }
    }
}
