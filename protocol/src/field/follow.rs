//! What a spectator looks at: whom to follow, the view from an arm, which arms are heads.

use glam::{DMat3, DQuat, DVec3};

use super::{ArmState, SceneState};

/// How far in front of the tip an arm's camera is, m.
const AHEAD_OF_TIP: f64 = 0.025;

/// The share of its way to the new position that the camera makes with every frame.
const MOVE_SHARE: f64 = 0.2;

/// The share of its turn to the new orientation that the camera makes with every frame.
const TURN_SHARE: f64 = 0.18;

/// A hint for up that is as near to forward as this, as a cosine, is none.
const TOO_NEAR: f64 = 0.98;

/// Whether an arm is drawn as the head of an avatar.
pub fn is_head(arm_id: &str) -> bool {
    arm_id.to_ascii_lowercase().contains("head")
}

/// Whether there is enough of an arm to draw it.
pub fn is_renderable(arm: &ArmState) -> bool {
    arm.centerline.len() >= 2 && !arm.radii.is_empty()
}

/// A user to watch, and the arms of this user's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed<'a> {
    /// Who.
    pub user: &'a str,
    /// The first arm.
    pub left: &'a str,
    /// The second arm, or the first of a user with one.
    pub right: &'a str,
}

/// The user with the most arms that can be drawn, then with the most arms; heads do not count, nor does `own`. Of equals
/// the first by name, so that the view stays.
pub fn auto_follow<'a>(scene: &'a SceneState, own: Option<&str>) -> Option<Followed<'a>> {
    let mut best: Option<(usize, usize, Followed<'a>)> = None;
    for (user, arms) in &scene.user_arms {
        if Some(user.as_str()) == own {
            continue;
        }
        let mut arms = arms.iter().map(String::as_str).filter(|arm| !is_head(arm));
        let Some(left) = arms.clone().next() else { continue };
        let right = arms.clone().nth(1).unwrap_or(left);
        let drawn = arms.clone().filter(|arm| scene.arms.get(*arm).is_some_and(is_renderable)).count();
        let count = arms.by_ref().count();
        if best.is_none_or(|(most_drawn, most, _)| (drawn, count) > (most_drawn, most)) {
            best = Some((drawn, count, Followed { user, left, right }));
        }
    }
    best.map(|(_, _, followed)| followed)
}

/// Where a camera is and how it is turned: it looks along its −z, its y is up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct View {
    /// Metres.
    pub position: DVec3,
    /// A unit quaternion.
    pub orientation: DQuat,
}

/// The view from the tip of an arm, made even from frame to frame.
#[derive(Clone, Copy, Debug, Default)]
pub struct ArmCamera {
    view: Option<View>,
}

impl ArmCamera {
    /// The next frame. The first one is where the arm is; later ones go there by steps. An arm without a direction leaves
    /// the view as it is.
    pub fn frame(&mut self, arm: &ArmState) -> Option<View> {
        if let Some(goal) = view_from(arm) {
            self.view = Some(match self.view {
                None => goal,
                Some(view) => View {
                    position: view.position.lerp(goal.position, MOVE_SHARE),
                    orientation: view.orientation.slerp(goal.orientation, TURN_SHARE).normalize(),
                },
            });
        }
        self.view
    }
}

/// The view from the tip of an arm, along its last tangent.
pub fn view_from(arm: &ArmState) -> Option<View> {
    let (forward, hint) = match arm.directors.last() {
        Some([_, binormal, tangent]) => (DVec3::from_array(*tangent), DVec3::from_array(*binormal)),
        None => {
            let [.., before, last] = arm.centerline.as_slice() else { return None };
            (DVec3::from_array(*last) - DVec3::from_array(*before), DVec3::Y)
        }
    };
    let forward = forward.try_normalize()?;
    let up = [hint.try_normalize().unwrap_or(DVec3::Y), DVec3::Y, DVec3::X]
        .into_iter()
        .find(|up| up.dot(forward).abs() <= TOO_NEAR)?;
    let right = forward.cross(up).try_normalize()?;
    let axes = DMat3::from_cols(right, right.cross(forward), -forward);
    let tip = DVec3::from_array(arm.tip.translation);
    tip.is_finite()
        .then(|| View { position: tip + forward * AHEAD_OF_TIP, orientation: DQuat::from_mat3(&axes).normalize() })
}

#[cfg(test)]
mod tests {
    use std::f64::consts::PI;

