//! The texts of offers and answers, where str0m and the hosted wire differ.

use std::collections::HashSet;

use crate::sfu::PeerKind;

/// Candidates of one offer that count. Each is an address to which checks go.
const CANDIDATES: usize = 32;

/// An offer as str0m shall read it: what a peer of this kind may not do is taken out of its directions, so that the answer refuses it, and
/// candidates beyond a few are left out.
pub(super) fn restricted(offer: &str, kind: PeerKind) -> String {
    let mut media = Media::Session;
    let mut text = String::with_capacity(offer.len() + 16);
    let mut candidates = HashSet::new();
    for line in offer.lines() {
        if line.starts_with("a=candidate:") && !candidates.contains(line) {
            if candidates.len() == CANDIDATES {
                continue;
            }
            candidates.insert(line);
        }
        media = Media::of(line).unwrap_or(media);
        let line = line.strip_prefix("a=").and_then(|word| allowed(word, media, kind)).unwrap_or(line);
        text.push_str(line);
        text.push_str("\r\n");
    }
    text
}

/// A description of str0m as it goes out: all candidates in every section that is not refused, and said to be all there are.
pub(super) fn complete(description: &str) -> String {
    let candidates: Vec<&str> = description.lines().filter(|line| line.starts_with("a=candidate:")).collect();
    let mut text = String::with_capacity(description.len() + 1024);
    let mut open = false;
    let end = |text: &mut String, open: bool| {
        for line in candidates.iter().copied().filter(|_| open).chain(open.then_some("a=end-of-candidates")) {
            text.push_str(line);
            text.push_str("\r\n");
        }
    };
    for line in description.lines() {
        if line.starts_with("a=candidate:") || line == "a=end-of-candidates" || line == "a=ice-options:trickle" {
            continue;
        }
        if line.starts_with("m=") {
            end(&mut text, open);
            open = line.split(' ').nth(1) != Some("0");
        }
        text.push_str(line);
        text.push_str("\r\n");
    }
    end(&mut text, open);
    text
}

/// How many m-sections a description has.
pub(super) fn sections(description: &str) -> usize {
    description.lines().filter(|line| line.starts_with("m=")).count()
}

/// The names of its m-sections, in order.
pub(super) fn mids(description: &str) -> Vec<String> {
    description.lines().filter_map(|line| Some(line.strip_prefix("a=mid:")?.trim_end().to_owned())).collect()
}

/// Whether a description has a section for data channels that is not refused.
pub(super) fn has_channels(description: &str) -> bool {
    description.lines().any(|line| line.starts_with("m=application ") && line.split(' ').nth(1) != Some("0"))
}

#[derive(Clone, Copy)]
enum Media {
    Session,
    Audio,
    Video,
    Other,
}

impl Media {
    fn of(line: &str) -> Option<Self> {
        let kind = line.strip_prefix("m=")?.split(' ').next()?;
        Some(match kind {
            "audio" => Self::Audio,
            "video" => Self::Video,
            _ => Self::Other,
        })
    }
}

/// The line to write instead of this attribute, if it is a direction that says too much.
fn allowed(direction: &str, media: Media, kind: PeerKind) -> Option<&'static str> {
    match (kind, media, direction) {
        (PeerKind::Robot, Media::Video, "sendrecv") | (PeerKind::Operator, Media::Audio, "sendrecv") => {
            Some("a=sendonly")
        }
        (PeerKind::Operator, Media::Video, "sendrecv")
        | (PeerKind::Viewer, Media::Audio | Media::Video, "sendrecv") => Some("a=recvonly"),
        (PeerKind::Operator, Media::Video, "sendonly")
        | (PeerKind::Viewer, Media::Audio | Media::Video, "sendonly") => Some("a=inactive"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=sendrecv\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\na=sendrecv\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";

    fn directions(text: &str) -> Vec<&str> {
        text.lines().filter(|line| line.ends_with("only") || *line == "a=sendrecv" || *line == "a=inactive").collect()
    }

    #[test]
    fn each_kind_of_peer_keeps_only_the_directions_it_may_have() {
        assert_eq!(directions(&restricted(OFFER, PeerKind::Robot)), ["a=sendonly", "a=sendrecv"]);
        assert_eq!(directions(&restricted(OFFER, PeerKind::Operator)), ["a=recvonly", "a=sendonly"]);
        assert_eq!(directions(&restricted(OFFER, PeerKind::Viewer)), ["a=recvonly", "a=recvonly"]);
        assert_eq!(
            directions(&restricted(&OFFER.replace("sendrecv", "sendonly"), PeerKind::Viewer)),
            ["a=inactive", "a=inactive"]
        );
    }

    #[test]
    fn candidates_stand_in_every_section_but_the_refused() {
        let answer = "v=0\r\na=ice-options:trickle\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\na=mid:0\r\nm=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";
        let candidates = "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\na=end-of-candidates\r\n";
        assert_eq!(
            complete(answer),
            format!(
                "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n{candidates}m=audio 0 UDP/TLS/RTP/SAVPF 111\r\na=mid:1\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n{candidates}"
            )
        );
    }

    #[test]
    fn only_so_many_candidates_count_wherever_they_stand() {
        let candidates: String =
            (0..100).map(|port| format!("a=candidate:1 1 udp 1 192.0.2.1 {port} typ host\r\n")).collect();
        let offer = OFFER.replace("a=mid:0\r\n", &format!("a=mid:0\r\n{candidates}")) + &candidates;
        let text = restricted(&offer, PeerKind::Robot);
        let kept: Vec<&str> = text.lines().filter(|line| line.starts_with("a=candidate:")).collect();
        assert_eq!(kept.len(), 2 * CANDIDATES);
        assert_eq!(kept[..CANDIDATES], kept[CANDIDATES..]);
        assert_eq!((sections(&text), mids(&text)), (3, vec!["0".to_owned(), "1".to_owned(), "2".to_owned()]));
    }

    #[test]
    fn a_refused_or_missing_section_has_no_channels() {
        assert!(has_channels(OFFER));
        assert!(!has_channels(&OFFER.replace("application 9", "application 0")));
        assert!(!has_channels("v=0\r\n"));
    }
}
