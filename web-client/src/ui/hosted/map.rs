//! The map as a picture in the picture; a click on it sends the robot there.

use leptos::ev::{PointerEvent, WheelEvent};
use leptos::html::Canvas;
use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::HostedHandle;
use super::cockpit::{click, engine, flag, part, text};
use super::controls::class;
use crate::hosted::Hosted;
use crate::hosted::chart::CLICK_PX;
use crate::hosted::summary::Summary;

/// Widths that the small picture can have, pixels.
const WIDTHS: [f64; 2] = [96.0, 560.0];

#[component]
pub(super) fn Map(
    hosted: HostedHandle,
    summary: RwSignal<Summary>,
    swapped: RwSignal<bool>,
    viewer: bool,
) -> impl IntoView {
    let canvas = NodeRef::<Canvas>::new();
    let there = part(summary, |cockpit| cockpit.map);
    let goal = part(summary, |cockpit| cockpit.goal);
    let progress = part(summary, |cockpit| cockpit.progress_of("goal"));
    let width = RwSignal::new(240.0);
    // Where the pointer went down, and how far it has gone since.
    let pressed = RwSignal::new(None::<f64>);
    Effect::new(move |_| {
        if let Some(canvas) = canvas.get() {
            hosted.with_value(|hosted| hosted.draw_map_on(canvas));
        }
    });
    let down = move |event: PointerEvent| {
        pressed.set(Some(0.0));
        if let Some(canvas) = canvas.get_untracked() {
            let _ = canvas.set_pointer_capture(event.pointer_id());
        }
    };
    let moved = move |event: PointerEvent| {
        let Some(so_far) = pressed.get_untracked() else { return };
        let by = [f64::from(event.movement_x()), f64::from(event.movement_y())];
        pressed.set(Some(so_far + by[0].hypot(by[1])));
        if so_far >= CLICK_PX {
            hosted.with_value(|hosted| hosted.drag_map(by));
        }
    };
    let up = move |event: PointerEvent| {
        let clicked = pressed.get_untracked().is_some_and(|moved| moved < CLICK_PX);
        pressed.set(None);
        if clicked && !viewer {
            hosted.with_value(|hosted| hosted.go_to([event.offset_x(), event.offset_y()]));
        }
    };
    let wheel = move |event: WheelEvent| {
        event.prevent_default();
        let at = [event.offset_x(), event.offset_y()];
        hosted.with_value(|hosted| hosted.zoom_map(-event.delta_y().signum(), at));
    };
    let resize = move |event: PointerEvent| {
        if event.buttons() != 0 {
            width.update(|width| *width = (*width - f64::from(event.movement_x())).clamp(WIDTHS[0], WIDTHS[1]));
        }
    };
    let catch = move |event: PointerEvent| {
        let target = event.current_target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
        if let Some(target) = target {
            let _ = target.set_pointer_capture(event.pointer_id());
        }
    };
    view! {
        <div
            class="map"
            hidden=flag(move || !there.get())
            style=text(move || format!("--width: {:.0}px", width.get()))
        >
            <canvas
                id="map"
                node_ref=canvas
                aria-label="Map. A click sends the robot there."
                on:pointerdown=down
                on:pointermove=moved
                on:pointerup=up
                on:dblclick=move |_| hosted.with_value(|hosted| hosted.reset_map())
                on:wheel=wheel
            ></canvas>
            <span class="grip" on:pointerdown=catch on:pointermove=resize></span>
            <button
                id="swap"
                class="corner"
                title="Swap map and camera"
                on:click=click(move || swapped.update(|swapped| *swapped = !*swapped))
            >
                "⇄"
            </button>
            <button
                id="cancel-goal"
                class=text(move || format!("corner goal {}", class(progress.get())))
                hidden=flag(move || viewer || goal.get().is_none())
                on:click=engine(hosted, Hosted::cancel_goal)
            >
                "Cancel goal"
            </button>
        </div>
    }
}
