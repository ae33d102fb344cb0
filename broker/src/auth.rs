//! Who calls: robots by key, operators by token.
//!
//! Tokens come from this broker (local mode) or from an identity provider (OIDC mode, where the broker only verifies). A robot's key
//! leads to its owner, an e-mail address, and that is the tenant.

mod keys;
mod oidc;
mod passwords;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use subtle::ConstantTimeEq;

pub(crate) use self::keys::hex;
pub use self::keys::{PlainKey, is_key};
use self::oidc::Oidc;
pub use self::oidc::{OidcError, OidcSettings};
pub use self::passwords::{PasswordError, Passwords, Strength};
use self::tokens::{Claims, Tokens};
use crate::store::{Store, StoreError, User, now_ms};

/// The key every robot may use in development.
pub const DEV_KEY: &str = "dev-robot-key-change-me";

/// Whose robots come with it.
pub const DEV_OWNER: &str = "dev-robot";

/// The operator's token in development.
pub const DEV_TOKEN: &str = "dev-token";

/// Who comes with it.
const DEV_OPERATOR: &str = "dev-operator";

/// How long after a log-in tokens can be renewed without another.
const LOGIN_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Drives the robots of their own tenant.
    Operator,
    /// Sees all tenants.
    Admin,
}

impl Role {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    fn parse(text: &str) -> Self {
        if text == "admin" { Self::Admin } else { Self::Operator }
    }
}

/// A person who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The e-mail address.
    pub sub: String,
    /// What they may do.
    pub role: Role,
    /// The identity provider's own name for them; `sub` without a provider.
    pub provider_sub: String,
}

impl Operator {
    /// Whether a tenant's sessions exist for this person.
    pub fn sees(&self, owner: &str) -> bool {
        self.role == Role::Admin || self.sub == owner
    }
}

/// A robot that calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Robot {
    /// The tenant.
    pub owner: String,
    /// The first characters of its key.
    pub key_prefix: String,
}

/// Why somebody may not pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuthError {
    /// No token at all.
    #[error("Not authenticated")]
    Missing,
    /// A token that does not hold; why.
    #[error("Invalid token: {0}")]
    Token(String),
    /// The identity provider has not seen to it that the address is theirs.
    #[error("Email not verified")]
    Unverified,
    /// No key, an unknown one or a revoked one.
    #[error("Invalid robot credentials")]
    Robot,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The identity provider does not answer.
    #[error("Invalid token: the identity provider cannot be reached")]
    Provider(#[source] OidcError),
}

/// Checks keys and tokens, and makes tokens.
#[derive(Debug)]
pub struct Auth {
    store: Store,
    tokens: Tokens,
    oidc: Option<Oidc>,
    passwords: Passwords,
    development: bool,
}

impl Auth {
    /// With the secret of the store, and an identity provider if there is one.
    ///
    /// # Errors
    /// [`StoreError`] if the secret cannot be had.
    pub async fn new(
        store: Store,
        oidc: Option<OidcSettings>,
        token_life: Duration,
        strength: Strength,
        development: bool,
    ) -> Result<Arc<Self>, StoreError> {
        let secret = store.secret("tokens", 32).await?;
        let tokens = Tokens::new(&secret, token_life);
        let oidc = oidc.map(Oidc::new);
        Ok(Arc::new(Self { store, tokens, oidc, passwords: Passwords::new(strength), development }))
    }

    /// The identity provider's settings, in OIDC mode.
    pub fn provider(&self) -> Option<&OidcSettings> {
        self.oidc.as_ref().map(Oidc::settings)
    }

    /// Who comes with a key, from the header `X-Robot-API-Key`.
    ///
    /// # Errors
    /// [`AuthError::Robot`], or the store failed.
    pub async fn robot(&self, key: Option<&str>) -> Result<Robot, AuthError> {
        let key = key.ok_or(AuthError::Robot)?;
        if self.development && bool::from(key.as_bytes().ct_eq(DEV_KEY.as_bytes())) {
            return Ok(Robot { owner: DEV_OWNER.to_owned(), key_prefix: keys::prefix(DEV_KEY).to_owned() });
        }
        if !is_key(key) {
            return Err(AuthError::Robot);
        }
        let hash = keys::hash(key);
        let row = self.store.key_by_hash(&hash).await?.ok_or(AuthError::Robot)?;
        // The index has found it; what decides takes the same time wherever two hashes differ.
        if !bool::from(row.key_hash.as_bytes().ct_eq(hash.as_bytes())) {
            return Err(AuthError::Robot);
        }
        self.store.note_key_use(&row, now_ms()).await?;
        Ok(Robot { owner: row.owner_id, key_prefix: row.key_prefix })
    }

