//! The operator's network caps the robot's picture.

use waldo_protocol::hosted::{HIGHEST_CAP_KBPS, LOWEST_CAP_KBPS, VideoCap, VideoStats};

use crate::mono;

fn stats(kbps: f64, loss_pct: f64, jitter_buffer_ms: f64) -> VideoStats {
    VideoStats { kbps, loss_pct, jitter_buffer_ms, ..VideoStats::default() }
}

#[test]
fn a_network_that_takes_all_of_it_caps_nothing() {
    let mut cap = VideoCap::default();
    for second in 0..60 {
        cap.observe(mono(f64::from(second)), &stats(3000.0, 5.0, 40.0));
    }
    assert_eq!((cap.kbps(), cap.reason()), (None, ""));
}

#[test]
fn loss_and_a_growing_buffer_cut_it_and_clean_seconds_let_it_grow() {
    for bad in [stats(4000.0, 6.0, 20.0), stats(4000.0, 0.0, 71.0)] {
        let mut cap = VideoCap::default();
        cap.observe(mono(0.0), &stats(4000.0, 0.0, 20.0));
        cap.observe(mono(1.0), &bad);
        assert_eq!(cap.kbps(), Some(3200.0));
        assert!(!cap.reason().is_empty());
        // What was sent before the cut is told of once more.
        cap.observe(mono(2.0), &bad);
        assert_eq!(cap.kbps(), Some(3200.0));
        for second in 3..5 {
            cap.observe(mono(f64::from(second)), &stats(3000.0, 0.0, bad.jitter_buffer_ms));
            assert_eq!(cap.kbps(), Some(3200.0));
        }
        cap.observe(mono(5.0), &stats(3000.0, 0.0, bad.jitter_buffer_ms));
        cap.observe(mono(6.0), &stats(3000.0, 0.0, bad.jitter_buffer_ms));
        assert_eq!(cap.kbps(), Some(3360.0));
    }
}

#[test]
fn whatever_is_said_the_cap_keeps_its_bounds_and_goes_away_in_the_end() {
    let mut cap = VideoCap::default();
    for second in 0..200 {
        let odd = [f64::NAN, f64::INFINITY, -1.0, 0.0][second as usize % 4];
        cap.observe(mono(f64::from(second)), &stats(odd, 100.0, odd));
    }
    assert_eq!(cap.kbps(), Some(LOWEST_CAP_KBPS));
    let grows = (HIGHEST_CAP_KBPS / LOWEST_CAP_KBPS).log(1.05).ceil() as u32;
    for second in 200..=200 + 3 * (grows + 1) {
        cap.observe(mono(f64::from(second)), &stats(1000.0, 0.0, 10.0));
    }
    assert_eq!((cap.kbps(), cap.reason()), (None, ""));
}
