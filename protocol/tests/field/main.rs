//! The field wire from outside, natively and in a browser; properties natively only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod control_handling;
mod control_vectors;
#[path = "../common/json.rs"]
mod json;
mod limits;
mod scenes;
mod vectors;
mod world;

#[cfg(not(target_arch = "wasm32"))]
mod control_properties;
#[cfg(not(target_arch = "wasm32"))]
#[path = "../common/corpus.rs"]
mod corpus;
#[cfg(not(target_arch = "wasm32"))]
mod encode;
#[cfg(not(target_arch = "wasm32"))]
mod properties;
#[cfg(not(target_arch = "wasm32"))]
mod seeds;
#[cfg(not(target_arch = "wasm32"))]
mod strategies;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
