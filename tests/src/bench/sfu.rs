//! What the bench of the SFU needs: the process that is measured, a light crowd of robots and operators, and one pair that is watched closely.

mod forwarder;
mod load;
mod probe;
mod sfu_side;

#[path = "../../../broker/tests/peer/link.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "the peers of the broker's own tests, which end a bench as they end a test"
)]
mod link;
#[path = "../../../broker/tests/peer/way.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the sockets of those peers")]
mod way;

pub use load::{Counts, Load, Pace};
pub use probe::{Probe, Samples};
pub use sfu_side::{Engine, SfuSide, serve};

use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use waldo_broker::sfu::process::Client;
use waldo_broker::sfu::{Bridge, Engine as _, LegIds, NewPeer, PeerId, PeerKind};

use self::link::Link;

/// What both sides of this bench know each other by.
const SECRET: &str = "nobody but this bench";

/// Bytes of a command: as many as a `TwistStamped` has on the wire.
pub const COMMAND: usize = 108;

/// Lets the calling thread, and those that it starts, run on one core only. Tells whether there is such a core.
pub fn pin(core: usize) -> bool {
    let mut set = CpuSet::new();
    set.set(core).is_ok() && sched_setaffinity(Pid::from_raw(0), &set).is_ok()
}

/// Makes a peer at the engine.
async fn join(client: &Client, kind: PeerKind, offer: String) -> Result<(PeerId, String)> {
    let new = NewPeer { kind, tenant: "bench".to_owned(), offer, push: false };
    client.create_peer(new).await.context("a peer")
}

/// Opens a bridge and its channels at both ends.
async fn bridge(client: &Client, robot: (&PeerId, &mut Link), operator: (&PeerId, &mut Link)) -> Result<Bridge> {
    let bridge = client.open_bridge(robot.0, operator.0, 1, None).await.context("a bridge")?;
    let open = |link: &mut Link, ids: LegIds| {
        link.open("cmd_unreliable", ids.cmd, true);
        link.open("state_reliable_back", ids.state_back, false);
        link.open("state_reliable", ids.state, false);
        link.open("map_unreliable", ids.map, true);
    };
    open(robot.1, bridge.robot);
    open(operator.1, bridge.operator);
    Ok(bridge)
}

/// Nanoseconds since some moment of this process, for stamps.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
