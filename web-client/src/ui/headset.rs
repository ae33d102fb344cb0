//! The way into the headset: the big button, and why it cannot be pressed.

use leptos::prelude::*;

use super::EngineHandle;
use crate::summary::{Presence, Summary, Support};

#[component]
pub(super) fn Headset(engine: EngineHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let support = Memo::new(move |_| summary.with(|summary| summary.support));
    let presence = Memo::new(move |_| summary.with(|summary| summary.presence));
    let given_up = Memo::new(move |_| summary.with(|summary| summary.link.given_up()));
    let trouble = Memo::new(move |_| summary.with(|summary| summary.trouble.clone()));
    let controllers = Memo::new(move |_| summary.with(|summary| summary.controllers));
    let emulating = RwSignal::new(false);
    let can_enter = move || support.get().can_present() && presence.get() == Presence::Out && !given_up.get();
    let emulate = move |_| {
        emulating.set(true);
        engine.with_value(|engine| engine.emulate_headset());
    };
    // A headset has its own runtime: the emulator would only be in the way.
    let offer_emulator = move || !emulating.get() && !support.get().can_present() && support.get() != Support::NoWebGl2;
    view! {
        <h2>"Drive"</h2>
        <p class="note">{move || note(support.get(), given_up.get())}</p>
        <div class="buttons">
            <Show
                when=move || matches!(presence.get(), Presence::Out | Presence::Entering)
                fallback=move || {
                    view! {
                        <button class="primary" on:click=move |_| engine.with_value(|engine| engine.leave())>
                            "Leave VR, arms to rest"
                        </button>
                    }
                }
            >
                <button
                    id="enter-vr"
                    class="primary"
                    disabled=move || !can_enter()
                    on:click=move |_| engine.with_value(|engine| engine.enter())
                >
                    {move || if presence.get() == Presence::Entering { "Entering VR…" } else { "Enter VR" }}
                </button>
            </Show>
            <Show when=offer_emulator>
                <button id="emulate" on:click=emulate>"Emulate a headset"</button>
            </Show>
        </div>
        <p class="note">{move || presence_note(presence.get(), controllers.get())}</p>
        <Show when=move || emulating.get() && support.get().can_present()>
            <p class="note">
                "Emulated: drag the arrows to move a controller. The pin beside Grip keeps it squeezed, so pin both to engage."
            </p>
        </Show>
        <Show when=move || trouble.get().is_some()>
            <p class="alert" role="alert">{move || trouble.get()}</p>
        </Show>
    }
}

fn note(support: Support, given_up: bool) -> &'static str {
    match support {
        Support::Checking => "Looking for a headset…",
        Support::Insecure => "The browser hides VR from pages loaded without encryption. Open this page with https://",
        Support::NoWebXr => {
            "This browser has no WebXR. Open this page in the headset's own browser, or emulate a headset here."
        }
        Support::NoWebGl2 => {
            "This browser cannot draw with WebGL2. Turn on hardware acceleration or use another browser."
        }
        Support::NoHeadset => "No headset found. Open this page in the headset's browser, or emulate a headset here.",
        Support::Ar | Support::Vr if given_up => "Connect to the robot first.",
        Support::Ar => "The cameras float in your room. Take both controllers and enter.",
        Support::Vr => "The cameras float in a dark room. Take both controllers and enter.",
    }
}

fn presence_note(presence: Presence, controllers: [bool; 2]) -> &'static str {
    match (presence, controllers) {
        (Presence::Out | Presence::Entering, _) => "",
        (Presence::Hidden, _) => "The headset shows something else. No poses are sent, the arms hold still.",
        (Presence::Visible, [true, true]) => "Presenting in the headset.",
        (Presence::Visible, _) => "Waiting for both controllers. Take them into your hands.",
    }
}
