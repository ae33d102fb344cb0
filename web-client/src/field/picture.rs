//! What a scene looks like, as numbers for the graphics card; refilled in place for every scene.

use std::collections::BTreeMap;

use glam::{DAffine3, DMat3, DQuat, DVec3};
use waldo_protocol::field::{ArmState, CharacterMode, PersonHand, SceneState, Transform, is_head, is_renderable};

use super::tube::{MIN_RADIUS, Tubes, end_radii};

/// Contact points that are drawn at most.
pub const MAX_CONTACTS: usize = 6000;
/// Numbers of a ball or box: the columns of its matrix, three each, and its colour.
pub const PART: usize = 15;

/// An arm whose simulation failed.
const FAULTY: [f32; 3] = [0.45, 0.47, 0.50];
const VISOR: [f32; 3] = [0.07, 0.09, 0.11];
const SKIN: [f32; 3] = [0.86, 0.88, 0.90];
const EYE: [f32; 3] = [0.96, 0.97, 0.98];
/// A hand whose grip holds.
const GRIPPING: [f32; 3] = [0.37, 0.83, 0.75];
/// Where a waypoint would be put.
const PREVIEW: [f32; 3] = [0.96, 0.76, 0.38];

/// Balls and boxes, everything in the scene that has a simple form.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// Balls of radius 1, [`PART`] numbers each.
    pub balls: Vec<f32>,
    /// Cubes of edge 1, [`PART`] numbers each.
    pub boxes: Vec<f32>,
}

/// Who looks, and what each arm's colour is.
#[derive(Clone, Debug, Default)]
pub struct Looks {
    /// The user of this page, whose head and hands are not drawn as somebody else's.
    pub me: String,
    /// From the manifest, by arm id; red, green and blue.
    pub colours: BTreeMap<String, [f32; 3]>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// The arms.
    pub tubes: Tubes,
    /// The triangles of the arms are others than in the scene before.
    pub rewired: bool,
    /// Ends of arms, spheres, heads, hands.
    pub parts: Parts,
    /// Places of contact points, three numbers each.
    pub contacts: Vec<f32>,
}

impl Picture {
    /// Takes over a scene.
    pub fn show(&mut self, scene: &SceneState, looks: &Looks) {
        self.parts.balls.clear();
        self.parts.boxes.clear();
        self.contacts.clear();
        self.tubes.begin();
        let strangers = Strangers::of(scene, looks);
        for (id, arm) in &scene.arms {
            let colour =
                if arm.fault { FAULTY } else { looks.colour(id).unwrap_or_else(|| strangers.colour(id, arm, looks)) };
            if is_head(id) {
                self.parts.creature(arm, colour);
                continue;
            }
            self.tubes.add(arm, colour);
            self.parts.ends(arm, colour);
            let room = (3 * MAX_CONTACTS).saturating_sub(self.contacts.len());
            self.contacts.extend(arm.contact_points.iter().flatten().take(room).map(|part| *part as f32));
        }
        self.rewired = self.tubes.end();
        for sphere in scene.spheres.values().filter(|sphere| sphere.visible) {
            let at = DAffine3::from_scale_rotation_translation(
                DVec3::splat(sphere.radius),
                DQuat::IDENTITY,
                DVec3::from_array(sphere.translation),
            );
            push(&mut self.parts.balls, at, sphere.color_rgb.map(|part| part as f32));
        }
        for (user, person) in scene.people.iter().filter(|(user, _)| **user != looks.me) {
            let colour = strangers.of_user(user, 0);
            self.parts.head(pose(&person.head_pose), colour);
            for hand in person.controllers.values() {
                self.parts.hand(hand, colour);
            }
        }
    }
}

impl Parts {
    /// A hand that holds a controller, also one's own.
    pub fn hand(&mut self, hand: &PersonHand, colour: [f32; 3]) {
        let at = pose(&hand.pose);
        let colour = if hand.grip >= 0.4 { GRIPPING } else { colour };
        self.a_box(at, DVec3::new(0.0, 0.0, 0.02), DVec3::new(0.032, 0.036, 0.11), SKIN);
        self.ball(at, DVec3::new(0.0, 0.005, -0.05), DVec3::splat(0.027), colour);
        let pulled = 0.012 * hand.trigger.clamp(0.0, 1.0);
        self.a_box(at, DVec3::new(0.0, -0.028, -0.04 + pulled), DVec3::new(0.012, 0.022, 0.012), VISOR);
    }

    /// Where a waypoint would be put.
    pub fn preview(&mut self, at: [f64; 3]) {
        let at = DAffine3::from_translation(DVec3::from_array(at));
        self.ball(at, DVec3::ZERO, DVec3::new(0.05, 0.008, 0.05), PREVIEW);
    }

