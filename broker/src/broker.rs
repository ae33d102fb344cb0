//! A running broker.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Api, ApiSettings, Parts};
use crate::auth::{Auth, PasswordError, PlainKey, Role, hex};
use crate::engine::{self, SfuSettings, Started};
use crate::http::{Listener, Tls, TlsError, pages};
use crate::limits::Limits;
use crate::livekit::Livekit;
use crate::metrics::Metrics;
use crate::sessions::{self, Node, Refusal, Sessions};
use crate::settings::{Environment, Settings};
use crate::sfu::Engine;
use crate::store::{Store, StoreError};
use crate::turn::Turn;

/// How long calls to other brokers of the same database may take.
const FORWARD: Duration = Duration::from_secs(40);

/// How long operations under way may take once the broker stops.
const FAREWELL: Duration = Duration::from_secs(5);

/// Why a broker does not start, or does not do what it is asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// A setting is wrong, or two do not fit.
    #[error("{0}")]
    Settings(String),
    /// The data folder cannot be made.
    #[error("the data folder {}: {source}", path.display())]
    DataDir {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The port cannot be taken.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name or a password is not fit.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// There is one already.
    #[error("{0} exists already")]
    Exists(String),
    /// The engine does not start.
    #[error("the SFU does not start: {0}")]
    Engine(#[source] io::Error),
}

/// A broker that answers. Dropping it stops it without waiting; [`Broker::stop`] ends it in order.
#[derive(Debug)]
pub struct Broker {
    address: SocketAddr,
    https: bool,
    store: Store,
    auth: Arc<Auth>,
    development: bool,
    sessions: Sessions,
    node: String,
    stop: CancellationToken,
    server: Option<JoinHandle<io::Result<()>>>,
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").finish_non_exhaustive()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Broker {
    /// Opens the database, starts the engine, takes the port and answers.
    ///
    /// # Errors
    /// [`BrokerError`] says what is wrong and what to do.
    pub async fn start(settings: Settings) -> Result<Self, BrokerError> {
        check(&settings)?;
        // Another provider may be installed already, in which case it serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let started = engine::start(&settings.sfu).await?;
        Self::start_on(settings, started).await
    }

    /// The same with an engine of the caller's own, outside of this process as far as the store is concerned.
    ///
    /// # Errors
    /// As [`Broker::start`].
    pub async fn start_with(settings: Settings, engine: Arc<dyn Engine>, inside: bool) -> Result<Self, BrokerError> {
        check(&settings)?;
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self::start_on(settings, Started { engine, inside }).await
    }

    async fn start_on(settings: Settings, started: Started) -> Result<Self, BrokerError> {
        let Started { engine, inside } = started;
        let development = settings.environment == Environment::Development;
        let store = open(&settings).await?;
        let host = settings.public_origin.as_deref().and_then(host_of);
        let listener = Listener::bind(settings.listen, &settings.tls, &settings.data_dir, host)
            .map_err(|source| BrokerError::Bind { address: settings.listen, source })??;
        let (address, https) = (listener.address(), settings.tls != Tls::Off);
        let url = settings.node_url.clone().unwrap_or_else(|| url_of(address, https));
        // Not the address: behind a proxy, or in containers, those of several brokers are the same.
        let id = format!("{}:{}", node_name(&settings.data_dir)?, address.port());
        let node = Node { id, url, holds_peers: inside };
        let auth = Auth::new(
            store.clone(),
            settings.oidc.clone(),
            settings.token_life,
            settings.password_strength,
            development,
        )
        .await?;
        let (metrics, stop) = (Metrics::default(), CancellationToken::new());
        let capabilities = engine.capabilities();
        let sessions = Sessions::new(sessions::Parts {
            store: store.clone(),
            engine,
            timers: settings.timers,
            max_viewers: settings.max_viewers,
            max_robots: settings.max_robots,
            node: node.clone(),
            metrics: metrics.clone(),
            stop: stop.clone(),
        });
        sessions.begin_anew().await.map_err(of_refusal)?;
        sessions.watch();
        let proxies = settings.trusted_proxies.clone();
        let api = Api::new(Parts {
            auth: Arc::clone(&auth),
            store: store.clone(),
            sessions: sessions.clone(),
            turn: Turn::new(settings.turn),
            livekit: settings.livekit.map(Livekit::new),
            limits: Limits::default(),
            metrics,
            seen_well: AtomicI64::new(0),
            settings: ApiSettings {
                development,
                registration: settings.registration || development,
                enforce_limits: settings.enforce_rate_limits,
                trusted_proxies: settings.trusted_proxies,
                public_origin: settings.public_origin,
                extensions: api::extensions(capabilities.viewers, capabilities.inject, inside),
            },
            client: crate::sfu::http::inside(FORWARD),
            node_secret: hex(&store.secret("nodes", 32).await?),
        });
        let router = api::router(&api, pages(settings.static_dir));
        let server = tokio::spawn(listener.serve(router, settings.max_connections, proxies, stop.clone()));
        tracing::info!("the broker answers on {}", url_of(address, https));
        Ok(Self { address, https, store, auth, development, sessions, node: node.id, stop, server: Some(server) })
    }

    /// The port it has taken.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it answers, as this machine sees it.
    pub fn url(&self) -> String {
        url_of(self.address, self.https)
    }

    /// Makes an operator's account.
    ///
    /// # Errors
    /// If there is one, or name or password are not fit.
    pub async fn add_user(&self, email: &str, password: &str) -> Result<(), BrokerError> {
        self.add_user_as(email, password, Role::Operator).await
    }

    /// Makes an account.
    ///
    /// # Errors
    /// If there is one, or name or password are not fit.
    pub async fn add_user_as(&self, email: &str, password: &str, role: Role) -> Result<(), BrokerError> {
        let added = self.auth.add_user(email, password, role).await?;
        added.map(|_| ()).ok_or_else(|| BrokerError::Exists(email.to_owned()))
    }

    /// Makes a robot key for an owner.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn add_key(&self, owner: &str, name: &str) -> Result<PlainKey, BrokerError> {
        let key = PlainKey::new(self.development)?;
        self.keep_key(&key, owner, name).await?;
        Ok(key)
    }

    /// Takes over a robot key that exists already.
    ///
    /// # Errors
    /// If the store knows it, or fails.
    pub async fn keep_key(&self, key: &PlainKey, owner: &str, name: &str) -> Result<(), BrokerError> {
        let kept = key.keep(&self.store, owner, name, None).await?;
        kept.map(|_| ()).ok_or_else(|| BrokerError::Exists("this key".to_owned()))
    }

    /// Waits until the broker ends by itself, which only a broken listener makes it do.
    ///
    /// # Errors
    /// Why it ended.
    pub async fn ended(&mut self) -> io::Result<()> {
        match &mut self.server {
            Some(server) => server.await.unwrap_or_else(|error| Err(io::Error::other(error))),
            None => Ok(()),
        }
    }

    /// Ends in order: requests and operations under way have some seconds, sessions stay in the store.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(server) = self.server.take() {
            let _ = tokio::time::timeout(FAREWELL, server).await;
        }
        let _ = tokio::time::timeout(FAREWELL, self.sessions.finish()).await;
        if let Err(error) = self.store.remove_node(&self.node).await {
            tracing::debug!("the other brokers will notice by themselves: {error}");
        }
        self.store.close().await;
    }
}

