//! Random observations and actions, of all element types, with names and numbers that are easily got wrong.

use fastrand::Rng;
use waldo_protocol::policy::{
    ActionHeader, AppMap, ArrayHeader, CameraHeader, Dtype, ImageHeader, MetadataResponse, ObservationHeader,
    ObservationKind, Outcome, ProprioHeader, Value,
};

const NAMES: [&str; 6] =
    ["wrist_cam", "", "left__joint_pos", "head::rgb", "Kamera über dem Tisch, die zweite von links", "日"];

const NUMBERS: [f64; 10] =
    [0.0, -0.0, 1.0, -1.0, 0.1, 600.0, f64::MIN_POSITIVE / 8.0, f64::MAX, f64::INFINITY, 1_767_225_600.123_456_7];

fn number(rng: &mut Rng) -> f64 {
    if rng.bool() { NUMBERS[rng.usize(..NUMBERS.len())] } else { (rng.f64() - 0.5) * 1e3 }
}

fn numbers<const N: usize>(rng: &mut Rng) -> [f64; N] {
    std::array::from_fn(|_| number(rng))
}

fn map(rng: &mut Rng, depth: u32) -> Vec<(String, Value)> {
    let mut map: Vec<(String, Value)> = Vec::new();
    for _ in 0..rng.usize(..20) {
        let key = format!("{}{}", NAMES[rng.usize(..NAMES.len())], map.len());
        map.push((key, value(rng, depth)));
    }
    map
}

fn value(rng: &mut Rng, depth: u32) -> Value {
    match rng.u32(..if depth < 3 { 10 } else { 8 }) {
        0 => Value::Nil,
        1 => rng.bool().into(),
        2 => number(rng).into(),
        3 => (rng.u64(..) >> rng.u32(..64)).into(),
        4 => (rng.i64(..) >> rng.u32(..64)).into(),
        5 => NAMES[rng.usize(..NAMES.len())].repeat(rng.usize(..8)).into(),
        6 => Value::Binary((0..rng.usize(..300)).map(|_| rng.u8(..)).collect()),
        7 => 0.into(),
        8 => (0..rng.usize(..20)).map(|_| value(rng, depth + 1)).collect(),
        _ => Value::Map(map(rng, depth + 1).into_iter().map(|(key, value)| (key.into(), value)).collect()),
    }
}

fn app_map(rng: &mut Rng) -> AppMap {
    let mut out = AppMap::default();
    for (key, value) in map(rng, 0) {
        out.insert(key, value).unwrap();
    }
    out
}

/// A whole frame: an observation of one of three kinds, metadata, or an action.
pub(crate) fn frame(rng: &mut Rng) -> Vec<u8> {
    match rng.u32(..5) {
        0 => {
            let mut out = Vec::new();
            MetadataResponse { data: app_map(rng), ext: None, id: None }.encode(&mut out);
            out
        }
        1 => action(rng),
        _ => observation(rng),
    }
}

fn action(rng: &mut Rng) -> Vec<u8> {
    let shape: Vec<usize> = (0..rng.usize(..4)).map(|_| rng.usize(..5)).collect();
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| rng.f32() - 0.5).collect();
    let stamps: Vec<_> = NAMES.iter().take(rng.usize(..4)).map(|name| ((*name).to_owned(), number(rng))).collect();
    let header = ActionHeader { shape: &shape, obs_timestamps: &stamps, ..ActionHeader::default() };
    let mut out = Vec::new();
    if rng.bool() {
        header.encode(&values, &mut out).unwrap();
    } else {
        header.encode_coupled(&values, &mut out).unwrap();
    }
    out
}

/// Dimensions and element types of a camera.
struct Shot {
    image: (Dtype, [usize; 3]),
    depth: Option<(Dtype, [usize; 2])>,
    intrinsics: [f64; 9],
    extrinsics: [f64; 16],
}

fn observation(rng: &mut Rng) -> Vec<u8> {
    let dtype = |rng: &mut Rng| Dtype::ALL[rng.usize(..Dtype::ALL.len())];
    let shots: Vec<Shot> = (0..rng.usize(..5))
        .map(|_| {
            let size = [rng.usize(..7), rng.usize(..7), [1, 3][rng.usize(..2)]];
            let image = if rng.bool() { Dtype::Uint8 } else { dtype(rng) };
            let depth = rng.bool().then(|| (if rng.bool() { Dtype::Float32 } else { dtype(rng) }, [size[0], size[1]]));
            Shot { image: (image, size), depth, intrinsics: numbers(rng), extrinsics: numbers(rng) }
        })
        .collect();
    let cameras: Vec<CameraHeader<'_>> = shots
        .iter()
        .map(|shot| CameraHeader {
            name: NAMES[rng.usize(..NAMES.len())],
            timestamp: number(rng),
            intrinsics: &shot.intrinsics,
            extrinsics: &shot.extrinsics,
            image: ImageHeader::Raw(ArrayHeader::new(shot.image.0, &shot.image.1).unwrap()),
            depth: shot.depth.as_ref().map(|(dtype, shape)| ArrayHeader::new(*dtype, shape).unwrap()),
            marks: None,
        })
        .collect();
    let proprios: Vec<_> =
        NAMES.iter().take(rng.usize(..5)).map(|name| ProprioHeader { name, len: rng.usize(..20) }).collect();
    let (extra, info) = (app_map(rng), app_map(rng));
    let header = ObservationHeader {
        timestamp: number(rng),
        cameras: &cameras,
        proprios: &proprios,
        extra: &extra,
        align: None,
        episode: None,
    };
    let kind = match rng.u32(..3) {
        0 => ObservationKind::Requested,
        1 => ObservationKind::Reset { info: &info },
        _ => ObservationKind::Step {
            outcome: Outcome { reward: number(rng), terminated: rng.bool(), truncated: rng.bool() },
            info: &info,
        },
    };
    let mut out = Vec::new();
    let payload = header.encode(kind, None, &mut out);
    // Any bits: NaN of all kinds among them.
    out.extend((0..payload).map(|_| rng.u8(..)));
    out
}
