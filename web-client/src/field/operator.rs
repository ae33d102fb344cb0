//! What comes from the headset: the presentation's life, samples up, pulses down.

use std::collections::BTreeMap;
use std::rc::Rc;

use glam::{DMat4, DVec3, Mat4};
use waldo_protocol::field::{
    Buttons, CRAWL, CharacterMode, ControllerSample, PersonHand, TRIGGER_CLICK, Transform, XrInputSample, waypoint,
};
use waldo_protocol::geometry::{LocalFloor, Pose};
use waldo_protocol::vr::Hands;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{WebGl2RenderingContext as Gl, XrView, XrViewerPose};

use super::engine::Field;
use super::picture::Parts;
use super::session::Part;
use super::view::{Eye, View};
use crate::browser::now;
use crate::summary::{Presence, Support};
use crate::xr::{self, Frame, HUD_ASPECT, HandInput, Host, HudCanvas, Painter, Texture};

/// A pulse lasts longer than the time to the next scene, so that one that goes on is felt as one.
const PULSE_MS: f64 = 60.0;

/// The words hang from the head, above the gaze, metres.
const HUD_WIDTH: f64 = 0.7;
const HUD_CENTRE: DVec3 = DVec3::new(0.0, 0.34, -1.0);

/// One's own hands.
const OWN: [f32; 3] = [0.62, 0.69, 0.74];

/// Everything drawn in one presentation.
pub(crate) struct Stage {
    gl: Gl,
    view: View,
    painter: Painter,
    words: HudCanvas,
    words_texture: Texture,
    own: Parts,
}

impl Host for Field {
    type Scene = Stage;
    type Input = Vec<HandInput>;

    fn scene(&self, gl: Gl, _passthrough: bool) -> Result<Stage, JsValue> {
        let view = View::new(gl.clone())?;
        let painter = Painter::new(gl.clone())?;
        let words_texture = painter.texture()?;
        Ok(Stage { gl, view, painter, words: HudCanvas::new()?, words_texture, own: Parts::default() })
    }

    fn heed(&self, frame: &Frame<'_>) -> Vec<HandInput> {
        let hands = frame.reader.hands(frame.xr);
        self.sample(&hands, frame);
        self.tick_if_late();
        hands
    }

    fn draw(
        &self,
        stage: &mut Stage,
        frame: &Frame<'_>,
        viewer: &XrViewerPose,
        hands: &Vec<HandInput>,
    ) -> Result<(), JsValue> {
        let (painter, texture) = (&stage.painter, &stage.words_texture);
        let painted = stage.words.paint(&self.words.borrow(), |canvas| painter.upload_canvas(texture, canvas));
        self.session.borrow_mut().refresh();
        let session = self.session.borrow();
        let (number, picture, scene, meshes) = session.shown();
        let updated = stage.view.update(number, picture, scene, meshes);
        stage.own.balls.clear();
        stage.own.boxes.clear();
        for hand in hands {
            let Some(pose) = self.hand_pose(hand) else { continue };
            let sample = ControllerSample::of_gamepad(pose, &hand.buttons, &hand.axes);
            stage.own.hand(&PersonHand { pose, grip: sample.grip, trigger: sample.trigger }, OWN);
            if self.points()
                && let Some(at) = waypoint(&pose)
            {
                stage.own.preview(at);
            }
        }
        stage.view.update_own(&stage.own);

        let gl = &stage.gl;
        gl.bind_framebuffer(Gl::FRAMEBUFFER, frame.layer.framebuffer().as_ref());
        stage.view.clear();
        let room_from_world = DMat4::from_translation(DVec3::from_array(self.parameters.offset)).as_mat4();
        let head = xr::matrix(&viewer.transform().matrix());
        let size = DVec3::new(HUD_WIDTH, HUD_WIDTH / HUD_ASPECT, 1.0);
        let hud = DMat4::from_scale_rotation_translation(size, glam::DQuat::IDENTITY, HUD_CENTRE).as_mat4();
        for view in viewer.views().iter() {
            let view: XrView = view.unchecked_into();
            let Some(viewport) = frame.layer.get_viewport(&view) else { continue };
            gl.viewport(viewport.x(), viewport.y(), viewport.width(), viewport.height());
            let projection = xr::matrix(&view.projection_matrix());
            let view_from_room = xr::matrix(&view.transform().inverse().matrix());
            #[expect(clippy::cast_precision_loss, reason = "pixels")]
            let eye = Eye::new(projection, view_from_room * room_from_world, viewport.height() as f32);
            stage.view.draw(&eye, true);
            painter.set_depth_test(false);
            let clip_from_hud: Mat4 = projection * view_from_room * head * hud;
            painter.draw_picture(clip_from_hud, texture, [0.0, 1.0]);
            painter.set_depth_test(true);
        }
        painted.and(updated)
    }

    fn room_moved(&self, _stage: &mut Stage) {}

