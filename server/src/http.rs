//! The HTTPS listener, its pages, and who may pass.
//!
//! [`bind()`] takes the port, [`site()`] puts the routes together, [`serve()`] answers until told to stop. [`Access`] is the
//! one rule about who may pass.

mod access;
mod bind;
mod connection;
mod holder;
mod pages;
mod plain;
mod serve;
mod site;

pub use access::{Access, AccessError, Denied};
pub use bind::{BindError, bind, bind_for};
pub use holder::Holder;
pub use serve::serve;
pub use site::{Health, Site, site};
