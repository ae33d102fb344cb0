//! The way into the headset: the big button, and why it cannot be pressed.

use leptos::prelude::*;

use super::EngineHandle;
use super::enter_vr::EnterVr;
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
    let ready = Signal::derive(move || !unconnected.get());
    view! {
        <h2>"Drive"</h2>
        <p class="note">
            {move || if viewer.get() { WATCHES } else { note(support.get(), unconnected.get()) }}
        </p>
        <div class="buttons" hidden=move || viewer.get()>
            <EnterVr page=engine support presence ready emulating leave="Leave VR, arms to rest" />
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
