//! The half of the app that runs outside the reactive graph: it owns the link, the cameras and the presentation.
//!
//! Driven by socket events, XR frames and a slow timer; all on the page's one thread.

use std::cell::{Cell, Ref, RefCell};
use std::rc::{Rc, Weak};

use leptos::prelude::window;
use waldo_protocol::vr::{Capability, ClientHello, ClientMessage, Role, ServerMessage, VrFrame};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::answer::{Answer, AnswerWatch};
use crate::browser::{error_text, now, random_id};
use crate::connection::Connection;
use crate::hud::{self, HudText};
use crate::link::Status;
use crate::pose::{PoseStream, Sample};
use crate::report::Report;
use crate::robot::RobotView;
use crate::socket::SocketEvent;
use crate::summary::{CameraSummary, Presence, Summary, Support};
use crate::target::{Target, take_token_from_url};
use crate::video::{Offer, Video};
use crate::{certificate, emulator, xr};

/// Period of the timer, and of what the page gets to see.
const TICK_MS: i32 = 100;

/// After the room's origin moved under the operator no poses are sent for this long. The robot takes 0.5 s of silence as
/// letting go, so the jump never reaches the arms.
const SILENCE_AFTER_ROOM_MOVED_MS: f64 = 700.0;

/// See the module.
pub(crate) struct Engine {
    /// Id of this page load, the same on every socket.
    stream: String,
    connection: Connection,
    robot: RefCell<RobotView>,
    video: Video,
    poses: RefCell<PoseStream>,
    /// Encoded pose, reused for every frame.
    pose_text: RefCell<String>,
    silent_until: Cell<f64>,
    answer: Cell<Answer>,
    answer_watch: RefCell<AnswerWatch>,
    presentation: RefCell<Option<Rc<xr::Presentation>>>,
    presence: Cell<Presence>,
    support: Cell<Support>,
    controllers: Cell<[bool; 2]>,
    hud: RefCell<HudText>,
    trouble: RefCell<Option<String>>,
    ticked_at: Cell<f64>,
    timer: Closure<dyn FnMut()>,
    report: RefCell<Report>,
    published: RefCell<Summary>,
    publish: Box<dyn Fn(Summary)>,
}

impl Engine {
    /// Starts to connect, and hands every change to `publish`, at most ten times a second.
    pub(crate) fn start(publish: impl Fn(Summary) + 'static) -> Rc<Self> {
        take_token_from_url();
        let robot = RobotView::default();
        let hud = hud::compose(Status::NotConnected, Answer::Heard, &robot, Default::default(), [false; 2]);
        let engine = Rc::new_cyclic(|engine: &Weak<Self>| Self {
            stream: random_id(),
            connection: Connection::new(Target::remembered().ok(), {
                let engine = engine.clone();
                move |event| {
                    if let Some(engine) = engine.upgrade() {
                        engine.on_socket(event);
                    }
                }
            }),
            robot: RefCell::new(robot),
            video: Video::default(),
            poses: RefCell::default(),
            pose_text: RefCell::default(),
            silent_until: Cell::default(),
            answer: Cell::new(Answer::Heard),
            answer_watch: RefCell::default(),
            presentation: RefCell::default(),
            presence: Cell::default(),
            support: Cell::default(),
            controllers: Cell::default(),
            hud: RefCell::new(hud),
            trouble: RefCell::default(),
            ticked_at: Cell::new(f64::NEG_INFINITY),
            timer: Closure::new({
                let engine = engine.clone();
                move || {
                    if let Some(engine) = engine.upgrade() {
                        engine.tick();
                    }
                }
            }),
            report: RefCell::default(),
            published: RefCell::default(),
            publish: Box::new(publish),
        });
        engine.connect();
        engine.look_for_headset();
        let tick = engine.timer.as_ref().unchecked_ref();
        if let Err(error) = window().set_interval_with_callback_and_timeout_and_arguments_0(tick, TICK_MS) {
            web_sys::console::error_1(&error);
        }
        engine.tick();
        engine
    }

    /// Connects to the robot as typed; the page's own if nothing is typed.
    pub(crate) fn connect_to(&self, typed: &str) {
        match Target::typed(typed) {
            Ok(target) => {
                self.end_presentation();
                self.connection.aim_at(target);
                self.robot.take();
                self.video.forget();
                self.trouble.replace(None);
                self.connect();
            }
            Err(error) => self.fail(error.to_string()),
        }
    }

