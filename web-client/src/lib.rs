//! The headset app: a landing page and a WebXR session that drives the robot which serves it.
//!
//! Two halves. The `engine` owns the socket, the peer connection, the XR session and the drawing; it lives outside the
//! reactive graph and is driven by events, XR frames and one slow timer. The `ui` is Leptos: it shows the
//! [`summary::Summary`] which the engine hands over at most ten times a second, and calls the engine's few methods.
//!
//! [`field`] is a second such engine, for the scene of arms that several people share, and [`hosted`] a third, for robots far
//! away; the page shows one of them.
//!
//! What needs no browser ([`answer`], most of [`field`], much of [`hosted`], [`hud`], [`link`], [`panels`], [`pose`], [`press`], [`robot`], [`stop`]) also builds natively,
//! where its tests run.
#![warn(missing_docs)]

pub mod answer;
pub mod field;
pub mod hosted;
pub mod hud;
pub mod link;
pub mod panels;
pub mod pose;
pub mod press;
pub mod robot;
pub mod stop;
pub mod summary;

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(target_arch = "wasm32")]
mod cable;
#[cfg(target_arch = "wasm32")]
mod certificate;
#[cfg(target_arch = "wasm32")]
mod channel;
#[cfg(target_arch = "wasm32")]
mod connection;
#[cfg(target_arch = "wasm32")]
mod emulator;
#[cfg(target_arch = "wasm32")]
mod engine;
#[cfg(target_arch = "wasm32")]
mod paths;
#[cfg(target_arch = "wasm32")]
mod peer;
#[cfg(target_arch = "wasm32")]
mod report;
#[cfg(target_arch = "wasm32")]
mod socket;
#[cfg(target_arch = "wasm32")]
mod target;
#[cfg(target_arch = "wasm32")]
mod ui;
#[cfg(target_arch = "wasm32")]
mod video;
#[cfg(target_arch = "wasm32")]
mod xr;

#[cfg(target_arch = "wasm32")]
#[wasm_bindgen::prelude::wasm_bindgen(start)]
fn start() {
    console_error_panic_hook::set_once();
    ui::mount();
}
