//! The token of a person who is logged in: whose it is and how long it lives, as far as the page must know. Nothing is
//! verified here; that is the broker's part.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// A token with less of its life left is renewed, seconds.
pub const RENEW_S: f64 = 60.0;

/// What a token says about itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// Whose it is; empty if it does not say.
    pub subject: String,
    /// Unix time of its end, seconds; `None` for one that does not end, or does not say.
    pub expires: Option<f64>,
}

impl Claims {
    /// Reads the middle part of a JSON web token; nothing is known of a token of another kind.
    pub fn of(token: &str) -> Self {
        let claims = token.split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part.trim_end_matches('=')).ok());
        let Some(claims) = claims.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()) else {
            return Self::default();
        };
        let subject = claims["email"].as_str().or_else(|| claims["sub"].as_str());
        Self { subject: subject.unwrap_or_default().to_owned(), expires: claims["exp"].as_f64() }
    }

    /// Whether it is time to renew it. `now`: Unix time, seconds.
    pub fn wants_renewal(&self, now: f64) -> bool {
        self.expires.is_some_and(|expires| expires - now < RENEW_S)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("head.{}.signature", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn a_token_is_renewed_in_its_last_minute() {
        let claims = Claims::of(&token(r#"{"sub":"amy@example.org","exp":1000}"#));
        assert_eq!(claims, Claims { subject: "amy@example.org".to_owned(), expires: Some(1000.0) });
        assert!(!claims.wants_renewal(940.0));
        assert!(claims.wants_renewal(941.0));
        assert!(claims.wants_renewal(2000.0));
    }

    #[test]
    fn a_token_that_is_none_lives_as_long_as_the_broker_takes_it() {
        for text in ["dev-token", "", "a.b.c", &token("[]")] {
            assert!(!Claims::of(text).wants_renewal(1e12), "{text}");
        }
    }
}
