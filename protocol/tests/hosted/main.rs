//! The hosted wire from outside, natively and in a browser; properties natively only. The operator's side and what
//! commands may move have tests of their own beside this folder.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/json.rs"]
mod json;
mod lcm;
mod messages;
mod pure;
mod rest;
mod vectors;

#[cfg(not(target_arch = "wasm32"))]
#[path = "../common/corpus.rs"]
mod corpus;
#[cfg(not(target_arch = "wasm32"))]
mod encode;
#[cfg(not(target_arch = "wasm32"))]
mod properties;
#[cfg(not(target_arch = "wasm32"))]
mod seeds;

#[cfg(target_arch = "wasm32")]
wasm_bindgen_test::wasm_bindgen_test_configure!(run_in_browser);
