//! What the programs `waldo` and `waldo-broker` have in common: where settings come from ([`Sources`]), logs ([`log`]),
//! how they end ([`finish`]), and the web app that both serve ([`Pages`]).
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod ending;
pub mod log;
mod pages;
mod sources;

pub use self::ending::{finish, misused, stopped};
pub use self::pages::Pages;
pub use self::sources::{SettingError, Sources};
