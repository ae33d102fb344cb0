//! The landing page: shows the engine's summary, calls the engine's methods, knows nothing else.
#![allow(unreachable_pub, reason = "the component macro makes every component public")]

mod arms;
mod cameras;
mod connection;
mod control;
mod enter_vr;
mod field;
mod guide;
mod headset;
mod health;
mod hosted;
mod motion;
mod stop;

use std::cell::RefCell;
use std::rc::Rc;

use leptos::prelude::*;
use wasm_bindgen::prelude::*;

use crate::emulator;
use crate::engine::Engine;
use crate::link::Status;
use crate::summary::{Presence, Summary};
use crate::target::{is_field, is_hosted, take_token_from_url};
use arms::Arms;
use cameras::Cameras;
use connection::Connection;
use field::FieldPage;
use guide::Guide;
use headset::Headset;
use hosted::HostedPage;
use motion::Motion;
use stop::Stop;

/// The engine, as handed from component to component.
type EngineHandle = StoredValue<Rc<Engine>, LocalStorage>;

/// Replaces what the page showed while loading by the app: the robot's page, with `#field` the one of the field, and from
/// a broker, or with `#hosted`, the one of hosted teleoperation.
pub(crate) fn mount() {
    take_token_from_url();
    if let Some(loading) = document().get_element_by_id("loading") {
        loading.remove();
    }
    let shown = (is_hosted(), is_field());
    match shown {
        (true, _) => mount_to_body(HostedPage),
        (false, true) => mount_to_body(FieldPage),
        (false, false) => mount_to_body(App),
    }
    // Each of them holds sockets and graphics: leaving one is leaving all of it.
    let changed = Closure::<dyn FnMut()>::new(move || {
        if (is_hosted(), is_field()) != shown {
            let _ = window().location().reload();
        }
    });
    window().set_onhashchange(Some(changed.as_ref().unchecked_ref()));
    LISTENING.set(Some(changed));
}

thread_local! {
    /// Lives as long as the page.
    static LISTENING: RefCell<Option<Closure<dyn FnMut()>>> = const { RefCell::new(None) };
}

/// The way between the two pages.
#[component]
fn Pages(field: bool) -> impl IntoView {
    let current = |is_current: bool| is_current.then_some("page");
    view! {
        <nav class="pages">
            <a href="#" aria-current=current(!field)>"Robot"</a>
            <a href="#field" aria-current=current(field)>"Field"</a>
        </nav>
    }
}

#[component]
fn App() -> impl IntoView {
    let summary = RwSignal::new(Summary::default());
    let engine: EngineHandle = StoredValue::new_local(Engine::start(move |latest| summary.set(latest)));
    let status = Memo::new(move |_| summary.with(|summary| summary.link));
    let robot = Memo::new(move |_| {
        summary.with(|summary| {
            (
                summary.address.clone(),
                summary.robot.hello.as_ref().map_or_else(String::new, |hello| hello.server.clone()),
            )
        })
    });
    // An emulated headset draws over the page, with the page for a room: an empty one is darker, and cheaper to draw.
    let hidden = Memo::new(move |_| summary.with(|summary| summary.presence != Presence::Out) && emulator::is_loaded());
    view! {
        <header class="top" hidden=move || hidden.get()>
            <h1>"Waldo"</h1>
            <Pages field=false />
            <p class="robot-name">
                <strong>{move || robot.get().0}</strong>
                <span>{move || robot.get().1}</span>
            </p>
            <p class=move || format!("status {}", status_class(status.get())) role="status">
                {move || status_text(status.get())}
            </p>
        </header>
        <main hidden=move || hidden.get()>
            <div class="column">
                <section class="card drive">
                    <Headset engine summary />
                </section>
                <Stop engine summary />
                <section class="card state">
                    <Arms engine summary />
                </section>
                <Motion engine summary />
                <section class="card link">
                    <Connection engine summary />
                </section>
            </div>
            <div class="column">
                <section class="card view">
                    <Cameras engine summary />
                </section>
                <section class="card guide">
                    <Guide />
                </section>
            </div>
        </main>
    }
}

fn status_text(status: Status) -> &'static str {
    match status {
        Status::NotConnected => "Not connected",
        Status::Connecting => "Connecting…",
        Status::Connected => "Connected",
        Status::Reconnecting => "Reconnecting…",
        Status::Lost => "Connection lost, trying again",
        Status::Failed => "Connection failed",
    }
}

fn status_class(status: Status) -> &'static str {
    match status {
        Status::NotConnected => "idle",
        Status::Connecting | Status::Reconnecting => "busy",
        Status::Connected => "good",
        Status::Lost | Status::Failed => "bad",
    }
}
