//! Triangles into pixels: z-buffered, with colours that run evenly between the corners.

/// A corner of a triangle on the canvas.
#[derive(Clone, Copy, Debug)]
pub(super) struct Corner {
    /// Pixels from the left edge.
    pub(super) x: f32,
    /// Pixels from the top edge.
    pub(super) y: f32,
    /// 1/metres along the optical axis; runs evenly over a flat triangle, as depth itself does not.
    pub(super) inverse_depth: f32,
    /// RGB, 1 to 254: rounding may carry a colour one step beyond its corners.
    pub(super) color: [f32; 3],
}

/// A picture under construction.
pub(super) struct Canvas<'a> {
    width: usize,
    height: usize,
    rgb: &'a mut [u8],
    inverse_depth: &'a mut [f32],
}

/// A surface this much nearer or farther, relative to its depth, still takes a shadow.
const SHADOW_SKIN: f32 = 0.006;

impl<'a> Canvas<'a> {
    /// A canvas of `width` pixels per row over RGB bytes and inverse depths (0: nothing there).
    pub(super) fn new(width: usize, rgb: &'a mut [u8], inverse_depth: &'a mut [f32]) -> Self {
        let height = (inverse_depth.len() / width).min(rgb.len() / (3 * width));
        Self { width, height, rgb, inverse_depth }
    }

    /// Draws a triangle where it is nearer than what is there.
    pub(super) fn fill(&mut self, corners: &[Corner; 3]) {
        let Some(plane) = Plane::of(corners) else { return };
        let inverse = plane.slope(corners.map(|c| c.inverse_depth));
        let channels = [0, 1, 2].map(|i| plane.slope(corners.map(|c| c.color[i])));
        let flat = corners[0].color == corners[1].color && corners[0].color == corners[2].color;
        let solid = corners[0].color.map(|c| c as u8);
        let steps = channels.map(|c| fixed(c.dx));

        plane.spans(self.width, self.height, |x, y, pixels| {
            let start = inverse.at(x, y);
            let depth = |pixel: usize| start + pixel as i32 as f32 * inverse.dx;
            let depths = &mut self.inverse_depth[pixels.clone()];
            let colors = self.rgb[pixels.start * 3..pixels.end * 3].as_chunks_mut().0;

            // Most spans are all hidden or all visible; to ask first is cheaper than to branch at each pixel.
            let visible: u32 = depths.iter().enumerate().map(|(i, nearest)| u32::from(depth(i) > *nearest)).sum();
            if visible == 0 {
                return;
            }
            if flat && visible as usize == depths.len() {
                for (i, nearest) in depths.iter_mut().enumerate() {
                    *nearest = depth(i);
                }
                colors.fill(solid);
                return;
            }
            let mut color = channels.map(|c| fixed(c.at(x, y)));
            for (i, (nearest, pixel)) in depths.iter_mut().zip(colors).enumerate() {
                if depth(i) > *nearest {
                    *nearest = depth(i);
                    *pixel = color.map(|c: i32| (c >> 16) as u8);
                }
                color = [0, 1, 2].map(|i| color[i].wrapping_add(steps[i]));
            }
        });
    }

    /// Darkens the surface that lies in the triangle's plane, and nothing before or behind it. The first channel of
    /// the colours is the light that stays, 1 to 254.
    pub(super) fn shade(&mut self, corners: &[Corner; 3]) {
        let Some(plane) = Plane::of(corners) else { return };
        let inverse = plane.slope(corners.map(|c| c.inverse_depth));
        let light = plane.slope(corners.map(|c| c.color[0]));
        let step = fixed(light.dx);
        plane.spans(self.width, self.height, |x, y, pixels| {
            let (mut depth, mut stays) = (inverse.at(x, y), fixed(light.at(x, y)));
            let colors = self.rgb[pixels.start * 3..pixels.end * 3].as_chunks_mut::<3>().0;
            for (there, pixel) in self.inverse_depth[pixels].iter().zip(colors) {
                if (depth - there).abs() < SHADOW_SKIN * there {
                    let stays = (stays >> 16) as u16;
                    *pixel = pixel.map(|c| ((u16::from(c) * stays) >> 8) as u8);
                }
                depth += inverse.dx;
                stays = stays.wrapping_add(step);
            }
        });
    }
}

/// 16 bits before and 16 after the point.
fn fixed(value: f32) -> i32 {
    (value * 65536.0) as i32
}

