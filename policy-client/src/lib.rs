//! The policy's side of the policy wire.
