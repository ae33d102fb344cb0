//! The few things of the browser that several modules need.

use leptos::prelude::window;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Document, HtmlCanvasElement, RequestCache, RequestInit, Storage};

/// More pixels than these for one of the page cost time and show nothing.
const MAX_DENSITY: f64 = 2.0;

/// The page's document. The app runs in a page only, so it always exists.
pub(crate) fn document() -> Document {
    leptos::prelude::document()
}

/// The page's monotonic clock in milliseconds, the one of XR frames too.
pub(crate) fn now() -> f64 {
    window().performance().map_or(0.0, |performance| performance.now())
}

/// Unix time in seconds, as steady as [`now`].
pub(crate) fn unix_now() -> f64 {
    window().performance().map_or(0.0, |performance| (performance.time_origin() + performance.now()) / 1000.0)
}

/// A random number of 53 bits, so that any JSON reader keeps it.
pub(crate) fn random_number() -> u64 {
    let mut bytes = [0_u8; 8];
    if let Ok(crypto) = window().crypto() {
        let _ = crypto.get_random_values_with_u8_array(&mut bytes);
    }
    u64::from_le_bytes(bytes) >> 11
}

/// Resolves after `ms` milliseconds.
pub(crate) fn timer(ms: i32) -> js_sys::Promise {
    js_sys::Promise::new(&mut |resolve, _| {
        // Without a timer the promise would hang for ever.
        if window().set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, ms).is_err() {
            let _ = resolve.call0(&JsValue::UNDEFINED);
        }
    })
}

/// Returns after `ms` milliseconds.
pub(crate) async fn sleep(ms: i32) {
    let _ = JsFuture::from(timer(ms)).await;
}

/// Whether a request for this address of the page's own server is answered, however.
pub(crate) async fn answers(url: &str) -> bool {
    let init = RequestInit::new();
    init.set_cache(RequestCache::NoStore);
    JsFuture::from(window().fetch_with_str_and_init(url, &init)).await.is_ok()
}

/// Storage that lives as long as the browser keeps it; `None` where it is blocked.
pub(crate) fn local_storage() -> Option<Storage> {
    window().local_storage().ok().flatten()
}

/// Storage that lives as long as the tab; `None` where it is blocked.
pub(crate) fn session_storage() -> Option<Storage> {
    window().session_storage().ok().flatten()
}

/// Gives a canvas as many pixels as it covers of the screen, and returns their number in each direction.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes of a screen")]
pub(crate) fn fit(canvas: &HtmlCanvasElement) -> (u32, u32) {
    let density = window().device_pixel_ratio().clamp(1.0, MAX_DENSITY);
    let [width, height] =
        [canvas.client_width(), canvas.client_height()].map(|side| (f64::from(side.max(0)) * density).round() as u32);
    if (canvas.width(), canvas.height()) != (width, height) {
        canvas.set_width(width);
        canvas.set_height(height);
    }
    (width, height)
}

/// A random id of 128 bits as hexadecimal text.
pub(crate) fn random_id() -> String {
    let mut bytes = [0_u8; 16];
    if let Ok(crypto) = window().crypto() {
        let _ = crypto.get_random_values_with_u8_array(&mut bytes);
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The name and message of what JavaScript threw.
pub(crate) fn error_text(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(|| format!("{error:?}"), |error| String::from(error.to_string()))
}