/// A value that runs evenly over the canvas.
#[derive(Clone, Copy)]
struct Slope {
    start: f32,
    dx: f32,
    dy: f32,
}

impl Slope {
    /// `x`, `y`: pixels from the plane's first corner.
    fn at(&self, x: f32, y: f32) -> f32 {
        self.start + x * self.dx + y * self.dy
    }
}

/// A triangle's place on the canvas.
struct Plane {
    origin: (f32, f32),
    /// From the top corner to the bottom one.
    by_height: [(f32, f32); 3],
    u: (f32, f32),
    v: (f32, f32),
    inverse_area: f32,
}

impl Plane {
    /// None for a triangle without area.
    fn of(corners: &[Corner; 3]) -> Option<Self> {
        let [a, b, c] = corners.each_ref().map(|c| (c.x, c.y));
        let (u, v) = ((b.0 - a.0, b.1 - a.1), (c.0 - a.0, c.1 - a.1));
        let area = u.0 * v.1 - v.0 * u.1;
        let inverse_area = area.recip();
        if !inverse_area.is_finite() {
            return None;
        }
        let mut by_height = [a, b, c];
        by_height.sort_unstable_by(|a, b| a.1.total_cmp(&b.1));
        Some(Self { origin: a, by_height, u, v, inverse_area })
    }

    fn slope(&self, [a, b, c]: [f32; 3]) -> Slope {
        let (along_u, along_v) = ((b - a) * self.inverse_area, (c - a) * self.inverse_area);
        Slope { start: a, dx: along_u * self.v.1 - along_v * self.u.1, dy: along_v * self.u.0 - along_u * self.v.0 }
    }

