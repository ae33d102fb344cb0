//! The robot as the arms of a field's users.

mod grips;
mod samples;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use waldo_protocol::field::{Buttons, Mesh, Transform};
use waldo_protocol::vr::{LeaseOp, LeaseRequest, Role, Stop};

use super::*;
use crate::control::{FieldTarget, JointAction, Refused};
use crate::robot::ArmCommand as JointCommand;
use crate::robot::sim::model;

const STEP: Duration = Duration::from_millis(5);

/// A field of the simulated robot's arms, without the robot, with a clock of its own.
struct Stage {
    field: RobotField,
    arbiter: Arc<Mutex<Arbiter>>,
    now: Arc<AtomicU64>,
}

/// What one hand does: where its arm's tip shall be, and what is pressed.
#[derive(Clone, Default)]
struct Does {
    ahead: f64,
    grips: bool,
    pressed: &'static [&'static str],
}

const GRIP: Does = Does { ahead: 0.0, grips: true, pressed: &[] };
const OPEN: Does = Does { ahead: 0.0, grips: false, pressed: &[] };

fn command(user: &str, hands: [Option<Does>; 2]) -> MultiArmCommand {
    let command = |(i, does): (usize, Option<Does>)| {
        let does = does?;
        let buttons: Buttons = does.pressed.iter().map(|button| ((*button).to_owned(), true)).collect();
        let target = Transform::at([0.0, 1.2, -0.3 - does.ahead]);
        Some(ArmCommand { active: does.grips, buttons, ..ArmCommand::inactive(arm_id(user, i), target) })
    };
    MultiArmCommand::new(0.0, hands.into_iter().enumerate().filter_map(command))
}

fn status() -> ControlStatus {
    let arms = model::description().arms;
    ControlStatus {
        joints: arms.iter().map(|arm| arm.rest.clone()).collect(),
        openings: vec![1.0; arms.len()],
        ..ControlStatus::default()
    }
}

impl Stage {
    fn new() -> Self {
        Self::of(&model::description().arms)
    }

    fn of(arms: &[Arm]) -> Self {
        let (arbiter, now) = (Arc::<Mutex<Arbiter>>::default(), Arc::new(AtomicU64::new(1_000_000_000)));
        let watch = Arc::clone(&now);
        let clock = Box::new(move || MonoTime::from_nanos(watch.load(Ordering::Relaxed)));
        let status = Arc::new(ArcSwap::from_pointee(status()));
        let field = RobotField::of(arms, status, Arc::clone(&arbiter), Box::new(|_| ()), clock);
        Self { field, arbiter, now }
    }

    fn with(users: &[&str]) -> Self {
        let mut stage = Self::new();
        for user in users {
            stage.field.register_user(user, CharacterMode::TwoCr).unwrap();
        }
        stage
    }

    fn now(&self) -> MonoTime {
        MonoTime::from_nanos(self.now.load(Ordering::Relaxed))
    }

    /// One step with the commands of these users.
    fn step(&mut self, users: &[(&str, [Option<Does>; 2])]) {
        self.now.fetch_add(STEP.as_nanos() as u64, Ordering::Relaxed);
        let commands: Vec<_> = users.iter().map(|(user, hands)| (*user, command(user, hands.clone()))).collect();
        let commands: Vec<_> = commands.iter().map(|(user, command)| (*user, command)).collect();
        self.field.step(STEP.as_secs_f64(), &commands);
    }

    /// Both hands of a user do the same.
    fn both(&mut self, user: &str, does: Does) {
        self.step(&[(user, [Some(does.clone()), Some(does)])]);
    }

    fn grip(&mut self, user: &str) {
        self.both(user, OPEN);
        self.both(user, GRIP);
    }

    fn targets(&self) -> [Option<FieldTarget>; 2] {
        self.arbiter.lock().unwrap().field_targets().map_or([None; 2], |targets| targets.hands)
    }

    fn follows(&self) -> [bool; 2] {
        self.targets().map(|hand| hand.is_some())
    }

    fn drives(&self) -> bool {
        self.arbiter.lock().unwrap().lease().driver.is_some()
    }

    fn code(&self, user: &str) -> Option<&'static str> {
        self.field.hold(user).map(|hold| hold.code)
    }

    fn stop(&self, clear: bool) {
        let from = (SourceId::person(1), Role::Viewer);
        self.arbiter.lock().unwrap().on_stop(self.now(), from, Stop { n: None, clear }, &mut Vec::new());
    }

    fn act(&self) -> Result<(), Refused> {
        let arms = [JointCommand { joints: vec![0.0; 7], gripper: 1.0 }];
        let action = JointAction { arms: Arc::new(arms), observed: None, holds_after: None };
        self.arbiter.lock().unwrap().on_action(self.now(), SourceId::POLICY, action, &mut Vec::new())
    }

    fn shown(&self) -> Vec<(&str, Option<&str>)> {
        let arms = self.field.scene().arms.values();
        arms.map(|arm| (arm.arm_id.as_str(), arm.owner_user_id.as_deref())).collect()
    }
}

