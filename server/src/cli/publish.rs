//! `waldo field publish`: a mesh or points in somebody's field, for as long as this runs.

mod link;
mod points;

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::runtime::Builder;
use waldo_protocol::field::{AddMesh, ClientMessage, UpdateOverlay};

use self::link::{Ended, Target};
use super::args::PublishArgs;

/// Pause before a lost connection is made anew: the first one, and the longest one.
const PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(10));

/// Largest mesh that a field takes in one message of 64 MiB, bytes.
const MAX_MESH: u64 = 47 << 20;

pub(super) fn run(args: &PublishArgs) -> anyhow::Result<()> {
    args.log.start();
    let publication = read(args)?;
    let target = Target::new(&args.url, args.trust.as_deref(), &args.settings())?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
            ended = keep(&target, args.owner.as_deref(), &publication) => ended,
        }
    })
}

/// What is put there.
fn read(args: &PublishArgs) -> anyhow::Result<Vec<ClientMessage>> {
    let mut publication = Vec::new();
    let id = |file: &Path| -> anyhow::Result<String> {
        let named = args.id.clone().or_else(|| Some(file.file_stem()?.to_str()?.to_owned()));
        named.with_context(|| format!("{} needs a name: --id gives it one", file.display()))
    };
    if let Some(file) = &args.mesh {
        let cannot = || format!("the mesh {} cannot be read", file.display());
        if fs::metadata(file).with_context(cannot)?.len() > MAX_MESH {
            bail!("{} is larger than {} MiB, the most that a field takes", file.display(), MAX_MESH >> 20);
        }
        let mesh = AddMesh {
            translation: args.position,
            rotation_xyzw: args.rotation,
            scale: args.scale,
            static_asset: args.is_static,
            ..AddMesh::new(id(file)?, STANDARD.encode(fs::read(file).with_context(cannot)?))
        };
        publication.push(ClientMessage::AddMesh(mesh));
    }
    if let Some(file) = &args.points {
        let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let points = points::parse(&text).with_context(|| file.display().to_string())?;
        let cloud = UpdateOverlay { point_size: args.point_size, ..UpdateOverlay::new(id(file)?, Arc::from(points)) };
        publication.push(ClientMessage::UpdateOverlayPoints(cloud));
    }
    if publication.is_empty() {
        bail!("nothing to publish: name a --mesh or --points");
    }
    Ok(publication)
}

/// Publishes, and does it again whenever the connection was lost. What the field refuses ends it.
async fn keep(target: &Target, owner: Option<&str>, publication: &[ClientMessage]) -> anyhow::Result<()> {
    let mut pause = PAUSE.0;
    loop {
        let mut published = false;
        let ended = target.publish(owner, publication, |owner| {
            published = true;
            // Whoever started this may wait for the word.
            let _ = writeln!(std::io::stdout(), "published as {owner}; Ctrl-C takes it away");
        });
        match ended.await {
            Ended::Refused(reason) => bail!("the field refuses: {reason}"),
            Ended::Lost(error) => {
                pause = if published { PAUSE.0 } else { (pause * 2).min(PAUSE.1) };
                tracing::warn!("no connection: {error:#}; trying again in {:.1} s", pause.as_secs_f64());
                tokio::time::sleep(pause).await;
            }
        }
    }
}