    /// Calls back for each row of pixels whose centres lie inside: the first centre's offset from the first corner,
    /// and the pixels' indices. Triangles with a common edge share no pixel and leave none out, because an edge is
    /// always walked from its upper end.
    fn spans(&self, width: usize, height: usize, mut span: impl FnMut(f32, f32, std::ops::Range<usize>)) {
        let [top, middle, bottom] = self.by_height;
        let edge = |from: (f32, f32), to: (f32, f32)| {
            let slope = (to.0 - from.0) / (to.1 - from.1);
            move |y: f32| from.0 + (y - from.1) * slope
        };
        let (long, upper, lower) = (edge(top, bottom), edge(top, middle), edge(middle, bottom));
        // The first pixel whose centre is not before the coordinate. Casts saturate, so that coordinates beyond the
        // canvas end at its borders; `ceil` would be a function call on processors of the baseline.
        let first = |coordinate: f32, end: usize| {
            let before = (coordinate - 0.5).min(end as f32);
            let whole = before as usize;
            whole + usize::from((whole as f32) < before)
        };
        for row in first(top.1, height)..first(bottom.1, height) {
            let y = row as f32 + 0.5;
            let (one, other) = (long(y), if y < middle.1 { upper(y) } else { lower(y) });
            let (left, right) = (first(one.min(other), width), first(one.max(other), width));
            if left < right {
                let x = left as f32 + 0.5;
                span(x - self.origin.0, y - self.origin.1, row * width + left..row * width + right);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WIDTH: usize = 32;
    const HEIGHT: usize = 24;

    struct Picture {
        rgb: Vec<u8>,
        depth: Vec<f32>,
    }

    impl Picture {
        fn new() -> Self {
            Self { rgb: vec![0; WIDTH * HEIGHT * 3], depth: vec![0.0; WIDTH * HEIGHT] }
        }

        fn canvas(&mut self) -> Canvas<'_> {
            Canvas::new(WIDTH, &mut self.rgb, &mut self.depth)
        }

        fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
            self.rgb.as_chunks().0[y * WIDTH + x]
        }
    }

    fn corner(x: f32, y: f32, inverse_depth: f32, gray: f32) -> Corner {
        Corner { x, y, inverse_depth, color: [gray; 3] }
    }

    fn square(size: f32, inverse_depth: f32, gray: f32) -> [[Corner; 3]; 2] {
        let c = |x, y| corner(x, y, inverse_depth, gray);
        [[c(0.0, 0.0), c(size, 0.0), c(0.0, size)], [c(size, 0.0), c(size, size), c(0.0, size)]]
    }

    #[test]
    fn pixels_with_their_centre_inside_are_filled_and_no_others() {
        let mut picture = Picture::new();
        for triangle in square(10.0, 1.0, 200.0) {
            picture.canvas().fill(&triangle);
        }
        for (index, &depth) in picture.depth.iter().enumerate() {
            let inside = index % WIDTH < 10 && index / WIDTH < 10;
            assert_eq!(depth == 1.0, inside, "{index}");
            assert_eq!(picture.rgb[index * 3] == 200, inside, "{index}");
        }
    }

    #[test]
    fn the_nearer_triangle_wins_in_either_order() {
        for order in [[1.0, 2.0], [2.0, 1.0]] {
            let mut picture = Picture::new();
            for inverse in order {
                picture.canvas().fill(&square(10.0, inverse, inverse * 100.0)[0]);
            }
            assert_eq!(picture.pixel(2, 2), [200; 3]);
        }
    }

    #[test]
    fn colour_and_depth_run_evenly_between_the_corners() {
        let mut picture = Picture::new();
        picture.canvas().fill(&[
            corner(0.0, 0.0, 1.0, 10.0),
            corner(32.0, 0.0, 2.0, 250.0),
            corner(0.0, 24.0, 1.0, 10.0),
        ]);
        assert!((picture.depth[16] - (1.0 + 16.5 / 32.0)).abs() < 1e-5);
        let expected = 10.0 + 240.0 * 16.5 / 32.0;
        assert!((f32::from(picture.pixel(16, 0)[1]) - expected).abs() <= 1.0);
    }

    #[test]
    fn a_shadow_darkens_only_the_surface_it_lies_on() {
        let mut picture = Picture::new();
        picture.canvas().fill(&square(10.0, 1.0, 200.0)[0]);
        picture.canvas().fill(&square(4.0, 2.0, 200.0)[0]);
        for triangle in square(20.0, 1.001, 128.0) {
            picture.canvas().shade(&triangle);
        }
        assert_eq!(picture.pixel(1, 1), [200; 3], "what stands before it");
        assert_eq!(picture.pixel(6, 1), [100; 3], "the surface");
        assert_eq!(picture.pixel(15, 1), [0; 3], "the void behind");
    }

    #[test]
    fn a_triangle_without_area_draws_nothing() {
        let mut picture = Picture::new();
        let line = [corner(1.0, 1.0, 1.0, 9.0), corner(5.0, 5.0, 1.0, 9.0), corner(9.0, 9.0, 1.0, 9.0)];
        picture.canvas().fill(&line);
        picture.canvas().fill(&[corner(f32::NAN, 0.0, 1.0, 9.0), line[0], line[1]]);
        assert!(picture.depth.iter().all(|&d| d == 0.0));
    }

    proptest! {
        #[test]
        fn two_triangles_with_a_common_edge_cover_each_pixel_once(
            x in prop::array::uniform4(-20.0f32..50.0), y in prop::array::uniform4(-20.0f32..50.0),
        ) {
            let c = |i: usize| corner(x[i], y[i], 1.0, 100.0);
            let side = |p: usize| (x[1] - x[0]) * (y[p] - y[0]) - (y[1] - y[0]) * (x[p] - x[0]);
            prop_assume!(side(2) * side(3) < 0.0);
            let mut covered = [0; WIDTH * HEIGHT];
            for triangle in [[c(0), c(1), c(2)], [c(3), c(1), c(0)]] {
                let mut picture = Picture::new();
                picture.canvas().fill(&triangle);
                for (count, depth) in covered.iter_mut().zip(picture.depth) {
                    *count += usize::from(depth > 0.0);
                }
            }
            prop_assert!(covered.iter().all(|&c| c <= 1), "a pixel of both");
        }

        #[test]
        fn colours_never_leave_the_range_of_the_corners(
            x in prop::array::uniform3(-3000.0f32..3000.0), y in prop::array::uniform3(-3000.0f32..3000.0),
        ) {
            let mut picture = Picture::new();
            let gray = [60.0, 120.0, 200.0];
            picture.canvas().fill(&[0, 1, 2].map(|i| corner(x[i], y[i], 1.0, gray[i])));
            for (rgb, depth) in picture.rgb.chunks(3).zip(&picture.depth) {
                prop_assert!(*depth == 0.0 || (59..=201).contains(&rgb[0]), "{rgb:?}");
            }
        }
    }
}
