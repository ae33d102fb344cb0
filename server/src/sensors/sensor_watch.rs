//! Waiting for whatever is new about all sensors.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::camera::{Awake, Camera};
use super::{SensorHub, Snapshot};

/// Keeps cameras awake and tells of their pictures. Follows the hub: what is added or replaced later counts too.
pub struct SensorWatch {
    hub: SensorHub,
    /// Names of the cameras, or all.
    names: Option<Vec<String>>,
    awake: Vec<(Camera, Awake)>,
    added: watch::Receiver<()>,
    pictures: watch::Receiver<()>,
    readings: watch::Receiver<()>,
}

impl SensorWatch {
    pub(super) fn new(hub: &SensorHub, names: Option<&[&str]>) -> Self {
        let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        let (added, pictures) = (hub.cameras_changed(), hub.crowd().pictures.subscribe());
        let readings = hub.crowd().readings.subscribe();
        let mut watch = Self { hub: hub.clone(), names, awake: Vec::new(), added, pictures, readings };
        watch.wake();
        watch
    }

    fn wake(&mut self) {
        self.added.mark_unchanged();
        let cameras = self.hub.every_camera().into_iter();
        let wanted = cameras.filter(|camera| match &self.names {
            Some(names) => names.iter().any(|name| name == camera.name()),
            None => true,
        });
        // The new ones first, so that none that stays falls asleep.
        self.awake = wanted.map(|camera| (camera.clone(), camera.keep_awake())).collect();
    }

    /// Waits until a camera of the hub published a picture that this watch was not told of, watched or not. Several are
    /// told at once. Safe to cancel.
    pub async fn changed(&mut self) {
        loop {
            tokio::select! {
                biased;
                // The hub, which lives as long as this, has the sender.
                _ = self.pictures.changed() => return,
                _ = self.added.changed() => self.wake(),
            }
        }
    }

    /// Waits until a reading of proprioception was written that this watch was not told of. Safe to cancel.
    pub async fn read(&mut self) {
        // The hub, which lives as long as this, has the sender.
        let _ = self.readings.changed().await;
    }

    /// Takes what there is by now for told: only what comes later ends the next wait.
    pub fn seen(&mut self) {
        self.pictures.mark_unchanged();
        self.readings.mark_unchanged();
        if self.added.has_changed().unwrap_or(false) {
            self.wake();
        }
    }

    /// Whether no camera is watched.
    pub fn is_empty(&self) -> bool {
        self.awake.is_empty()
    }

    /// The numbers of the newest pictures of the watched cameras, 0 of those that show nothing, and how many pictures per
    /// second the fastest of them has.
    pub(crate) fn numbers(&self) -> (Vec<u64>, f64) {
        let newest: Vec<_> = self.awake.iter().map(|(camera, _)| camera.newest()).collect();
        let fps = newest.iter().map(|newest| newest.fps).fold(0.0, f64::max);
        (newest.iter().map(|newest| newest.now.stamp.map_or(0, |_| newest.now.n)).collect(), fps)
    }

    /// Waits until every watched camera has a picture, for at most `limit`; says whether they have. Safe to cancel.
    pub async fn all_awake(&mut self, limit: Duration) -> bool {
        let all = async {
            if self.added.has_changed().unwrap_or(false) {
                self.wake();
            }
            while !self.awake.iter().all(|(camera, _)| camera.newest().now.stamp.is_some()) {
                self.changed().await;
            }
        };
        timeout(limit, all).await.is_ok()
    }

    /// The newest of every sensor, those of unwatched cameras too.
    pub fn snapshot(&self) -> Snapshot {
        self.hub.snapshot()
    }
}
