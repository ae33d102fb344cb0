//! What each character does, seen as the service and its clients see it: through the back end's scene.

mod following;
mod octopuses;
mod playing;

use waldo_protocol::field::{
    ArmCommand, CharacterMode, HandlingConfig, Limits, MultiArmCommand, SceneState, Sphere, Transform, Workspace,
    director_rotation,
};

use super::*;
use crate::field::{FieldBackend, MultiArmPassThroughBackend};

const TICK: f64 = 0.005;
const BOTH: [Physics; 2] = [Physics::Soft, Physics::Kinematic];

/// A user with a back end of their own.
struct Stage {
    backend: MultiArmPassThroughBackend,
    /// What the user does, tick after tick.
    command: MultiArmCommand,
}

impl Stage {
    fn new(physics: Physics, mode: CharacterMode) -> Self {
        Self::with(physics, mode, HandlingConfig::default())
    }

    /// Whose arms follow at once and as fast as they can.
    fn direct(physics: Physics, mode: CharacterMode) -> Self {
        let workspace = Workspace::new([-9.0; 3], [9.0; 3]).unwrap();
        let limits = Limits::new(1e6, workspace).unwrap();
        Self::with(physics, mode, HandlingConfig { ramp: 0.0, limits, ..HandlingConfig::default() })
    }

    fn with(physics: Physics, mode: CharacterMode, handling: HandlingConfig) -> Self {
        let mut backend = MultiArmPassThroughBackend::simulated(physics, handling);
        backend.register_user("u", mode).unwrap();
        Self { backend, command: MultiArmCommand::default() }
    }

    fn scene(&self) -> &SceneState {
        self.backend.scene()
    }

    fn arm(&self, index: usize) -> &ArmState {
        &self.scene().arms[&format!("u_arm_{index}")]
    }

    fn tip(&self, index: usize) -> DVec3 {
        self.arm(index).tip.translation.into()
    }

    fn spheres(&self) -> Vec<&Sphere> {
        self.scene().spheres.values().collect()
    }

    /// Holds a hand there from now on.
    fn hand(&mut self, arm: usize, position: impl Into<[f64; 3]>) -> &mut ArmCommand {
        let id = format!("u_arm_{arm}");
        let pose = Transform::at(position.into());
        let command = self.command.commands.entry(id.clone()).or_insert_with(|| ArmCommand::inactive(id, pose));
        command.target = pose;
        command
    }

    fn press(&mut self, arm: usize, button: &str, held: bool) {
        let command = self.command.commands.get_mut(&format!("u_arm_{arm}")).expect("a hand with a pose");
        command.buttons.insert(button.to_owned(), held);
    }

    fn click(&mut self, arm: usize, button: &str) {
        self.press(arm, button, true);
        self.run(TICK);
        self.press(arm, button, false);
        self.run(TICK);
    }

    fn run(&mut self, seconds: f64) {
        for _ in 0..(seconds / TICK).round() as usize {
            self.backend.step(TICK, &[("u", &self.command)]);
        }
    }

    /// Lets go of both hands.
    fn leave(&mut self, seconds: f64) {
        for _ in 0..(seconds / TICK).round() as usize {
            self.backend.step(TICK, &[]);
        }
    }
}

