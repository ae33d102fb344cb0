//! Which robots there are, and the keys with which robots come here.

use leptos::prelude::*;

use super::HostedHandle;
use super::cockpit::{click, engine, flag, text};
use super::drive::changed;
use super::keys::Keys;
use crate::hosted::Hosted;
use crate::hosted::summary::{Availability, Board as BoardSummary, Kind, Row, Summary};

#[component]
pub(super) fn Board(hosted: HostedHandle, summary: RwSignal<Summary>) -> impl IntoView {
    let board = move |of: fn(&BoardSummary) -> String| text(move || summary.with(|summary| of(&summary.board)));
    let offline = move || summary.with(|summary| summary.board.offline);
    let trouble = move || summary.with(|summary| summary.board.trouble.clone()).unwrap_or_default();
    view! {
        <header class="top">
            <h1>"Waldo"</h1>
            <p class="robot-name">
                <strong>{board(|board| board.account.clone())}</strong>
                <span>{board(|board| if board.admin { "administrator" } else { "" }.to_owned())}</span>
            </p>
            <p class=text(move || if offline() { "status bad" } else { "status good" }.to_owned()) role="status">
                {board(|board| if board.offline { "Broker does not answer".to_owned() } else { board.broker.clone() })}
            </p>
            <button id="log-out" class="inline" on:click=engine(hosted, Hosted::log_out)>"Log out"</button>
        </header>
        <main>
            <div class="column">
                <Robots hosted summary />
                <p class="alert" role="alert" hidden=flag(move || trouble().is_empty())>{text(trouble)}</p>
            </div>
            <div class="column">
                <Keys hosted summary />
                <section class="card guide">
                    <h2>"How to bring a robot here"</h2>
                    <p class="note">"Make a key, then start the robot with it:"</p>
                    <pre><code>
                        {board(|board| {
                            format!(
                                "export WALDO_HOSTED_KEY=dtk_…\nwaldo serve \\\n  --hosted-broker {}",
                                board.broker,
                            )
                        })}
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
    let sessions = Memo::new(move |_| {
        summary.with(|summary| {
            let rows = summary.board.robots.as_deref().unwrap_or_default();
            rows.iter().map(|row| row.session.clone()).collect::<Vec<_>>()
        })
    });
    let absence = move || {
        summary.with(|summary| match summary.board.robots.as_deref() {
            None => "Looking for robots…",
            Some([]) => "No robot is online. One that starts appears here by itself.",
            Some(_) => "",
        })
    };
    let wanted = hosted.with_value(|hosted| hosted.wants_microphone());
    view! {
        <section class="card robots">
            <div class="title">
                <h2>"Robots"</h2>
                <button id="refresh" class="inline" on:click=engine(hosted, Hosted::refresh)>"Refresh"</button>
            </div>
            <p class="empty" hidden=flag(move || absence().is_empty())>{text(move || absence().to_owned())}</p>
            <ul class="rows">
                <For each=move || sessions.get() key=Clone::clone let:session>
                    <Robot hosted summary session />
                </For>
            </ul>
            <label class="check note">
                <input
                    id="take-microphone"
                    type="checkbox"
                    checked=wanted
                    on:change=changed(move |event| {
                        hosted.with_value(|hosted| hosted.want_microphone(event_target_checked(event)));
                    })
                />
                "Take my microphone along, muted until I say otherwise"
            </label>
        </section>
    }
}

#[component]
fn Robot(hosted: HostedHandle, summary: RwSignal<Summary>, session: String) -> impl IntoView {
    let taking = RwSignal::new(false);
    let session = StoredValue::new(session);
    let row = move || {
        summary.with(|summary| {
            let mut rows = summary.board.robots.iter().flatten();
            session.with_value(|session| rows.find(|row| row.session == *session).cloned())
        })
    };
    let says = move |of: fn(&Row) -> String| text(move || row().as_ref().map(of).unwrap_or_default());
    let is = move |of: fn(&Row) -> bool| move || row().as_ref().is_some_and(of);
    let connect = move |viewer, vr| {
        engine(hosted, move |hosted| session.with_value(|session| hosted.connect(session, viewer, vr)))
    };
    let take_over = engine(hosted, move |hosted| session.with_value(|session| hosted.take_over(session)));
    let can_present = move || summary.with(|summary| summary.support.can_present());
    let free = is(|row| matches!(row.availability, Availability::Free | Availability::Mine));
    let busy = is(|row| matches!(row.availability, Availability::Busy(_)));
    let foreign = is(|row| row.availability == Availability::Foreign);
    let label = |row: &Row| {
        match row.availability {
            Availability::Mine => "Reclaim",
            Availability::Free => "Connect",
            Availability::Busy(_) | Availability::Foreign => "Busy",
        }
        .to_owned()
    };
    view! {
        <li class="robot">
            <span class=says(|row| format!("dot {}", dot(row)))></span>
            <div class="who">
                <strong>{says(|row| row.name.clone())}</strong>
                <span>{says(about)}</span>
                <span class="figures">{says(figures)}</span>
            </div>
            <div class="choices">
                <button class="quiet watch" hidden=flag(foreign) on:click=connect(true, false)>"Watch"</button>
                <button
                    class="quiet take-over"
                    hidden=flag(move || !busy())
                    on:click=click(move || taking.set(true))
                >
                    "Take over…"
                </button>
                <button
                    class="quiet in-vr"
                    hidden=flag(move || !(free() && can_present()))
                    on:click=connect(false, true)
                >
                    {says(label)} " in VR"
                </button>
                <button class="go connect" disabled=flag(move || !free()) on:click=connect(false, false)>
                    {says(label)}
                </button>
            </div>
            <div class="alert caution ask" role="alertdialog" hidden=flag(move || !(taking.get() && busy()))>
                <p>"Somebody is driving this robot. Taking over stops it first, and they lose it at once."</p>
                <div class="choices">
                    <button class="quiet" on:click=click(move || taking.set(false))>"Leave it"</button>
                    <button class="go confirm-take-over" on:click=take_over>"Take over"</button>
                </div>
            </div>
        </li>
    }
}

fn dot(row: &Row) -> &'static str {
    match &row.availability {
        _ if row.alarm.is_some() => "bad",
        Availability::Free => "good",
        Availability::Mine | Availability::Busy(_) => "busy",
        Availability::Foreign => "idle",
    }
}

fn about(row: &Row) -> String {
    let kind = if row.kind == Kind::Arm { "arm" } else { "base" };
    let state = match &row.availability {
        Availability::Free => "free".to_owned(),
        Availability::Mine => "driven by you".to_owned(),
        Availability::Busy(who) => format!("driven by {who}"),
        Availability::Foreign => "speaks LiveKit, which this page does not".to_owned(),
    };
    let parts = [kind.to_owned(), row.robot.clone(), row.alarm.clone().unwrap_or_default(), state];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
}

fn figures(row: &Row) -> String {
    let figures = [
        row.rtt_ms.map(|rtt| format!("{rtt:.0} ms")),
        row.loss_pct.filter(|loss| *loss > 0.0).map(|loss| format!("{loss:.1} % lost")),
        (row.viewers > 0).then(|| format!("{} watching", row.viewers)),
    ];
    figures.into_iter().flatten().collect::<Vec<_>>().join(" · ")
}
