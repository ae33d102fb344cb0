use std::collections::BTreeMap;

use super::*;

const PENDING: Action = Action::Send(ServerMessage::WebrtcPending);
const UNAVAILABLE: Action = Action::Send(ServerMessage::WebrtcUnavailable);
const REQUEST: Event = Event::Request(Peer::Video);

fn offer() -> ServerMessage {
    ServerMessage::WebrtcOffer { sdp: "v=0\r\n".to_owned(), tracks: BTreeMap::new(), ice_servers: Vec::new() }
}

fn built(peer: Peer) -> Event {
    Event::Built { peer, offer: offer() }
}

fn answer(peer: Peer) -> Event {
    Event::Answer { peer, sdp: "a".to_owned() }
}

/// A client that has been offered the cameras.
fn offered() -> Signalling {
    let mut client = Signalling::new(Cameras::Ready);
    assert_eq!(client.on_event(REQUEST), [Action::Build(Peer::Video)]);
    assert_eq!(client.on_event(built(Peer::Video)), [Action::Send(offer())]);
    client
}

#[test]
fn a_parked_request_is_offered_when_sources_come() {
    let mut client = Signalling::new(Cameras::Expected);
    assert_eq!(client.on_event(REQUEST), [PENDING]);
    assert_eq!(client.on_event(REQUEST), [PENDING]);
    assert_eq!(client.on_event(Event::Cameras(Cameras::Ready)), [Action::Build(Peer::Video)]);
}

#[test]
fn a_parked_request_is_told_when_no_sources_come() {
    let mut client = Signalling::new(Cameras::Expected);
    client.on_event(REQUEST);
    assert_eq!(client.on_event(Event::Cameras(Cameras::Absent)), [UNAVAILABLE]);
    assert_eq!(client.on_event(Event::Cameras(Cameras::Absent)), []);
    assert_eq!(client.on_event(REQUEST), [UNAVAILABLE]);
}

#[test]
fn a_client_that_never_asked_is_told_nothing_of_cameras() {
    let mut client = Signalling::new(Cameras::Absent);
    for cameras in [Cameras::Expected, Cameras::Ready, Cameras::Absent] {
        assert_eq!(client.on_event(Event::Cameras(cameras)), []);
    }
}

#[test]
fn requests_during_a_build_lead_to_one_offer() {
    let mut client = Signalling::new(Cameras::Ready);
    assert_eq!(client.on_event(REQUEST), [Action::Build(Peer::Video)]);
    assert_eq!(client.on_event(REQUEST), [PENDING]);
    assert_eq!(client.on_event(built(Peer::Video)), [Action::Send(offer())]);
}

#[test]
fn a_failed_build_says_unavailable_and_the_next_request_builds_again() {
    let mut client = Signalling::new(Cameras::Ready);
    client.on_event(REQUEST);
    assert_eq!(client.on_event(Event::BuildFailed(Peer::Video)), [UNAVAILABLE]);
    assert_eq!(client.on_event(REQUEST), [Action::Build(Peer::Video)]);
}

#[test]
fn an_answer_is_applied_to_what_was_offered_and_is_stray_otherwise() {
    let mut client = Signalling::new(Cameras::Ready);
    assert_eq!(client.on_event(answer(Peer::Video)), [Action::StrayAnswer(Peer::Video)]);
    client.on_event(REQUEST);
    assert_eq!(client.on_event(answer(Peer::Video)), [Action::StrayAnswer(Peer::Video)]);
    client.on_event(built(Peer::Video));
    let apply = Action::Apply { peer: Peer::Video, sdp: "a".to_owned() };
    assert_eq!(client.on_event(answer(Peer::Video)), [apply]);
    assert_eq!(client.on_event(answer(Peer::Control)), [Action::StrayAnswer(Peer::Control)]);
}

#[test]
fn a_new_request_replaces_the_old_connection() {
    assert_eq!(offered().on_event(REQUEST), [Action::Close(Peer::Video), Action::Build(Peer::Video)]);
}

#[test]
fn a_lost_connection_is_dropped_once() {
    let mut client = offered();
    assert_eq!(client.on_event(Event::Lost(Peer::Video)), [Action::Close(Peer::Video)]);
    assert_eq!(client.on_event(Event::Lost(Peer::Video)), []);
    assert_eq!(client.on_event(answer(Peer::Video)), [Action::StrayAnswer(Peer::Video)]);
    assert_eq!(client.on_event(REQUEST), [Action::Build(Peer::Video)]);
}

