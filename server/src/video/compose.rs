//! Several cameras in one picture, as somebody far away chooses them, with the time they were taken below.

use std::sync::Arc;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use tokio::sync::watch;
use waldo_protocol::hosted::{MIN_WIDTH_PX, STRIP_PX, stamp_cells};
use waldo_protocol::time::MonoTime;

use crate::clock;
use crate::sensors::{Camera, CameraFrame, RgbImage};

/// Cameras of one composition at most.
pub const MAX_COMPOSED: usize = 8;

/// How pictures are put together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ComposeSettings {
    /// A wider picture is scaled down to this width, pixels; 0 leaves it.
    pub max_width: u32,
    /// No more pictures per second than this; 0 for as many as the cameras give.
    pub max_fps: f64,
    /// Whether a strip below the picture carries its capture time, for those who measure the latency from glass to glass.
    /// Pictures narrower than 416 pixels have none.
    pub latency_stamp: bool,
}

/// Cameras of which some are shown, side by side at the smallest height, in this order.
#[derive(Clone)]
pub struct Composition {
    pub(super) cameras: Arc<[Camera]>,
    pub(super) settings: ComposeSettings,
    pub(super) selected: watch::Receiver<Vec<usize>>,
}

/// Chooses the cameras of a [`Composition`]; the picture changes at once.
#[derive(Debug)]
pub struct CameraChoice {
    names: Vec<String>,
    selected: watch::Sender<Vec<usize>>,
}

impl Composition {
    /// The first of these cameras, or none if there are none, until others are chosen. Only the first [`MAX_COMPOSED`]
    /// count.
    pub fn new(mut cameras: Vec<Camera>, settings: ComposeSettings) -> (CameraChoice, Self) {
        cameras.truncate(MAX_COMPOSED);
        let names = cameras.iter().map(|camera| camera.name().to_owned()).collect();
        let selected = watch::Sender::new(vec![0]);
        let composition = Self { cameras: cameras.into(), settings, selected: selected.subscribe() };
        (CameraChoice { names, selected }, composition)
    }

    /// Whether both are of the same cameras and settings, and follow the same choice.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.selected.same_channel(&other.selected)
    }

    /// The chosen cameras, in the order of the composition.
    pub(super) fn chosen(&mut self) -> Vec<usize> {
        self.selected.borrow_and_update().iter().copied().filter(|at| *at < self.cameras.len()).collect()
    }
}

impl CameraChoice {
    /// The names to choose from, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Shows the cameras at these places, in the order of the composition, whatever the order here; the first one if none
    /// of them exists. Gives the places that are shown.
    pub fn select(&self, places: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let mut chosen: Vec<usize> = places.into_iter().filter(|at| *at < self.names.len()).collect();
        chosen.sort_unstable();
        chosen.dedup();
        if chosen.is_empty() {
            chosen.push(0);
        }
        self.selected.send_if_modified(|selected| {
            let changes = *selected != chosen;
            selected.clone_from(&chosen);
            changes
        });
        chosen
    }
}

/// No picture can be made of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pictures of {0:?} make no picture of 2 to 8192 pixels a side")]
pub(super) struct NoPicture(Option<(u32, u32)>);

/// Puts pictures together. Keeps its working memory.
#[derive(Default)]
pub(super) struct Composer(Resizer);

impl Composer {
    /// One picture of these, left to right, as taken when the newest of them was.
    pub(super) fn compose(
        &mut self,
        frames: &[Arc<CameraFrame>],
        settings: &ComposeSettings,
    ) -> Result<Arc<CameraFrame>, NoPicture> {
        let first = frames.first().ok_or(NoPicture(None))?;
        let captured = frames.iter().map(|frame| frame.captured).fold(first.captured, MonoTime::max);
        let sizes: Vec<_> = frames.iter().map(|frame| (frame.image.width(), frame.image.height())).collect();
        let layout = Layout::of(&sizes, settings);
        if frames.len() == 1 && layout.whole == sizes[0] && layout.stamped == sizes[0] {
            return Ok(Arc::clone(first));
        }
        let wrong = NoPicture(Some(layout.cropped));
        RgbImage::check(layout.cropped.0, layout.cropped.1).map_err(|_| wrong)?;
        let mut canvas = self.side_by_side(frames, &layout).ok_or(wrong)?;
        if layout.whole != layout.tiled {
            canvas = self.scaled(&canvas, layout.tiled, layout.whole).ok_or(wrong)?;
        }
        if layout.stamped != layout.whole {
            stamp(&mut canvas, layout.whole.0, unix_ms(captured));
        }
        crop(&mut canvas, layout.stamped, layout.cropped);
        let (width, height) = layout.cropped;
        let image = RgbImage::new(width, height, canvas).map_err(|_| wrong)?;
        Ok(Arc::new(CameraFrame { image, depth: None, intrinsics: None, extrinsics: None, captured }))
    }

