//! Logging in, and making an account.

use leptos::prelude::*;
use waldo_protocol::hosted::Credentials;

use super::HostedHandle;
use crate::hosted::summary::{LogIn, Summary};

#[component]
pub(super) fn SignIn(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let log_in = Memo::new(move |_| summary.with(|summary| summary.board.log_in));
    let trouble = Memo::new(move |_| summary.with(|summary| summary.board.trouble.clone()));
    let broker = Memo::new(move |_| summary.with(|summary| summary.board.broker.clone()));
    view! {
        <main class="door">
            <div class="brand">
                <img src="icon.svg" alt="" width="56" height="56" />
                <h1>"Waldo"</h1>
                <p>"Drive your robots from anywhere"</p>
            </div>
            <section class="card">
                {move || match log_in.get() {
                    LogIn::Local => view! { <Account hosted summary /> }.into_any(),
                    LogIn::Provider => view! { <Token hosted /> }.into_any(),
                }}
                <Show when=move || trouble.get().is_some()>
                    <p class="alert" role="alert">{move || trouble.get()}</p>
                </Show>
            </section>
            <p class="note">"Broker " {move || broker.get()}</p>
        </main>
    }
}

#[component]
fn Account(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let busy = Memo::new(move |_| summary.with(|summary| summary.board.busy));
    let (email, password) = (RwSignal::new(String::new()), RwSignal::new(String::new()));
    let register = RwSignal::new(false);
    let title = move || if register.get() { "Create an account" } else { "Log in" };
    view! {
        <h2>{title}</h2>
        <form
            class="fields"
            on:submit=move |event| {
                event.prevent_default();
                let credentials =
                    Credentials { email: email.get_untracked().trim().to_owned(), password: password.get_untracked() };
                hosted.with_value(|hosted| hosted.log_in(credentials, register.get_untracked()));
            }
        >
            <label for="email">"E-mail"</label>
            <input
                id="email"
                type="email"
                required=true
                autocomplete="username"
                autofocus=true
                prop:value=move || email.get()
                on:input=move |event| email.set(event_target_value(&event))
            />
            <label for="password">"Password"</label>
            <input
                id="password"
                type="password"
                required=true
                minlength=move || if register.get() { "8" } else { "1" }
                autocomplete=move || if register.get() { "new-password" } else { "current-password" }
                prop:value=move || password.get()
                on:input=move |event| password.set(event_target_value(&event))
            />
            <button id="log-in" class="primary" type="submit" disabled=move || busy.get()>
                {move || if busy.get() { "One moment…" } else { title() }}
            </button>
        </form>
        <p class="note">
            {move || if register.get() { "You have an account? " } else { "New here? " }}
            <button id="other-door" class="link" type="button" on:click=move |_| register.update(|on| *on = !*on)>
                {move || if register.get() { "Log in" } else { "Create an account" }}
            </button>
        </p>
    }
}

/// Where accounts are somebody else's matter: the token that was got there.
#[component]
fn Token(hosted: HostedHandle) -> impl IntoView {
    let token = RwSignal::new(String::new());
    view! {
        <h2>"Log in"</h2>
        <p class="note">"This broker takes the identity tokens of your organisation’s provider."</p>
        <form
            class="fields"
            on:submit=move |event| {
                event.prevent_default();
                hosted.with_value(|hosted| hosted.use_token(&token.get_untracked()));
            }
        >
            <label for="identity">"Identity token"</label>
            <input
                id="identity"
                type="password"
                required=true
                autocomplete="off"
                prop:value=move || token.get()
                on:input=move |event| token.set(event_target_value(&event))
            />
            <button id="log-in" class="primary" type="submit">"Log in"</button>
        </form>
    }
}
