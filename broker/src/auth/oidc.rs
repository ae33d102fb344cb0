//! Tokens of an identity provider: RS256, verified against its published keys.

use std::sync::Mutex as StdMutex;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::tokens::reason;
use super::{AuthError, Operator, Role};

/// How long the provider's keys are used without asking again.
const KEEP: Duration = Duration::from_secs(60 * 60);

/// How long they are used while the provider does not answer: one that it withdrew must not hold for ever.
const KEEP_WITHOUT_PROVIDER: Duration = Duration::from_secs(24 * 60 * 60);

/// How often a key that is not among them makes us ask again.
const ASK_FOR_UNKNOWN: Duration = Duration::from_secs(60);

/// How often we ask while we have none.
const ASK_FOR_ANY: Duration = Duration::from_secs(5);

/// How long the provider may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Largest answer of the provider.
const MAX_KEYS: usize = 256 * 1024;

/// Who vouches for operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OidcSettings {
    /// `iss` of its tokens.
    pub issuer: String,
    /// `aud` of its tokens.
    pub client_id: String,
    /// Where its keys are; `<issuer>/.well-known/jwks.json` by default.
    pub jwks_url: Option<String>,
    /// What `GET /auth/config` tells pages: region and pool of an Amazon Cognito provider, else empty.
    pub region: String,
    /// See `region`.
    pub user_pool_id: String,
}

impl OidcSettings {
    fn keys_url(&self) -> String {
        let own = || format!("{}/.well-known/jwks.json", self.issuer.trim_end_matches('/'));
        self.jwks_url.clone().unwrap_or_else(own)
    }
}

/// The provider's keys cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OidcError {
    /// It does not answer, or with an error.
    #[error("the identity provider's keys cannot be fetched: {0}")]
    Fetch(#[from] reqwest::Error),
    /// The answer is no set of keys.
    #[error("the identity provider's keys cannot be read: {0}")]
    Read(String),
    /// It was asked a moment ago.
    #[error("the identity provider was asked a moment ago")]
    TooSoon,
}

#[derive(Default)]
struct Known {
    keys: Option<(JwkSet, Instant)>,
    asked: Option<Instant>,
}

/// Verifies tokens.
pub(super) struct Oidc {
    settings: OidcSettings,
    known: StdMutex<Known>,
    /// Held while asking, so that one asks for all.
    asking: Mutex<()>,
}

impl std::fmt::Debug for Oidc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Oidc").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}

/// What a token says. `email_verified` is a text at some providers.
#[derive(Deserialize)]
struct IdClaims {
    sub: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    email_verified: serde_json::Value,
    #[serde(default)]
    token_use: String,
    #[serde(default, rename = "cognito:groups")]
    groups: Vec<String>,
}

impl Oidc {
    pub(super) fn new(settings: OidcSettings) -> Self {
        Self { settings, known: StdMutex::default(), asking: Mutex::default() }
    }

    pub(super) fn settings(&self) -> &OidcSettings {
        &self.settings
    }

    pub(super) async fn verify(&self, token: &str) -> Result<Operator, AuthError> {
        let header = decode_header(token).map_err(|error| AuthError::Token(reason(error.kind()).to_owned()))?;
        if header.alg != Algorithm::RS256 {
            return Err(AuthError::Token("wrong algorithm".to_owned()));
        }
        let kid = header.kid.ok_or_else(|| AuthError::Token("no key id".to_owned()))?;
        let key = self.key(&kid).await?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&[&self.settings.client_id]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = 5;
        let claims: IdClaims =
            decode(token, &key, &validation).map_err(|error| AuthError::Token(reason(error.kind()).to_owned()))?.claims;
        if claims.token_use != "id" {
            return Err(AuthError::Token("not an ID token".to_owned()));
        }
        let verified = claims.email_verified == true || claims.email_verified == "true";
        if !verified {
            return Err(AuthError::Unverified);
        }
        if claims.email.is_empty() || claims.email.contains('\0') {
            return Err(AuthError::Token("no e-mail address".to_owned()));
        }
        let role = if claims.groups.iter().any(|group| group == "admin") { Role::Admin } else { Role::Operator };
        // As `key add --owner` writes it: otherwise these would be two tenants.
        Ok(Operator { sub: super::normal(&claims.email), role, provider_sub: claims.sub })
    }

    async fn key(&self, kid: &str) -> Result<DecodingKey, AuthError> {
        if let Some(key) = self.cached(kid, true) {
            return key;
        }
        let _one = self.asking.lock().await;
        // Somebody may have asked while we waited.
        if let Some(key) = self.cached(kid, true) {
            return key;
        }
        if let Err(error) = self.ask().await {
            if !matches!(error, OidcError::TooSoon) {
                tracing::warn!("{error}");
            }
            // Old keys are better than none.
            if let Some(key) = self.cached(kid, false) {
                return key;
            }
            let known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).keys.is_some();
            return Err(if known { unknown() } else { AuthError::Provider(error) });
        }
        self.cached(kid, false).unwrap_or_else(|| Err(unknown()))
    }

    fn cached(&self, kid: &str, fresh: bool) -> Option<Result<DecodingKey, AuthError>> {
        let known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (keys, at) = known.keys.as_ref()?;
        if at.elapsed() > if fresh { KEEP } else { KEEP_WITHOUT_PROVIDER } {
            return None;
        }
        let key = keys.find(kid)?;
        Some(DecodingKey::from_jwk(key).map_err(|_| AuthError::Token("its key cannot be used".to_owned())))
    }

    async fn ask(&self) -> Result<(), OidcError> {
        {
            let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let pause = match &known.keys {
                Some((_, at)) if at.elapsed() <= KEEP => ASK_FOR_UNKNOWN,
                _ => ASK_FOR_ANY,
            };
            if known.asked.is_some_and(|asked| asked.elapsed() < pause) {
                return Err(OidcError::TooSoon);
            }
            known.asked = Some(Instant::now());
        }
        let client = reqwest::Client::builder().timeout(PATIENCE).build()?;
        let mut response = client.get(self.settings.keys_url()).send().await?.error_for_status()?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_KEYS {
                return Err(OidcError::Read("too much".to_owned()));
            }
            body.extend_from_slice(&chunk);
        }
        let keys: JwkSet = serde_json::from_slice(&body).map_err(|error| OidcError::Read(error.to_string()))?;
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner).keys = Some((keys, Instant::now()));
        Ok(())
    }
}

fn unknown() -> AuthError {
    AuthError::Token("unknown key".to_owned())
}
