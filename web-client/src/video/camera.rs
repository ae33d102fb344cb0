//! One camera: a video element that plays its track, and word of every new picture.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Array, Function};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use web_sys::{HtmlVideoElement, MediaStream, MediaStreamTrack};

use crate::browser::{document, now};

/// Without a new picture for this long a camera is shown as frozen. The robot repeats a still picture every half second.
const FRESH_MS: f64 = 1000.0;

#[wasm_bindgen]
extern "C" {
    /// A video element in browsers that tell when a picture is presented.
    #[wasm_bindgen(extends = HtmlVideoElement)]
    type CallbackVideo;

    #[wasm_bindgen(method, getter, js_name = requestVideoFrameCallback)]
    fn frame_callback_method(this: &CallbackVideo) -> Option<Function>;

    #[wasm_bindgen(method, js_name = requestVideoFrameCallback)]
    fn request_frame_callback(this: &CallbackVideo, callback: &Function) -> u32;
}

/// A camera of the robot.
pub(crate) struct Camera {
    name: String,
    element: CallbackVideo,
    /// Pictures presented so far, in browsers that tell.
    presented: Rc<Cell<u64>>,
    on_picture: RefCell<Option<Closure<dyn FnMut()>>>,
    /// The picture seen by the last look at freshness, and when it was new.
    seen: Cell<(u64, f64)>,
}

impl Camera {
    /// A camera without a picture yet.
    pub(crate) fn new(name: &str) -> Result<Rc<Self>, JsValue> {
        let element: CallbackVideo = document().create_element("video")?.unchecked_into();
        // Muted, or browsers would not play before a click.
        element.set_muted(true);
        element.set_autoplay(true);
        element.set_attribute("playsinline", "")?;
        let camera = Rc::new(Self {
            name: name.to_owned(),
            element,
            presented: Rc::default(),
            on_picture: RefCell::default(),
            seen: Cell::new((0, f64::NEG_INFINITY)),
        });
        camera.count_pictures();
        Ok(camera)
    }

    /// Its name on the wire.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The element that plays it, to be mounted by the page and drawn in the headset.
    pub(crate) fn element(&self) -> &HtmlVideoElement {
        &self.element
    }

    /// Plays this track from now on.
    pub(crate) fn show(&self, track: &MediaStreamTrack) {
        let Ok(stream) = MediaStream::new_with_tracks(&Array::of1(track)) else {
            return;
        };
        self.element.set_src_object(Some(&stream));
        if let Ok(playing) = self.element.play() {
            // A newer track interrupts the promise; nothing is lost.
            spawn_local(async move { drop(JsFuture::from(playing).await) });
        }
    }

    /// Keeps the present picture: a track that ends would turn it black.
    pub(super) fn freeze(&self) {
        let _ = self.element.pause();
    }

    /// Picture size in pixels; zero before the first one.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.element.video_width(), self.element.video_height())
    }

    /// A number that changes with every new picture; zero before the first one.
    pub(crate) fn picture(&self) -> u64 {
        if self.size().0 == 0 {
            0
        } else if self.on_picture.borrow().is_some() {
            self.presented.get()
        } else {
            self.element.current_time().to_bits()
        }
    }

    /// Whether a new picture came lately. To be called a few times a second.
    pub(crate) fn is_fresh(&self) -> bool {
        let (picture, now) = (self.picture(), now());
        if picture != 0 && picture != self.seen.get().0 {
            self.seen.set((picture, now));
        }
        now - self.seen.get().1 < FRESH_MS
    }

    fn count_pictures(self: &Rc<Self>) {
        if self.element.frame_callback_method().is_none() {
            return;
        }
        let camera = Rc::downgrade(self);
        let presented = self.presented.clone();
        let closure = Closure::<dyn FnMut()>::new(move || {
            presented.set(presented.get() + 1);
            if let Some(camera) = camera.upgrade() {
                camera.await_picture();
            }
        });
        self.on_picture.replace(Some(closure));
        self.await_picture();
    }

    fn await_picture(&self) {
        if let Some(closure) = &*self.on_picture.borrow() {
            self.element.request_frame_callback(closure.as_ref().unchecked_ref());
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.element.set_src_object(None);
        self.element.remove();
    }
}
