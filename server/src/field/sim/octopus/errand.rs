//! What an octopus is sent for: food on the ground, or waypoints.

use glam::DVec3;
use waldo_protocol::field::{
    CharacterMode, MAX_WAYPOINTS, Selection, Sphere, Transform, Waypoints, crawl_direction, pointed_at, waypoint,
};

use super::gait::Leg;
use crate::field::sim::scenery::{SEABED, sphere_id};

/// Metres per second.
const CRAWLING: f64 = 0.15;
const WALKING: f64 = 0.2;
/// An octopus comes to rest at a waypoint from so far away, m.
const BRAKING: f64 = 0.1;

/// Things to find, their radius, and how near a tip must come to touch one, surface to tip, m.
const FOOD: usize = 6;
const FOOD_RADIUS: f64 = 0.04;
const TOUCH: f64 = 0.02;
/// An arm reaches for nothing that is farther from its base, m.
const ARM_REACH: f64 = 0.42;
/// Where food lies: around this, as far as that, m.
const FIELD: DVec3 = DVec3::new(0.0, SEABED + FOOD_RADIUS, -0.5);
const NEAREST_FOOD: f64 = 0.4;
const FARTHEST_FOOD: f64 = 0.9;

const FOOD_COLOR: [f64; 3] = [0.95, 0.55, 0.3];
const SELECTED_COLOR: [f64; 3] = [0.3, 0.95, 0.45];
const WAYPOINT_COLOR: [f64; 3] = [0.25, 0.65, 1.0];
const WAYPOINT_RADIUS: f64 = 0.03;

pub(super) enum Errand {
    Foraging {
        crawl: DVec3,
        food: Vec<Sphere>,
        selection: Selection,
        /// How many pieces of food there have been.
        laid: usize,
    },
    Waypoints {
        queue: Waypoints,
        marks: Vec<Sphere>,
    },
}

impl Errand {
    pub(super) fn new(user: &str, mode: CharacterMode) -> Self {
        let sphere = |index, place: DVec3, radius, color| Sphere {
            color_rgb: color,
            ..Sphere::new(sphere_id(mode, user, index), user, place.to_array(), radius)
        };
        if mode == CharacterMode::OctoWaypoint {
            let mark = |index| Sphere {
                visible: false,
                ..sphere(index, DVec3::new(0.0, SEABED, 0.0), WAYPOINT_RADIUS, WAYPOINT_COLOR)
            };
            return Self::Waypoints { queue: Waypoints::default(), marks: (0..MAX_WAYPOINTS).map(mark).collect() };
        }
        let food = (0..FOOD).map(|index| sphere(index, lay(index), FOOD_RADIUS, FOOD_COLOR)).collect();
        Self::Foraging { crawl: DVec3::ZERO, food, selection: Selection::default(), laid: FOOD }
    }

    /// A hand clicked its trigger there.
    pub(super) fn point(&mut self, pose: &Transform) {
        match self {
            Self::Foraging { food, selection, .. } => {
                let targets = food.iter().map(|piece| (piece.sphere_id.as_str(), piece.translation));
                if let Some(target) = pointed_at(pose, targets) {
                    selection.toggle(target);
                }
            }
            Self::Waypoints { queue, .. } => {
                if let Some(place) = waypoint(pose) {
                    queue.push(place);
                }
            }
        }
    }

    /// The right stick, and where the head looks.
    pub(super) fn steer(&mut self, joystick: Option<[f64; 2]>, head_pose: Option<&Transform>) {
        if let Self::Foraging { crawl, .. } = self {
            *crawl = joystick.zip(head_pose).and_then(|(stick, head)| crawl_direction(stick, head)).unwrap_or_default();
        }
    }

    /// How the body shall move, m/s.
    pub(super) fn velocity(&self, centre: DVec3) -> DVec3 {
        match self {
            Self::Foraging { crawl, .. } => *crawl * CRAWLING,
            Self::Waypoints { queue, .. } => queue.next().map_or(DVec3::ZERO, |next| {
                let way = DVec3::from_array(next) - centre;
                let way = DVec3::new(way.x, 0.0, way.z);
                way.clamp_length_max(BRAKING) / BRAKING * WALKING
            }),
        }
    }

    /// What each arm reaches for: of what is selected and near enough, each piece has the nearest free arm.
    pub(super) fn reaching(&self, legs: &[Leg]) -> Vec<Option<DVec3>> {
        let mut reaching = vec![None; legs.len()];
        let Self::Foraging { food, selection, .. } = self else { return reaching };
        for piece in food.iter().filter(|piece| selection.contains(&piece.sphere_id)) {
            let place = DVec3::from_array(piece.translation);
            let distance = |leg: &Leg| leg.base.distance(place);
            let free = legs.iter().enumerate().filter(|(index, _)| reaching[*index].is_none());
            let nearest = free.min_by(|(_, a), (_, b)| distance(a).total_cmp(&distance(b)));
            if let Some((index, leg)) = nearest
                && distance(leg) <= ARM_REACH
            {
                reaching[index] = Some(place);
            }
        }
        reaching
    }

    /// Time passes; what was reached is done.
    pub(super) fn advance(&mut self, dt: f64, centre: DVec3, legs: &[Leg], reaching: &[Option<DVec3>]) {
        match self {
            Self::Foraging { food, selection, laid, .. } => {
                selection.advance(dt);
                for (leg, target) in legs.iter().zip(reaching) {
                    let Some(target) = target else { continue };
                    if leg.body.tip().0.distance(*target) > FOOD_RADIUS + TOUCH {
                        continue;
                    }
                    let found = food.iter_mut().find(|piece| piece.translation == target.to_array());
                    if let Some(piece) = found {
                        selection.end(&piece.sphere_id);
                        piece.translation = lay(*laid).to_array();
                        *laid += 1;
                    }
                }
                for piece in food {
                    let selected = selection.contains(&piece.sphere_id);
                    piece.color_rgb = if selected { SELECTED_COLOR } else { FOOD_COLOR };
                }
            }
            Self::Waypoints { queue, marks } => {
                queue.advance(centre.to_array());
                let mut places = queue.iter();
                for mark in marks {
                    let place = places.next();
                    mark.visible = place.is_some();
                    mark.translation = place.unwrap_or(mark.translation);
                }
            }
        }
    }

    pub(super) fn show(&self, spheres: &mut Vec<Sphere>) {
        spheres.clone_from(match self {
            Self::Foraging { food, .. } => food,
            Self::Waypoints { marks, .. } => marks,
        });
    }
}

/// Where the next piece of food lies: spread evenly, and the same in every run.
fn lay(number: usize) -> DVec3 {
    const GOLDEN_ANGLE: f64 = 2.399_963_229_728_653;
    const GOLDEN_SHARE: f64 = 0.618_033_988_749_895;
    let number = number as f64;
    let (sine, cosine) = (GOLDEN_ANGLE * number).sin_cos();
    let distance = NEAREST_FOOD + (FARTHEST_FOOD - NEAREST_FOOD) * (GOLDEN_SHARE * number).fract();
    FIELD + DVec3::new(cosine, 0.0, sine) * distance
}
