//! Which frames of several cameras belong together.

use std::time::Duration;

use waldo_protocol::time::MonoTime;

/// The newest frames of all cameras that were taken within `tolerance` of each other: one index per camera.
///
/// `cameras` are the stamps of each camera's frames. `None` if no such frames are there, or a camera has none at all.
pub(super) fn newest_within(cameras: &[Vec<MonoTime>], tolerance: Duration) -> Option<Vec<usize>> {
    let mut ends: Vec<MonoTime> = cameras.iter().flatten().copied().collect();
    ends.sort_unstable();
    ends.dedup();
    ends.into_iter().rev().find_map(|end| {
        // Of each camera the newest one that is not after the end.
        cameras.iter().map(|stamps| newest(stamps, end).filter(|at| end.since(stamps[*at]) <= tolerance)).collect()
    })
}

/// The frame of each camera that was taken nearest to `time`: one index per camera, and whether all are within
/// `tolerance` of it. Of two at the same distance it is the newer one.
///
/// `None` if a camera has none at all.
pub(super) fn nearest_to(cameras: &[Vec<MonoTime>], time: MonoTime, tolerance: Duration) -> Option<(Vec<usize>, bool)> {
    let away = |stamp: MonoTime| time.since(stamp).max(stamp.since(time));
    let nearest =
        |stamps: &Vec<MonoTime>| (0..stamps.len()).min_by_key(|at| (away(stamps[*at]), std::cmp::Reverse(stamps[*at])));
    let chosen: Vec<usize> = cameras.iter().map(nearest).collect::<Option<_>>()?;
    let within = cameras.iter().zip(&chosen).all(|(stamps, at)| away(stamps[*at]) <= tolerance);
    Some((chosen, within))
}

fn newest(stamps: &[MonoTime], end: MonoTime) -> Option<usize> {
    (0..stamps.len()).filter(|at| stamps[*at] <= end).max_by_key(|at| stamps[*at])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    fn stamps(ms: &[u64]) -> Vec<MonoTime> {
        ms.iter().map(|ms| MonoTime::from_nanos(ms * MS)).collect()
    }

    #[test]
    fn the_newest_set_within_the_tolerance_is_chosen() {
        let cameras = [stamps(&[100, 67, 33]), stamps(&[70, 36]), stamps(&[97, 64])];
        let within = |ms| newest_within(&cameras, Duration::from_millis(ms));
        // 100, 70, 97 lie 30 ms apart; 67, 36, 64 lie 31 ms apart; 67, 70, 64 only 6.
        assert_eq!(within(30), Some(vec![0, 0, 0]));
        assert_eq!(within(29), Some(vec![1, 0, 1]));
        assert_eq!(within(6), Some(vec![1, 0, 1]));
        assert_eq!(within(2), None);
        assert_eq!(newest_within(&[stamps(&[1]), stamps(&[])], Duration::MAX), None);
    }

    #[test]
    fn the_frame_nearest_to_a_time_is_chosen_of_each_camera() {
        let cameras = [stamps(&[100, 67, 33]), stamps(&[80, 40])];
        let at = |ms, tolerance| {
            nearest_to(&cameras, MonoTime::from_nanos(ms * MS), Duration::from_millis(tolerance)).unwrap()
        };
        assert_eq!(at(70, 10), (vec![1, 0], true));
        assert_eq!(at(70, 9), (vec![1, 0], false));
        assert_eq!(at(60, 20), (vec![1, 0], true), "of two at the same distance the newer one");
        assert_eq!(at(1000, 0), (vec![0, 0], false));
        assert_eq!(nearest_to(&[stamps(&[])], MonoTime::default(), Duration::MAX), None);
    }

    proptest! {
        #[test]
        fn no_newer_set_fits_the_tolerance(
            ms in prop::collection::vec(prop::collection::vec(0u64..60, 1..4), 1..4),
            tolerance in 0u64..30,
        ) {
            let cameras: Vec<_> = ms.iter().map(|ms| stamps(ms)).collect();
            let chosen = newest_within(&cameras, Duration::from_millis(tolerance));
            // All sets there are, by their newest stamp.
            let mut sets = vec![vec![]];
            for camera in &ms {
                sets = sets.iter().flat_map(|set: &Vec<u64>| {
                    camera.iter().map(|ms| [&set[..], &[*ms]].concat())
                }).collect();
            }
            let newest = |set: &[u64]| set.iter().max().copied();
            let fits = |set: &[u64]| newest(set).zip(set.iter().min()).is_some_and(|(max, min)| max - min <= tolerance);
            let best = sets.iter().filter(|set| fits(set)).filter_map(|set| newest(set)).max();
            let got = chosen.map(|at| at.iter().zip(&ms).map(|(at, ms)| ms[*at]).collect::<Vec<_>>());
            prop_assert!(got.as_ref().is_none_or(|set| fits(set)));
            prop_assert_eq!(got.and_then(|set| newest(&set)), best);
        }
    }
}
