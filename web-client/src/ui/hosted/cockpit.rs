//! With a robot: its picture over everything, what is wrong on top of it, what can be done beside it.

use leptos::html::Div;
use leptos::prelude::*;
use waldo_protocol::hosted::{Quality, battery_quality};

use super::HostedHandle;
use super::arm::ArmControls;
use super::controls::{Figures, Stop};
use super::drive::DriveControls;
use super::map::Map;
use super::touch::Touch;
use crate::hosted::summary::{Cockpit, Kind, NoPicture, Summary, Way};

/// The part of the summary that a component is about.
pub(super) fn part<T: PartialEq + Send + Sync + 'static>(
    summary: RwSignal<Summary>,
    of: impl Fn(&Cockpit) -> T + Send + Sync + 'static,
) -> Memo<T>
where
    T: Default,
{
    Memo::new(move |_| summary.with(|summary| summary.cockpit.as_ref().map(&of).unwrap_or_default()))
}

#[component]
pub(super) fn CockpitView(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let name = part(summary, |cockpit| cockpit.name.clone());
    let kind = part(summary, |cockpit| cockpit.kind);
    let viewer = part(summary, |cockpit| cockpit.viewer);
    let link = part(summary, |cockpit| (cockpit.hud.quality, cockpit.hud.line.clone()));
    let live = part(summary, |cockpit| cockpit.way == Way::Live);
    let stopped = part(summary, |cockpit| cockpit.stopped);
    let battery = part(summary, |cockpit| cockpit.robot.battery);
    let swapped = RwSignal::new(false);
    let can_present = Memo::new(move |_| summary.with(|summary| summary.support.can_present()));
    let emulating = RwSignal::new(false);
    let emulate = move |_| {
        emulating.set(true);
        hosted.with_value(|hosted| hosted.emulate_headset());
    };
    view! {
        <div class="cockpit" class:stopped=move || stopped.get() class:swapped=move || swapped.get()>
            <header class="bar">
                <button id="leave" class="quiet" on:click=move |_| hosted.with_value(|hosted| hosted.leave())>
                    "← Robots"
                </button>
                <strong class="name">{move || name.get()}</strong>
                <Show when=move || viewer.get()>
                    <span class="tag">"watching"</span>
                </Show>
                <span class="line" aria-live="off">{move || link.get().1}</span>
                <Show when=move || battery.get().is_some()>
                    <span class=move || format!("battery {}", battery.get().map_or("", |percent| quality_class(battery_quality(percent))))>
                        {move || battery.get().map(|percent| format!("{percent} %"))}
                    </span>
                </Show>
                <span id="link-pill" class=move || format!("pill {}", quality_class(link.get().0))>
                    {move || quality_label(link.get().0)}
                </span>
                <Show when=move || !viewer.get() && can_present.get()>
                    <button id="enter-vr" class="go" on:click=move |_| hosted.with_value(|hosted| hosted.enter_vr())>
                        "Enter VR"
                    </button>
                </Show>
                <Show when=move || !viewer.get() && !can_present.get() && !emulating.get()>
                    <button id="emulate" class="quiet" on:click=emulate>"Emulate a headset"</button>
                </Show>
            </header>
            <div class="stage">
                <Picture hosted summary />
                <Map hosted summary swapped />
                <Notices hosted summary />
                <Show when=move || !viewer.get() && live.get()>
                    <Touch hosted summary />
                </Show>
            </div>
            <aside class="panel">
                <Stop hosted summary />
                <Show when=move || !viewer.get()>
                    {move || match kind.get() {
                        Kind::Drive => view! { <DriveControls hosted summary /> }.into_any(),
                        Kind::Arm => view! { <ArmControls hosted summary /> }.into_any(),
                    }}
                </Show>
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
        <div class="picture" class:stalled=move || stalled.get() style=frame>
            <div class="frame">
                <div class="screen-of-robot" node_ref=screen style=uncut></div>
            </div>
        </div>
    }
}

/// What is wrong, over the picture; the first thing that matters hides the rest.
#[component]
fn Notices(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let way = part(summary, |cockpit| cockpit.way.clone());
    let state = part(summary, |cockpit| {
        (cockpit.no_picture, cockpit.stalled, cockpit.release_first, cockpit.stopped && !cockpit.viewer)
    });
    let unheard = part(summary, |cockpit| cockpit.stop_unheard);
    let note = move || match state.get() {
        (_, _, _, true) => Some(("alarm", "Stopped. Re-arm to drive again.")),
        (_, true, ..) => Some(("alarm", "Video stalled, drive disabled")),
        (Some(NoPicture::Camera), ..) => Some(("caution", "The robot’s camera stands still")),
        (Some(NoPicture::Missing), ..) => Some(("caution", "No video from the robot")),
        (Some(NoPicture::Waiting), ..) => Some(("info", "Waiting for the first picture…")),
        (None, false, true, false) => Some(("caution", "Release all keys to go on driving")),
        (None, false, false, false) => None,
    };
    view! {
        <Show when=move || unheard.get()>
            <p id="stop-unheard" class="banner" role="alert">
                "The robot has not confirmed the stop yet. Trying again on every way there is."
            </p>
        </Show>
        {move || match way.get() {
            Way::Live => {
                view! {
                    <Show when=move || note().is_some()>
                        <p id="notice" class=move || format!("notice {}", note().map_or("", |note| note.0)) role="status">
                            {move || note().map(|note| note.1)}
                        </p>
                    </Show>
                }
                    .into_any()
            }
            Way::Joining(text, step) => view! {
                <div class="veil" role="status">
                    <h2>{text}</h2>
                    <progress max="6" value=step.to_string()></progress>
                    <button class="quiet" on:click=move |_| hosted.with_value(|hosted| hosted.leave())>"Cancel"</button>
                </div>
            }
                .into_any(),
            Way::Broken(attempts) => view! {
                <div id="broken" class="veil" role="alert">
                    <h2>"Connection lost"</h2>
                    <p>"The robot stands still. Connecting anew" {(attempts > 1).then(|| format!(", attempt {attempts}"))} "…"</p>
                    <button class="quiet" on:click=move |_| hosted.with_value(|hosted| hosted.leave())>"Give up"</button>
                </div>
            }
                .into_any(),
            Way::Evicted => view! {
                <div id="evicted" class="veil" role="alert">
                    <h2>"You do not drive this robot any more"</h2>
                    <p>"Somebody else took it over, or the broker did not hear from this page for too long. Nothing is sent."</p>
                    <div class="choices">
                        <button class="quiet" on:click=move |_| hosted.with_value(|hosted| hosted.leave())>"Back to the robots"</button>
                        <button id="rejoin" class="go" on:click=move |_| hosted.with_value(|hosted| hosted.rejoin())>"Connect again"</button>
                    </div>
                </div>
            }
                .into_any(),
            Way::Failed(reason) => view! {
                <div id="failed" class="veil" role="alert">
                    <h2>"Could not connect"</h2>
                    <p>{reason}</p>
                </div>
            }
                .into_any(),
        }}
    }
}
