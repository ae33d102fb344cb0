//! Cameras and proprioception streams that a program declares and then writes to by their names.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use waldo_protocol::policy::{ArrayHeader, ArrayView, Dtype};
use waldo_protocol::time::MonoTime;

use super::newest::Newest;
use super::pool::ArrayPool;
use super::{
    Array, Camera, CameraConfig, CameraFrame, CameraSnapshot, CameraWriter, HubError, ProprioConfig, ProprioSnapshot,
    RgbImage, Values,
};
use crate::clock;

/// Pictures of one camera in the hands of slow readers before new ones are dropped.
const HELD: usize = 32;

/// Most bytes of one array: what a message may have by all means.
const MAX_BYTES: usize = 1 << 30;

/// What a writer gives of a frame; what is missing stays as it was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Change<'a> {
    pub(super) image: Option<Values<'a>>,
    pub(super) depth: Option<Values<'a>>,
    pub(super) intrinsics: Option<&'a [f64; 9]>,
    pub(super) extrinsics: Option<&'a [f64; 16]>,
    /// Of a picture; `None`: now.
    pub(super) captured: Option<MonoTime>,
}

/// A declared camera.
pub(super) struct DeclaredCamera {
    config: CameraConfig,
    writer: CameraWriter,
    /// Taken by whoever writes, for the whole time: what one thread changes, no other one changes back.
    pools: Mutex<Pools>,
}

struct Pools {
    image: ArrayPool,
    depth: ArrayPool,
}

impl DeclaredCamera {
    /// Checks a configuration and makes what it declares. `camera` makes the camera that shows this first.
    pub(super) fn new(
        config: CameraConfig,
        camera: impl FnOnce(CameraSnapshot) -> (CameraWriter, Camera),
    ) -> Result<(Self, Camera), HubError> {
        let CameraConfig { name, channels, .. } = &config;
        if ![1, 3].contains(channels) {
            return Err(HubError::Channels { name: name.clone(), channels: *channels });
        }
        let pool = |dtype, shape: &[usize]| {
            let size = ArrayHeader::new(dtype, shape).ok().map(|header| header.size());
            let size = size.filter(|size| *size <= MAX_BYTES);
            let limit = "a picture and its depth have at most 1 GiB each";
            let size = size.ok_or(HubError::TooMuch { name: name.clone(), limit })?;
            Ok(ArrayPool::new(size, HELD))
        };
        let pools = Pools {
            image: pool(config.image_dtype, &config.image_shape())?,
            depth: pool(config.depth_dtype, &config.depth_shape())?,
        };
        let array = |pool: &ArrayPool, dtype, shape: &[usize]| {
            Array::new(dtype, shape, pool.zeros()).expect("the pool's buffers have that size")
        };
        let image = array(&pools.image, config.image_dtype, &config.image_shape());
        let depth = || array(&pools.depth, config.depth_dtype, &config.depth_shape());
        let first = CameraSnapshot::declared(&config, image, config.has_depth.then(depth));
        let (writer, camera) = camera(first);
        Ok((Self { config, writer, pools: Mutex::new(pools) }, camera))
    }

    /// Whether its pictures can be video.
    pub(super) fn is_video(&self) -> bool {
        let CameraConfig { height, width, channels, image_dtype, .. } = &self.config;
        *channels == 3 && *image_dtype == Dtype::Uint8 && RgbImage::check(*width, *height).is_ok()
    }

    pub(super) fn has_depth(&self) -> bool {
        self.config.has_depth
    }

    /// Writes a whole frame, or parts of it.
    ///
    /// A picture is a new frame with a number and a stamp, and watchers are told. It is dropped and counted, together
    /// with all that came with it, if readers hold all buffers.
    pub(super) fn write(&self, change: Change<'_>) -> Result<(), HubError> {
        let config = &self.config;
        if change.depth.is_some() && !config.has_depth {
            return Err(HubError::NoDepth { name: config.name.clone() });
        }
        if let Some(image) = &change.image {
            self.check("its picture", image, config.image_dtype, &config.image_shape())?;
        }
        if let Some(depth) = &change.depth {
            self.check("its depth", depth, config.depth_dtype, &config.depth_shape())?;
        }
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let Pools { image, depth } = &mut *pools;
        let image = change.image.map(|values| image.copy(values.bytes));
        let depth = change.depth.map(|values| depth.copy(values.bytes));
        if matches!(image, Some(None)) || matches!(depth, Some(None)) {
            self.writer.count_dropped();
            return Ok(());
        }
        let shared = |copy: Option<Option<Bytes>>, dtype, shape: &[usize]| {
            copy.flatten().and_then(|bytes| Array::new(dtype, shape, bytes).ok())
        };
        let image = shared(image, config.image_dtype, &config.image_shape());
        let depth = shared(depth, config.depth_dtype, &config.depth_shape());
        let amend = |frame: &mut CameraSnapshot| {
            if depth.is_some() {
                frame.depth = depth;
            }
            frame.intrinsics = change.intrinsics.copied().unwrap_or(frame.intrinsics);
            frame.extrinsics = change.extrinsics.copied().unwrap_or(frame.extrinsics);
        };
        match image {
            None => self.writer.amend(amend),
            Some(image) => self.picture(image, change.captured, amend),
        }
        Ok(())
    }

