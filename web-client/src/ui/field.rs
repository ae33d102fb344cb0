//! The page of the field: how to take part, what becomes of it, and the scene.

mod join;
mod scene;
mod state;

use std::rc::Rc;

use leptos::prelude::*;

use super::{Pages, status_class, status_text};
use crate::emulator;
use crate::field::Field;
use crate::field::summary::Summary;
use crate::link::Status;
use crate::summary::Presence;
use join::Join;
use scene::Scene;
use state::State;

/// The engine of the field, as handed from component to component.
type FieldHandle = StoredValue<Rc<Field>, LocalStorage>;

const BINDINGS: [(&str, &str); 6] = [
    ("Your hands", "The arms follow them, left and right"),
    ("X or A", "Held: the arm hangs loose"),
    ("Y or B", "The arm goes to rest, and takes the way you hold the controller for straight"),
    ("Trigger, grip, stick", "What the character does with them: crawl, throw, grow, point"),
    ("On a screen", "W A S D fly, Q and E go down and up, the mouse looks around"),
    ("Lost link", "The arms hold still by themselves"),
];

#[component]
pub(super) fn FieldPage() -> impl IntoView {
    let summary = RwSignal::new(Summary::default());
    let field: FieldHandle = StoredValue::new_local(Field::start(move |latest| summary.set(latest)));
    let status = Memo::new(move |_| summary.with(|summary| (summary.part.is_some(), summary.link)));
    // An emulated headset draws over the page.
    let hidden = Memo::new(move |_| summary.with(|summary| summary.presence != Presence::Out) && emulator::is_loaded());
    view! {
        <header class="top" hidden=move || hidden.get()>
            <h1>"Waldo"</h1>
            <Pages field=true />
            <p class="robot-name">"Arms of several people in one scene"</p>
            <p class=move || format!("status {}", status_class(status.get().1)) role="status">
                {move || match status.get() {
                    (false, Status::NotConnected) => "Not in the field",
                    (_, status) => status_text(status),
                }}
            </p>
        </header>
        <main class="field" hidden=move || hidden.get()>
            <div class="column">
                <Join field summary />
                <State summary />
            </div>
            <div class="column">
                <Scene field summary />
                <section class="card guide">
                    <h2>"How to take part"</h2>
                    <dl>
                        {BINDINGS.map(|(control, effect)| view! { <dt>{control}</dt><dd>{effect}</dd> }).into_iter().collect::<Vec<_>>()}
                    </dl>
                </section>
            </div>
        </main>
    }
}
