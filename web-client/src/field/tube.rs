//! Arms as tapered tubes: rings around the centerline, one per node, and a ball at each end.

use glam::{DMat3, DVec3};
use waldo_protocol::field::{ArmState, is_renderable};

/// Nothing is drawn thinner, metres.
pub const MIN_RADIUS: f64 = 0.001;
/// Corners of a ring.
pub const SIDES: usize = 12;
/// Numbers per corner: position, normal, colour.
pub const CORNER: usize = 9;

/// Every other ring is this much darker, so that one sees an arm bend, stretch and turn.
const BAND: f32 = 0.72;

/// Corners and triangles of any number of arms, in one piece each; refilled in place for every scene.
#[derive(Clone, Debug, Default)]
pub struct Tubes {
    /// [`CORNER`] numbers per corner.
    pub corners: Vec<f32>,
    /// Three corners per triangle.
    pub triangles: Vec<u32>,
    /// Rings of each arm: as long as these stay the same, so do the triangles.
    rings: Vec<usize>,
    filling: usize,
    changed: bool,
}

impl Tubes {
    /// Begins to fill in a new scene.
    pub fn begin(&mut self) {
        self.corners.clear();
        (self.filling, self.changed) = (0, false);
    }

    /// Adds an arm with at least two points and one radius; others have no shape.
    pub fn add(&mut self, arm: &ArmState, colour: [f32; 3]) {
        if !is_renderable(arm) {
            return;
        }
        for (index, ring) in rings(arm).enumerate() {
            let shade = if index % 2 == 0 { 1.0 } else { BAND };
            self.ring(&ring, colour.map(|part| part * shade));
        }
        let rings = arm.centerline.len();
        match self.rings.get_mut(self.filling) {
            Some(known) if *known == rings => {}
            Some(known) => (*known, self.changed) = (rings, true),
            None => {
                self.rings.push(rings);
                self.changed = true;
            }
        }
        self.filling += 1;
    }

    /// Ends the filling. Returns whether the triangles are others than before.
    pub fn end(&mut self) -> bool {
        self.changed |= self.filling != self.rings.len();
        self.rings.truncate(self.filling);
        if self.changed {
            self.connect();
        }
        self.changed
    }

    fn ring(&mut self, ring: &Ring, colour: [f32; 3]) {
        for side in 0..SIDES {
            let angle = std::f64::consts::TAU * side as f64 / SIDES as f64;
            let out = ring.across[0] * angle.cos() + ring.across[1] * angle.sin();
            let corner = ring.centre + out * ring.radius;
            self.corners.extend(corner.as_vec3().to_array());
            self.corners.extend(out.as_vec3().to_array());
            self.corners.extend(colour);
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "a scene has far fewer corners than 2^32")]
    fn connect(&mut self) {
        self.triangles.clear();
        let mut first = 0;
        for rings in &self.rings {
            for ring in first..first + rings - 1 {
                for side in 0..SIDES {
                    let next = (side + 1) % SIDES;
                    let [a, b] = [ring * SIDES + side, ring * SIDES + next].map(|corner| corner as u32);
                    let [c, d] = [a + SIDES as u32, b + SIDES as u32];
                    self.triangles.extend([a, b, c, c, b, d]);
                }
            }
            first += rings;
        }
    }
}

/// Radius of the tube at each end of an arm that is renderable, metres.
pub fn end_radii(arm: &ArmState) -> [f64; 2] {
    [node_radius(&arm.radii, 0), node_radius(&arm.radii, arm.centerline.len() - 1)]
}

struct Ring {
    centre: DVec3,
    /// Two unit vectors across the arm.
    across: [DVec3; 2],
    radius: f64,
}

fn rings(arm: &ArmState) -> impl Iterator<Item = Ring> + '_ {
    let points: Vec<_> = arm.centerline.iter().copied().map(DVec3::from_array).collect();
    let mut last = None;
    (0..points.len()).map(move |node| {
        let along = tangent(&points, node);
        // A director where there is one, which also turns with the arm; else what the ring before had.
        let wanted = arm.directors.get(node.min(arm.directors.len().saturating_sub(1)));
        let wanted = wanted.map(|director| DVec3::from_array(director[0])).or(last);
        let across = frame(along, wanted);
        last = Some(across[0]);
        Ring { centre: points[node], across, radius: node_radius(&arm.radii, node) }
    })
}

/// Direction of the arm at a node, the mean of its two elements.
fn tangent(points: &[DVec3], node: usize) -> DVec3 {
    let before = points[node.saturating_sub(1)];
    let after = points[(node + 1).min(points.len() - 1)];
    (after - before).try_normalize().unwrap_or(DVec3::Z)
}

/// Two unit vectors across `along`, the first as near to `wanted` as can be.
fn frame(along: DVec3, wanted: Option<DVec3>) -> [DVec3; 2] {
    let any = DMat3::from_cols(DVec3::X, DVec3::Y, DVec3::Z);
    let candidates = [wanted, Some(any.x_axis), Some(any.y_axis)];
    let first = candidates
        .into_iter()
        .flatten()
        .find_map(|wanted| {
            let across = wanted - along * wanted.dot(along);
            (across.length_squared() > 0.01 * wanted.length_squared()).then(|| across.try_normalize()).flatten()
        })
        .unwrap_or(DVec3::Z);
    [first, along.cross(first)]
}

