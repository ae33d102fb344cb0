//! What this page is in the field, and what it was told: the answers to hello, the newest scene, the last refusal.
//! Sans-I/O; times are milliseconds of the page's clock.

use waldo_protocol::field::{
    CharacterMode, ClientMessage, ErrorMessage, Extension, Extensions, Followed, Haptic, Hello, HelloAck, Join, Joined,
    SceneDecoder, SceneExtras, SceneState, SentInputs, ServerMessage, XrInput, XrInputSample, auto_follow, is_head,
    is_renderable,
};

use super::meshes::Meshes;
use super::picture::{Looks, Picture, colour};

/// A refusal is shown for this long.
pub const ERROR_SHOWN_MS: f64 = 6000.0;
/// What is over as soon as it is told is shown for this long.
const PASSING_SHOWN_MS: f64 = 1500.0;
/// The code of what happens while the headset sends nothing for a moment.
const DEADMAN: &str = "deadman";
/// The codes of what holds the arms until the server says [`RELEASED`].
const HOLDS: [&str; 10] = [
    "stopped",
    "release_grips",
    "not_driver",
    "lease_asked",
    "resetting",
    "fault",
    "link_stale",
    "velocity",
    "clock",
    "held",
];
/// The code, without a reason, of the end of a hold.
const RELEASED: &str = "released";

/// How somebody takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// With arms of one's own.
    Drive(CharacterMode),
    /// Looking at whom there is most to see of.
    Watch,
    /// Looking from the tip of an arm.
    ArmCamera,
}

impl Part {
    /// Whether it has arms.
    pub fn drives(self) -> bool {
        matches!(self, Self::Drive(_))
    }
}

/// What a message asks the page to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Todo {
    /// Nothing.
    Nothing,
    /// There is a new scene.
    Show,
    /// The server answered: this page is in.
    Admitted,
    /// To be sent.
    Answer(ClientMessage),
}

/// See the module.
#[derive(Debug, Default)]
pub struct Session {
    part: Option<Part>,
    /// The server answered the hello of this socket.
    admitted: bool,
    /// Of this socket, or to be asked for on the next one.
    user: String,
    resume: Option<String>,
    ext: Extensions,
    arms: Vec<String>,
    controlled: Option<[String; 2]>,
    looks: Looks,
    /// And until when it is shown.
    error: Option<(String, f64)>,
    decoder: SceneDecoder,
    /// No socket: nothing is felt.
    still: bool,
    /// A full scene was asked for, and is awaited.
    lost_track: bool,
    extras: SceneExtras,
    pictures: u64,
    /// The picture is not yet that of the newest scene.
    stale: bool,
    picture: Picture,
    meshes: Meshes,
    inputs: SentInputs,
    latency_ms: Option<f64>,
}

impl Session {
    /// From now on this page takes part like this, or not at all; another user than before.
    pub fn choose(&mut self, part: Option<Part>) {
        let pictures = self.pictures + 1;
        *self = Self { part, pictures, stale: true, ..Self::default() };
    }

    /// How this page takes part.
    pub fn part(&self) -> Option<Part> {
        self.part
    }

    /// A socket opened: what to say on it.
    pub fn opened(&mut self) -> Option<ClientMessage> {
        self.closed();
        self.error = None;
        self.hello()
    }

    /// The socket closed: nothing that was told is true any more. The scene stays, to be looked at.
    pub fn closed(&mut self) {
        self.admitted = false;
        self.ext = Extensions::NONE;
        self.inputs = SentInputs::default();
        self.latency_ms = None;
        self.lost_track = false;
        self.still = true;
    }

    fn hello(&self) -> Option<ClientMessage> {
        let user_id = Some(self.user.clone()).filter(|user| !user.is_empty());
        let join = match self.part? {
            Part::Drive(character_mode) => Join::VrClient { character_mode, user_id, requested_arm_count: None },
            Part::Watch | Part::ArmCamera => Join::Spectator,
        };
        Some(ClientMessage::Hello(Hello {
            client: Some(concat!("waldo-web/", env!("CARGO_PKG_VERSION")).to_owned()),
            ext: Extensions::all(),
            resume_token: self.resume.clone(),
            ..Hello::new(join)
        }))
    }