    fn side_by_side(&mut self, frames: &[Arc<CameraFrame>], layout: &Layout) -> Option<Vec<u8>> {
        if let [only] = frames {
            return Some(only.image.data().to_vec());
        }
        let row = layout.tiled.0 as usize * 3;
        let mut canvas = vec![0; row * layout.tiled.1 as usize];
        let mut left = 0;
        for (frame, tile) in frames.iter().zip(&layout.tiles) {
            let (image, size) = (&frame.image, (frame.image.width(), frame.image.height()));
            let scaled = if size == *tile { None } else { Some(self.scaled(image.data(), size, *tile)?) };
            let part = tile.0 as usize * 3;
            let rows = scaled.as_deref().unwrap_or(image.data()).chunks_exact(part);
            for (to, from) in canvas.chunks_exact_mut(row).zip(rows) {
                to[left..left + part].copy_from_slice(from);
            }
            left += part;
        }
        Some(canvas)
    }

    fn scaled(&mut self, pixels: &[u8], from: (u32, u32), to: (u32, u32)) -> Option<Vec<u8>> {
        let source = ImageRef::new(from.0, from.1, pixels, PixelType::U8x3).ok()?;
        let mut target = Image::new(to.0, to.1, PixelType::U8x3);
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        self.0.resize(&source, &mut target, &options).ok()?;
        Some(target.into_vec())
    }
}

/// The sizes (width, height) in pixels on the way to a picture.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    /// Each camera at the smallest height.
    tiles: Vec<(u32, u32)>,
    /// All of them side by side.
    tiled: (u32, u32),
    /// Not wider than allowed.
    whole: (u32, u32),
    /// With the strip, if it has one.
    stamped: (u32, u32),
    /// Both sides even, since encoders of H.264 take no others.
    cropped: (u32, u32),
}

impl Layout {
    fn of(sizes: &[(u32, u32)], settings: &ComposeSettings) -> Self {
        let lowest = sizes.iter().map(|(_, height)| *height).min().unwrap_or(0);
        let tiles: Vec<_> = sizes.iter().map(|(width, height)| (share(*width, lowest, *height), lowest)).collect();
        let tiled = (tiles.iter().fold(0_u32, |sum, (width, _)| sum.saturating_add(*width)), lowest);
        let max = settings.max_width;
        let whole = if max > 0 && tiled.0 > max { (max, share(tiled.1, max, tiled.0)) } else { tiled };
        let strip = if settings.latency_stamp && whole.0 >= MIN_WIDTH_PX { STRIP_PX } else { 0 };
        let stamped = (whole.0, whole.1 + strip);
        Self { tiles, tiled, whole, stamped, cropped: (stamped.0 & !1, stamped.1 & !1) }
    }
}

/// `side · part / whole`, rounded down, at least 1.
fn share(side: u32, part: u32, whole: u32) -> u32 {
    let scaled = u64::from(side) * u64::from(part) / u64::from(whole.max(1));
    u32::try_from(scaled).unwrap_or(u32::MAX).max(1)
}

fn unix_ms(at: MonoTime) -> u64 {
    u64::try_from(clock::unix_time(at).as_millis()).unwrap_or(u64::MAX)
}

/// Appends the strip to a picture of this width.
fn stamp(canvas: &mut Vec<u8>, width: u32, unix_ms: u64) {
    let mut row = vec![0; width as usize * 3];
    for (cell, bright) in row.chunks_exact_mut(STRIP_PX as usize * 3).zip(stamp_cells(unix_ms)) {
        cell.fill(if bright { 255 } else { 0 });
    }
    for _ in 0..STRIP_PX {
        canvas.extend_from_slice(&row);
    }
}

