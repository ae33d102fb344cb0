//! The policy wire from outside: vectors and limits, natively and in a browser; properties and the fuzzers' seeds
//! natively only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod encode;
#[path = "../common/json.rs"]
mod json;
mod limits;
mod vectors;

#[cfg(not(target_arch = "wasm32"))]
#[path = "../common/corpus.rs"]
mod corpus;
#[cfg(not(target_arch = "wasm32"))]
mod properties;
#[cfg(not(target_arch = "wasm32"))]
mod seeds;
#[cfg(not(target_arch = "wasm32"))]
mod strategies;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
