//! H.264 access units in Annex B form: NAL units, each behind a start code.

/// Types of NAL units that matter here (ITU-T H.264, table 7-1).
const SLICE: u8 = 1;
const IDR: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;

/// A NAL unit with its start code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nal<'a> {
    pub(super) kind: Kind,
    /// Start code included.
    pub(super) bytes: &'a [u8],
    /// The byte that follows the NAL unit's header; for a sequence parameter set, the profile.
    pub(super) second: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Sps,
    Pps,
    /// A slice of a picture that can be decoded by itself.
    Idr,
    /// A slice of another picture, or a partition of one.
    Slice,
    Other,
}

/// The NAL units of an access unit; none if it does not begin with a start code, or holds something that is no NAL unit.
pub(super) fn nals(data: &[u8]) -> Option<Vec<Nal<'_>>> {
    let starts = start_codes(data);
    if starts.first()?.0 != 0 {
        return None;
    }
    let ends = starts.iter().skip(1).map(|(start, _)| *start).chain([data.len()]);
    starts.iter().zip(ends).map(|(&(start, payload), end)| nal(&data[start..end], payload - start)).collect()
}

fn nal(bytes: &[u8], header_at: usize) -> Option<Nal<'_>> {
    let header = *bytes.get(header_at)?;
    let second = bytes.get(header_at + 1).copied();
    // The first bit is always zero.
    let kind = match (header >> 7, header & 0x1f) {
        (1, _) => return None,
        (_, SPS) => Kind::Sps,
        (_, PPS) => Kind::Pps,
        (_, IDR) => Kind::Idr,
        (_, SLICE..IDR) => Kind::Slice,
        // Some of these are nothing but a header.
        _ => return Some(Nal { kind: Kind::Other, bytes, second: second.unwrap_or(0) }),
    };
    second.map(|second| Nal { kind, bytes, second })
}

/// Where each start code begins and ends. A zero byte before the three bytes of a start code belongs to it.
fn start_codes(data: &[u8]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = 0;
    while at + 3 <= data.len() {
        match data[at..at + 3] {
            [0, 0, 1] => {
                let start = if at > 0 && data[at - 1] == 0 { at - 1 } else { at };
                found.push((start, at + 3));
                at += 3;
            }
            // A start code begins with two zeros: from here it could begin two bytes on at the earliest.
            [_, _, third] if third > 1 => at += 3,
            _ => at += 1,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kinds(data: &[u8]) -> Option<Vec<Kind>> {
        nals(data).map(|nals| nals.iter().map(|nal| nal.kind).collect())
    }

    #[test]
    fn start_codes_of_both_lengths_part_the_units() {
        let data = [0, 0, 0, 1, 0x67, 66, 0, 0, 1, 0x68, 9, 0, 0, 0, 1, 0x65, 1, 2, 0, 0, 1, 0x41, 7];
        let nals = nals(&data).unwrap();
        let kinds: Vec<_> = nals.iter().map(|nal| nal.kind).collect();
        assert_eq!(kinds, [Kind::Sps, Kind::Pps, Kind::Idr, Kind::Slice]);
        assert_eq!(nals[0].second, 66);
        assert_eq!(nals[2].bytes, [0, 0, 0, 1, 0x65, 1, 2]);
        assert_eq!(nals.iter().map(|nal| nal.bytes.len()).sum::<usize>(), data.len());
    }

    #[test]
    fn what_is_no_stream_of_nal_units_is_refused() {
        for data in [&[][..], &[0, 0, 1], &[0, 0, 1, 0x65], &[5, 0, 0, 1, 0x65, 1], &[0, 0, 1, 0xe5, 1], &[1, 2, 3, 4]]
        {
            assert_eq!(kinds(data), None, "{data:?}");
        }
    }

    #[test]
    fn all_slices_count_and_the_rest_is_other() {
        let data = |header: u8| [0, 0, 1, header, 1];
        for header in 1..=4 {
            assert_eq!(kinds(&data(header)), Some(vec![Kind::Slice]));
        }
        for header in [0, 6, 9, 12, 31] {
            assert_eq!(kinds(&data(header)), Some(vec![Kind::Other]));
        }
        assert_eq!(kinds(&[0, 0, 1, 10]), Some(vec![Kind::Other]), "the end of a sequence");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_panics(data in proptest::collection::vec(0u8..4, 0..64)) {
            let data = [&[0, 0, 1, 0x41][..], &data].concat();
            if let Some(nals) = nals(&data) {
                prop_assert_eq!(nals.iter().flat_map(|nal| nal.bytes).copied().collect::<Vec<u8>>(), data);
            }
        }

        #[test]
        fn the_search_finds_what_a_plain_one_finds(data in proptest::collection::vec(0u8..3, 0..40)) {
            let plain: Vec<usize> = (0..data.len().saturating_sub(2)).filter(|&i| data[i..i + 3] == [0, 0, 1]).map(|i| i + 3).collect();
            prop_assert_eq!(start_codes(&data).iter().map(|code| code.1).collect::<Vec<_>>(), plain);
        }
    }
}
