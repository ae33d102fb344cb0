//! What an arm can be told besides where to go, and what is being sent to it.

use leptos::prelude::*;

use super::HostedHandle;
use super::cockpit::part;
use super::controls::hosted_blur;
use super::drive::{Cameras, Speak};
use crate::hosted::summary::{Summary, Way};

#[component]
pub(super) fn ArmControls(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let closed = part(summary, |cockpit| cockpit.gripper_closed);
    let twist = part(summary, |cockpit| cockpit.twist);
    let engaged = part(summary, |cockpit| cockpit.robot.engaged);
    let scale = part(summary, |cockpit| cockpit.robot.scale);
    let state =
        part(summary, |cockpit| match (cockpit.stopped, cockpit.stalled || cockpit.release_first, &cockpit.way) {
            (true, ..) => ("bad", "E-STOP LATCHED"),
            (_, true, _) => ("bad", "JOG OFF"),
            (false, false, Way::Live) => ("good", "KEYBOARD LIVE"),
            _ => ("warn", "CONNECTING"),
        });
    let axis = move |index: usize| {
        let value = twist.get()[index];
        let unit = if index < 3 { "m/s" } else { "rad/s" };
        format!("{value:+.2} {unit}")
    };
    view! {
        <section class="card jog">
            <div class="title">
                <h2>"Jog"</h2>
                <span id="jog-pill" class=move || format!("pill {}", state.get().0)>{move || state.get().1}</span>
            </div>
            <dl class="axes">
                {["x", "y", "z", "roll", "pitch", "yaw"]
                    .into_iter()
                    .enumerate()
                    .map(|(index, name)| {
                        view! { <dt>{name}</dt><dd class:moving=move || twist.get()[index] != 0.0>{move || axis(index)}</dd> }
                    })
                    .collect_view()}
            </dl>
            <div class="choices even grid">
                <button
                    id="gripper"
                    class="command"
                    aria-pressed=move || closed.get().to_string()
                    on:click=move |event| {
                        hosted_blur(&event);
                        hosted.with_value(|hosted| hosted.toggle_gripper());
                    }
                >
                    {move || if closed.get() { "Gripper closed" } else { "Gripper open" }}
                </button>
                <Speak hosted summary />
                <Cameras hosted summary />
            </div>
            <Show when=move || engaged.get().is_some()>
                <p class="note">
                    {move || match engaged.get().unwrap_or_default() {
                        [true, true] => "Both hands engaged",
                        [true, false] => "Left hand engaged",
                        [false, true] => "Right hand engaged",
                        [false, false] => "No hand engaged",
                    }}
                </p>
            </Show>
            <Show when=move || scale.get().is_some()>
                <div class="row">
                    <label for="scale">"Motion scale " {move || scale.get().map(|scale| format!("{scale:.2}"))}</label>
                    <input
                        id="scale"
                        type="range"
                        min="0.1"
                        max="2"
                        step="0.1"
                        prop:value=move || scale.get().unwrap_or(1.0).to_string()
                        on:change=move |event| {
                            if let Ok(scale) = event_target_value(&event).parse() {
                                hosted.with_value(|hosted| hosted.scale(scale));
                            }
                        }
                    />
                </div>
            </Show>
        </section>
    }
}
