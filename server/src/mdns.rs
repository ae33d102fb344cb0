//! Announces the robot on the local network.

use tokio_util::sync::CancellationToken;

/// Announces `_waldo._tcp` on `port` until `shutdown`. Failure is logged as a warning, never fatal.
pub async fn announce(_port: u16, _shutdown: CancellationToken) {
    unimplemented!()
}
