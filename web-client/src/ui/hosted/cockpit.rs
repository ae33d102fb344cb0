//! With a robot: its picture over everything, what is wrong on top of it, what can be done beside it.

use leptos::ev::MouseEvent;
use leptos::html::{Canvas, Div};
use leptos::prelude::*;
use waldo_protocol::hosted::{Quality, battery_quality};
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;

use super::HostedHandle;
use super::arm::ArmControls;
use super::controls::{Figures, Stop};
use super::drive::DriveControls;
use super::map::Map;
use super::touch::Touch;
use crate::hosted::Hosted;
use crate::hosted::summary::{Cockpit, Kind, NoPicture, Summary, Way};
use crate::target::is_vr_preview;

/// A part of the summary, read anew with every summary.
pub(super) struct Part<T: 'static> {
    summary: RwSignal<Summary>,
    of: fn(&Cockpit) -> T,
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Part<T> {}

impl<T: Default> Part<T> {
    pub(super) fn get(self) -> T {
        self.summary.with(|summary| summary.cockpit.as_ref().map(self.of).unwrap_or_default())
    }
}

pub(super) fn part<T: 'static>(summary: RwSignal<Summary>, of: fn(&Cockpit) -> T) -> Part<T> {
    Part { summary, of }
}

/// Texts and flags of one type each, and one type of callbacks: every other type that the view meets costs a copy of its
/// machinery in the download.
pub(super) fn text(of: impl Fn() -> String + Send + Sync + 'static) -> Signal<String> {
    Signal::derive(of)
}

pub(super) fn flag(of: impl Fn() -> bool + Send + Sync + 'static) -> Signal<bool> {
    Signal::derive(of)
}

/// What a click does. The button gives the keys back: they drive, and Space must not press it again.
pub(super) fn click(run: impl Fn() + 'static) -> Box<dyn FnMut(MouseEvent)> {
    Box::new(move |event| {
        let target = event.current_target().and_then(|target| target.dyn_into::<HtmlElement>().ok());
        if let Some(element) = target {
            let _ = element.blur();
        }
        run();
    })
}

/// The same for something the engine does.
pub(super) fn engine(hosted: HostedHandle, run: impl Fn(&Hosted) + 'static) -> Box<dyn FnMut(MouseEvent)> {
    click(move || hosted.with_value(|hosted| run(hosted)))
}

#[component]
pub(super) fn CockpitView(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    // Neither changes while the cockpit is shown.
    let arm = part(summary, |cockpit| cockpit.kind).get() == Kind::Arm;
    let viewer = part(summary, |cockpit| cockpit.viewer).get();
    let name = part(summary, |cockpit| cockpit.name.clone());
    let link = part(summary, |cockpit| cockpit.hud.quality);
    let line = part(summary, |cockpit| cockpit.hud.line.clone());
    let stopped = part(summary, |cockpit| cockpit.stopped);
    let battery = part(summary, |cockpit| cockpit.robot.battery);
    let swapped = RwSignal::new(false);
    let can_present = move || summary.with(|summary| summary.support.can_present());
    let emulating = RwSignal::new(false);
    let emulate = click(move || {
        emulating.set(true);
        hosted.with_value(|hosted| hosted.emulate_headset());
    });
    let battery_class = move || battery.get().map_or("", |percent| quality_class(battery_quality(percent)));
    let controls = match (viewer, arm) {
        (true, _) => ().into_any(),
        (false, true) => view! { <ArmControls hosted summary /> }.into_any(),
        (false, false) => view! { <DriveControls hosted summary /> }.into_any(),
    };
    let touch = if viewer { ().into_any() } else { view! { <Touch hosted summary arm /> }.into_any() };
    view! {
        <div class="cockpit" class:stopped=flag(move || stopped.get()) class:swapped=flag(move || swapped.get())>
            <header class="bar">
                <button id="leave" class="quiet" on:click=engine(hosted, Hosted::leave)>"← Robots"</button>
                <strong class="name">{text(move || name.get())}</strong>
                <span class="tag" hidden=!viewer>"watching"</span>
                <span class="line">{text(move || line.get())}</span>
                <span class=text(move || format!("battery {}", battery_class()))>
                    {text(move || battery.get().map(|percent| format!("{percent} %")).unwrap_or_default())}
                </span>
                <span id="link-pill" class=text(move || format!("pill {}", quality_class(link.get())))>
                    {text(move || quality_label(link.get()).to_owned())}
                </span>
                <button
                    id="enter-vr"
                    class="go"
                    hidden=flag(move || viewer || !can_present())
                    disabled=flag(move || !can_present())
                    on:click=engine(hosted, Hosted::enter_vr)
                >
                    "Enter VR"
                </button>
                <button
                    id="emulate"
                    class="quiet"
                    hidden=flag(move || viewer || can_present() || emulating.get())
                    on:click=emulate
                >
                    "Emulate a headset"
                </button>
            </header>
            <div class="stage">
                <Picture hosted summary />
                <Map hosted summary swapped viewer />
                {is_vr_preview().then(|| view! { <Preview hosted /> })}
                <Notices hosted summary />
                {touch}
            </div>
            <aside class="panel">
                <Stop hosted summary viewer />
                {controls}
                <Figures summary />
            </aside>
        </div>
    }
}

/// Class of the style sheet.
pub(super) fn quality_class(quality: Quality) -> &'static str {
    match quality {
        Quality::Good => "good",
        Quality::Warn => "warn",
        Quality::Bad => "bad",
    }
}

fn quality_label(quality: Quality) -> &'static str {
    match quality {
        Quality::Good => "LINK OK",
        Quality::Warn => "LINK WEAK",
        Quality::Bad => "LINK BAD",
    }
}

