//! The field wire from outside, natively and in a browser; properties natively only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod control_handling;
mod control_vectors;

#[cfg(not(target_arch = "wasm32"))]
mod control_properties;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