    use super::*;
    use crate::field::Transform;

    fn scene(users: &[(&str, &[&str])], drawn: &[&str]) -> SceneState {
        let mut scene = SceneState::default();
        for (user, arms) in users {
            scene.user_arms.insert((*user).to_owned(), arms.iter().map(|arm| (*arm).to_owned()).collect());
        }
        for id in drawn {
            let mut arm = ArmState::new(*id, Transform::IDENTITY);
            arm.centerline = vec![[0.0; 3]; 2];
            arm.radii = vec![0.01];
            scene.arms.insert(arm.arm_id.clone(), arm);
        }
        scene
    }

    fn straight(forward: [f64; 3], up: [f64; 3]) -> ArmState {
        let mut arm = ArmState::new("a", Transform::at([0.0, 1.0, 0.0]));
        arm.directors = vec![[[0.0; 3], up, forward]];
        arm
    }

    #[test]
    fn what_can_be_drawn_counts_before_the_number_of_arms() {
        let users: &[(&str, &[&str])] = &[("amy", &["a0", "a1", "a2"]), ("bob", &["b0", "Bob_HEAD", "b1"])];
        let followed =
            |scene: &SceneState, own| auto_follow(scene, own).map(|f| format!("{} {} {}", f.user, f.left, f.right));
        let both = scene(users, &["a0", "b0", "b1", "Bob_HEAD"]);
        assert_eq!(followed(&both, None).as_deref(), Some("bob b0 b1"));
        assert_eq!(followed(&both, Some("bob")).as_deref(), Some("amy a0 a1"));
        assert_eq!(followed(&scene(users, &[]), None).as_deref(), Some("amy a0 a1"), "the most arms");
        assert_eq!(
            followed(&scene(&[("amy", &["x"]), ("bob", &["y"])], &["x", "y"]), None).as_deref(),
            Some("amy x x")
        );
        assert_eq!(followed(&scene(&[("amy", &["amy_head"]), ("bob", &[])], &[]), None), None);
    }

    #[test]
    fn a_camera_without_directors_looks_along_the_last_segment() {
        let mut arm = ArmState::new("a", Transform::at([0.3, 1.0, 0.0]));
        assert_eq!(view_from(&arm), None, "a single point has no direction");
        arm.centerline = vec![[0.0; 3], [0.2, 1.0, 0.0], [0.3, 1.0, 0.0]];
        let view = view_from(&arm).unwrap();
        assert!(view.position.distance(DVec3::new(0.325, 1.0, 0.0)) < 1e-12);
        assert!((view.orientation * DVec3::NEG_Z).distance(DVec3::X) < 1e-12);
        assert!((view.orientation * DVec3::Y).distance(DVec3::Y) < 1e-12);
    }

    #[test]
    fn an_up_that_is_nearly_forward_gives_way_to_the_worlds_and_that_to_x() {
        let up = |forward, hint| view_from(&straight(forward, hint)).unwrap().orientation * DVec3::Y;
        let hint = [0.0, 0.6, -0.8];
        assert!(up([0.0, 0.6, -0.8], hint).distance(DVec3::new(0.0, 0.8, 0.6)) < 1e-9);
        assert!(up([0.0, 1.0, 0.0], [0.0, 1.0, 0.01]).distance(DVec3::X) < 1e-9);
        assert_eq!(view_from(&straight([0.0; 3], hint)), None);
        assert_eq!(view_from(&straight([f64::NAN, 0.0, 0.0], hint)), None);
    }

    #[test]
    fn the_camera_goes_a_fifth_of_its_way_with_every_frame() {
        let mut camera = ArmCamera::default();
        let up = [0.0, 1.0, 0.0];
        let first = camera.frame(&straight([0.0, 0.0, -1.0], up)).unwrap();
        let mut moved = straight([1.0, 0.0, 0.0], up);
        moved.tip.translation = [1.0, 1.0, 0.0];
        let goal = view_from(&moved).unwrap();
        let second = camera.frame(&moved).unwrap();
        assert!(second.position.distance(first.position.lerp(goal.position, 0.2)) < 1e-12);
        assert!((second.orientation.angle_between(first.orientation) - 0.18 * PI / 2.0).abs() < 1e-9);
        moved.directors = vec![[[0.0; 3]; 3]];
        assert_eq!(camera.frame(&moved), Some(second), "an arm without a direction leaves the view as it is");
    }
}
