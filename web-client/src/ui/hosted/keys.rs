//! The keys with which robots log in: made, shown once, revoked.

use leptos::html::Input;
use leptos::prelude::*;

use super::HostedHandle;
use super::cockpit::{click, engine, flag, text};
use super::sign_in::submitted;
use crate::hosted::summary::{KeyRow, Summary};

#[component]
pub(super) fn Keys(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let keys = Memo::new(move |_| summary.with(|summary| summary.board.keys.clone()));
    let fresh = move || summary.with(|summary| summary.board.fresh_key.clone()).unwrap_or_default();
    let (name, robot) = (NodeRef::<Input>::new(), NodeRef::<Input>::new());
    let copied = RwSignal::new(false);
    let copy = engine(hosted, move |hosted| {
        hosted.copy_key();
        copied.set(true);
    });
    let forget = engine(hosted, move |hosted| {
        hosted.forget_key();
        copied.set(false);
    });
    let make = submitted(move || {
        let typed = |field: NodeRef<Input>| {
            let field = field.get_untracked()?;
            let text = field.value();
            field.set_value("");
            Some(text)
        };
        if let (Some(name), Some(robot)) = (typed(name), typed(robot)) {
            copied.set(false);
            hosted.with_value(|hosted| hosted.create_key(&name, &robot));
        }
    });
    let row = move |key: KeyRow| view! { <Key hosted key /> }.into_any();
    view! {
        <section class="card keys">
            <h2>"Keys for robots"</h2>
            <div class="alert info fresh" hidden=flag(move || fresh().1.is_empty())>
                <p>
                    "This is the key of " <strong>{text(move || fresh().0)}</strong> ". It is shown only now."
                </p>
                <code id="fresh-key">{text(move || fresh().1)}</code>
                <div class="choices">
                    <button id="copy-key" class="go" on:click=copy>
                        {text(move || if copied.get() { "Copied" } else { "Copy" }.to_owned())}
                    </button>
                    <button id="forget-key" class="quiet" on:click=forget>"I have it"</button>
                </div>
            </div>
            <ul class="rows">{move || keys.get().into_iter().map(row).collect::<Vec<_>>()}</ul>
            <form class="row" on:submit=make>
                <input
                    id="key-name"
                    node_ref=name
                    required=true
                    maxlength="100"
                    placeholder="Name, e.g. Lab 1"
                    aria-label="Name of the new key"
                />
                <input
                    id="key-robot"
                    node_ref=robot
                    maxlength="100"
                    placeholder="Robot id (optional)"
                    aria-label="Robot id, optional"
                />
                <button id="create-key" type="submit">"Make a key"</button>
            </form>
        </section>
    }
}

#[component]
fn Key(hosted: HostedHandle, key: KeyRow) -> impl IntoView {
    let asking = RwSignal::new(false);
    let id = key.id;
    // To the minute is enough to tell keys apart that are in use.
    let used = key.used.as_deref().map_or_else(
        || "never used".to_owned(),
        |used| format!("used {}", used.get(..16).unwrap_or(used).replace('T', " ")),
    );
    let robot = key.robot.map(|robot| format!("{} · ", robot.rsplit(':').next().unwrap_or_default()));
    let about = format!(" · {}{used}", robot.unwrap_or_default());
    let asks = move || asking.get();
    view! {
        <li class="key">
            <div class="who">
                <strong>{key.name}</strong>
                <span><code>{format!("{}…", key.prefix)}</code> {about}</span>
            </div>
            <div class="choices">
                <button class="quiet revoke" hidden=flag(asks) on:click=click(move || asking.set(true))>"Revoke"</button>
                <button class="quiet" hidden=flag(move || !asks()) on:click=click(move || asking.set(false))>"Keep"</button>
                <button
                    class="quiet bad confirm-revoke"
                    hidden=flag(move || !asks())
                    on:click=engine(hosted, move |hosted| hosted.revoke_key(&id))
                >
                    "Revoke for good"
                </button>
            </div>
        </li>
    }
}