#[test]
fn a_client_without_the_codec_is_told_that_it_will_see_nothing() {
    let mut client = offered();
    assert_eq!(client.on_event(Event::Refused(Peer::Video)), [Action::Close(Peer::Video), UNAVAILABLE]);
    assert_eq!(client.on_event(Event::Refused(Peer::Video)), []);
    assert_eq!(client.on_event(REQUEST), [Action::Build(Peer::Video)]);
}

#[test]
fn turning_cameras_off_closes_what_was_offered_without_a_word() {
    let mut client = offered();
    assert_eq!(client.on_event(Event::Cameras(Cameras::Absent)), [Action::Close(Peer::Video)]);
    assert_eq!(client.on_event(REQUEST), [UNAVAILABLE]);
}

#[test]
fn other_cameras_are_offered_at_once_and_the_old_ones_stay_until_then() {
    let mut client = offered();
    assert_eq!(client.on_event(Event::Cameras(Cameras::Ready)), [Action::Build(Peer::Video)]);
    assert_eq!(client.on_event(REQUEST), [PENDING]);
    assert_eq!(client.on_event(built(Peer::Video)), [Action::Send(offer())]);
    assert!(matches!(client.on_event(answer(Peer::Video))[..], [Action::Apply { .. }]));
}

#[test]
fn an_offer_that_other_cameras_have_overtaken_is_never_sent() {
    let mut client = Signalling::new(Cameras::Ready);
    client.on_event(REQUEST);
    assert_eq!(client.on_event(Event::Cameras(Cameras::Ready)), []);
    assert_eq!(client.on_event(built(Peer::Video)), [Action::Close(Peer::Video), Action::Build(Peer::Video)]);
    assert_eq!(client.on_event(built(Peer::Video)), [Action::Send(offer())]);

    client.on_event(Event::Cameras(Cameras::Ready));
    assert_eq!(client.on_event(Event::Cameras(Cameras::Ready)), [Action::Close(Peer::Video)]);
    assert_eq!(client.on_event(built(Peer::Video)), [Action::Close(Peer::Video), Action::Build(Peer::Video)]);
}

#[test]
fn cameras_that_cannot_be_offered_anew_are_closed() {
    let mut client = offered();
    client.on_event(Event::Cameras(Cameras::Ready));
    assert_eq!(client.on_event(Event::BuildFailed(Peer::Video)), [Action::Close(Peer::Video), UNAVAILABLE]);
    assert_eq!(client.on_event(REQUEST), [Action::Build(Peer::Video)]);
}

#[test]
fn an_offer_of_cameras_that_went_away_is_never_sent() {
    for (then, last) in
        [(Cameras::Absent, UNAVAILABLE), (Cameras::Expected, PENDING), (Cameras::Ready, Action::Build(Peer::Video))]
    {
        for (end, close) in
            [(built(Peer::Video), Some(Action::Close(Peer::Video))), (Event::BuildFailed(Peer::Video), None)]
        {
            let mut client = Signalling::new(Cameras::Ready);
            client.on_event(REQUEST);
            assert_eq!(client.on_event(Event::Cameras(Cameras::Absent)), []);
            assert_eq!(client.on_event(REQUEST), [PENDING]);
            assert_eq!(client.on_event(Event::Cameras(then)), []);
            let expected: Vec<Action> = close.into_iter().chain([last.clone()]).collect();
            assert_eq!(client.on_event(end), expected);
        }
    }
}

#[test]
fn the_pose_channel_needs_no_cameras_and_ignores_requests_during_a_build() {
    let mut client = Signalling::new(Cameras::Absent);
    let request = Event::Request(Peer::Control);
    assert_eq!(client.on_event(request.clone()), [Action::Build(Peer::Control)]);
    assert_eq!(client.on_event(request.clone()), []);
    assert_eq!(client.on_event(Event::BuildFailed(Peer::Control)), []);
    assert_eq!(client.on_event(request.clone()), [Action::Build(Peer::Control)]);
    assert_eq!(client.on_event(built(Peer::Control)), [Action::Send(offer())]);
    assert_eq!(client.on_event(Event::Cameras(Cameras::Ready)), []);
    assert_eq!(client.on_event(request), [Action::Close(Peer::Control), Action::Build(Peer::Control)]);
}

#[test]
fn a_result_nobody_waits_for_changes_nothing() {
    let mut client = offered();
    assert_eq!(client.on_event(built(Peer::Video)), []);
    assert_eq!(client.on_event(Event::BuildFailed(Peer::Video)), []);
    assert!(matches!(client.on_event(answer(Peer::Video))[..], [Action::Apply { .. }]));
}
