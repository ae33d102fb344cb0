//! The field: arms of several people in one scene, to be driven from a headset or watched on any screen.
//!
//! As elsewhere in the app, an engine outside the reactive graph owns socket, scene, drawing and presentation; the page
//! shows its [`summary::Summary`]. What needs no browser builds natively, for its tests.

pub mod fly;
pub mod meshes;
pub mod model;
pub mod pace;
pub mod picture;
pub mod session;
pub mod summary;
pub mod tube;
pub mod words;

#[cfg(target_arch = "wasm32")]
mod address;
#[cfg(target_arch = "wasm32")]
mod engine;
#[cfg(target_arch = "wasm32")]
mod operator;
#[cfg(target_arch = "wasm32")]
mod report;
#[cfg(target_arch = "wasm32")]
mod screen;
#[cfg(target_arch = "wasm32")]
mod view;

#[cfg(target_arch = "wasm32")]
pub(crate) use engine::Field;
#[cfg(target_arch = "wasm32")]
pub(crate) use screen::has_mouse;
