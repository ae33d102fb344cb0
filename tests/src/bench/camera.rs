//! Cameras that cost next to nothing: pictures drawn beforehand, stamped with their capture time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use waldo_server::clock;
use waldo_server::sensors::{Camera, CameraFrame, CameraWriter, RgbImage, camera, stamp};

use super::thread_cpu;

/// Pictures per second.
const FPS: u32 = 30;

/// Pixels that the scene moves from one picture to the next, and how far it goes before it comes back.
const STEP: usize = 4;
const TRAVEL: usize = 256;

/// Some cameras that look at a moving scene, each from a thread of its own. End when dropped.
pub struct PaintedCameras {
    /// The reading sides.
    pub cameras: Vec<Camera>,
    cpu_nanos: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl PaintedCameras {
    /// Starts `count` cameras of this size in pixels.
    pub fn start(count: usize, width: usize, height: usize) -> Self {
        let scene: Arc<[u8]> = scene(width + TRAVEL, height).into();
        let (cpu_nanos, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut cameras = Vec::new();
        let mut threads = Vec::new();
        for index in 0..count {
            let (writer, reader) = camera(format!("camera_{index}"));
            cameras.push(reader);
            let (scene, cpu_nanos, stop) = (Arc::clone(&scene), Arc::clone(&cpu_nanos), Arc::clone(&stop));
            threads.push(thread::spawn(move || film(&writer, &scene, width, height, &cpu_nanos, &stop)));
        }
        Self { cameras, cpu_nanos, stop, threads }
    }

    /// CPU time that the cameras themselves took so far.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_nanos.load(Ordering::Relaxed))
    }
}

impl Drop for PaintedCameras {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn film(writer: &CameraWriter, scene: &[u8], width: usize, height: usize, cpu_nanos: &AtomicU64, stop: &AtomicBool) {
    let begin = Instant::now();
    for picture in 0.. {
        thread::sleep((begin + Duration::from_secs(1) * picture / FPS).saturating_duration_since(Instant::now()));
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let cpu = thread_cpu();
        let way = picture as usize * STEP % (2 * TRAVEL);
        let mut data = view(scene, width, height, way.min(2 * TRAVEL - way));
        let captured = clock::now();
        stamp::draw(&mut data, width, stamp::millis(clock::unix_time(captured)));
        if let Ok(image) = RgbImage::new(width as u32, height as u32, data) {
            writer.publish(CameraFrame { image, depth: None, intrinsics: None, extrinsics: None, captured });
        }
        let cpu = thread_cpu().saturating_sub(cpu);
        cpu_nanos.fetch_add(u64::try_from(cpu.as_nanos()).unwrap_or(0), Ordering::Relaxed);
    }
}

/// What a camera sees that looks at the scene from `left` on.
fn view(scene: &[u8], width: usize, height: usize, left: usize) -> Vec<u8> {
    let mut data = Vec::with_capacity(width * height * 3);
    for row in scene.chunks_exact((width + TRAVEL) * 3) {
        data.extend_from_slice(&row[left * 3..(left + width) * 3]);
    }
    data
}

/// Smooth surfaces, hard edges and a little sensor noise, as a camera in a workshop sees.
fn scene(width: usize, height: usize) -> Vec<u8> {
    let mut noise = 0x2545_f491_u32;
    let mut data = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let tile = (x / 96 + y / 96) % 2 * 50;
            let shade = 60 + 80 * y / height;
            let value = tile + shade + (noise >> 29) as usize;
            data.extend([value, value + 20 * x / width, 200 - value / 2].map(|v| v.min(255) as u8));
        }
    }
    data
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use openh264::decoder::Decoder;
    use openh264::formats::YUVSource;
    use waldo_server::video::{Feed, VideoSource};

    use super::*;

    #[test]
    fn a_painted_camera_publishes_pictures_that_carry_their_capture_time() {
        let painted = PaintedCameras::start(1, 640, 480);
        let frame = painted.cameras[0].watch().next_timeout(Duration::from_secs(10)).unwrap();
        let pixels = frame.image.data();
        let read = stamp::read(640, 480, |x, y| pixels[(y * 640 + x) * 3]).unwrap();
        // Converting the same time twice may differ by what the two clocks were read apart.
        let expected = stamp::millis(clock::unix_time(frame.captured));
        assert!(read.wrapping_sub(expected).wrapping_add(1) <= 2, "{read} instead of {expected}");
    }
    #[tokio::test]
    async fn stamps_are_read_in_pictures_that_a_low_bitrate_made_smaller() {
        let painted = PaintedCameras::start(1, 640, 480);
        let feed = Feed::new("painted", VideoSource::Camera(painted.cameras[0].clone()));
        let mut viewer = feed.subscribe();
        let mut decoder = Decoder::new().unwrap();
        for (bps, smaller) in [(100_000, 320), (30_000, 160)] {
            feed.set_target_bitrate(NonZeroU32::new(bps));
            let mut seen = 0;
            let mut unread = 0;
            while seen < 60 {
                let frame = viewer.next().await.unwrap();
                let picture = decoder.decode(&frame.data).unwrap().unwrap();
                let ((width, height), (stride, ..)) = (picture.dimensions(), picture.strides());
                let read = stamp::read_scaled(640, width, height, |x, y| picture.y()[y * stride + x]);
                if width == smaller {
                    seen += 1;
                    let expected = stamp::millis(clock::unix_time(frame.captured));
                    unread += usize::from(read.is_none_or(|read| read.wrapping_sub(expected).wrapping_add(1) > 2));
                }
            }
            assert!(unread == 0, "{unread} of {seen} pictures {smaller} wide");
        }
    }
}
