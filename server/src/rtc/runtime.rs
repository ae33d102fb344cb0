//! The thread that all peer connections share.

use std::sync::{LazyLock, PoisonError, RwLock};

use tokio::runtime::{Builder, Handle, Runtime};

use super::RtcError;

/// Started by the first connection; a parked thread when there are none. It lives as long as the process, because the
/// last connection may be dropped on the thread itself, where the runtime could not be ended.
static RUNTIME: LazyLock<RwLock<Option<Runtime>>> = LazyLock::new(RwLock::default);

/// Where the tasks of peer connections run.
pub(super) fn handle() -> Result<Handle, RtcError> {
    if let Some(runtime) = &*RUNTIME.read().unwrap_or_else(PoisonError::into_inner) {
        return Ok(runtime.handle().clone());
    }
    let mut slot = RUNTIME.write().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*slot {
        return Ok(runtime.handle().clone());
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("rtc")
        .enable_all()
        .build()
        .map_err(|error| RtcError(format!("no thread for peer connections: {error}")))?;
    Ok(slot.insert(runtime).handle().clone())
}
