//! Tokens that this broker makes: HS256 with a secret of the store, so that they outlive a restart and hold at each process.

use std::fmt;
use std::time::Duration;

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde::{Deserialize, Serialize};

use super::{AuthError, Role};

/// Who makes them.
const ISSUER: &str = "waldo-broker";

/// What a token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Claims {
    iss: String,
    /// The e-mail address.
    pub(super) sub: String,
    role: String,
    iat: i64,
    exp: i64,
    /// When the password was given, in seconds.
    pub(super) auth_time: i64,
    /// Which of the account's generations of tokens this one is of.
    #[serde(rename = "gen")]
    pub(super) generation: i64,
    jti: String,
}

/// Makes and verifies tokens.
pub(super) struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    life: Duration,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("life", &self.life).finish_non_exhaustive()
    }
}

impl Tokens {
    pub(super) fn new(secret: &[u8], life: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_required_spec_claims(&["exp", "iss", "sub"]);
        validation.validate_aud = false;
        // One clock makes and checks them.
        validation.leeway = 0;
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            life,
        }
    }

    /// A token; `auth_time` in seconds, `now` in milliseconds.
    pub(super) fn issue(&self, sub: &str, role: Role, generation: i64, auth_time: i64, now: i64) -> String {
        let iat = now / 1000;
        let claims = Claims {
            iss: ISSUER.to_owned(),
            sub: sub.to_owned(),
            role: role.as_str().to_owned(),
            iat,
            exp: iat.saturating_add(i64::try_from(self.life.as_secs()).unwrap_or(i64::MAX)),
            auth_time,
            generation,
            jti: uuid::Uuid::new_v4().to_string(),
        };
        encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .expect("claims of numbers and text can be encoded with a secret")
    }

    pub(super) fn verify(&self, token: &str) -> Result<Claims, AuthError> {
        match decode::<Claims>(token, &self.decoding, &self.validation) {
            Ok(token) => Ok(token.claims),
            Err(error) => Err(AuthError::Token(reason(error.kind()).to_owned())),
        }
    }
}

/// Why a token does not hold, without anything of what it says.
pub(super) fn reason(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::ExpiredSignature => "expired",
        ErrorKind::ImmatureSignature => "not valid yet",
        ErrorKind::InvalidSignature => "wrong signature",
        ErrorKind::InvalidIssuer => "wrong issuer",
        ErrorKind::InvalidAudience => "wrong audience",
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => "wrong algorithm",
        ErrorKind::MissingRequiredClaim(_) => "incomplete",
        _ => "malformed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::now_ms;

    fn tokens() -> Tokens {
        Tokens::new(b"a secret of at least a few bytes", Duration::from_secs(60))
    }

    #[test]
    fn a_token_says_who_made_it_for_whom() {
        let now = now_ms();
        let claims = tokens().verify(&tokens().issue("a@b.c", Role::Admin, 7, 3, now)).unwrap();
        assert_eq!((claims.sub.as_str(), claims.role.as_str(), claims.generation), ("a@b.c", "admin", 7));
        assert_eq!((claims.auth_time, claims.exp - claims.iat), (3, 60));
    }

    #[test]
    fn what_is_old_foreign_or_bent_does_not_hold() {
        let good = tokens().issue("a@b.c", Role::Operator, 0, 0, now_ms());
        let old = tokens().issue("a@b.c", Role::Operator, 0, 0, now_ms() - 61_000);
        let foreign = Tokens::new(b"another secret", Duration::from_secs(60));
        let foreign = foreign.issue("a@b.c", Role::Admin, 0, 0, now_ms());
        let (head, rest) = good.split_once('.').unwrap();
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", rest.split_once('.').unwrap().0);
        for (token, expected) in
            [(old.as_str(), "expired"), (&foreign, "wrong signature"), (head, "malformed"), (&unsigned, "malformed")]
        {
            let error = tokens().verify(token).unwrap_err().to_string();
            assert_eq!(error, format!("Invalid token: {expected}"));
        }
    }
}
