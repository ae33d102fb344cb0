//! Words about the lease, and what does not outlive a driver.

use super::*;

fn ask(room: &mut Room, who: SourceId, op: LeaseOp, n: i64) -> Vec<Event> {
    room.events.clear();
    room.arbiter.on_lease(room.now, who, LeaseRequest { op, n }, &mut room.events);
    room.events.clone()
}

fn answers(events: &[Event]) -> Vec<(SourceId, i64, bool)> {
    let answer = |e: &Event| match e {
        Event::Answer(a) => Some((a.to, a.n, a.ok)),
        _ => None,
    };
    events.iter().filter_map(answer).collect()
}

#[test]
fn a_granted_takeover_disengages_first_and_the_new_driver_engages_deliberately() {
    let mut room = Room::new();
    room.engage(A);
    room.send(B, squeezed(frame()));
    assert_eq!(answers(&ask(&mut room, B, LeaseOp::Take, 1)), [(B, 1, false)]);
    assert!(room.arbiter.engaged(), "asking changes nothing");
    let events = ask(&mut room, A, LeaseOp::Grant, 2);
    assert_eq!(events[..2], [Event::Tracking(false), Event::Lease]);
    assert_eq!(answers(&events), [(B, 1, true), (A, 2, true)]);
    room.send(B, squeezed(frame()));
    assert!(!room.arbiter.engaged());
    room.engage(B);
    assert_eq!(room.squeeze(A), Admission::Watching);
}

#[test]
fn a_request_to_a_driver_who_is_silent_is_granted_with_the_loss_of_the_link() {
    let mut room = Room::new();
    room.engage(A);
    ask(&mut room, B, LeaseOp::Take, 1);
    room.send(B, frame());
    room.events.clear();
    room.wait(1_999);
    assert_eq!(answers(&room.events), [(B, 1, true)]);
    assert_eq!(room.arbiter.lease().driver, Some(B));
    room.wait(2_001);
    assert_eq!(room.arbiter.lease().driver, None, "who has the lease and sends nothing loses it too");
}

#[test]
fn only_the_driver_speaks_for_the_lease() {
    let mut room = Room::new();
    room.engage(A);
    for op in [LeaseOp::Release, LeaseOp::Grant, LeaseOp::Deny, LeaseOp::Claim] {
        assert_eq!(answers(&ask(&mut room, B, op, 3)), [(B, 3, false)], "{op:?}");
    }
    assert!(room.arbiter.engaged());
    let events = ask(&mut room, A, LeaseOp::Release, 4);
    assert_eq!(answers(&events), [(A, 4, true)]);
    assert_eq!((room.arbiter.engaged(), room.arbiter.lease().driver), (false, None));
    assert_eq!(answers(&ask(&mut room, B, LeaseOp::Claim, 5)), [(B, 5, true)]);
}

#[test]
fn the_scale_of_motion_changes_only_while_nothing_moves() {
    let mut room = Room::new();
    let half = MotionScale { pos: 0.5, rot: 0.5 };
    assert_eq!(room.arbiter.set_scale(A, half), half, "nobody drives");
    room.engage(A);
    assert_eq!(room.arbiter.set_scale(A, MotionScale { pos: 2.0, rot: 1.0 }), half);
    room.send(A, squeezed(frame()));
    assert_eq!(room.arbiter.set_scale(B, MotionScale { pos: 2.0, rot: 1.0 }), half, "not the driver");
    let double = MotionScale { pos: 2.0, rot: 1.0 };
    assert_eq!(room.arbiter.set_scale(A, double), double);
}

#[test]
fn the_scale_of_one_person_is_not_the_next_ones() {
    let mut room = Room::new();
    let double = MotionScale { pos: 2.0, rot: 2.0 };
    room.arbiter.set_scale(A, double);
    room.engage(A);
    assert_eq!(room.arbiter.scale(), double);
    room.arbiter.on_closed(room.now, A, &mut room.events);
    room.engage(B);
    assert_eq!(room.arbiter.scale(), MotionScale { pos: 1.0, rot: 1.0 });
    assert!(room.events.contains(&Event::Scale));
}

#[test]
fn until_somebody_sets_a_scale_everybody_drives_with_the_configured_one() {
    let usual = MotionScale { pos: 0.5, rot: 1.5 };
    let mut room = Room { arbiter: Arbiter::default().scaled(usual), ..Room::new() };
    room.engage(A);
    let scale = room.arbiter.targets(room.now).expect("engaged").scale;
    assert_eq!((scale.pos, scale.rot), (0.5, 1.5));
    room.arbiter.on_closed(room.now, A, &mut room.events);
    room.arbiter.set_scale(B, MotionScale::default());
    room.engage(A);
    assert_eq!(room.arbiter.scale(), usual, "and again after what another person chose");
}

#[test]
fn an_episode_whose_driver_is_replaced_is_interrupted() {
    let mut room = Room::new();
    let state = |state| VrFrame { state, ..frame() };
    room.engage(A);
    room.send(A, state(VrState::DataCollection));
    room.send(A, state(VrState::Recording));
    ask(&mut room, B, LeaseOp::Take, 1);
    room.events.clear();
    room.arbiter.on_lease(room.now, A, LeaseRequest { op: LeaseOp::Grant, n: 1 }, &mut room.events);
    assert!(room.events.contains(&Event::Interrupted(A)));
}
