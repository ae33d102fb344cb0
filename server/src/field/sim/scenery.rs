//! What stands around the arms of some characters: as solids, and as meshes of the same shape.

use std::sync::{Arc, LazyLock};

use glam::DVec3;
use waldo_protocol::field::{CharacterMode, Mesh};

use super::glb::Shape;
use super::solid::Solid;

/// Where the ground of the octopuses lies, metres.
pub(super) const SEABED: f64 = -0.05;
/// Corners of the ground, `[x, z]`, metres.
pub(super) const SEABED_MIN: [f64; 2] = [-2.0, -1.8];
pub(super) const SEABED_MAX: [f64; 2] = [2.0, 1.2];

const PIPES: [f64; 3] = [0.45, 0.55, 0.62];
const OBSTACLES: [f64; 3] = [0.62, 0.48, 0.36];
const SAND: [f64; 3] = [0.55, 0.5, 0.38];

/// Everything of one mesh, and its data; the same for all users.
struct Piece {
    name: &'static str,
    solids: Vec<Solid>,
    asset: Arc<str>,
}

fn piece(name: &'static str, solids: Vec<Solid>, color: [f64; 3]) -> Piece {
    let mut shape = Shape::default();
    solids.iter().for_each(|solid| shape.solid(solid));
    Piece { name, asset: shape.data_uri(color), solids }
}

/// A lattice of pipes in front of the arms, wide enough to grow through.
static MAZE: LazyLock<[Piece; 1]> = LazyLock::new(|| {
    let pipe = |from: [f64; 3], to: [f64; 3]| Solid::Capsule { ends: [from.into(), to.into()], radius: 0.02 };
    let mut pipes = Vec::new();
    for x in [-0.45, 0.0, 0.45] {
        pipes.push(pipe([x, 0.6, -0.8], [x, 1.4, -0.8]));
        pipes.push(pipe([x + 0.15, 0.6, -1.1], [x + 0.15, 1.4, -1.1]));
    }
    for y in [0.8, 1.2] {
        pipes.push(pipe([-0.6, y, -0.8], [0.6, y, -0.8]));
        pipes.push(pipe([-0.6, y + 0.1, -1.1], [0.6, y + 0.1, -1.1]));
        pipes.push(pipe([-0.6, y, -0.8], [-0.6, y + 0.1, -1.1]));
        pipes.push(pipe([0.6, y, -0.8], [0.6, y + 0.1, -1.1]));
    }
    [piece("maze", pipes, PIPES)]
});

/// Posts before the arms and a beam behind them; none where the arms stand at the start.
static OBSTACLE_COURSE: LazyLock<[Piece; 4]> = LazyLock::new(|| {
    let post = |x: f64| Solid::Capsule { ends: [DVec3::new(x, 1.0, -0.45), DVec3::new(x, 1.6, -0.45)], radius: 0.03 };
    let beam = Solid::Block { centre: DVec3::new(0.0, 1.35, 0.05), half: DVec3::new(0.3, 0.03, 0.03) };
    [
        piece("obstacle_0", vec![post(-0.3)], OBSTACLES),
        piece("obstacle_1", vec![post(0.0)], OBSTACLES),
        piece("obstacle_2", vec![post(0.3)], OBSTACLES),
        piece("obstacle_3", vec![beam], OBSTACLES),
    ]
});

static TERRAIN: LazyLock<[Piece; 1]> = LazyLock::new(|| {
    let mut shape = Shape::default();
    // Ripples only below the ground, so that nothing sinks into it.
    let ripples = |x: f64, z: f64| SEABED - 0.01 * (1.0 + (5.0 * x).sin() * (6.0 * z).cos());
    shape.ground(SEABED_MIN, SEABED_MAX, 24, ripples);
    [Piece { name: "terrain", solids: Vec::new(), asset: shape.data_uri(SAND) }]
});

fn pieces(mode: CharacterMode) -> &'static [Piece] {
    match mode {
        CharacterMode::TwoGcr => &*MAZE,
        CharacterMode::NoelC4 => &*OBSTACLE_COURSE,
        CharacterMode::OctoWaypoint => &*TERRAIN,
        _ => &[],
    }
}

/// The static meshes that a user of that mode brings.
pub(super) fn meshes(mode: CharacterMode, user: &str) -> Vec<Mesh> {
    let mesh = |piece: &Piece| Mesh {
        static_asset: true,
        ..Mesh::new(format!("{user}_{}_{}", snake(mode), piece.name), user, Arc::clone(&piece.asset))
    };
    pieces(mode).iter().map(mesh).collect()
}

/// What arms of that mode bump into.
pub(super) fn solids(mode: CharacterMode) -> Vec<Solid> {
    let ground = match mode {
        CharacterMode::CathyForaging | CharacterMode::OctoWaypoint => SEABED,
        _ => 0.0,
    };
    let standing = pieces(mode).iter().flat_map(|piece| piece.solids.iter().copied());
    [Solid::Floor(ground)].into_iter().chain(standing).collect()
}

/// The id of a ball.
pub(super) fn sphere_id(mode: CharacterMode, user: &str, index: usize) -> String {
    format!("{user}_{}_sphere_{index}", snake(mode))
}

fn snake(mode: CharacterMode) -> String {
    mode.name().replace('-', "_")
}
