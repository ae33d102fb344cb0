//! The flags of `waldo-broker serve`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::{ArgAction, Args, ValueEnum, ValueHint};

use super::DataArgs;
use super::engine::EngineArgs;
use crate::auth::OidcSettings;
use crate::http::Tls;
use crate::livekit::LivekitSettings;
use crate::sessions::Timers;
use crate::settings::{Environment, Settings};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EnvironmentArg {
    /// On the internet
    Prod,
    /// On a developer's machine: a published robot key and token hold
    Dev,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ServeArgs {
    #[command(flatten)]
    pub(in crate::cli) data: DataArgs,
    /// Address and port of page and API; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8450")]
    listen: SocketAddr,
    /// Own certificate chain (PEM); read again when it changes
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    tls_cert: Option<PathBuf>,
    /// Private key of --tls-cert (PEM)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    tls_key: Option<PathBuf>,
    /// Speak TLS with a certificate that the broker makes itself
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true")]
    tls_self_signed: bool,
    /// Where the page is, seen from outside: `https://teleop.example.org`
    #[arg(long, value_name = "ORIGIN")]
    public_origin: Option<String>,
    /// Proxies whose `X-Forwarded-For` is believed, by commas
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',')]
    trusted_proxy: Vec<IpAddr>,
    /// Production or development
    #[arg(long, value_enum, default_value_t = EnvironmentArg::Prod)]
    environment: EnvironmentArg,
    /// Development on an address that others reach
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true")]
    development_anywhere: bool,
    /// Let anybody make an account
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = false, default_missing_value = "true")]
    registration: bool,
    /// Identity provider that vouches for operators, instead of accounts of the broker's own: the `iss` of its tokens
    #[arg(long, value_name = "URL")]
    oidc_issuer: Option<String>,
    /// The `aud` of its tokens
    #[arg(long, value_name = "ID")]
    oidc_client_id: Option<String>,
    /// Where its keys are [default: /.well-known/jwks.json below the issuer]
    #[arg(long, value_name = "URL")]
    oidc_jwks: Option<String>,
    /// Region of an Amazon Cognito pool
    #[arg(long, value_name = "NAME")]
    cognito_region: Option<String>,
    /// The pool; makes --oidc-issuer needless
    #[arg(long, value_name = "ID")]
    cognito_user_pool_id: Option<String>,
    /// How long a log-in holds without being renewed, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "28800", value_parser = seconds)]
    token_life: Duration,
    /// Refuse who asks too often; otherwise it is only counted
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = true, default_missing_value = "true")]
    rate_limits: bool,
    /// A robot without a heartbeat for so long is gone
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    robot_timeout: Duration,
    /// An operator without a heartbeat for so long loses the robot
    #[arg(long, value_name = "SECONDS", default_value = "20", value_parser = seconds)]
    operator_timeout: Duration,
    /// How often both are looked for
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    reap_every: Duration,
    /// Viewers of one robot
    #[arg(long, value_name = "NUMBER", default_value_t = 8)]
    max_viewers: usize,
    /// Robots of one owner
    #[arg(long, value_name = "NUMBER", default_value_t = 500)]
    max_robots: usize,
    /// Connections at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 1024)]
    max_connections: usize,
    /// Folder of the web app, instead of the built-in one
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath)]
    static_dir: Option<PathBuf>,
    /// Where other brokers of the same database reach this one [default: the address of --listen]
    #[arg(long, value_name = "URL")]
    node_url: Option<String>,
    #[command(flatten)]
    engine: EngineArgs,
    /// LiveKit server for robots that ask for one
    #[arg(long, value_name = "URL")]
    livekit_url: Option<String>,
    /// Its key's name
    #[arg(long, value_name = "NAME")]
    livekit_api_key: Option<String>,
    /// Its key's secret; better in the file or in a variable than in sight of everybody on this computer
    #[arg(long, value_name = "SECRET")]
    livekit_api_secret: Option<String>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "give seconds, more than 0 and at most a year".to_owned();
    let seconds = text.parse::<f64>().map_err(|_| wrong())?;
    if seconds > 0.0 && seconds <= 31_536_000.0 { Ok(Duration::from_secs_f64(seconds)) } else { Err(wrong()) }
}

impl ServeArgs {
    /// What they mean together.
    pub(in crate::cli) fn settings(self) -> anyhow::Result<Settings> {
        let tls = match (self.tls_cert.clone(), self.tls_key.clone(), self.tls_self_signed) {
            (None, None, false) => Tls::Off,
            (None, None, true) => Tls::SelfSigned,
            (Some(certificate), Some(key), false) => Tls::Files { certificate, key },
            (Some(_), Some(_), true) => bail!("--tls-self-signed makes a certificate: leave out --tls-cert or it"),
            _ => bail!("--tls-cert and --tls-key belong together: give both"),
        };
        let (oidc, livekit, sfu, turn) = (self.oidc()?, self.livekit()?, self.engine.sfu()?, self.engine.turn()?);
        Ok(Settings {
            listen: self.listen,
            tls,
            data_dir: self.data.data_dir,
            database_url: self.data.database_url,
            environment: match self.environment {
                EnvironmentArg::Prod => Environment::Production,
                EnvironmentArg::Dev => Environment::Development,
            },
            development_anywhere: self.development_anywhere,
            public_origin: self.public_origin,
            registration: self.registration,
            oidc,
            token_life: self.token_life,
            enforce_rate_limits: self.rate_limits,
            trusted_proxies: self.trusted_proxy,
            timers: Timers {
                robot: self.robot_timeout,
                operator: self.operator_timeout,
                reap_every: self.reap_every,
                ..Timers::default()
            },
            max_viewers: self.max_viewers,
            max_robots: self.max_robots,
            max_connections: self.max_connections,
            static_dir: self.static_dir,
            node_url: self.node_url,
            sfu,
            livekit,
            turn,
            ..Settings::default()
        })
    }

    fn oidc(&self) -> anyhow::Result<Option<OidcSettings>> {
        let pool = match (&self.cognito_region, &self.cognito_user_pool_id) {
            (Some(region), Some(pool)) => Some((region.clone(), pool.clone())),
            (None, None) => None,
            _ => bail!("--cognito-region and --cognito-user-pool-id belong together: give both"),
        };
        let of_pool = pool.as_ref().map(|(region, pool)| format!("https://cognito-idp.{region}.amazonaws.com/{pool}"));
        match (self.oidc_issuer.clone().or(of_pool), self.oidc_client_id.clone()) {
            (None, None) => Ok(None),
            (Some(issuer), Some(client_id)) => {
                let (region, user_pool_id) = pool.unwrap_or_default();
                let jwks_url = self.oidc_jwks.clone();
                Ok(Some(OidcSettings { issuer, client_id, jwks_url, region, user_pool_id }))
            }
            (Some(_), None) => bail!("an identity provider needs --oidc-client-id too"),
            (None, Some(_)) => bail!("an identity provider needs --oidc-issuer too"),
        }
    }

    fn livekit(&self) -> anyhow::Result<Option<LivekitSettings>> {
        match (self.livekit_url.clone(), self.livekit_api_key.clone(), self.livekit_api_secret.clone()) {
            (None, None, None) => Ok(None),
            (Some(url), Some(api_key), Some(api_secret)) => Ok(Some(LivekitSettings { url, api_key, api_secret })),
            _ => bail!("LiveKit needs all of --livekit-url, --livekit-api-key and --livekit-api-secret"),
        }
    }
}
