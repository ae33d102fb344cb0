//! Logging in, and making an account.

use leptos::ev::SubmitEvent;
use leptos::html::Input;
use leptos::prelude::*;
use waldo_protocol::hosted::Credentials;

use super::HostedHandle;
use super::cockpit::{click, flag, text};
use crate::hosted::summary::{LogIn, Summary};

#[component]
pub(super) fn SignIn(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    // Known before this is shown.
    let local = summary.with_untracked(|summary| summary.board.log_in) == LogIn::Local;
    let trouble = move || summary.with(|summary| summary.board.trouble.clone()).unwrap_or_default();
    let door =
        if local { view! { <Account hosted summary /> }.into_any() } else { view! { <Token hosted /> }.into_any() };
    view! {
        <main class="door">
            <div class="brand">
                <svg viewBox="0 0 64 64" width="56" height="56" aria-hidden="true">
                    <rect width="64" height="64" rx="15" fill="#12302d" />
                    <path
                        d="M18 52V36l16-14M36 12l10 2 4 10M34 22l2-10M34 22l16 2M11 53h14"
                        fill="none"
                        stroke="#5fd3bf"
                        stroke-width="5"
                        stroke-linecap="round"
                        stroke-linejoin="round"
                    />
                </svg>
                <h1>"Waldo"</h1>
                <p>"Drive your robots from anywhere"</p>
            </div>
            <section class="card">
                {door}
                <p class="alert" role="alert" hidden=flag(move || trouble().is_empty())>{text(trouble)}</p>
            </section>
            <p class="note">"Broker " {text(move || summary.with(|summary| summary.board.broker.clone()))}</p>
        </main>
    }
}

/// What a form does instead of loading another page.
pub(super) fn submitted(run: impl Fn() + 'static) -> Box<dyn FnMut(SubmitEvent)> {
    Box::new(move |event| {
        event.prevent_default();
        run();
    })
}

#[component]
fn Account(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let busy = move || summary.with(|summary| summary.board.busy);
    let (email, password) = (NodeRef::<Input>::new(), NodeRef::<Input>::new());
    let register = RwSignal::new(false);
    let title = move || if register.get() { "Create an account" } else { "Log in" };
    let go = submitted(move || {
        if let (Some(email), Some(password)) = (email.get_untracked(), password.get_untracked()) {
            let credentials = Credentials { email: email.value().trim().to_owned(), password: password.value() };
            hosted.with_value(|hosted| hosted.log_in(credentials, register.get_untracked()));
        }
    });
    view! {
        <h2>{text(move || title().to_owned())}</h2>
        <form class="fields" on:submit=go>
            <label for="email">"E-mail"</label>
            <input id="email" type="email" required=true autocomplete="username" autofocus=true node_ref=email />
            <label for="password">"Password"</label>
            <input
                id="password"
                type="password"
                required=true
                minlength=text(move || if register.get() { "8" } else { "1" }.to_owned())
                autocomplete=text(move || if register.get() { "new-password" } else { "current-password" }.to_owned())
                node_ref=password
            />
            <button id="log-in" class="primary" type="submit" disabled=flag(busy)>
                {text(move || if busy() { "One moment…" } else { title() }.to_owned())}
            </button>
        </form>
        <p class="note">
            {text(move || if register.get() { "You have an account? " } else { "New here? " }.to_owned())}
            <button
                id="other-door"
                class="link"
                type="button"
                on:click=click(move || register.update(|on| *on = !*on))
            >
                {text(move || if register.get() { "Log in" } else { "Create an account" }.to_owned())}
            </button>
        </p>
    }
}

/// Where accounts are somebody else's matter: the token that was got there.
#[component]
fn Token(hosted: HostedHandle) -> impl IntoView {
    let token = NodeRef::<Input>::new();
    let go = submitted(move || {
        if let Some(token) = token.get_untracked() {
            hosted.with_value(|hosted| hosted.use_token(&token.value()));
        }
    });
    view! {
        <h2>"Log in"</h2>
        <p class="note">"This broker takes the identity tokens of your organisation’s provider."</p>
        <form class="fields" on:submit=go>
            <label for="identity">"Identity token"</label>
            <input id="identity" type="password" required=true autocomplete="off" node_ref=token />
            <button id="log-in" class="primary" type="submit">"Log in"</button>
        </form>
    }
}
