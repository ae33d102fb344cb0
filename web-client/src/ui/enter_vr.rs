//! The buttons that lead into the headset, out of it, and to an emulated one.

use std::rc::Rc;

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::engine::Engine;
use crate::field::Field;
use crate::summary::{Presence, Support};

/// What can be presented in a headset.
pub trait Presents: 'static {
    /// Begins. Called inside a click.
    fn enter(self: &Rc<Self>);
    /// Ends.
    fn leave(&self);
    /// Replaces the browser's WebXR by an emulated headset. False if it could not be loaded.
    fn emulate_headset(self: Rc<Self>) -> impl Future<Output = bool>;
}

impl Presents for Engine {
    fn enter(self: &Rc<Self>) {
        self.enter();
    }
    fn leave(&self) {
        self.leave();
    }
    async fn emulate_headset(self: Rc<Self>) -> bool {
        Engine::emulate_headset(&self).await
    }
}

impl Presents for Field {
    fn enter(self: &Rc<Self>) {
        self.enter();
    }
    fn leave(&self) {
        self.leave_vr();
    }
    async fn emulate_headset(self: Rc<Self>) -> bool {
        Field::emulate_headset(&self).await
    }
}

/// `ready`: there is something to be done in the headset. `emulating`: an emulated one is there, or on its way.
#[component]
pub fn EnterVr<P: Presents>(
    page: StoredValue<Rc<P>, LocalStorage>,
    support: Memo<Support>,
    presence: Memo<Presence>,
    ready: Signal<bool>,
    emulating: RwSignal<bool>,
    leave: &'static str,
) -> impl IntoView {
    let can_enter = move || support.get().can_present() && presence.get() == Presence::Out && ready.get();
    // A headset has its own runtime: the emulator would only be in the way.
    let offer_emulator = move || !emulating.get() && !support.get().can_present() && support.get() != Support::NoWebGl2;
    let emulate = move |_| {
        emulating.set(true);
        let page = page.with_value(Rc::clone);
        // Should it fail, its button comes back.
        spawn_local(async move { emulating.set(page.emulate_headset().await) });
    };
    view! {
        <Show
            when=move || matches!(presence.get(), Presence::Out | Presence::Entering)
            fallback=move || {
                view! {
                    <button id="leave-vr" class="primary" on:click=move |_| page.with_value(|page| page.leave())>
                        {leave}
                    </button>
                }
            }
        >
            <button
                id="enter-vr"
                class="primary"
                disabled=move || !can_enter()
                on:click=move |_| page.with_value(Presents::enter)
            >
                {move || if presence.get() == Presence::Entering { "Entering VR…" } else { "Enter VR" }}
            </button>
        </Show>
        <Show when=offer_emulator>
            <button id="emulate" on:click=emulate>"Emulate a headset"</button>
        </Show>
    }
}
