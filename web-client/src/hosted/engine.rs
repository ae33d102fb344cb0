//! Owns who is logged in, the robot that is driven and the presentation; all on the page's one thread.
//!
//! Driven by the browser's events, the answers of the broker, and two timers: a slow one, and one for commands. This file
//! holds the parts together: `board` is what there is without a robot, `ride` what there is with one, `way` and `leg` the
//! way to it, `hands` what moves it, `commands` what else it is told, `figures` what is measured, `map` its map, `vr` the
//! headset, `stage` what it shows, `preview` the same without one.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use leptos::prelude::window;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;
use web_sys::{EventTarget, KeyboardEvent};

use super::api::Api;
use super::hands::COMMAND_MS;
use super::preview::Preview;
use super::report;
use super::ride::Ride;
use super::summary::{Board, Stage, Summary};
use crate::browser::{document, now};
use crate::engine::repeat;
use crate::report::Attributes;
use crate::summary::{Presence, Support};
use crate::xr;

/// Period of the slow timer, and of what the page gets to see.
const TICK_MS: i32 = 100;

/// See the module.
pub(crate) struct Hosted {
    pub(super) api: Api,
    pub(super) stage: Cell<Stage>,
    pub(super) board: RefCell<Board>,
    /// When the list of robots was asked for.
    pub(super) listed_at: Cell<f64>,
    pub(super) ride: RefCell<Option<Rc<Ride>>>,
    pub(super) support: Cell<Support>,
    pub(super) presence: Cell<Presence>,
    pub(super) presentation: RefCell<Option<Rc<xr::Presentation<Self>>>>,
    pub(super) preview: RefCell<Option<Preview>>,
    pub(super) ticked_at: Cell<f64>,
    /// When the next command is due.
    command_due: Cell<f64>,
    timer: Closure<dyn FnMut()>,
    command_timer: Closure<dyn FnMut()>,
    on_key: Closure<dyn FnMut(KeyboardEvent)>,
    on_release: Closure<dyn FnMut()>,
    on_page_hide: Closure<dyn FnMut()>,
    attributes: RefCell<Attributes>,
    published: RefCell<Summary>,
    publish: Box<dyn Fn(Summary)>,
    pub(super) this: Weak<Self>,
}

impl Hosted {
    /// Asks the broker who is logged in, and hands every change to `publish`, at most ten times a second.
    pub(crate) fn start(publish: impl Fn(Summary) + 'static) -> Rc<Self> {
        let api = Api::new();
        let board = Board { broker: api.origin().to_owned(), ..Board::default() };
        let hosted = Rc::new_cyclic(|this: &Weak<Self>| Self {
            api,
            stage: Cell::default(),
            board: RefCell::new(board),
            listed_at: Cell::new(f64::NEG_INFINITY),
            ride: RefCell::default(),
            support: Cell::default(),
            presence: Cell::default(),
            presentation: RefCell::default(),
            preview: RefCell::default(),
            ticked_at: Cell::new(f64::NEG_INFINITY),
            command_due: Cell::new(now()),
            timer: callback(this, |hosted| hosted.tick()),
            command_timer: callback(this, |hosted| {
                hosted.send_keys();
                hosted.await_command();
            }),
            on_key: {
                let this = this.clone();
                Closure::new(move |event: KeyboardEvent| {
                    if let Some(hosted) = this.upgrade() {
                        hosted.on_key(&event);
                    }
                })
            },
            on_release: callback(this, |hosted| hosted.release_keys()),
            on_page_hide: callback(this, |hosted| hosted.say_farewell()),
            attributes: RefCell::default(),
            published: RefCell::default(),
            publish: Box::new(publish),
            this: this.clone(),
        });
        hosted.listen();
        hosted.look_for_headset();
        hosted.look_who_it_is();
        repeat(&hosted.timer, TICK_MS);
        hosted.await_command();
        hosted.tick();
        hosted
    }

    fn listen(&self) {
        let listen = |target: &EventTarget, event: &str, callback: &JsValue| {
            // A page that cannot listen has other troubles.
            let _ = target.add_event_listener_with_callback(event, callback.unchecked_ref());
        };
        let page = window();
        listen(&page, "keydown", self.on_key.as_ref());
        listen(&page, "keyup", self.on_key.as_ref());
        // Whoever looks elsewhere lets go: the browser would not tell of keys that are released there.
        listen(&page, "blur", self.on_release.as_ref());
        listen(&document(), "visibilitychange", self.on_release.as_ref());
        listen(&page, "pagehide", self.on_page_hide.as_ref());
    }

    /// The next command is due a period after the last one, however late this one was.
    fn await_command(&self) {
        let now = now();
        let next = self.command_due.get() + COMMAND_MS;
        let next = if next < now { now + COMMAND_MS } else { next };
        self.command_due.set(next);
        #[expect(clippy::cast_possible_truncation, reason = "a few milliseconds")]
        let ms = (next - now).round() as i32;
        let timer = self.command_timer.as_ref().unchecked_ref();
        if let Err(error) = window().set_timeout_with_callback_and_timeout_and_arguments_0(timer, ms) {
            web_sys::console::error_1(&error);
        }
    }

    pub(super) fn tick(&self) {
        let now = now();
        let since_last = now - self.ticked_at.replace(now);
        if self.api.take_refused() && self.stage.get() != Stage::SignIn {
            self.log_out();
            self.board.borrow_mut().trouble = Some("You were logged out. Log in again.".to_owned());
        }
        self.tick_board(now);
        self.tick_ride(now, since_last);
        if let Some(presentation) = &*self.presentation.borrow() {
            self.presence.set(if presentation.is_visible() { Presence::Visible } else { Presence::Hidden });
        }
        self.show();
    }

    /// Hands what has changed to the page.
    pub(super) fn show(&self) {
        let summary = Summary {
            stage: self.stage.get(),
            board: self.board.borrow().clone(),
            cockpit: self.ride.borrow().as_ref().map(|ride| ride.summary()),
            support: self.support.get(),
            presence: self.presence.get(),
        };
        if *self.published.borrow() != summary {
            report::write(&mut self.attributes.borrow_mut(), &summary);
            self.published.replace(summary.clone());
            (self.publish)(summary);
        }
    }

    /// The robot that is driven or watched.
    pub(super) fn ride(&self) -> Option<Rc<Ride>> {
        self.ride.borrow().clone()
    }

    /// Replaces the browser's WebXR by an emulated headset.
    pub(crate) fn emulate_headset(&self) {
        let this = self.this.clone();
        spawn_local(async move {
            let loaded = crate::emulator::install().await;
            if let Some(hosted) = this.upgrade() {
                match loaded {
                    Ok(()) => hosted.look_for_headset(),
                    Err(error) => web_sys::console::warn_1(&error),
                }
            }
        });
    }

    pub(super) fn look_for_headset(&self) {
        let this = self.this.clone();
        spawn_local(async move {
            let support = xr::support().await;
            if let Some(hosted) = this.upgrade() {
                hosted.support.set(support);
            }
        });
    }
}

/// A callback for the browser that does nothing once the engine is gone.
fn callback(this: &Weak<Hosted>, run: impl Fn(&Hosted) + 'static) -> Closure<dyn FnMut()> {
    let this = this.clone();
    Closure::new(move || {
        if let Some(hosted) = this.upgrade() {
            run(&hosted);
        }
    })
}
