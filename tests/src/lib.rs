//! What integration tests and benches share.
