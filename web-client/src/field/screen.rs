//! The scene on a screen without a headset: a canvas that draws itself, flown through with keys and mouse.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use glam::{DMat4, DQuat, DVec3};
use leptos::prelude::window;
use waldo_protocol::field::SceneState;
use wasm_bindgen::prelude::*;
use web_sys::{HtmlCanvasElement, WebGl2RenderingContext as Gl};

use super::engine::Field;
use super::fly;
use super::session::Part;
use super::view::{Eye, View};
use crate::browser::{document, error_text, fit, now};
use crate::summary::Presence;
use crate::xr::release;

/// See the module.
pub(super) struct Screen {
    canvas: HtmlCanvasElement,
    gl: Gl,
    view: RefCell<View>,
    drawn_at: Cell<f64>,
    reported: Cell<bool>,
    on_picture: Closure<dyn FnMut()>,
    on_lost: Closure<dyn FnMut()>,
}

impl Field {
    /// Draws on this canvas from now on.
    pub(crate) fn show_on(self: &Rc<Self>, canvas: HtmlCanvasElement) {
        match Screen::new(canvas, &self.this) {
            Ok(screen) => {
                screen.await_picture();
                self.screen.replace(Some(screen));
            }
            Err(error) => self.fail(format!("This browser cannot draw the scene: {}", error_text(&error))),
        }
    }

    /// A key went down or up over the canvas. False if it does nothing here.
    pub(crate) fn key(&self, code: &str, down: bool) -> bool {
        let mut keys = self.keys.get();
        let known = keys.set(code, down);
        self.keys.set(keys);
        if known && down {
            self.following.set(false);
        }
        known
    }

    /// Whoever looks elsewhere flies no further.
    pub(crate) fn release_keys(&self) {
        self.keys.take();
    }

    /// The mouse looks around: by so many pixels right and down.
    pub(crate) fn look(&self, by: [f64; 2]) {
        self.following.set(false);
        self.fly.borrow_mut().turn(by);
    }

    fn draw_screen(&self) {
        let screen = self.screen.borrow();
        let Some(screen) = &*screen else { return };
        screen.await_picture();
        // A headset has the graphics card for itself.
        if self.presence.get() != Presence::Out {
            return;
        }
        let now = now();
        let dt = (now - screen.drawn_at.replace(now)) / 1000.0;
        let (at, turn) = self.viewpoint(dt);
        if let Err(error) = screen.draw(self, at, turn)
            && !screen.reported.replace(true)
        {
            web_sys::console::warn_1(&format!("a scene could not be drawn: {}", error_text(&error)).into());
        }
    }

    /// Where the screen looks from: an arm, or the flying camera.
    fn viewpoint(&self, dt: f64) -> (DVec3, DQuat) {
        let session = self.session.borrow();
        let scene = session.scene();
        if session.part() == Some(Part::ArmCamera)
            && let Some(arm) = self.seat.borrow().as_ref().and_then(|seat| scene.arms.get(seat))
            && let Some(view) = self.arm_camera.borrow_mut().frame(arm)
        {
            return (view.position, view.orientation);
        }
        let mut fly = self.fly.borrow_mut();
        fly.step(self.keys.get(), dt);
        let arms = match session.part() {
            Some(Part::Watch) => session.followed().map(|followed| [followed.left, followed.right]),
            Some(Part::Drive(_)) => session.controlled().map(|[left, right]| [left.as_str(), right.as_str()]),
            Some(Part::ArmCamera) | None => None,
        };
        if self.following.get()
            && let Some(target) = arms.and_then(|arms| middle(scene, arms))
        {
            fly.follow(target, dt);
        }
        fly.pose()
    }
}

/// What there is to look at: the middle of these arms.
fn middle(scene: &SceneState, arms: [&str; 2]) -> Option<DVec3> {
    let ends = arms.iter().filter_map(|arm| scene.arms.get(*arm)).flat_map(|arm| [arm.base, arm.tip]);
    let (mut sum, mut count) = (DVec3::ZERO, 0.0);
    for end in ends {
        sum += DVec3::from_array(end.translation);
        count += 1.0;
    }
    let middle = sum / count;
    middle.is_finite().then_some(middle)
}

impl Screen {
    fn new(canvas: HtmlCanvasElement, field: &Weak<Field>) -> Result<Self, JsValue> {
        let gl: Gl = canvas.get_context("webgl2")?.ok_or("no WebGL2")?.unchecked_into();
        let view = RefCell::new(View::new(gl.clone())?);
        let on_picture = {
            let field = field.clone();
            Closure::<dyn FnMut()>::new(move || {
                if let Some(field) = field.upgrade() {
                    field.draw_screen();
                }
            })
        };
        let on_lost = {
            let field = field.clone();
            Closure::<dyn FnMut()>::new(move || {
                if let Some(field) = field.upgrade() {
                    field.fail("The graphics of this page failed. Reload it.".to_owned());
                }
            })
        };
        canvas.add_event_listener_with_callback("webglcontextlost", on_lost.as_ref().unchecked_ref())?;
        let (drawn_at, reported) = (Cell::new(now()), Cell::new(false));
        Ok(Self { canvas, gl, view, drawn_at, reported, on_picture, on_lost })
    }

    fn await_picture(&self) {
        // Without pictures there is nothing to see, and nobody to tell.
        let _ = window().request_animation_frame(self.on_picture.as_ref().unchecked_ref());
    }

    fn draw(&self, field: &Field, at: DVec3, turn: DQuat) -> Result<(), JsValue> {
        let (width, height) = fit(&self.canvas);
        if width == 0 || height == 0 || self.gl.is_context_lost() {
            return Ok(());
        }
        field.session.borrow_mut().refresh();
        let session = field.session.borrow();
        let (number, picture, scene, meshes) = session.shown();
        let mut view = self.view.borrow_mut();
        let updated = view.update(number, picture, scene, meshes);
        self.gl.viewport(0, 0, width.cast_signed(), height.cast_signed());
        view.clear();
        let projection = fly::projection(f64::from(width) / f64::from(height));
        let view_from_world = DMat4::from_rotation_translation(turn, at).inverse();
        #[expect(clippy::cast_precision_loss, reason = "pixels")]
        let eye = Eye::new(projection.as_mat4(), view_from_world.as_mat4(), height as f32);
        view.draw(&eye, false);
        updated
    }
}

impl Drop for Screen {
    /// A browser keeps only a few contexts alive; gives this one back.
    fn drop(&mut self) {
        let callback = self.on_lost.as_ref().unchecked_ref();
        let _ = self.canvas.remove_event_listener_with_callback("webglcontextlost", callback);
        release(&self.gl);
    }
}

/// Whether the mouse belongs to this canvas.
pub(crate) fn has_mouse(canvas: &HtmlCanvasElement) -> bool {
    document().pointer_lock_element().is_some_and(|element| element == ***canvas)
}