/// The picture. The engine owns the element that plays it; the page gives it a place, and cuts the strip of the latency
/// stamp off its lower edge.
#[component]
fn Picture(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let screen = NodeRef::<Div>::new();
    let shape = part(summary, |cockpit| (cockpit.picture, cockpit.strip));
    let stalled = part(summary, |cockpit| cockpit.stalled);
    Effect::new(move |_| {
        if let Some(screen) = screen.get() {
            hosted.with_value(|hosted| hosted.show_on(&screen));
        }
    });
    let frame = move || match shape.get() {
        ((width, height), _) if width > 0 && height > 0 => {
            format!("--aspect: {width} / {height}; --ratio: {:.4}", f64::from(width) / f64::from(height))
        }
        _ => "--aspect: 16 / 9; --ratio: 1.7778".to_owned(),
    };
    let uncut = move || match shape.get() {
        ((_, height), strip) if height > 0 && strip > 0 => {
            format!("height: {:.4}%", 100.0 * f64::from(height + strip) / f64::from(height))
        }
        _ => String::new(),
    };
    view! {
        <div class="picture" class:stalled=flag(move || stalled.get()) style=text(frame)>
            <div class="frame">
                <div class="screen-of-robot" node_ref=screen style=text(uncut)></div>
            </div>
        </div>
    }
}

/// What a headset would show, over the picture.
#[component]
fn Preview(hosted: HostedHandle) -> impl IntoView {
    let canvas = NodeRef::<Canvas>::new();
    Effect::new(move |_| {
        if let Some(canvas) = canvas.get() {
            hosted.with_value(|hosted| hosted.preview_on(canvas));
        }
    });
    let press: Box<dyn FnMut(MouseEvent)> = Box::new(move |event| {
        hosted.with_value(|hosted| hosted.press_preview([event.offset_x(), event.offset_y()]));
    });
    view! { <canvas id="vr-preview" node_ref=canvas on:click=press></canvas> }
}

/// What is wrong, over the picture; the first thing that matters hides the rest.
#[component]
fn Notices(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let way = part(summary, |cockpit| cockpit.way.clone());
    let note = part(summary, |cockpit| match (cockpit.no_picture, &cockpit.way) {
        (_, way) if *way != Way::Live => ("", ""),
        _ if cockpit.stopped => ("alarm", "Stopped. Re-arm to drive again."),
        _ if cockpit.stalled => ("alarm", "Video stalled, drive disabled"),
        (Some(NoPicture::Camera), _) => ("caution", "The robot’s camera stands still"),
        (Some(NoPicture::Missing), _) => ("caution", "No video from the robot"),
        (Some(NoPicture::Waiting), _) => ("info", "Waiting for the first picture…"),
        _ if cockpit.release_first && !cockpit.viewer => ("caution", "Release all keys to go on driving"),
        _ => ("", ""),
    });
    // A stop says why by itself.
    let hold = part(summary, |cockpit| {
        let shown = cockpit.way == Way::Live && !cockpit.stopped;
        cockpit.robot.hold.clone().filter(|_| shown).unwrap_or_default()
    });
    let unheard = part(summary, |cockpit| cockpit.stop_unheard);
    let title = move || match way.get() {
        Way::Live => String::new(),
        Way::Joining(step, _) => step.to_owned(),
        Way::Broken(_) => "Connection lost".to_owned(),
        Way::Evicted => "You do not drive this robot any more".to_owned(),
        Way::Failed(_) => "Could not connect".to_owned(),
    };
    let detail = move || match way.get() {
        Way::Live | Way::Joining(..) => String::new(),
        Way::Broken(..=1) => "The robot stands still. Connecting anew…".to_owned(),
        Way::Broken(attempts) => format!("The robot stands still. Connecting anew, attempt {attempts}…"),
        Way::Evicted => EVICTED.to_owned(),
        Way::Failed(reason) => reason,
    };
    let step = move || if let Way::Joining(_, step) = way.get() { step } else { 0 };
    let leaving = move || match way.get() {
        Way::Broken(_) => "Give up",
        Way::Evicted => "Back to the robots",
        Way::Live | Way::Joining(..) | Way::Failed(_) => "Cancel",
    };
    view! {
        <p id="stop-unheard" class="banner" role="alert" hidden=flag(move || !unheard.get())>
            "The robot has not confirmed the stop yet. Trying again on every way there is."
        </p>
        <p
            id="notice"
            class=text(move || format!("notice {}", note.get().0))
            role="status"
            hidden=flag(move || note.get().1.is_empty())
        >
            {text(move || note.get().1.to_owned())}
        </p>
        <p id="hold" class="hold" hidden=flag(move || hold.get().is_empty())>{text(move || hold.get())}</p>
        <div id="veil" class="veil" role="alert" hidden=flag(move || way.get() == Way::Live)>
            <h2>{text(title)}</h2>
            <p>{text(detail)}</p>
            <progress max="6" hidden=flag(move || step() == 0) value=text(move || step().to_string())></progress>
            <div class="choices">
                <button class="quiet" on:click=engine(hosted, Hosted::leave)>{text(move || leaving().to_owned())}</button>
                <button
                    id="rejoin"
                    class="go"
                    hidden=flag(move || way.get() != Way::Evicted)
                    on:click=engine(hosted, Hosted::rejoin)
                >
                    "Connect again"
                </button>
            </div>
        </div>
    }
}

const EVICTED: &str =
    "Somebody else took it over, or the broker did not hear from this page for too long. Nothing is sent.";
