//! Owns the socket, the scene, the drawing and the presentation of the field; all on the page's one thread.
//!
//! Driven by socket events, the pictures of screen or headset, and a slow timer. This file holds the parts together:
//! `operator` is what comes from the headset, `screen` what is shown without one.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use waldo_protocol::field::{ArmCamera, ClientMessage, FieldParameters, Pulses};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use super::address::{Address, parameters};
use super::fly::{Fly, Keys};
use super::pace::Pace;
use super::report;
use super::screen::Screen;
use super::session::{Part, Session, Todo};
use super::summary::Summary;
use super::words::Situation;
use crate::browser::now;
use crate::connection::Connection;
use crate::engine::repeat;
use crate::hud::HudText;
use crate::link::Status;
use crate::report::Attributes;
use crate::socket::SocketEvent;
use crate::summary::{Presence, Support};
use crate::xr;

/// Period of the timer, and of what the page gets to see.
const TICK_MS: i32 = 100;
/// A server that hears nothing for some seconds takes a user for gone away.
const HEARTBEAT_MS: f64 = 1000.0;

/// See the module.
pub(crate) struct Field {
    pub(super) parameters: FieldParameters,
    pub(super) connection: Connection<Address>,
    pub(super) session: RefCell<Session>,
    pub(super) presentation: RefCell<Option<Rc<xr::Presentation<Self>>>>,
    pub(super) presence: Cell<Presence>,
    pub(super) controllers: Cell<[bool; 2]>,
    pub(super) pace: RefCell<Pace>,
    pub(super) pulses: RefCell<Pulses>,
    /// The server was told that no controller is there.
    pub(super) empty_handed: Cell<bool>,
    pub(super) inputs: Cell<u64>,
    pub(super) words: RefCell<HudText>,
    pub(super) screen: RefCell<Option<Screen>>,
    pub(super) fly: RefCell<Fly>,
    pub(super) keys: Cell<Keys>,
    /// Whether the view goes where the watched arms are; ends as soon as a person flies.
    pub(super) following: Cell<bool>,
    /// The arm that the person has chosen to look from.
    pub(super) seat: RefCell<Option<String>>,
    pub(super) arm_camera: RefCell<ArmCamera>,
    support: Cell<Support>,
    trouble: RefCell<Option<String>>,
    sent_at: Cell<f64>,
    scenes: Cell<u64>,
    /// Of the newest scene.
    moment: Cell<f64>,
    /// Scenes, and when they were counted, for their rate.
    counted: Cell<(u64, f64)>,
    rate: Cell<u32>,
    ticked_at: Cell<f64>,
    timer: Closure<dyn FnMut()>,
    attributes: RefCell<Attributes>,
    published: RefCell<Summary>,
    publish: Box<dyn Fn(Summary)>,
    pub(super) this: Weak<Self>,
}

impl Field {
    /// Nothing is connected before somebody takes part. Hands every change to `publish`, at most ten times a second.
    pub(crate) fn start(publish: impl Fn(Summary) + 'static) -> Rc<Self> {
        let (parameters, trouble) = parameters();
        let field = Rc::new_cyclic(|field: &Weak<Self>| Self {
            connection: Connection::new(Some(Address::of(&parameters)), {
                let field = field.clone();
                move |event| {
                    if let Some(field) = field.upgrade() {
                        field.on_socket(event);
                    }
                }
            }),
            session: RefCell::default(),
            presentation: RefCell::default(),
            presence: Cell::default(),
            controllers: Cell::default(),
            pace: RefCell::new(Pace::new(parameters.input_hz)),
            pulses: RefCell::default(),
            empty_handed: Cell::new(true),
            inputs: Cell::default(),
            words: RefCell::default(),
            screen: RefCell::default(),
            fly: RefCell::default(),
            keys: Cell::default(),
            following: Cell::new(true),
            seat: RefCell::default(),
            arm_camera: RefCell::default(),
            support: Cell::default(),
            trouble: RefCell::new(trouble),
            sent_at: Cell::default(),
            scenes: Cell::default(),
            moment: Cell::default(),
            counted: Cell::new((0, now())),
            rate: Cell::default(),
            ticked_at: Cell::new(f64::NEG_INFINITY),
            timer: {
                let field = field.clone();
                Closure::new(move || {
                    if let Some(field) = field.upgrade() {
                        field.tick();
                    }
                })
            },
            attributes: RefCell::default(),
            published: RefCell::default(),
            publish: Box::new(publish),
            parameters,
            this: field.clone(),
        });
        repeat(&field.timer, TICK_MS);
        field.look_for_headset();
        field.tick();
        field
    }

