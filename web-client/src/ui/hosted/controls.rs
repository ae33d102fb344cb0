//! What every cockpit has: the stop, buttons that tell what became of their command, the figures.

use leptos::prelude::*;
use waldo_protocol::hosted::Quality;

use super::HostedHandle;
use super::cockpit::{part, quality_class};
use crate::hosted::acks::Progress;
use crate::hosted::summary::Summary;

/// The stop. It works at once, whatever the link is doing.
#[component]
pub(super) fn Stop(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let stopped = part(summary, |cockpit| cockpit.stopped);
    let viewer = part(summary, |cockpit| cockpit.viewer);
    view! {
        <section class="card stop">
            <button
                id="estop"
                class="estop"
                class:latched=move || stopped.get()
                on:pointerdown=move |_| hosted.with_value(|hosted| hosted.stop())
                on:click=move |_| hosted.with_value(|hosted| hosted.stop())
            >
                {move || if stopped.get() { "Stopped" } else { "Emergency stop" }}
            </button>
            <Show
                when=move || stopped.get() && !viewer.get()
                fallback=move || {
                    view! {
                        <p class="note">
                            {move || match (stopped.get(), viewer.get()) {
                                (true, _) => "Whoever drives can re-arm it.",
                                (false, true) => "Stops the robot through the broker.",
                                (false, false) => "Esc stops too. It stays stopped until you re-arm it.",
                            }}
                        </p>
                    }
                }
            >
                <button id="rearm" on:click=move |_| hosted.with_value(|hosted| hosted.rearm())>
                    {move || if part(summary, |c| c.progress_of("rearm") == Progress::Pending).get() { "Re-arming…" } else { "Re-arm" }}
                </button>
            </Show>
        </section>
    }
}

/// A button that sends a command, and shows whether the robot does it.
#[component]
pub(super) fn Command(
    summary: RwSignal<Summary>,
    /// Id of the button, and name of the control.
    control: &'static str,
    label: &'static str,
    /// It shows the present choice.
    #[prop(into)]
    chosen: Signal<bool>,
    /// It can be pressed.
    #[prop(into)]
    enabled: Signal<bool>,
    run: impl Fn() + 'static,
) -> impl IntoView {
    let progress = part(summary, move |cockpit| cockpit.progress_of(control));
    view! {
        <button
            id=control
            class=move || format!("command {}", class(progress.get()))
            aria-pressed=move || chosen.get().to_string()
            disabled=move || !enabled.get()
            on:click=move |event| {
                // Space slows down and must not press the button that was clicked last.
                hosted_blur(&event);
                run();
            }
        >
            {label}
        </button>
    }
}

/// Keys drive: no button may keep them.
pub(super) fn hosted_blur(event: &leptos::ev::MouseEvent) {
    use wasm_bindgen::JsCast;
    let target = event.current_target().and_then(|target| target.dyn_into::<web_sys::HtmlElement>().ok());
    if let Some(element) = target {
        let _ = element.blur();
    }
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
    let groups = part(summary, |cockpit| cockpit.hud.groups.clone());
    view! {
        <section class="card figures">
            {move || {
                groups
                    .get()
                    .into_iter()
                    .map(|(title, figures)| {
                        view! {
                            <h2>{title}</h2>
                            <dl>
                                {figures
                                    .into_iter()
                                    .map(|figure| {
                                        let class = if figure.quality == Quality::Good { "" } else { quality_class(figure.quality) };
                                        view! { <dt>{figure.label}</dt><dd class=class>{figure.value}</dd> }
                                    })
                                    .collect_view()}
                            </dl>
                        }
                    })
                    .collect_view()
            }}
        </section>
    }
}
