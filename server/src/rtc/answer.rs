//! Looks at an answer before it reaches the connection, which a wrong one would leave half negotiated.

use rtc::peer_connection::sdp::RTCSessionDescription;
use rtc::sdp::{MediaDescription, SessionDescription};

use super::media::name_of;
use super::{AnswerError, RtcError};
use crate::video::Codec;

/// Largest answer that is looked at, in bytes; a browser's has a few thousand per track.
const LARGEST: usize = 256 * 1024;

/// An answer that belongs to its offer.
pub(super) struct Answer {
    pub(super) description: RTCSessionDescription,
    /// What the client takes of each video section, in order.
    pub(super) codecs: Vec<Codec>,
}

/// The parsed answer if it belongs to the offer.
pub(super) fn checked(sdp: String, offer: &RTCSessionDescription) -> Result<Answer, AnswerError> {
    if sdp.len() > LARGEST {
        return Err(RtcError(format!("an answer of {} bytes; at most {LARGEST} are accepted", sdp.len())).into());
    }
    let answer = RTCSessionDescription::answer(sdp).map_err(RtcError::from)?;
    let (ours, theirs) = (offer.unmarshal()?, answer.unmarshal()?);
    if mids(&ours) != mids(&theirs) {
        return Err(
            RtcError(format!("the offer has the mids {:?}, the answer {:?}", mids(&ours), mids(&theirs))).into()
        );
    }
    let mut codecs = Vec::new();
    for (media, offered) in theirs.media_descriptions.iter().zip(&ours.media_descriptions) {
        if refuses_audio(media, offered) {
            continue;
        }
        takes(media, offered)?;
        for format in &media.media_name.formats {
            same_codec(format, &theirs, &ours)?;
        }
        if offered.media_name.media == "video" {
            codecs.push(best_codec(media, &theirs).ok_or(AnswerError::NoCodec)?);
        }
    }
    fits_together(&theirs)?;
    Ok(Answer { description: answer, codecs })
}

/// Whether all sections can share the one transport.
fn fits_together(theirs: &SessionDescription) -> Result<(), RtcError> {
    for needed in ["ice-ufrag", "ice-pwd", "fingerprint"] {
        let mut all = values(theirs, needed);
        let Some(first) = all.next() else {
            return Err(RtcError(format!("the answer has no {needed}")));
        };
        if all.any(|value| value != first) {
            return Err(RtcError(format!("the answer has more than one {needed}")));
        }
    }
    if values(theirs, "fingerprint").any(|value| value.split(' ').count() != 2) {
        return Err(RtcError("the answer's fingerprint is not a hash function and a value".into()));
    }
    Ok(())
}

/// The best codec that a section takes.
fn best_codec(media: &MediaDescription, answer: &SessionDescription) -> Option<Codec> {
    let taken = |codec: &&Codec| {
        let payloads = media.media_name.formats.iter().filter_map(|format| format.parse().ok());
        let mut codecs = payloads.filter_map(|payload| answer.get_codec_for_payload_type(payload).ok());
        codecs.any(|taken| taken.name.eq_ignore_ascii_case(name_of(**codec)))
    };
    Codec::ALL.iter().find(taken).copied()
}

fn mids(description: &SessionDescription) -> Vec<Option<&str>> {
    description.media_descriptions.iter().map(|media| media.attribute("mid").flatten()).collect()
}

/// Whether a section leaves out an audio section, without which everything else goes on.
fn refuses_audio(media: &MediaDescription, offered: &MediaDescription) -> bool {
    let (theirs, ours) = (&media.media_name, &offered.media_name);
    theirs.media == "audio" && ours.media == "audio" && theirs.port.value == 0
}

/// Whether a section accepts what was offered, at all.
fn takes(media: &MediaDescription, offered: &MediaDescription) -> Result<(), AnswerError> {
    let (theirs, ours) = (&media.media_name, &offered.media_name);
    if theirs.media == "video" && ours.media == "video" && theirs.port.value == 0 {
        return Err(AnswerError::NoCodec);
    }
    if theirs.media != ours.media || theirs.port.value == 0 {
        return Err(RtcError(format!("the client does not take the offered {}", ours.media)).into());
    }
    Ok(())
}

/// Whether a payload type means the same on both sides. Formats that are not numbers need no negotiation.
fn same_codec(format: &str, answer: &SessionDescription, offer: &SessionDescription) -> Result<(), RtcError> {
    let Ok(payload_type) = format.parse() else {
        return Ok(());
    };
    let (theirs, ours) =
        (answer.get_codec_for_payload_type(payload_type)?, offer.get_codec_for_payload_type(payload_type)?);
    if theirs.name.eq_ignore_ascii_case(&ours.name) {
        Ok(())
    } else {
        Err(RtcError(format!("payload type {format} is {:?} in the offer, {:?} in the answer", ours.name, theirs.name)))
    }
}

/// The values of an attribute, wherever it stands.
fn values<'a>(description: &'a SessionDescription, name: &'a str) -> impl Iterator<Item = &'a str> {
    let session = description.attribute(name).map(String::as_str);
    let media = description.media_descriptions.iter().filter_map(move |media| media.attribute(name).flatten());
    session.into_iter().chain(media)
}
