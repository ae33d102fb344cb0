//! Which robots there are, and the keys with which robots come here.

use leptos::prelude::*;

use super::HostedHandle;
use super::keys::Keys;
use crate::hosted::summary::{Availability, Kind, Row, Summary};

#[component]
pub(super) fn Board(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let account = Memo::new(move |_| summary.with(|s| (s.board.account.clone(), s.board.admin)));
    let trouble = Memo::new(move |_| summary.with(|summary| summary.board.trouble.clone()));
    let broker = Memo::new(move |_| summary.with(|s| (s.board.broker.clone(), s.board.offline)));
    view! {
        <header class="top">
            <h1>"Waldo"</h1>
            <p class="robot-name">
                <strong>{move || account.get().0}</strong>
                <span>{move || if account.get().1 { "administrator" } else { "" }}</span>
            </p>
            <p class=move || if broker.get().1 { "status bad" } else { "status good" } role="status">
                {move || if broker.get().1 { "Broker does not answer".to_owned() } else { broker.get().0 }}
            </p>
            <button id="log-out" class="inline" on:click=move |_| hosted.with_value(|hosted| hosted.log_out())>
                "Log out"
            </button>
        </header>
        <main>
            <div class="column wide">
                <Robots hosted summary />
                <Show when=move || trouble.get().is_some()>
                    <p class="alert" role="alert">{move || trouble.get()}</p>
                </Show>
            </div>
            <div class="column">
                <Keys hosted summary />
                <section class="card guide">
                    <h2>"How to bring a robot here"</h2>
                    <p class="note">"Make a key, then start the robot with it:"</p>
                    <pre><code>
                        {move || {
                            format!(
                                "export WALDO_HOSTED_KEY=dtk_…\nwaldo serve \\\n  --hosted-broker {}",
                                broker.get().0,
                            )
                        }}
                    </code></pre>
                    <p class="note">
                        "The robot only makes connections outwards, so no port has to be opened. It appears in the list within a second."
                    </p>
                </section>
            </div>
        </main>
    }
}

#[component]
fn Robots(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let robots = Memo::new(move |_| summary.with(|summary| summary.board.robots.clone()));
    let count = move || robots.with(|robots| robots.as_ref().map_or(0, Vec::len));
    let microphone = RwSignal::new(hosted.with_value(|hosted| hosted.wants_microphone()));
    view! {
        <section class="card robots">
            <div class="title">
                <h2>"Robots"</h2>
                <button id="refresh" class="inline" on:click=move |_| hosted.with_value(|hosted| hosted.refresh())>
                    "Refresh"
                </button>
            </div>
            <Show
                when=move || count() != 0
                fallback=move || {
                    view! {
                        <p class="empty">
                            {move || if robots.with(Option::is_none) {
                                "Looking for robots…"
                            } else {
                                "No robot is online. One that starts appears here by itself."
                            }}
                        </p>
                    }
                }
            >
                <ul class="rows">
                    <For
                        each=move || robots.get().unwrap_or_default()
                        key=|row| format!("{row:?}")
                        let:row
                    >
                        <Robot hosted summary row />
                    </For>
                </ul>
            </Show>
            <label class="check note">
                <input
                    id="take-microphone"
                    type="checkbox"
                    prop:checked=move || microphone.get()
                    on:change=move |event| {
                        let wanted = event_target_checked(&event);
                        microphone.set(wanted);
                        hosted.with_value(|hosted| hosted.want_microphone(wanted));
                    }
                />
                "Take my microphone along, muted until I say otherwise"
            </label>
        </section>
    }
}

#[component]
fn Robot(hosted: HostedHandle, summary: RwSignal<Summary>, row: Row) -> impl IntoView {
    let can_present = Memo::new(move |_| summary.with(|summary| summary.support.can_present()));
    let admin = summary.with_untracked(|summary| summary.board.admin);
    let taking = RwSignal::new(false);
    let session = StoredValue::new(row.session.clone());
    let connect = move |viewer, vr| {
        session.with_value(|session| hosted.with_value(|hosted| hosted.connect(session, viewer, vr)));
    };
    let take_over = move |_| {
        session.with_value(|session| hosted.with_value(|hosted| hosted.take_over(session)));
    };
    let (state, dot) = match &row.availability {
        _ if row.alarm.is_some() => (row.alarm.clone().unwrap_or_default(), "bad"),
        Availability::Free => ("free".to_owned(), "good"),
        Availability::Mine => ("driven by you".to_owned(), "busy"),
        Availability::Busy(who) => (format!("driven by {who}"), "busy"),
        Availability::Foreign => ("speaks LiveKit, which this page does not".to_owned(), "idle"),
    };
    let kind = if row.kind == Kind::Arm { "arm" } else { "base" };
    let figures = [
        row.rtt_ms.map(|rtt| format!("{rtt:.0} ms")),
        row.loss_pct.filter(|loss| *loss > 0.0).map(|loss| format!("{loss:.1} % lost")),
        (row.viewers > 0).then(|| format!("{} watching", row.viewers)),
    ];
    let figures = figures.into_iter().flatten().collect::<Vec<_>>().join(" · ");
    let free = matches!(row.availability, Availability::Free | Availability::Mine);
    let busy = matches!(row.availability, Availability::Busy(_));
    let reachable = row.availability != Availability::Foreign;
    let label = match row.availability {
        Availability::Mine => "Reclaim",
        Availability::Free => "Connect",
        Availability::Busy(_) | Availability::Foreign => "Busy",
    };
    view! {
        <li class="robot" data-session=row.session.clone()>
            <span class=format!("dot {dot}")></span>
            <div class="who">
                <strong>{row.name.clone()}</strong>
                <span>
                    {kind} {(!row.robot.is_empty()).then(|| format!(" · {}", row.robot))} " · " {state}
                </span>
                <span class="figures">{figures}</span>
            </div>
            <div class="choices">
                <Show when=move || reachable>
                    <button class="quiet watch" on:click=move |_| connect(true, false)>"Watch"</button>
                </Show>
                <Show when=move || busy>
                    <button class="quiet take-over" on:click=move |_| taking.set(true)>"Take over…"</button>
                </Show>
                <Show when=move || free && can_present.get()>
                    <button class="quiet in-vr" on:click=move |_| connect(false, true)>{label} " in VR"</button>
                </Show>
                <button class="go connect" disabled=!free on:click=move |_| connect(false, false)>{label}</button>
            </div>
            <Show when=move || taking.get()>
                <div class="alert caution ask" role="alertdialog">
                    <p>
                        {if admin { "Somebody is driving this robot. " } else { "A person of your own account is driving this robot. " }}
                        "Taking over stops it first, and they lose it at once."
                    </p>
                    <div class="choices">
                        <button class="quiet" on:click=move |_| taking.set(false)>"Leave it"</button>
                        <button class="go confirm-take-over" on:click=take_over>"Take over"</button>
                    </div>
                </div>
            </Show>
        </li>
    }
}
