//! The policy's side of the policy wire.

mod address;
mod error;
mod link;
mod options;

pub use address::{Address, AddressError};
pub use error::{ActionError, Error, Lost};
pub use options::Options;
