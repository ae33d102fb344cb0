//! The half of the app that runs outside the reactive graph: it owns the paths to the robot, the cameras and the presentation.
//!
//! Driven by socket events, XR frames and a slow timer; all on the page's one thread. This file holds the parts together:
//! `messages` is what comes from the robot, `operator` what comes from the headset, `page` what the page's buttons ask for.

mod messages;
mod operator;
mod page;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use leptos::prelude::window;
use waldo_protocol::vr::{Capability, ClientHello, ClientMessage, ClockSync, HELLO_VERSION, Role, VrFrame};
use wasm_bindgen::prelude::*;

use crate::answer::{Answer, AnswerWatch};
use crate::browser::{now, random_id};
use crate::cable::Cable;
use crate::channel::PoseChannel;
use crate::connection::Connection;
use crate::hud::{HudText, Situation, seconds};
use crate::link::Status;
use crate::paths::Paths;
use crate::pose::PoseStream;
use crate::press::PressWatch;
use crate::report::Attributes;
use crate::robot::RobotView;
use crate::socket::SocketEvent;
use crate::stop::StopLatch;
use crate::summary::{CameraSummary, Presence, RecordingSummary, Summary, Support};
use crate::target::{Target, is_viewer};
use crate::video::Video;
use crate::xr;

/// Period of the timer, and of what the page gets to see.
const TICK_MS: i32 = 100;

/// See the module.
pub(crate) struct Engine {
    /// Id of this page load, the same on every socket.
    stream: String,
    role: Role,
    paths: Paths,
    robot: RefCell<RobotView>,
    video: Video,
    poses: RefCell<PoseStream>,
    /// Encoded pose, reused for every frame.
    pose_text: RefCell<String>,
    silent_until: Cell<f64>,
    stop: RefCell<StopLatch>,
    clock: RefCell<ClockSync>,
    /// Requests for the lease so far.
    requests: Cell<i64>,
    answer: Cell<Answer>,
    answer_watch: RefCell<AnswerWatch>,
    presentation: RefCell<Option<Rc<xr::Presentation<Self>>>>,
    presence: Cell<Presence>,
    support: Cell<Support>,
    controllers: Cell<[bool; 2]>,
    /// B, which asks for control and answers who asks.
    control_button: RefCell<PressWatch>,
    /// Both sticks are pressed in.
    sticks_held: Cell<bool>,
    hud: RefCell<HudText>,
    trouble: RefCell<Option<String>>,
    ticked_at: Cell<f64>,
    timer: Closure<dyn FnMut()>,
    on_page_hide: Closure<dyn FnMut()>,
    report: RefCell<Attributes>,
    published: RefCell<Summary>,
    publish: Box<dyn Fn(Summary)>,
    this: Weak<Self>,
}

impl Engine {
    /// Starts to connect, and hands every change to `publish`, at most ten times a second.
    pub(crate) fn start(publish: impl Fn(Summary) + 'static) -> Rc<Self> {
        let engine = Rc::new_cyclic(|engine: &Weak<Self>| Self {
            stream: random_id(),
            role: if is_viewer() { Role::Viewer } else { Role::Driver },
            paths: Paths {
                connection: Connection::new(Target::remembered().ok(), {
                    let engine = engine.clone();
                    move |event| {
                        if let Some(engine) = engine.upgrade() {
                            engine.on_socket(event);
                        }
                    }
                }),
                channel: PoseChannel::default(),
                cable: Cable::remembered(),
            },
            robot: RefCell::default(),
            video: Video::default(),
            poses: RefCell::default(),
            pose_text: RefCell::default(),
            silent_until: Cell::default(),
            stop: RefCell::default(),
            clock: RefCell::default(),
            requests: Cell::default(),
            answer: Cell::new(Answer::Heard),
            answer_watch: RefCell::default(),
            presentation: RefCell::default(),
            presence: Cell::default(),
            support: Cell::default(),
            controllers: Cell::default(),
            control_button: RefCell::default(),
            sticks_held: Cell::default(),
            hud: RefCell::default(),
            trouble: RefCell::default(),
            ticked_at: Cell::new(f64::NEG_INFINITY),
            timer: closure(engine, |engine| engine.tick()),
            on_page_hide: closure(engine, |engine| engine.say_farewell()),
            report: RefCell::default(),
            published: RefCell::default(),
            publish: Box::new(publish),
            this: engine.clone(),
        });
        engine.connect();
        engine.look_for_headset();
        repeat(&engine.timer, TICK_MS);
        window().set_onpagehide(Some(engine.on_page_hide.as_ref().unchecked_ref()));
        engine.tick();
        engine
    }

    /// What was true over the socket is not known any more. `lost`: it broke, nobody closed it.
    fn forget_socket(&self, lost: bool) {
        self.video.socket_changed(false);
        self.paths.channel.socket_changed(false);
        self.robot.borrow_mut().disconnected(lost);
    }

    fn socket_closed(&self) {
        self.forget_socket(self.paths.connection.status() == Status::Connected);
        self.paths.connection.closed();
    }

    fn hello(&self) -> ClientMessage {
        ClientMessage::Hello(ClientHello {
            v: HELLO_VERSION,
            client: concat!("waldo-web/", env!("CARGO_PKG_VERSION")).to_owned(),
            stream: self.stream.clone(),
            role: self.role,
            caps: Capability::ALL.to_vec(),
        })
    }

    fn has(&self, capability: Capability) -> bool {
        self.robot.borrow().has(capability)
    }

