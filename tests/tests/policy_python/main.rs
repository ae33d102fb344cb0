//! The policy wire between this implementation and the one in `tests/python`, which knows nothing of it: the same bytes,
//! and every value to the bit.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails, in its helpers too")]

mod driver;
#[path = "../../../protocol/tests/policy/encode.rs"]
#[expect(dead_code, reason = "shared with other tests, which use the rest")]
mod encode;
mod played;
mod random;
mod report;
mod served;
mod wire;