/// Cuts a column at the right and a row at the bottom, where a side is odd.
fn crop(canvas: &mut Vec<u8>, from: (u32, u32), to: (u32, u32)) {
    let (row, kept) = (from.0 as usize * 3, to.0 as usize * 3);
    if kept < row {
        for at in 1..to.1 as usize {
            canvas.copy_within(at * row..at * row + kept, at * kept);
        }
    }
    canvas.truncate(kept * to.1 as usize);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;
    use tokio::time::{Instant, sleep_until, timeout};
    use waldo_protocol::hosted::{SAMPLE_PX, is_bright, latency_of};

    use super::super::source::{Pictures, Source};
    use super::*;
    use crate::sensors::{CameraWriter, camera};

    fn frame(width: u32, height: u32, rgb: [u8; 3], captured: MonoTime) -> Arc<CameraFrame> {
        let image = RgbImage::new(width, height, rgb.repeat((width * height) as usize)).unwrap();
        Arc::new(CameraFrame { image, depth: None, intrinsics: None, extrinsics: None, captured })
    }

    fn pixel(image: &RgbImage, x: u32, y: u32) -> [u8; 3] {
        let at = (y * image.width() + x) as usize * 3;
        image.data()[at..at + 3].try_into().unwrap()
    }

    fn vector(name: &str) -> Value {
        let all: Vec<Value> = serde_json::from_str(include_str!("../../../tests/vectors/hosted.json")).unwrap();
        all.into_iter().find(|entry| entry["name"] == name).unwrap()
    }

    fn size(value: &Value) -> (u32, u32) {
        let side = |at: usize| value[at].as_u64().unwrap() as u32;
        (side(0), side(1))
    }

    #[test]
    fn sizes_of_the_vectors() {
        let entry = vector("even_dims");
        let settings = ComposeSettings { latency_stamp: true, ..ComposeSettings::default() };
        let layout = Layout::of(&[size(&entry["message"]["frame"])], &settings);
        assert_eq!(layout.cropped, size(&entry["expect"]["size"]));
        let entry = vector("mosaic_scaled");
        let sizes: Vec<_> = entry["message"]["frames"].as_array().unwrap().iter().map(size).collect();
        let layout = Layout::of(&sizes, &ComposeSettings::default());
        let tiles: Vec<_> = entry["expect"]["tiles"].as_array().unwrap().iter().map(size).collect();
        assert_eq!((layout.tiles, layout.tiled), (tiles, size(&entry["expect"]["size"])));
    }

    #[test]
    fn a_picture_that_needs_nothing_is_passed_on_without_a_copy() {
        let only = frame(640, 480, [1, 2, 3], MonoTime::from_nanos(1));
        let settings = ComposeSettings { max_width: 640, ..ComposeSettings::default() };
        assert!(Arc::ptr_eq(&Composer::default().compose(&[Arc::clone(&only)], &settings).unwrap(), &only));
    }

    #[test]
    fn cameras_of_different_sizes_stand_side_by_side_at_the_smaller_height() {
        let left = frame(64, 48, [255, 0, 0], MonoTime::from_nanos(5));
        let right = frame(100, 96, [0, 0, 255], MonoTime::from_nanos(9));
        let both = Composer::default().compose(&[left, right], &ComposeSettings::default()).unwrap();
        assert_eq!((both.image.width(), both.image.height()), (114, 48));
        assert_eq!(both.captured, MonoTime::from_nanos(9), "the newest of both");
        for y in [0, 20, 47] {
            assert_eq!((pixel(&both.image, 0, y), pixel(&both.image, 63, y)), ([255, 0, 0], [255, 0, 0]));
            assert_eq!((pixel(&both.image, 64, y), pixel(&both.image, 113, y)), ([0, 0, 255], [0, 0, 255]));
        }
    }

    #[test]
    fn odd_sides_lose_a_column_and_a_row() {
        let settings = ComposeSettings { max_width: 75, ..ComposeSettings::default() };
        let picture =
            Composer::default().compose(&[frame(100, 50, [9, 8, 7], MonoTime::default())], &settings).unwrap();
        assert_eq!((picture.image.width(), picture.image.height()), (74, 36));
        assert!((0..36).all(|y| (0..74).all(|x| pixel(&picture.image, x, y) == [9, 8, 7])));
    }

    #[test]
    fn the_strip_below_says_when_the_picture_was_taken() {
        let captured = clock::now();
        let settings = ComposeSettings { latency_stamp: true, max_width: 601, ..ComposeSettings::default() };
        let picture = Composer::default().compose(&[frame(640, 480, [200; 3], captured)], &settings).unwrap();
        // 601 wide and 450 high, a strip of 16, and the last column cut.
        let image = &picture.image;
        assert_eq!((image.width(), image.height()), (600, 466));
        assert_eq!(pixel(image, 599, 449), [200; 3]);
        let row = image.height() - STRIP_PX + SAMPLE_PX;
        let cells: Vec<bool> =
            (0..image.width() / STRIP_PX).map(|i| is_bright(pixel(image, i * STRIP_PX + SAMPLE_PX, row))).collect();
        let now = unix_ms(captured) as f64 + 142.0;
        // The clocks' offset is read anew for each picture.
        assert!((latency_of(&cells, now).unwrap() - 142.0).abs() <= 2.0, "{cells:?}");
        assert_eq!(pixel(image, 599, 465), [0; 3], "the rest of the strip is black");
    }

    #[test]
    fn narrow_pictures_carry_no_strip() {
        let settings = ComposeSettings { latency_stamp: true, ..ComposeSettings::default() };
        let mut composer = Composer::default();
        let mut size = |width| {
            let picture = composer.compose(&[frame(width, 100, [0; 3], clock::now())], &settings).unwrap();
            (picture.image.width(), picture.image.height())
        };
        assert_eq!((size(414), size(416)), ((414, 100), (416, 116)));
    }

    #[test]
    fn what_makes_no_picture_is_refused() {
        let settings = ComposeSettings { max_width: 1, ..ComposeSettings::default() };
        let wide = frame(8192, 2, [0; 3], MonoTime::default());
        let mut composer = Composer::default();
        assert!(composer.compose(&[], &ComposeSettings::default()).is_err());
        assert!(composer.compose(&[Arc::clone(&wide)], &settings).is_err());
        assert!(composer.compose(&[Arc::clone(&wide), wide], &ComposeSettings::default()).is_err());
    }

    #[test]
    fn the_choice_keeps_the_order_of_the_cameras_and_is_never_empty() {
        let cameras = ["cam1", "cam2"].map(|name| camera(name).1).to_vec();
        let (choice, mut composition) = Composition::new(cameras, ComposeSettings::default());
        assert_eq!(choice.names(), ["cam1", "cam2"]);
        assert_eq!(composition.chosen(), [0]);
        assert_eq!(choice.select([1, 0, 1, 7]), [0, 1]);
        assert_eq!(composition.chosen(), [0, 1]);
        assert_eq!(choice.select([9]), [0]);
        assert_eq!(composition.chosen(), [0]);
    }

    /// Two cameras and the pictures of those that are chosen.
    fn two(settings: ComposeSettings) -> ([CameraWriter; 2], CameraChoice, Pictures) {
        let ((one, first), (two, second)) = (camera("cam1"), camera("cam2"));
        let (choice, composition) = Composition::new(vec![first, second], settings);
        ([one, two], choice, Source::composed(composition).watch("operator"))
    }

    fn publish(writer: &CameraWriter, width: u32) {
        writer.publish((*frame(width, 48, [0; 3], clock::now())).clone());
    }

    async fn width(pictures: &mut Pictures) -> u32 {
        pictures.next("operator").await.size().0
    }

    /// Whether no picture comes within this time.
    async fn rests(pictures: &mut Pictures, ms: u64) -> bool {
        timeout(Duration::from_millis(ms), pictures.next("operator")).await.is_err()
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_chosen_cameras_are_watched_and_the_picture_follows_the_choice_at_once() {
        let ([one, two], choice, mut pictures) = two(ComposeSettings::default());
        assert!(one.watched() && !two.watched());
        publish(&one, 64);
        assert_eq!(width(&mut pictures).await, 64);
        choice.select([0, 1]);
        assert_eq!(width(&mut pictures).await, 64, "what there is");
        assert!(two.watched());
        publish(&two, 100);
        assert_eq!(width(&mut pictures).await, 164, "without waiting for the first camera's next picture");
        choice.select([1]);
        assert_eq!(width(&mut pictures).await, 100);
        assert!(!one.watched() && two.watched());
        publish(&one, 64);
        assert!(rests(&mut pictures, 500).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_picture_waits_a_moment_for_those_of_the_other_cameras() {
        let ([one, two], choice, mut pictures) = two(ComposeSettings::default());
        choice.select([0, 1]);
        publish(&one, 64);
        publish(&two, 64);
        assert_eq!(width(&mut pictures).await, 128);
        publish(&one, 64);
        assert!(rests(&mut pictures, 10).await);
        publish(&two, 100);
        assert_eq!(width(&mut pictures).await, 164);
        // A camera that shows nothing new is not waited for any longer than that.
        publish(&one, 80);
        assert_eq!(width(&mut pictures).await, 180);
        assert!(rests(&mut pictures, 500).await, "one picture each time");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_pictures_come_than_allowed() {
        let settings = ComposeSettings { max_fps: 10.0, ..ComposeSettings::default() };
        let ([one, _two], _choice, mut pictures) = two(settings);
        let mut shown = 0;
        for _ in 0..60 {
            let next = Instant::now() + Duration::from_millis(33);
            publish(&one, 64);
            shown += u32::from(!rests(&mut pictures, 33).await);
            sleep_until(next).await;
        }
        // Two seconds.
        assert!((19..=21).contains(&shown), "{shown}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_picture_stays_when_whoever_chose_is_gone() {
        let ([one, _two], choice, mut pictures) = two(ComposeSettings::default());
        drop(choice);
        publish(&one, 64);
        assert_eq!(width(&mut pictures).await, 64);
        assert!(rests(&mut pictures, 100).await);
        publish(&one, 66);
        assert_eq!(width(&mut pictures).await, 66);
    }
}
