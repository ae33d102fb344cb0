//! The operator's microphone.

use js_sys::Array;
use leptos::prelude::window;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{MediaStream, MediaStreamConstraints, MediaStreamTrack};

use crate::browser::timer;

/// A person may take this long to allow it.
const LIMIT_MS: i32 = 20_000;

/// The microphone, muted; `None` if there is none, or it is not allowed, or nobody answers.
pub(super) async fn take() -> Option<MediaStreamTrack> {
    let devices = window().navigator().media_devices().ok()?;
    let constraints = MediaStreamConstraints::new();
    constraints.set_audio(&JsValue::TRUE);
    let asked = devices.get_user_media_with_constraints(&constraints).ok()?;
    let first = js_sys::Promise::race(&Array::of2(&asked, &timer(LIMIT_MS)));
    let stream: MediaStream = JsFuture::from(first).await.ok()?.dyn_into().ok()?;
    let track: MediaStreamTrack = stream.get_audio_tracks().get(0).dyn_into().ok()?;
    track.set_enabled(false);
    Some(track)
}
