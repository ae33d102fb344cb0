//! What comes from the headset: the presentation's life, and one sample per XR frame.

use std::rc::Rc;

use waldo_protocol::vr::{LeaseOp, Role};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{WebGl2RenderingContext as Gl, XrViewerPose};

use super::{Engine, TICK_MS};
use crate::browser::now;
use crate::pose::Sample;
use crate::press::Press;
use crate::robot::Driver;
use crate::summary::Presence;
use crate::video::Video;
use crate::xr;

/// After the room's origin moved under the operator no poses are sent for this long. The robot takes 0.5 s of silence as
/// letting go, so the jump never reaches the arms.
const SILENCE_AFTER_ROOM_MOVED_MS: f64 = 700.0;

impl xr::Host for Engine {
    type Scene = xr::Scene;
    type Input = Sample;

    fn scene(&self, gl: Gl, passthrough: bool) -> Result<Self::Scene, JsValue> {
        xr::Scene::new(gl, passthrough)
    }

    fn heed(&self, frame: &xr::Frame<'_>) -> Sample {
        let sample = frame.reader.read(frame.xr, frame.time, frame.viewer);
        self.sampled(&sample, frame.visible);
        sample
    }

    fn draw(
        &self,
        scene: &mut Self::Scene,
        frame: &xr::Frame<'_>,
        viewer: &XrViewerPose,
        sample: &Sample,
    ) -> Result<(), JsValue> {
        let updated = scene.update(&self.video.cameras(), &self.hud.borrow());
        scene.draw(frame.layer, viewer, sample);
        updated
    }

    fn room_moved(&self, scene: &mut Self::Scene) {
        scene.forget_anchor();
        self.silent_until.set(now() + SILENCE_AFTER_ROOM_MOVED_MS);
    }

    /// The browser ended the presentation, or did what we asked for.
    fn presentation_ended(&self) {
        self.say_farewell();
        self.presence.set(Presence::Out);
        self.controllers.set([false; 2]);
        self.presentation.take();
        self.begin_poses();
    }

    /// An operator who sees nothing must not go on driving, nor watch a rest move.
    fn graphics_lost(&self) {
        self.end_presentation_in_silence();
        self.fail("The headset's graphics failed. Enter VR again; if that does not help, reload the page.".to_owned());
    }
}

impl Engine {
    /// Starts the presentation. To be called inside a click.
    pub(crate) fn enter(self: &Rc<Self>) {
        if self.presence.get() != Presence::Out || self.role == Role::Viewer {
            return;
        }
        let Some(request) = xr::request(self.support.get()) else {
            return self.look_for_headset();
        };
        self.trouble.replace(None);
        self.presence.set(Presence::Entering);
        let engine = self.clone();
        spawn_local(async move {
            match xr::Presentation::begin(request, &engine).await {
                Ok(presentation) => engine.presentation_began(presentation),
                Err(reason) => {
                    engine.presence.set(Presence::Out);
                    engine.fail(reason);
                }
            }
        });
    }

    /// Ends the presentation with a last frame that sends the arms to rest, as Y does.
    pub(crate) fn leave(&self) {
        self.say_farewell();
        self.end_presentation();
    }

    /// The cameras.
    pub(crate) fn video(&self) -> &Video {
        &self.video
    }

    /// One XR frame was sampled: sends its pose if the operator sees the presentation and a path takes it.
    fn sampled(&self, sample: &Sample, visible: bool) {
        self.controllers.set([sample.left.aim.is_some(), sample.right.aim.is_some()]);
        let now = now();
        self.heed_buttons(sample, now);
        let may_send = visible && self.paths.take_poses() && now >= self.silent_until.get();
        let outcome = self.poses.borrow_mut().next(sample, may_send);
        if outcome.hud_changed {
            self.publish_hud();
            self.refresh_hud();
        }
        if let Some(frame) = outcome.frame {
            self.send_pose(&frame, outcome.surely);
        }
        if outcome.leave {
            self.end_presentation();
        }
        // Browsers may slow the page's timers down while a headset presents.
        if now - self.ticked_at.get() > f64::from(TICK_MS) {
            self.tick();
        }
    }

    /// The arms stay where they are.
    pub(super) fn end_presentation_in_silence(&self) {
        self.poses.borrow_mut().fall_silent();
        self.end_presentation();
    }

    pub(super) fn end_hopeless_presentation(&self) {
        if self.paths.connection.status().given_up() && self.presentation.borrow().is_some() {
            self.end_presentation_in_silence();
            self.fail("The connection to the robot was lost.".to_owned());
        }
    }

    pub(super) fn look_for_headset(&self) {
        let engine = self.this.clone();
        spawn_local(async move {
            let support = xr::support().await;
            if let Some(engine) = engine.upgrade() {
                engine.support.set(support);
            }
        });
    }

    /// The last frame of a presentation, unless it was sent already.
    pub(super) fn say_farewell(&self) {
        let farewell = self.poses.borrow_mut().farewell(now());
        if let Some(frame) = farewell {
            self.send_pose(&frame, true);
        }
    }

    fn presentation_began(&self, presentation: Rc<xr::Presentation<Self>>) {
        self.begin_poses();
        self.control_button.take();
        self.sticks_held.set(true);
        self.presence.set(Presence::Visible);
        self.presentation.replace(Some(presentation));
        self.end_hopeless_presentation();
    }

    fn begin_poses(&self) {
        let hud_changed = self.poses.borrow_mut().begin();
        if hud_changed {
            self.publish_hud();
        }
    }

    fn end_presentation(&self) {
        // Not while borrowed: a browser may tell of the end before `end` returns.
        let presentation = self.presentation.borrow().clone();
        if let Some(presentation) = presentation {
            presentation.end();
        }
    }

    /// The buttons that do not ride on frames: B, and both sticks pressed in at once.
    fn heed_buttons(&self, sample: &Sample, now: f64) {
        let sticks = sample.left.stick_click && sample.right.stick_click;
        if sticks && !self.sticks_held.get() {
            self.stop();
        }
        self.sticks_held.set(sticks);
        let press = self.control_button.borrow_mut().look(sample.right.upper_button, now);
        let Some(press) = press else { return };
        let (driver, takeover) = {
            let robot = self.robot.borrow();
            (robot.driver, robot.takeover)
        };
        let asked = driver == Driver::Me && takeover.is_some_and(|takeover| !takeover.mine);
        match press {
            Press::Long if asked => self.request_control(LeaseOp::Grant),
            Press::Long if driver == Driver::Other => self.request_control(LeaseOp::Take),
            Press::Long => {}
            Press::Short if asked => self.request_control(LeaseOp::Deny),
            Press::Short => {
                if let Some(presentation) = &*self.presentation.borrow() {
                    presentation.change(xr::Scene::forget_anchor);
                }
            }
        }
    }
}