/// Radius at a node: the mean of the elements that meet there.
fn node_radius(radii: &[f64], node: usize) -> f64 {
    let element = |index: usize| radii[index.min(radii.len() - 1)];
    let radius = 0.5 * (element(node.saturating_sub(1)) + element(node));
    radius.max(MIN_RADIUS)
}

#[cfg(test)]
mod tests {
    use waldo_protocol::field::{Transform, UNTURNED};

    use super::*;

    fn arm(points: Vec<[f64; 3]>, radii: Vec<f64>) -> ArmState {
        let mut arm = ArmState::new("a", Transform::IDENTITY);
        (arm.centerline, arm.radii) = (points, radii);
        arm
    }

    fn straight() -> ArmState {
        arm(vec![[0.0; 3], [0.0, 0.0, 0.5], [0.0, 0.0, 1.0]], vec![0.04, 0.02])
    }

    fn filled(arms: &[ArmState]) -> Tubes {
        let mut tubes = Tubes::default();
        fill(&mut tubes, arms);
        tubes
    }

    fn fill(tubes: &mut Tubes, arms: &[ArmState]) -> bool {
        tubes.begin();
        for arm in arms {
            tubes.add(arm, [1.0; 3]);
        }
        tubes.end()
    }

    /// Distance of each ring's corners from its node.
    fn radii_of(tubes: &Tubes, points: &[[f64; 3]]) -> Vec<f64> {
        let corner = |index: usize| {
            let at = &tubes.corners[index * CORNER..];
            DVec3::new(at[0].into(), at[1].into(), at[2].into())
        };
        points
            .iter()
            .enumerate()
            .map(|(ring, point)| corner(ring * SIDES).distance(DVec3::from_array(*point)))
            .collect()
    }

    #[test]
    fn a_tube_tapers_from_the_first_radius_to_the_last() {
        let arm = straight();
        let radii = radii_of(&filled(std::slice::from_ref(&arm)), &arm.centerline);
        for (radius, wanted) in radii.iter().zip([0.04, 0.03, 0.02]) {
            assert!((radius - wanted).abs() < 1e-6, "{radii:?}");
        }
    }

    #[test]
    fn nothing_is_thinner_than_a_millimetre() {
        let thin = arm(vec![[0.0; 3], [0.0, 1.0, 0.0]], vec![0.0]);
        let radii = radii_of(&filled(std::slice::from_ref(&thin)), &thin.centerline);
        assert!(radii.iter().all(|radius| (radius - MIN_RADIUS).abs() < 1e-6), "{radii:?}");
    }

    #[test]
    fn directors_turn_the_rings() {
        let mut arm = straight();
        arm.directors = vec![UNTURNED, [[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]];
        let tubes = filled(&[arm]);
        assert_eq!(tubes.corners[3..6], [1.0, 0.0, 0.0]);
        let last = tubes.corners.len() - SIDES * CORNER;
        assert_eq!(tubes.corners[last + 3..last + 6], [0.0, 1.0, 0.0]);
    }

    #[test]
    fn rings_never_collapse_whatever_the_directors_and_points_say() {
        let along = [[0.0, 0.0, 1.0]; 3];
        for directors in [vec![], vec![along; 2], vec![[[0.0; 3]; 3]; 2], vec![along]] {
            for points in [straight().centerline, vec![[1.0; 3]; 3]] {
                let mut arm = arm(points.clone(), vec![0.04]);
                arm.directors = directors.clone();
                let radii = radii_of(&filled(&[arm]), &points);
                assert!(radii.iter().all(|radius| (radius - 0.04).abs() < 1e-6), "{directors:?} {radii:?}");
            }
        }
    }

    #[test]
    fn triangles_are_made_anew_only_when_arms_come_go_or_grow() {
        let (mut tubes, long) = (Tubes::default(), straight());
        let short = arm(vec![[0.0; 3], [1.0; 3]], vec![0.1]);
        assert!(fill(&mut tubes, &[long.clone(), short.clone()]));
        assert_eq!(tubes.triangles.len(), (2 + 1) * SIDES * 6);
        assert!(!fill(&mut tubes, &[long.clone(), short.clone()]));
        assert!(fill(&mut tubes, &[short, long.clone()]));
        assert!(fill(&mut tubes, &[long]));
        assert_eq!(tubes.triangles.len(), 2 * SIDES * 6);
        assert!(fill(&mut tubes, &[]));
        assert!(tubes.triangles.is_empty());
        assert!(!fill(&mut tubes, &[]));
    }

    #[test]
    fn every_triangle_has_three_corners_that_exist_and_faces_outwards() {
        let tubes = filled(&[straight(), straight()]);
        let corner = |index: u32| {
            let at = &tubes.corners[index as usize * CORNER..];
            (DVec3::new(at[0].into(), at[1].into(), at[2].into()), DVec3::new(at[3].into(), at[4].into(), at[5].into()))
        };
        for triangle in tubes.triangles.chunks(3) {
            let [(a, out), (b, _), (c, _)] = [corner(triangle[0]), corner(triangle[1]), corner(triangle[2])];
            assert!((b - a).cross(c - a).dot(out) > 0.0);
        }
    }

    #[test]
    fn an_arm_without_a_shape_is_left_out() {
        let tubes = filled(&[arm(vec![[0.0; 3]], vec![0.1]), arm(vec![[0.0; 3], [1.0; 3]], vec![])]);
        assert!(tubes.corners.is_empty());
    }
}
