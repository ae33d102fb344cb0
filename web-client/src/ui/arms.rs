//! What the arms do, and why not.

use leptos::prelude::*;
use waldo_protocol::vr::{HudValue, Mode, Severity};

use super::EngineHandle;
use super::control::Control;
use super::health::HealthLine;
use crate::hud::{LINK_WAS_LOST, state_name};
use crate::robot::Driver;
use crate::summary::Summary;

#[component]
pub(super) fn Arms(engine: EngineHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let engaged = Memo::new(move |_| summary.with(|summary| summary.robot.engaged));
    let driver = Memo::new(move |_| summary.with(|summary| summary.robot.driver));
    let recording = Memo::new(move |_| summary.with(|summary| summary.recording));
    let state = Memo::new(move |_| summary.with(state_text));
    let hold = Memo::new(move |_| summary.with(|summary| summary.robot.hold.clone()));
    let lost = Memo::new(move |_| summary.with(|summary| summary.robot.link_was_lost));
    let popup = Memo::new(move |_| summary.with(|summary| popup_text(&summary.robot.popup)));
    let engaged_class = move || match engaged.get() {
        None => "value idle",
        Some(true) => "value good",
        Some(false) => "value",
    };
    view! {
        <h2>"Arms"</h2>
        <dl>
            <dt>"Engaged"</dt>
            <dd class=engaged_class>{move || engaged_text(engaged.get())}</dd>
            <dt>"Driver"</dt>
            <dd class="value">{move || driver_text(driver.get())}</dd>
            <dt>"Mode"</dt>
            <dd class="value">{move || mode_text(recording.get().mode)}</dd>
            <dt>"State"</dt>
            <dd class="value">{move || state.get()}</dd>
        </dl>
        <Control engine summary />
        <Show when=move || popup.get().is_some()>
            <p class="alert info">{move || popup.get()}</p>
        </Show>
        <Show when=move || hold.with(Option::is_some)>
            <p class=move || hold.with(|hold| hold_class(hold.as_ref().map(|hold| hold.severity)))>
                {move || hold.with(|hold| hold.as_ref().map(|hold| hold.text.to_string()))}
            </p>
        </Show>
        <Show when=move || lost.get()>
            <p class="alert caution">{LINK_WAS_LOST} ", so the arms let go."</p>
        </Show>
        <HealthLine summary />
    }
}

/// What the driver's headset asks or counts down, for those who watch.
fn popup_text(popup: &HudValue) -> Option<&'static str> {
    let popup = popup.as_ref()?;
    match popup.get("confirm").and_then(|confirm| confirm.as_str()) {
        Some("save") => Some("The driver is asked whether to save the episode."),
        Some("discard") => Some("The driver is asked whether to discard the episode."),
        _ => popup.get("countdownRemainingMs")?.as_f64().map(|_| "A recording is about to start."),
    }
}

fn engaged_text(engaged: Option<bool>) -> &'static str {
    match engaged {
        None => "Unknown",
        Some(true) => "Yes, the arms follow",
        Some(false) => "No",
    }
}

fn driver_text(driver: Driver) -> &'static str {
    match driver {
        Driver::Unknown => "Unknown",
        Driver::Nobody => "Nobody",
        Driver::Me => "This headset",
        Driver::Other => "Another headset",
        Driver::Policy => "A policy",
    }
}

fn mode_text(mode: Option<Mode>) -> &'static str {
    match mode {
        None => "Not announced",
        Some(Mode::Teleop) => "Teleop",
        Some(Mode::DataCollection) => "Data collection",
    }
}

fn state_text(summary: &Summary) -> String {
    let state = state_name(summary.recording.state);
    match summary.robot.episode {
        Some(episode) => format!("{state}, episode {episode}"),
        None => state.to_owned(),
    }
}

fn hold_class(severity: Option<Severity>) -> &'static str {
    match severity {
        Some(Severity::Hold) => "alert",
        Some(Severity::Clamp) => "alert caution",
        Some(Severity::Info) | None => "alert info",
    }
}
