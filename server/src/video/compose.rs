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
mod tests;
