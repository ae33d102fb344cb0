//! Draws one XR frame: the camera pictures around the operator, the controllers, the words.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::rc::Rc;

use glam::{DMat4, DQuat, DVec3, Mat4};
use waldo_protocol::geometry::{LocalFloor, Pose};
use wasm_bindgen::prelude::*;
use web_sys::{WebGl2RenderingContext as Gl, XrEye, XrView, XrViewerPose, XrWebGlLayer};

use super::gl::{Painter, Texture};
use super::hud_canvas::{self, HudCanvas};
use crate::hud::HudText;
use crate::panels::{Anchor, DEFAULT_ASPECT, Eye, Place, camera_for};
use crate::pose::Sample;
use crate::video::Camera;

/// Length and thickness of a controller's axes, metres.
const AXIS_LENGTH: f64 = 0.1;
const AXIS_THICKNESS: f64 = 0.004;
const AXES: [(DVec3, [f32; 3]); 3] =
    [(DVec3::X, [0.92, 0.26, 0.24]), (DVec3::Y, [0.35, 0.80, 0.40]), (DVec3::Z, [0.29, 0.53, 0.95])];

/// The words hang from the head: above the gaze, small enough not to hide the pictures.
const HUD_WIDTH: f64 = 0.7;
const HUD_CENTRE: DVec3 = DVec3::new(0.0, 0.32, -1.0);

/// Behind everything where the room is not visible.
const DARK_ROOM: [f32; 3] = [0.035, 0.047, 0.055];

/// The picture of one camera as last uploaded.
struct Panel {
    texture: Texture,
    picture: u64,
    aspect: f64,
}

/// Everything drawn in one presentation.
pub(crate) struct Scene {
    gl: Gl,
    painter: Painter,
    panels: BTreeMap<String, Panel>,
    hud: HudCanvas,
    hud_texture: Texture,
    anchor: Option<Anchor>,
    /// The wrists' turn to be uploaded.
    wrists_next: bool,
    passthrough: bool,
}

impl Scene {
    pub(crate) fn new(gl: Gl, passthrough: bool) -> Result<Self, JsValue> {
        let painter = Painter::new(gl.clone())?;
        let hud_texture = painter.texture()?;
        let hud = HudCanvas::new()?;
        Ok(Self {
            gl,
            painter,
            panels: BTreeMap::new(),
            hud,
            hud_texture,
            anchor: None,
            wrists_next: false,
            passthrough,
        })
    }

    /// The origin of the room moved: hang the pictures around the head anew.
    pub(crate) fn forget_anchor(&mut self) {
        self.anchor = None;
    }

    /// Takes over new pictures. Cameras that are no longer offered disappear, silent ones keep their last picture.
    ///
    /// Uploads are the most expensive part of a frame. So the overhead pair and the wrists take turns: a frame never pays
    /// for both, and at the rates of headsets no picture waits for longer than one frame.
    ///
    /// # Errors
    /// The first one; the rest is taken over all the same.
    pub(crate) fn update(&mut self, cameras: &[Rc<Camera>], text: &HudText) -> Result<(), JsValue> {
        // Words first: they tell the operator what is wrong, whatever becomes of the pictures.
        let (painter, texture) = (&self.painter, &self.hud_texture);
        let mut outcome = self.hud.paint(text, |canvas| painter.upload_canvas(texture, canvas));
        self.panels.retain(|name, _| cameras.iter().any(|camera| camera.name() == name));
        let is_new = |camera: &Camera| {
            let shown = self.panels.get(camera.name()).map_or(0, |panel| panel.picture);
            camera.picture() != 0 && camera.picture() != shown
        };
        let group = |camera: &Camera| Place::of_camera(camera.name()).map(|place| place != Place::Overhead);
        let due = |wrists| cameras.iter().any(|camera| group(camera) == Some(wrists) && is_new(camera));
        self.wrists_next = if due(self.wrists_next) { self.wrists_next } else { !self.wrists_next };
        let turn = Some(self.wrists_next);
        self.wrists_next = !self.wrists_next;
        let new: Vec<_> = cameras.iter().filter(|camera| group(camera) == turn && is_new(camera)).collect();
        for camera in new {
            let uploaded = self.upload(camera);
            outcome = outcome.and(uploaded);
        }
        outcome
    }

