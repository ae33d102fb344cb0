//! What a base can be told besides where to go.

use leptos::prelude::*;

use super::HostedHandle;
use super::cockpit::part;
use super::controls::{Command, hosted_blur};
use crate::hosted::summary::{Microphone, Summary};

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
    let avoids = part(summary, |cockpit| cockpit.robot.avoidance);
    let ready = part(summary, |cockpit| !cockpit.stopped && cockpit.way == crate::hosted::summary::Way::Live);
    let enabled = Signal::derive(move || ready.get());
    let posture_is =
        move |name: &'static str| Signal::derive(move || posture.with(|posture| posture.as_deref() == Some(name)));
    let sport = move |control, name| hosted.with_value(|hosted| hosted.sport(control, name));
    view! {
        <section class="card">
            <h2>"Posture"</h2>
            <div class="choices even">
                <Command summary control="stand" label="Stand / Drive" chosen=posture_is("StandReady") enabled run=move || sport("stand", "StandReady") />
                <Command summary control="sit" label="Sit" chosen=posture_is("StandDown") enabled run=move || sport("sit", "StandDown") />
            </div>
            <label class="check">
                <input
                    id="pose-mode"
                    type="checkbox"
                    prop:checked=move || pose_mode.get()
                    on:change=move |event| hosted.with_value(|hosted| hosted.tilt(event_target_checked(&event)))
                />
                "Keys tilt the body"
            </label>
            <h2>"Speed"</h2>
            <div class="choices even">
                {SPEEDS
                    .into_iter()
                    .map(|(name, label)| {
                        let chosen = Signal::derive(move || speed.get() == name);
                        view! { <Command summary control=name label chosen enabled run=move || hosted.with_value(|hosted| hosted.choose_speed(name)) /> }
                    })
                    .collect_view()}
            </div>
        </section>
        <section class="card">
            <h2>"Actions"</h2>
            <div class="choices even grid">
                {ACTIONS
                    .into_iter()
                    .map(|(name, label, dangerous)| {
                        view! { <Action hosted summary name label dangerous enabled /> }
                    })
                    .collect_view()}
            </div>
            <div class="choices even grid">
                <Command
                    summary
                    control="avoid"
                    label="Avoid obstacles"
                    chosen=Signal::derive(move || avoids.get().unwrap_or(false))
                    enabled
                    run=move || hosted.with_value(|hosted| hosted.avoid(!avoids.get_untracked().unwrap_or(false)))
                />
                <Cameras hosted summary />
                <Speak hosted summary />
            </div>
            <Light hosted summary />
        </section>
    }
}

/// An action; a dangerous one asks first.
#[component]
fn Action(
    hosted: HostedHandle,
    summary: RwSignal<Summary>,
    name: &'static str,
    label: &'static str,
    dangerous: bool,
    enabled: Signal<bool>,
) -> impl IntoView {
    let asking = RwSignal::new(false);
    let run = move || hosted.with_value(|hosted| hosted.sport(name, name));
    view! {
        <Show
            when=move || asking.get() && enabled.get()
            fallback=move || {
                view! {
                    <Command
                        summary
                        control=name
                        label
                        chosen=false
                        enabled
                        run=move || if dangerous { asking.set(true) } else { run() }
                    />
                }
            }
        >
            <button
                class="command sure"
                on:click=move |event| {
                    hosted_blur(&event);
                    asking.set(false);
                    run();
                }
                on:mouseleave=move |_| asking.set(false)
            >
                {label} ", really?"
            </button>
        </Show>
    }
}

/// Which cameras come; at least one.
#[component]
pub(super) fn Cameras(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let cameras = part(summary, |cockpit| cockpit.cameras);
    let tab = move |index: usize, label: &'static str| {
        view! {
            <button
                id=format!("cam{}", index + 1)
                class="command"
                aria-pressed=move || cameras.get()[index].to_string()
                on:click=move |event| {
                    hosted_blur(&event);
                    hosted.with_value(|hosted| hosted.toggle_camera(index));
                }
            >
                {label}
            </button>
        }
    };
    view! {
        {tab(0, "Cam 1")}
        {tab(1, "Cam 2")}
    }
}

#[component]
pub(super) fn Speak(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let microphone = part(summary, |cockpit| cockpit.microphone);
    view! {
        <button
            id="microphone"
            class="command"
            aria-pressed=move || (microphone.get() == Microphone::On).to_string()
            disabled=move || microphone.get() == Microphone::Missing
            on:click=move |event| {
                hosted_blur(&event);
                hosted.with_value(|hosted| hosted.speak());
            }
        >
            {move || match microphone.get() {
                Microphone::Missing => "AUDIO N/A",
                Microphone::Muted => "AUDIO OFF",
                Microphone::On => "AUDIO ON",
            }}
        </button>
    }
}

#[component]
fn Light(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let light = part(summary, |cockpit| cockpit.light);
    view! {
        <div class="row">
            <label for="light">"Light " {move || format!("{:.0} %", light.get() * 100.0)}</label>
            <input
                id="light"
                type="range"
                min="0"
                max="1"
                step="0.1"
                prop:value=move || light.get().to_string()
                on:change=move |event| {
                    if let Ok(brightness) = event_target_value(&event).parse() {
                        hosted.with_value(|hosted| hosted.light(brightness));
                    }
                }
            />
        </div>
    }
}