    fn presentation_ended(&self) {
        self.let_go();
        self.presence.set(Presence::Out);
        self.controllers.set([false; 2]);
        self.presentation.take();
        self.tick();
    }

    fn graphics_lost(&self) {
        self.fail("The headset's graphics failed. Enter VR again; if that does not help, reload the page.".to_owned());
        self.leave_vr();
    }
}

impl Field {
    /// Starts the presentation. To be called inside a click.
    pub(crate) fn enter(self: &Rc<Self>) {
        if self.presence.get() != Presence::Out {
            return;
        }
        // A room around the scene would only be in the way, so never with passthrough.
        let Some(request) = self.support().can_present().then(|| xr::request(Support::Vr)).flatten() else {
            return self.look_for_headset();
        };
        self.presence.set(Presence::Entering);
        let field = self.clone();
        spawn_local(async move {
            match xr::Presentation::begin(request, &field).await {
                Ok(presentation) => {
                    field.presence.set(Presence::Visible);
                    field.presentation.replace(Some(presentation));
                }
                Err(reason) => {
                    field.presence.set(Presence::Out);
                    field.fail(reason);
                }
            }
            field.tick();
        });
    }

    /// Ends the presentation; the arms stay where they are.
    pub(crate) fn leave_vr(&self) {
        // Not while borrowed: a browser may tell of the end before `end` returns.
        let presentation = self.presentation.borrow().clone();
        if let Some(presentation) = presentation {
            presentation.end();
        }
    }

    /// Sends what the operator does, as often as asked for.
    fn sample(&self, hands: &[HandInput], frame: &Frame<'_>) {
        let pose = |hand| hands.iter().any(|input| input.hand == hand && self.hand_pose(input).is_some());
        self.controllers.set([pose(waldo_protocol::field::LEFT), pose(waldo_protocol::field::RIGHT)]);
        let Some(viewer) = frame.viewer.filter(|_| frame.visible) else { return self.let_go() };
        if !self.connection.takes_poses() || !self.pace.borrow_mut().is_due(frame.time) {
            return;
        }
        let Some(head_pose) = xr::valid_pose(&viewer.transform()).map(|pose| self.in_world(pose)) else { return };
        let mut controllers = BTreeMap::new();
        for hand in hands {
            if let Some(pose) = self.hand_pose(hand) {
                controllers
                    .entry(hand.hand.to_owned())
                    .or_insert_with(|| ControllerSample::of_gamepad(pose, &hand.buttons, &hand.axes));
            }
        }
        if controllers.is_empty() {
            return self.let_go();
        }
        let crawls = controllers.values().any(|controller| controller.pressed(TRIGGER_CLICK));
        let actions: Buttons = [(CRAWL.to_owned(), crawls)].into();
        self.empty_handed.set(false);
        self.send_sample(XrInputSample { timestamp: frame.time / 1000.0, head_pose, controllers, actions });
    }

    /// Tells the server once that no controller is there, so that it does not wait for the next sample.
    fn let_go(&self) {
        if !self.empty_handed.replace(true) {
            self.send_sample(XrInputSample {
                timestamp: now() / 1000.0,
                head_pose: Transform::IDENTITY,
                controllers: BTreeMap::new(),
                actions: Buttons::new(),
            });
        }
    }

    fn send_sample(&self, sample: XrInputSample) {
        let message = self.session.borrow_mut().input(sample, now());
        if let Some(message) = message {
            self.inputs.set(self.inputs.get() + 1);
            self.send(&message);
        }
    }

    /// Waypoints are pointed at, everything else is held.
    fn points(&self) -> bool {
        self.session.borrow().part() == Some(Part::Drive(CharacterMode::OctoWaypoint))
    }

    fn hand_pose(&self, hand: &HandInput) -> Option<Transform> {
        let pose = if self.points() { hand.ray } else { hand.grip };
        pose.map(|pose| self.in_world(pose))
    }

    /// The scene stands at an offset in the operator's room; what is sent is in the scene's own frame.
    fn in_world(&self, pose: Pose<LocalFloor>) -> Transform {
        let at = pose.position() - DVec3::from_array(self.parameters.offset);
        Transform { translation: at.to_array(), rotation_xyzw: pose.orientation().to_array() }
    }

    /// Lets the hands feel what their arms feel.
    pub(super) fn pulse(&self) {
        let session = self.session.borrow();
        let Some(controlled) = session.controlled() else { return };
        let pulses = self.pulses.borrow_mut().frame(session.haptics(), controlled);
        if let Some(presentation) = &*self.presentation.borrow() {
            for (hand, strength) in [Hands::Left, Hands::Right].into_iter().zip(pulses) {
                if let Some(strength) = strength {
                    presentation.pulse(hand, strength, if strength > 0.0 { PULSE_MS } else { 1.0 });
                }
            }
        }
    }
}
