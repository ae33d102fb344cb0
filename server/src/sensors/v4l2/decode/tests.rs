use super::*;

const WHEN: MonoTime = MonoTime::from_nanos(7);

/// Left half red, right half blue, as a webcam compresses it: 4:2:2, three channels.
fn jpeg(width: u32) -> Vec<u8> {
    let data: &[u8] = match width {
        64 => include_bytes!("64x48.jpg"),
        65 => include_bytes!("65x48.jpg"),
        128 => include_bytes!("128x96.jpg"),
        _ => unreachable!("there is none"),
    };
    data.to_vec()
}

/// Takes the segments with this marker out.
fn without(jpeg: &[u8], unwanted: u8) -> Vec<u8> {
    let (mut kept, mut at) = (jpeg[..2].to_vec(), 2);
    while jpeg[at + 1] != 0xda {
        let end = at + 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if jpeg[at + 1] != unwanted {
            kept.extend_from_slice(&jpeg[at..end]);
        }
        at = end;
    }
    kept.extend_from_slice(&jpeg[at..]);
    kept
}

fn mjpeg(width: u32, height: u32) -> Decoder {
    Decoder::new(Format { pixels: Pixels::Mjpeg, width, height })
}

fn assert_red_and_blue(image: &RgbImage) {
    let (width, middle) = (image.width() as usize, image.height() as usize / 2);
    for (x, expected) in [(width / 4, [255, 0, 0]), (width * 3 / 4, [0, 0, 255])] {
        let at = (middle * width + x) * 3;
        let seen = &image.data()[at..at + 3];
        assert!(seen.iter().zip(expected).all(|(s, e): (&u8, u8)| s.abs_diff(e) < 20), "{seen:?} at {x}");
    }
}

#[test]
fn motion_jpeg_becomes_a_picture_with_its_capture_time() {
    let mut decoder = mjpeg(64, 48);
    let frame = decoder.frame(&jpeg(64), WHEN).unwrap();
    assert_eq!((frame.image.width(), frame.image.height(), frame.captured), (64, 48, WHEN));
    assert_red_and_blue(&frame.image);
}

#[test]
fn bytes_behind_the_picture_do_no_harm() {
    let padded = [jpeg(64), vec![0; 700]].concat();
    assert_red_and_blue(&mjpeg(64, 48).frame(&padded, WHEN).unwrap().image);
}

#[test]
fn pictures_without_huffman_tables_have_the_usual_ones() {
    let bare = without(&jpeg(64), 0xc4);
    assert!(lacks_huffman_tables(&bare) && !lacks_huffman_tables(&jpeg(64)));
    assert_red_and_blue(&mjpeg(64, 48).frame(&bare, WHEN).unwrap().image);
    let announced = [&bare[..2], MOTION_JPEG, &bare[2..]].concat();
    assert_red_and_blue(&mjpeg(64, 48).frame(&announced, WHEN).unwrap().image);
}

#[test]
fn the_size_in_the_picture_counts() {
    let mut decoder = mjpeg(1280, 720);
    for (width, height) in [(64, 48), (128, 96), (64, 48)] {
        let image = decoder.frame(&jpeg(width), WHEN).unwrap().image;
        assert_eq!((image.width(), image.height()), (width, height));
        assert_red_and_blue(&image);
    }
    assert!(matches!(decoder.frame(&jpeg(65), WHEN), Err(BadPicture::Size(_))));
}

#[test]
fn broken_pictures_are_refused_and_the_next_one_is_fine() {
    let mut decoder = mjpeg(64, 48);
    let whole = jpeg(64);
    // Without the tail that holds nothing but the end marker and the last bits.
    for cut in 0..whole.len() - 20 {
        assert!(decoder.frame(&whole[..cut], WHEN).is_err(), "cut at {cut} of {}", whole.len());
    }
    assert!(decoder.frame(&[0; 5000], WHEN).is_err());
    assert_red_and_blue(&decoder.frame(&whole, WHEN).unwrap().image);
}

#[test]
fn yuyv_becomes_a_picture_whatever_lies_between_its_rows() {
    // BT.601, limited range: red is (81, 90, 240), blue (41, 240, 110).
    let (red, blue) = ([81, 90, 81, 240], [41, 240, 41, 110]);
    for padding in [0, 32] {
        let row = [red.repeat(16), blue.repeat(16), vec![7; padding]].concat();
        let stride = row.len() as u32;
        let mut decoder = Decoder::new(Format { pixels: Pixels::Yuyv { stride }, width: 64, height: 48 });
        let data = row.repeat(48);
        assert_red_and_blue(&decoder.frame(&data, WHEN).unwrap().image);
        let short = decoder.frame(&data[..data.len() - 1], WHEN);
        assert!(matches!(short, Err(BadPicture::Short { .. })));
        assert_red_and_blue(&decoder.frame(&[data, vec![0; 99]].concat(), WHEN).unwrap().image);
    }
}

#[test]
fn readers_that_hold_all_buffers_cost_pictures_and_nothing_else() {
    let mut decoder = mjpeg(64, 48);
    let data = jpeg(64);
    let held: Vec<_> = (0..POOL).map(|_| decoder.frame(&data, WHEN).unwrap()).collect();
    assert!(matches!(decoder.frame(&data, WHEN), Err(BadPicture::NoBuffer)));
    drop(held);
    assert!(decoder.frame(&data, WHEN).is_ok());
}
