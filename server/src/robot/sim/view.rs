//! A pinhole camera that draws bodies on a canvas.

use glam::DVec3;

use super::mesh::{Color, Mesh, Vertex};
use super::raster::{Canvas, Corner};
use crate::robot::kinematics::Transform;
use crate::sensors::Intrinsics;

/// Nothing nearer than this is drawn, metres.
const NEAR: f64 = 0.01;

/// Towards the lamp.
const LAMP: DVec3 = DVec3::new(-0.302, 0.402, 0.864);

/// The light that reaches a surface of this normal (in the world): a lamp, the ceiling's and a little of the floor's.
pub(super) fn light(normal: DVec3) -> f32 {
    let lamp = normal.dot(LAMP).max(0.0);
    let ceiling = 0.5 + 0.5 * normal.z;
    (0.62 * lamp + 0.3 * ceiling + 0.13) as f32
}

/// Screen colour of a linear one, within the range of [`Corner::color`]. A square root is close to the sRGB curve.
pub(super) fn screen(color: Color, light: f32) -> [f32; 3] {
    color.map(|channel| ((channel * light).sqrt() * 255.0).clamp(1.0, 254.0))
}

/// A corner in camera coordinates with its screen colour.
#[derive(Clone, Copy)]
struct Lit {
    position: DVec3,
    color: [f32; 3],
}

/// Where a camera is and how it projects, with room to work in.
pub(super) struct View {
    intrinsics: Intrinsics,
    from_world: Transform,
    lit: Vec<Lit>,
}

impl View {
    /// A camera with its optical frame (x right, y down, z forward) at `pose` in the world.
    pub(super) fn new(intrinsics: Intrinsics, pose: Transform) -> Self {
        Self { intrinsics, from_world: pose.inverse(), lit: Vec::new() }
    }

    /// Moves the camera.
    pub(super) fn move_to(&mut self, pose: Transform) {
        self.from_world = pose.inverse();
    }

    /// Draws a body that stands at `at` in the world, under the lamp.
    pub(super) fn draw(&mut self, canvas: &mut Canvas<'_>, mesh: &Mesh, at: Transform) {
        self.draw_with(canvas, mesh, at, |v| screen(v.color, light(at.rotation * v.normal)));
    }

    /// Draws a body of the world's frame whose colours are those on the screen, 0 to 1 for 0 to 255.
    pub(super) fn draw_baked(&mut self, canvas: &mut Canvas<'_>, mesh: &Mesh) {
        self.draw_with(canvas, mesh, Transform::IDENTITY, |v| v.color.map(|c| (c * 255.0).clamp(1.0, 254.0)));
    }

    /// Darkens a level round spot: `strength` of the light is lost in the middle, nothing at the rim.
    pub(super) fn blot(&mut self, canvas: &mut Canvas<'_>, middle: DVec3, radius: f64, strength: f64) {
        const SIDES: u32 = 16;
        let corner = |angle: f64| {
            let (y, x) = angle.sin_cos();
            Lit { position: self.from_world.point(middle + DVec3::new(x, y, 0.0) * radius), color: [254.0; 3] }
        };
        let center = Lit {
            position: self.from_world.point(middle),
            color: [(255.0 * (1.0 - strength)).clamp(1.0, 254.0) as f32; 3],
        };
        let step = std::f64::consts::TAU / f64::from(SIDES);
        for side in 0..SIDES {
            let triangle = [center, corner(f64::from(side) * step), corner(f64::from(side + 1) * step)];
            if triangle.iter().all(|lit| lit.position.z > NEAR) {
                canvas.shade(&triangle.map(|lit| self.project(lit)));
            }
        }
    }

    fn draw_with(&mut self, canvas: &mut Canvas<'_>, mesh: &Mesh, at: Transform, color: impl Fn(&Vertex) -> [f32; 3]) {
        let to_camera = self.from_world * at;
        let mut lit = std::mem::take(&mut self.lit);
        lit.clear();
        lit.extend(mesh.vertices.iter().map(|v| Lit { position: to_camera.point(v.position), color: color(v) }));
        if lit.iter().any(|l| l.position.z > NEAR) {
            for triangle in &mesh.triangles {
                self.triangle(canvas, triangle.map(|index| lit[usize::from(index)]));
            }
        }
        self.lit = lit;
    }

