//! What the arms do, and why not.

use leptos::prelude::*;
use waldo_protocol::vr::{Mode, Severity};

use crate::hud::state_name;
use crate::robot::{Driver, RobotView};
use crate::summary::Summary;

#[component]
pub(super) fn Arms(summary: RwSignal<Summary>) -> impl IntoView {
    let robot = Memo::new(move |_| summary.with(|summary| summary.robot.clone()));
    let hold = Memo::new(move |_| robot.with(|robot| robot.hold.clone()));
    let engaged_class = move || match robot.with(|robot| robot.engaged) {
        None => "value idle",
        Some(true) => "value good",
        Some(false) => "value",
    };
    view! {
        <h2>"Arms"</h2>
        <dl>
            <dt>"Engaged"</dt>
            <dd class=engaged_class>{move || robot.with(|robot| engaged_text(robot.engaged))}</dd>
            <dt>"Driver"</dt>
            <dd class="value">{move || robot.with(|robot| driver_text(robot.driver))}</dd>
            <dt>"Mode"</dt>
            <dd class="value">{move || robot.with(|robot| mode_text(robot.mode))}</dd>
            <dt>"State"</dt>
            <dd class="value">{move || robot.with(state_text)}</dd>
        </dl>
        <Show when=move || hold.with(Option::is_some)>
            <p class=move || hold.with(|hold| hold_class(hold.as_ref().map(|hold| hold.severity)))>
                {move || hold.with(|hold| hold.as_ref().map(|hold| hold.text.to_string()))}
            </p>
        </Show>
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
    }
}

fn mode_text(mode: Option<Mode>) -> &'static str {
    match mode {
        None => "Not announced",
        Some(Mode::Teleop) => "Teleop",
        Some(Mode::DataCollection) => "Data collection",
    }
}

fn state_text(robot: &RobotView) -> String {
    match robot.episode {
        Some(episode) => format!("{}, episode {episode}", state_name(robot.state)),
        None => state_name(robot.state).to_owned(),
    }
}

fn hold_class(severity: Option<Severity>) -> &'static str {
    match severity {
        Some(Severity::Hold) => "alert",
        Some(Severity::Clamp) => "alert caution",
        Some(Severity::Info) | None => "alert info",
    }
}
