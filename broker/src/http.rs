//! The listener: TLS if wanted, bounded in connections and time; and the pages.

mod bounded;
mod pages;
mod serve;
mod tls;

pub(crate) use self::pages::pages;
pub(crate) use self::serve::{Listener, Secure};
pub use self::tls::{Tls, TlsError};
