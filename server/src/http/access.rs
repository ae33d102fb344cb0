//! Who may pass.
use std::net::IpAddr;
use std::path::Path;

use axum::http::{HeaderMap, Uri};

/// The token cannot be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {}

/// Why a request may not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The token is missing or wrong: 401.
    Token,
    /// A page of another origin asks without the token: 403.
    Origin,
}

/// The one rule: a peer that is not on loopback needs the token; so does a web page of another origin, wherever it
/// runs. `--open` lets everybody in.
#[derive(Debug)]
pub struct Access {}

impl Access {
    /// The stored token, or a new one.
    ///
    /// # Errors
    /// [`AccessError`] names the file.
    pub fn load(_data_dir: &Path, _open: bool) -> Result<Self, AccessError> {
        unimplemented!()
    }

    /// May this request pass? The token is looked for in `?token=` and in `Authorization: Bearer`.
    ///
    /// # Errors
    /// [`Denied`] says why not.
    pub fn check(&self, _peer: IpAddr, _uri: &Uri, _headers: &HeaderMap) -> Result<(), Denied> {
        unimplemented!()
    }
}
