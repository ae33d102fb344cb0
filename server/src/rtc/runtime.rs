//! The threads that peer connections share.

use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Handle, Runtime};

use super::RtcError;
use crate::priority::{Urgent, urgent_runtime};

/// What a connection carries. Each kind has one thread for all its connections, so that encrypting pictures never
/// delays a pose.
#[derive(Clone, Copy)]
pub(super) enum Lane {
    Video,
    Poses,
    /// Everything between a robot and its broker's SFU: one picture down, commands up.
    Robot,
}

/// Started by the first connection of their kind, parked when there are none. They live as long as the process, because
/// the last connection may be dropped on the thread itself, where the runtime could not be ended.
static RUNTIMES: [Mutex<Option<Runtime>>; 3] = [const { Mutex::new(None) }; 3];

/// Where the tasks of such connections run.
pub(super) fn handle(lane: Lane) -> Result<Handle, RtcError> {
    let (name, urgent) = match lane {
        Lane::Video => ("rtc video", Urgent::Media),
        Lane::Poses => ("rtc poses", Urgent::Poses),
        Lane::Robot => ("rtc hosted", Urgent::Media),
    };
    let mut slot = RUNTIMES[lane as usize].lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(runtime) = &*slot {
        return Ok(runtime.handle().clone());
    }
    let runtime =
        urgent_runtime(name, urgent).map_err(|error| RtcError(format!("no thread for peer connections: {error}")))?;
    Ok(slot.insert(runtime).handle().clone())
}
