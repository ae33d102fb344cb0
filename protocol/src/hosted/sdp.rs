//! The two things that are done to session descriptions: repairing candidates, and finding what a peer publishes.

use std::borrow::Cow;

const CANDIDATE: &str = "a=candidate:";
const END_OF_CANDIDATES: &str = "a=end-of-candidates";

/// Most media sections of a description that is repaired; others make do with it as it is. Bounds what a description can
/// grow to.
const MAX_SECTIONS: usize = 64;

/// The description with the candidates of its first media section that has any in each section that has none.
///
/// Some peers keep candidates per section and let the last one win, so that a section without any makes them forget all.
pub fn repair_candidates(sdp: &str) -> Cow<'_, str> {
    let (session, sections) = split(sdp);
    let belongs = |line: &&str| line.starts_with(CANDIDATE) || *line == END_OF_CANDIDATES;
    let mut candidates = sections.iter().map(|section| lines(section).filter(belongs).collect::<Vec<_>>());
    let candidates = candidates.find(|candidates| !candidates.is_empty()).unwrap_or_default();
    if candidates.is_empty() || sections.len() > MAX_SECTIONS {
        return Cow::Borrowed(sdp);
    }
    let mut repaired = session.to_owned();
    for section in sections {
        if lines(section).any(|line| line.starts_with(CANDIDATE)) {
            repaired.push_str(section);
            continue;
        }
        repaired.push_str(section.trim_end_matches(['\r', '\n']));
        repaired.push_str("\r\n");
        for line in &candidates {
            repaired.push_str(line);
            repaired.push_str("\r\n");
        }
    }
    Cow::Owned(repaired)
}

/// What a media section carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

impl MediaKind {
    /// The word of the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Video => "video",
            Self::Audio => "audio",
        }
    }
}

/// A track that a peer publishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedTrack {
    /// Of its media section.
    pub mid: String,
    /// The track's name, from `a=msid`.
    pub name: String,
}

/// The track of the first media section of this kind that sends and names one.
pub fn published_track(sdp: &str, kind: MediaKind) -> Option<PublishedTrack> {
    let (_, sections) = split(sdp);
    sections.into_iter().find_map(|section| {
        let media = lines(section).next()?.strip_prefix("m=")?.split_ascii_whitespace().next()?;
        let sends = !lines(section).any(|line| matches!(line, "a=recvonly" | "a=inactive"));
        if media != kind.as_str() || !sends {
            return None;
        }
        let attribute = |name: &str| lines(section).find_map(|line| line.strip_prefix(name));
        let name = attribute("a=msid:")?.split_ascii_whitespace().nth(1)?;
        Some(PublishedTrack { mid: attribute("a=mid:")?.to_owned(), name: name.to_owned() })
    })
}

/// What stands before the first media section, and the sections.
fn split(sdp: &str) -> (&str, Vec<&str>) {
    let begins = |at: usize| at == 0 || sdp.as_bytes()[at - 1] == b'\n';
    let mut starts: Vec<usize> = sdp.match_indices("m=").map(|(at, _)| at).filter(|at| begins(*at)).collect();
    let session = &sdp[..starts.first().copied().unwrap_or(sdp.len())];
    starts.push(sdp.len());
    (session, starts.windows(2).map(|ends| &sdp[ends[0]..ends[1]]).collect())
}

/// Lines without their ends.
fn lines(section: &str) -> impl Iterator<Item = &str> {
    section.split('\n').map(|line| line.trim_end_matches('\r'))
}
