//! A real broker, asked over real sockets.

mod accounts;
mod client;
mod engine;
mod lifecycle;
mod limits;
mod postgres;
mod security;
mod sessions;
mod vectors;
mod viewers;