    /// The camera failed: it has no picture until the next one is written.
    pub(super) fn fail(&self) {
        let _one = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let image = Array::no_picture(self.config.image_dtype, self.config.channels as usize);
        self.picture(image, None, |frame| frame.depth = None);
    }

    /// A new picture; `amend` changes the rest. The camera's lock is held.
    fn picture(&self, image: Array, captured: Option<MonoTime>, amend: impl FnOnce(&mut CameraSnapshot)) {
        let captured = captured.unwrap_or_else(clock::now);
        let video = RgbImage::new(self.config.width, self.config.height, image.bytes().clone());
        let video = video.ok().filter(|_| self.is_video());
        let former = self.writer.newest();
        self.writer.put(|n| {
            let mut frame = CameraSnapshot { n, stamp: Some(captured), image, ..former.now.clone() };
            amend(&mut frame);
            let video =
                video.map(|image| CameraFrame { image, depth: None, intrinsics: None, extrinsics: None, captured });
            (frame, video.map(Arc::new))
        });
    }

    fn check(&self, what: &'static str, values: &Values<'_>, needed: Dtype, shape: &[usize]) -> Result<(), HubError> {
        check(&self.config.name, what, values, needed, shape)
    }
}

fn check(name: &str, what: &'static str, values: &Values<'_>, needed: Dtype, shape: &[usize]) -> Result<(), HubError> {
    let name = || name.to_owned();
    if values.dtype != needed {
        Err(HubError::Dtype { name: name(), what, needed, got: values.dtype })
    } else if values.are(needed, shape) {
        Ok(())
    } else {
        Err(HubError::Shape { name: name(), what, needed: shape.to_vec(), got: values.shape() })
    }
}

/// A declared proprioception stream.
#[derive(Debug)]
pub(super) struct DeclaredProprio {
    config: ProprioConfig,
    newest: Newest<ProprioSnapshot, ()>,
}

impl DeclaredProprio {
    /// Checks a configuration and makes what it declares.
    pub(super) fn new(config: ProprioConfig) -> Result<Self, HubError> {
        const MAX: usize = 1 << 20;
        if config.size > MAX {
            return Err(HubError::TooMuch { name: config.name, limit: "a stream has at most 2^20 values" });
        }
        let bytes = vec![0; config.size * 4].into();
        let first = ProprioSnapshot { name: config.name.as_str().into(), n: 0, stamp: None, bytes };
        Ok(Self { config, newest: Newest::new(first, ()) })
    }

    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    pub(super) fn snapshot(&self) -> ProprioSnapshot {
        (*self.newest.load()).clone()
    }

    /// Writes a reading.
    pub(super) fn write(&self, values: Values<'_>) -> Result<(), HubError> {
        let ProprioConfig { name, size, dtype } = &self.config;
        // Joints are float64 in most programs and float32 on the wire: either is narrowed without harm.
        let floats = [Dtype::Float32, Dtype::Float64];
        let needed = if floats.contains(dtype) && floats.contains(&values.dtype) { values.dtype } else { *dtype };
        check(name, "its reading", &values, needed, &[*size])?;
        let bytes: Bytes = if values.dtype == Dtype::Float32 {
            Bytes::copy_from_slice(values.bytes)
        } else {
            let shape = [*size];
            let numbers = ArrayView::new(values.dtype, &shape, values.bytes);
            numbers.iter().flat_map(ArrayView::f32s).flat_map(f32::to_le_bytes).collect()
        };
        let mut writing = self.newest.writing();
        let former = writing.current();
        let (name, n, stamp) = (Arc::clone(&former.name), former.n + 1, Some(clock::now()));
        writing.replace(ProprioSnapshot { name, n, stamp, bytes });
        Ok(())
    }
}