    /// A text came.
    pub fn on_text(&mut self, text: &str, now: f64) -> Todo {
        match ServerMessage::decode(text) {
            Ok(ServerMessage::HelloAck(ack)) => self.on_ack(ack),
            Ok(ServerMessage::ResetAck(ack)) => {
                self.take_arms(ack.arm_ids, &ack.controlled_arm_ids);
                Todo::Nothing
            }
            Ok(ServerMessage::AssetManifest(manifest)) => {
                let colours = manifest.arms.into_iter().filter_map(|(id, look)| Some((id, colour(&look.color)?)));
                self.looks.colours = colours.collect();
                Todo::Nothing
            }
            Ok(ServerMessage::Error(error)) => self.on_error(&error, now),
            Ok(ServerMessage::SceneState(message)) => {
                let extras = message.extras.clone();
                self.decoder.full(*message);
                self.lost_track = false;
                self.on_scene(extras, now)
            }
            Ok(ServerMessage::SceneDelta(delta)) => {
                let extras = delta.extras.clone();
                match self.decoder.delta(*delta) {
                    Ok(()) => self.on_scene(extras, now),
                    Err(_) => self.lose_track(),
                }
            }
            // What a newer server may say is no reason to stop.
            Ok(_) | Err(_) => Todo::Nothing,
        }
    }

    fn on_ack(&mut self, ack: HelloAck) -> Todo {
        self.ext = ack.ext;
        self.resume = ack.resume_token;
        match ack.joined {
            Joined::VrClient { user_id, arm_ids, controlled_arm_ids, .. } => {
                self.user = user_id;
                self.take_arms(arm_ids, &controlled_arm_ids);
            }
            Joined::Spectator { user_id } | Joined::Publisher { owner_id: user_id } => self.user = user_id,
        }
        self.looks.me.clone_from(&self.user);
        (self.admitted, self.error) = (true, None);
        Todo::Admitted
    }

    fn take_arms(&mut self, arms: Vec<String>, controlled: &[String]) {
        self.arms = arms;
        self.controlled = match controlled {
            [] => None,
            [only] => Some([only.clone(), only.clone()]),
            [left, right, ..] => Some([left.clone(), right.clone()]),
        };
    }

    fn on_error(&mut self, error: &ErrorMessage, now: f64) -> Todo {
        let code = error.code.as_deref().unwrap_or_default();
        if error.reason.is_empty() {
            if code == RELEASED {
                self.error = None;
            }
            return Todo::Nothing;
        }
        let (reason, lasts) = match code {
            DEADMAN => ("Nothing came from the headset for a moment: your arms held still.", PASSING_SHOWN_MS),
            hold if HOLDS.contains(&hold) => (error.reason.as_str(), f64::INFINITY),
            _ => (error.reason.as_str(), ERROR_SHOWN_MS),
        };
        let reason = reason.to_owned();
        self.error = Some((reason, now + lasts));
        // The place under the old name is gone or taken: ask for a new one, once.
        if !self.admitted && !std::mem::take(&mut self.user).is_empty() {
            self.resume = None;
            return self.hello().map_or(Todo::Nothing, Todo::Answer);
        }
        Todo::Nothing
    }

    /// A binary frame came: where the moving arms are. What else changed follows as a text.
    pub fn on_bytes(&mut self, bytes: &[u8]) -> Todo {
        match self.decoder.binary(bytes) {
            Ok(()) => {
                (self.stale, self.still) = (true, false);
                Todo::Show
            }
            Err(_) => self.lose_track(),
        }
    }

    /// What comes does not lead on from what is here: asks for a whole scene, once.
    fn lose_track(&mut self) -> Todo {
        if std::mem::replace(&mut self.lost_track, true) {
            return Todo::Nothing;
        }
        Todo::Answer(ClientMessage::SceneRequest)
    }

    fn on_scene(&mut self, extras: SceneExtras, now: f64) -> Todo {
        self.extras = extras;
        if let Some(ack) = self.extras.input_ack
            && let Some(latency) = self.inputs.acknowledge(ack.seq, ack.age_ms, now)
        {
            self.latency_ms =
                Some(self.latency_ms.map_or(latency.total_ms, |mean| 0.9 * mean + 0.1 * latency.total_ms));
        }
        (self.stale, self.still) = (true, false);
        self.meshes.take(self.decoder.scene());
        Todo::Show
    }

