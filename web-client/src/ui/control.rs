//! Who drives, and the buttons to ask for the control, to hand it over and to give it up.

use leptos::prelude::*;
use waldo_protocol::vr::{Capability, LeaseOp};

use super::EngineHandle;
use crate::hud::answered_text;
use crate::robot::Driver;
use crate::summary::Summary;

/// What can be done about the control.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    /// Nothing: the robot knows no leases, or nobody drives.
    Nothing,
    /// Somebody else drives.
    Ask,
    /// This page asked and waits.
    Wait,
    /// This page drives.
    Release,
    /// This page drives, and somebody asks to.
    Answer,
}

fn choice(summary: &Summary) -> Choice {
    let robot = &summary.robot;
    let asker = robot.takeover.map(|takeover| takeover.mine);
    match (robot.driver, asker) {
        _ if !robot.has(Capability::Lease) || summary.viewer => Choice::Nothing,
        (Driver::Me, Some(false)) => Choice::Answer,
        (Driver::Me, _) => Choice::Release,
        (Driver::Other, Some(true)) => Choice::Wait,
        (Driver::Other | Driver::Policy, _) => Choice::Ask,
        (Driver::Nobody | Driver::Unknown, _) => Choice::Nothing,
    }
}

#[component]
pub(super) fn Control(engine: EngineHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let choice = Memo::new(move |_| summary.with(choice));
    let seconds = Memo::new(move |_| summary.with(|summary| summary.takeover_in));
    let answered = Memo::new(move |_| summary.with(|summary| summary.robot.answered));
    let wait = move || seconds.get().map_or_else(String::new, |seconds| format!(" ({seconds} s)"));
    let request = move |op| engine.with_value(|engine| engine.request_control(op));
    move || match choice.get() {
        Choice::Nothing => ().into_any(),
        Choice::Ask => view! {
            <button id="take" on:click=move |_| request(LeaseOp::Take)>"Ask for control"</button>
            <p class="note">{move || answered.get().map(answered_text)}</p>
        }
        .into_any(),
        Choice::Wait => view! { <p class="note">"You asked the driver for the control" {wait}</p> }.into_any(),
        Choice::Release => view! {
            <button id="release" on:click=move |_| request(LeaseOp::Release)>"Give up control"</button>
        }
        .into_any(),
        Choice::Answer => view! {
            <p class="alert caution" role="alert">"Somebody asks to drive. Unless you refuse, they will" {wait}</p>
            <div class="buttons">
                <button id="deny" on:click=move |_| request(LeaseOp::Deny)>"Refuse"</button>
                <button id="grant" on:click=move |_| request(LeaseOp::Grant)>"Hand over"</button>
            </div>
        }
        .into_any(),
    }
}
