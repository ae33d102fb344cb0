//! `waldo serve`: everything put together.
