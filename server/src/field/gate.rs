//! Who may come in, and what they may do there.

use std::net::IpAddr;

use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, Uri};

use super::config::{FieldAccess, FieldConfig};
use super::rights::FieldRights;
use crate::http::presented;

/// A page of an origin that is not on the list asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrongOrigin;

/// The token of a hello is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrongToken;

impl FieldConfig {
    /// What a request lets do: by the token in its address, else by where it comes from. None: a token has to be in its
    /// hello.
    pub(super) fn rights_of(
        &self,
        ip: IpAddr,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Option<FieldRights>, WrongOrigin> {
        let own = |origin: &str| self.origins.iter().any(|own| own.eq_ignore_ascii_case(origin));
        let listed = headers.get(ORIGIN).map(|origin| origin.to_str().is_ok_and(own));
        let mut headers = headers.clone();
        if listed == Some(true) {
            // As if it were our own page.
            headers.remove(ORIGIN);
        } else if listed == Some(false) && !self.origins.is_empty() && !self.is_own_page(&headers) {
            return Err(WrongOrigin);
        }
        if let Some(rights) = presented(uri, &headers).find_map(|token| self.rights_of_token(token)) {
            return Ok(Some(rights));
        }
        let passes = match &self.access {
            FieldAccess::Open => self.tokens.is_empty(),
            FieldAccess::Rule(access) => access.check(ip, uri, &headers).is_ok(),
        };
        Ok(passes.then_some(FieldRights::ALL))
    }

    fn is_own_page(&self, headers: &HeaderMap) -> bool {
        matches!(&self.access, FieldAccess::Rule(access) if access.is_own_page(headers))
    }

    fn rights_of_token(&self, token: &str) -> Option<FieldRights> {
        let all = matches!(&self.access, FieldAccess::Rule(access) if access.is_token(token));
        if all { Some(FieldRights::ALL) } else { self.tokens.rights(token) }
    }

    /// What a hello lets do whose request let do `before`. Where no token is asked for, a wrong one means nothing.
    pub(super) fn rights_of_hello(
        &self,
        token: Option<&str>,
        before: Option<FieldRights>,
    ) -> Result<FieldRights, WrongToken> {
        let needs_none = match &self.access {
            FieldAccess::Open => self.tokens.is_empty(),
            FieldAccess::Rule(access) => access.token().is_none(),
        };
        match token.filter(|token| !token.is_empty()) {
            Some(token) => self.rights_of_token(token).or(before.filter(|_| needs_none)).ok_or(WrongToken),
            None => before.ok_or(WrongToken),
        }
    }
}
