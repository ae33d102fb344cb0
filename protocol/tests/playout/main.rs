//! Playout of pose streams: the interoperability vectors, what the original got wrong, and what holds for every stream.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compatible;
mod expression;
mod low_delay;
#[cfg(not(target_arch = "wasm32"))]
mod properties;
mod stream;
mod vectors;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
