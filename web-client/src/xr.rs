//! The headset: what the browser can present, and the presentation itself.

mod gl;
mod hud_canvas;
mod input;
mod render;
mod session;

use js_sys::Reflect;
use leptos::prelude::window;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{HtmlCanvasElement, WebGl2RenderingContext as Gl, XrSessionMode, XrSystem};

use crate::browser::document;
use crate::summary::Support;

pub(crate) use gl::{Painter, Texture, link};
pub(crate) use hud_canvas::{ASPECT as HUD_ASPECT, HudCanvas};
pub(crate) use input::{HandInput, valid_pose};
pub(crate) use render::{Scene, matrix};
pub(crate) use session::{Frame, Host, Presentation, request};

/// `None` in browsers without WebXR. Asked anew each time, as an emulator replaces it.
fn system() -> Option<XrSystem> {
    let system = Reflect::get(&window().navigator(), &"xr".into()).ok()?;
    system.is_object().then(|| system.unchecked_into())
}

/// What this browser can present. Passthrough is preferred: the operator sees the room.
pub(crate) async fn support() -> Support {
    let Some(system) = system() else {
        return if window().is_secure_context() { Support::NoWebXr } else { Support::Insecure };
    };
    if !has_webgl2() {
        return Support::NoWebGl2;
    }
    for (mode, support) in [(XrSessionMode::ImmersiveAr, Support::Ar), (XrSessionMode::ImmersiveVr, Support::Vr)] {
        let answer = JsFuture::from(system.is_session_supported(mode)).await;
        if answer.is_ok_and(|supported| supported == true) {
            return support;
        }
    }
    Support::NoHeadset
}

fn has_webgl2() -> bool {
    let context = canvas().and_then(|canvas| canvas.get_context("webgl2"));
    let Ok(Some(context)) = context else {
        return false;
    };
    // A browser keeps only a few contexts alive; give this one back at once.
    release(context.unchecked_ref());
    true
}

/// Frees what the context holds on the graphics card, without waiting for the garbage collector.
pub(crate) fn release(gl: &Gl) {
    if let Ok(Some(extension)) = gl.get_extension("WEBGL_lose_context") {
        extension.unchecked_into::<web_sys::WebglLoseContext>().lose_context();
    }
}

fn canvas() -> Result<HtmlCanvasElement, JsValue> {
    Ok(document().create_element("canvas")?.unchecked_into())
}