    fn upload(&mut self, camera: &Camera) -> Result<(), JsValue> {
        let panel = match self.panels.entry(camera.name().to_owned()) {
            Entry::Occupied(panel) => panel.into_mut(),
            Entry::Vacant(place) => {
                let texture = self.painter.texture()?;
                place.insert(Panel { texture, picture: 0, aspect: DEFAULT_ASPECT })
            }
        };
        let (width, height) = camera.size();
        self.painter.upload_video(&panel.texture, &camera.element())?;
        panel.picture = camera.picture();
        panel.aspect = f64::from(width) / f64::from(height.max(1));
        Ok(())
    }

    /// Draws all views of the frame.
    pub(crate) fn draw(&mut self, layer: &XrWebGlLayer, viewer: &XrViewerPose, sample: &Sample) {
        let gl = &self.gl;
        gl.bind_framebuffer(Gl::FRAMEBUFFER, layer.framebuffer().as_ref());
        let ([r, g, b], alpha) = if self.passthrough { ([0.0; 3], 0.0) } else { (DARK_ROOM, 1.0) };
        gl.clear_color(r, g, b, alpha);
        gl.clear(Gl::COLOR_BUFFER_BIT | Gl::DEPTH_BUFFER_BIT);
        let Some(head) = sample.head else { return };
        let anchor = *self.anchor.get_or_insert_with(|| Anchor::at(head));
        for view in viewer.views().iter() {
            let view: XrView = view.unchecked_into();
            let Some(viewport) = layer.get_viewport(&view) else {
                continue;
            };
            gl.viewport(viewport.x(), viewport.y(), viewport.width(), viewport.height());
            let projection = matrix(&view.projection_matrix());
            let clip_from_room = projection * matrix(&view.transform().inverse().matrix());
            let eye = if view.eye() == XrEye::Right { Eye::Right } else { Eye::Left };
            self.draw_view(clip_from_room, eye, &anchor, head, sample);
        }
    }

    fn draw_view(&self, clip_from_room: Mat4, eye: Eye, anchor: &Anchor, head: Pose<LocalFloor>, sample: &Sample) {
        let clip = |room_from_model: DMat4| clip_from_room * room_from_model.as_mat4();
        for place in Place::ALL {
            let Some((name, span)) = camera_for(place, eye, |name| self.panels.contains_key(name)) else {
                continue;
            };
            let Some(panel) = self.panels.get(name) else {
                continue;
            };
            let model = anchor.place(place, panel.aspect * f64::from(span.width));
            self.painter.draw_picture(clip(model), &panel.texture, [span.start, span.width]);
        }
        for aim in [sample.left.aim, sample.right.aim].into_iter().flatten() {
            let controller = room_from(aim.pose);
            for (axis, colour) in AXES {
                let size = axis * (AXIS_LENGTH - AXIS_THICKNESS) + AXIS_THICKNESS;
                let along = DMat4::from_scale_rotation_translation(size, DQuat::IDENTITY, axis * AXIS_LENGTH / 2.0);
                self.painter.draw_cube(clip(controller * along), colour);
            }
        }
        let size = DVec3::new(HUD_WIDTH, HUD_WIDTH / hud_canvas::ASPECT, 1.0);
        let hud = DMat4::from_scale_rotation_translation(size, DQuat::IDENTITY, HUD_CENTRE);
        self.painter.set_depth_test(false);
        self.painter.draw_picture(clip(room_from(head) * hud), &self.hud_texture, [0.0, 1.0]);
        self.painter.set_depth_test(true);
    }
}

impl Drop for Scene {
    /// A browser keeps only a few contexts alive; gives this one back.
    fn drop(&mut self) {
        super::release(&self.gl);
    }
}

fn room_from(pose: Pose<LocalFloor>) -> DMat4 {
    DMat4::from_rotation_translation(pose.orientation(), pose.position())
}

/// A column-major matrix as WebXR gives it; the identity should a runtime give something else.
pub(crate) fn matrix(columns: &[f32]) -> Mat4 {
    columns.try_into().map_or(Mat4::IDENTITY, Mat4::from_cols_array)
}
