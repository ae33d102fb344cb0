//! Snapshots of frames that were taken at about the same time.

use std::sync::atomic::Ordering;
use std::time::Duration;

use waldo_protocol::time::MonoTime;

use super::{CameraSnapshot, SensorHub, Snapshot, align};

/// Takes snapshots of frames that belong together. While one exists, the hub keeps up to 4 earlier frames per camera.
pub struct Aligner(SensorHub);

impl Aligner {
    pub(super) fn new(hub: &SensorHub) -> Self {
        hub.crowd().aligners.fetch_add(1, Ordering::Relaxed);
        Self(hub.clone())
    }

    /// The newest frames, of the cameras that `wanted` names, that were taken within `tolerance` of each other; the
    /// newest of each if there are no such frames, and [`Snapshot::aligned`] says so. Cameras without any picture are
    /// left as they are, and cameras that are not wanted are left out.
    pub fn snapshot(&self, wanted: impl Fn(&str) -> bool, tolerance: Duration) -> Snapshot {
        self.choose(wanted, |stamps| Some((align::newest_within(stamps, tolerance)?, true)))
    }

    /// The frame of each wanted camera that was taken nearest to `time`; [`Snapshot::aligned`] says whether all are within
    /// `tolerance` of it.
    pub fn snapshot_at(&self, wanted: impl Fn(&str) -> bool, time: MonoTime, tolerance: Duration) -> Snapshot {
        self.choose(wanted, |stamps| align::nearest_to(stamps, time, tolerance))
    }

    fn choose(
        &self,
        wanted: impl Fn(&str) -> bool,
        choose: impl FnOnce(&[Vec<MonoTime>]) -> Option<(Vec<usize>, bool)>,
    ) -> Snapshot {
        let cameras = self.0.every_camera();
        let mut frames: Vec<Vec<CameraSnapshot>> = cameras
            .iter()
            .filter(|camera| wanted(camera.name()))
            .map(|camera| {
                let newest = camera.newest();
                std::iter::once(&newest.now).chain(&newest.earlier).cloned().collect()
            })
            .collect();
        let stamps = |frames: &Vec<CameraSnapshot>| frames.iter().filter_map(|frame| frame.stamp).collect::<Vec<_>>();
        let stamps: Vec<_> = frames.iter().map(stamps).filter(|stamps| !stamps.is_empty()).collect();
        let (chosen, aligned) = choose(&stamps).unwrap_or_else(|| (vec![0; stamps.len()], false));
        let mut chosen = chosen.into_iter();
        let cameras = frames.iter_mut().map(|frames| {
            let stamped = frames.iter().any(|frame| frame.stamp.is_some());
            frames.swap_remove(if stamped { chosen.next().unwrap_or(0) } else { 0 })
        });
        let cameras = cameras.collect();
        Snapshot { cameras, proprios: self.0.proprios(), aligned }
    }
}

impl Drop for Aligner {
    fn drop(&mut self) {
        self.0.crowd().aligners.fetch_sub(1, Ordering::Relaxed);
    }
}
