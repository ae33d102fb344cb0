//! The HTTPS listener, its pages, and who may pass.
//!
//! [`bind()`] takes the port, [`site()`] puts the routes together, [`serve()`] answers until told to stop. [`Access`] is the
//! one rule about who may pass. [`sensors()`] shows a robot's sensors to people and scripts.

mod access;
mod bind;
mod connection;
mod holder;
mod plain;
mod sensors;
mod serve;
mod site;

pub use access::{Access, AccessError, Denied};
pub(crate) use access::{is_token_text, presented, random_token};
pub use bind::{BindError, bind, bind_for};
pub(crate) use connection::{Link, link_of};
pub use holder::Holder;
pub use sensors::sensors;
pub use serve::serve;
pub(crate) use serve::{accept, serve_at_most};
pub use site::{Health, Site, site};
