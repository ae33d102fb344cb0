//! What arms and balls can bump into: simple solids with a distance.

use glam::DVec3;

/// A solid of the scene, world coordinates.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Solid {
    /// Everything below this height.
    Floor(f64),
    /// A rod with round ends.
    Capsule { ends: [DVec3; 2], radius: f64 },
    /// An upright box.
    Block { centre: DVec3, half: DVec3 },
}

/// Where something round touches a solid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Touch {
    /// On the surface of the solid.
    pub(super) point: DVec3,
    /// Out of the solid, of length 1.
    pub(super) normal: DVec3,
    /// How far the two overlap, m, above 0.
    pub(super) depth: f64,
}

impl Solid {
    /// Whether a ball touches this solid.
    pub(super) fn touch(&self, centre: DVec3, radius: f64) -> Option<Touch> {
        let (surface, normal, distance) = match *self {
            Self::Floor(height) => (DVec3::new(centre.x, height, centre.z), DVec3::Y, centre.y - height),
            Self::Capsule { ends: [from, to], radius: own } => {
                let along = to - from;
                let share = (centre - from).dot(along) / along.length_squared().max(1e-12);
                round(centre, from + along * share.clamp(0.0, 1.0), own)
            }
            Self::Block { centre: middle, half } => block(centre, middle, half),
        };
        let depth = radius - distance;
        (depth > 0.0).then_some(Touch { point: surface, normal, depth })
    }
}

/// Nearest point of a ball's surface, the direction out of it, and the distance, negative inside.
fn round(from: DVec3, middle: DVec3, radius: f64) -> (DVec3, DVec3, f64) {
    let away = from - middle;
    let normal = away.try_normalize().unwrap_or(DVec3::Y);
    (middle + normal * radius, normal, away.length() - radius)
}

fn block(from: DVec3, middle: DVec3, half: DVec3) -> (DVec3, DVec3, f64) {
    let local = from - middle;
    let nearest = local.clamp(-half, half);
    let outside = local - nearest;
    if let Some(normal) = outside.try_normalize() {
        return (middle + nearest, normal, outside.length());
    }
    // Inside: out through the nearest face.
    let gap = half - local.abs();
    let axis = if gap.x <= gap.y && gap.x <= gap.z {
        DVec3::X
    } else if gap.y <= gap.z {
        DVec3::Y
    } else {
        DVec3::Z
    };
    let normal = if local.dot(axis) < 0.0 { -axis } else { axis };
    let depth = gap.dot(axis);
    (from + normal * depth, normal, -depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ball_touches_what_is_nearer_than_its_radius_at_the_nearest_point() {
        let rod = Solid::Capsule { ends: [DVec3::ZERO, DVec3::X], radius: 0.1 };
        let block = Solid::Block { centre: DVec3::ZERO, half: DVec3::new(0.5, 0.2, 0.2) };
        for (solid, centre, point, normal, depth) in [
            (Solid::Floor(0.1), [2.0, 0.15, 3.0], [2.0, 0.1, 3.0], DVec3::Y, 0.05),
            (rod, [0.5, 0.15, 0.0], [0.5, 0.1, 0.0], DVec3::Y, 0.05),
            (rod, [1.15, 0.0, 0.0], [1.1, 0.0, 0.0], DVec3::X, 0.05),
            (rod, [-0.15, 0.0, 0.0], [-0.1, 0.0, 0.0], DVec3::NEG_X, 0.05),
            (block, [0.1, 0.25, 0.1], [0.1, 0.2, 0.1], DVec3::Y, 0.05),
            (block, [0.45, 0.0, 0.0], [0.5, 0.0, 0.0], DVec3::X, 0.15),
            (block, [0.0, -0.1, 0.05], [0.0, -0.2, 0.05], DVec3::NEG_Y, 0.2),
        ] {
            let touch = solid.touch(centre.into(), 0.1).unwrap_or_else(|| panic!("{solid:?} at {centre:?}"));
            assert!(touch.point.distance(point.into()) < 1e-12, "{solid:?} at {centre:?}: {touch:?}");
            assert!(touch.normal.distance(normal) < 1e-12 && (touch.depth - depth).abs() < 1e-12, "{touch:?}");
            let away = DVec3::from_array(centre) + normal * (depth + 1e-9);
            assert_eq!(solid.touch(away, 0.1), None);
        }
    }

    #[test]
    fn the_middle_of_a_rod_has_a_way_out() {
        let rod = Solid::Capsule { ends: [DVec3::ZERO; 2], radius: 0.1 };
        let touch = rod.touch(DVec3::ZERO, 0.05).unwrap();
        assert!(touch.normal.is_finite() && (touch.depth - 0.15).abs() < 1e-12);
    }
}
