//! The characters a user can be, and what follows from the choice.

use crate::names::wire_names;

use super::Transform;

/// Colours of the arms in the manifest, by index modulo their number.
const PALETTE: [&str; 6] = ["#ff6b6b", "#74c0fc", "#8ce99a", "#ffd43b", "#f783ac", "#63e6be"];

/// Centre of the octopuses' arms, and height and depth of the pairs, metres.
const CENTRE: [f64; 3] = [0.0, 1.0, -0.15];

/// Distance of the arms of a pair, metres.
const SPACING: f64 = 0.3;

/// Radius of the ring of an octopus's arms, metres.
const RING: f64 = 0.05;

wire_names! {
    /// A character. What drives one is in the simulations of the server; here is what both sides must agree on.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum CharacterMode {
        /// Two rods.
        TwoCr = "two-cr",
        /// Two rods that grow, in a maze of pipes.
        TwoGcr = "two-gcr",
        /// Two spiral arms that feel what they touch.
        Spirobs = "spirobs",
        /// Two arms that throw a ball.
        CathyThrow = "cathy-throw",
        /// Two arms of an octopus.
        CoommOctopus = "coomm-octopus",
        /// Two arms among obstacles that they feel.
        NoelC4 = "noel-c4",
        /// An octopus that looks for food. It has a head too, an arm `<user_id>_head` that no list names.
        CathyForaging = "cathy-foraging",
        /// An octopus that walks to waypoints. Its ninth arm is its head.
        OctoWaypoint = "octo-waypoint",
    }
}

/// How the arms of a character stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// Side by side.
    Linear,
    /// In a ring.
    Octo,
}

impl CharacterMode {
    /// Number of arms with an id `<user_id>_arm_<index>`.
    pub const fn arm_count(self) -> usize {
        match self {
            Self::CathyForaging => 8,
            Self::OctoWaypoint => 9,
            _ => 2,
        }
    }

    /// How they stand.
    pub const fn layout(self) -> Layout {
        match self {
            Self::CathyForaging | Self::OctoWaypoint => Layout::Octo,
            _ => Layout::Linear,
        }
    }

    /// Elements of an arm; its centerline has one point more.
    pub const fn elements(self) -> usize {
        match self {
            Self::TwoCr | Self::TwoGcr => 41,
            Self::Spirobs | Self::CathyThrow | Self::NoelC4 => 21,
            Self::CoommOctopus | Self::CathyForaging | Self::OctoWaypoint => 15,
        }
    }

    /// Length of an arm at rest, metres.
    pub const fn length(self) -> f64 {
        match self.layout() {
            Layout::Linear => 0.55,
            Layout::Octo => 0.45,
        }
    }

    /// Radius of an arm at its base, metres.
    pub const fn radius(self) -> f64 {
        match self {
            Self::Spirobs | Self::CathyThrow => 0.020,
            _ => 0.015,
        }
    }

    /// Where the arms stand, one for each of [`Self::arm_count`]. What a scene publishes as `base` is the truth: a
    /// simulation may put its rods elsewhere.
    pub fn bases(self) -> Vec<Transform> {
        match self.layout() {
            Layout::Linear => linear_bases(self.arm_count()),
            Layout::Octo => octo_bases(self.arm_count(), CENTRE),
        }
    }

    /// Colour of an arm, `#rrggbb`.
    pub const fn color(self, arm: usize) -> &'static str {
        match self {
            Self::CathyForaging => "#8c73fa",
            _ => PALETTE[arm % PALETTE.len()],
        }
    }

    /// The ids of a user's arms, in order.
    pub fn arm_ids(self, user_id: &str) -> Vec<String> {
        (0..self.arm_count()).map(|index| arm_id(user_id, index)).collect()
    }
}

/// The id of a user's arm.
pub fn arm_id(user_id: &str, index: usize) -> String {
    format!("{user_id}_arm_{index}")
}

/// Bases of `arms` arms side by side, the middle of them at x = 0.
#[expect(clippy::cast_precision_loss, reason = "a handful of arms")]
pub fn linear_bases(arms: usize) -> Vec<Transform> {
    let first = -0.5 * SPACING * (arms as f64 - 1.0);
    let [_, y, z] = CENTRE;
    (0..arms).map(|i| Transform::at([first + SPACING * i as f64, y, z])).collect()
}

/// Bases of `arms` arms on a ring around `centre` with places for eight; a ninth stands where the first does.
#[expect(clippy::cast_precision_loss, reason = "a handful of arms")]
pub fn octo_bases(arms: usize, centre: [f64; 3]) -> Vec<Transform> {
    let [x, y, z] = centre;
    let base = |i: usize| {
        let angle = (22.5 + 45.0 * i as f64).to_radians();
        Transform::at([x - RING * angle.cos(), y, z + RING * angle.sin()])
    };
    (0..arms).map(base).collect()
}
