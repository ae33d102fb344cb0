//! What every cockpit has: the stop, buttons that tell what became of their command, the figures.

use leptos::prelude::*;
use waldo_protocol::hosted::Quality;

use super::HostedHandle;
use super::cockpit::{click, engine, flag, part, quality_class, text};
use crate::hosted::Hosted;
use crate::hosted::acks::Progress;
use crate::hosted::summary::Summary;

/// The stop. It works at once, whatever the link is doing.
#[component]
pub(super) fn Stop(hosted: HostedHandle, summary: RwSignal<Summary>, viewer: bool) -> impl IntoView {
    let stopped = part(summary, |cockpit| cockpit.stopped);
    let clearing = part(summary, |cockpit| cockpit.progress_of("rearm") == Progress::Pending);
    let note = move || match (stopped.get(), viewer) {
        (true, true) => "Whoever drives can re-arm it.",
        (false, true) => "Stops the robot through the broker.",
        (false, false) => "It stays stopped until you re-arm it.",
        (true, false) => "",
    };
    view! {
        <section class="card stop">
            <button
                id="estop"
                class="estop"
                class:latched=flag(move || stopped.get())
                on:pointerdown=move |_| hosted.with_value(|hosted| hosted.stop())
                on:click=engine(hosted, Hosted::stop)
            >
                {text(move || if stopped.get() { "Stopped" } else { "Emergency stop" }.to_owned())}
            </button>
            <button
                id="rearm"
                hidden=flag(move || viewer || !stopped.get())
                on:click=engine(hosted, Hosted::rearm)
            >
                {text(move || if clearing.get() { "Re-arming…" } else { "Re-arm" }.to_owned())}
            </button>
            <p class="note" hidden=flag(move || note().is_empty())>
                <span class="with-keys" hidden=flag(move || viewer || stopped.get())>"Esc stops too. "</span>
                {text(move || note().to_owned())}
            </p>
        </section>
    }
}

/// A button that sends a command, and shows whether the robot does it. `control`: its id, and the name of the control.
pub(super) fn command(
    summary: RwSignal<Summary>,
    control: &'static str,
    label: Signal<String>,
    chosen: Signal<bool>,
    enabled: Signal<bool>,
    run: impl Fn() + 'static,
) -> AnyView {
    let progress = move || {
        let progress = summary.with(|summary| summary.cockpit.as_ref().map(|cockpit| cockpit.progress_of(control)));
        class(progress.unwrap_or_default())
    };
    view! {
        <button
            id=control
            class=text(move || format!("command {}", progress()))
            aria-pressed=text(move || chosen.get().to_string())
            disabled=flag(move || !enabled.get())
            on:click=click(run)
        >
            {label}
        </button>
    }
    .into_any()
}

/// What is on a button that always says the same.
pub(super) fn label(text: &'static str) -> Signal<String> {
    Signal::stored(text.to_owned())
}

pub(super) fn class(progress: Progress) -> &'static str {
    match progress {
        Progress::Idle => "",
        Progress::Pending => "pending",
        Progress::Done => "done",
        Progress::Failed => "failed",
    }
}

/// Everything that is measured.
#[component]
pub(super) fn Figures(summary: RwSignal<Summary>) -> impl IntoView {
    let hud = Memo::new(move |_| {
        summary.with(|summary| summary.cockpit.as_ref().map(|cockpit| cockpit.hud.groups.clone()).unwrap_or_default())
    });
    let rows = move || {
        let mut rows = Vec::new();
        for (title, figures) in hud.get() {
            rows.push(view! { <dt class="group">{title}</dt><dd></dd> }.into_any());
            for figure in figures {
                let class = if figure.quality == Quality::Good { "" } else { quality_class(figure.quality) };
                rows.push(view! { <dt>{figure.label}</dt><dd class=class>{figure.value}</dd> }.into_any());
            }
        }
        rows
    };
    view! {
        <section class="card figures">
            <dl>{rows}</dl>
        </section>
    }
}
