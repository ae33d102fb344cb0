//! What the engine tells the page about itself, at most ten times a second.

use waldo_protocol::hosted::{Quality, Velocities};

use super::acks::Progress;
use super::robot::Robot;
use crate::summary::{Presence, Support};

/// What the page is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// The broker has not said yet who is logged in.
    #[default]
    Checking,
    /// Nobody is.
    SignIn,
    /// Somebody is, and looks for a robot.
    Board,
    /// With a robot.
    Cockpit,
}

/// How people log in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogIn {
    /// With accounts of the broker.
    #[default]
    Local,
    /// With those of somebody else, who gives a token.
    Provider,
}

/// What a robot is driven with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A base, with velocities.
    #[default]
    Drive,
    /// An arm, with hands or with jogging.
    Arm,
}

impl Kind {
    /// By the type that the robot announced.
    pub fn of(robot_type: Option<&str>) -> Self {
        if robot_type == Some("arm") { Self::Arm } else { Self::Drive }
    }
}

/// Whether a robot can be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// Nobody drives it.
    Free,
    /// This person does, in another page or before a reload.
    Mine,
    /// This person drives it.
    Busy(String),
    /// It speaks another transport than this page.
    Foreign,
}

/// A robot of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Id of its session.
    pub session: String,
    /// Its name.
    pub name: String,
    /// Its id; may be empty.
    pub robot: String,
    /// How it is driven.
    pub kind: Kind,
    /// Whether it can be had.
    pub availability: Availability,
    /// From the robot to the broker and back, milliseconds.
    pub rtt_ms: Option<f64>,
    /// What of its packets got lost, percent.
    pub loss_pct: Option<f64>,
    /// It is stopped, or something is wrong with it.
    pub alarm: Option<String>,
    /// How many watch it, where the broker tells.
    pub viewers: u32,
}

/// A key of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Id, to revoke it.
    pub id: String,
    /// What a person called it.
    pub name: String,
    /// Its first characters.
    pub prefix: String,
    /// The robot it was made for.
    pub robot: Option<String>,
    /// When it was last used, ISO 8601.
    pub used: Option<String>,
}

/// Who is logged in, and what there is to do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Board {
    /// Address of the broker.
    pub broker: String,
    /// How people log in.
    pub log_in: LogIn,
    /// E-mail of the person.
    pub account: String,
    /// Sees everybody's robots, and may take any.
    pub admin: bool,
    /// Robots, `None` until the broker has told.
    pub robots: Option<Vec<Row>>,
    /// Keys, newest first.
    pub keys: Vec<KeyRow>,
    /// A key that was just made: its name and itself. Shown once.
    pub fresh_key: Option<(String, String)>,
    /// A request is under way.
    pub busy: bool,
    /// What went wrong.
    pub trouble: Option<String>,
    /// The broker did not answer the last time.
    pub offline: bool,
}

/// How the way to the robot stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// Being made: what happens now, and which of how many steps it is.
    Joining(&'static str, u8),
    /// Stands.
    #[default]
    Live,
    /// Broke; it is being made anew. Attempts so far.
    Broken(usize),
    /// The broker gave the robot to somebody else, or took this page for gone. A person has to decide.
    Evicted,
    /// Could not be made.
    Failed(String),
}

/// Why there is no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPicture {
    /// It has not come yet.
    Waiting,
    /// It should have come long ago.
    Missing,
    /// The robot says that its camera stands still.
    Camera,
}

/// The microphone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Microphone {
    /// There is none, or it is not allowed.
    #[default]
    Missing,
    /// The robot does not hear the operator.
    Muted,
    /// It does.
    On,
}

/// One figure of the display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// What it is.
    pub label: &'static str,
    /// With its unit.
    pub value: String,
    /// How well that is.
    pub quality: Quality,
}

/// The display of figures.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hud {
    /// All in all.
    pub quality: Quality,
    /// The most important ones in a line.
    pub line: String,
    /// Groups of figures: link, video, commands.
    pub groups: Vec<(&'static str, Vec<Figure>)>,
}

/// With a robot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cockpit {
    /// Name of the robot.
    pub name: String,
    /// How it is driven.
    pub kind: Kind,
    /// This page only watches.
    pub viewer: bool,
    /// How the way stands.
    pub way: Way,
    /// What the robot told.
    pub robot: Robot,
    /// This page, or the robot, has stopped everything.
    pub stopped: bool,
    /// The robot has not confirmed the stop, and does not say that it is stopped.
    pub stop_unheard: bool,
    /// The picture stands still.
    pub stalled: bool,
    /// Nothing moves until keys and buttons are released.
    pub release_first: bool,
    /// Why there is no picture.
    pub no_picture: Option<NoPicture>,
    /// Size of the picture, pixels, without the strip of the latency stamp.
    pub picture: (u32, u32),
    /// Rows of the strip below the picture.
    pub strip: u32,
    /// Figures.
    pub hud: Hud,
    /// Buttons that are not idle.
    pub progress: Vec<(&'static str, Progress)>,
    /// Motions are allowed now.
    pub may_drive: bool,
    /// The speed.
    pub speed: &'static str,
    /// Keys tilt the body instead of driving.
    pub pose_mode: bool,
    /// Brightness of the light as the page shows it.
    pub light: f64,
    /// Cameras wanted.
    pub cameras: [bool; 2],
    /// The microphone.
    pub microphone: Microphone,
    /// The gripper is wanted closed.
    pub gripper_closed: bool,
    /// What is being sent.
    pub twist: Velocities,
    /// The keys that are held, by their label on the page.
    pub held: Vec<&'static str>,
    /// There is a map.
    pub map: bool,
    /// A goal was chosen on it, metres in the world.
    pub goal: Option<[f64; 2]>,
    /// Commands sent since the page was loaded.
    pub commands: u64,
    /// Messages that came.
    pub messages: u64,
}

impl Cockpit {
    /// What a button shows.
    pub fn progress_of(&self, control: &str) -> Progress {
        self.progress.iter().find(|(id, _)| *id == control).map_or(Progress::Idle, |(_, progress)| *progress)
    }
}

/// The whole of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// What the page is about.
    pub stage: Stage,
    /// Who is logged in, and what there is to do.
    pub board: Board,
    /// With a robot.
    pub cockpit: Option<Cockpit>,
    /// Whether a presentation is possible.
    pub support: Support,
    /// The presentation.
    pub presence: Presence,
}
