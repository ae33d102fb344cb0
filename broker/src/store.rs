//! What outlives the process: accounts, keys, sessions, viewers, the audit log, and leases between broker processes.
//!
//! One set of SQL texts serves SQLite and PostgreSQL. Several broker processes may share one database: each change of a session is one
//! conditional statement, so that exactly one of two that contend wins, and the loser learns it.

mod audit;
mod keys;
mod nodes;
mod sessions;
mod unclosed;
mod users;
mod viewers;

use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{AnyPool, Row};

pub use self::audit::AuditEntry;
pub use self::keys::KeyRow;
pub use self::sessions::{Claim, Figures, NewSession, Session, State};
pub use self::users::User;
pub use self::viewers::Viewer;

/// Connections to the database at a time.
const MAX_CONNECTIONS: u32 = 8;

/// How long a request waits for the database.
const PATIENCE: Duration = Duration::from_secs(5);

/// The database failed; the message is for the log, not for callers.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It cannot be opened.
    #[error("the database cannot be opened: {0}")]
    Open(#[source] sqlx::Error),
    /// Its tables cannot be brought up to date.
    #[error("the tables of the database cannot be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A statement failed.
    #[error("the database failed: {0}")]
    Query(#[from] sqlx::Error),
    /// A row says what cannot be.
    #[error("the database holds nonsense: {0}")]
    Nonsense(String),
}

/// Milliseconds since 1970, UTC: how the store keeps moments.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The database.
#[derive(Clone, Debug)]
pub struct Store {
    pool: AnyPool,
}

impl Store {
    /// Opens a database by URL, `sqlite:…` or `postgres://…`, and brings its tables up to date.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be opened or its tables cannot be made.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let sqlite = url.starts_with("sqlite:");
        let options = AnyConnectOptions::from_str(url).map_err(StoreError::Open)?;
        let pool = AnyPoolOptions::new()
            .max_connections(MAX_CONNECTIONS)
            .acquire_timeout(PATIENCE)
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if sqlite {
                        // Readers do not wait for the writer, and a power cut costs the last moments at most.
                        sqlx::raw_sql(
                            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 5000;",
                        )
                        .execute(connection)
                        .await?;
                    }
                    Ok(())
                })
            })
            .connect_with(options)
            .await
            .map_err(StoreError::Open)?;
        sqlx::migrate!("./migrations").run(&pool).await?;
        Ok(Self { pool })
    }

    /// The URL of a SQLite file, made if it does not exist.
    pub fn sqlite_url(file: &Path) -> String {
        // `?` and `%` have a meaning in URLs.
        let path = file.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
        format!("sqlite://{path}?mode=rwc")
    }

    /// Ends all connections.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// If it does not.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").fetch_one(&self.pool).await?;
        Ok(())
    }

    /// A secret of `length` random bytes, made at the first call and the same for all processes ever after.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn secret(&self, name: &str, length: usize) -> Result<Vec<u8>, StoreError> {
        let mut fresh = vec![0; length];
        getrandom::fill(&mut fresh).map_err(|error| StoreError::Nonsense(format!("no random numbers: {error}")))?;
        sqlx::query("INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
            .bind(name)
            .bind(STANDARD.encode(&fresh))
            .execute(&self.pool)
            .await?;
        let row = sqlx::query("SELECT value FROM secrets WHERE name = $1").bind(name).fetch_one(&self.pool).await?;
        let text: String = row.try_get("value")?;
        STANDARD.decode(text).map_err(|_| StoreError::Nonsense(format!("the secret `{name}` is damaged")))
    }

    /// Takes or renews a lease for `holder`; false if somebody else holds it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn take_lease(&self, name: &str, holder: &str, now: i64, life: Duration) -> Result<bool, StoreError> {
        let until = now.saturating_add(i64::try_from(life.as_millis()).unwrap_or(i64::MAX));
        let taken = sqlx::query(
            "INSERT INTO leases (name, holder, until) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until \
             WHERE leases.holder = excluded.holder OR leases.until < $4",
        )
        .bind(name)
        .bind(holder)
        .bind(until)
        .bind(now)
        .execute(&self.pool)
        .await?;
        Ok(taken.rows_affected() == 1)
    }

    /// Gives a lease back, so that another process need not wait for its end.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn drop_lease(&self, name: &str, holder: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM leases WHERE name = $1 AND holder = $2")
            .bind(name)
            .bind(holder)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}
