//! What holds whatever comes, from three streams and a viewer in any order.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const STALE_AFTER: Duration = SourceKind::LocalHuman.stale_after();
const LOST_AFTER: Duration = SourceKind::LocalHuman.lost_after();

/// Never sends a frame: all that is heard of it are its stops.
const VIEWER: u64 = 3;

#[derive(Clone, Debug)]
enum Deed {
    Frame { stream: u64, locks: (bool, bool), reset: bool, tracked: bool, clock_ms: f64, stick: f64 },
    Close(u64),
    Tick,
    TakeReset,
    RobotHold(Option<HoldReason>),
    Lease { stream: u64, op: LeaseOp },
    Stop { from: u64, stop: Stop },
    Scale { stream: u64, pos: f64 },
}

fn deed() -> impl Strategy<Value = Deed> {
    let stream = 0u64..3;
    let locks = prop_oneof![Just((false, false)), Just((true, true)), any::<(bool, bool)>()];
    let clock_ms = prop_oneof![20 => Just(0.0), 1 => Just(5000.0)];
    let stick = prop_oneof![3 => Just(0.0), 1 => Just(-1.0)];
    let (reset, tracked) = (prop::bool::weighted(0.03), prop::bool::weighted(0.9));
    let frame = (stream.clone(), locks, reset, tracked, clock_ms, stick).prop_map(
        |(stream, locks, reset, tracked, clock_ms, stick)| Deed::Frame {
            stream,
            locks,
            reset,
            tracked,
            clock_ms,
            stick,
        },
    );
    let lease = (stream.clone(), prop::sample::select(LeaseOp::ALL));
    let n = prop::option::weighted(0.9, 0i64..8);
    let stop = (0..=VIEWER, n, prop::bool::weighted(0.7))
        .prop_map(|(from, n, clear)| Deed::Stop { from, stop: Stop { n, clear } });
    prop_oneof![
        60 => frame,
        1 => stream.clone().prop_map(Deed::Close),
        4 => Just(Deed::Tick),
        2 => Just(Deed::TakeReset),
        1 => prop_oneof![Just(None), Just(Some(HoldReason::Resetting)), Just(Some(HoldReason::Fault))].prop_map(Deed::RobotHold),
        5 => lease.prop_map(|(stream, op)| Deed::Lease { stream, op }),
        3 => stop,
        1 => (stream, 0.1f64..2.0).prop_map(|(stream, pos)| Deed::Scale { stream, pos }),
    ]
}

fn pause_ms() -> impl Strategy<Value = u64> {
    prop_oneof![30 => 1u64..30, 1 => 450u64..700, 1 => 1900u64..2500]
}

/// What a bystander knows from frames and events alone.
#[derive(Default)]
struct Bystander {
    tracking: bool,
    lease: LeaseView,
    /// When the present driver got the lease.
    leased: MonoTime,
    engagement: u64,
    /// Per stream: both grips were seen released since all that demands it, and when its newest frame came.
    released: [bool; 3],
    newest: [Option<MonoTime>; 3],
    robot_hold: Option<HoldReason>,
    resets: u32,
    reset_waits: bool,
    stopped: bool,
    /// Numbers of stops that came before, with who sent them.
    stops: BTreeSet<(u64, i64)>,
    scale: f64,
}

impl Bystander {
    /// Whether the lease may go from its driver to the one who asked for it, without the driver's word.
    fn may_be_handed_over(&self, now: MonoTime, driver: SourceId, deadline: MonoTime) -> bool {
        let newest = self.newest[driver.number as usize].unwrap_or_default().max(self.leased);
        now >= deadline || now.since(newest) >= LOST_AFTER
    }
}