    /// Someone else's head.
    fn head(&mut self, at: DAffine3, colour: [f32; 3]) {
        self.ball(at, DVec3::new(0.0, -0.01, 0.05), DVec3::new(0.085, 0.115, 0.1), colour);
        self.a_box(at, DVec3::new(0.0, 0.02, -0.05), DVec3::new(0.17, 0.085, 0.07), VISOR);
        self.a_box(at, DVec3::new(0.0, 0.02, 0.06), DVec3::new(0.178, 0.03, 0.21), VISOR);
        self.a_box(at, DVec3::new(0.0, 0.02, -0.087), DVec3::new(0.15, 0.012, 0.006), colour);
    }

    /// The head of an octopus, at the tip of the arm that stands for it.
    fn creature(&mut self, arm: &ArmState, colour: [f32; 3]) {
        let at = pose(&arm.tip);
        self.ball(at, DVec3::new(0.0, 0.03, 0.02), DVec3::new(0.07, 0.085, 0.09), colour);
        for side in [-1.0, 1.0] {
            self.ball(at, DVec3::new(0.032 * side, 0.035, -0.058), DVec3::splat(0.02), EYE);
            self.ball(at, DVec3::new(0.034 * side, 0.036, -0.072), DVec3::splat(0.01), VISOR);
        }
    }

    fn ends(&mut self, arm: &ArmState, colour: [f32; 3]) {
        if !is_renderable(arm) {
            return;
        }
        let ends = [arm.centerline.first(), arm.centerline.last()];
        for (at, radius) in ends.into_iter().flatten().zip(end_radii(arm)) {
            let at = DAffine3::from_translation(DVec3::from_array(*at));
            self.ball(at, DVec3::ZERO, DVec3::splat(radius.max(MIN_RADIUS)), colour);
        }
    }

    fn ball(&mut self, at: DAffine3, offset: DVec3, radii: DVec3, colour: [f32; 3]) {
        push(&mut self.balls, at * DAffine3::from_scale_rotation_translation(radii, DQuat::IDENTITY, offset), colour);
    }

    fn a_box(&mut self, at: DAffine3, offset: DVec3, edges: DVec3, colour: [f32; 3]) {
        push(&mut self.boxes, at * DAffine3::from_scale_rotation_translation(edges, DQuat::IDENTITY, offset), colour);
    }
}

impl Looks {
    fn colour(&self, arm: &str) -> Option<[f32; 3]> {
        self.colours.get(arm).copied()
    }
}

/// The manifest has only one's own arms; those of the others get the same colours, beginning elsewhere for each.
struct Strangers<'a>(BTreeMap<&'a str, usize>);

impl<'a> Strangers<'a> {
    fn of(scene: &'a SceneState, looks: &Looks) -> Self {
        let others = scene.user_arms.keys().filter(|user| **user != looks.me);
        let first = if looks.colours.is_empty() { 0 } else { 2 };
        Self(others.enumerate().map(|(index, user)| (user.as_str(), first + 2 * index)).collect())
    }

    fn colour(&self, arm_id: &str, arm: &ArmState, looks: &Looks) -> [f32; 3] {
        if arm.owner_user_id.as_ref() == Some(&looks.me)
            && let Some(own) = looks.colours.values().next()
        {
            return *own;
        }
        let index = arm_id.rsplit('_').next().and_then(|index| index.parse().ok()).unwrap_or_default();
        self.of_user(arm.owner_user_id.as_deref().unwrap_or_default(), index)
    }

    fn of_user(&self, user: &str, arm: usize) -> [f32; 3] {
        let first = self.0.get(user).copied().unwrap_or_default();
        colour(CharacterMode::TwoCr.color(first.wrapping_add(arm))).unwrap_or(SKIN)
    }
}

/// `#rrggbb` as red, green and blue.
pub fn colour(text: &str) -> Option<[f32; 3]> {
    let number = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    let [_, red, green, blue] = u32::from_str_radix(number, 16).ok()?.to_be_bytes();
    Some([red, green, blue].map(|part| f32::from(part) / 255.0))
}

/// A pose of the wire; not turned if its rotation is none.
pub fn pose(transform: &Transform) -> DAffine3 {
    let turn = DQuat::from_array(transform.rotation_xyzw);
    let turn = if turn.length_squared() > 1e-9 { turn.normalize() } else { DQuat::IDENTITY };
    DAffine3::from_rotation_translation(turn, DVec3::from_array(transform.translation))
}

fn push(parts: &mut Vec<f32>, at: DAffine3, colour: [f32; 3]) {
    let DMat3 { x_axis, y_axis, z_axis } = at.matrix3;
    for column in [x_axis, y_axis, z_axis, at.translation] {
        parts.extend(column.as_vec3().to_array());
    }
    parts.extend(colour);
}

#[cfg(test)]
mod tests {
    use waldo_protocol::field::{Person, Sphere};

    use super::*;

    fn arm(id: &str, owner: &str) -> ArmState {
        let mut arm = ArmState::new(id, Transform::IDENTITY);
        arm.owner_user_id = Some(owner.to_owned());
        (arm.centerline, arm.radii) = (vec![[0.0; 3], [0.0, 1.0, 0.0]], vec![0.02]);
        arm
    }

