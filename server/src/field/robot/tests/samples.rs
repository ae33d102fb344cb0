//! From what controllers say to what the robot is told: input, mapper, back end, arbiter and pilot in virtual time.

use glam::{DQuat, DVec3};
use proptest::prelude::*;
use waldo_protocol::field::{ControllerSample, Extensions, LEFT, RIGHT, XrInputSample};

use super::*;
use crate::control::{Bench, TICK, Watch};
use crate::field::FieldConfig;
use crate::field::seat::{Link, Seat};
use crate::field::worker::World;

const USERS: [&str; 3] = ["amy", "bob", "cat"];
const DEADMAN: Duration = Duration::from_millis(300);

/// A field of the robot, with all between the sockets and the motors.
struct Way {
    bench: Bench,
    world: World,
    now: Arc<AtomicU64>,
    seats: Vec<Arc<Seat>>,
}

/// What one controller says.
#[derive(Clone, Copy, Debug)]
struct Says {
    at: DVec3,
    turned: DVec3,
    grips: bool,
    primary: bool,
    secondary: bool,
    trigger: bool,
}

impl Says {
    fn at(x: f64, grips: bool) -> Self {
        let at = DVec3::new(x, 1.2, -0.4);
        Self { at, turned: DVec3::ZERO, grips, primary: false, secondary: false, trigger: false }
    }

    fn target(&self) -> Transform {
        let turned = DQuat::from_scaled_axis(self.turned);
        Transform { translation: self.at.to_array(), rotation_xyzw: turned.to_array() }
    }

    fn sample(&self) -> ControllerSample {
        let mut sample = ControllerSample::at(self.target());
        sample.grip = if self.grips { 0.9 } else { 0.1 };
        for (button, held) in [(PRIMARY, self.primary), (SECONDARY, self.secondary), (TRIGGER_CLICK, self.trigger)] {
            sample.buttons.insert(button.to_owned(), held);
        }
        sample
    }
}

fn link(now: MonoTime) -> Link {
    Link { outbox: None, ..Link::new(&Arc::default(), Extensions::default(), now) }
}

impl Way {
    fn new() -> Self {
        let bench = Bench::new();
        let now = Arc::new(AtomicU64::new(bench.now.as_nanos()));
        let watch = Arc::clone(&now);
        let clock = Box::new(move || MonoTime::from_nanos(watch.load(Ordering::Relaxed)));
        let status = Arc::new(ArcSwap::from_pointee(status()));
        let arms = model::description().arms;
        let field = RobotField::of(&arms, status, Arc::clone(&bench.arbiter), Box::new(|_| ()), clock);
        let stop = bench.arbiter.lock().unwrap().stop_view();
        let config = FieldConfig { stop: Some(stop), ..FieldConfig::default() };
        let mut world = World::new(Box::new(field), &config);
        let mut join = |user: &&str| world.join((*user).to_owned(), CharacterMode::TwoCr, link(bench.now), DEADMAN);
        let seats = USERS.iter().map(|user| join(user).unwrap()).collect();
        Self { bench, world, now, seats }
    }

    fn say(&mut self, user: usize, hands: [Option<Says>; 2]) {
        let controllers = [LEFT, RIGHT].into_iter().zip(hands);
        let sample = XrInputSample {
            timestamp: self.bench.now.as_nanos() as f64 * 1e-9,
            head_pose: Transform::at([0.0, 1.6, 0.0]),
            controllers: controllers.filter_map(|(name, says)| Some((name.to_owned(), says?.sample()))).collect(),
            actions: Default::default(),
        };
        self.seats[user].input().on_sample(self.bench.now, sample);
    }

    /// One tick of everything.
    fn tick(&mut self) {
        self.now.store(self.bench.now.as_nanos(), Ordering::Relaxed);
        self.world.step(self.bench.now, TICK.as_secs_f64());
        self.bench.tick();
    }

    /// Both hands of a user do the same for one tick.
    fn both(&mut self, user: usize, says: Says) {
        self.say(user, [Some(says); 2]);
        self.tick();
    }

