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
const FRAMES_HELD: usize = 8;
/// Distance of the overhead pair's optical axes, metres.
const BASELINE: f64 = 0.064;

/// What a camera is fixed to.
#[derive(Clone, Copy, Debug)]
enum Mount {
    /// The base, at this pose of the optical frame.
    Base(Transform),
    /// The gripper mount of the arm of this index, likewise.
    Gripper(usize, Transform),
}

impl Mount {
    fn pose(self, world: &World) -> Transform {
        match self {
            Self::Base(pose) => pose,
            Self::Gripper(arm, pose) => world.arms()[arm].frames().gripper() * pose,
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
    /// Colours and inverse depths of what never moves, for a camera that never moves.
    backdrop: Option<(Vec<u8>, Vec<f32>)>,
    pool: FramePool,
    resting: bool,
}

/// What all cameras draw with, one after the other.
struct Studio {
    scenery: Scenery,
    /// Inverse depths under construction: one place for all, so that it stays in the processor's cache.
    inverse_depth: Vec<f32>,
    stamped: bool,
}

impl Studio {
    fn new(world: &World, size: (u32, u32), stamped: bool) -> Self {
        Self { scenery: Scenery::new(world), inverse_depth: vec![0.0; size.0 as usize * size.1 as usize], stamped }
    }
}

impl Eye {
    fn new(writer: CameraWriter, (mount, focal): (Mount, f64), size: (u32, u32), scenery: &Scenery) -> Self {
        let (width, height) = (f64::from(size.0), f64::from(size.1));
        let f = focal * width;
        let intrinsics = Intrinsics { fx: f, fy: f, cx: width / 2.0, cy: height / 2.0 };
        let (view, backdrop) = match mount {
            Mount::Base(pose) => (View::new(intrinsics, pose), Some(backdrop(scenery, intrinsics, pose, size))),
            Mount::Gripper(..) => (View::new(intrinsics, Transform::IDENTITY), None),
        };
        let pool = FramePool::new(size.0 as usize * size.1 as usize, FRAMES_HELD);
        Self { writer, mount, intrinsics, size, view, backdrop, pool, resting: true }
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
        let width = self.size.0 as usize;
        let view = &mut self.view;
        let Studio { scenery, inverse_depth, stamped } = studio;
        if let Some((colors, inverse_depths)) = &self.backdrop {
            rgb.copy_from_slice(colors);
            inverse_depth.copy_from_slice(inverse_depths);
            let canvas = &mut Canvas::new(width, rgb, inverse_depth);
            scenery.draw_moving(view, canvas, world);
            scenery.draw_shadows(view, canvas, world);
        } else {
            inverse_depth.fill(0.0);
            view.move_to(pose);
            let canvas = &mut Canvas::new(width, rgb, inverse_depth);
            // What is near first, so that little is drawn twice. The room is closed: every pixel gets a colour.
            scenery.draw_moving(view, canvas, world);
            scenery.draw_fixed(view, canvas);
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
                // The base does not move yet, so that base and world are one.
                extrinsics: pose.to_pose().ok(),
                captured,
            });
        }
    }
}

/// What a camera that does not move sees of the scenery. Drawn once, so it can afford smooth edges: each pixel is the
/// mean of four.
fn backdrop(scenery: &Scenery, intrinsics: Intrinsics, pose: Transform, size: (u32, u32)) -> (Vec<u8>, Vec<f32>) {
    let draw = |scale: usize| {
        let (width, height) = (size.0 as usize * scale, size.1 as usize * scale);
        let Intrinsics { fx, fy, cx, cy } = intrinsics;
        let k = scale as f64;
        let lens = Intrinsics { fx: k * fx, fy: k * fy, cx: k * cx, cy: k * cy };
        let (mut rgb, mut inverse) = (vec![0; width * height * 3], vec![0.0; width * height]);
        scenery.draw_fixed(&mut View::new(lens, pose), &mut Canvas::new(width, &mut rgb, &mut inverse));
        (rgb, inverse)
    };
    let (mut rgb, inverse) = draw(1);
    let fine = draw(2).0;
    let row = size.0 as usize * 3;
    for (index, value) in rgb.iter_mut().enumerate() {
        let (y, x, channel) = (index / row, index % row / 3, index % 3);
        let first = y * 4 * row + x * 6 + channel;
        let sum: u16 = [0, 3, 2 * row, 2 * row + 3].map(|offset| u16::from(fine[first + offset])).iter().sum();
        *value = (sum / 4) as u8;
    }
    (rgb, inverse)
}

/// Adds the cameras to the hub and starts their thread, which draws whatever `world` holds.
pub(super) fn start(hub: &SensorHub, world: Arc<ArcSwap<World>>, options: &SimOptions) -> Result<Ticker, RobotError> {
    let size = options.camera_size;
    let stamped = options.latency_stamp;
    let mut writers = CAMERAS.map(|name| Some(hub.add_camera(name)));
    // Made on the thread: the backdrops take some time to draw.
    let mut set: Option<(Studio, Vec<Eye>)> = None;
    Ticker::start("sim-cameras", PERIOD, move |captured| {
        // One world and one time for all, so that the overhead pair is a true stereo pair.
        let world = world.load_full();
        let (studio, eyes) = set.get_or_insert_with(|| {
            let studio = Studio::new(&world, size, stamped);
            let writers = writers.iter_mut().filter_map(Option::take);
            let eyes = writers.zip(mounts()).map(|(w, mount)| Eye::new(w, mount, size, &studio.scenery)).collect();
            (studio, eyes)
        });
        for eye in eyes {
            if eye.writer.watched() {
                eye.capture(studio, &world, captured);
            } else {
                eye.rest();
            }
        }
    })
}

#[cfg(test)]
mod tests;
