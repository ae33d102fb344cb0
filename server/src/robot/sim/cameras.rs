//! The camera thread: draws the newest world for every camera that somebody watches.

use std::f64::consts::PI;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use glam::{DMat3, DQuat, DVec3};
use waldo_protocol::time::MonoTime;

use super::SimOptions;
use super::model::CAMERAS;
use super::raster::Canvas;
use super::scenery::Scenery;
use super::ticker::Ticker;
use super::view::View;
use super::world::World;
use crate::clock;
use crate::robot::RobotError;
use crate::robot::kinematics::Transform;
use crate::sensors::{CameraFrame, CameraWriter, FramePool, Intrinsics, RgbImage, SensorHub, stamp};

/// 30 pictures per second.
const PERIOD: Duration = Duration::from_nanos(1_000_000_000 / 30);
/// Frames of one camera that slow readers may hold before new ones are dropped.
const FRAMES_HELD: usize = 32;
/// A base that has not moved for so many pictures stands: a third of a second.
const STANDS_AFTER: u32 = 10;
/// Distance of the overhead pair's optical axes, metres.
const BASELINE: f64 = 0.064;

/// What a camera is fixed to.
#[derive(Clone, Copy, Debug)]
enum Mount {
    /// The base, at this pose of the optical frame in it.
    Base(Transform),
    /// The gripper mount of the arm of this index, likewise.
    Gripper(usize, Transform),
}

impl Mount {
    /// Optical frame to world.
    fn pose(self, world: &World) -> Transform {
        match self {
            Self::Base(pose) => world.base() * pose,
            Self::Gripper(arm, pose) => world.gripper(arm) * pose,
        }
    }
}

/// Where each of [`CAMERAS`] sits and its focal length in picture widths.
fn mounts() -> [(Mount, f64); CAMERAS.len()] {
    let overhead = |side: f64| {
        // From x right, y down, z forward to x forward, y left, z up; then the head is bowed.
        let level = DQuat::from_mat3(&DMat3::from_cols(DVec3::NEG_Y, DVec3::NEG_Z, DVec3::X));
        let pose = Transform {
            rotation: level * DQuat::from_rotation_x(-1.05),
            translation: DVec3::new(0.2, side * BASELINE / 2.0, 1.62),
        };
        (Mount::Base(pose), 0.72)
    };
    let wrist = |arm| {
        // Above the palm, bowed towards the fingertips.
        let pose = Transform {
            rotation: DQuat::from_rotation_y(PI) * DQuat::from_rotation_x(-0.5),
            translation: DVec3::new(0.0, -0.08, -0.03),
        };
        (Mount::Gripper(arm, pose), 0.6)
    };
    [overhead(1.0), overhead(-1.0), wrist(0), wrist(1)]
}

/// A drawn camera.
struct Eye {
    writer: CameraWriter,
    mount: Mount,
    intrinsics: Intrinsics,
    size: (u32, u32),
    view: View,
    /// For a camera that is fixed to the base.
    backdrop: Option<Backdrop>,
    pool: FramePool,
    resting: bool,
}

/// Colours and inverse depths of what stands as long as the base does.
struct Backdrop {
    /// Where the camera was.
    pose: Transform,
    rgb: Vec<u8>,
    inverse_depth: Vec<f32>,
}

/// What all cameras draw with, one after the other.
struct Studio {
    scenery: Scenery,
    /// Inverse depths under construction: one place for all, so that it stays in the processor's cache.
    inverse_depth: Vec<f32>,
    stamped: bool,
    /// Where the base was, and the pictures since it came there.
    base: Transform,
    stood: u32,
    /// A backdrop may be drawn: one at a time, because each takes as long as several pictures.
    may_draw_backdrop: bool,
}

impl Studio {
    fn new(world: &World, size: (u32, u32), stamped: bool) -> Self {
        let inverse_depth = vec![0.0; size.0 as usize * size.1 as usize];
        let (scenery, base) = (Scenery::new(world), world.base());
        Self { scenery, inverse_depth, stamped, base, stood: STANDS_AFTER, may_draw_backdrop: true }
    }

    /// All cameras are about to take one picture each.
    fn begin(&mut self, world: &World) {
        let base = world.base();
        self.stood = if base == self.base { self.stood.saturating_add(1) } else { 0 };
        self.base = base;
        self.may_draw_backdrop = self.stood >= STANDS_AFTER;
    }
}

impl Eye {
    fn new(writer: CameraWriter, (mount, focal): (Mount, f64), size: (u32, u32)) -> Self {
        let (width, height) = (f64::from(size.0), f64::from(size.1));
        let f = focal * width;
        let intrinsics = Intrinsics { fx: f, fy: f, cx: width / 2.0, cy: height / 2.0 };
        let view = View::new(intrinsics, Transform::IDENTITY);
        let pool = FramePool::new(size.0 as usize * size.1 as usize, FRAMES_HELD);
        Self { writer, mount, intrinsics, size, view, backdrop: None, pool, resting: true }
    }

