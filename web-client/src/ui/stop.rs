//! The button that stops everything, and the one that ends the stop.

use leptos::prelude::*;
use waldo_protocol::vr::HoldReason;

use super::EngineHandle;
use crate::link::Status;
use crate::summary::Summary;

#[component]
pub(super) fn Stop(engine: EngineHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let linked = Memo::new(move |_| summary.with(|summary| summary.link == Status::Connected));
    let stopped = Memo::new(move |_| {
        summary.with(|summary| {
            let held = summary.robot.hold.as_ref().is_some_and(|hold| hold.reason == HoldReason::Stopped);
            held || summary.stopped
        })
    });
    view! {
        <section class="card stop" hidden=move || !(linked.get() || stopped.get())>
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
