//! What a client wants of each camera: whether at all, which part, which size, packed how, together with which others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use waldo_protocol::policy::{Align, CameraSettings, Configure, Dtype, Encoding, ErrorCode, Region, adapt_intrinsics};

use super::robot::PolicyError;
use crate::sensors::transform::{QUALITY, Scaler, jpeg};
use crate::sensors::{Aligner, Array, CameraSnapshot, SensorHub, Snapshot};

/// Most pixels of a scaled picture.
const MAX_PIXELS: u64 = 1 << 24;

/// What one client asked for; by default whole pictures as they are.
#[derive(Clone, Default)]
pub(super) struct Views {
    cameras: BTreeMap<String, CameraSettings>,
    align: Option<Align>,
    /// While frames are to be aligned.
    aligner: Option<Arc<Aligner>>,
}

/// How one camera is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct View {
    roi: Option<Region>,
    size: Option<[u32; 2]>,
    /// Quality of JPEG; `None`: pixels.
    quality: Option<u8>,
}

/// A camera as it is sent.
pub(super) struct Sent {
    pub(super) camera: CameraSnapshot,
    /// The picture as a file, whose pixels would have the shape of the camera's picture.
    pub(super) file: Option<(Vec<usize>, Bytes)>,
    /// The client has the picture already; its shape.
    pub(super) same: Option<Vec<usize>>,
}

/// Which cameras a message is about, and what the client has of them already.
#[derive(Clone, Copy, Default)]
pub(super) struct Wanted<'a> {
    /// Names of the cameras; `None`: all that are on.
    pub(super) only: Option<&'a [String]>,
    /// Whether depth is sent; `None`: as configured.
    pub(super) depth: Option<bool>,
    /// Camera → number of the picture that the client has.
    pub(super) newer_than: &'a [(String, u64)],
    /// Whether frames of the hub may be put in the place of those given.
    pub(super) align: bool,
}

impl Views {
    /// These views, changed as the client asks.
    ///
    /// # Errors
    /// What the client asks for is not there, or makes no sense; nothing changes then.
    pub(super) fn configured(&self, request: &Configure, hub: &SensorHub) -> Result<Self, PolicyError> {
        let mut views = self.clone();
        for (name, asked) in &request.cameras {
            let Some(camera) = hub.camera(name) else {
                let names: Vec<String> = hub.every_camera().iter().map(|one| one.name().to_owned()).collect();
                let text = format!("there is no camera {name:?}; there are: {}", names.join(", "));
                return Err(PolicyError::new(ErrorCode::BadRequest, text));
            };
            let own = views.cameras.entry(name.clone()).or_default();
            let CameraSettings { on, size, roi, encoding, quality, depth } = *asked;
            *own = CameraSettings {
                on: on.or(own.on),
                size: size.or(own.size),
                roi: roi.or(own.roi),
                encoding: encoding.or(own.encoding),
                quality: quality.or(own.quality),
                depth: depth.or(own.depth),
            };
            check(&camera.snapshot(), own)?;
        }
        if let Some(align) = request.align {
            views.align = Some(align);
            views.aligner = match align {
                Align::Latest => None,
                Align::Nearest { .. } => Some(views.aligner.unwrap_or_else(|| Arc::new(hub.aligner()))),
            };
        }
        Ok(views)
    }

    /// The response that tells what is in force for every camera.
    pub(super) fn in_force(&self, request: &Configure, hub: &SensorHub) -> Configure {
        let cameras = hub.every_camera();
        let cameras = cameras.iter().map(|camera| {
            let (frame, own) = (camera.snapshot(), self.settings(camera.name()));
            let whole = sides(&frame.image).map(Region::whole);
            let roi = own.roi.or(whole);
            let settings = CameraSettings {
                on: Some(own.on.unwrap_or(true)),
                size: own.size.or(roi.map(|roi| [roi.height, roi.width])),
                roi,
                encoding: Some(own.encoding.unwrap_or(Encoding::Raw)),
                quality: Some(own.quality.unwrap_or(QUALITY)),
                depth: Some(own.depth.unwrap_or(frame.depth.is_some())),
            };
            (camera.name().to_owned(), settings)
        });
        Configure { id: request.id, cameras: cameras.collect(), align: Some(self.align.unwrap_or(Align::Latest)) }
    }

