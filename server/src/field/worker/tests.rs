//! What a stop means to users whose arms are their own.

use std::sync::Mutex;

use waldo_protocol::field::{
    ControllerSample, Extensions, GRIP_CLICK, HandlingConfig, LEFT, RIGHT, Transform, XrInputSample,
};
use waldo_protocol::vr::{Role, Stop};

use super::*;
use crate::control::{Arbiter, SourceId};
use crate::field::{MultiArmPassThroughBackend, Physics};

struct Stage {
    world: World,
    arbiter: Mutex<Arbiter>,
    seat: Arc<Seat>,
    now: MonoTime,
}

/// One hand: where, whether its grip is held, and whether the button that makes a growing rod wave is.
type Says = ([f64; 3], bool, bool);

impl Stage {
    fn new(physics: Physics, mode: CharacterMode) -> Self {
        let (arbiter, now) = (Arbiter::default(), MonoTime::from_nanos(1_000_000_000));
        let backend = MultiArmPassThroughBackend::simulated(physics, HandlingConfig::default());
        let config = FieldConfig { stop: Some(arbiter.stop_view()), ..FieldConfig::default() };
        let mut world = World::new(Box::new(backend), &config);
        let link = Link { outbox: None, ..Link::new(&Arc::default(), Extensions::default(), now) };
        let seat = world.join("amy".to_owned(), mode, link, Duration::from_millis(300)).unwrap();
        Self { world, arbiter: Mutex::new(arbiter), seat, now }
    }

    /// Both hands say this for so many steps.
    fn run(&mut self, steps: usize, hands: [Option<Says>; 2]) {
        for _ in 0..steps {
            self.now = self.now + Duration::from_millis(5);
            let controllers = [LEFT, RIGHT].into_iter().zip(hands).filter_map(|(name, says)| {
                let (at, grips, waves) = says?;
                let mut hand = ControllerSample::at(Transform::at(at));
                hand.grip = f64::from(u8::from(grips));
                hand.buttons.insert(GRIP_CLICK.to_owned(), waves);
                Some((name.to_owned(), hand))
            });
            let sample = XrInputSample {
                timestamp: 0.0,
                head_pose: Transform::at([0.0, 1.6, 0.0]),
                controllers: controllers.collect(),
                actions: Default::default(),
            };
            // Every other step, so that none is too many.
            if self.now.as_nanos().is_multiple_of(10_000_000) {
                self.seat.input().on_sample(self.now, sample);
            }
            self.world.step(self.now, STEP);
        }
    }

    fn stop(&self, clear: bool) {
        let by = (SourceId::person(1), Role::Viewer);
        assert!(self.arbiter.lock().unwrap().on_stop(self.now, by, Stop { n: None, clear }, &mut Vec::new()));
    }

    fn tips(&self) -> [[f64; 3]; 2] {
        ["amy_arm_0", "amy_arm_1"].map(|arm| self.world.backend.scene().arms[arm].tip.translation)
    }
}

