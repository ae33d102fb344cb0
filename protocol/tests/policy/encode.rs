//! Writes a message again that was read from a frame. Shared with the fuzz targets.

use waldo_protocol::policy::{
    Action, ActionHeader, ArrayHeader, ArrayRef, Camera, CameraHeader, CameraMarks, ChunkHeader, ClientMessage, Dtype,
    Image, ImageHeader, Observation, ObservationHeader, ObservationKind, ProprioHeader, RequestId, ServerMessage,
    encode_stats,
};

#[cfg(not(target_arch = "wasm32"))]
use waldo_protocol::policy::Capabilities;

/// The frame of a client's message that was read from `frame`; `None` for one that nobody writes.
pub(crate) fn client(message: &ClientMessage, frame: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match message {
        ClientMessage::Metadata(request) => request.encode(&mut out),
        ClientMessage::Reset(request) => request.encode_reset(&mut out),
        ClientMessage::ObsRequest(request) => request.encode(&mut out),
        ClientMessage::ApplyAction(action) => header(action).encode(&floats(&action.array, frame)?, &mut out).unwrap(),
        ClientMessage::Action(action) => {
            header(action).encode_coupled(&floats(&action.array, frame)?, &mut out).unwrap();
        }
        ClientMessage::Chunk(chunk) => {
            let header = ChunkHeader {
                id: chunk.id,
                chunk: chunk.chunk,
                shape: chunk.rows().into(),
                obs_timestamps: &chunk.obs_timestamps,
                timing: &chunk.timing,
                mode: chunk.mode,
                late_limit_ms: (chunk.late_limit_ms != 0.0).then_some(chunk.late_limit_ms),
            };
            header.encode(&floats(&chunk.array, frame)?, &mut out).unwrap();
        }
        ClientMessage::Subscribe(request) => request.encode(&mut out),
        ClientMessage::Credit(credit) => credit.encode(&mut out),
        ClientMessage::Unsubscribe(stream) => stream.encode_unsubscribe(&mut out),
        ClientMessage::Configure(request) => request.encode(&mut out),
        ClientMessage::Lease(request) => request.encode(&mut out),
        ClientMessage::Clock(request) => request.encode(&mut out),
        ClientMessage::Stats { id } => encode_stats(*id, &mut out),
        _ => return None,
    }
    Some(out)
}

fn header(action: &Action) -> ActionHeader<'_> {
    ActionHeader {
        shape: action.array.shape(),
        obs_timestamps: &action.obs_timestamps,
        marks: action.marks,
        id: action.id,
    }
}

/// Only float32 is ever written.
fn floats(array: &ArrayRef, frame: &[u8]) -> Option<Vec<f32>> {
    let view = array.view(frame).unwrap();
    // Not by way of float64, which may change the bits of NaN.
    let float = |bytes: &[u8]| f32::from_le_bytes(bytes.try_into().unwrap());
    (view.dtype() == Dtype::Float32).then(|| view.data().chunks_exact(4).map(float).collect())
}

/// The frame of a server's message that was read from `frame`; `None` for one that nobody writes.
pub(crate) fn server(message: &ServerMessage, frame: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    match message {
        ServerMessage::Metadata(response) => response.encode(&mut out),
        ServerMessage::Observation(response) => {
            return observed(&response.observation, ObservationKind::Requested, response.id, frame);
        }
        ServerMessage::Reset(response) => {
            let kind = ObservationKind::Reset { info: &response.info };
            return observed(&response.observation, kind, response.id, frame);
        }
        ServerMessage::Step(response) => {
            let kind = ObservationKind::Step { outcome: response.outcome, info: &response.info };
            return observed(&response.observation, kind, response.id, frame);
        }
        ServerMessage::Push(push) => {
            return observed(&push.observation, ObservationKind::Push(push.mark), None, frame);
        }
        ServerMessage::Subscribed(stream) => stream.encode_subscribed(&mut out),
        ServerMessage::Unsubscribed(stream) => stream.encode_unsubscribed(&mut out),
        ServerMessage::Error(reply) => reply.encode(&mut out),
        ServerMessage::Configured(response) => response.encode_response(&mut out),
        ServerMessage::Chunk(response) => response.encode(&mut out),
        ServerMessage::Lease(response) => response.encode(&mut out),
        ServerMessage::LeaseEvent(event) => event.encode(&mut out),
        ServerMessage::Clock(response) => response.encode(&mut out),
        ServerMessage::Stats(response) => response.encode(&mut out),
        _ => return None,
    }
    Some(out)
}

fn observed(
    observation: &Observation,
    kind: ObservationKind<'_>,
    id: Option<RequestId>,
    frame: &[u8],
) -> Option<Vec<u8>> {
    let cameras: Vec<_> = observation.cameras.iter().map(camera).collect();
    let proprios: Vec<_> = observation.proprios.iter().map(|p| (p.name.as_str(), &p.array)).collect();
    if proprios.iter().any(|(_, array)| array.dtype() != Dtype::Float32) {
        return None;
    }
    let headers: Vec<_> = proprios.iter().map(|(name, array)| ProprioHeader { name, len: array.shape()[0] }).collect();
    let header = ObservationHeader {
        timestamp: observation.timestamp,
        cameras: &cameras,
        proprios: &headers,
        extra: &observation.extra,
        align: observation.align,
        episode: observation.episode,
    };
    let mut out = Vec::new();
    let payload = header.encode(kind, id, &mut out);
    let begin = out.len();
    for camera in &observation.cameras {
        out.extend(&frame[camera.image.bytes()]);
        camera.depth.iter().for_each(|depth| out.extend(&frame[depth.bytes()]));
    }
    proprios.iter().for_each(|(_, array)| out.extend(&frame[array.bytes()]));
    assert_eq!((out.len() - begin) as u64, payload);
    Some(out)
}

fn camera(camera: &Camera) -> CameraHeader<'_> {
    let array = |array: &'_ ArrayRef| array.dtype();
    CameraHeader {
        name: &camera.name,
        timestamp: camera.timestamp,
        intrinsics: &camera.intrinsics,
        extrinsics: &camera.extrinsics,
        image: match &camera.image {
            Image::Raw(image) => ImageHeader::Raw(ArrayHeader::new(array(image), image.shape()).unwrap()),
            Image::Jpeg { shape, bytes } => {
                ImageHeader::Jpeg { picture: ArrayHeader::new(Dtype::Uint8, shape).unwrap(), size: bytes.len() }
            }
            Image::Same { shape } => ImageHeader::Same(ArrayHeader::new(Dtype::Uint8, shape).unwrap()),
        },
        depth: camera.depth.as_ref().map(|depth| ArrayHeader::new(depth.dtype(), depth.shape()).unwrap()),
        marks: camera.n.zip(camera.age_ms).map(|(n, age_ms)| CameraMarks { n, age_ms }),
    }
}

/// Writes a client's message again: what is read of that must be written the same way.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn client_survives(message: &ClientMessage, frame: &[u8], caps: Capabilities) {
    if let Some(bytes) = client(message, frame) {
        let again = ClientMessage::decode(&bytes, caps).unwrap();
        assert_eq!(client(&again, &bytes), Some(bytes), "{message:?} became {again:?}");
    }
}

/// Writes a server's message again: what is read of that must be written the same way.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn server_survives(message: &ServerMessage, frame: &[u8], caps: Capabilities) {
    if let Some(bytes) = server(message, frame) {
        let again = ServerMessage::decode(&bytes, caps).unwrap();
        assert_eq!(server(&again, &bytes), Some(bytes), "{message:?} became {again:?}");
    }
}
