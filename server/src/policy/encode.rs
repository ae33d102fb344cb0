//! Observations as frames: a header is made, the arrays stay where they are.

use bytes::Bytes;
use waldo_protocol::policy::{
    ArrayHeader, CameraHeader, Episode, ImageHeader, ObservationHeader, ObservationKind, ProprioHeader, RequestId,
};

use super::outbox::Frame;
use super::robot::{Observation, PolicyError};
use crate::sensors::{Array, CameraSnapshot};

/// The frame of an observation.
///
/// # Errors
/// An array that the wire cannot carry.
pub(super) fn observation(
    observation: &Observation,
    kind: ObservationKind<'_>,
    episode: Option<Episode>,
    id: Option<RequestId>,
) -> Result<Frame, PolicyError> {
    let sensors = &observation.sensors;
    let cameras = sensors.cameras.iter().map(camera).collect::<Result<Vec<_>, _>>()?;
    let proprios =
        sensors.proprios.iter().map(|proprio| ProprioHeader { name: &proprio.name, len: proprio.bytes.len() / 4 });
    let proprios: Vec<_> = proprios.collect();
    let header = ObservationHeader {
        timestamp: observation.timestamp,
        cameras: &cameras,
        proprios: &proprios,
        extra: &observation.extra,
        align: None,
        episode,
    };
    let mut head = Vec::with_capacity(128 + 512 * cameras.len() + 64 * proprios.len());
    let payload = header.encode(kind, id, &mut head);
    let mut frame = Frame::new(head);
    let head = frame.len();
    for camera in &sensors.cameras {
        frame.add(camera.image.bytes().clone());
        if let Some(depth) = &camera.depth {
            frame.add(depth.bytes().clone());
        }
    }
    sensors.proprios.iter().for_each(|proprio| frame.add(proprio.bytes.clone()));
    debug_assert_eq!((frame.len() - head) as u64, payload);
    Ok(frame)
}

fn camera(camera: &CameraSnapshot) -> Result<CameraHeader<'_>, PolicyError> {
    Ok(CameraHeader {
        name: &camera.name,
        timestamp: camera.stamp.map_or(0.0, |stamp| stamp.as_nanos() as f64 / 1e9),
        intrinsics: &camera.intrinsics,
        extrinsics: &camera.extrinsics,
        image: ImageHeader::Raw(header(&camera.image)?),
        depth: camera.depth.as_ref().map(header).transpose()?,
        marks: None,
    })
}

fn header(array: &Array) -> Result<ArrayHeader<'_>, PolicyError> {
    ArrayHeader::new(array.dtype(), array.shape()).map_err(|problem| PolicyError::app(format!("a picture: {problem}")))
}

/// A frame that is made by appending.
pub(super) fn frame(write: impl FnOnce(&mut Vec<u8>)) -> Frame {
    let mut out = Vec::new();
    write(&mut out);
    Frame::new(Bytes::from(out))
}
