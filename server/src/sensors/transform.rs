//! Parts of pictures, pictures of another size, pictures as JPEG.

use bytes::Bytes;
use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use waldo_protocol::policy::{Dtype, Region};

use super::Array;

/// The quality of JPEG for whom nobody chose one.
pub(crate) const QUALITY: u8 = 85;

/// Cuts and scales. Keeps its working memory from picture to picture.
#[derive(Default)]
pub(crate) struct Scaler(Resizer);

impl Scaler {
    /// The part `region` of a picture [H, W, C] or of depth [H, W], scaled to `size` (height, width).
    ///
    /// 8-bit pictures are averaged over the area that each new pixel covers, or interpolated if they get larger. Of
    /// anything else, such as depth, each new pixel is the old one at its centre: a mean of near and far is neither.
    /// What stays the same is shared. `None` if the region is not inside.
    pub(crate) fn scale(&mut self, array: &Array, region: Region, size: [u32; 2]) -> Option<Array> {
        let (rows, columns) = sides(array)?;
        if !region.fits([rows, columns]) || size.contains(&0) {
            return None;
        }
        if region == Region::whole([rows, columns]) && size == [rows, columns] {
            return Some(array.clone());
        }
        let channels = array.shape().get(2).copied();
        let [height, width] = size;
        let bytes = match (array.dtype(), channels) {
            _ if [region.height, region.width] == size => nearest(array, columns, region, size),
            (Dtype::Uint8, Some(1)) => self.smooth(array, (rows, columns), region, size, PixelType::U8)?,
            (Dtype::Uint8, Some(3)) => self.smooth(array, (rows, columns), region, size, PixelType::U8x3)?,
            _ => nearest(array, columns, region, size),
        };
        let shape = [height as usize, width as usize, channels.unwrap_or(0)];
        let dimensions = if channels.is_some() { 3 } else { 2 };
        Array::new(array.dtype(), &shape[..dimensions], Bytes::from(bytes)).ok()
    }

    fn smooth(
        &mut self,
        array: &Array,
        (rows, columns): (u32, u32),
        region: Region,
        [height, width]: [u32; 2],
        pixels: PixelType,
    ) -> Option<Vec<u8>> {
        let source = ImageRef::new(columns, rows, array.bytes(), pixels).ok()?;
        let mut target = Image::new(width, height, pixels);
        let Region { top, left, height, width } = region;
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).crop(
            left.into(),
            top.into(),
            width.into(),
            height.into(),
        );
        self.0.resize(&source, &mut target, &options).ok()?;
        Some(target.into_vec())
    }
}

/// Height and width.
fn sides(array: &Array) -> Option<(u32, u32)> {
    let (rows, columns) = (*array.shape().first()?, *array.shape().get(1)?);
    Some((rows.try_into().ok()?, columns.try_into().ok()?))
}

fn nearest(array: &Array, columns: u32, region: Region, [height, width]: [u32; 2]) -> Vec<u8> {
    let item = array.dtype().item_size() * array.shape().get(2).copied().unwrap_or(1);
    // The old pixel in which the centre of a new one lies.
    let at = |new: u32, news: u32, first: u32, olds: u32| {
        let old = (2 * u64::from(new) + 1) * u64::from(olds) / (2 * u64::from(news));
        (u64::from(first) + old) as usize
    };
    let row_bytes = columns as usize * item;
    let mut out = Vec::with_capacity(height as usize * width as usize * item);
    for row in 0..height {
        let from = at(row, height, region.top, region.height) * row_bytes;
        let row = &array.bytes()[from..from + row_bytes];
        if width == region.width {
            let first = region.left as usize * item;
            out.extend_from_slice(&row[first..first + width as usize * item]);
        } else {
            for column in 0..width {
                let first = at(column, width, region.left, region.width) * item;
                out.extend_from_slice(&row[first..first + item]);
            }
        }
    }
    out
}

