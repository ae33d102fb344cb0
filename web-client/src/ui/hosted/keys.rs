//! The keys with which robots log in: made, shown once, revoked.

use leptos::prelude::*;

use super::HostedHandle;
use crate::hosted::summary::{KeyRow, Summary};

#[component]
pub(super) fn Keys(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let keys = Memo::new(move |_| summary.with(|summary| summary.board.keys.clone()));
    let fresh = Memo::new(move |_| summary.with(|summary| summary.board.fresh_key.clone()));
    let (name, robot) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let copied = RwSignal::new(false);
    view! {
        <section class="card keys">
            <h2>"Keys for robots"</h2>
            <Show when=move || fresh.get().is_some()>
                <div class="alert info fresh">
                    <p>
                        "This is the key of " <strong>{move || fresh.get().map(|(name, _)| name)}</strong>
                        ". It is shown only now."
                    </p>
                    <code id="fresh-key">{move || fresh.get().map(|(_, key)| key)}</code>
                    <div class="choices">
                        <button
                            id="copy-key"
                            class="go"
                            on:click=move |_| {
                                hosted.with_value(|hosted| hosted.copy_key());
                                copied.set(true);
                            }
                        >
                            {move || if copied.get() { "Copied" } else { "Copy" }}
                        </button>
                        <button
                            class="quiet"
                            on:click=move |_| {
                                hosted.with_value(|hosted| hosted.forget_key());
                                copied.set(false);
                            }
                        >
                            "I have it"
                        </button>
                    </div>
                </div>
            </Show>
            <ul class="rows">
                <For each=move || keys.get() key=|key| format!("{key:?}") let:key>
                    <Key hosted key />
                </For>
            </ul>
            <form
                class="row"
                on:submit=move |event| {
                    event.prevent_default();
                    hosted.with_value(|hosted| hosted.create_key(&name.get_untracked(), &robot.get_untracked()));
                    name.set(String::new());
                    robot.set(String::new());
                    copied.set(false);
                }
            >
                <input
                    id="key-name"
                    required=true
                    maxlength="100"
                    placeholder="Name, e.g. Lab 1"
                    aria-label="Name of the new key"
                    prop:value=move || name.get()
                    on:input=move |event| name.set(event_target_value(&event))
                />
                <input
                    id="key-robot"
                    maxlength="100"
                    placeholder="Robot id (optional)"
                    aria-label="Robot id, optional"
                    prop:value=move || robot.get()
                    on:input=move |event| robot.set(event_target_value(&event))
                />
                <button id="create-key" type="submit">"Make a key"</button>
            </form>
        </section>
    }
}

#[component]
fn Key(hosted: HostedHandle, key: KeyRow) -> impl IntoView {
    let asking = RwSignal::new(false);
    let id = StoredValue::new(key.id);
    // To the minute is enough to tell keys apart that are in use.
    let used = key.used.as_deref().map_or_else(
        || "never used".to_owned(),
        |used| format!("used {}", used.get(..16).unwrap_or(used).replace('T', " ")),
    );
    let robot = key.robot.map(|robot| format!(" · {}", robot.rsplit(':').next().unwrap_or_default()));
    view! {
        <li class="key">
            <div class="who">
                <strong>{key.name}</strong>
                <span><code>{key.prefix} "…"</code> {robot} " · " {used}</span>
            </div>
            <div class="choices">
                <Show
                    when=move || asking.get()
                    fallback=move || {
                        view! { <button class="quiet revoke" on:click=move |_| asking.set(true)>"Revoke"</button> }
                    }
                >
                    <button class="quiet" on:click=move |_| asking.set(false)>"Keep"</button>
                    <button
                        class="quiet bad confirm-revoke"
                        on:click=move |_| id.with_value(|id| hosted.with_value(|hosted| hosted.revoke_key(id)))
                    >
                        "Revoke for good"
                    </button>
                </Show>
            </div>
        </li>
    }
}