/// What this installation is called among the brokers of one database: made once, kept in the data folder.
fn node_name(data_dir: &Path) -> Result<String, BrokerError> {
    let failed = |source| BrokerError::DataDir { path: data_dir.to_owned(), source };
    make(data_dir).map_err(failed)?;
    let file = data_dir.join("node");
    match std::fs::read_to_string(&file) {
        Ok(name) if uuid::Uuid::try_parse(name.trim()).is_ok() => return Ok(name.trim().to_owned()),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let name = uuid::Uuid::new_v4().to_string();
    std::fs::write(&file, &name).map_err(failed)?;
    Ok(name)
}

/// The data folder, for its owner only.
fn make(data_dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir)
}

/// Makes the database's file readable by its owner only, as the secret that signs tokens is in it. What SQLite puts beside it is as the
/// file is. One that others may read already is left to whoever allowed that, with a word.
fn private(file: &Path) -> io::Result<()> {
    match std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if std::fs::metadata(file)?.permissions().mode() & 0o077 != 0 {
                tracing::warn!("others may read {}, and so make tokens: chmod 600 it", file.display());
            }
            Ok(())
        }
        made => made.map(drop),
    }
}

/// Opens the database of some settings.
pub(crate) async fn open(settings: &Settings) -> Result<Store, BrokerError> {
    let data_dir = |source| BrokerError::DataDir { path: settings.data_dir.clone(), source };
    let url = match &settings.database_url {
        Some(url) => url.clone(),
        None => {
            make(&settings.data_dir).map_err(data_dir)?;
            let file = settings.data_dir.join("broker.db");
            private(&file).map_err(data_dir)?;
            Store::sqlite_url(&file)
        }
    };
    Ok(Store::open(&url).await?)
}

/// What does not fit together is told before anything starts.
fn check(settings: &Settings) -> Result<(), BrokerError> {
    let development = settings.environment == Environment::Development;
    if development && !settings.listen.ip().to_canonical().is_loopback() && !settings.development_anywhere {
        return Err(BrokerError::Settings(format!(
            "development mode on {} would let anybody in with a published key: listen on 127.0.0.1, or say \
             --development-anywhere",
            settings.listen
        )));
    }
    if let Some(oidc) = &settings.oidc
        && (oidc.issuer.is_empty() || oidc.client_id.is_empty())
    {
        return Err(BrokerError::Settings(
            "an identity provider needs both --oidc-issuer and --oidc-client-id".to_owned(),
        ));
    }
    if matches!(settings.sfu, SfuSettings::Livekit) && settings.livekit.is_none() {
        return Err(BrokerError::Settings(
            "--sfu livekit needs --livekit-url, --livekit-api-key and --livekit-api-secret".to_owned(),
        ));
    }
    if let Some(origin) = &settings.public_origin
        && host_of(origin).is_none()
    {
        return Err(BrokerError::Settings(format!(
            "--public-origin {origin} is no origin: write https://teleop.example.org"
        )));
    }
    Ok(())
}

fn host_of(origin: &str) -> Option<&str> {
    let rest = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))?;
    let host = rest.split([':', '/']).next().filter(|host| !host.is_empty())?;
    (!rest.contains('/')).then_some(host)
}

fn url_of(address: SocketAddr, https: bool) -> String {
    let scheme = if https { "https" } else { "http" };
    let ip = match address.ip() {
        ip if ip.is_unspecified() && ip.is_ipv4() => std::net::Ipv4Addr::LOCALHOST.into(),
        ip if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

fn of_refusal(refusal: Refusal) -> BrokerError {
    match refusal {
        Refusal::Store(error) => error.into(),
        other => StoreError::Nonsense(other.to_string()).into(),
    }
}