#[test]
fn everybody_has_arm_ids_and_the_arms_are_shown_as_those_of_who_drives() {
    let mut stage = Stage::new();
    assert_eq!(stage.shown(), [("robot_arm_0", None), ("robot_arm_1", None)]);
    for user in ["amy", "bob", "amy"] {
        let ids = stage.field.register_user(user, CharacterMode::OctoWaypoint).unwrap();
        assert_eq!(ids, [format!("{user}_arm_0"), format!("{user}_arm_1")]);
    }
    assert_eq!(stage.field.scene().user_arms.keys().collect::<Vec<_>>(), ["amy", "bob"]);
    assert_eq!(stage.shown(), [("amy_arm_0", Some("amy")), ("amy_arm_1", Some("amy"))], "who came first");
    stage.grip("bob");
    assert_eq!(stage.shown(), [("bob_arm_0", Some("bob")), ("bob_arm_1", Some("bob"))]);
    stage.field.remove_user("bob");
    assert_eq!(stage.shown()[0], ("amy_arm_0", Some("amy")));
    assert_eq!(stage.field.scene().user_arms.keys().collect::<Vec<_>>(), ["amy"]);
    assert!(!stage.drives());
}

#[test]
fn who_squeezes_beside_the_driver_is_told_who_is_in_the_way() {
    let mut stage = Stage::with(&["amy", "bob"]);
    stage.grip("amy");
    let (amy, bob) = ([Some(GRIP), None], [Some(GRIP), Some(GRIP)]);
    stage.step(&[("amy", amy.clone()), ("bob", [Some(OPEN), Some(OPEN)])]);
    assert_eq!((stage.code("amy"), stage.code("bob")), (None, None));
    stage.step(&[("amy", amy), ("bob", bob)]);
    assert_eq!((stage.code("amy"), stage.code("bob")), (None, Some("not_driver")));
    assert_eq!(stage.follows(), [true, false]);
}

#[test]
fn hands_are_taken_to_the_base_of_the_robot_and_each_leads_its_own_arm() {
    let mut stage = Stage::with(&["amy"]);
    stage.both("amy", OPEN);
    stage.step(&[("amy", [None, Some(GRIP)])]);
    stage.step(&[("amy", [None, Some(Does { ahead: 0.1, ..GRIP })])]);
    let [left, right] = stage.targets();
    let right = right.expect("it is held");
    assert_eq!(left, None);
    let moved = right.hand.position() - right.origin.position();
    assert!(moved.distance(glam::DVec3::X * 0.1) < 1e-12, "forward is forward: {moved}");
}

#[test]
fn commands_for_the_arms_of_others_move_nothing() {
    let mut stage = Stage::with(&["amy", "bob"]);
    for does in [OPEN, GRIP] {
        let of_amy = command("amy", [Some(does.clone()), Some(does)]);
        stage.field.step(0.005, &[("bob", &of_amy)]);
    }
    assert!(!stage.drives());
}

#[test]
fn a_trigger_closes_the_primary_button_detaches_and_the_secondary_one_moves_to_rest() {
    let mut stage = Stage::with(&["amy"]);
    stage.grip("amy");
    stage.both("amy", Does { pressed: &[TRIGGER_CLICK], ..GRIP });
    assert_eq!(stage.targets().map(|hand| hand.and_then(|hand| hand.grip)), [Some(0.0); 2]);
    stage.both("amy", GRIP);
    assert_eq!(stage.targets().map(|hand| hand.and_then(|hand| hand.grip)), [Some(1.0); 2]);
    stage.step(&[("amy", [Some(Does { pressed: &[PRIMARY], ..GRIP }), Some(GRIP)])]);
    assert_eq!(stage.follows(), [false, true]);
    let before = stage.targets()[1].unwrap().engagement;
    stage.both("amy", GRIP);
    let again = stage.targets()[0].unwrap();
    assert!(again.engagement > before && again.origin == again.hand, "attached again from where it is");
    stage.step(&[("amy", [Some(GRIP), Some(Does { pressed: &[SECONDARY], ..GRIP })])]);
    assert_eq!(stage.follows(), [false, false]);
    assert!(stage.arbiter.lock().unwrap().take_reset());
}

#[test]
fn input_that_ends_lets_go_in_that_very_step_with_the_reason() {
    let mut stage = Stage::with(&["amy"]);
    stage.grip("amy");
    stage.step(&[]);
    assert_eq!((stage.follows(), stage.code("amy")), ([false; 2], Some("link_stale")));
    stage.both("amy", GRIP);
    assert_eq!((stage.follows(), stage.code("amy")), ([false; 2], Some("release_grips")));
    stage.grip("amy");
    assert_eq!((stage.follows(), stage.code("amy")), ([true; 2], None));
}

#[test]
fn a_thread_that_stands_still_holds_the_arms_too() {
    let mut stage = Stage::with(&["amy"]);
    stage.grip("amy");
    stage.arbiter.lock().unwrap().on_tick(stage.now() + Duration::from_millis(300), &mut Vec::new());
    assert_eq!(stage.follows(), [false; 2]);
}