    fn triangle(&self, canvas: &mut Canvas<'_>, corners: [Lit; 3]) {
        let [a, b, c] = corners.map(|corner| corner.position);
        // Seen from behind: the camera is at the origin.
        if (b - a).cross(c - a).dot(a) >= 0.0 {
            return;
        }
        if corners.iter().all(|corner| corner.position.z > NEAR) {
            canvas.fill(&corners.map(|corner| self.project(corner)));
            return;
        }
        // What is left of a triangle cut by the near plane has three or four corners.
        let mut kept = [corners[0]; 4];
        let mut count = 0;
        let mut keep = |corner| {
            kept[count] = corner;
            count += 1;
        };
        for (from, to) in [(0, 1), (1, 2), (2, 0)] {
            let (from, to) = (corners[from], corners[to]);
            let (inside, outside) = (from.position.z > NEAR, to.position.z > NEAR);
            if inside {
                keep(from);
            }
            if inside != outside {
                let part = (NEAR - from.position.z) / (to.position.z - from.position.z);
                let mix = |i: usize| from.color[i] + (to.color[i] - from.color[i]) * part as f32;
                keep(Lit { position: from.position.lerp(to.position, part), color: [mix(0), mix(1), mix(2)] });
            }
        }
        for last in 2..count {
            canvas.fill(&[kept[0], kept[last - 1], kept[last]].map(|corner| self.project(corner)));
        }
    }

    fn project(&self, Lit { position, color }: Lit) -> Corner {
        let Intrinsics { fx, fy, cx, cy } = self.intrinsics;
        let inverse = position.z.recip();
        Corner {
            x: (cx + fx * position.x * inverse) as f32,
            y: (cy + fy * position.y * inverse) as f32,
            inverse_depth: inverse as f32,
            color,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 64;
    const LENS: Intrinsics = Intrinsics { fx: 50.0, fy: 50.0, cx: 32.0, cy: 32.0 };

    /// Depths seen from the origin along z.
    fn depths(mesh: &Mesh) -> Vec<f32> {
        let (mut rgb, mut inverse) = (vec![0; SIDE * SIDE * 3], vec![0.0; SIDE * SIDE]);
        let mut view = View::new(LENS, Transform::IDENTITY);
        view.draw(&mut Canvas::new(SIDE, &mut rgb, &mut inverse), mesh, Transform::IDENTITY);
        inverse.into_iter().map(f32::recip).collect()
    }

    #[test]
    fn a_box_appears_where_the_pinhole_model_says_at_its_distance() {
        let seen = depths(&Mesh::default().cuboid(DVec3::new(0.0, 0.0, 2.0), DVec3::new(0.4, 0.2, 3.0), [1.0; 3]));
        let at = |x: usize, y: usize| seen[y * SIDE + x];
        // 0.4 m to the right and 0.2 m down at 2 m: 10 and 5 pixels.
        assert!((at(33, 33) - 2.0).abs() < 1e-5 && (at(41, 36) - 2.0).abs() < 1e-5);
        assert!([at(31, 33), at(42, 33), at(33, 31), at(33, 37)].iter().all(|d| d.is_infinite()));
    }

    #[test]
    fn a_floor_that_passes_below_the_camera_is_cut_at_the_near_plane() {
        let floor = Mesh::default().quad(DVec3::new(0.0, 1.0, 0.0), DVec3::Z * 9.0, DVec3::X * 9.0, [1.0; 3]);
        let turned = Mesh::default().quad(DVec3::new(0.0, 1.0, 0.0), DVec3::X * 9.0, DVec3::Z * 9.0, [1.0; 3]);
        let seen = [depths(&floor), depths(&turned)];
        assert_eq!(seen.iter().filter(|d| d.iter().any(|d| d.is_finite())).count(), 1, "only its upper side is seen");
        let seen = seen.iter().find(|d| d[63 * SIDE + 32].is_finite()).unwrap();
        assert!((seen[63 * SIDE + 32] - 50.0 / 31.5).abs() < 1e-4, "{}", seen[63 * SIDE + 32]);
    }
}
