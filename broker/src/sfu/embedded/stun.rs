//! As much of STUN as tells whose a connectivity check is, before anything of the sender is known.

/// Larger ones are no checks: those carry a name, a priority, a role and two sums.
const LARGEST: usize = 600;

const HEADER: usize = 20;
const COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
const USERNAME: u16 = 0x0006;

/// What a datagram is, as far as it can be seen without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Datagram<'a> {
    /// A check for the peer with this user fragment of ours.
    Check(&'a str),
    /// Anything else that only a known address may send: replies to our checks, DTLS, media.
    Other,
    /// Nothing that a peer sends.
    Nonsense,
}

impl<'a> Datagram<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        match bytes.first() {
            None => Self::Nonsense,
            Some(0 | 1) => Self::of_stun(bytes).unwrap_or(Self::Nonsense),
            Some(_) => Self::Other,
        }
    }

    fn of_stun(bytes: &'a [u8]) -> Option<Self> {
        if bytes.len() > LARGEST
            || bytes.get(4..8)? != COOKIE
            || u16_at(bytes, 2)? != bytes.len().checked_sub(HEADER)?
        {
            return None;
        }
        let mut rest = bytes.get(HEADER..)?;
        while !rest.is_empty() {
            let (kind, length) = (u16_at(rest, 0)?, u16_at(rest, 2)?);
            let value = rest.get(4..4 + length)?;
            if kind == usize::from(USERNAME) {
                let (ours, _) = std::str::from_utf8(value).ok()?.split_once(':')?;
                return Some(Self::Check(ours));
            }
            rest = rest.get(4 + length.next_multiple_of(4)..)?;
        }
        Some(Self::Other)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (kind, value) in attributes {
            body.extend(kind.to_be_bytes());
            body.extend((value.len() as u16).to_be_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut message = vec![0, 1];
        message.extend((body.len() as u16).to_be_bytes());
        message.extend(COOKIE);
        message.extend([7; 12]);
        message.extend(body);
        message
    }

    #[test]
    fn a_check_names_the_fragment_before_the_colon() {
        let check = message(&[(0x0024, &[0, 0, 0, 1]), (USERNAME, b"ours1:theirs")]);
        assert_eq!(Datagram::of(&check), Datagram::Check("ours1"));
        assert_eq!(Datagram::of(&message(&[(0x0020, &[0; 8])])), Datagram::Other);
        assert_eq!(Datagram::of(&[22, 254, 253]), Datagram::Other);
        assert_eq!(Datagram::of(&[0x80, 96]), Datagram::Other);
    }

    #[test]
    fn what_no_peer_sends_is_nonsense() {
        let check = message(&[(USERNAME, b"ours:theirs")]);
        for cut in 1..check.len() {
            assert_eq!(Datagram::of(&check[..cut]), Datagram::Nonsense, "{cut}");
        }
        let mut wrong = check.clone();
        wrong[4] ^= 1;
        for nonsense in [&wrong[..], &[], &message(&[(USERNAME, b"no colon")]), &message(&[(USERNAME, &[0xff, b':'])])]
        {
            assert_eq!(Datagram::of(nonsense), Datagram::Nonsense);
        }
        let many: Vec<(u16, &[u8])> = vec![(0x0001, b""); 300];
        assert_eq!(Datagram::of(&message(&many)), Datagram::Nonsense);
    }
}
