//! What the benches share: figures over several runs, the table, the JSON file, clocks and CPU time.

mod camera;
pub mod field;
mod figures;
pub mod network;
pub mod policy;
mod pose_stream;
mod poses;
pub mod sfu;
mod wire;

pub use camera::PaintedCameras;
pub use figures::{Report, Target, percentile};
pub use pose_stream::PoseStream;
pub use poses::PoseTexts;
pub use wire::{Link, Receiver, Sender, listen, tls_server, websocket};

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// CPU time of all threads of this process.
pub fn process_cpu() -> Duration {
    read(ClockId::ProcessCPUTime)
}

/// CPU time of the calling thread.
pub fn thread_cpu() -> Duration {
    read(ClockId::ThreadCPUTime)
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}