    fn rest(&mut self) {
        if !self.resting {
            self.writer.clear();
            self.resting = true;
        }
    }

    fn capture(&mut self, studio: &mut Studio, world: &World, captured: MonoTime) {
        self.resting = false;
        let Some(mut buffers) = self.pool.take() else {
            self.writer.count_dropped();
            return;
        };
        let (rgb, depth) = buffers.planes();
        let pose = self.mount.pose(world);
        let valid = self.backdrop.as_ref().is_some_and(|backdrop| backdrop.pose == pose);
        if matches!(self.mount, Mount::Base(_)) && !valid && std::mem::take(&mut studio.may_draw_backdrop) {
            self.backdrop = Some(Backdrop::new(&studio.scenery, world, self.intrinsics, pose, self.size));
        }
        let width = self.size.0 as usize;
        let view = &mut self.view;
        let Studio { scenery, inverse_depth, stamped, .. } = studio;
        view.move_to(pose);
        if let Some(backdrop) = self.backdrop.as_ref().filter(|backdrop| backdrop.pose == pose) {
            rgb.copy_from_slice(&backdrop.rgb);
            inverse_depth.copy_from_slice(&backdrop.inverse_depth);
            let canvas = &mut Canvas::new(width, rgb, inverse_depth);
            scenery.draw_moving(view, canvas, world);
            scenery.draw_shadows(view, canvas, world);
        } else {
            inverse_depth.fill(0.0);
            let canvas = &mut Canvas::new(width, rgb, inverse_depth);
            // What is near first, so that little is drawn twice. The room is closed: every pixel gets a colour.
            scenery.draw_moving(view, canvas, world);
            scenery.draw_standing(view, canvas, world);
            scenery.draw_shadows(view, canvas, world);
        }
        for (depth, inverse) in depth.iter_mut().zip(inverse_depth) {
            *depth = inverse.recip();
        }
        if *stamped {
            stamp::draw(rgb, width, stamp::millis(clock::unix_time(captured)));
        }
        let (rgb, depth) = self.pool.lend(buffers);
        if let Ok(image) = RgbImage::new(self.size.0, self.size.1, rgb) {
            self.writer.publish(CameraFrame {
                image,
                depth: Some(depth),
                intrinsics: Some(self.intrinsics),
                extrinsics: pose.to_pose().ok(),
                captured,
            });
        }
    }
}

impl Backdrop {
    /// What a camera sees of all that stands. Drawn once for many pictures, so it can afford smooth edges: each pixel is
    /// the mean of four.
    fn new(scenery: &Scenery, world: &World, intrinsics: Intrinsics, pose: Transform, size: (u32, u32)) -> Self {
        let draw = |scale: usize| {
            let (width, height) = (size.0 as usize * scale, size.1 as usize * scale);
            let Intrinsics { fx, fy, cx, cy } = intrinsics;
            let k = scale as f64;
            let lens = Intrinsics { fx: k * fx, fy: k * fy, cx: k * cx, cy: k * cy };
            let (mut rgb, mut inverse) = (vec![0; width * height * 3], vec![0.0; width * height]);
            let canvas = &mut Canvas::new(width, &mut rgb, &mut inverse);
            scenery.draw_standing(&mut View::new(lens, pose), canvas, world);
            (rgb, inverse)
        };
        let (mut rgb, inverse_depth) = draw(1);
        let fine = draw(2).0;
        let row = size.0 as usize * 3;
        for (index, value) in rgb.iter_mut().enumerate() {
            let (y, x, channel) = (index / row, index % row / 3, index % 3);
            let first = y * 4 * row + x * 6 + channel;
            let sum: u16 = [0, 3, 2 * row, 2 * row + 3].map(|offset| u16::from(fine[first + offset])).iter().sum();
            *value = (sum / 4) as u8;
        }
        Self { pose, rgb, inverse_depth }
    }
}

/// Adds the cameras to the hub and starts their thread, which draws whatever `world` holds.
pub(super) fn start(hub: &SensorHub, world: Arc<ArcSwap<World>>, options: &SimOptions) -> Result<Ticker, RobotError> {
    let size = options.camera_size;
    let mut studio = Studio::new(&world.load(), size, options.latency_stamp);
    let mut eyes: Vec<Eye> =
        CAMERAS.into_iter().zip(mounts()).map(|(name, mount)| Eye::new(hub.add_camera(name), mount, size)).collect();
    Ticker::start("sim-cameras", PERIOD, move |captured| {
        // One world and one time for all, so that the overhead pair is a true stereo pair.
        let world = world.load_full();
        studio.begin(&world);
        for eye in &mut eyes {
            if eye.writer.watched() {
                eye.capture(&mut studio, &world, captured);
            } else {
                eye.rest();
            }
        }
    })
}

#[cfg(test)]
mod tests;