    fn targets(&self) -> [Option<FieldTarget>; 2] {
        self.bench.arbiter.lock().unwrap().field_targets().map_or([None; 2], |targets| targets.hands)
    }

    fn stop(&self, clear: bool) {
        let from = (SourceId::person(9), Role::Viewer);
        self.bench.arbiter.lock().unwrap().on_stop(self.bench.now, from, Stop { n: None, clear }, &mut Vec::new());
    }
}

#[test]
fn a_hand_that_leaps_lets_go_as_it_would_on_the_vr_wire() {
    let mut way = Way::new();
    way.both(0, Says::at(0.0, false));
    way.both(0, Says::at(0.0, true));
    way.both(0, Says::at(0.1, true));
    assert!(way.targets()[0].is_some());
    way.both(0, Says::at(0.9, true));
    assert_eq!(way.targets(), [None; 2], "0.8 m in one sample");
    assert_eq!(way.bench.hold(), Some(HoldReason::Velocity));
    for _ in 0..30 {
        way.both(0, Says::at(0.9, true));
        assert_eq!(way.targets(), [None; 2]);
    }
}

#[test]
fn a_hand_that_stands_when_it_squeezes_leads_nowhere_however_it_came() {
    let mut way = Way::new();
    way.both(0, Says::at(0.0, false));
    way.both(0, Says::at(0.6, false));
    for _ in 0..60 {
        way.both(0, Says::at(0.6, true));
        let [left, right] = way.targets().map(|target| target.expect("it follows"));
        assert_eq!((left.origin, right.origin), (left.hand, right.hand));
    }
}

#[derive(Clone, Debug)]
enum Deed {
    /// From a place with a velocity; perhaps a jump in between.
    Hands {
        user: usize,
        hands: [Option<(Says, DVec3, DVec3)>; 2],
    },
    Ends(usize),
    Resumes(usize),
    Leaves(usize),
    Stop {
        clear: bool,
    },
    Silence,
}

fn vector(size: f64) -> impl Strategy<Value = DVec3> + Clone {
    prop::array::uniform3(-size..size).prop_map(DVec3::from)
}

