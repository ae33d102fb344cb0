//! What holds whatever comes, from three streams in any order.

use proptest::prelude::*;

use super::*;

const STALE_AFTER: Duration = SourceKind::LocalHuman.stale_after();

#[derive(Clone, Debug)]
enum Deed {
    Frame { stream: u64, locks: (bool, bool), reset: bool, tracked: bool, clock_ms: f64 },
    Close(u64),
    Tick,
    TakeReset,
    RobotHold(Option<HoldReason>),
}

fn deed() -> impl Strategy<Value = Deed> {
    let stream = 0u64..3;
    let locks = prop_oneof![Just((false, false)), Just((true, true)), any::<(bool, bool)>()];
    let clock_ms = prop_oneof![20 => Just(0.0), 1 => Just(5000.0)];
    let frame = (stream.clone(), locks, prop::bool::weighted(0.03), prop::bool::weighted(0.9), clock_ms)
        .prop_map(|(stream, locks, reset, tracked, clock_ms)| Deed::Frame { stream, locks, reset, tracked, clock_ms });
    prop_oneof![
        40 => frame,
        1 => stream.prop_map(Deed::Close),
        4 => Just(Deed::Tick),
        2 => Just(Deed::TakeReset),
        1 => prop_oneof![Just(None), Just(Some(HoldReason::Resetting)), Just(Some(HoldReason::Fault))].prop_map(Deed::RobotHold),
    ]
}

fn pause_ms() -> impl Strategy<Value = u64> {
    prop_oneof![30 => 1u64..30, 1 => 450u64..700, 1 => 1900u64..2500]
}

/// What a bystander knows from frames and events alone.
#[derive(Default)]
struct Bystander {
    tracking: bool,
    driver: Option<SourceId>,
    engagement: u64,
    /// Per stream: both grips were seen released since all that demands it, and when its newest frame came.
    released: [bool; 3],
    newest: [Option<MonoTime>; 3],
    robot_hold: Option<HoldReason>,
    resets: u32,
    reset_waits: bool,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn one_driver_and_no_engagement_without_a_release(deeds in prop::collection::vec((pause_ms(), deed()), 1..250)) {
        let mut arbiter = Arbiter::default();
        let mut now = MonoTime::from_nanos(77_000_000_000);
        let mut seen = Bystander::default();
        for (pause, deed) in deeds {
            now = now + Duration::from_millis(pause);
            let mut events = Vec::new();
            let mut sender = None;
            match deed {
                Deed::Frame { stream, locks, reset, tracked, clock_ms } => {
                    let mut f = VrFrame { reset, t: Some(now.as_nanos() as f64 * 1e-6 + clock_ms), ..frame() };
                    (f.left.lock, f.right.lock, f.left.tracked) = (locks.0, locks.1, tracked);
                    let i = stream as usize;
                    if seen.newest[i].is_none_or(|t| now.since(t) >= STALE_AFTER) {
                        seen.released[i] = false;
                    }
                    seen.newest[i] = Some(now);
                    let admission = arbiter.on_frame(now, SourceId::person(stream), &f, &mut events);
                    let drives = arbiter.lease().driver.is_none_or(|d| d == SourceId::person(stream));
                    prop_assert_eq!(admission == Admission::Admitted, drives);
                    sender = Some((SourceId::person(stream), locks));
                }
                Deed::Close(stream) => {
                    arbiter.on_closed(now, SourceId::person(stream), &mut events);
                    seen.released[stream as usize] = false;
                    seen.newest[stream as usize] = None;
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
            }
            for event in &events {
                match event {
                    Event::Tracking(on) => {
                        prop_assert_ne!(seen.tracking, *on, "tracking events alternate");
                        seen.tracking = *on;
                        if !on {
                            seen.released = [false; 3];
                            continue;
                        }
                        let (stream, locks) = sender.expect("only a frame engages");
                        prop_assert_eq!(seen.driver, Some(stream));
                        prop_assert_eq!(locks, (true, true));
                        prop_assert!(seen.released[stream.number as usize], "both grips were seen released");
                        prop_assert!(seen.robot_hold.is_none() && !seen.reset_waits);
                        let hands = arbiter.targets(now).expect("engaged").hands;
                        prop_assert!(hands.iter().all(|h| h.engagement > seen.engagement && h.origin == h.controller));
                    }
                    Event::Lease => {
                        let driver = arbiter.lease().driver;
                        prop_assert!(seen.driver.is_none() || driver.is_none(), "nobody drives in between");
                        seen.driver = driver;
                    }
                    other => prop_assert!(false, "nobody asked: {:?}", other),
                }
            }
            if arbiter.resets() != seen.resets {
                let (stream, _) = sender.expect("only a frame resets");
                prop_assert!(seen.driver.is_none_or(|d| d == stream));
                prop_assert!(!seen.tracking, "a reset disengages first");
                (seen.resets, seen.reset_waits) = (arbiter.resets(), true);
            }
            if let Some((stream, (false, false))) = sender {
                seen.released[stream.number as usize] = true;
            }
            prop_assert_eq!(arbiter.engaged(), seen.tracking);
            prop_assert_eq!(arbiter.targets(now).is_some(), seen.tracking);
            prop_assert_eq!(arbiter.lease().driver, seen.driver);
            let engaged_toggles = arbiter.streams.iter().filter(|s| s.engaged()).count();
            prop_assert_eq!(engaged_toggles, usize::from(seen.tracking));
            if let Some(targets) = arbiter.targets(now) {
                let driver = seen.driver.expect("somebody drives").number as usize;
                if matches!(deed, Deed::Frame { .. } | Deed::Close(_) | Deed::Tick) {
                    prop_assert!(now.since(seen.newest[driver].expect("a frame came")) < STALE_AFTER);
                }
                let highest = targets.hands.iter().map(|h| h.engagement).max().unwrap_or(0);
                prop_assert!(highest >= seen.engagement, "engagement numbers never fall");
                seen.engagement = highest;
            }
        }
    }
}