    /// Brings the picture up to date, if it is not; before every [`Session::shown`].
    pub fn refresh(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.pictures += 1;
            self.picture.show(self.decoder.scene(), &self.looks);
        }
    }

    /// A sample to be sent; `None` if this page has no arms to drive.
    pub fn input(&mut self, sample: XrInputSample, now: f64) -> Option<ClientMessage> {
        let drives = self.admitted && self.part.is_some_and(Part::drives);
        let seq = self.ext.has(Extension::InputSeq).then(|| self.inputs.send(now));
        drives.then_some(ClientMessage::XrInput(XrInput { sample, seq }))
    }

    /// Reads a mesh that waits; then there is a new picture. To be called now and then, as it takes its time.
    pub fn read_mesh(&mut self) {
        if self.meshes.read_one() {
            self.pictures += 1;
        }
    }

    /// The picture, its number, the newest scene and its meshes.
    pub fn shown(&self) -> (u64, &Picture, &SceneState, &Meshes) {
        (self.pictures, &self.picture, self.decoder.scene(), &self.meshes)
    }

    /// What the arms feel; nothing while the socket is closed.
    pub fn haptics(&self) -> &[Haptic] {
        if self.still { &[] } else { &self.decoder.scene().haptics }
    }

    /// The newest scene.
    pub fn scene(&self) -> &SceneState {
        self.decoder.scene()
    }

    /// The server answered hello on this socket.
    pub fn admitted(&self) -> bool {
        self.admitted
    }

    /// This page's user, once admitted.
    pub fn user(&self) -> &str {
        if self.admitted { &self.user } else { "" }
    }

    /// How many arms this page's user has; `None` for those who watch.
    pub fn arms(&self) -> Option<usize> {
        self.part.is_some_and(Part::drives).then_some(self.arms.len())
    }

    /// The arms of the left and the right hand.
    pub fn controlled(&self) -> Option<&[String; 2]> {
        self.controlled.as_ref()
    }

    /// What both sides agreed on.
    pub fn has(&self, extension: Extension) -> bool {
        self.ext.has(extension)
    }

    /// The last refusal, while it is news.
    pub fn error(&self, now: f64) -> Option<&str> {
        let (reason, until) = self.error.as_ref()?;
        // Not let in is no news, but how it is.
        (!self.admitted || now < *until).then_some(reason)
    }

    /// From a movement to seeing what came of it, milliseconds.
    pub fn latency_ms(&self) -> Option<f64> {
        self.latency_ms
    }

    /// The simulation stands still.
    pub fn paused(&self) -> bool {
        self.extras.paused
    }

    /// The others who have arms and are away for the moment.
    pub fn away(&self) -> Vec<String> {
        self.extras.away.iter().filter(|user| **user != self.user).cloned().collect()
    }

    /// A target of one of this page's arms is not where it was asked for.
    pub fn clamped(&self) -> bool {
        self.extras.clamped.iter().any(|arm| self.arms.contains(arm))
    }

    /// What is wrong with a mesh.
    pub fn mesh_fault(&self) -> Option<String> {
        self.meshes.fault()
    }

    /// Whom a spectator watches.
    pub fn followed(&self) -> Option<Followed<'_>> {
        auto_follow(self.decoder.scene(), Some(self.user.as_str()).filter(|user| !user.is_empty()))
    }

    /// Others with arms.
    pub fn others(&self) -> usize {
        self.decoder.scene().user_arms.keys().filter(|user| **user != self.user).count()
    }

    /// Others whose head and hands are to be seen.
    pub fn people(&self) -> usize {
        self.decoder.scene().people.keys().filter(|user| **user != self.user).count()
    }

    /// Every arm that a camera can sit on, with its user.
    pub fn seats(&self) -> Vec<(String, String)> {
        let drawn = |arm: &&String| !is_head(arm) && self.decoder.scene().arms.get(*arm).is_some_and(is_renderable);
        let of = |(user, arms): (&String, &Vec<String>)| {
            arms.iter().filter(drawn).map(|arm| (user.clone(), arm.clone())).collect::<Vec<_>>()
        };
        self.decoder.scene().user_arms.iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests;
