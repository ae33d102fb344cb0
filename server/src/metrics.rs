//! Counters for `/metrics`.