fn deed() -> impl Strategy<Value = Deed> {
    let user = || prop_oneof![6 => Just(0usize), 1 => 1usize..3];
    let rarely = || prop::bool::weighted(0.04);
    let jump = prop_oneof![4 => Just(DVec3::ZERO), 2 => vector(0.4), 1 => vector(3.0)];
    let says =
        (vector(0.3), vector(2.0), prop::bool::weighted(0.75), prop::bool::weighted(0.1), rarely(), any::<bool>())
            .prop_map(|(at, turned, grips, primary, secondary, trigger)| {
                let at = at + DVec3::new(0.0, 1.2, -0.4);
                Says { at, turned, grips, primary, secondary, trigger }
            });
    let hand = prop::option::weighted(0.9, (says, vector(3.0), jump));
    prop_oneof![
        20 => (user(), [hand.clone(), hand]).prop_map(|(user, hands)| Deed::Hands { user, hands }),
        1 => user().prop_map(Deed::Ends),
        1 => user().prop_map(Deed::Resumes),
        1 => user().prop_map(Deed::Leaves),
        3 => prop::bool::weighted(0.7).prop_map(|clear| Deed::Stop { clear }),
        1 => Just(Deed::Silence),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_controllers_say_the_robot_stays_within_its_limits_and_follows_only_grips_that_were_released(
        deeds in prop::collection::vec((deed(), 1u8..25), 1..30),
    ) {
        let mut way = Way::new();
        let mut watch = Watch::new(&way.bench);
        // Per user and hand: where it was in the tick before, and whether its grip was seen released since it had to be.
        let mut places = [[None::<DVec3>; 2]; 3];
        let mut released = [[false; 2]; 3];
        // What each said last, which counts until something else is said, for a while.
        let mut words: [Option<(MonoTime, [Option<Says>; 2])>; 3] = [None; 3];
        // The number of each, which grows with each who comes.
        let (mut numbers, mut came) = ([1u64, 2, 3], 3);
        let mut resets = 0;
        for (deed, ticks) in deeds {
            match &deed {
                Deed::Stop { clear } => {
                    way.stop(*clear);
                    released = [[false; 2]; 3];
                }
                Deed::Ends(user) => way.seats[*user].input().end(),
                Deed::Resumes(user) => way.seats[*user].input().begin(DEADMAN),
                Deed::Leaves(user) => {
                    let name = USERS[*user].to_owned();
                    way.now.store(way.bench.now.as_nanos(), Ordering::Relaxed);
                    way.world.leave(&name);
                    way.seats[*user] = way.world.join(name, CharacterMode::TwoCr, link(way.bench.now), DEADMAN).unwrap();
                    came += 1;
                    numbers[*user] = came;
                }
                Deed::Hands { .. } | Deed::Silence => {}
            }
            if let Deed::Ends(user) | Deed::Resumes(user) | Deed::Leaves(user) = deed {
                (words[user], places[user]) = (None, [None; 2]);
            }
            let silent = matches!(deed, Deed::Silence);
            for tick in 0..usize::from(ticks) * if silent { 4 } else { 1 } {
                let mut leapt = false;
                if let Deed::Hands { user, hands } = &deed {
                    let hands = hands.map(|hand| {
                        let (says, velocity, jump) = hand?;
                        let jump = if tick >= usize::from(ticks) / 2 { jump } else { DVec3::ZERO };
                        let at = says.at + velocity * (tick as f64 * TICK.as_secs_f64()) + jump;
                        Some(Says { at: at.clamp(DVec3::splat(-2.0), DVec3::splat(2.0)), ..says })
                    });
                    let driver = way.bench.arbiter.lock().unwrap().lease().driver;
                    let follows = way.targets().map(|hand| {
                        hand.is_some() && driver == Some(SourceId::field_user(numbers[*user]))
                    });
                    for (i, hand) in hands.iter().enumerate() {
                        let before = std::mem::replace(&mut places[*user][i], hand.map(|says| says.at));
                        let way_off = before.zip(*hand).map_or(0.0, |(before, says)| before.distance(says.at));
                        leapt |= follows[i] && way_off > 0.7 + 1e-6;
                    }
                    // In the tick of its end a silence is seen by the step; what is said then would count one tick later.
                    if words[*user].is_none_or(|(said, _)| way.bench.now.since(said) < DEADMAN) {
                        way.say(*user, hands);
                        words[*user] = Some((way.bench.now, hands));
                    }
                }
                let stepped = way.bench.now;
                way.tick();
                watch.look(&way.bench)?;
                let (targets, driver, stopped, rested) = {
                    let arbiter = way.bench.arbiter.lock().unwrap();
                    let hands = arbiter.field_targets().map_or([None; 2], |targets| targets.hands);
                    (hands, arbiter.lease().driver, arbiter.stopped(), arbiter.resets())
                };
                let reset = std::mem::replace(&mut resets, rested) != rested;
                if leapt || reset {
                    prop_assert_eq!(targets, [None; 2]);
                    released = [[false; 2]; 3];
                }
                for (word, released) in words.iter_mut().zip(&mut released) {
                    *word = word.filter(|(said, _)| stepped.since(*said) < DEADMAN);
                    let hands = word.map_or([None; 2], |(_, hands)| hands);
                    for (hand, released) in hands.iter().zip(released) {
                        let open = hand.is_some_and(|says| !says.grips) && !stopped;
                        *released = open || (*released && hand.is_some());
                    }
                }
                if targets == [None; 2] {
                    continue;
                }
                let user = numbers.iter().position(|n| driver == Some(SourceId::field_user(*n)));
                let user = user.expect("somebody leads the arms");
                for (i, target) in targets.iter().enumerate() {
                    let Some(target) = target else { continue };
                    prop_assert!(released[user][i], "the grip was not seen released");
                    let (_, hands) = words[user].expect("the driver said something of late");
                    let says = hands[i].expect("a hand that is seen");
                    prop_assert!(says.grips && !says.primary && !says.secondary);
                    let there = pose_to_base(&says.target()).unwrap();
                    prop_assert!(target.hand.position().distance(there.position()) < 1e-9, "not where the hand is");
                }
            }
        }
    }
}
