//! One presentation in the headset, from the click to its end.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use waldo_protocol::vr::Hands;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{
    WebGl2RenderingContext as Gl, WebGlContextAttributes, XrFrame, XrReferenceSpace, XrReferenceSpaceType,
    XrRenderStateInit, XrSession, XrSessionInit, XrSessionMode, XrViewerPose, XrVisibilityState, XrWebGlLayer,
};

use super::input::{self, Reader};
use super::{canvas, system};
use crate::browser::error_text;
use crate::summary::Support;

#[wasm_bindgen]
extern "C" {
    /// A context that can be made ready for headsets.
    #[wasm_bindgen(extends = Gl)]
    type XrContext;

    #[wasm_bindgen(method, getter, js_name = makeXRCompatible)]
    fn make_xr_compatible_method(this: &XrContext) -> Option<js_sys::Function>;
}

impl XrContext {
    /// `None` in browsers that need no such thing.
    fn make_xr_compatible(&self) -> Option<js_sys::Promise> {
        self.make_xr_compatible_method()?.call0(self).ok()?.dyn_into().ok()
    }
}

/// Nearer things are cut off; the operator's own hands come this close.
const DEPTH_NEAR_M: f64 = 0.05;
const DEPTH_FAR_M: f64 = 100.0;

/// A requested session, and whether the room will be visible through it.
pub(crate) struct Request {
    session: JsFuture<XrSession>,
    passthrough: bool,
}

/// Asks the browser for a session; to be called inside the click that wants it.
pub(crate) fn request(support: Support) -> Option<Request> {
    let passthrough = support == Support::Ar;
    let mode = if passthrough { XrSessionMode::ImmersiveAr } else { XrSessionMode::ImmersiveVr };
    let init = XrSessionInit::new();
    init.set_required_features(&["local-floor".into()]);
    init.set_optional_features(&["body-tracking".into()]);
    let session = system()?.request_session_with_options(mode, &init);
    Some(Request { session: JsFuture::from(session), passthrough })
}

type FrameCallback = Closure<dyn FnMut(f64, XrFrame)>;

/// Who presents: what is drawn, and what becomes of what the operator does.
pub(crate) trait Host: 'static {
    /// Everything drawn in one presentation.
    type Scene: 'static;
    /// What is read from one frame.
    type Input;

    /// Begins to draw with this context. `passthrough`: the room is visible behind what is drawn.
    ///
    /// # Errors
    /// What the browser throws.
    fn scene(&self, gl: Gl, passthrough: bool) -> Result<Self::Scene, JsValue>;

    /// Reads what the operator does and sends it; before anything is drawn, since nobody waits for that on the wire.
    fn heed(&self, frame: &Frame<'_>) -> Self::Input;

    /// Draws the frame.
    ///
    /// # Errors
    /// What could not be drawn; the rest was.
    fn draw(
        &self,
        scene: &mut Self::Scene,
        frame: &Frame<'_>,
        viewer: &XrViewerPose,
        input: &Self::Input,
    ) -> Result<(), JsValue>;

    /// The origin of the operator's room moved, so everything seems to jump.
    fn room_moved(&self, scene: &mut Self::Scene);

    /// The presentation is over.
    fn presentation_ended(&self);

    /// Nothing can be drawn any more.
    fn graphics_lost(&self);
}

/// One XR frame.
pub(crate) struct Frame<'a> {
    /// The browser's frame.
    pub(crate) xr: &'a XrFrame,
    /// Milliseconds of the page's monotonic clock.
    pub(crate) time: f64,
    /// The head, if known.
    pub(crate) viewer: Option<&'a XrViewerPose>,
    /// Reads the controllers.
    pub(crate) reader: &'a Reader,
    /// What is drawn on.
    pub(crate) layer: &'a XrWebGlLayer,
    /// The operator sees it, rather than the headset's menu or nothing.
    pub(crate) visible: bool,
}

/// A running presentation.
pub(crate) struct Presentation<H: Host> {
    session: XrSession,
    space: XrReferenceSpace,
    reader: Reader,
    layer: XrWebGlLayer,
    gl: Gl,
    scene: RefCell<H::Scene>,
    host: Weak<H>,
    /// A failure to take over pictures was reported; it would come back with every frame.
    reported: Cell<bool>,
    on_frame: RefCell<Option<FrameCallback>>,
    on_end: RefCell<Option<Closure<dyn FnMut()>>>,
    on_space_reset: RefCell<Option<Closure<dyn FnMut()>>>,
}

impl<H: Host> Presentation<H> {
    /// Waits for the session and starts drawing.
    ///
    /// # Errors
    /// Why there is no presentation, in words for a person.
    pub(crate) async fn begin(request: Request, host: &Rc<H>) -> Result<Rc<Self>, String> {
        let session = request.session.await.map_err(|error| refusal(&error))?;
        let begun = Self::set_up(session.clone(), request.passthrough, host).await;
        begun.map_err(|error| {
            drop(session.end());
            format!("The headset could not start drawing: {}", error_text(&error))
        })
    }