#[test]
fn every_character_has_its_arms_with_its_elements_whatever_moves_them() {
    for (physics, mode) in BOTH.iter().flat_map(|physics| CharacterMode::ALL.iter().map(move |mode| (*physics, *mode)))
    {
        let mut stage = Stage::new(physics, mode);
        stage.run(0.1);
        let scene = stage.scene();
        assert_eq!(scene.user_arms["u"], mode.arm_ids("u"));
        let head = usize::from(mode == CharacterMode::CathyForaging);
        assert_eq!(scene.arms.len(), mode.arm_count() + head, "{mode:?}");
        for (id, arm) in &scene.arms {
            assert_eq!((&arm.arm_id, arm.owner_user_id.as_deref()), (id, Some("u")));
            let elements = mode.elements();
            assert_eq!(arm.centerline.len(), elements + 1, "{mode:?}");
            let parts = [arm.radii.len(), arm.element_lengths.len(), arm.directors.len()];
            assert_eq!(parts, [elements; 3], "{mode:?}");
            assert_eq!(arm.base, Transform::at(arm.centerline[0]), "not turned");
            assert_eq!(arm.tip.translation, arm.centerline[elements]);
            let turned = director_rotation(&arm.directors[elements - 1]);
            let same = DQuat::from_array(turned).angle_between(DQuat::from_array(arm.tip.rotation_xyzw));
            assert!(same < 1e-6, "{mode:?}: the tip is turned as its last director");
            for rows in &arm.directors {
                let [normal, binormal, tangent] = rows.map(DVec3::from_array);
                assert!((normal.cross(binormal) - tangent).length() < 1e-9, "a right-handed frame of unit vectors");
            }
            assert!(!arm.fault);
        }
    }
}

#[test]
fn what_a_character_brings_is_there_from_the_start() {
    for (mode, spheres, meshes) in [
        (CharacterMode::TwoCr, 0, 0),
        (CharacterMode::TwoGcr, 4, 1),
        (CharacterMode::Spirobs, 0, 0),
        (CharacterMode::CathyThrow, 1, 0),
        (CharacterMode::CoommOctopus, 2, 0),
        (CharacterMode::NoelC4, 0, 4),
        (CharacterMode::CathyForaging, 6, 0),
        (CharacterMode::OctoWaypoint, 8, 1),
    ] {
        let stage = Stage::new(Physics::Soft, mode);
        let scene = stage.scene();
        assert_eq!((scene.spheres.len(), scene.meshes.len()), (spheres, meshes), "{mode:?}");
        assert!(scene.spheres.values().all(|sphere| sphere.owner_id == "u"));
        let shown = mode != CharacterMode::OctoWaypoint;
        assert!(scene.spheres.values().all(|sphere| sphere.visible == shown), "waypoints hide while unused");
        for mesh in scene.meshes.values() {
            assert!(mesh.static_asset && mesh.owner_id == "u");
            assert!(mesh.asset_uri.as_ref().unwrap().starts_with("data:model/gltf-binary;base64,Z2xURg"));
        }
    }
}

#[test]
fn arms_stand_free_of_what_stands_around_them() {
    for mode in CharacterMode::ALL {
        let mut stage = Stage::new(Physics::Kinematic, *mode);
        stage.run(TICK);
        if mode.layout() == Layout::Linear {
            assert!(stage.scene().arms.values().all(|arm| arm.contact_points.is_empty()), "{mode:?}");
            assert!(stage.scene().haptics.iter().all(|haptic| !haptic.active), "{mode:?}");
        }
    }
}

#[test]
fn a_stop_freezes_everything_where_it_is_and_time_goes_on() {
    for (physics, mode) in BOTH.iter().flat_map(|physics| CharacterMode::ALL.iter().map(move |mode| (*physics, *mode)))
    {
        let mut stage = Stage::new(physics, mode);
        stage.command.head_pose = Some(Transform::IDENTITY);
        stage.hand(0, [0.1, 1.2, -0.4]);
        stage.hand(1, [0.2, 1.1, -0.4]).joystick = [0.0, -1.0];
        stage.run(0.3);
        stage.backend.stop(true);
        let before = stage.scene().clone();
        stage.hand(0, [-0.4, 0.8, -0.5]);
        stage.run(0.5);
        assert_eq!(stage.scene().arms, before.arms, "{mode:?}");
        assert_eq!(stage.scene().spheres, before.spheres, "{mode:?}");
        assert!((stage.scene().timestamp - before.timestamp - 0.5).abs() < 1e-9);
        stage.backend.stop(false);
        stage.run(0.5);
        assert_ne!(stage.scene().arms, before.arms, "{mode:?}: it goes on");
    }
}