    /// Takes part, as somebody new; leaves the field with `None`.
    pub(crate) fn join(&self, part: Option<Part>) {
        self.leave_vr();
        self.session.borrow_mut().choose(part);
        self.pulses.take();
        self.arm_camera.take();
        self.trouble.replace(None);
        self.following.set(true);
        match part {
            Some(_) => {
                if let Err(trouble) = self.connection.connect() {
                    self.fail(trouble);
                }
            }
            None => self.connection.disconnect(),
        }
        self.tick();
    }

    /// The arms begin anew.
    pub(crate) fn reset(&self) {
        self.send(&ClientMessage::Reset);
    }

    /// Looks from this arm.
    pub(crate) fn sit(&self, arm: &str) {
        self.seat.replace(Some(arm.to_owned()));
        self.arm_camera.take();
        self.tick();
    }

    /// The view follows the watched arms again.
    pub(crate) fn follow(&self) {
        self.following.set(true);
        self.tick();
    }

    /// Replaces the browser's WebXR by an emulated headset. False if it could not be loaded.
    pub(crate) async fn emulate_headset(self: &Rc<Self>) -> bool {
        let loaded = crate::emulator::install().await;
        match &loaded {
            Ok(()) => self.look_for_headset(),
            Err(error) => {
                self.fail(format!("The emulator could not be loaded: {}", crate::browser::error_text(error)));
            }
        }
        loaded.is_ok()
    }

    pub(super) fn fail(&self, trouble: String) {
        self.trouble.replace(Some(trouble));
    }

    pub(super) fn send(&self, message: &ClientMessage) {
        self.sent_at.set(now());
        self.connection.send(&message.encode());
    }

    fn on_socket(&self, event: SocketEvent) {
        match event {
            SocketEvent::Reachable => {
                if let Err(trouble) = self.connection.reachable() {
                    self.fail(trouble);
                }
            }
            SocketEvent::Opened => {
                self.connection.opened();
                self.empty_handed.set(true);
                let hello = self.session.borrow_mut().opened();
                if let Some(hello) = hello {
                    self.send(&hello);
                }
            }
            SocketEvent::Text(text) => {
                let todo = self.session.borrow_mut().on_text(&text, now());
                self.heed(todo);
            }
            SocketEvent::Bytes(bytes) => {
                let todo = self.session.borrow_mut().on_bytes(&bytes);
                self.heed(todo);
            }
            SocketEvent::Closed => {
                self.connection.closed();
                self.session.borrow_mut().closed();
                self.pulse();
                self.tick();
            }
        }
    }

    fn heed(&self, todo: Todo) {
        match todo {
            Todo::Nothing => {}
            Todo::Show => {
                // One moment may come in two frames, arms first.
                let moment = self.session.borrow().scene().timestamp;
                if self.moment.replace(moment) != moment {
                    self.scenes.set(self.scenes.get() + 1);
                }
                self.pulse();
            }
            Todo::Admitted => {
                self.connection.greeted();
                self.trouble.replace(None);
                self.tick();
            }
            Todo::Answer(message) => self.send(&message),
        }
    }

