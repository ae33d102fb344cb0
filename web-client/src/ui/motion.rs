//! How far the grippers move for a motion of the hands.

use leptos::prelude::*;
use waldo_protocol::vr::{Capability, MotionScale};

use super::EngineHandle;
use crate::robot::Driver;
use crate::summary::Summary;

/// In force until the robot says otherwise.
const ONE_TO_ONE: MotionScale = MotionScale { pos: 1.0, rot: 1.0 };

#[component]
pub(super) fn Motion(engine: EngineHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let offered = Memo::new(move |_| summary.with(|summary| summary.robot.has(Capability::Motion) && !summary.viewer));
    let free = Memo::new(move |_| {
        summary.with(|summary| summary.robot.engaged != Some(true) && summary.robot.driver != Driver::Other)
    });
    let scale = Memo::new(move |_| summary.with(|summary| summary.robot.motion.unwrap_or(ONE_TO_ONE)));
    let set = move |change: fn(MotionScale, f64) -> MotionScale, text: &str| {
        if let Ok(value) = text.parse() {
            engine.with_value(|engine| engine.scale_motion(change(scale.get_untracked(), value)));
        }
    };
    view! {
        <section class="card motion" hidden=move || !offered.get()>
            <h2>"Motion scale"</h2>
            <Slider
                id="scale-positions"
                label="Positions"
                value=Signal::derive(move || scale.get().pos)
                free
                change=Callback::new(move |text: String| set(|scale, pos| MotionScale { pos, ..scale }, &text))
            />
            <Slider
                id="scale-rotations"
                label="Rotations"
                value=Signal::derive(move || scale.get().rot)
                free
                change=Callback::new(move |text: String| set(|scale, rot| MotionScale { rot, ..scale }, &text))
            />
            <p class="note">
                {move || if free.get() { "" } else { "Only the driver can change it, and only while the arms do not follow." }}
            </p>
        </section>
    }
}

#[component]
fn Slider(
    id: &'static str,
    label: &'static str,
    value: Signal<f64>,
    free: Memo<bool>,
    change: Callback<String>,
) -> impl IntoView {
    view! {
        <div class="row">
            <label for=id>{label} " " {move || format!("{:.2}", value.get())}</label>
            <input
                id=id
                type="range"
                min="0.1"
                max="2"
                step="0.05"
                disabled=move || !free.get()
                prop:value=move || value.get().to_string()
                on:change=move |event| change.run(event_target_value(&event))
            />
        </div>
    }
}