    fn settings(&self, camera: &str) -> CameraSettings {
        self.cameras.get(camera).copied().unwrap_or_default()
    }

    /// Whether making what the client wants takes more than a thread of the network may do.
    pub(super) fn takes_time(&self) -> bool {
        self.cameras.values().any(|own| own.size.is_some() || own.roi.is_some() || own.encoding == Some(Encoding::Jpeg))
    }

    /// Puts frames that belong together in the place of the newest, if the client wants that; says what was done.
    pub(super) fn align(&self, sensors: &mut Snapshot) -> Option<Align> {
        let (Some(aligner), Some(Align::Nearest { tolerance_ms })) = (&self.aligner, self.align) else {
            return self.align;
        };
        // Beyond an hour nothing changes any more.
        let tolerance = Duration::from_secs_f64((tolerance_ms / 1e3).min(3600.0));
        let aligned = aligner.snapshot(|name| self.settings(name).on.unwrap_or(true), tolerance);
        sensors.cameras = aligned.cameras;
        Some(if aligned.aligned { Align::Nearest { tolerance_ms } } else { Align::Latest })
    }

    /// The cameras as the client wants them.
    pub(super) fn apply(&self, cameras: Vec<CameraSnapshot>, wanted: Wanted<'_>, made: &Made) -> Vec<Sent> {
        let named = |name: &str| wanted.only.is_none_or(|names| names.iter().any(|one| one == name));
        let cameras = cameras.into_iter().map(|camera| (self.settings(&camera.name), camera));
        let shown = cameras.filter(|(own, camera)| own.on.unwrap_or(true) && named(&camera.name));
        shown.map(|(own, camera)| send(camera, own, wanted, made)).collect()
    }
}

fn check(camera: &CameraSnapshot, own: &CameraSettings) -> Result<(), PolicyError> {
    let refused = |code, text: &str| Err(PolicyError::new(code, format!("camera {:?}: {text}", camera.name)));
    if let Some([height, width]) = own.size
        && u64::from(height) * u64::from(width) > MAX_PIXELS
    {
        return refused(ErrorCode::TooLarge, "a picture is scaled to at most 2^24 pixels");
    }
    // Of a camera that shows nothing yet nobody knows the size.
    let Some(whole) = sides(&camera.image) else { return Ok(()) };
    if own.roi.is_some_and(|roi| !roi.fits(whole)) {
        return refused(
            ErrorCode::BadRequest,
            &format!("the region is not inside of its {}×{} pixels", whole[0], whole[1]),
        );
    }
    let view = View { roi: own.roi, size: own.size, quality: None };
    let packed = own.encoding == Some(Encoding::Jpeg);
    if packed && !is_jpeg(&camera.image, view.shape(&camera.image)) {
        return refused(ErrorCode::Unsupported, "JPEG has 8 bits, 1 or 3 channels, and sides below 65536");
    }
    Ok(())
}

fn is_jpeg(image: &Array, shape: Option<Vec<usize>>) -> bool {
    let shape = shape.unwrap_or_default();
    image.dtype() == Dtype::Uint8 && matches!(shape[..], [h, w, 1 | 3] if h < 1 << 16 && w < 1 << 16)
}

/// Height and width of a picture that has pixels.
fn sides(image: &Array) -> Option<[u32; 2]> {
    let [height, width, ..] = *image.shape() else { return None };
    let sides = [u32::try_from(height).ok()?, u32::try_from(width).ok()?];
    (!sides.contains(&0)).then_some(sides)
}

impl View {
    /// The region and the size of what becomes of a picture; `None` if the region is not inside of it.
    fn place(&self, [rows, columns]: [u32; 2]) -> Option<(Region, [u32; 2])> {
        let roi = self.roi.unwrap_or(Region::whole([rows, columns]));
        roi.fits([rows, columns]).then_some((roi, self.size.unwrap_or([roi.height, roi.width])))
    }

    /// The shape of what becomes of a picture.
    fn shape(&self, image: &Array) -> Option<Vec<usize>> {
        let (_, [height, width]) = self.place(sides(image)?)?;
        Some([&[height as usize, width as usize][..], image.shape().get(2..)?].concat())
    }
}