    /// Who comes with a token, from the header `Authorization`.
    ///
    /// # Errors
    /// [`AuthError`] says why not.
    pub async fn operator(&self, authorization: Option<&str>) -> Result<Operator, AuthError> {
        let token = bearer(authorization).ok_or(AuthError::Missing)?;
        if self.development && bool::from(token.as_bytes().ct_eq(DEV_TOKEN.as_bytes())) {
            let sub = DEV_OPERATOR.to_owned();
            return Ok(Operator { provider_sub: sub.clone(), sub, role: Role::Admin });
        }
        match &self.oidc {
            Some(oidc) => oidc.verify(token).await,
            None => Ok(self.local(token).await?.1),
        }
    }

    async fn local(&self, token: &str) -> Result<(Claims, Operator), AuthError> {
        let claims = self.tokens.verify(token)?;
        let user = self.store.user(&claims.sub).await?;
        let user = user.ok_or_else(|| AuthError::Token("the account is gone".to_owned()))?;
        if user.tokens_since != claims.generation {
            return Err(AuthError::Token("the password was changed".to_owned()));
        }
        let operator = Operator { provider_sub: user.email.clone(), sub: user.email, role: Role::parse(&user.role) };
        Ok((claims, operator))
    }

    /// A token for who knows the password; none otherwise. Takes as long for an account that does not exist.
    ///
    /// # Errors
    /// The store or the machine failed.
    pub async fn log_in(&self, email: &str, password: &str) -> Result<Option<(String, String)>, PasswordError> {
        let email = normal(email);
        let user = self.store.user(&email).await?;
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        let right = self.passwords.verify(password, hash).await?;
        Ok(user.filter(|_| right).map(|user| (self.token(&user, now_ms()), user.email)))
    }

    /// Makes an account and a token for it; none if there is one of this name, or if robots belong to it already: nobody has seen to it
    /// that the address is the caller's.
    ///
    /// # Errors
    /// The store or the machine failed, or the password is too short.
    pub async fn register(&self, email: &str, password: &str) -> Result<Option<(String, String)>, PasswordError> {
        if self.store.is_owner(&normal(email)).await? {
            return Ok(None);
        }
        Ok(match self.add_user(email, password, Role::Operator).await? {
            Some(user) => Some((self.token(&user, now_ms()), user.email)),
            None => None,
        })
    }

    /// Makes an account; none if there is one of this name.
    ///
    /// # Errors
    /// The store or the machine failed, or name or password are not fit.
    pub async fn add_user(&self, email: &str, password: &str, role: Role) -> Result<Option<User>, PasswordError> {
        add_user(&self.store, &self.passwords, email, password, role).await
    }

    /// A new token in place of one that still holds, until thirty days after the log-in.
    ///
    /// # Errors
    /// [`AuthError`] says why not.
    pub async fn refresh(&self, authorization: Option<&str>) -> Result<(String, String), AuthError> {
        let token = bearer(authorization).ok_or(AuthError::Missing)?;
        let (claims, operator) = self.local(token).await?;
        let now = now_ms();
        let life = i64::try_from(LOGIN_LIFE.as_millis()).unwrap_or(i64::MAX);
        if now - claims.auth_time.saturating_mul(1000) > life {
            return Err(AuthError::Token("the log-in is too long ago".to_owned()));
        }
        let token = self.tokens.issue(&operator.sub, operator.role, claims.generation, claims.auth_time, now);
        Ok((token, operator.sub))
    }

    fn token(&self, user: &User, now: i64) -> String {
        self.tokens.issue(&user.email, Role::parse(&user.role), user.tokens_since, now / 1000, now)
    }
}

/// Makes an account in a store; none if there is one of this name.
///
/// # Errors
/// The store or the machine failed, or name or password are not fit.
pub async fn add_user(
    store: &Store,
    passwords: &Passwords,
    email: &str,
    password: &str,
    role: Role,
) -> Result<Option<User>, PasswordError> {
    let email = normal(email);
    passwords::check_name(&email)?;
    passwords::check(password)?;
    let hash = passwords.hash(password).await?;
    if !store.add_user(&email, &hash, role.as_str(), now_ms()).await? {
        return Ok(None);
    }
    Ok(Some(User { email, password_hash: hash, role: role.as_str().to_owned(), tokens_since: 0 }))
}

/// Changes a password, which voids all tokens; false if there is no such account.
///
/// # Errors
/// The store or the machine failed, or the password is too short.
pub async fn set_password(
    store: &Store,
    passwords: &Passwords,
    email: &str,
    password: &str,
) -> Result<bool, PasswordError> {
    passwords::check(password)?;
    let hash = passwords.hash(password).await?;
    Ok(store.set_password(&normal(email), &hash, now_ms()).await?)
}

/// Names of accounts are compared without regard to case.
fn normal(email: &str) -> String {
    email.trim().to_lowercase()
}

fn bearer(authorization: Option<&str>) -> Option<&str> {
    let (scheme, token) = authorization?.trim().split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}