/// The picture as a JPEG file; `None` unless it has pixels of 8 bits with 1 or 3 channels, and sides below 65536.
pub(crate) fn jpeg(picture: &Array, quality: u8) -> Option<Vec<u8>> {
    let (height, width) = sides(picture)?;
    let colours = match (picture.dtype(), picture.shape().get(2)?) {
        (Dtype::Uint8, 1) => ExtendedColorType::L8,
        (Dtype::Uint8, 3) => ExtendedColorType::Rgb8,
        _ => return None,
    };
    let mut file = Vec::with_capacity(picture.bytes().len() / 8);
    JpegEncoder::new_with_quality(&mut file, quality).encode(picture.bytes(), width, height, colours).ok()?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use zune_jpeg::JpegDecoder;
    use zune_jpeg::zune_core::bytestream::ZCursor;

    use super::*;

    /// A picture whose pixels tell where they are: red grows with the column, green with the row.
    fn gradient(height: usize, width: usize) -> Array {
        let pixel = |at: usize| [(at % width * 4) as u8, (at / width * 4) as u8, 128];
        let bytes: Vec<u8> = (0..height * width).flat_map(pixel).collect();
        Array::new(Dtype::Uint8, &[height, width, 3], bytes).unwrap()
    }

    fn pixel(array: &Array, row: usize, column: usize) -> &[u8] {
        let channels = array.shape()[2];
        &array.bytes()[(row * array.shape()[1] + column) * channels..][..channels]
    }

    #[test]
    fn a_region_is_cut_out_and_what_stays_the_same_is_shared() {
        let (mut scaler, picture) = (Scaler::default(), gradient(40, 60));
        let whole = scaler.scale(&picture, Region::whole([40, 60]), [40, 60]).unwrap();
        assert_eq!(whole.bytes().as_ptr(), picture.bytes().as_ptr());
        let region = Region { top: 10, left: 20, height: 5, width: 7 };
        let cut = scaler.scale(&picture, region, [5, 7]).unwrap();
        assert_eq!(cut.shape(), [5, 7, 3]);
        assert_eq!((pixel(&cut, 0, 0), pixel(&cut, 4, 6)), (&[80, 40, 128][..], &[104, 56, 128][..]));
        for outside in [Region { top: 36, ..region }, Region { left: 54, ..region }, Region { height: 0, ..region }] {
            assert_eq!(scaler.scale(&picture, outside, [5, 7]), None);
        }
    }

    #[test]
    fn a_scaled_picture_shows_the_same_at_the_place_that_its_matrix_says() {
        let picture = gradient(40, 60);
        let region = Region { top: 8, left: 12, height: 24, width: 36 };
        let small = Scaler::default().scale(&picture, region, [12, 12]).unwrap();
        assert_eq!(small.shape(), [12, 12, 3]);
        // A new column covers three old ones, a new row two; the middle of both is at (x + 0.5) × 3 + 12 − 0.5.
        for (row, column) in [(3, 3), (6, 8), (10, 10)] {
            let seen = pixel(&small, row, column);
            let (x, y) = ((column as f64 + 0.5) * 3.0 + 11.5, (row as f64 + 0.5) * 2.0 + 7.5);
            assert!((f64::from(seen[0]) - 4.0 * x).abs() <= 1.0, "{seen:?} at {row} {column}");
            assert!((f64::from(seen[1]) - 4.0 * y).abs() <= 1.0, "{seen:?} at {row} {column}");
        }
    }

    #[test]
    fn depth_and_deep_pictures_are_never_mixed() {
        let near_and_far: Vec<u8> = [1.0f32, f32::INFINITY].repeat(8).iter().flat_map(|d| d.to_le_bytes()).collect();
        let depth = Array::new(Dtype::Float32, &[4, 4], near_and_far).unwrap();
        let small = Scaler::default().scale(&depth, Region::whole([4, 4]), [3, 3]).unwrap();
        assert_eq!(small.shape(), [3, 3]);
        let seen: Vec<f32> = small.bytes().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        // Centres at 0.67, 2 and 3.33 of 4 columns.
        assert_eq!(seen[..3], [1.0, 1.0, f32::INFINITY]);
        let deep = Array::new(Dtype::Uint16, &[1, 2, 1], vec![1, 2, 3, 4]).unwrap();
        let large = Scaler::default().scale(&deep, Region::whole([1, 2]), [1, 4]).unwrap();
        assert_eq!(large.bytes()[..], [1, 2, 1, 2, 3, 4, 3, 4]);
    }

    #[test]
    fn a_jpeg_decodes_to_about_the_same_picture_and_quality_counts() {
        let picture = gradient(40, 60);
        let file = jpeg(&picture, QUALITY).unwrap();
        let mut decoder = JpegDecoder::new(ZCursor::new(&file));
        let decoded = decoder.decode().unwrap();
        assert_eq!(decoder.dimensions(), Some((60, 40)));
        let error = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b));
        let mean = decoded.iter().zip(picture.bytes()).map(error).sum::<f64>() / decoded.len() as f64;
        assert!(mean < 3.0, "{mean}");
        assert!(jpeg(&picture, 10).unwrap().len() < jpeg(&picture, 95).unwrap().len());
    }

    #[test]
    fn what_cannot_be_jpeg_is_none() {
        let array = |dtype, shape: &[usize], bytes| Array::new(dtype, shape, vec![0; bytes]).unwrap();
        assert!(jpeg(&array(Dtype::Uint8, &[2, 2, 1], 4), 80).is_some());
        assert_eq!(jpeg(&array(Dtype::Uint16, &[2, 2, 1], 8), 80), None);
        assert_eq!(jpeg(&array(Dtype::Uint8, &[0, 0, 3], 0), 80), None);
        assert_eq!(jpeg(&array(Dtype::Uint8, &[2, 2], 4), 80), None);
        assert_eq!(jpeg(&array(Dtype::Uint8, &[1, 70_000, 1], 70_000), 80), None);
    }
}
