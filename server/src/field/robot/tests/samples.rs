//! From what controllers say to what the robot is told: input, mapper, back end, arbiter and pilot in virtual time.

use glam::{DQuat, DVec3};
use waldo_protocol::field::{ControllerSample, Extensions, LEFT, RIGHT, XrInputSample};

use super::*;
use crate::control::{Bench, TICK};
use crate::field::seat::{Link, Seat};
use crate::field::worker::World;
use crate::metrics::Metrics;

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
    Link { outbox: None, ext: Extensions::default(), heard: now, ack: None, told: None }
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
        let mut world = World::new(Box::new(field), Some(stop), Metrics::default());
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
        self.world.step(self.bench.now, TICK.as_secs_f64(), None);
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
