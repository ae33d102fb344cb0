//! The pinhole matrix of a picture that was cut and scaled.

/// A part of a picture, pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// First row.
    pub top: u32,
    /// First column.
    pub left: u32,
    /// Rows, at least 1.
    pub height: u32,
    /// Columns, at least 1.
    pub width: u32,
}

impl Region {
    /// A whole picture of that height and width.
    pub const fn whole([height, width]: [u32; 2]) -> Self {
        Self { top: 0, left: 0, height, width }
    }

    /// Whether it has pixels and lies inside a picture of that height and width.
    pub const fn fits(self, [rows, columns]: [u32; 2]) -> bool {
        let Self { top, left, height, width } = self;
        height > 0
            && width > 0
            && matches!(top.checked_add(height), Some(end) if end <= rows)
            && matches!(left.checked_add(width), Some(end) if end <= columns)
    }
}

/// K of the picture that is `region` of the camera's, scaled to `size` (height, width).
///
/// `k` is row major, [fx, shear, cx, 0, fy, cy, 0, 0, 1], in pixels whose centres have integer coordinates.
pub fn adapt_intrinsics(k: &[f64; 9], region: Region, [height, width]: [u32; 2]) -> [f64; 9] {
    let sx = f64::from(width) / f64::from(region.width);
    let sy = f64::from(height) / f64::from(region.height);
    let [fx, shear, cx, k3, fy, cy, k6, k7, k8] = *k;
    let (cx, cy) = (cx - f64::from(region.left), cy - f64::from(region.top));
    [fx * sx, shear * sx, (cx + 0.5) * sx - 0.5, k3, fy * sy, (cy + 0.5) * sy - 0.5, k6, k7, k8]
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: [f64; 9] = [600.0, 2.0, 319.5, 0.0, 500.0, 239.5, 0.0, 0.0, 1.0];

    #[test]
    fn the_whole_picture_at_its_own_size_keeps_its_matrix() {
        assert_eq!(adapt_intrinsics(&K, Region::whole([480, 640]), [480, 640]), K);
    }

    #[test]
    fn a_region_moves_the_centre_before_the_scale_is_applied() {
        let region = Region { top: 100, left: 200, height: 200, width: 400 };
        let adapted = adapt_intrinsics(&K, region, [400, 100]);
        // Columns to a quarter, rows doubled.
        assert_eq!(adapted, [150.0, 0.5, 120.0 * 0.25 - 0.5, 0.0, 1000.0, 140.0 * 2.0 - 0.5, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn the_centre_of_a_picture_stays_its_centre() {
        let adapted = adapt_intrinsics(&K, Region::whole([480, 640]), [96, 64]);
        assert_eq!((adapted[2], adapted[5]), (31.5, 47.5));
    }

    #[test]
    fn a_region_must_have_pixels_and_lie_inside() {
        let region = |top, left, height, width| Region { top, left, height, width };
        assert!(region(0, 0, 480, 640).fits([480, 640]) && region(479, 639, 1, 1).fits([480, 640]));
        for outside in [region(0, 0, 481, 1), region(480, 0, 1, 1), region(0, 0, 0, 1), region(0, u32::MAX, 1, 2)] {
            assert!(!outside.fits([480, 640]), "{outside:?}");
        }
    }
}
