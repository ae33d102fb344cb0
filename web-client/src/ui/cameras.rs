//! The cameras, to look at without a headset.

use leptos::html::Div;
use leptos::prelude::*;

use super::EngineHandle;
use crate::summary::{Summary, VideoStatus};

#[component]
pub(super) fn Cameras(engine: EngineHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let names = Memo::new(move |_| {
        summary.with(|summary| summary.cameras.iter().map(|camera| camera.name.clone()).collect::<Vec<_>>())
    });
    let video = Memo::new(move |_| summary.with(|summary| summary.video));
    view! {
        <h2>"Cameras"</h2>
        <Show
            when=move || names.with(|names| !names.is_empty())
            fallback=move || view! { <p class="empty">{move || absence(video.get())}</p> }
        >
            <div class="cameras">
                <For each=move || names.get() key=Clone::clone let:name>
                    <Picture engine summary name />
                </For>
            </div>
        </Show>
    }
}

#[component]
fn Picture(engine: EngineHandle, summary: RwSignal<Summary>, name: String) -> impl IntoView {
    let screen = NodeRef::<Div>::new();
    let title = name.replace('_', " ");
    let packed = name.ends_with("_sbs");
    let live = Memo::new({
        let name = name.clone();
        move |_| summary.with(|summary| summary.cameras.iter().any(|camera| camera.name == name && camera.live))
    });
    // The engine owns the element that plays the camera; the page only gives it a place.
    Effect::new(move |_| {
        let Some(screen) = screen.get() else { return };
        engine.with_value(|engine| {
            let cameras = engine.video().cameras();
            if let Some(camera) = cameras.iter().find(|camera| camera.name() == name) {
                let _ = screen.append_child(&camera.element());
            }
        });
    });
    view! {
        <figure class:stale=move || !live.get()>
            <div class="screen" class:packed=packed node_ref=screen></div>
            <figcaption>
                <span>{title}</span>
                <span class="hint">{move || if live.get() { "" } else { "no picture" }}</span>
            </figcaption>
        </figure>
    }
}

fn absence(video: VideoStatus) -> &'static str {
    match video {
        VideoStatus::Off => "The pictures appear once the robot is connected.",
        VideoStatus::Connecting => "Connecting cameras…",
        VideoStatus::Unavailable => "The robot offers no camera stream at the moment.",
        VideoStatus::Live => "The robot has no cameras.",
    }
}
