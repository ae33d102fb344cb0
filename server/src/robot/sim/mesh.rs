//! Low-poly bodies.

use std::f64::consts::{PI, TAU};

use glam::{DQuat, DVec3};

/// Linear RGB, 0 to 1.
pub(super) type Color = [f32; 3];

/// Sides of everything round.
const SIDES: u16 = 18;

/// A corner of a body in the body's own frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vertex {
    pub(super) position: DVec3,
    pub(super) normal: DVec3,
    pub(super) color: Color,
}

/// A closed or open surface of triangles, counter-clockwise seen from outside.
#[derive(Clone, Debug, Default)]
pub(super) struct Mesh {
    pub(super) vertices: Vec<Vertex>,
    pub(super) triangles: Vec<[u16; 3]>,
}

impl Mesh {
    /// A box between two opposite corners.
    pub(super) fn cuboid(mut self, min: DVec3, max: DVec3, color: Color) -> Self {
        let (center, half) = ((min + max) / 2.0, (max - min) / 2.0);
        for axis in [DVec3::X, DVec3::Y, DVec3::Z] {
            // Cyclic neighbours, so that u × v is the axis.
            let (u, v) = (DVec3::new(axis.z, axis.x, axis.y), DVec3::new(axis.y, axis.z, axis.x));
            for side in [1.0, -1.0] {
                let middle = center + axis * side * half;
                self = self.quad(middle, u * side * half, v * half, color);
            }
        }
        self
    }

    /// A flat rectangle around `middle` with these half edges; its outside is where u × v points.
    pub(super) fn quad(mut self, middle: DVec3, u: DVec3, v: DVec3, color: Color) -> Self {
        let first = self.next_index();
        let normal = u.cross(v).normalize_or_zero();
        let corners = [middle - u - v, middle + u - v, middle + u + v, middle - u + v];
        self.vertices.extend(corners.map(|position| Vertex { position, normal, color }));
        self.triangles.extend([[first, first + 1, first + 2], [first, first + 2, first + 3]]);
        self
    }

    /// A round bar between two points, with flat ends.
    pub(super) fn bar(self, from: DVec3, to: DVec3, radius: f64, color: Color) -> Self {
        let along = (to - from).normalize_or(DVec3::Z);
        self.tube(from, to, [radius; 2], color).disc(from, -along, radius, color).disc(to, along, radius, color)
    }

    /// The round side of a bar whose radius runs from one end to the other; its ends are open.
    pub(super) fn tube(mut self, from: DVec3, to: DVec3, radii: [f64; 2], color: Color) -> Self {
        let first = self.next_index();
        let turn = DQuat::from_rotation_arc(DVec3::Z, (to - from).normalize_or(DVec3::Z));
        for (end, radius) in [from, to].into_iter().zip(radii) {
            for normal in circle(turn) {
                self.vertices.push(Vertex { position: end + normal * radius, normal, color });
            }
        }
        self.band(first);
        self
    }

    /// A ball.
    pub(super) fn ball(mut self, center: DVec3, radius: f64, color: Color) -> Self {
        let rows = SIDES / 2;
        let first = self.next_index();
        for row in 0..=rows {
            let (ring, height) = (PI * f64::from(row) / f64::from(rows)).sin_cos();
            for side in 0..SIDES {
                let (y, x) = (TAU * f64::from(side) / f64::from(SIDES)).sin_cos();
                let normal = DVec3::new(x * ring, y * ring, -height);
                self.vertices.push(Vertex { position: center + normal * radius, normal, color });
            }
        }
        for row in 0..rows {
            self.band(first + row * SIDES);
        }
        self
    }

    /// This body and another one of the same frame.
    pub(super) fn and(mut self, other: Self) -> Self {
        let first = self.next_index();
        self.vertices.extend(other.vertices);
        self.triangles.extend(other.triangles.into_iter().map(|triangle| triangle.map(|index| first + index)));
        self
    }

    fn disc(mut self, center: DVec3, normal: DVec3, radius: f64, color: Color) -> Self {
        let first = self.next_index();
        let turn = DQuat::from_rotation_arc(DVec3::Z, normal);
        self.vertices.extend(circle(turn).map(|rim| Vertex { position: center + rim * radius, normal, color }));
        self.triangles.extend((1..SIDES - 1).map(|side| [first, first + side, first + side + 1]));
        self
    }

    /// Joins the circle that begins at `first` with the one after it.
    fn band(&mut self, first: u16) {
        for side in 0..SIDES {
            let next = (side + 1) % SIDES;
            let (a, b, c, d) = (first + side, first + next, first + SIDES + side, first + SIDES + next);
            self.triangles.extend([[a, b, d], [a, d, c]]);
        }
    }

    fn next_index(&self) -> u16 {
        u16::try_from(self.vertices.len()).expect("a body of this program has a few thousand corners")
    }
}

/// Unit vectors around the turned z axis.
fn circle(turn: DQuat) -> impl Iterator<Item = DVec3> {
    (0..SIDES).map(move |side| {
        let (y, x) = (TAU * f64::from(side) / f64::from(SIDES)).sin_cos();
        turn * DVec3::new(x, y, 0.0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_triangle_faces_outward() {
        let (a, b) = (DVec3::new(-0.1, -0.2, -0.3), DVec3::new(0.1, 0.2, 0.3));
        let white = [1.0; 3];
        for body in [
            Mesh::default().cuboid(a, b, white),
            Mesh::default().bar(a, b, 0.2, white).tube(a, b, [0.2, 0.1], white),
            Mesh::default().ball(DVec3::ZERO, 0.3, white),
        ] {
            for triangle in &body.triangles {
                let [p, q, r] = triangle.map(|i| body.vertices[usize::from(i)]);
                let face = (q.position - p.position).cross(r.position - p.position);
                let outward = p.position + q.position + r.position;
                assert!(face.dot(outward) >= -1e-12, "{triangle:?}");
                assert!(face.dot(p.normal + q.normal + r.normal) >= -1e-12, "{triangle:?}");
            }
        }
    }

    #[test]
    fn bodies_have_the_size_asked_for() {
        let ball = Mesh::default().ball(DVec3::X, 0.5, [1.0; 3]);
        assert!(ball.vertices.iter().all(|v| (v.position.distance(DVec3::X) - 0.5).abs() < 1e-12));
        let cuboid = Mesh::default().cuboid(DVec3::ZERO, DVec3::new(1.0, 2.0, 3.0), [1.0; 3]);
        let top = cuboid.vertices.iter().map(|v| v.position).fold(DVec3::ZERO, DVec3::max);
        assert_eq!(top, DVec3::new(1.0, 2.0, 3.0));
    }
}
