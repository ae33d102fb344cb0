//! What the page's buttons ask for.

use std::rc::Rc;

use waldo_protocol::vr::{Capability, ClientMessage, LeaseOp, LeaseRequest, MotionScale};
use wasm_bindgen_futures::spawn_local;

use super::Engine;
use crate::browser::error_text;
use crate::cable::Cable;
use crate::link::Status;
use crate::target::Target;
use crate::{certificate, emulator};

impl Engine {
    /// Connects to the robot as typed; the page's own if nothing is typed. Leaves the presentation with the old one.
    pub(crate) fn connect_to(&self, typed: &str) {
        match Target::typed(typed) {
            Ok(target) => {
                self.leave();
                self.paths.connection.aim_at(target);
                self.robot.take();
                self.stop.borrow_mut().forget();
                self.poses.borrow_mut().forget_robot();
                self.video.forget();
                self.trouble.replace(None);
                self.connect();
            }
            Err(error) => self.fail(error.to_string()),
        }
    }

    /// Connects, dropping an old connection.
    pub(crate) fn connect(&self) {
        self.forget_socket(false);
        if let Err(trouble) = self.paths.connection.connect() {
            self.fail(trouble);
        }
    }

    /// Leaves the presentation and ends the connection. Who wants the arms to stand still has the stop for it.
    pub(crate) fn disconnect(&self) {
        self.leave();
        self.forget_socket(false);
        self.paths.connection.disconnect();
    }

    /// Connects with this token from now on.
    pub(crate) fn use_token(&self, token: &str) {
        if let Some(target) = &*self.paths.connection.target() {
            target.keep_token(token);
        }
        self.connect();
    }

    /// Lets the person accept the robot's certificate, then connects. To be called inside a click.
    pub(crate) fn accept_certificate(self: &Rc<Self>) {
        let Some(url) = self.paths.connection.target().as_ref().map(Target::accept_url) else {
            return;
        };
        let accepted = certificate::accept(&url);
        let engine = self.clone();
        spawn_local(async move {
            accepted.await;
            // The person may have connected meanwhile, and drive.
            if engine.paths.connection.status() != Status::Connected {
                engine.connect();
            }
        });
    }

    /// Lets the person accept the certificate at the end of the USB cable; the cable is tried again and again anyway. To
    /// be called inside a click.
    pub(crate) fn accept_cable_certificate(&self) {
        spawn_local(certificate::accept(&Cable::accept_url()));
    }

    /// Sends poses over the USB cable too, or not.
    pub(crate) fn use_cable(&self, wanted: bool) {
        self.paths.cable.want(wanted);
        self.tick();
    }

    /// Replaces the browser's WebXR by an emulated headset.
    ///
    /// False if it could not be loaded.
    pub(crate) async fn emulate_headset(self: &Rc<Self>) -> bool {
        let loaded = emulator::install().await;
        match &loaded {
            Ok(()) => self.look_for_headset(),
            Err(error) => self.fail(format!("The emulator could not be loaded: {}", error_text(error))),
        }
        loaded.is_ok()
    }

    /// Everything stands still at once, and stays so until [`Engine::clear_stop`].
    pub(crate) fn stop(&self) {
        let stop = self.stop.borrow_mut().press();
        if self.has(Capability::Stop) {
            self.paths.send_everywhere(&ClientMessage::Stop(stop).encode());
        } else {
            self.poses.borrow_mut().halt();
        }
        self.refresh_hud();
    }

    /// The robot may move again.
    pub(crate) fn clear_stop(&self) {
        let clear = self.stop.borrow_mut().clear();
        if self.has(Capability::Stop) {
            self.send(&ClientMessage::Stop(clear));
        }
        self.poses.borrow_mut().resume();
        self.refresh_hud();
    }

    /// Asks for the control, gives it up, or answers who asks for it.
    pub(crate) fn request_control(&self, op: LeaseOp) {
        if self.has(Capability::Lease) {
            self.requests.set(self.requests.get() + 1);
            self.send(&ClientMessage::Lease(LeaseRequest { op, n: self.requests.get() }));
        }
    }

    /// Asks for this scale of the clutch; the robot tells what is in force.
    pub(crate) fn scale_motion(&self, scale: MotionScale) {
        if self.has(Capability::Motion) {
            self.send(&ClientMessage::Motion(scale));
        }
    }
}