    /// Connects, dropping an old connection.
    pub(crate) fn connect(&self) {
        self.forget_socket();
        if let Err(trouble) = self.connection.connect() {
            self.fail(trouble);
        }
    }

    /// Ends the presentation and the connection. The arms stay where they are: who disconnects wants them to stop.
    pub(crate) fn disconnect(&self) {
        self.end_presentation();
        self.forget_socket();
        self.connection.disconnect();
    }

    /// Connects with this token from now on.
    pub(crate) fn use_token(&self, token: &str) {
        if let Some(target) = &*self.connection.target() {
            target.keep_token(token);
        }
        self.connect();
    }

    /// Lets the person accept the robot's certificate, then connects. To be called inside a click.
    pub(crate) fn accept_certificate(self: &Rc<Self>) {
        let Some(url) = self.connection.target().as_ref().map(Target::accept_url) else {
            return;
        };
        let accepted = certificate::accept(&url);
        let engine = self.clone();
        spawn_local(async move {
            accepted.await;
            // The person may have connected meanwhile, and drive.
            if engine.connection.status() != Status::Connected {
                engine.connect();
            }
        });
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

    /// Starts the presentation. To be called inside a click.
    pub(crate) fn enter(self: &Rc<Self>) {
        if self.presence.get() != Presence::Out {
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
        if self.presentation.borrow().is_some() {
            let farewell = self.poses.borrow_mut().farewell(now());
            if let Some(frame) = farewell {
                self.send_pose(&frame);
            }
            self.end_presentation();
        }
    }

    /// The cameras.
    pub(crate) fn video(&self) -> &Video {
        &self.video
    }

    /// What the headset shows in words.
    pub(crate) fn hud(&self) -> Ref<'_, HudText> {
        self.hud.borrow()
    }

    /// One XR frame was sampled: sends its pose if the operator sees the presentation and the socket takes it.
    pub(crate) fn sampled(self: &Rc<Self>, sample: &Sample, visible: bool) {
        self.controllers.set([sample.left.aim.is_some(), sample.right.aim.is_some()]);
        let now = now();
        let may_send = visible && self.connection.takes_poses() && now >= self.silent_until.get();
        let state = self.robot.borrow().state;
        let outcome = self.poses.borrow_mut().next(sample, state, may_send);
        if let Some(frame) = outcome.frame {
            self.send_pose(&frame);
        }
        if outcome.leave {
            self.end_presentation();
        }
        // Browsers may slow the page's timers down while a headset presents.
        if now - self.ticked_at.get() > f64::from(TICK_MS) {
            self.tick();
        }
    }

    /// The origin of the operator's room moved, so the controllers seem to jump.
    pub(crate) fn room_moved(&self) {
        self.silent_until.set(now() + SILENCE_AFTER_ROOM_MOVED_MS);
    }

    /// The browser ended the presentation, or did what we asked for.
    pub(crate) fn presentation_ended(&self) {
        self.presence.set(Presence::Out);
        self.controllers.set([false; 2]);
        self.presentation.take();
        self.poses.borrow_mut().begin();
    }

    /// Nothing can be drawn any more: an operator who sees nothing must not go on driving.
    pub(crate) fn graphics_lost(&self) {
        self.end_presentation();
        self.fail("The headset's graphics failed. Enter VR again; if that does not help, reload the page.".to_owned());
    }

    fn presentation_began(self: &Rc<Self>, presentation: Rc<xr::Presentation>) {
        self.poses.borrow_mut().begin();
        self.presence.set(Presence::Visible);
        self.presentation.replace(Some(presentation));
        self.end_hopeless_presentation();
    }

    fn end_presentation(&self) {
        // Not while borrowed: a browser may tell of the end before `end` returns.
        let presentation = self.presentation.borrow().clone();
        if let Some(presentation) = presentation {
            presentation.end();
        }
    }

    fn end_hopeless_presentation(&self) {
        if self.connection.status().given_up() && self.presentation.borrow().is_some() {
            self.end_presentation();
            self.fail("The connection to the robot was lost.".to_owned());
        }
    }

    fn look_for_headset(self: &Rc<Self>) {
        let engine = self.clone();
        spawn_local(async move { engine.support.set(xr::support().await) });
    }

    /// What was true over the socket is not known any more.
    fn forget_socket(&self) {
        self.video.socket_changed(false);
        self.robot.borrow_mut().disconnected();
    }

    fn socket_closed(&self) {
        self.forget_socket();
        self.connection.closed();
    }

    /// Hangs up on a robot that was being driven and does not answer any more; the link then dials again.
    fn watch_answers(&self, now: f64) {
        let drives = self.connection.status() == Status::Connected
            && self.presence.get() == Presence::Visible
            && self.robot.borrow().engaged == Some(true);
        let silent = drives && (self.video.fell_silent() || !self.connection.takes_poses());
        let answer = self.answer_watch.borrow_mut().look(silent, now);
        self.answer.set(answer);
        if answer == Answer::Dead {
            self.socket_closed();
        }
    }

    fn on_socket(self: &Rc<Self>, event: SocketEvent) {
        match event {
            SocketEvent::Opened => {
                self.connection.opened();
                self.trouble.replace(None);
                self.video.socket_changed(true);
                self.send(&ClientMessage::Hello(ClientHello {
                    v: 1,
                    client: concat!("waldo-web/", env!("CARGO_PKG_VERSION")).to_owned(),
                    stream: self.stream.clone(),
                    role: Role::Driver,
                    caps: vec![Capability::Snapshot, Capability::Hold],
                }));
                self.tick();
            }
            SocketEvent::Text(text) => {
                if let Some(message) = ServerMessage::decode(&text) {
                    self.on_message(message);
                }
            }
            SocketEvent::Closed => {
                self.socket_closed();
                self.tick();
            }
        }
    }

    fn on_message(self: &Rc<Self>, message: ServerMessage) {
        self.robot.borrow_mut().apply(&message, &self.stream);
        match message {
            ServerMessage::WebrtcOffer { sdp, tracks, ice_servers } => {
                // A robot that answered hello finds us by our checks; others wait for candidates in the answer.
                let needs_candidates = self.robot.borrow().server.is_none();
                let engine = Rc::downgrade(self);
                self.video.offered(Offer { sdp, tracks, ice_servers, needs_candidates }, move |sdp| {
                    if let Some(engine) = engine.upgrade() {
                        engine.send(&ClientMessage::WebrtcAnswer { sdp });
                    }
                });
            }
            ServerMessage::WebrtcPending => self.video.pending(),
            ServerMessage::WebrtcUnavailable => self.video.unavailable(),
            _ => self.refresh_hud(),
        }
    }

    fn send(&self, message: &ClientMessage) {
        self.connection.send(&message.encode());
    }

    fn send_pose(&self, frame: &VrFrame) {
        let mut text = self.pose_text.borrow_mut();
        text.clear();
        frame.encode(&mut text);
        self.connection.send(&text);
    }

    fn fail(&self, trouble: String) {
        self.trouble.replace(Some(trouble));
    }

    fn tick(self: &Rc<Self>) {
        let now = now();
        self.ticked_at.set(now);
        if let Err(trouble) = self.connection.poll(now) {
            self.fail(trouble);
        }
        if self.connection.status() == Status::Connected && self.video.poll(now) {
            self.send(&ClientMessage::WebrtcRequest);
        }
        self.watch_answers(now);
        self.end_hopeless_presentation();
        // Not left to the XR frames: a hidden presentation may get none.
        if let Some(presentation) = &*self.presentation.borrow() {
            self.presence.set(if presentation.is_visible() { Presence::Visible } else { Presence::Hidden });
        }
        self.refresh_hud();
        let summary = self.summary();
        if *self.published.borrow() != summary {
            self.report.borrow_mut().write(&summary);
            self.published.replace(summary.clone());
            (self.publish)(summary);
        }
    }

    fn refresh_hud(&self) {
        let link = self.connection.status();
        let text =
            hud::compose(link, self.answer.get(), &self.robot.borrow(), self.video.status(), self.controllers.get());
        self.hud.replace(text);
    }

    fn summary(&self) -> Summary {
        let target = self.connection.target();
        let cameras = self.video.cameras();
        Summary {
            address: target.as_ref().map_or_else(String::new, |target| target.shown.clone()),
            foreign: target.as_ref().is_some_and(|target| target.foreign),
            link: self.connection.status(),
            robot: self.robot.borrow().clone(),
            video: self.video.status(),
            cameras: cameras
                .iter()
                .map(|camera| CameraSummary {
                    name: camera.name().to_owned(),
                    size: camera.size(),
                    live: camera.is_fresh(),
                })
                .collect(),
            support: self.support.get(),
            presence: self.presence.get(),
            controllers: self.controllers.get(),
            frames_sent: self.poses.borrow().sent(),
            trouble: self.trouble.borrow().clone(),
        }
    }
}
