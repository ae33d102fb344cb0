//! The HTTPS listener, its pages, and who may pass.
//!
//! [`bind`] takes the port, [`site`] puts routes together, [`serve`] answers until told to stop. [`Access`] is the one
//! rule about who may pass.

mod access;
mod bind;
mod serve;
mod site;

pub use access::{Access, AccessError, Denied};
pub use bind::{BindError, bind};
pub use serve::serve;
pub use site::{Site, site};