    fn send(&self, message: &ClientMessage) {
        self.paths.connection.send(&message.encode());
    }

    fn send_pose(&self, frame: &VrFrame, surely: bool) {
        let mut text = self.pose_text.borrow_mut();
        text.clear();
        frame.encode(&mut text);
        self.paths.send_pose(&text, surely);
    }

    fn publish_hud(&self) {
        let hud = self.poses.borrow().recording.hud(now());
        self.send(&ClientMessage::Hud(hud));
    }

    fn fail(&self, trouble: String) {
        self.trouble.replace(Some(trouble));
    }

    /// Hangs up on a robot that was being driven and does not answer any more; the link then dials again.
    fn watch_answers(&self, now: f64) {
        let drives = self.paths.connection.status() == Status::Connected
            && self.presence.get() == Presence::Visible
            && self.robot.borrow().engaged == Some(true);
        let silent = drives && (self.video.fell_silent() || !self.paths.take_poses());
        let answer = self.answer_watch.borrow_mut().look(silent, now);
        self.answer.set(answer);
        if answer == Answer::Dead {
            self.socket_closed();
        }
    }

    fn tick(&self) {
        let now = now();
        self.ticked_at.set(now);
        if let Err(trouble) = self.paths.connection.poll(now) {
            self.fail(trouble);
        }
        let linked = self.paths.connection.status() == Status::Connected;
        if linked {
            self.ask(now);
        }
        self.poll_cable(now, linked);
        self.watch_answers(now);
        self.end_hopeless_presentation();
        // Not left to the XR frames: a hidden presentation may get none.
        if let Some(presentation) = &*self.presentation.borrow() {
            self.presence.set(if presentation.is_visible() { Presence::Visible } else { Presence::Hidden });
        }
        self.refresh_hud();
        let summary = self.summary(now);
        if *self.published.borrow() != summary {
            self.report.borrow_mut().write(&summary);
            self.published.replace(summary.clone());
            (self.publish)(summary);
        }
    }

    /// What a connected page asks its robot for, again and again.
    fn ask(&self, now: f64) {
        if self.video.poll(now) {
            self.send(&ClientMessage::WebrtcRequest);
        }
        if self.role == Role::Driver && self.paths.channel.poll(now) {
            self.send(&ClientMessage::ControlRequest);
        }
        if self.has(Capability::Ping)
            && let Some(ping) = self.clock.borrow_mut().poll(now)
        {
            self.send(&ClientMessage::Ping(ping));
        }
        if self.has(Capability::Stop)
            && let Some(stop) = self.stop.borrow_mut().poll()
        {
            self.paths.send_everywhere(&ClientMessage::Stop(stop).encode());
        }
    }

    fn poll_cable(&self, now: f64, linked: bool) {
        let engine = self.this.clone();
        let target = self.paths.connection.target();
        let robot = target.as_ref().filter(|_| linked && self.role == Role::Driver);
        self.paths.cable.poll(now, robot, move |event| {
            if let (SocketEvent::Opened, Some(engine)) = (event, engine.upgrade()) {
                engine.paths.cable.send(&engine.hello().encode());
            }
        });
    }

    fn refresh_hud(&self) {
        let (robot, poses, now) = (self.robot.borrow(), self.poses.borrow(), now());
        let situation = Situation {
            link: self.paths.connection.status(),
            answer: self.answer.get(),
            robot: &robot,
            video: self.video.status(),
            controllers: self.controllers.get(),
            state: poses.recording.state(),
            confirmation: poses.recording.confirmation(),
            countdown: poses.recording.countdown(now),
            stopped: self.stop.borrow().wanted(),
            now,
        };
        self.hud.replace(situation.text());
    }

    fn summary(&self, now: f64) -> Summary {
        let target = self.paths.connection.target();
        let (robot, poses, cameras) = (self.robot.borrow(), self.poses.borrow(), self.video.cameras());
        Summary {
            address: target.as_ref().map_or_else(String::new, |target| target.shown.clone()),
            foreign: target.as_ref().is_some_and(|target| target.foreign),
            link: self.paths.connection.status(),
            viewer: self.role == Role::Viewer,
            transport: self.paths.transport(),
            cable: self.paths.cable.status(),
            takeover_in: robot.takeover.and_then(|takeover| takeover.deadline).map(|at| seconds(at - now)),
            robot: robot.clone(),
            recording: RecordingSummary {
                mode: poses.recording.mode(),
                state: poses.recording.state(),
                confirmation: poses.recording.confirmation(),
                countdown: poses.recording.countdown(now).map(seconds),
            },
            stopped: self.stop.borrow().wanted(),
            clock: self.clock.borrow().estimate(),
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
            frames_sent: poses.sent(),
            trouble: self.trouble.borrow().clone(),
        }
    }
}

/// Calls it every so many milliseconds, as long as the page lives.
pub(crate) fn repeat(timer: &Closure<dyn FnMut()>, ms: i32) {
    let timer = timer.as_ref().unchecked_ref();
    if let Err(error) = window().set_interval_with_callback_and_timeout_and_arguments_0(timer, ms) {
        web_sys::console::error_1(&error);
    }
}

/// A callback for the browser that does nothing once the engine is gone.
fn closure(engine: &Weak<Engine>, run: impl Fn(&Engine) + 'static) -> Closure<dyn FnMut()> {
    let engine = engine.clone();
    Closure::new(move || {
        if let Some(engine) = engine.upgrade() {
            run(&engine);
        }
    })
}
