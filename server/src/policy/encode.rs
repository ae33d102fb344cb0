//! Observations as frames: a header is made, the arrays stay where they are.

use bytes::Bytes;
use waldo_protocol::policy::{
    Align, AppMap, ArrayHeader, CameraHeader, CameraMarks, Episode, ImageHeader, ObservationHeader, ObservationKind,
    Problem, ProprioHeader, RequestId,
};
use waldo_protocol::time::MonoTime;

use super::robot::PolicyError;
use super::view::Sent;
use crate::sensors::{Array, ProprioSnapshot};
use crate::websocket::Frame;

/// An observation as one client gets it.
pub(super) struct Parts<'a> {
    pub(super) timestamp: f64,
    pub(super) extra: &'a AppMap,
    pub(super) cameras: &'a [Sent],
    pub(super) proprios: &'a [ProprioSnapshot],
    /// How the cameras were put together, for clients that want to know.
    pub(super) align: Option<Align>,
    /// The present, for clients that want to know numbers and ages of pictures.
    pub(super) marked: Option<MonoTime>,
}

/// The frame of an observation.
///
/// # Errors
/// An array that the wire cannot carry.
pub(super) fn observation(
    parts: &Parts<'_>,
    kind: ObservationKind<'_>,
    episode: Option<Episode>,
    id: Option<RequestId>,
) -> Result<Frame, PolicyError> {
    let cameras = parts.cameras.iter().map(|sent| camera(sent, parts.marked)).collect::<Result<Vec<_>, _>>()?;
    let proprios = parts.proprios.iter();
    let proprios = proprios.map(|proprio| ProprioHeader { name: &proprio.name, len: proprio.bytes.len() / 4 });
    let proprios: Vec<_> = proprios.collect();
    let header = ObservationHeader {
        timestamp: parts.timestamp,
        cameras: &cameras,
        proprios: &proprios,
        extra: parts.extra,
        align: parts.align,
        episode,
    };
    let mut head = Vec::with_capacity(128 + 512 * cameras.len() + 64 * proprios.len());
    let payload = header.encode(kind, id, &mut head);
    let mut frame = Frame::new(head);
    let head = frame.len();
    for Sent { camera, file, .. } in parts.cameras {
        frame.add(file.as_ref().map_or_else(|| camera.image.bytes().clone(), |(_, file)| file.clone()));
        if let Some(depth) = &camera.depth {
            frame.add(depth.bytes().clone());
        }
    }
    parts.proprios.iter().for_each(|proprio| frame.add(proprio.bytes.clone()));
    debug_assert_eq!((frame.len() - head) as u64, payload);
    Ok(frame)
}

fn camera(Sent { camera, file, same }: &Sent, marked: Option<MonoTime>) -> Result<CameraHeader<'_>, PolicyError> {
    let described = |shape| ArrayHeader::new(camera.image.dtype(), shape).map_err(refused);
    let image = match (file, same) {
        (_, Some(shape)) => ImageHeader::Same(described(shape)?),
        (Some((shape, file)), None) => ImageHeader::Jpeg { picture: described(shape)?, size: file.len() },
        (None, None) => ImageHeader::Raw(header(&camera.image)?),
    };
    let age_ms = |now: MonoTime| camera.stamp.map_or(0.0, |stamp| now.since(stamp).as_secs_f64() * 1e3);
    Ok(CameraHeader {
        name: &camera.name,
        timestamp: camera.stamp.map_or(0.0, MonoTime::as_secs_f64),
        intrinsics: &camera.intrinsics,
        extrinsics: &camera.extrinsics,
        image,
        depth: camera.depth.as_ref().map(header).transpose()?,
        marks: marked.map(|now| CameraMarks { n: camera.n, age_ms: age_ms(now) }),
    })
}

fn refused(problem: Problem) -> PolicyError {
    PolicyError::app(format!("a picture: {problem}"))
}

fn header(array: &Array) -> Result<ArrayHeader<'_>, PolicyError> {
    ArrayHeader::new(array.dtype(), array.shape()).map_err(refused)
}

/// A frame that is made by appending.
pub(super) fn frame(write: impl FnOnce(&mut Vec<u8>)) -> Frame {
    let mut out = Vec::new();
    write(&mut out);
    Frame::new(Bytes::from(out))
}