fn send(mut camera: CameraSnapshot, own: CameraSettings, wanted: Wanted<'_>, made: &Made) -> Sent {
    if !wanted.depth.or(own.depth).unwrap_or(true) {
        camera.depth = None;
    }
    let packed = (own.encoding == Some(Encoding::Jpeg)).then(|| own.quality.unwrap_or(QUALITY));
    let view = View { roi: own.roi, size: own.size, quality: packed };
    // A camera that failed or rests has nothing to be cut. One whose pictures became smaller than the region fails too.
    let Some(whole) = sides(&camera.image) else { return Sent { camera, file: None, same: None } };
    let Some((region, size)) = view.place(whole) else {
        (camera.image, camera.depth) = (Array::no_picture(camera.image.dtype(), camera.image.shape()[2]), None);
        return Sent { camera, file: None, same: None };
    };
    let is_whole = region == Region::whole(whole) && size == whole;
    if !is_whole {
        camera.intrinsics = adapt_intrinsics(&camera.intrinsics, region, size);
    }
    let known = wanted.newer_than.iter().rfind(|(name, _)| **name == *camera.name);
    if known.is_some_and(|(_, n)| camera.n <= *n) && camera.n > 0 {
        let same = view.shape(&camera.image);
        (camera.image, camera.depth) = (Array::no_picture(camera.image.dtype(), camera.image.shape()[2]), None);
        return Sent { camera, file: None, same };
    }
    if let Some(depth) = camera.depth.take() {
        let plain = View { quality: None, ..view };
        camera.depth = if is_whole {
            Some(depth)
        } else {
            made.get(&camera.name, Plane::Depth, &depth, plain).and_then(Product::array)
        };
    }
    if is_whole && view.quality.is_none() {
        return Sent { camera, file: None, same: None };
    }
    let file = match made.get(&camera.name, Plane::Image, &camera.image, view) {
        Some(Product::Array(image)) => {
            camera.image = image;
            None
        }
        Some(Product::File(shape, file)) => Some((shape, file)),
        // Such as a camera whose element type cannot be packed: as it is.
        None => None,
    };
    Sent { camera, file, same: None }
}

/// What was made of the newest pictures, so that clients that want the same cost it once.
#[derive(Default)]
pub(super) struct Made(Mutex<Vec<Entry>>);

struct Entry {
    camera: Arc<str>,
    plane: Plane,
    view: View,
    /// The pixels it was made of. Held, so that no other picture comes to lie there.
    source: Bytes,
    /// Whoever comes first makes it; the others wait.
    product: Arc<OnceLock<Option<Product>>>,
}

/// Of what something was made.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plane {
    Image,
    Depth,
}

#[derive(Clone)]
enum Product {
    Array(Array),
    File(Vec<usize>, Bytes),
}

impl Product {
    fn array(self) -> Option<Array> {
        match self {
            Self::Array(array) => Some(array),
            Self::File(..) => None,
        }
    }
}

impl Made {
    fn get(&self, camera: &Arc<str>, plane: Plane, array: &Array, view: View) -> Option<Product> {
        let product = {
            let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let same = |entry: &Entry| entry.source.as_ptr() == array.bytes().as_ptr();
            let own = |entry: &Entry| entry.camera == *camera && entry.plane == plane;
            // What was made of pictures that are over is let go, with the buffers they lie in.
            entries.retain(|entry| !own(entry) || same(entry));
            let known = entries.iter().find(|entry| own(entry) && entry.view == view);
            match known {
                Some(entry) => Arc::clone(&entry.product),
                None => {
                    let (source, product) = (array.bytes().clone(), Arc::default());
                    let (camera, made) = (Arc::clone(camera), Arc::clone(&product));
                    entries.push(Entry { camera, plane, view, source, product: made });
                    product
                }
            }
        };
        product.get_or_init(|| make(array, view)).clone()
    }

    /// Forgets everything: nobody is there any more.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

fn make(array: &Array, view: View) -> Option<Product> {
    let (region, size) = view.place(sides(array)?)?;
    let scaled = Scaler::default().scale(array, region, size)?;
    match view.quality {
        None => Some(Product::Array(scaled)),
        Some(quality) => Some(Product::File(scaled.shape().to_vec(), jpeg(&scaled, quality)?.into())),
    }
}
