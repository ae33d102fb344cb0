//! The scene, on a canvas that is flown through.

use leptos::ev::{KeyboardEvent, PointerEvent};
use leptos::html::Canvas;
use leptos::prelude::*;

use super::FieldHandle;
use crate::field::session::Part;
use crate::field::summary::Summary;
use crate::field::{Field, has_mouse};

#[component]
pub(super) fn Scene(field: FieldHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let canvas = NodeRef::<Canvas>::new();
    Effect::new(move |_| {
        if let Some(canvas) = canvas.get() {
            field.with_value(|field| field.show_on(canvas));
        }
    });
    let key = move |event: KeyboardEvent, down: bool| {
        let plain = !(event.ctrl_key() || event.meta_key() || event.alt_key());
        if plain && field.with_value(|field| field.key(&event.code(), down)) {
            event.prevent_default();
        }
    };
    let turn = move |event: PointerEvent| {
        let Some(canvas) = canvas.get_untracked() else { return };
        // A finger looks around while it touches, a mouse once it is caught.
        if has_mouse(&canvas) || (event.pointer_type() != "mouse" && event.buttons() != 0) {
            let by = [f64::from(event.movement_x()), f64::from(event.movement_y())];
            field.with_value(|field| field.look(by));
        }
    };
    let catch = move |event: PointerEvent| {
        if let Some(canvas) = canvas.get_untracked().filter(|_| event.pointer_type() == "mouse") {
            // Refused in a page that is not in front; then there is nothing to look around in either.
            canvas.request_pointer_lock();
        }
    };
    let hint = Memo::new(move |_| summary.with(|summary| hint(summary.part)));
    view! {
        <section class="card view scene">
            <canvas
                id="scene"
                tabindex="0"
                aria-label="The scene. W, A, S, D, Q and E fly, the mouse looks around."
                node_ref=canvas
                on:keydown=move |event| key(event, true)
                on:keyup=move |event| key(event, false)
                on:blur=move |_| field.with_value(|field| Field::release_keys(field))
                on:pointerdown=catch
                on:pointermove=turn
            ></canvas>
            <p class="hint">{move || hint.get()}</p>
        </section>
    }
}

fn hint(part: Option<Part>) -> &'static str {
    match part {
        Some(Part::ArmCamera) => "The view of an arm",
        _ => "Click to look around, Esc to let go · W A S D Q E fly",
    }
}
