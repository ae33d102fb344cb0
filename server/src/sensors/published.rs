//! What stands in the slot of a camera.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use glam::DMat3;
use waldo_protocol::geometry::{Pose, World};
use waldo_protocol::policy::Dtype;
use waldo_protocol::time::MonoTime;

use super::config::{IDENTITY_K, IDENTITY_T};
use super::{Array, CameraFrame, CameraSnapshot, Intrinsics, RgbImage};

/// Earlier frames of a camera that are kept while somebody aligns cameras: 0.13 s at 30 Hz.
const EARLIER: usize = 4;

/// Pictures over which the rate is measured.
const MEASURED: usize = 31;

/// A camera that was silent for so long begins its rate anew.
const PAUSE: Duration = Duration::from_secs(2);

/// The newest frame of a camera, for whoever takes snapshots and for whoever makes video.
#[derive(Debug)]
pub(super) struct Published {
    pub(super) now: CameraSnapshot,
    /// The frames before, newest first; empty unless somebody aligns cameras.
    pub(super) earlier: Vec<CameraSnapshot>,
    /// The same picture for video, if it can be.
    pub(super) video: Option<Arc<CameraFrame>>,
    /// Pictures per second; 0 while nobody knows.
    pub(super) fps: f64,
}

impl Published {
    /// The frames that stay for whoever aligns cameras once a newer one comes.
    pub(super) fn kept(&self, aligned: bool) -> Vec<CameraSnapshot> {
        if !aligned {
            return Vec::new();
        }
        let newest = Some(&self.now).filter(|frame| frame.stamp.is_some());
        newest.into_iter().chain(&self.earlier).take(EARLIER).cloned().collect()
    }
}

/// What the writers of a camera count.
#[derive(Debug, Default)]
pub(super) struct Count {
    /// Pictures so far.
    pub(super) n: u64,
    /// When the last ones came.
    times: VecDeque<MonoTime>,
}

impl Count {
    /// Counts a picture; gives the rate.
    pub(super) fn picture(&mut self, now: MonoTime) -> f64 {
        self.n += 1;
        if self.times.back().is_some_and(|last| now.since(*last) > PAUSE) {
            self.times.clear();
        }
        if self.times.len() == MEASURED {
            self.times.pop_front();
        }
        self.times.push_back(now);
        let first = self.times.front().copied().unwrap_or(now);
        let period = now.since(first).as_secs_f64();
        if period > 0.0 { (self.times.len() - 1) as f64 / period } else { 0.0 }
    }
}

/// A frame of a camera that makes video first of all, as a snapshot.
pub(super) fn snapshot_of(name: Arc<str>, n: u64, frame: &CameraFrame) -> CameraSnapshot {
    let CameraFrame { image, depth, intrinsics, extrinsics, captured } = frame;
    let (height, width) = (image.height() as usize, image.width() as usize);
    let depth = depth.as_ref().and_then(|depth| {
        let bytes = Bytes::from_owner(Depths(Arc::clone(depth)));
        // One of another size than its picture is of no use to anybody.
        Array::new(Dtype::Float32, &[height, width], bytes).ok()
    });
    CameraSnapshot {
        name,
        n,
        stamp: Some(*captured),
        intrinsics: intrinsics.map_or(IDENTITY_K, matrix_of),
        extrinsics: extrinsics.map_or(IDENTITY_T, transform_of),
        image: array_of(image),
        depth,
    }
}

/// A picture as an array; shares its pixels.
fn array_of(image: &RgbImage) -> Array {
    let (height, width) = (image.height() as usize, image.width() as usize);
    Array::new(Dtype::Uint8, &[height, width, 3], image.bytes().clone())
        .expect("a picture has height × width × 3 bytes")
}

/// K of a policy has the centres of pixels at integer coordinates, ours at halves.
fn matrix_of(Intrinsics { fx, fy, cx, cy }: Intrinsics) -> [f64; 9] {
    [fx, 0.0, cx - 0.5, 0.0, fy, cy - 0.5, 0.0, 0.0, 1.0]
}

/// Camera to world, 4×4 row major.
fn transform_of(pose: Pose<World>) -> [f64; 16] {
    let (r, t) = (DMat3::from_quat(pose.orientation()), pose.position());
    let [x, y, z] = [r.row(0), r.row(1), r.row(2)];
    [x.x, x.y, x.z, t.x, y.x, y.y, y.z, t.y, z.x, z.y, z.z, t.z, 0.0, 0.0, 0.0, 1.0]
}

/// Lets the bytes of a depth map be shared.
struct Depths(Arc<[f32]>);

impl AsRef<[u8]> for Depths {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use glam::{DQuat, DVec3};

    use super::*;

    #[test]
    fn a_frame_becomes_a_snapshot_that_shares_its_pixels() {
        let image = RgbImage::new(4, 2, (0..24).collect::<Vec<u8>>()).unwrap();
        let quarter_turn = DQuat::from_rotation_z(std::f64::consts::FRAC_PI_2);
        let frame = CameraFrame {
            image: image.clone(),
            depth: Some([1.0f32, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, f32::INFINITY].into()),
            intrinsics: Some(Intrinsics { fx: 3.0, fy: 5.0, cx: 2.0, cy: 1.0 }),
            extrinsics: Some(Pose::new(DVec3::new(7.0, 8.0, 9.0), quarter_turn).unwrap()),
            captured: MonoTime::from_nanos(5),
        };
        let shot = snapshot_of("c".into(), 3, &frame);
        assert_eq!((shot.n, shot.stamp), (3, Some(MonoTime::from_nanos(5))));
        assert_eq!((shot.image.shape(), shot.image.bytes().as_ptr()), (&[2, 4, 3][..], image.data().as_ptr()));
        // Pixel (0, 0) has its centre at 0.5 here, at 0 there.
        assert_eq!(shot.intrinsics, [3.0, 0.0, 1.5, 0.0, 5.0, 0.5, 0.0, 0.0, 1.0]);
        let expected = [0., -1., 0., 7., 1., 0., 0., 8., 0., 0., 1., 9., 0., 0., 0., 1.];
        assert!(shot.extrinsics.iter().zip(expected).all(|(is, should)| (is - should).abs() < 1e-12), "{shot:?}");
        let depth = shot.depth.unwrap();
        assert_eq!((depth.shape(), depth.dtype()), (&[2, 4][..], Dtype::Float32));
        assert_eq!(depth.bytes()[4..8], 2f32.to_le_bytes());
    }

    #[test]
    fn the_rate_is_that_of_the_last_second_and_begins_anew_after_a_pause() {
        let mut count = Count::default();
        let at = |ms: u64| MonoTime::from_nanos(ms * 1_000_000);
        assert_eq!(count.picture(at(0)), 0.0);
        let rates: Vec<f64> = (1..=100).map(|n| count.picture(at(n * 20))).collect();
        assert!(rates.iter().all(|rate| (rate - 50.0).abs() < 1e-9), "{rates:?}");
        assert_eq!((count.picture(at(60_000)), count.n), (0.0, 102));
        assert!((count.picture(at(60_100)) - 10.0).abs() < 1e-9);
    }
}