fn off(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn after_a_stop_an_arm_stands_until_its_users_grips_were_released_and_then_is_eased() {
    for physics in [Physics::Kinematic, Physics::Soft] {
        let mut stage = Stage::new(physics, CharacterMode::TwoCr);
        let (from, far) = ([-0.15, 1.0, -0.7], [0.2, 1.3, -0.4]);
        stage.run(100, [Some((from, true, false)), Some((from, true, false))]);
        // On their way when the stop comes.
        stage.run(10, [Some((far, true, false)), Some((far, true, false))]);
        stage.stop(false);
        stage.run(20, [Some((far, true, false)), Some((far, true, false))]);
        let stood = stage.tips();
        assert!(stood.iter().all(|tip| off(*tip, far) > 0.1), "{physics:?}: not there yet");
        stage.stop(true);
        stage.run(60, [Some((far, true, false)), Some((far, true, false))]);
        assert_eq!(stage.tips(), stood, "{physics:?}: the grips are held");
        stage.seat.input().end();
        stage.now = stage.now + Duration::from_millis(5);
        stage.world.step(stage.now, STEP);
        assert_eq!(stage.tips(), stood, "{physics:?}: who says nothing released nothing");
        // Only the left hand is seen again.
        let there = [-0.2, 1.1, -0.5];
        stage.run(2, [Some((there, false, false)), None]);
        assert!(off(stage.tips()[0], stood[0]) < 0.02, "{physics:?}: it jumped");
        stage.run(600, [Some((there, false, false)), None]);
        assert!(off(stage.tips()[0], there) < 0.05, "{physics:?}: {:?}", stage.tips());
        if physics == Physics::Kinematic {
            let moved = off(stage.tips()[1], stood[1]);
            assert!(moved < 1e-6, "the other one went on by {moved} to what was asked before the stop");
        }
    }
}

#[test]
fn a_button_held_from_a_stop_until_the_grips_are_released_is_no_press() {
    let mut stage = Stage::new(Physics::Kinematic, CharacterMode::TwoGcr);
    let hand = |grips, waves| [Some(([-0.15, 1.0, -0.7], grips, waves)), None];
    stage.run(20, hand(true, false));
    stage.stop(false);
    stage.run(20, hand(true, true));
    stage.stop(true);
    stage.run(20, hand(true, true));
    for _ in 0..20 {
        stage.run(4, hand(false, true));
        let radii = &stage.world.backend.scene().arms["amy_arm_0"].radii;
        assert!(radii.iter().all(|radius| *radius <= CharacterMode::TwoGcr.radius()), "a wave runs");
    }
    stage.run(4, hand(false, false));
    stage.run(40, hand(false, true));
    let radii = &stage.world.backend.scene().arms["amy_arm_0"].radii;
    assert!(radii.iter().any(|radius| *radius > CharacterMode::TwoGcr.radius()), "this one is");
}

#[test]
fn nobody_has_new_arms_during_a_stop() {
    let mut stage = Stage::new(Physics::Kinematic, CharacterMode::TwoCr);
    stage.run(100, [Some(([0.1, 1.2, -0.4], true, false)), None]);
    stage.stop(false);
    let before = stage.tips();
    let seat = Arc::clone(&stage.seat);
    assert_eq!(stage.world.reset(&seat), Err(BackendError::Stopped));
    stage.run(2, [None, None]);
    assert_eq!(stage.tips(), before);
    stage.stop(true);
    assert_eq!(stage.world.reset(&seat).map(|arms| arms.len()), Ok(2));
    assert_ne!(stage.tips(), before);
}

#[test]
fn a_stop_between_two_steps_asks_for_released_grips_all_the_same() {
    let mut stage = Stage::new(Physics::Kinematic, CharacterMode::TwoCr);
    let (near, far) = ([-0.15, 1.0, -0.7], [0.1, 1.2, -0.4]);
    stage.run(100, [Some((near, true, false)), None]);
    // As while the field is paused.
    stage.stop(false);
    stage.stop(true);
    let stood = stage.tips();
    stage.run(100, [Some((far, true, false)), None]);
    assert_eq!(stage.tips(), stood, "the grip is held");
    stage.run(4, [Some((far, false, false)), None]);
    stage.run(400, [Some((far, true, false)), None]);
    assert!(off(stage.tips()[0], far) < 0.05, "{:?}", stage.tips());
}

#[test]
fn somebody_who_leaves_costs_the_others_no_time() {
    let mut stage = Stage::new(Physics::Soft, CharacterMode::TwoCr);
    let link = Link { outbox: None, ..Link::new(&Arc::default(), Extensions::default(), stage.now) };
    stage.world.join("bob".to_owned(), CharacterMode::TwoCr, link, Duration::from_secs(1)).unwrap();
    stage.run(40, [Some(([0.1, 1.2, -0.4], true, false)), None]);
    let (before, time) = (stage.tips(), stage.world.backend.scene().timestamp);
    stage.world.leave("bob");
    assert_eq!((stage.tips(), stage.world.backend.scene().timestamp), (before, time));
    assert!(!stage.world.backend.scene().user_arms.contains_key("bob"));
}

#[test]
fn constants_of_the_mapping_reach_the_arms() {
    let mapping = FieldMapping {
        arms: [1, 0],
        clutch_threshold: 0.9,
        smoothing: Some(waldo_protocol::field::Smoothing::PerMessage(1.0)),
        max_translation: 0.5,
        ..FieldMapping::default()
    };
    let config = FieldConfig { mapping, ..FieldConfig::default() };
    let mut world = World::new(Box::new(MultiArmPassThroughBackend::new()), &config);
    let now = MonoTime::from_nanos(1_000_000_000);
    let link = Link { outbox: None, ..Link::new(&Arc::default(), Extensions::default(), now) };
    let seat = world.join("amy".to_owned(), CharacterMode::TwoCr, link, Duration::from_secs(1)).unwrap();
    let mut says = |x: f64, grip: f64| {
        let hand = ControllerSample { grip, ..ControllerSample::at(Transform::at([x, 0.2, 0.3])) };
        let sample = XrInputSample {
            timestamp: 0.0,
            head_pose: Transform::at([0.0, 1.6, 0.0]),
            controllers: [(LEFT.to_owned(), hand)].into(),
            actions: Default::default(),
        };
        seat.input().on_sample(now, sample);
        world.step(now, STEP);
        ["amy_arm_0", "amy_arm_1"].map(|arm| world.backend.scene().arms[arm].tip.translation[0])
    };
    let before = says(0.1, 0.8);
    assert!(before[1] > 0.14, "a grip below the threshold moves nothing: {before:?}");
    assert_eq!(says(0.1, 0.95), [before[0], 0.1], "the left hand drives the second arm, unsmoothed");
    assert_eq!(says(3.0, 0.95)[1], 0.5, "within the box");
}
