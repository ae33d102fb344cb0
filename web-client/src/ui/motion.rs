//! How far the grippers move for a motion of the hands.

use leptos::prelude::*;
use waldo_protocol::vr::{Capability, MotionScale};
use web_sys::HtmlInputElement;

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
    view! {
        <section class="card motion" hidden=move || !offered.get()>
            <h2>"Motion scale"</h2>
            <Slider
                engine
                scale
                free
                id="scale-positions"
                label="Positions"
                part=|scale| scale.pos
                with=|scale, pos| MotionScale { pos, ..scale }
            />
            <Slider
                engine
                scale
                free
                id="scale-rotations"
                label="Rotations"
                part=|scale| scale.rot
                with=|scale, rot| MotionScale { rot, ..scale }
            />
            <p class="note">
                {move || if free.get() { "" } else { "Only the driver can change it, and only while the arms do not follow." }}
            </p>
        </section>
    }
}

/// One part of the scale: always what is in force. Moving it asks the robot, which may not agree.
#[component]
fn Slider(
    engine: EngineHandle,
    scale: Memo<MotionScale>,
    free: Memo<bool>,
    id: &'static str,
    label: &'static str,
    part: fn(MotionScale) -> f64,
    with: fn(MotionScale, f64) -> MotionScale,
) -> impl IntoView {
    let ask = move |event| {
        let slider: HtmlInputElement = event_target(&event);
        if let Ok(wanted) = slider.value().parse() {
            engine.with_value(|engine| engine.scale_motion(with(scale.get_untracked(), wanted)));
        }
        slider.set_value(&part(scale.get_untracked()).to_string());
    };
    view! {
        <div class="row">
            <label for=id>{label} " " {move || format!("{:.2}", part(scale.get()))}</label>
            <input
                id=id
                type="range"
                min="0.1"
                max="2"
                step="0.05"
                disabled=move || !free.get()
                prop:value=move || part(scale.get()).to_string()
                on:change=ask
            />
        </div>
    }
}
