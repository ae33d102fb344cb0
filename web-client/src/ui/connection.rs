//! Which robot, and help when it does not answer.

use leptos::prelude::*;

use super::EngineHandle;
use crate::link::Status;
use crate::summary::{CableStatus, Summary};

#[component]
pub(super) fn Connection(engine: EngineHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let status = Memo::new(move |_| summary.with(|summary| summary.link));
    let address = Memo::new(move |_| summary.with(|summary| summary.address.clone()));
    let foreign = Memo::new(move |_| summary.with(|summary| summary.foreign));
    // What the person is typing, until it is used.
    let typed = RwSignal::new(None::<String>);
    let connect = move || {
        let text = typed.get_untracked().unwrap_or_else(|| address.get_untracked());
        typed.set(None);
        engine.with_value(|engine| engine.connect_to(&text));
    };
    let wants_other = move || typed.with(|typed| typed.as_ref().is_some_and(|typed| *typed != address.get()));
    let idle = move || matches!(status.get(), Status::NotConnected | Status::Failed);
    view! {
        <h2>"Robot"</h2>
        <form
            class="row"
            on:submit=move |event| {
                event.prevent_default();
                connect();
            }
        >
            <label for="host">"Address"</label>
            <input
                id="host"
                type="text"
                autocomplete="off"
                autocapitalize="off"
                spellcheck="false"
                placeholder="the robot that served this page"
                prop:value=move || typed.get().unwrap_or_else(|| address.get())
                on:input=move |event| typed.set(Some(event_target_value(&event)))
            />
            <Show
                when=move || idle() || wants_other()
                fallback=move || {
                    view! {
                        <button
                            id="disconnect"
                            type="button"
                            on:click=move |_| engine.with_value(|engine| engine.disconnect())
                        >
                            {move || if status.get() == Status::Connected { "Disconnect" } else { "Cancel" }}
                        </button>
                    }
                }
            >
                <button type="submit">"Connect"</button>
            </Show>
        </form>
        <Usb engine summary />
        <Show when=move || status.get().wants_help()>
            <Help engine foreign />
        </Show>
    }
}

/// The option for a headset that hangs on the robot's USB cable.
#[component]
fn Usb(engine: EngineHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let cable = Memo::new(move |_| summary.with(|summary| summary.cable));
    let linked = Memo::new(move |_| summary.with(|summary| summary.link == Status::Connected));
    let viewer = Memo::new(move |_| summary.with(|summary| summary.viewer));
    let note = move || match cable.get() {
        CableStatus::Off => "",
        CableStatus::Open => "Poses go over the cable too.",
        CableStatus::Waiting if linked.get() => "The cable does not answer; poses go over the network.",
        CableStatus::Waiting => "The cable is tried once the network is connected.",
    };
    view! {
        <div class="usb" hidden=move || viewer.get()>
            <label class="check">
                <input
                    id="usb"
                    type="checkbox"
                    prop:checked=move || cable.get() != CableStatus::Off
                    on:change=move |event| engine.with_value(|engine| engine.use_cable(event_target_checked(&event)))
                />
                "Quest over USB"
            </label>
            <p class="note">{note}</p>
            <Show when=move || cable.get() == CableStatus::Waiting && linked.get()>
                <button
                    id="accept-usb-certificate"
                    class="inline"
                    on:click=move |_| engine.with_value(|engine| engine.accept_cable_certificate())
                >
                    "Authorize USB certificate"
                </button>
            </Show>
        </div>
    }
}

/// A browser does not tell why a socket failed: all that can be done is to name the usual causes.
#[component]
fn Help(engine: EngineHandle, foreign: Memo<bool>) -> impl IntoView {
    let token = RwSignal::new(String::new());
    view! {
        <div class="help">
            <p>"The robot did not answer. Usual causes:"</p>
            <ul>
                <li>"It is switched off, or in another network."</li>
                <Show when=move || foreign.get()>
                    <li>
                        "This browser does not know its certificate yet. "
                        <button
                            id="accept-certificate"
                            class="inline"
                            on:click=move |_| engine.with_value(|engine| engine.accept_certificate())
                        >
                            "Authorize certificate"
                        </button>
                    </li>
                </Show>
                <li>
                    "It wants its access token: the text after "
                    <code>"#token="</code>
                    " in the address it printed at its start."
                </li>
            </ul>
            <form
                class="row"
                on:submit=move |event| {
                    event.prevent_default();
                    engine.with_value(|engine| engine.use_token(&token.get_untracked()));
                }
            >
                <label for="token">"Token"</label>
                <input
                    id="token"
                    type="password"
                    autocomplete="off"
                    prop:value=move || token.get()
                    on:input=move |event| token.set(event_target_value(&event))
                />
                <button type="submit">"Use token"</button>
            </form>
        </div>
    }
}
