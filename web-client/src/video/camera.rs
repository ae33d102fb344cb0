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
    element: RefCell<CallbackVideo>,
    /// Plays a newer track that has brought no picture yet; until then the last picture of the old one stays.
    next: RefCell<Option<CallbackVideo>>,
    /// Pictures presented so far, in browsers that tell.
    presented: Cell<u64>,
    on_picture: RefCell<Option<Closure<dyn FnMut()>>>,
    on_next: RefCell<Option<Closure<dyn FnMut()>>>,
    /// The picture seen by the last look at freshness, and when it was new.
    seen: Cell<(u64, f64)>,
}

impl Camera {
    /// A camera without a picture yet.
    pub(crate) fn new(name: &str) -> Result<Rc<Self>, JsValue> {
        let camera = Rc::new(Self {
            name: name.to_owned(),
            element: RefCell::new(element()?),
            next: RefCell::default(),
            presented: Cell::default(),
            on_picture: RefCell::default(),
            on_next: RefCell::default(),
            seen: Cell::new((0, f64::NEG_INFINITY)),
        });
        camera.count_pictures();
        Ok(camera)
    }

    /// Its name on the wire.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The element that plays it, to be mounted by the page and drawn in the headset. Another one may take its place in
    /// the page with every new track.
    pub(crate) fn element(&self) -> HtmlVideoElement {
        HtmlVideoElement::clone(&self.element.borrow())
    }

    /// Plays this track from now on, once it brings pictures.
    pub(crate) fn show(&self, track: &MediaStreamTrack) {
        let Ok(stream) = MediaStream::new_with_tracks(&Array::of1(track)) else {
            return;
        };
        // An element that gets a new stream is black until the first picture.
        let on_next = self.on_next.borrow();
        let fresh = on_next.as_ref().filter(|_| self.picture() != 0).zip(element().ok());
        let playing = match fresh {
            Some((on_next, next)) => {
                next.set_src_object(Some(&stream));
                next.request_frame_callback(on_next.as_ref().unchecked_ref());
                let playing = next.play();
                self.drop_next();
                self.next.replace(Some(next));
                playing
            }
            None => {
                self.element.borrow().set_src_object(Some(&stream));
                self.element.borrow().play()
            }
        };
        if let Ok(playing) = playing {
            // A newer track interrupts the promise; nothing is lost.
            spawn_local(async move { drop(JsFuture::from(playing).await) });
        }
    }

    /// Keeps the present picture: a track that ends would turn it black.
    pub(super) fn freeze(&self) {
        self.drop_next();
        let _ = self.element.borrow().pause();
    }

    /// Picture size in pixels; zero before the first one.
    pub(crate) fn size(&self) -> (u32, u32) {
        let element = self.element.borrow();
        (element.video_width(), element.video_height())
    }

    /// A number that changes with every new picture; zero before the first one.
    pub(crate) fn picture(&self) -> u64 {
        if self.size().0 == 0 {
            0
        } else if self.on_picture.borrow().is_some() {
            self.presented.get()
        } else {
            self.element.borrow().current_time().to_bits()
        }
    }

    /// Calls back once, when the next picture is shown; never in browsers that do not tell.
    pub(crate) fn on_next_picture(&self, callback: &Function) {
        let element = self.element.borrow();
        if element.frame_callback_method().is_some() {
            element.request_frame_callback(callback);
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

    /// Counts in browsers that tell of pictures; in others every track plays in the one element.
    fn count_pictures(self: &Rc<Self>) {
        if self.element.borrow().frame_callback_method().is_none() {
            return;
        }
        let camera = Rc::downgrade(self);
        let on_picture = Closure::<dyn FnMut()>::new(move || {
            if let Some(camera) = camera.upgrade() {
                camera.presented.set(camera.presented.get() + 1);
                camera.await_picture();
            }
        });
        self.on_picture.replace(Some(on_picture));
        let camera = Rc::downgrade(self);
        let on_next = Closure::<dyn FnMut()>::new(move || {
            if let Some(camera) = camera.upgrade() {
                camera.swap();
            }
        });
        self.on_next.replace(Some(on_next));
        self.await_picture();
    }

    fn await_picture(&self) {
        if let Some(closure) = &*self.on_picture.borrow() {
            self.element.borrow().request_frame_callback(closure.as_ref().unchecked_ref());
        }
    }

    /// The newer track brought its first picture.
    fn swap(&self) {
        let Some(next) = self.next.take() else { return };
        let old = self.element.replace(next);
        let _ = old.replace_with_with_node_1(&self.element.borrow());
        old.set_src_object(None);
        self.presented.set(self.presented.get() + 1);
        self.await_picture();
    }

    fn drop_next(&self) {
        if let Some(next) = self.next.take() {
            next.set_src_object(None);
        }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.drop_next();
        let element = self.element.borrow();
        element.set_src_object(None);
        element.remove();
    }
}

fn element() -> Result<CallbackVideo, JsValue> {
    let element: CallbackVideo = document().create_element("video")?.unchecked_into();
    // Muted, or browsers would not play before a click.
    element.set_muted(true);
    element.set_autoplay(true);
    element.set_attribute("playsinline", "")?;
    Ok(element)
}
