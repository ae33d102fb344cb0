//! What becomes of taking part.

use leptos::prelude::*;

use crate::field::summary::Summary;
use crate::hud::Tone;

#[component]
pub(super) fn State(summary: RwSignal<Summary>) -> impl IntoView {
    let words = Memo::new(move |_| summary.with(|summary| summary.words.clone()));
    let row = move |read: fn(&Summary) -> String| Memo::new(move |_| summary.with(read));
    let user = row(|summary| if summary.user.is_empty() { "–".to_owned() } else { summary.user.clone() });
    let others = row(|summary| summary.others.to_string());
    let latency = row(|summary| summary.latency_ms.map_or_else(|| "–".to_owned(), |ms| format!("{ms} ms")));
    let rate = row(|summary| format!("{} per second", summary.rate));
    let notes = Memo::new(move |_| summary.with(notes));
    let alerts = Memo::new(move |_| {
        summary.with(|summary| [&summary.trouble, &summary.fault].into_iter().flatten().cloned().collect::<Vec<_>>())
    });
    view! {
        <section class="card state">
            <h2>"State"</h2>
            <p class=move || words.with(|words| format!("words {}", tone_class(words.tone))) role="status">
                <strong>{move || words.with(|words| words.title.clone())}</strong>
                <span>{move || words.with(|words| words.detail.clone())}</span>
            </p>
            <Show when=move || summary.with(|summary| summary.part.is_some())>
                <dl>
                    <dt>"You"</dt>
                    <dd class="value">{move || user.get()}</dd>
                    <dt>"Others with arms"</dt>
                    <dd class="value">{move || others.get()}</dd>
                    <dt>"Scenes"</dt>
                    <dd class="value">{move || rate.get()}</dd>
                    <dt>"Hand to arm"</dt>
                    <dd class="value">{move || latency.get()}</dd>
                </dl>
            </Show>
            <For each=move || notes.get() key=Clone::clone let:note>
                <p class="alert info">{note}</p>
            </For>
            <For each=move || alerts.get() key=Clone::clone let:alert>
                <p class="alert" role="alert">{alert}</p>
            </For>
        </section>
    }
}

fn notes(summary: &Summary) -> Vec<String> {
    let paused = summary.paused.then(|| "The simulation stands still.".to_owned());
    let clamped = summary.clamped.then(|| "An arm is held within its bounds.".to_owned());
    let away = (!summary.away.is_empty()).then(|| format!("Away: {}.", summary.away.join(", ")));
    [paused, clamped, away].into_iter().flatten().collect()
}

fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Idle => "idle",
        Tone::Driving => "good",
        Tone::Caution => "caution",
        Tone::Alarm => "bad",
    }
}