/// Heeds the events of one call, whose frame, if it was one, came from `sender`.
fn heed(
    arbiter: &mut Arbiter,
    now: MonoTime,
    seen: &mut Bystander,
    events: &[Event],
    deed: &Deed,
    sender: Option<(SourceId, (bool, bool))>,
) -> Result<(), TestCaseError> {
    for event in events {
        match event {
            Event::Tracking(on) => {
                prop_assert_ne!(seen.tracking, *on, "tracking events alternate");
                seen.tracking = *on;
                if !on {
                    seen.released = [false; 3];
                    continue;
                }
                let (stream, locks) = sender.expect("only a frame engages");
                prop_assert_eq!(seen.lease.driver, Some(stream));
                prop_assert_eq!(locks, (true, true));
                prop_assert!(seen.released[stream.number as usize], "both grips were seen released");
                prop_assert!(seen.robot_hold.is_none() && !seen.reset_waits && !seen.stopped);
                let hands = arbiter.targets(now).expect("engaged").hands;
                prop_assert!(hands.iter().all(|h| h.engagement > seen.engagement && h.origin == h.controller));
            }
            Event::Lease => {
                let (before, after) = (seen.lease, arbiter.lease());
                seen.lease = after;
                if before.driver == after.driver {
                    continue;
                }
                prop_assert!(after.request.is_none(), "the next driver was asked nothing yet");
                if let (Some(old), Some(new)) = (before.driver, after.driver) {
                    let (by, deadline) = before.request.expect("only who asked takes over");
                    prop_assert_eq!(by, new);
                    let agreed = match deed {
                        Deed::Lease { stream, op } => {
                            matches!(op, LeaseOp::Grant | LeaseOp::Release) && SourceId::person(*stream) == old
                        }
                        Deed::Close(stream) => SourceId::person(*stream) == old,
                        _ => false,
                    };
                    prop_assert!(agreed || seen.may_be_handed_over(now, old, deadline));
                    prop_assert!(!seen.tracking, "the arms hold before the role changes");
                }
                seen.leased = now;
                let claimed = sender.is_some() || matches!(deed, Deed::Lease { op: LeaseOp::Claim, .. });
                if !claimed {
                    seen.released = [false; 3];
                }
            }
            Event::Answer(answer) if answer.ok && answer.state == LeaseState::Held => {
                // The one who granted is told too, and is not the holder any more.
                let granted = matches!(deed, Deed::Lease { stream, op: LeaseOp::Release | LeaseOp::Grant | LeaseOp::Deny }
                    if SourceId::person(*stream) == answer.to);
                prop_assert!(granted || arbiter.lease().driver == Some(answer.to), "two think that they drive");
            }
            Event::Answer(_) => {}
            Event::Scale => {
                prop_assert!(!seen.tracking, "the scale changes only between engagements");
                seen.scale = 1.0;
            }
            other => prop_assert!(false, "nobody asked: {:?}", other),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn one_driver_no_motion_while_stopped_and_no_engagement_without_a_release(
        deeds in prop::collection::vec((pause_ms(), deed()), 1..250),
    ) {
        let mut arbiter = Arbiter::default();
        let mut now = MonoTime::from_nanos(77_000_000_000);
        let mut seen = Bystander { scale: 1.0, ..Bystander::default() };
        for (pause, deed) in deeds {
            let pause = Duration::from_millis(pause);
            now = now + pause;
            let mut events = Vec::new();
            arbiter.on_tick(now, &mut events);
            heed(&mut arbiter, now, &mut seen, &events, &Deed::Tick, None)?;
            events.clear();
            let mut sender = None;
            match deed {
                Deed::Frame { stream, locks, reset, tracked, clock_ms, stick } => {
                    let mut f = VrFrame { reset, t: Some(now.as_nanos() as f64 * 1e-6 + clock_ms), l_stick_y: stick, ..frame() };
                    (f.left.lock, f.right.lock, f.left.tracked) = (locks.0, locks.1, tracked);
                    let (id, i) = (SourceId::person(stream), stream as usize);
                    if seen.newest[i].is_none_or(|t| now.since(t) >= STALE_AFTER) {
                        seen.released[i] = false;
                    }
                    seen.newest[i] = Some(now);
                    let before = arbiter.targets(now);
                    let admission = arbiter.on_frame(now, id, &f, &mut events);
                    prop_assert_eq!(admission == Admission::Admitted, arbiter.lease().driver.is_none_or(|d| d == id));
                    if admission == Admission::Watching {
                        prop_assert!(events.is_empty(), "who watches causes nothing: {:?}", events);
                        prop_assert_eq!(arbiter.targets(now), before);
                        prop_assert_eq!(arbiter.resets(), seen.resets);
                    }
                    sender = Some((id, locks));
                }
                Deed::Close(stream) => {
                    arbiter.on_closed(now, SourceId::person(stream), &mut events);
                    seen.released[stream as usize] = false;
                    seen.newest[stream as usize] = None;
                    seen.stops.retain(|(from, _)| *from != stream);
                    prop_assert_ne!(arbiter.lease().driver, Some(SourceId::person(stream)));
                }
                Deed::Tick => arbiter.on_tick(now, &mut events),
                Deed::TakeReset => {
                    prop_assert_eq!(arbiter.take_reset(), seen.reset_waits);
                    seen.reset_waits = false;
                }
                Deed::RobotHold(reason) => {
                    arbiter.set_robot_hold(now, reason, &mut events);
                    if std::mem::replace(&mut seen.robot_hold, reason) != reason {
                        seen.released = [false; 3];
                    }
                }
                Deed::Lease { stream, op } => {
                    arbiter.on_lease(now, SourceId::person(stream), LeaseRequest { op, n: 1 }, &mut events);
                }
                Deed::Stop { from, stop } => {
                    let id = SourceId::person(from);
                    let news = stop.n.is_none_or(|n| seen.stops.insert((from, n)));
                    let role = if from == VIEWER { Role::Viewer } else { Role::Driver };
                    let clears = arbiter.lease().driver.is_none_or(|driver| driver == id) || role == Role::Viewer;
                    let may = !stop.clear || clears;
                    prop_assert_eq!(arbiter.on_stop(now, (id, role), stop, &mut events), news && may);
                    if news && may {
                        seen.stopped = !stop.clear;
                        seen.reset_waits &= stop.clear;
                        seen.released = [false; 3];
                    }
                }
                Deed::Scale { stream, pos } => {
                    let id = SourceId::person(stream);
                    let may = !seen.tracking && seen.lease.driver.is_none_or(|driver| driver == id);
                    let scale = arbiter.set_scale(id, MotionScale { pos, rot: 1.0 });
                    seen.scale = if may { pos } else { seen.scale };
                    prop_assert_eq!(scale.pos, seen.scale);
                }
            }
            heed(&mut arbiter, now, &mut seen, &events, &deed, sender)?;
            if arbiter.resets() != seen.resets {
                let (stream, _) = sender.expect("only a frame resets");
                prop_assert!(seen.lease.driver.is_none_or(|d| d == stream));
                prop_assert!(!seen.tracking, "a reset disengages first");
                prop_assert!(!seen.stopped, "a move to rest is motion too");
                (seen.resets, seen.reset_waits) = (arbiter.resets(), true);
            }
            if let Some((stream, (false, false))) = sender {
                seen.released[stream.number as usize] = true;
            }
            let cart = arbiter.cart(now, pause);
            prop_assert_eq!(arbiter.stopped(), seen.stopped);
            if seen.stopped {
                prop_assert!(!arbiter.engaged() && !seen.reset_waits);
                prop_assert_eq!(cart, CartCommand::STOP);
            }
            prop_assert_ne!(arbiter.lease().driver, Some(SourceId::person(VIEWER)));
            prop_assert_eq!(arbiter.engaged(), seen.tracking);
            prop_assert_eq!(arbiter.targets(now).is_some(), seen.tracking);
            prop_assert_eq!(arbiter.lease(), seen.lease);
            let engaged: Vec<_> = arbiter.streams.iter().filter(|s| s.engaged()).map(|s| Some(s.id)).collect();
            prop_assert_eq!(engaged, if seen.tracking { vec![seen.lease.driver] } else { Vec::new() });
            if let Some(targets) = arbiter.targets(now) {
                let driver = seen.lease.driver.expect("somebody drives").number as usize;
                prop_assert!(now.since(seen.newest[driver].expect("a frame came")) < STALE_AFTER);
                prop_assert_eq!(targets.scale.pos, seen.scale);
                let highest = targets.hands.iter().map(|h| h.engagement).max().unwrap_or(0);
                prop_assert!(highest >= seen.engagement, "engagement numbers never fall");
                seen.engagement = highest;
            }
        }
    }
}
