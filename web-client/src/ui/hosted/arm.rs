//! What an arm can be told besides where to go, and what is being sent to it.

use leptos::prelude::*;

use super::HostedHandle;
use super::cockpit::{flag, part, text};
use super::controls::command;
use super::drive::{cameras, changed, speak};
use crate::hosted::summary::{Summary, Way};

const AXES: [(usize, &str); 6] = [(0, "x"), (3, "roll"), (1, "y"), (4, "pitch"), (2, "z"), (5, "yaw")];

#[component]
pub(super) fn ArmControls(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let closed = part(summary, |cockpit| cockpit.gripper_closed);
    let twist = part(summary, |cockpit| cockpit.twist);
    let engaged = part(summary, |cockpit| cockpit.robot.engaged);
    let scale = part(summary, |cockpit| cockpit.robot.scale);
    let state = part(summary, |cockpit| {
        let off = cockpit.stalled || cockpit.release_first;
        match (cockpit.stopped, off, &cockpit.way) {
            (true, ..) => ("bad", "E-STOP LATCHED"),
            (_, true, _) => ("bad", "JOG OFF"),
            (false, false, Way::Live) => ("good", "KEYBOARD LIVE"),
            _ => ("warn", "CONNECTING"),
        }
    });
    let axes = AXES.into_iter().map(|(index, name)| {
        let unit = if index < 3 { "m/s" } else { "rad/s" };
        view! {
            <dt>{name}</dt>
            <dd class:moving=flag(move || twist.get()[index] != 0.0)>
                {text(move || format!("{:+.2} {unit}", twist.get()[index]))}
            </dd>
        }
        .into_any()
    });
    let grips = text(move || if closed.get() { "Gripper closed" } else { "Gripper open" }.to_owned());
    let toggle = move || hosted.with_value(|hosted| hosted.toggle_gripper());
    let hands = move || match engaged.get() {
        None => "",
        Some([true, true]) => "Both hands engaged",
        Some([true, false]) => "Left hand engaged",
        Some([false, true]) => "Right hand engaged",
        Some([false, false]) => "No hand engaged",
    };
    view! {
        <section class="card jog">
            <div class="title">
                <h2>"Jog"</h2>
                <span id="jog-pill" class=text(move || format!("pill {}", state.get().0))>
                    {text(move || state.get().1.to_owned())}
                </span>
            </div>
            <dl class="axes">{axes.collect::<Vec<_>>()}</dl>
            <div class="choices even grid">
                {command(summary, "gripper", grips, flag(move || closed.get()), flag(|| true), toggle)}
                {speak(hosted, summary)}
                {cameras(hosted, summary)}
            </div>
            <p class="note">{text(move || hands().to_owned())}</p>
            <div class="row" hidden=flag(move || scale.get().is_none())>
                <label for="scale">"Motion scale " {text(move || format!("{:.2}", scale.get().unwrap_or(1.0)))}</label>
                <input
                    id="scale"
                    type="range"
                    min="0.1"
                    max="2"
                    step="0.1"
                    prop:value=text(move || scale.get().unwrap_or(1.0).to_string())
                    on:change=changed(move |event| {
                        if let Ok(scale) = event_target_value(event).parse() {
                            hosted.with_value(|hosted| hosted.scale(scale));
                        }
                    })
                />
            </div>
        </section>
    }
}