#[test]
fn a_hand_that_is_nowhere_is_not_seen() {
    let mut stage = Stage::with(&["amy"]);
    stage.grip("amy");
    let mut strange = command("amy", [Some(GRIP), Some(GRIP)]);
    strange.commands.get_mut("amy_arm_0").unwrap().target.translation[1] = f64::NAN;
    strange.commands.get_mut("amy_arm_1").unwrap().target.translation[0] = 1e9;
    stage.field.step(f64::NAN, &[("amy", &strange)]);
    assert_eq!(stage.follows(), [false, false]);
    assert!(stage.field.scene().timestamp.is_finite());
}

#[test]
fn a_limit_is_felt_by_the_hand_of_the_arm_that_is_there() {
    let mut stage = Stage::with(&["amy"]);
    stage.grip("amy");
    for _ in 0..60 {
        stage.both("amy", GRIP);
        let clamps = [None, Some(HoldReason::Workspace)];
        stage.arbiter.lock().unwrap().set_clamps(stage.now(), clamps);
    }
    assert_eq!(stage.field.clamped().iter().collect::<Vec<_>>(), ["amy_arm_1"]);
    let felt: Vec<_> = stage.field.scene().haptics.iter().map(|haptic| haptic.arm_id.as_str()).collect();
    assert_eq!((felt, stage.code("amy")), (vec!["amy_arm_1"], None));
    stage.arbiter.lock().unwrap().set_clamps(stage.now(), [None; 2]);
    stage.both("amy", GRIP);
    assert!(stage.field.clamped().is_empty() && stage.field.scene().haptics.is_empty());
}

#[test]
fn the_first_ids_are_the_left_and_the_right_arm_whatever_their_order_in_the_description() {
    let mut arms = model::description().arms;
    arms.swap(0, 1);
    let mut third = arms[0].clone();
    third.name = "third".into();
    arms.insert(0, third);
    let mut stage = Stage::of(&arms);
    assert_eq!(stage.field.register_user("amy", CharacterMode::TwoCr).unwrap().len(), 3);
    stage.step(&[("amy", [Some(OPEN), None])]);
    stage.step(&[("amy", [Some(GRIP), None])]);
    assert_eq!(stage.follows(), [true, false], "arm 0 is the left one");
    assert!(stage.field.scene().arms["amy_arm_0"].base.translation[0] < 0.0);
}

#[test]
fn there_is_room_for_so_many_users_and_their_meshes_leave_with_them() {
    let mut stage = Stage::with(&["amy"]);
    let mesh = |owner: &str| Mesh::new(format!("of {owner}"), owner, "data:,".into());
    stage.field.add_mesh(mesh("amy")).unwrap();
    stage.field.add_mesh(mesh("pub:rig")).unwrap();
    for n in 1..MAX_FIELD_USERS {
        stage.field.register_user(&format!("user_{n}"), CharacterMode::TwoCr).unwrap();
    }
    let refused = stage.field.register_user("late", CharacterMode::TwoCr).unwrap_err();
    assert_eq!(refused.to_string(), "there is room for 32 users only");
    stage.field.remove_user("amy");
    stage.field.register_user("late", CharacterMode::TwoCr).unwrap();
    assert_eq!(stage.field.scene().meshes.keys().collect::<Vec<_>>(), ["of pub:rig"]);
}

#[test]
fn who_drives_is_told_that_somebody_else_asks_to() {
    let mut stage = Stage::with(&["amy", "bob"]);
    stage.grip("amy");
    assert_eq!(stage.code("amy"), None);
    let (other, mut events) = (SourceId::person(1), Vec::new());
    let asks = LeaseRequest { op: LeaseOp::Take, n: 1 };
    stage.arbiter.lock().unwrap().on_lease(stage.now(), other, asks, &mut events);
    stage.both("amy", GRIP);
    assert_eq!((stage.code("amy"), stage.code("bob")), (Some("lease_asked"), None));
    assert_eq!(stage.follows(), [true, true], "it holds nothing");
    stage.field.remove_user("amy");
    assert_eq!(stage.arbiter.lock().unwrap().lease().driver, Some(other));
}

#[test]
fn in_a_crowd_everybody_is_told_before_long_what_holds_them() {
    let names: Vec<String> = (0..MAX_FIELD_USERS).map(|n| format!("user_{n:02}")).collect();
    let mut stage = Stage::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    stage.grip("user_00");
    let open = || [Some(OPEN), Some(OPEN)];
    let says = |grips| {
        names
            .iter()
            .enumerate()
            .map(move |(n, name)| (name.as_str(), if n == 0 || grips { [Some(GRIP), Some(GRIP)] } else { open() }))
    };
    for _ in 0..8 {
        let users: Vec<_> = says(true).collect();
        stage.step(&users);
    }
    let told = |stage: &Stage| names.iter().filter(|name| stage.code(name) == Some("not_driver")).count();
    assert_eq!((told(&stage), stage.code("user_00")), (MAX_FIELD_USERS - 1, None));
    for _ in 0..8 {
        let users: Vec<_> = says(false).collect();
        stage.step(&users);
    }
    assert_eq!(told(&stage), 0);
}
