//! `waldo-broker serve`

use std::io::{self, Write};

use waldo_program::stopped;

use super::args::ServeArgs;
use crate::auth::{DEV_KEY, DEV_TOKEN};
use crate::broker::Broker;
use crate::settings::Environment;

pub(super) fn run(args: ServeArgs) -> anyhow::Result<()> {
    args.data.start_log();
    let settings = args.settings()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("broker").build()?;
    runtime.block_on(async {
        let development = settings.environment == Environment::Development;
        let mut broker = Broker::start(settings).await?;
        let mut text = format!("Waldo's broker answers on {}\n", broker.url());
        if development {
            text += &format!("Development: robots may use the key {DEV_KEY}, operators the token {DEV_TOKEN}\n");
        }
        io::stdout().write_all(text.as_bytes())?;
        io::stdout().flush()?;
        let stopped = stopped()?;
        let ended = tokio::select! {
            ended = broker.ended() => Some(ended),
            () = stopped => None,
        };
        tracing::info!("the broker ends");
        broker.stop().await;
        match ended {
            Some(Err(error)) => Err(error.into()),
            _ => Ok(()),
        }
    })
}
