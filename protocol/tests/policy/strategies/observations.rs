//! Random observations.

use proptest::prelude::*;
use waldo_protocol::policy::{
    Align, AppMap, ArrayHeader, CameraHeader, CameraMarks, Driver, Dtype, Episode, ImageHeader, ObservationHeader,
    ObservationKind, Outcome, ProprioHeader, PushMark, RequestId,
};

use super::{align, app_map, finite, id, magnitude, name, names};

/// A camera by which observations are tried: what it shows, and its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) name: String,
    pub(crate) timestamp: f64,
    pub(crate) k: [f64; 9],
    pub(crate) pose: [f64; 16],
    pub(crate) picture: u8,
    pub(crate) size: (usize, usize, usize),
    pub(crate) depth: bool,
    pub(crate) marks: Option<(u64, f64)>,
}

pub(crate) fn shown() -> impl Strategy<Value = Shown> {
    let size = (0..4_usize, 0..4_usize, prop::sample::select(vec![1_usize, 3]));
    let numbers = (prop::array::uniform9(finite()), prop::array::uniform16(finite()));
    let marks = prop::option::of((any::<u64>(), magnitude()));
    (name(), finite(), numbers, 0..3_u8, size, any::<bool>(), marks).prop_map(
        |(name, timestamp, (k, pose), picture, size, depth, marks)| Shown {
            name,
            timestamp,
            k,
            pose,
            picture,
            size,
            depth,
            marks,
        },
    )
}

pub(crate) fn episode() -> impl Strategy<Value = Option<Episode>> {
    prop::option::of(
        (outcome(), any::<u64>(), prop::sample::select(Driver::ALL)).prop_map(|(outcome, episode, driver)| Episode {
            outcome,
            episode,
            driver,
        }),
    )
}

pub(crate) fn outcome() -> impl Strategy<Value = Outcome> {
    (finite(), any::<(bool, bool)>()).prop_map(|(reward, (terminated, truncated))| Outcome {
        reward,
        terminated,
        truncated,
    })
}

/// Everything an observation is made of.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) timestamp: f64,
    pub(crate) cameras: Vec<Shown>,
    pub(crate) proprios: Vec<(String, usize)>,
    pub(crate) extra: AppMap,
    pub(crate) info: AppMap,
    pub(crate) align: Option<Align>,
    pub(crate) episode: Option<Episode>,
    pub(crate) outcome: Outcome,
    pub(crate) mark: PushMark,
    pub(crate) kind: u8,
    pub(crate) id: Option<RequestId>,
}

pub(crate) fn seen() -> impl Strategy<Value = Seen> {
    let mark = (any::<(u64, u64, u64)>(), finite()).prop_map(|((stream, n, skipped), t_send)| PushMark {
        stream,
        n,
        skipped,
        t_send,
    });
    let proprios = (names(), prop::collection::vec(0..5_usize, 4))
        .prop_map(|(names, lens)| names.into_iter().zip(lens).collect::<Vec<_>>());
    (
        (finite(), prop::collection::vec(shown(), 0..4), proprios, app_map(), app_map()),
        (align(), episode(), outcome(), mark, 0..4_u8, prop::option::of(id())),
    )
        .prop_map(|((timestamp, cameras, proprios, extra, info), (align, episode, outcome, mark, kind, id))| {
            Seen {
                timestamp,
                cameras,
                proprios,
                extra,
                info,
                align,
                episode,
                outcome,
                mark,
                kind,
                id: id.filter(|_| kind != 3),
            }
        })
}

impl Seen {
    /// The frame, and each array of its payload; every byte of the payload is another one than before it.
    pub(crate) fn frame(&self) -> (Vec<u8>, Vec<Vec<u8>>) {
        let shapes: Vec<_> = self.cameras.iter().map(|c| [c.size.0, c.size.1, c.size.2]).collect();
        let cameras: Vec<_> = self.cameras.iter().zip(&shapes).map(|(camera, shape)| camera.header(shape)).collect();
        let proprios: Vec<_> = self.proprios.iter().map(|(name, len)| ProprioHeader { name, len: *len }).collect();
        let header = ObservationHeader {
            timestamp: self.timestamp,
            cameras: &cameras,
            proprios: &proprios,
            extra: &self.extra,
            align: self.align,
            episode: self.episode,
        };
        let mut frame = Vec::new();
        let payload = header.encode(self.kind(), self.id, &mut frame);
        let mut next = 0_u8;
        let mut fill = |len: usize| {
            let bytes: Vec<u8> = (0..len).map(|i| next.wrapping_add(u8::try_from(i % 251).unwrap())).collect();
            next = next.wrapping_add(17);
            bytes
        };
        let mut arrays = Vec::new();
        for camera in &cameras {
            arrays.push(fill(camera.image.size()));
            arrays.extend(camera.depth.map(|depth| fill(depth.size())));
        }
        arrays.extend(proprios.iter().map(|proprio| fill(4 * proprio.len)));
        assert_eq!(payload, arrays.iter().map(|array| array.len() as u64).sum::<u64>());
        arrays.iter().for_each(|array| frame.extend(array));
        (frame, arrays)
    }

    pub(crate) fn kind(&self) -> ObservationKind<'_> {
        match self.kind {
            0 => ObservationKind::Requested,
            1 => ObservationKind::Reset { info: &self.info },
            2 => ObservationKind::Step { outcome: self.outcome, info: &self.info },
            _ => ObservationKind::Push(self.mark),
        }
    }
}

impl Shown {
    pub(crate) fn header<'a>(&'a self, shape: &'a [usize; 3]) -> CameraHeader<'a> {
        let picture = ArrayHeader::new(Dtype::Uint8, shape).unwrap();
        CameraHeader {
            name: &self.name,
            timestamp: self.timestamp,
            intrinsics: &self.k,
            extrinsics: &self.pose,
            image: match self.picture {
                0 => ImageHeader::Raw(picture),
                1 => ImageHeader::Jpeg { picture, size: 7 },
                _ => ImageHeader::Same(picture),
            },
            depth: (self.depth && self.picture != 2).then(|| ArrayHeader::new(Dtype::Float32, &shape[..2]).unwrap()),
            marks: self.marks.map(|(n, age_ms)| CameraMarks { n, age_ms }),
        }
    }
}
