//! How to take part: as a character with arms, as a spectator, from the tip of an arm.

use leptos::prelude::*;
use waldo_protocol::field::CharacterMode;

use super::FieldHandle;
use crate::field::session::Part;
use crate::field::summary::Summary;
use crate::summary::Support;
use crate::ui::enter_vr::EnterVr;

#[component]
pub(super) fn Join(field: FieldHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let part = Memo::new(move |_| summary.with(|summary| summary.part));
    view! {
        <section class="card drive">
            <h2>"Take part"</h2>
            <Show when=move || part.get().is_none() fallback=move || view! { <Inside field summary /> }>
                <Outside field summary />
            </Show>
        </section>
    }
}

#[component]
fn Outside(field: FieldHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let preselected = summary.with_untracked(|summary| summary.preselected);
    let chosen = RwSignal::new(preselected.unwrap_or(CharacterMode::ALL[0]));
    let join = move |part| field.with_value(|field| field.join(Some(part)));
    view! {
        <div class="row">
            <label for="mode">"Character"</label>
            <select
                id="mode"
                on:change=move |event| {
                    if let Some(mode) = CharacterMode::from_name(&event_target_value(&event)) {
                        chosen.set(mode);
                    }
                }
            >
                {CharacterMode::ALL
                    .iter()
                    .map(|mode| {
                        view! {
                            <option value=mode.name() selected=*mode == chosen.get_untracked()>
                                {title(*mode)}
                            </option>
                        }
                    })
                    .collect_view()}
            </select>
        </div>
        <div class="buttons">
            <button id="join" class="primary" on:click=move |_| join(Part::Drive(chosen.get_untracked()))>
                "Join field"
            </button>
            <button id="spectate" on:click=move |_| join(Part::Watch)>"Spectate"</button>
            <button id="arm-camera" on:click=move |_| join(Part::ArmCamera)>"Arm camera"</button>
        </div>
        <p class="note">"Join with arms of your own, watch the others, or look from the tip of an arm."</p>
    }
}

#[component]
fn Inside(field: FieldHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let part = Memo::new(move |_| summary.with(|summary| summary.part));
    let drives = move || part.get().is_some_and(Part::drives);
    let watches = Memo::new(move |_| {
        summary.with(|summary| {
            let to_see = summary.followed.is_some() || summary.part.is_some_and(Part::drives);
            to_see && !summary.following && summary.part != Some(Part::ArmCamera)
        })
    });
    view! {
        <p class="part">{move || part.get().map(part_text)}</p>
        <div class="buttons">
            <Headset field summary />
            <Show when=move || part.get() == Some(Part::ArmCamera)>
                <Seats field summary />
            </Show>
            <Show when=move || watches.get()>
                <button id="follow" on:click=move |_| field.with_value(|field| field.follow())>"Follow the arms again"</button>
            </Show>
            <Show when=drives>
                <button id="reset" on:click=move |_| field.with_value(|field| field.reset())>"Reset my arms"</button>
            </Show>
            <button id="leave" on:click=move |_| field.with_value(|field| field.join(None))>"Leave the field"</button>
        </div>
    }
}

#[component]
fn Headset(field: FieldHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let support = Memo::new(move |_| summary.with(|summary| summary.support));
    let presence = Memo::new(move |_| summary.with(|summary| summary.presence));
    let ready = Signal::derive(move || summary.with(|summary| !summary.user.is_empty()));
    let emulating = RwSignal::new(false);
    view! {
        <EnterVr page=field support presence ready emulating leave="Leave VR" />
        <p class="note">{move || note(support.get())}</p>
    }
}

/// The arms that a camera can sit on, by user.
#[component]
fn Seats(field: FieldHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let seats = Memo::new(move |_| summary.with(|summary| summary.seats.clone()));
    let seat = Memo::new(move |_| summary.with(|summary| summary.seat.clone().unwrap_or_default()));
    view! {
        <Show
            when=move || seats.with(|seats| !seats.is_empty())
            fallback=|| view! { <p class="note">"The view begins as soon as somebody has arms."</p> }
        >
            <div class="row">
                <label for="seat">"Look from"</label>
                <select
                    id="seat"
                    prop:value=move || seat.get()
                    on:change=move |event| field.with_value(|field| field.sit(&event_target_value(&event)))
                >
                    {move || {
                        seats
                            .get()
                            .into_iter()
                            .map(|(user, arm)| {
                                let shown = shown_arm(&user, &arm);
                                let selected = arm == seat.get_untracked();
                                view! { <option value=arm selected=selected>{shown}</option> }
                            })
                            .collect_view()
                    }}
                </select>
            </div>
        </Show>
    }
}

/// An arm as people count them.
fn shown_arm(user: &str, arm: &str) -> String {
    let index = arm.strip_prefix(user).and_then(|rest| rest.strip_prefix("_arm_")).and_then(|index| index.parse().ok());
    match index {
        Some(index) => format!("{user}, arm {}", u32::saturating_add(index, 1)),
        None => format!("{user}, {arm}"),
    }
}

fn part_text(part: Part) -> String {
    match part {
        Part::Drive(mode) => format!("You are {}.", title(mode).to_lowercase()),
        Part::Watch => "You watch.".to_owned(),
        Part::ArmCamera => "You look from an arm.".to_owned(),
    }
}

fn title(mode: CharacterMode) -> &'static str {
    match mode {
        CharacterMode::TwoCr => "Two rods",
        CharacterMode::TwoGcr => "Two growing rods",
        CharacterMode::Spirobs => "Two spiral arms",
        CharacterMode::CathyThrow => "Two throwing arms",
        CharacterMode::CoommOctopus => "Two arms of an octopus",
        CharacterMode::NoelC4 => "Two arms among obstacles",
        CharacterMode::CathyForaging => "An octopus that forages",
        CharacterMode::OctoWaypoint => "An octopus that walks",
    }
}

fn note(support: Support) -> &'static str {
    match support {
        Support::Checking => "Looking for a headset…",
        Support::Insecure => "The browser hides VR from pages loaded without encryption. Open this page with https://",
        Support::NoWebXr => "This browser has no WebXR: look around here, or emulate a headset.",
        Support::NoWebGl2 => "This browser cannot draw with WebGL2.",
        Support::NoHeadset => "No headset found: look around here, or emulate one.",
        Support::Ar | Support::Vr => "",
    }
}
