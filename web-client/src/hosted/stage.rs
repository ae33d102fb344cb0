//! The cockpit in the operator's room: the panels with picture, map, figures and buttons, and the lasers that point at them.

use glam::{DMat4, DQuat, DVec3, Mat4};
use wasm_bindgen::prelude::*;
use web_sys::{WebGl2RenderingContext as Gl, WebGlFramebuffer};

use super::boards::{ConsoleBoard, FiguresBoard, MapBoard};
use super::panels::Panel;
use super::ride::Ride;
use super::summary::Kind;
use super::vr::pointed_at;
use super::words;
use crate::browser::now;
use crate::xr::{self, HUD_ASPECT, HandInput, HudCanvas, Painter, Texture};

const DARK_ROOM: [f32; 3] = [0.035, 0.047, 0.055];
const LASER: f64 = 0.003;
const LASER_COLOUR: [f32; 3] = [0.37, 0.83, 0.75];
/// The words above the picture.
const WORDS_WIDTH: f64 = 0.9;
const WORDS_AT: DVec3 = DVec3::new(0.0, 2.06, -1.6);
/// A picture that stands still.
const STALLED: [f32; 3] = [1.0, 0.35, 0.3];

/// Everything that is drawn.
pub(crate) struct Stage {
    gl: Gl,
    painter: Painter,
    picture: Texture,
    shown: u64,
    aspect: f64,
    words: HudCanvas,
    words_texture: Texture,
    map: MapBoard,
    figures: FiguresBoard,
    console: ConsoleBoard,
    passthrough: bool,
}

impl Stage {
    /// `passthrough`: the room is visible behind what is drawn.
    pub(super) fn new(gl: Gl, passthrough: bool) -> Result<Self, JsValue> {
        let painter = Painter::new(gl.clone())?;
        Ok(Self {
            picture: painter.texture()?,
            words_texture: painter.texture()?,
            map: MapBoard::new(&painter)?,
            figures: FiguresBoard::new(&painter)?,
            console: ConsoleBoard::new(&painter)?,
            words: HudCanvas::new()?,
            shown: 0,
            aspect: 16.0 / 9.0,
            gl,
            painter,
            passthrough,
        })
    }

    pub(super) fn gl(&self) -> &Gl {
        &self.gl
    }

    /// Begins a new picture on this surface.
    pub(super) fn clear(&self, surface: Option<&WebGlFramebuffer>) {
        let gl = &self.gl;
        gl.bind_framebuffer(Gl::FRAMEBUFFER, surface);
        let ([r, g, b], alpha) = if self.passthrough { ([0.0; 3], 0.0) } else { (DARK_ROOM, 1.0) };
        gl.clear_color(r, g, b, alpha);
        gl.clear(Gl::COLOR_BUFFER_BIT | Gl::DEPTH_BUFFER_BIT);
    }

    /// Takes over what is new. The first failure is told; the rest is taken over all the same.
    pub(super) fn update(&mut self, ride: &Ride) -> Result<(), JsValue> {
        let cockpit = ride.summary();
        let waiting = ride.hands.controllers.confirm.get().waiting(now());
        let (painter, texture) = (&self.painter, &self.words_texture);
        let mut outcome = self.words.paint(&words::words(&cockpit), |canvas| painter.upload_canvas(texture, canvas));
        outcome = outcome.and(self.console.paint(painter, &words::buttons(&cockpit, waiting)));
        outcome = outcome.and(self.figures.paint(painter, &cockpit.hud));
        outcome = outcome.and(self.map.paint(painter, ride));
        let picture = ride.camera.picture();
        if picture != 0 && picture != self.shown {
            outcome = outcome.and(painter.upload_video(&self.picture, &ride.camera.element()));
            self.shown = picture;
            let (width, height) = cockpit.picture;
            self.aspect = f64::from(width.max(1)) / f64::from(height.max(1));
        }
        outcome
    }

    /// Draws what one eye sees.
    pub(super) fn draw(&self, clip_from_room: Mat4, ride: &Ride, hands: &[HandInput]) {
        let clip = |model: DMat4| clip_from_room * model.as_mat4();
        let tint = if ride.gate.get().is_stalled() { STALLED } else { [1.0; 3] };
        let (_, height) = ride.camera.size();
        #[expect(clippy::cast_precision_loss, reason = "rows of a picture")]
        let part = 1.0 - ride.figures.strip() as f32 / height.max(1) as f32;
        if self.shown != 0 {
            match ride.kind {
                Kind::Drive => {
                    let panel = Panel::screen().fitted(self.aspect);
                    self.painter.draw_part(clip(panel.model()), &self.picture, [0.0, 1.0, 0.0, part], tint);
                }
                Kind::Arm => {
                    // Two cameras come side by side in one picture.
                    let wide = self.aspect >= 2.0;
                    let (aspect, width) = if wide { (self.aspect / 2.0, 0.5) } else { (self.aspect, 1.0) };
                    let [left, right] = Panel::arm_screens().map(|panel| panel.fitted(aspect).model());
                    self.painter.draw_part(clip(left), &self.picture, [0.0, width, 0.0, part], tint);
                    let start = if wide { 0.5 } else { 0.0 };
                    self.painter.draw_part(clip(right), &self.picture, [start, width, 0.0, part], tint);
                }
            }
        }
        let whole = [0.0, 1.0];
        let figures = if ride.kind == Kind::Arm { Panel::arm_figures() } else { Panel::figures() };
        self.painter.draw_picture(clip(figures.model()), &self.figures.texture, whole);
        self.painter.draw_picture(clip(Panel::console().model()), &self.console.texture, whole);
        if ride.kind == Kind::Drive && ride.map.is_there() {
            self.painter.draw_picture(clip(Panel::map().model()), &self.map.texture, whole);
        }
        let size = DVec3::new(WORDS_WIDTH, WORDS_WIDTH / HUD_ASPECT, 1.0);
        let words = DMat4::from_scale_rotation_translation(size, DQuat::IDENTITY, WORDS_AT);
        self.painter.draw_picture(clip(words), &self.words_texture, whole);
        for hand in hands {
            let Some(ray) = hand.ray else { continue };
            // A laser that points at nothing is short.
            let length = pointed_at(hand).map_or(0.25, |(distance, _)| distance);
            let room_from_ray = DMat4::from_rotation_translation(ray.orientation(), ray.position());
            let beam = DMat4::from_scale_rotation_translation(
                DVec3::new(LASER, LASER, length),
                DQuat::IDENTITY,
                DVec3::new(0.0, 0.0, -length / 2.0),
            );
            self.painter.draw_cube(clip(room_from_ray * beam), LASER_COLOUR);
        }
    }
}

impl Drop for Stage {
    /// A browser keeps only a few contexts alive; gives this one back.
    fn drop(&mut self) {
        xr::release(&self.gl);
    }
}