    pub(super) fn tick(&self) {
        let now = now();
        self.ticked_at.set(now);
        if let Err(trouble) = self.connection.poll(now) {
            self.fail(trouble);
        }
        let linked = self.connection.status() == Status::Connected && self.session.borrow().admitted();
        if linked && now - self.sent_at.get() >= HEARTBEAT_MS {
            self.send(&ClientMessage::Heartbeat);
        }
        self.session.borrow_mut().read_mesh();
        if let Some(presentation) = &*self.presentation.borrow() {
            self.presence.set(if presentation.is_visible() { Presence::Visible } else { Presence::Hidden });
        }
        self.count(now);
        self.choose_seat();
        self.refresh_words(now);
        let summary = self.summary();
        if *self.published.borrow() != summary {
            report::write(&mut self.attributes.borrow_mut(), &summary);
            self.published.replace(summary.clone());
            (self.publish)(summary);
        }
    }

    /// Browsers may slow the page's timers down while a headset presents.
    pub(super) fn tick_if_late(&self) {
        if now() - self.ticked_at.get() > f64::from(TICK_MS) {
            self.tick();
        }
    }

    fn count(&self, now: f64) {
        let ((scenes, since), so_far) = (self.counted.get(), self.scenes.get());
        if now - since >= 1000.0 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred at most")]
            self.rate.set(((so_far - scenes) as f64 * 1000.0 / (now - since)).round() as u32);
            self.counted.set((so_far, now));
        }
    }

    /// An arm camera sits somewhere as soon as there is an arm, and moves on when its arm is gone.
    fn choose_seat(&self) {
        let session = self.session.borrow();
        if session.part() != Some(Part::ArmCamera) {
            return;
        }
        let seats = session.seats();
        let mut seat = self.seat.borrow_mut();
        let sits = seat.as_ref().is_some_and(|seat| seats.iter().any(|(_, arm)| arm == seat));
        if !sits && let Some((_, arm)) = seats.first() {
            *seat = Some(arm.clone());
            self.arm_camera.take();
        }
    }

    fn refresh_words(&self, now: f64) {
        let session = self.session.borrow();
        let presents = matches!(self.presence.get(), Presence::Visible | Presence::Hidden);
        let situation = Situation {
            joined: session.part().is_some(),
            link: self.connection.status(),
            arms: session.arms(),
            user: session.user(),
            followed: session.followed().map(|followed| followed.user),
            error: session.error(now),
            controllers: presents.then(|| self.controllers.get()),
            others: session.others(),
        };
        self.words.replace(situation.text());
    }

    fn summary(&self) -> Summary {
        let session = self.session.borrow();
        let (_, _, _, meshes) = session.shown();
        let part = session.part();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let whole = |ms: f64| ms.round().clamp(0.0, 60_000.0) as u32;
        Summary {
            link: self.connection.status(),
            part,
            preselected: self.parameters.mode,
            user: session.user().to_owned(),
            arms: session.arms(),
            others: session.others(),
            people: session.people(),
            words: self.words.borrow().clone(),
            followed: session.followed().map(|followed| followed.user.to_owned()),
            following: self.following.get(),
            seats: if part == Some(Part::ArmCamera) { session.seats() } else { Vec::new() },
            seat: self.seat.borrow().clone().filter(|_| part == Some(Part::ArmCamera)),
            latency_ms: session.latency_ms().map(whole),
            rate: self.rate.get(),
            paused: session.paused(),
            away: session.away(),
            clamped: session.clamped(),
            fault: session.mesh_fault(),
            trouble: self.trouble.borrow().clone(),
            support: self.support.get(),
            presence: self.presence.get(),
            scenes: self.scenes.get(),
            inputs: self.inputs.get(),
            meshes: meshes.drawn(),
            mesh_reads: meshes.reads(),
        }
    }

    pub(super) fn look_for_headset(&self) {
        let field = self.this.clone();
        spawn_local(async move {
            let support = xr::support().await;
            if let Some(field) = field.upgrade() {
                field.support.set(support);
            }
        });
    }

    pub(super) fn support(&self) -> Support {
        self.support.get()
    }
}
