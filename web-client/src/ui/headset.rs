//! The way into the headset: the big button, and why it cannot be pressed.

use std::rc::Rc;

use leptos::prelude::*;
use leptos::task::spawn_local;

use super::EngineHandle;
use crate::link::Status;
use crate::summary::{Presence, Summary, Support};

#[component]
pub(super) fn Headset(engine: EngineHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let support = Memo::new(move |_| summary.with(|summary| summary.support));
    let presence = Memo::new(move |_| summary.with(|summary| summary.presence));
    let unconnected = Memo::new(move |_| summary.with(|s| s.link.given_up() || s.link == Status::NotConnected));
    let trouble = Memo::new(move |_| summary.with(|summary| summary.trouble.clone()));
    let controllers = Memo::new(move |_| summary.with(|summary| summary.controllers));
    let viewer = Memo::new(move |_| summary.with(|summary| summary.viewer));
    let emulating = RwSignal::new(false);
    let can_enter = move || support.get().can_present() && presence.get() == Presence::Out && !unconnected.get();
    let emulate = move |_| {
        emulating.set(true);
        let engine = engine.with_value(Rc::clone);
        // Should it fail, its button comes back.
        spawn_local(async move { emulating.set(engine.emulate_headset().await) });
    };
    // A headset has its own runtime: the emulator would only be in the way.
    let offer_emulator =
        move || !viewer.get() && !emulating.get() && !support.get().can_present() && support.get() != Support::NoWebGl2;
    view! {
        <h2>"Drive"</h2>
        <p class="note">
            {move || if viewer.get() { WATCHES } else { note(support.get(), unconnected.get()) }}
        </p>
        <div class="buttons" hidden=move || viewer.get()>
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

const WATCHES: &str = "This page only watches. To drive, open it without #view in the address.";

fn note(support: Support, unconnected: bool) -> &'static str {
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
        Support::Ar | Support::Vr if unconnected => "Connect to the robot first.",
        Support::Ar => "The cameras float in your room. Take both controllers and enter.",
        Support::Vr => "The cameras float in a dark room. Take both controllers and enter.",
    }
}

fn presence_note(presence: Presence, controllers: [bool; 2]) -> &'static str {
    match (presence, controllers) {
        (Presence::Out | Presence::Entering, _) => "",
        (Presence::Hidden, _) => "The headset shows something else. No poses are sent: your hands move nothing.",
        (Presence::Visible, [true, true]) => "Presenting in the headset.",
        (Presence::Visible, _) => "Waiting for both controllers. Take them into your hands.",
    }
}