    async fn set_up(session: XrSession, passthrough: bool, host: &Rc<H>) -> Result<Rc<Self>, JsValue> {
        let attributes = WebGlContextAttributes::new();
        attributes.set_xr_compatible(true);
        // The layer smooths its own buffer; nothing is drawn to the canvas, except by an emulator, which has no time for it.
        attributes.set_antialias(false);
        let context = canvas()?.get_context_with_context_options("webgl2", &attributes)?;
        let gl: Gl = context.ok_or("no WebGL2")?.unchecked_into();
        // Some headsets have to move the context to another device first, and refuse the layer until then.
        if let Some(compatible) = gl.unchecked_ref::<XrContext>().make_xr_compatible() {
            JsFuture::from(compatible).await?;
        }
        let layer = XrWebGlLayer::new_with_web_gl2_rendering_context(&session, &gl)?;
        let state = XrRenderStateInit::new();
        state.set_base_layer(Some(&layer));
        state.set_depth_near(DEPTH_NEAR_M);
        state.set_depth_far(DEPTH_FAR_M);
        session.update_render_state_with_state(&state);
        let space = JsFuture::from(session.request_reference_space(XrReferenceSpaceType::LocalFloor)).await?;
        let presentation = Rc::new(Self {
            session,
            reader: Reader::new(space.clone()),
            space,
            layer,
            scene: RefCell::new(host.scene(gl.clone(), passthrough)?),
            gl,
            host: Rc::downgrade(host),
            reported: Cell::default(),
            on_frame: RefCell::default(),
            on_end: RefCell::default(),
            on_space_reset: RefCell::default(),
        });
        presentation.listen();
        presentation.await_frame();
        Ok(presentation)
    }

    /// Ends the presentation; the engine hears of it when the browser has done so.
    pub(crate) fn end(&self) {
        let ending = self.session.end();
        // A session that has ended already refuses to end again.
        spawn_local(async move { drop(JsFuture::from(ending).await) });
    }

    /// Whether the operator sees it, rather than the headset's menu or nothing.
    pub(crate) fn is_visible(&self) -> bool {
        self.session.visibility_state() == XrVisibilityState::Visible
    }

    /// Changes what is drawn from now on.
    pub(crate) fn change(&self, change: impl FnOnce(&mut H::Scene)) {
        change(&mut self.scene.borrow_mut());
    }

    /// Lets the operator feel a pulse, in controllers that can.
    pub(crate) fn pulse(&self, hands: Hands, amplitude: f64, ms: f64) {
        input::pulse(&self.session, hands, amplitude, ms);
    }

    fn listen(self: &Rc<Self>) {
        let this = Rc::downgrade(self);
        let on_frame = FrameCallback::new(move |time, frame: XrFrame| {
            if let Some(this) = this.upgrade() {
                this.await_frame();
                this.frame(time, &frame);
            }
        });
        self.on_frame.replace(Some(on_frame));

        let host = self.host.clone();
        let on_end = Closure::<dyn FnMut()>::new(move || {
            if let Some(host) = host.upgrade() {
                host.presentation_ended();
            }
        });
        self.session.set_onend(Some(on_end.as_ref().unchecked_ref()));
        self.on_end.replace(Some(on_end));

        let this = Rc::downgrade(self);
        let on_space_reset = Closure::<dyn FnMut()>::new(move || {
            let Some(this) = this.upgrade() else { return };
            if let Some(host) = this.host.upgrade() {
                host.room_moved(&mut this.scene.borrow_mut());
            }
        });
        self.space.set_onreset(Some(on_space_reset.as_ref().unchecked_ref()));
        self.on_space_reset.replace(Some(on_space_reset));
    }

    fn await_frame(&self) {
        if let Some(on_frame) = &*self.on_frame.borrow() {
            self.session.request_animation_frame(on_frame.as_ref().unchecked_ref());
        }
    }

    fn frame(&self, time: f64, frame: &XrFrame) {
        let Some(host) = self.host.upgrade() else { return };
        if self.gl.is_context_lost() {
            return host.graphics_lost();
        }
        let viewer = frame.get_viewer_pose(&self.space);
        let frame = Frame {
            xr: frame,
            time,
            viewer: viewer.as_ref(),
            reader: &self.reader,
            layer: &self.layer,
            visible: self.is_visible(),
        };
        let input = host.heed(&frame);
        let Some(viewer) = &viewer else { return };
        if let Err(error) = host.draw(&mut self.scene.borrow_mut(), &frame, viewer, &input) {
            self.report(&error);
        }
    }

    fn report(&self, error: &JsValue) {
        if !self.reported.replace(true) {
            web_sys::console::warn_1(&format!("a picture could not be drawn: {}", error_text(error)).into());
        }
    }
}

impl<H: Host> Drop for Presentation<H> {
    fn drop(&mut self) {
        self.session.set_onend(None);
        self.space.set_onreset(None);
    }
}

fn refusal(error: &JsValue) -> String {
    let name = js_sys::Reflect::get(error, &"name".into()).ok().and_then(|name| name.as_string());
    match name.as_deref() {
        Some("NotSupportedError") => "The headset cannot present this page: it needs floor-level tracking.".to_owned(),
        Some("NotAllowedError" | "SecurityError") => {
            "The browser refused to start. Allow VR for this page in its settings and press Enter VR again.".to_owned()
        }
        Some("InvalidStateError") => "Another page is using the headset. Close it and try again.".to_owned(),
        _ => format!("The headset did not start: {}", error_text(error)),
    }
}
