//! How to drive, in a few lines.

use leptos::prelude::*;

const BINDINGS: [(&str, &str); 9] = [
    ("Both grips", "Squeeze both fully: the arms follow your hands"),
    ("Either grip", "Squeeze one again: the arms hold still"),
    ("Triggers", "Close the grippers while the arms follow"),
    ("X", "Arms move back to rest; while recording: discard the episode"),
    ("A", "Start to record; while recording: save the episode"),
    ("B", "Pictures hang around your gaze; held: ask for control"),
    ("Y", "Leave VR, arms move back to rest"),
    ("Both sticks in", "Stop: nothing moves until the page clears it"),
    ("Lost link", "The arms hold still by themselves"),
];

#[component]
pub(super) fn Guide() -> impl IntoView {
    let rows = BINDINGS.map(|(control, effect)| {
        view! {
            <dt>{control}</dt>
            <dd>{effect}</dd>
        }
    });
    view! {
        <h2>"How to drive"</h2>
        <dl>{rows.into_iter().collect::<Vec<_>>()}</dl>
        <p class="note">"Push a controller along its own ray and the gripper moves along its fingers, wherever you face."</p>
        <p class="note">"Who only wants to watch adds " <code>"#view"</code> " to the address of this page."</p>
    }
}