    fn scene(arms: &[(&str, &str)]) -> SceneState {
        let mut scene = SceneState::default();
        for (id, owner) in arms {
            scene.arms.insert((*id).to_owned(), arm(id, owner));
            scene.user_arms.entry((*owner).to_owned()).or_default().push((*id).to_owned());
        }
        scene
    }

    fn shown(scene: &SceneState, looks: &Looks) -> Picture {
        let mut picture = Picture::default();
        picture.show(scene, looks);
        picture
    }

    fn count(parts: &[f32]) -> usize {
        parts.len() / PART
    }

    #[test]
    fn an_arm_is_a_tube_with_a_ball_at_each_end() {
        let picture = shown(&scene(&[("a_arm_0", "a")]), &Looks::default());
        assert!(picture.rewired && !picture.tubes.triangles.is_empty());
        assert_eq!((count(&picture.parts.balls), count(&picture.parts.boxes)), (2, 0));
    }

    #[test]
    fn an_arm_that_is_called_a_head_is_drawn_as_one() {
        let picture = shown(&scene(&[("a_HEAD", "a")]), &Looks::default());
        assert!(picture.tubes.triangles.is_empty());
        assert_eq!(count(&picture.parts.balls), 5);
    }

    #[test]
    fn one_s_own_head_that_the_manifest_leaves_out_has_the_colour_of_the_arms() {
        let violet = colour("#8c73fa").unwrap();
        let looks = Looks { me: "me".to_owned(), colours: [("me_arm_0".to_owned(), violet)].into() };
        let picture = shown(&scene(&[("me_head", "me")]), &looks);
        assert_eq!(picture.parts.balls[12..15], violet);
    }

    #[test]
    fn one_s_own_arms_have_the_colours_of_the_manifest_and_nobody_else_has_them_too() {
        let red = colour("#ff6b6b").unwrap();
        let looks = Looks { me: "me".to_owned(), colours: [("me_arm_0".to_owned(), red)].into() };
        let both = scene(&[("me_arm_0", "me"), ("you_arm_0", "you")]);
        let picture = shown(&both, &looks);
        let colour_of = |arm: usize| picture.parts.balls[arm * 2 * PART + 12..][..3].to_vec();
        assert_eq!(colour_of(0), red);
        assert_ne!(colour_of(1), red);
    }

    #[test]
    fn hidden_spheres_are_not_drawn() {
        let mut scene = SceneState::default();
        for (id, visible) in [("seen", true), ("hidden", false)] {
            let sphere = Sphere { visible, ..Sphere::new(id, "a", [1.0, 2.0, 3.0], 0.05) };
            scene.spheres.insert(id.to_owned(), sphere);
        }
        let picture = shown(&scene, &Looks::default());
        assert_eq!(picture.parts.balls[9..12], [1.0, 2.0, 3.0]);
        assert_eq!(count(&picture.parts.balls), 1);
    }

    #[test]
    fn the_others_have_heads_and_hands_and_oneself_has_none() {
        let hand = PersonHand { pose: Transform::IDENTITY, grip: 1.0, trigger: 0.0 };
        let person = Person { head_pose: Transform::IDENTITY, controllers: [("left".to_owned(), hand)].into() };
        let mut scene = SceneState::default();
        scene.people.insert("me".to_owned(), person.clone());
        let looks = Looks { me: "me".to_owned(), ..Looks::default() };
        assert!(shown(&scene, &looks).parts.boxes.is_empty());
        scene.people.insert("you".to_owned(), person);
        let picture = shown(&scene, &looks);
        assert_eq!((count(&picture.parts.balls), count(&picture.parts.boxes)), (2, 5));
    }

    #[test]
    fn contact_points_are_drawn_up_to_a_limit() {
        let mut scene = scene(&[("a_arm_0", "a"), ("a_arm_1", "a")]);
        for arm in scene.arms.values_mut() {
            arm.contact_points = vec![[0.0; 3]; 4000];
        }
        assert_eq!(shown(&scene, &Looks::default()).contacts.len(), 3 * MAX_CONTACTS);
    }

    #[test]
    fn colours_are_six_digits() {
        assert_eq!(colour("#ff0000"), Some([1.0, 0.0, 0.0]));
        for text in ["ff0000", "#ff00", "#gg0000", "#", "#ééé"] {
            assert_eq!(colour(text), None, "{text}");
        }
    }

    #[test]
    fn a_rotation_of_any_length_turns_and_none_does_not() {
        let half = std::f64::consts::FRAC_1_SQRT_2;
        let turned = Transform { translation: [0.0; 3], rotation_xyzw: [0.0, 2.0 * half, 0.0, 2.0 * half] };
        assert!(pose(&turned).transform_vector3(DVec3::X).abs_diff_eq(DVec3::NEG_Z, 1e-9));
        let none = Transform { translation: [0.0; 3], rotation_xyzw: [0.0; 4] };
        assert!(pose(&none).matrix3.abs_diff_eq(DMat3::IDENTITY, 1e-9));
    }
}
