//! What the engine of the field tells the page about itself, at most ten times a second.

use waldo_protocol::field::CharacterMode;

use super::session::Part;
use crate::hud::HudText;
use crate::link::Status;
use crate::summary::{Presence, Support};

/// The whole of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The link.
    pub link: Status,
    /// How this page takes part.
    pub part: Option<Part>,
    /// The character that the address asks for.
    pub preselected: Option<CharacterMode>,
    /// This page's user; empty before the server answered.
    pub user: String,
    /// Its arms; `None` for those who watch.
    pub arms: Option<usize>,
    /// Others with arms.
    pub others: usize,
    /// Others whose head and hands are in the scene.
    pub people: usize,
    /// What the page and the headset say.
    pub words: HudText,
    /// The user whom a spectator watches.
    pub followed: Option<String>,
    /// The view goes where that user's arms are.
    pub following: bool,
    /// Every arm that a camera can sit on, with its user.
    pub seats: Vec<(String, String)>,
    /// The arm that the camera sits on.
    pub seat: Option<String>,
    /// From a movement to seeing what came of it, milliseconds.
    pub latency_ms: Option<u32>,
    /// Scenes per second.
    pub rate: u32,
    /// The simulation stands still.
    pub paused: bool,
    /// The others who have arms and are away for the moment.
    pub away: Vec<String>,
    /// One of this page's arms is held within its bounds.
    pub clamped: bool,
    /// Why something is not drawn.
    pub fault: Option<String>,
    /// Why a presentation did not start or ended, or the address means nothing; for a person.
    pub trouble: Option<String>,
    /// Whether a presentation is possible.
    pub support: Support,
    /// The presentation.
    pub presence: Presence,
    /// Scenes since the page was loaded.
    pub scenes: u64,
    /// Samples sent since the page was loaded.
    pub inputs: u64,
    /// Meshes that are drawn.
    pub meshes: usize,
    /// Meshes that were read since the page joined.
    pub mesh_reads: u64,
}
