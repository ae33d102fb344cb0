//! The button that stops everything, and the one that ends the stop.

use leptos::prelude::*;
use waldo_protocol::vr::{Capability, HoldReason};

use super::EngineHandle;
use crate::link::Status;
use crate::summary::{Presence, Summary};

#[component]
pub(super) fn Stop(engine: EngineHandle, summary: RwSignal<Summary>) -> impl IntoView {
    // A robot that knows no stop messages can only be stopped by the poses of a presentation.
    let works = Memo::new(move |_| {
        summary.with(|summary| {
            let reaches = summary.robot.has(Capability::Stop) || summary.presence != Presence::Out;
            summary.link == Status::Connected && reaches
        })
    });
    let stopped = Memo::new(move |_| {
        summary.with(|summary| {
            let held = summary.robot.hold.as_ref().is_some_and(|hold| hold.reason == HoldReason::Stopped);
            held || summary.stopped
        })
    });
    view! {
        <section class="card stop" hidden=move || !(works.get() || stopped.get())>
            <button id="stop" class="danger" on:click=move |_| engine.with_value(|engine| engine.stop())>
                "Stop"
            </button>
            <Show when=move || stopped.get()>
                <p class="alert" role="alert">"Stopped. Nothing moves until the stop is cleared."</p>
                <button id="clear-stop" on:click=move |_| engine.with_value(|engine| engine.clear_stop())>
                    "Clear the stop"
                </button>
            </Show>
        </section>
    }
}
