//! What a base can be told besides where to go.

use leptos::ev::Event;
use leptos::prelude::*;

use super::HostedHandle;
use super::cockpit::{flag, part, text};
use super::controls::{command, label};
use crate::hosted::summary::{Microphone, Summary, Way};

const SPEEDS: [(&str, &str); 3] = [("normal", "Normal"), ("high", "High"), ("rage", "Rage")];
const ACTIONS: [(&str, &str, bool); 4] = [
    ("Hello", "Shake hand", false),
    ("Stretch", "Stretch", false),
    ("FrontPounce", "Pounce", true),
    ("FrontJump", "Jump", true),
];

#[component]
pub(super) fn DriveControls(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let posture = part(summary, |cockpit| cockpit.robot.posture.clone());
    let pose_mode = part(summary, |cockpit| cockpit.pose_mode);
    let speed = part(summary, |cockpit| cockpit.speed);
    let avoids = part(summary, |cockpit| cockpit.robot.avoidance.unwrap_or(false));
    let light = part(summary, |cockpit| cockpit.light);
    let ready = part(summary, |cockpit| !cockpit.stopped && cockpit.way == Way::Live);
    let enabled = flag(move || ready.get());
    let stand = move |control: &'static str, name: &'static str, words: &'static str| {
        let chosen = flag(move || posture.get().as_deref() == Some(name));
        let run = move || hosted.with_value(|hosted| hosted.sport(control, name));
        command(summary, control, label(words), chosen, enabled, run)
    };
    let speeds = SPEEDS.into_iter().map(|(name, words)| {
        let chosen = flag(move || speed.get() == name);
        let run = move || hosted.with_value(|hosted| hosted.choose_speed(name));
        command(summary, name, label(words), chosen, enabled, run)
    });
    let actions =
        ACTIONS.into_iter().map(|(name, words, dangerous)| action(hosted, summary, enabled, name, words, dangerous));
    let avoid = move || hosted.with_value(|hosted| hosted.avoid(!avoids.get()));
    view! {
        <section class="card">
            <h2>"Posture"</h2>
            <div class="choices even">
                {stand("stand", "StandReady", "Stand / Drive")}
                {stand("sit", "StandDown", "Sit")}
            </div>
            <label class="check">
                <input
                    id="pose-mode"
                    type="checkbox"
                    prop:checked=flag(move || pose_mode.get())
                    on:change=changed(move |event| hosted.with_value(|hosted| hosted.tilt(event_target_checked(event))))
                />
                "Keys tilt the body"
            </label>
            <h2>"Speed"</h2>
            <div class="choices even">{speeds.collect::<Vec<_>>()}</div>
        </section>
        <section class="card">
            <h2>"Actions"</h2>
            <div class="choices even grid">{actions.collect::<Vec<_>>()}</div>
            <div class="choices even grid">
                {command(summary, "avoid", label("Avoid obstacles"), flag(move || avoids.get()), enabled, avoid)}
                {cameras(hosted, summary)}
                {speak(hosted, summary)}
            </div>
            <div class="row">
                <label for="light">"Light " {text(move || format!("{:.0} %", light.get() * 100.0))}</label>
                <input
                    id="light"
                    type="range"
                    min="0"
                    max="1"
                    step="0.1"
                    prop:value=text(move || light.get().to_string())
                    on:change=changed(move |event| {
                        if let Ok(brightness) = event_target_value(event).parse() {
                            hosted.with_value(|hosted| hosted.light(brightness));
                        }
                    })
                />
            </div>
        </section>
    }
}

/// What a changed field does.
pub(super) fn changed(run: impl Fn(&Event) + 'static) -> Box<dyn FnMut(Event)> {
    Box::new(move |event| run(&event))
}

/// An action; a dangerous one must be pressed twice.
fn action(
    hosted: HostedHandle,
    summary: RwSignal<Summary>,
    enabled: Signal<bool>,
    name: &'static str,
    words: &'static str,
    dangerous: bool,
) -> AnyView {
    let asking = RwSignal::new(false);
    let says = text(move || if asking.get() { format!("{words}, really?") } else { words.to_owned() });
    let run = move || {
        let counts = !dangerous || asking.get_untracked();
        asking.set(!counts);
        if counts {
            hosted.with_value(|hosted| hosted.sport(name, name));
        } else {
            // Whoever hesitates has to begin anew.
            set_timeout(move || asking.set(false), std::time::Duration::from_secs(4));
        }
    };
    command(summary, name, says, flag(move || asking.get()), enabled, run)
}

/// Which cameras come; at least one.
pub(super) fn cameras(hosted: HostedHandle, summary: RwSignal<Summary>) -> AnyView {
    let cameras = part(summary, |cockpit| cockpit.cameras);
    let tab = move |index: usize, id: &'static str, words: &'static str| {
        let run = move || hosted.with_value(|hosted| hosted.toggle_camera(index));
        command(summary, id, label(words), flag(move || cameras.get()[index]), flag(|| true), run)
    };
    [tab(0, "cam1", "Cam 1"), tab(1, "cam2", "Cam 2")].into_any()
}

pub(super) fn speak(hosted: HostedHandle, summary: RwSignal<Summary>) -> AnyView {
    let microphone = part(summary, |cockpit| cockpit.microphone);
    let says = text(move || {
        let says = match microphone.get() {
            Microphone::Missing => "AUDIO N/A",
            Microphone::Muted => "AUDIO OFF",
            Microphone::On => "AUDIO ON",
        };
        says.to_owned()
    });
    let on = flag(move || microphone.get() == Microphone::On);
    let there = flag(move || microphone.get() != Microphone::Missing);
    command(summary, "microphone", says, on, there, move || hosted.with_value(|hosted| hosted.speak()))
}
