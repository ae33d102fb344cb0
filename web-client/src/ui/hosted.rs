//! The operator's page of hosted teleoperation: logging in, choosing a robot, driving it.

mod arm;
mod board;
mod cockpit;
mod controls;
mod drive;
mod keys;
mod map;
mod sign_in;
mod touch;

use std::rc::Rc;

use leptos::prelude::*;

use crate::emulator;
use crate::hosted::Hosted;
use crate::hosted::summary::{Stage, Summary};
use crate::summary::Presence;
use board::Board;
use cockpit::CockpitView;
use sign_in::SignIn;

/// The engine of the page, as handed from component to component.
type HostedHandle = StoredValue<Rc<Hosted>, LocalStorage>;

#[component]
pub(super) fn HostedPage() -> impl IntoView {
    let summary = RwSignal::new(Summary::default());
    let hosted: HostedHandle = StoredValue::new_local(Hosted::start(move |latest| summary.set(latest)));
    let stage = Memo::new(move |_| summary.with(|summary| summary.stage));
    // An emulated headset draws over the page.
    let hidden = Memo::new(move |_| summary.with(|summary| summary.presence != Presence::Out) && emulator::is_loaded());
    view! {
        <div class="hosted" hidden=move || hidden.get()>
            {move || match stage.get() {
                Stage::Checking => view! { <p class="wait" role="status">"Connecting to the broker…"</p> }.into_any(),
                Stage::SignIn => view! { <SignIn hosted summary /> }.into_any(),
                Stage::Board => view! { <Board hosted summary /> }.into_any(),
                Stage::Cockpit => view! { <CockpitView hosted summary /> }.into_any(),
            }}
        </div>
    }
}
