//! Observations as frames.

use waldo_protocol::policy::{
    AppMap, ArrayHeader, CameraHeader, CameraMarks, Dtype, ImageHeader, ObservationHeader, ObservationKind,
    ProprioHeader, RequestId,
};

pub(crate) const PIXELS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
pub(crate) const DEPTH: [f32; 4] = [0.5, 1.0, 1.5, 2.0];

/// An observation with a camera `cam`, 2×2 with depth, and a proprioception stream of two values.
pub(crate) fn observation_of(timestamp: f64, kind: ObservationKind<'_>, id: Option<RequestId>) -> Vec<u8> {
    camera_observation(timestamp, [2, 2], &PIXELS, Some(&DEPTH), None, kind, id)
}

pub(crate) fn camera_observation(
    timestamp: f64,
    [height, width]: [usize; 2],
    pixels: &[u8],
    depth: Option<&[f32]>,
    marks: Option<CameraMarks>,
    kind: ObservationKind<'_>,
    id: Option<RequestId>,
) -> Vec<u8> {
    let k = [600.0, 0.0, 320.0, 0.0, 600.0, 240.0, 0.0, 0.0, 1.0];
    let mut t = [0.0; 16];
    (t[0], t[5], t[10], t[15], t[3]) = (1.0, 1.0, 1.0, 1.0, 0.25);
    let shape = [height, width, 3];
    let picture = ArrayHeader::new(Dtype::Uint8, &shape).unwrap();
    let cameras = [CameraHeader {
        name: "cam",
        timestamp,
        intrinsics: &k,
        extrinsics: &t,
        image: if pixels.is_empty() && height > 0 { ImageHeader::Same(picture) } else { ImageHeader::Raw(picture) },
        depth: depth.map(|_| ArrayHeader::new(Dtype::Float32, &shape[..2]).unwrap()),
        marks,
    }];
    let header = ObservationHeader {
        timestamp,
        cameras: &cameras,
        proprios: &[ProprioHeader { name: "joint_pos", len: 2 }],
        extra: &AppMap::default(),
        align: None,
        episode: None,
    };
    let mut frame = Vec::new();
    header.encode(kind, id, &mut frame);
    frame.extend(pixels);
    depth.into_iter().flatten().for_each(|metres| frame.extend(metres.to_le_bytes()));
    [1.0_f32, -2.0].iter().for_each(|joint| frame.extend(joint.to_le_bytes()));
    frame
}
