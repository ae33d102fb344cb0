//! The flags of what forwards, and of the servers that peers are named.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, bail};
use clap::{ArgAction, Args};

use super::DataArgs;
use crate::engine::SfuSettings;
use crate::sfu::{cloudflare, embedded};
use crate::turn::{Cloudflare, Relays, SharedSecret, TurnSettings};

/// Of `waldo-broker serve`.
#[derive(Debug, Args)]
pub(in crate::cli) struct EngineArgs {
    /// What forwards pictures and commands: `embedded`, `process:URL` (`waldo-broker sfu`, which goes on while this one restarts),
    /// `cloudflare`, or `livekit` for robots on LiveKit only
    #[arg(long, value_name = "ENGINE", default_value = "embedded")]
    sfu: String,
    #[command(flatten)]
    embedded: EmbeddedArgs,
    /// What `process:` and `waldo-broker sfu` know each other by; better in the file or in a variable than on the command line
    #[arg(long, value_name = "SECRET")]
    sfu_secret: Option<String>,
    /// App of Cloudflare Realtime
    #[arg(long, value_name = "ID")]
    cloudflare_app_id: Option<String>,
    /// Its secret
    #[arg(long, value_name = "SECRET")]
    cloudflare_app_secret: Option<String>,
    /// STUN servers for peers, by commas
    #[arg(long, value_name = "URLS", value_delimiter = ',', default_value = "stun:stun.cloudflare.com:3478")]
    stun: Vec<String>,
    /// Own TURN server, such as coturn with `use-auth-secret`
    #[arg(long, value_name = "NAME")]
    turn_host: Option<String>,
    /// The secret that it shares with us
    #[arg(long, value_name = "SECRET")]
    turn_secret: Option<String>,
    /// Its port for TLS
    #[arg(long, value_name = "PORT", default_value_t = 5349)]
    turn_tls_port: u16,
    /// Key of Cloudflare's TURN service
    #[arg(long, value_name = "ID")]
    cloudflare_turn_key_id: Option<String>,
    /// Its API token
    #[arg(long, value_name = "TOKEN")]
    cloudflare_turn_token: Option<String>,
}

/// Of the embedded SFU.
#[derive(Debug, Args)]
pub(in crate::cli) struct EmbeddedArgs {
    /// UDP and TCP address and port of the embedded SFU; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:0")]
    sfu_bind: SocketAddr,
    /// Addresses that peers are told, by commas, for instance the public one [default: those of this machine]
    #[arg(long, value_name = "ADDRESSES", value_delimiter = ',')]
    sfu_address: Vec<IpAddr>,
    /// Let peers come to the embedded SFU by TCP too, where UDP is blocked
    #[arg(long, value_name = "BOOL", action = ArgAction::Set, num_args = 0..=1, require_equals = true,
        default_value_t = true, default_missing_value = "true")]
    sfu_tcp: bool,
    /// Peers of the embedded SFU
    #[arg(long, value_name = "NUMBER", default_value_t = 1024)]
    sfu_peers: usize,
    /// How many of them one owner may have [default: a quarter]
    #[arg(long, value_name = "NUMBER")]
    sfu_owner_peers: Option<usize>,
}

impl EmbeddedArgs {
    pub(in crate::cli) fn settings(&self) -> embedded::Settings {
        embedded::Settings {
            bind: self.sfu_bind,
            tcp: self.sfu_tcp,
            addresses: self.sfu_address.clone(),
            most_peers: self.sfu_peers,
            most_peers_of_a_tenant: self.sfu_owner_peers,
        }
    }
}

/// Of `waldo-broker sfu`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SfuArgs {
    #[command(flatten)]
    pub(in crate::cli) data: DataArgs,
    /// Where brokers call; there is no TLS, so on loopback or in a private network
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8451")]
    pub(in crate::cli) sfu_listen: SocketAddr,
    /// What brokers have to know, at least 16 characters; better in the file or in a variable than on the command line
    #[arg(long, value_name = "SECRET")]
    pub(in crate::cli) sfu_secret: String,
    #[command(flatten)]
    pub(in crate::cli) embedded: EmbeddedArgs,
}

impl EngineArgs {
    pub(super) fn sfu(&self) -> anyhow::Result<SfuSettings> {
        if let Some(url) = self.sfu.strip_prefix("process:") {
            let secret = self.sfu_secret.clone().context("--sfu process:URL needs --sfu-secret too")?;
            return Ok(SfuSettings::Process { url: url.to_owned(), secret });
        }
        match (self.sfu.as_str(), &self.cloudflare_app_id, &self.cloudflare_app_secret) {
            ("livekit", ..) => Ok(SfuSettings::Livekit),
            ("embedded", ..) => Ok(SfuSettings::Embedded(self.embedded.settings())),
            ("cloudflare", Some(app), Some(secret)) => Ok(SfuSettings::Cloudflare {
                base: cloudflare::BASE.to_owned(),
                app: app.clone(),
                secret: secret.clone(),
            }),
            ("cloudflare", ..) => bail!("--sfu cloudflare needs --cloudflare-app-id and --cloudflare-app-secret"),
            (other, ..) => bail!("--sfu {other}: known are embedded, process:URL, cloudflare and livekit"),
        }
    }

    pub(super) fn turn(&self) -> anyhow::Result<TurnSettings> {
        let own = match (&self.turn_host, &self.turn_secret) {
            (None, None) => None,
            (Some(host), Some(secret)) => {
                Some(SharedSecret { secret: secret.clone(), host: host.clone(), tls_port: self.turn_tls_port })
            }
            _ => bail!("--turn-host and --turn-secret belong together: give both"),
        };
        let relays = match (own, &self.cloudflare_turn_key_id, &self.cloudflare_turn_token) {
            (Some(own), None, None) => Relays::SharedSecret(own),
            (None, Some(key), Some(token)) => Relays::Cloudflare(Cloudflare {
                base: cloudflare::BASE.to_owned(),
                key: key.clone(),
                token: token.clone(),
            }),
            (None, None, None) => Relays::None,
            (Some(_), ..) => bail!("--turn-host is a TURN server, --cloudflare-turn-key-id another: give one of them"),
            _ => bail!("--cloudflare-turn-key-id and --cloudflare-turn-token belong together: give both"),
        };
        Ok(TurnSettings { stun: self.stun.clone(), relays, ..TurnSettings::default() })
    }
}
