//! Byte strings as Python's pickle writes them. Nothing is ever unpickled: what is not a plain byte string is none.

/// `protocol 3, bytes of this length, stop`: the shortest form that every Python 3 reads.
pub(super) fn dump(data: &[u8]) -> Vec<u8> {
    // Records are far smaller than 4 GiB.
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let data = &data[..length as usize];
    let mut pickled = Vec::with_capacity(data.len() + 8);
    pickled.extend_from_slice(&[0x80, 3, b'B']);
    pickled.extend_from_slice(&length.to_le_bytes());
    pickled.extend_from_slice(data);
    pickled.push(b'.');
    pickled
}

/// The bytes of a pickled byte string, of protocol 3 to 5 with or without frame and memo; `None` for anything else.
pub(super) fn load(pickled: &[u8]) -> Option<&[u8]> {
    let rest = match pickled {
        [0x80, 3..=5, rest @ ..] => rest,
        _ => return None,
    };
    let rest = match rest {
        [0x95, rest @ ..] => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from_le_bytes(*length) == rest.len() as u64).then_some(rest)?
        }
        rest => rest,
    };
    let (length, rest) = match rest {
        [b'C', length, rest @ ..] => (usize::from(*length), rest),
        [b'B', rest @ ..] => {
            let (length, rest) = rest.split_first_chunk()?;
            (usize::try_from(u32::from_le_bytes(*length)).ok()?, rest)
        }
        _ => return None,
    };
    let (data, end) = rest.split_at_checked(length)?;
    matches!(end, [b'.'] | [0x94, b'.'] | [b'q', _, b'.']).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn telemetry_is_pickled_as_in_the_vectors() {
        let text = "{\"type\": \"robot_telemetry\"}";
        let pickled = dump(text.as_bytes());
        let hex: String = pickled.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "8003421b0000007b2274797065223a2022726f626f745f74656c656d65747279227d2e");
        assert_eq!(load(&pickled), Some(text.as_bytes()));
    }

    #[test]
    fn what_pythons_own_protocols_write_is_read_too() {
        // pickle.dumps(b'abc', protocol) for 3, 4 and 5.
        for pickled in [
            &b"\x80\x03C\x03abcq\x00."[..],
            b"\x80\x04\x95\x07\x00\x00\x00\x00\x00\x00\x00C\x03abc\x94.",
            b"\x80\x05\x95\x07\x00\x00\x00\x00\x00\x00\x00C\x03abc\x94.",
        ] {
            assert_eq!(load(pickled), Some(&b"abc"[..]));
        }
    }

    #[test]
    fn anything_else_is_nothing() {
        let good = dump(b"abc");
        for cut in 0..good.len() {
            assert_eq!(load(&good[..cut]), None, "{cut}");
        }
        for pickled in [&b"\x80\x03cos\nsystem\n."[..], b"\x80\x03]q\x00.", b"\x80\x02U\x03abc.", b"\x80\x03C\x03abc.."]
        {
            assert_eq!(load(pickled), None);
        }
    }
}
