//! `waldo-broker sfu`

use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Context;
use waldo_program::stopped;

use super::args::SfuArgs;
use crate::sfu::embedded::Embedded;
use crate::sfu::process::Server;

pub(super) fn run(args: &SfuArgs) -> anyhow::Result<()> {
    args.data.start_log();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("sfu calls").build()?;
    runtime.block_on(async {
        let engine = Embedded::start(&args.embedded.settings()).context("the SFU's UDP socket")?;
        let server = Server::start(args.sfu_listen, &args.sfu_secret, Arc::new(engine)).await.context("the SFU")?;
        io::stdout().write_all(format!("Waldo's SFU takes calls on http://{}\n", server.address()).as_bytes())?;
        io::stdout().flush()?;
        stopped()?.await;
        tracing::info!("the SFU ends");
        server.stop().await;
        Ok(())
    })
}
